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
func (s *Store) EraseUser(ctx context.Context, issuer, userID string) (erased int, err error) {
	e, err := s.newErasure(ctx, issuer, userID, "", 0)
	if err != nil {
		return 0, err
	}
	erased, err = s.erase(ctx, e, issuer, userID, func(t tx, _ []string) error {
		if err := eraseAccess(t, issuer, userID); err != nil {
			return err
		}
		return eraseFromAudits(t, issuer, userID, ``)
	}, ``)
	if err != nil {
		return 0, err
	}
	// Each table in a write of its own, so that others' do not wait for all of it.
	for _, c := range []struct{ table, column string }{
		{"commands", "given_by"}, {"chat", "sender"}, {"incidents", "reviewer"}, {"sessions", "changed_by"},
	} {
		err := s.write(ctx, "user", func(t tx) error {
			_, err := t.exec(`UPDATE `+c.table+` SET `+c.column+` = json_object('role', `+c.column+` ->> 'role')
				WHERE exam_id IN (SELECT id FROM exams WHERE issuer = ?) AND `+isUser(c.column), issuer, userID)
			return err
		})
		if err != nil {
			return erased, err
		}
	}
	s.emptied(ctx)
	return erased, nil
}

// isUser is the condition that a column with an actor names a user: of the actor's id, which
// is platform|user, the part after the platform.
func isUser(column string) string {
	id := column + ` ->> 'id'`
	return `instr(` + id + `, '|') > 0 AND substr(` + id + `, instr(` + id + `, '|') + 1) = ?`
}

// EraseAttempt implements storage.People.
func (s *Store) EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error) {
	e, err := s.newErasure(ctx, issuer, userID, examID, attempt)
	if err != nil {
		return 0, err
	}
	erased, err := s.erase(ctx, e, issuer, userID, func(t tx, sessions []string) error {
		return eraseFromAudits(t, issuer, userID, ` AND exam_id = ? AND (session_id IN (SELECT value FROM json_each(?))
			OR EXISTS (SELECT 1 FROM json_each(sessions) WHERE value IN (SELECT value FROM json_each(?))))`,
			examID, listJSON(sessions), listJSON(sessions))
	}, ` AND exam_id = ? AND attempt = ?`, examID, attempt)
	if err != nil {
		return 0, err
	}
	s.emptied(ctx)
	return erased, nil
}

func text(r row, extra ...any) (s string, err error) { return s, r.Scan(into(extra, &s)...) }

// erase removes sessions of a user, and in the same write lists the erasure, and does what also
// says with their ids.
func (s *Store) erase(ctx context.Context, e vigil.Erasure, issuer, userID string, also func(t tx, sessions []string) error, narrower string, args ...any) (erased int, err error) {
	args = append([]any{userID, issuer}, args...)
	from := ` FROM sessions WHERE user_id = ? AND exam_id IN (SELECT id FROM exams WHERE exams.id = exam_id AND issuer = ?)` + narrower
	err = s.writeAll(ctx, "user", func(t tx) (err error) {
		if err := addErasure(t, e); err != nil {
			return err
		}
		sessions, err := all(t, text, `SELECT id`+from, args...)
		if err != nil {
			return err
		}
		if erased, err = removeSessions(t, `SELECT no`+from, args...); err != nil {
			return err
		}
		return also(t, sessions)
	})
	return erased, err
}

// emptied empties the write-ahead log after an erasure, as far as readers allow, so that no copy
// stays there; removed rows are overwritten in the file itself.
func (s *Store) emptied(ctx context.Context) {
	if err := s.emptyLog(ctx); err != nil {
		s.log.Warn("emptying the write-ahead log after an erasure", "error", err)
	}
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
