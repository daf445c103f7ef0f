package dynamo

import (
	"context"

	"vigil"
	"vigil/storage"
)

func examAudits(examID string) string { return name("xa", examID) }

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
func (s *Store) AppendAudit(ctx context.Context, a vigil.Audit) error {
	if a.At.IsZero() {
		return vigil.Invalid("at", "An audit entry needs its time.")
	}
	info, err := s.auditInfo(ctx, a.ExamID)
	if err != nil {
		return err
	}
	k := key{examAudits(a.ExamID), sortable(a.At) + "#" + s.stamp() + "#" + partName(a.ID)}
	_, err = s.put(ctx, "audit entry", s.main, k, encode(a), expiring(a.At.Add(info.audit()+day)), nil)
	return err
}

// AuditOfExam implements storage.Audits.
func (s *Store) AuditOfExam(ctx context.Context, examID string, page storage.Page) (entries []vigil.Audit, next string, err error) {
	info, err := s.auditInfo(ctx, examID)
	if err != nil {
		return nil, "", err
	}
	oldest := ms(s.now().Add(-info.audit()))
	l := list{what: "audit entry", pk: examAudits(examID), desc: true}
	return paged(ctx, s, l, page, decodeAll(func(a vigil.Audit) bool { return ms(a.At) > oldest }))
}
