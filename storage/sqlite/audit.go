package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

// keepAuditElse is how long entries are kept that belong to no exam.
var keepAuditElse = days(vigil.DefaultPolicy().Retention.Audit)

const auditColumns = `id, exam_id, session_id, sessions, action, by, address, detail, at, chain, seq, prev, prev_at, who, salt`

// AppendAudit implements storage.Audits.
func (s *Store) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	for _, a := range entries {
		if a.At.IsZero() {
			return vigil.Invalid("at", "An audit entry needs its time.")
		}
	}
	return s.writeAll(ctx, "audit entry", func(t tx) error {
		for _, a := range entries {
			one := "" // for older programs
			if len(a.Sessions) == 1 {
				one = a.Sessions[0]
			}
			c := a.Chain
			_, err := t.exec(`INSERT INTO audits (`+auditColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (id) DO NOTHING`,
				a.ID, a.ExamID, one, listJSON(a.Sessions), a.Action, toJSON(a.By), a.From, a.Detail, ms(a.At),
				c.ID, c.Seq, c.Prev, ms(c.PrevAt), c.Who, c.Salt)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func scanAudit(r row, extra ...any) (a vigil.Audit, err error) {
	var one string
	c := &a.Chain
	err = r.Scan(into(extra, &a.ID, &a.ExamID, &one, listInto[string]{&a.Sessions}, &a.Action, jsonInto{&a.By}, &a.From, &a.Detail, timeInto{&a.At},
		&c.ID, &c.Seq, &c.Prev, timeInto{&c.PrevAt}, &c.Who, &c.Salt)...)
	if one != "" && a.Sessions == nil {
		a.Sessions = []string{one}
	}
	return a, err
}

// AuditOfExam implements storage.Audits.
func (s *Store) AuditOfExam(ctx context.Context, examID string, page storage.Page) (entries []vigil.Audit, next string, err error) {
	return paged[vigil.Audit]{
		what: "audit entry", scan: scanAudit, start: highest,
		query: `SELECT at, no, ` + auditColumns + ` FROM audits
			WHERE exam_id = ? AND at > ? - coalesce((SELECT keep_audit FROM exams WHERE id = ?), ?) AND (at, no) < (?, ?)
			ORDER BY at DESC, no DESC LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), examID, keepAuditElse, c.at, c.no} },
	}.read(ctx, s, page)
}

// PutAuditCheckpoint implements storage.Audits.
func (s *Store) PutAuditCheckpoint(ctx context.Context, c vigil.AuditCheckpoint) error {
	return s.write(ctx, "audit checkpoint", func(t tx) error {
		_, err := t.exec(`INSERT INTO audit_checkpoints (exam_id, chain, seq, hash, at, signature) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (exam_id, chain) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at, signature = excluded.signature
			WHERE excluded.seq > audit_checkpoints.seq`,
			c.ExamID, c.Chain, c.Head.Seq, c.Head.Hash, ms(c.Head.At), c.Signature)
		return err
	})
}

func scanCheckpoint(r row, extra ...any) (c vigil.AuditCheckpoint, err error) {
	return c, r.Scan(into(extra, &c.ExamID, &c.Chain, &c.Head.Seq, &c.Head.Hash, timeInto{&c.Head.At}, &c.Signature)...)
}

// AuditCheckpoints implements storage.Audits.
func (s *Store) AuditCheckpoints(ctx context.Context, examID string) ([]vigil.AuditCheckpoint, error) {
	return list(ctx, s, "audit checkpoint", scanCheckpoint,
		`SELECT exam_id, chain, seq, hash, at, signature FROM audit_checkpoints WHERE exam_id = ? ORDER BY chain`, examID)
}

// eraseFromAudits takes a user out of the entries of the issuer's exams. narrower limits it
// to some of them.
func eraseFromAudits(t tx, issuer, userID, narrower string, args ...any) error {
	_, err := t.exec(`UPDATE audits SET by = json_object('role', by ->> 'role'), address = '', salt = ''
		WHERE exam_id IN (SELECT id FROM exams WHERE issuer = ?) AND `+isUser("by")+narrower,
		append([]any{issuer, userID}, args...)...)
	return err
}
