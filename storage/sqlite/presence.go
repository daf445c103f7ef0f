package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

// SetPresence implements storage.Sessions.
func (s *Store) SetPresence(ctx context.Context, sessionID string, p vigil.Presence) error {
	return s.write(ctx, "presence", func(t tx) error {
		return t.update("presence", `UPDATE sessions SET connection = ?, since = ?, heard = ?, epoch = ?, node = ?, cause = ?, reports = ?, watched = ?
			WHERE id = ? AND (epoch < ? OR epoch = ? AND since <= ?)`,
			[]any{p.Connection, ms(p.Since), ms(p.Heard), p.Epoch, p.Node, p.Cause, ms(p.Reports), dms(p.Watched), sessionID, p.Epoch, p.Epoch, ms(p.Since)},
			`SELECT 1 FROM sessions WHERE id = ?`, sessionID)
	})
}

// NextEpoch implements storage.Sessions.
func (s *Store) NextEpoch(ctx context.Context, sessionID string) (epoch int64, err error) {
	err = s.write(ctx, "session", func(t tx) error {
		epoch, err = one(t, number, `UPDATE sessions SET epochs = max(epochs, epoch) + 1 WHERE id = ? RETURNING epochs`, sessionID)
		return err
	})
	if err != nil {
		return 0, err
	}
	return epoch, nil
}

// Connected implements storage.Sessions.
func (s *Store) Connected(ctx context.Context, node string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	return paged[vigil.Session]{
		what: "session", scan: scanSession, start: lowest,
		query: `SELECT 0, s.no, ` + sessionColumns + ` FROM sessions s INDEXED BY sessions_node` + ofExam + `
			WHERE s.node = ? AND s.connection IN ('online', 'degraded', 'navigating') AND ` + liveSession + ` AND s.no > ?
			ORDER BY s.no LIMIT ?`,
		args: func(c cursor) []any { return []any{node, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}
