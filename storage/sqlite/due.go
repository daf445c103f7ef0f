package sqlite

import (
	"context"
	"time"

	"vigil"
)

// numbered is a session with its row's number.
type numbered struct {
	no int64
	v  vigil.Session
}

func scanNumbered(r row, _ ...any) (n numbered, err error) {
	n.v, err = scanSession(r, &n.no)
	return n, err
}

// LeaseDue implements storage.Sessions.
func (s *Store) LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error) {
	if ms(until) <= ms(now) {
		return nil, vigil.Invalid("until", "The lease must end after now.")
	}
	if n <= 0 {
		return nil, nil
	}
	var out []vigil.Session
	err := s.writeAll(ctx, "session", func(t tx) error {
		found, err := all(t, scanNumbered, `SELECT s.no, `+sessionColumns+` FROM sessions s INDEXED BY sessions_due
			CROSS JOIN exams e ON e.id = s.exam_id
			WHERE s.due > 0 AND s.due <= ? AND `+liveSession+` ORDER BY s.due, s.no LIMIT ?`, ms(now), ms(s.now()), n)
		if err != nil {
			return err
		}
		out = make([]vigil.Session, len(found))
		for i, f := range found {
			if _, err := t.exec(`UPDATE sessions SET due = ? WHERE no = ?`, ms(until), f.no); err != nil {
				return err
			}
			out[i], out[i].DueAt = f.v, timeOf(ms(until))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// SetDue implements storage.Sessions.
func (s *Store) SetDue(ctx context.Context, sessionID string, version int64, at time.Time) error {
	return s.write(ctx, "session", func(t tx) error {
		return t.update("session", `UPDATE sessions SET due = ? WHERE id = ? AND version = ?`, []any{ms(at), sessionID, version},
			`SELECT 1 FROM sessions WHERE id = ?`, sessionID)
	})
}
