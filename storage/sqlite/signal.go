package sqlite

import (
	"context"
	"strings"

	"vigil"
	"vigil/storage"
)

// AppendSignals implements storage.Signals. Calls that wait for the same commit are
// stored by the same statements.
func (s *Store) AppendSignals(ctx context.Context, signals []vigil.Signal) ([]storage.Appended, error) {
	if len(signals) == 0 {
		return nil, nil
	}
	for _, g := range signals {
		if g.Received.IsZero() {
			return nil, vigil.Invalid("received", "A signal needs the time when it came.")
		}
		if g.Seq < 1 {
			return nil, vigil.Invalid("seq", "A signal needs a number from 1 up.")
		}
	}
	a := &appending{in: signals, out: make([]storage.Appended, len(signals))}
	if err := s.w.submit(ctx, &op{what: "signal", signals: a}); err != nil {
		return nil, err
	}
	return a.out, nil
}

const signalColumns = `s.id, s.exam_id, r.name, g.seq, g.kind, g.severity, g.incident, g.at, g.duration, g.received, g.data`

func scanSignal(r row, extra ...any) (g vigil.Signal, err error) {
	var data []byte
	err = r.Scan(into(extra, &g.SessionID, &g.ExamID, &g.Stream, &g.Seq, &g.Kind, &g.Severity, &g.Incident, timeInto{&g.At},
		durationInto{&g.Duration}, timeInto{&g.Received}, &data)...)
	if len(data) > 0 {
		g.Data = data
	}
	return g, err
}

// blocksOf numbers the blocks of signals (see the index signals_block) in which a session
// (the first parameter) may have some: from the one of its streams' first signal, or a
// later one (the second parameter), to the one of their last. Whatever is joined to it by
// CROSS JOIN comes in the order of the blocks.
const blocksOf = `WITH RECURSIVE blocks (block, last) AS (
	SELECT max(min(r.block), ?2), max(c.block) FROM streams r CROSS JOIN counts c WHERE r.session = ?1 AND c.stream = r.no
	UNION ALL SELECT block + 1, last FROM blocks WHERE block < last ORDER BY 1) `

// blockBits says how many signals' numbers make a block: 2^blockBits.
const blockBits = 12

// SignalsOfSession implements storage.Signals.
func (s *Store) SignalsOfSession(ctx context.Context, sessionID string, page storage.Page) (signals []vigil.Signal, next string, err error) {
	now := ms(s.now())
	return paged[vigil.Signal]{
		what: "signal", scan: scanSignal, start: lowest,
		// The blocks come in order, and the signals of a session in each of them: there is
		// nothing to sort.
		query: strings.Replace(blocksOf, "?1", "(SELECT no FROM sessions WHERE id = ?1)", 1) + `SELECT 0, g.no, ` + signalColumns + `
			FROM sessions s` + ofExam + `CROSS JOIN blocks b CROSS JOIN signals g INDEXED BY signals_block CROSS JOIN streams r
			WHERE s.id = ?1 AND ` + strings.Replace(liveSession, "?", "?3", 1) + ` AND g.no >> 12 = b.block AND g.session = s.no AND r.no = g.stream
			AND g.received > ?3 - e.keep_signals AND g.no > ?4 LIMIT ?`,
		args: func(c cursor) []any { return []any{sessionID, max(c.no, 0) >> blockBits, now, c.no} },
	}.read(ctx, s, page)
}

// StreamState implements storage.Signals. Signals that expired count on.
func (s *Store) StreamState(ctx context.Context, sessionID, stream string) (count, top int64, err error) {
	c, err := get(ctx, s, "stream", func(r row, _ ...any) (c [2]int64, err error) { return c, r.Scan(&c[0], &c[1]) },
		`SELECT coalesce(sum(c.top - c.missing), 0), coalesce(max(c.top), 0) FROM sessions s CROSS JOIN streams r CROSS JOIN counts c
			WHERE s.id = ? AND r.session = s.no AND r.name = ? AND c.stream = r.no`,
		sessionID, stream)
	return c[0], c[1], err
}
