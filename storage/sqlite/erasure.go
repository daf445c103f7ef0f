package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

const erasureColumns = `id, salt, hash, exam_id, attempt, at`

func scanErasure(r row, extra ...any) (e vigil.Erasure, err error) {
	return e, r.Scan(into(extra, &e.ID, &e.Salt, &e.Hash, &e.ExamID, &e.Attempt, timeInto{&e.At})...)
}

// Erasures implements storage.Erasures.
func (s *Store) Erasures(ctx context.Context, page storage.Page) (entries []vigil.Erasure, next string, err error) {
	return paged[vigil.Erasure]{
		what: "erasure", scan: scanErasure, start: lowest,
		query: `SELECT at, no, ` + erasureColumns + ` FROM erasures WHERE at > ? AND (at, no) > (?, ?) ORDER BY at, no LIMIT ?`,
		args:  func(c cursor) []any { return []any{ms(s.now().Add(-vigil.KeepErasures)), c.at, c.no} },
	}.read(ctx, s, page)
}

// AddErasure implements storage.Erasures.
func (s *Store) AddErasure(ctx context.Context, e vigil.Erasure) error {
	if err := e.Validate(); err != nil {
		return err
	}
	return s.write(ctx, "erasure", func(t tx) error { return addErasure(t, e) })
}

func addErasure(t tx, e vigil.Erasure) error {
	_, err := t.exec(`INSERT INTO erasures (`+erasureColumns+`) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		e.ID, e.Salt, e.Hash, e.ExamID, e.Attempt, ms(e.At))
	return err
}

// sweepErasures removes entries that no backup is kept for any more.
func sweepErasures(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM erasures WHERE no IN (SELECT no FROM erasures INDEXED BY erasures_at WHERE at <= ? LIMIT ?)`,
		now-dms(vigil.KeepErasures), n))
}
