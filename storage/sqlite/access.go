package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

const accessColumns = `a.exam_id, a.user_id, a.version, a.at, a.sees_all, a.sees_groups, a.rights`

func scanAccess(r row, extra ...any) (a vigil.Access, err error) {
	return a, r.Scan(into(extra, &a.ExamID, &a.UserID, &a.Version, timeInto{&a.At}, &a.All, listInto[vigil.Group]{&a.Groups}, listInto[vigil.Right]{&a.Rights})...)
}

// accessExpired is the time up to which records have expired.
func (s *Store) accessExpired() int64 { return ms(s.now().Add(-vigil.AccessKept)) }

// PutAccess implements storage.Accesses.
func (s *Store) PutAccess(ctx context.Context, a vigil.Access) error {
	return s.putAccess(ctx, a, func(t tx, expired int64) (int64, error) {
		return t.exec(`INSERT INTO accesses (exam_id, user_id, version, at, sees_all, sees_groups, rights) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (exam_id, user_id) DO UPDATE SET version = excluded.version, at = excluded.at, sees_all = excluded.sees_all,
			sees_groups = excluded.sees_groups, rights = excluded.rights WHERE excluded.version > accesses.version OR accesses.at <= ?`,
			a.ExamID, a.UserID, a.Version, ms(a.At), a.All, listJSON(a.Groups), listJSON(a.Rights), expired)
	})
}

// RenewAccess implements storage.Accesses.
func (s *Store) RenewAccess(ctx context.Context, a vigil.Access) error {
	return s.putAccess(ctx, a, func(t tx, expired int64) (int64, error) {
		return t.exec(`UPDATE accesses SET version = ?, at = ?, sees_all = ?, sees_groups = ?, rights = ?
			WHERE exam_id = ? AND user_id = ? AND version < ? AND at > ?`,
			a.Version, ms(a.At), a.All, listJSON(a.Groups), listJSON(a.Rights), a.ExamID, a.UserID, a.Version, expired)
	})
}

// putAccess writes the time of a record that is told again; what is new, store writes.
func (s *Store) putAccess(ctx context.Context, a vigil.Access, store func(t tx, expired int64) (int64, error)) error {
	if err := a.Validate(); err != nil {
		return err
	}
	expired := s.accessExpired()
	// Of the statements one at most changes something.
	return s.write(ctx, "access record", func(t tx) error {
		n, err := t.exec(`UPDATE accesses SET at = ? WHERE exam_id = ? AND user_id = ? AND version = ? AND at > ? AND at < ?`,
			ms(a.At), a.ExamID, a.UserID, a.Version, expired, ms(a.At))
		if err != nil || n > 0 {
			return err
		}
		n, err = store(t, expired)
		if err != nil || n > 0 {
			return err
		}
		stored, err := one(t, number, `SELECT version FROM accesses WHERE exam_id = ? AND user_id = ? AND at > ?`, a.ExamID, a.UserID, expired)
		if err == nil && stored > a.Version {
			err = conflict("access record")
		}
		return err
	})
}

// Access implements storage.Accesses.
func (s *Store) Access(ctx context.Context, examID, userID string) (vigil.Access, error) {
	return get(ctx, s, "access record", scanAccess, `SELECT `+accessColumns+` FROM accesses a WHERE a.exam_id = ? AND a.user_id = ? AND a.at > ?`,
		examID, userID, s.accessExpired())
}

// AccessOfExam implements storage.Accesses.
func (s *Store) AccessOfExam(ctx context.Context, examID string, page storage.Page) (records []vigil.Access, next string, err error) {
	return paged[vigil.Access]{
		what: "access record", scan: scanAccess, start: lowest,
		query: `SELECT 0, a.no, ` + accessColumns + ` FROM accesses a INDEXED BY accesses_exam
			WHERE a.exam_id = ? AND a.at > ? AND a.no > ? ORDER BY a.no LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, s.accessExpired(), c.no} },
	}.read(ctx, s, page)
}

// AccessOfUser implements storage.Accesses.
func (s *Store) AccessOfUser(ctx context.Context, issuer, userID string) ([]vigil.Access, error) {
	return list(ctx, s, "access record", scanAccess, `SELECT `+accessColumns+` FROM accesses a INDEXED BY accesses_user JOIN exams e ON e.id = a.exam_id
		WHERE a.user_id = ? AND e.issuer = ? AND a.at > ? ORDER BY a.no`, userID, issuer, s.accessExpired())
}

// eraseAccess removes a user's records at the issuer's exams.
func eraseAccess(t tx, issuer, userID string) error {
	_, err := t.exec(`DELETE FROM accesses WHERE user_id = ? AND exam_id IN (SELECT id FROM exams WHERE exams.id = exam_id AND issuer = ?)`, userID, issuer)
	return err
}

func sweepAccess(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM accesses WHERE no IN (SELECT no FROM accesses INDEXED BY accesses_at WHERE at <= ? LIMIT ?)`,
		now-dms(vigil.AccessKept), n))
}
