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
	}
	a := &appending{in: signals, out: make([]storage.Appended, len(signals))}
	if err := s.w.submit(ctx, &op{what: "signal", signals: a}); err != nil {
		return nil, err
	}
	return a.out, nil
}

const signalColumns = `s.id, s.exam_id, g.stream, g.seq, g.kind, g.severity, g.incident, g.at, g.duration, g.received, g.data`

func scanSignal(r row, extra ...any) (g vigil.Signal, err error) {
	var data []byte
	err = r.Scan(into(extra, &g.SessionID, &g.ExamID, &g.Stream, &g.Seq, &g.Kind, &g.Severity, &g.Incident, timeInto{&g.At},
		durationInto{&g.Duration}, timeInto{&g.Received}, &data)...)
	if len(data) > 0 {
		g.Data = data
	}
	return g, err
}

// SignalsOfSession implements storage.Signals.
func (s *Store) SignalsOfSession(ctx context.Context, sessionID string, page storage.Page) (signals []vigil.Signal, next string, err error) {
	now := ms(s.now())
	return paged[vigil.Signal]{
		what: "signal", scan: scanSignal, start: lowest,
		query: `SELECT 0, g.no, ` + signalColumns + ` FROM sessions s` + ofExam + `CROSS JOIN signals g INDEXED BY signals_session
			WHERE s.id = ? AND ` + liveSession + ` AND g.session = s.no AND g.received > ? - e.keep_signals AND g.no > ?
			ORDER BY g.no LIMIT ?`,
		args: func(c cursor) []any { return []any{sessionID, now, now, c.no} },
	}.read(ctx, s, page)
}

// StreamState implements storage.Signals.
func (s *Store) StreamState(ctx context.Context, sessionID, stream string) (count, top int64, err error) {
	c, err := get(ctx, s, "stream", func(r row, _ ...any) (c [2]int64, err error) { return c, r.Scan(&c[0], &c[1]) },
		`SELECT count(*), coalesce(max(g.seq), 0) FROM sessions s CROSS JOIN signals g WHERE s.id = ? AND g.session = s.no AND g.stream = ?`,
		sessionID, stream)
	return c[0], c[1], err
}

// item is one signal on its way into the table.
type item struct {
	signal  *vigil.Signal
	out     *storage.Appended
	session int64
}

// raise is what new signals add to a session's tally.
type raise struct {
	signals, incidents int
	severity           float64
	lastKind           vigil.Kind
	lastAt             int64
	from               int64 // when the first of them came
}

// appendTogether stores the signals of several calls. A call that names a session that
// is not there gets CodeNotFound, and nothing of it is stored.
func appendTogether(t tx, ops []*op) error {
	places, err := sessionsOf(t, ops)
	if err != nil {
		return err
	}
	var items []item
	for _, o := range ops {
		own := make([]item, len(o.signals.in))
		for i := range o.signals.in {
			no, ok := places[o.signals.in[i].SessionID]
			if !ok {
				o.err = notFound("session")
				own = nil
				break
			}
			o.signals.out[i] = storage.Stored
			own[i] = item{signal: &o.signals.in[i], out: &o.signals.out[i], session: no}
		}
		items = append(items, own...)
	}
	if len(items) == 0 {
		return nil
	}
	if err := insertSignals(t, items); err != nil {
		return err
	}
	raises := map[int64]*raise{}
	var order []int64 // maps have none, and tests like the same statements every time
	for _, it := range items {
		if *it.out != storage.Stored {
			continue
		}
		r := raises[it.session]
		if r == nil {
			r = &raise{from: ms(it.signal.Received)}
			raises[it.session] = r
			order = append(order, it.session)
		}
		r.add(it.signal)
		if it.signal.Incident {
			if err := insertIncident(t, it.session, vigil.IncidentOf(*it.signal)); err != nil {
				return err
			}
		}
	}
	return raiseTallies(t, order, raises)
}

func (r *raise) add(g *vigil.Signal) {
	r.signals++
	r.severity = max(r.severity, g.Severity)
	r.from = min(r.from, ms(g.Received))
	if g.Incident {
		r.incidents++
		if at := ms(g.Received); at >= r.lastAt {
			r.lastKind, r.lastAt = g.Kind, at
		}
	}
}

// sessionsOf finds where the sessions are that the calls name.
func sessionsOf(t tx, ops []*op) (map[string]int64, error) {
	places := map[string]int64{}
	var ids []any
	for _, o := range ops {
		for _, g := range o.signals.in {
			if _, ok := places[g.SessionID]; !ok {
				places[g.SessionID] = 0
				ids = append(ids, g.SessionID)
			}
		}
	}
	err := chunked(len(ids), func(from, n int) error {
		type found struct {
			id string
			no int64
		}
		rows, err := all(t, func(r row, _ ...any) (f found, err error) { return f, r.Scan(&f.id, &f.no) },
			findSessions.of(n), ids[from:from+n]...)
		for _, f := range rows {
			places[f.id] = f.no
		}
		return err
	})
	for id, no := range places {
		if no == 0 {
			delete(places, id)
		}
	}
	return places, err
}

// insertSignals stores what is new and says of each item what became of it.
func insertSignals(t tx, items []item) error {
	base, err := one(t, number, `SELECT coalesce(max(no), 0) FROM signals`)
	if err != nil {
		return err
	}
	return chunked(len(items), func(from, n int) error {
		part := items[from : from+n]
		args := make([]any, 0, n*10)
		for _, it := range part {
			g := it.signal
			var data []byte
			if len(g.Data) > 0 {
				data = g.Data
			}
			args = append(args, it.session, g.Stream, g.Seq, string(g.Kind), g.Severity, g.Incident, ms(g.At), dms(g.Duration), ms(g.Received), data)
		}
		stored, err := t.exec(addSignals.of(n), args...)
		if err != nil {
			return err
		}
		if stored < int64(n) {
			err = settle(t, base, part)
		}
		base += stored
		return err
	})
}

// name is what is unique about a signal.
type name struct {
	session int64
	stream  string
	seq     int64
}

// settle tells the new ones of a part from those that were there already: the rows
// above base are this part's, and each belongs to the first item of its name.
func settle(t tx, base int64, part []item) error {
	type was struct {
		no int64
		g  vigil.Signal
	}
	taken := map[name]bool{}
	for _, it := range part {
		g := it.signal
		old, err := one(t, func(r row, _ ...any) (w was, err error) {
			var data []byte
			err = r.Scan(&w.no, &w.g.Kind, timeInto{&w.g.At}, durationInto{&w.g.Duration}, &data)
			w.g.Data = data
			return w, err
		}, `SELECT no, kind, at, duration, data FROM signals WHERE session = ? AND stream = ? AND seq = ?`, it.session, g.Stream, g.Seq)
		if err != nil {
			return err
		}
		n := name{it.session, g.Stream, g.Seq}
		switch {
		case old.no > base && !taken[n]:
			taken[n] = true
		case old.g.Digest() == g.Digest():
			*it.out = storage.Repeated
		default:
			*it.out = storage.Differs
		}
	}
	return nil
}

// raiseTallies adds to the sessions' counts.
func raiseTallies(t tx, order []int64, raises map[int64]*raise) error {
	return chunked(len(order), func(from, n int) error {
		args := make([]any, 0, n*7)
		for _, no := range order[from : from+n] {
			r := raises[no]
			args = append(args, no, r.signals, r.incidents, r.severity, string(r.lastKind), r.lastAt, r.from)
		}
		_, err := t.exec(addTallies.of(n), args...)
		return err
	})
}

// batch is a statement over several rows: before, one row's text for each, after. It
// exists in a few sizes only, so that each is prepared once.
type batch struct {
	texts map[int]string
}

// sizes of batches, largest first.
var sizes = []int{128, 64, 32, 16, 8, 4, 2, 1}

func newBatch(before, each, after string) batch {
	b := batch{texts: map[int]string{}}
	for _, n := range sizes {
		b.texts[n] = before + strings.Repeat(", "+each, n)[2:] + after
	}
	return b
}

func (b batch) of(n int) string { return b.texts[n] }

// chunked splits n rows into parts of the sizes that there are.
func chunked(n int, do func(from, n int) error) error {
	from := 0
	for _, size := range sizes {
		for n-from >= size {
			if err := do(from, size); err != nil {
				return err
			}
			from += size
		}
	}
	return nil
}

var (
	findSessions = newBatch(`SELECT id, no FROM sessions WHERE id IN (`, `?`, `)`)
	addSignals   = newBatch(`INSERT INTO signals (session, stream, seq, kind, severity, incident, at, duration, received, data) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ` ON CONFLICT (session, stream, seq) DO NOTHING`)
	addTallies = newBatch(`WITH v (no, n, incidents, severity, kind, at, came) AS (VALUES `, `(?, ?, ?, ?, ?, ?, ?)`,
		`) UPDATE sessions SET signals = sessions.signals + v.n, incidents = sessions.incidents + v.incidents,
		open_incidents = open_incidents + v.incidents, severity = max(sessions.severity, v.severity),
		last_kind = CASE WHEN v.incidents > 0 AND v.at >= last_at THEN v.kind ELSE last_kind END, last_at = max(last_at, v.at),
		signals_from = CASE WHEN signals_from = 0 THEN v.came ELSE min(signals_from, v.came) END
		FROM v WHERE sessions.no = v.no`)
)
