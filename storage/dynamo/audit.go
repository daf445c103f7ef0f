package dynamo

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/storage"
)

func examAudits(examID string) string { return name("xa", examID) }

func auditCheckpoints(examID string) string { return name("xk", examID) }

func checkpointKey(c vigil.AuditCheckpoint) key {
	return key{auditCheckpoints(c.ExamID), name("k", c.Chain)}
}

// auditKey is the same whenever an entry is put again.
func auditKey(a vigil.Audit) key {
	return key{examAudits(a.ExamID), sortable(a.At) + "#" + seqName(a.Chain.Seq) + "#" + partName(a.ID)}
}

// auditInfo is an exam's retention; entries of no exam, or of one that is not there, are
// kept for the default.
func (s *Store) auditInfo(ctx context.Context, examID string) (examInfo, error) {
	usual := examInfo{keep: vigil.DefaultPolicy().Retention}
	if examID == "" {
		return usual, nil
	}
	info, err := s.exam(ctx, examID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return usual, nil
	}
	return info, err
}

// AppendAudit implements storage.Audits.
func (s *Store) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	for _, a := range entries {
		if a.At.IsZero() {
			return vigil.Invalid("at", "An audit entry needs its time.")
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.parallel)
	for _, a := range entries {
		g.Go(func() error {
			info, err := s.auditInfo(ctx, a.ExamID)
			if err != nil {
				return err
			}
			_, err = s.put(ctx, "audit entry", s.main, auditKey(a), encode(a), expiring(a.At.Add(info.audit()+day)), newExpr().absent())
			return err // one that is there already is as it was written, or was erased since
		})
	}
	return g.Wait()
}

// auditOf reads an entry.
func auditOf(it item) (vigil.Audit, error) {
	a, err := decode[vigil.Audit](it)
	if err != nil {
		return a, err
	}
	old, err := decode[oldAudit](it)
	if old.SessionID != "" && a.Sessions == nil {
		a.Sessions = []string{old.SessionID}
	}
	return a, err
}

// AuditOfExam implements storage.Audits.
func (s *Store) AuditOfExam(ctx context.Context, examID string, page storage.Page) (entries []vigil.Audit, next string, err error) {
	info, err := s.auditInfo(ctx, examID)
	if err != nil {
		return nil, "", err
	}
	oldest := ms(s.now().Add(-info.audit()))
	l := list{what: "audit entry", pk: examAudits(examID), desc: true}
	return paged(ctx, s, l, page, func(_ context.Context, items []item) ([]*vigil.Audit, error) {
		out := make([]*vigil.Audit, len(items))
		for i, it := range items {
			a, err := auditOf(it)
			if err != nil {
				return nil, err
			}
			if ms(a.At) > oldest {
				out[i] = &a
			}
		}
		return out, nil
	})
}

// PutAuditCheckpoint implements storage.Audits.
func (s *Store) PutAuditCheckpoint(ctx context.Context, c vigil.AuditCheckpoint) error {
	it := encode(c)
	it["Seq"] = num(c.Head.Seq)
	e := newExpr()
	e.when("attribute_not_exists(%s) OR %s < %s", e.n(attrPK), e.n("Seq"), e.v(num(c.Head.Seq)))
	_, err := s.put(ctx, "audit checkpoint", s.main, checkpointKey(c), it, nil, e)
	return err
}

// AuditCheckpoints implements storage.Audits.
func (s *Store) AuditCheckpoints(ctx context.Context, examID string) ([]vigil.AuditCheckpoint, error) {
	return allOf[vigil.AuditCheckpoint](ctx, s, list{what: "audit checkpoint", pk: auditCheckpoints(examID)}, nil)
}

// eraseFromAudits takes a user out of the entries of an exam about some sessions.
func (s *Store) eraseFromAudits(ctx context.Context, examID, userID string, sessions []string) error {
	if len(sessions) == 0 {
		return nil
	}
	items, err := s.all(ctx, list{what: "audit entry", pk: examAudits(examID)})
	if err != nil {
		return err
	}
	for _, it := range items {
		a, err := auditOf(it)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(a.Sessions, func(id string) bool { return slices.Contains(sessions, id) }) {
			if err := s.erasePerson(ctx, it, userID); err != nil {
				return err
			}
		}
	}
	return nil
}

// erasePerson takes the person out of an entry, if it is that user.
func (s *Store) erasePerson(ctx context.Context, it item, userID string) error {
	a, err := auditOf(it)
	if err != nil || !a.By.IsUser(userID) {
		return err
	}
	a = a.WithoutPerson()
	e := newExpr().set("By", field(a.By)).set("Chain", field(a.Chain)).remove("From").present()
	_, err = s.change(ctx, "audit entry", s.main, keyOf(it), e)
	return err
}
