package sqlite

import (
	"context"

	"vigil"
)

// SessionsOfUser implements storage.People.
func (s *Store) SessionsOfUser(ctx context.Context, issuer, userID string) ([]vigil.Session, error) {
	return list(ctx, s, "session", scanSession, `SELECT `+sessionColumns+` FROM sessions s INDEXED BY sessions_user`+ofExam+`
		WHERE s.user_id = ? AND e.issuer = ? AND `+liveSession+` ORDER BY s.no`, userID, issuer, ms(s.now()))
}

// EraseUser implements storage.People. What expired and was not swept yet goes, too.
func (s *Store) EraseUser(ctx context.Context, issuer, userID string) (int, error) {
	return s.erase(ctx, ``, userID, issuer)
}

// EraseAttempt implements storage.People.
func (s *Store) EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error) {
	return s.erase(ctx, ` AND exam_id = ? AND attempt = ?`, userID, issuer, examID, attempt)
}

// erase removes sessions of a user. The write-ahead log is emptied afterwards, as far as
// readers allow, so that no copy stays there; deleted rows are overwritten in the file
// itself.
func (s *Store) erase(ctx context.Context, narrower string, args ...any) (erased int, err error) {
	err = s.writeAll(ctx, "user", func(t tx) (err error) {
		erased, err = removeSessions(t, `SELECT no FROM sessions
			WHERE user_id = ? AND exam_id IN (SELECT id FROM exams WHERE exams.id = exam_id AND issuer = ?)`+narrower, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := s.emptyLog(ctx); err != nil {
		s.log.Warn("emptying the write-ahead log after an erasure", "error", err)
	}
	return erased, nil
}

// emptyLog moves the write-ahead log into the file and cuts it to nothing.
func (s *Store) emptyLog(ctx context.Context) error {
	db, err := openDB(s.path, s.lockWait, false)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return closing(db, convert("store", err))
}
