package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

// keepAuditElse is how long entries are kept that belong to no exam.
var keepAuditElse = days(vigil.DefaultPolicy().Retention.Audit)

// AppendAudit implements storage.Audits.
func (s *Store) AppendAudit(ctx context.Context, a vigil.Audit) error {
	if a.At.IsZero() {
		return vigil.Invalid("at", "An audit entry needs its time.")
	}
	return s.write(ctx, "audit entry", func(t tx) error {
		_, err := t.exec(`INSERT INTO audits (id, exam_id, session_id, action, by, detail, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			a.ID, a.ExamID, a.SessionID, a.Action, toJSON(a.By), a.Detail, ms(a.At))
		return err
	})
}

func scanAudit(r row, extra ...any) (a vigil.Audit, err error) {
	return a, r.Scan(into(extra, &a.ID, &a.ExamID, &a.SessionID, &a.Action, jsonInto{&a.By}, &a.Detail, timeInto{&a.At})...)
}

// AuditOfExam implements storage.Audits.
func (s *Store) AuditOfExam(ctx context.Context, examID string, page storage.Page) (entries []vigil.Audit, next string, err error) {
	return paged[vigil.Audit]{
		what: "audit entry", scan: scanAudit, start: highest,
		query: `SELECT at, no, id, exam_id, session_id, action, by, detail, at FROM audits
			WHERE exam_id = ? AND at > ? - coalesce((SELECT keep_audit FROM exams WHERE id = ?), ?) AND (at, no) < (?, ?)
			ORDER BY at DESC, no DESC LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), examID, keepAuditElse, c.at, c.no} },
	}.read(ctx, s, page)
}
