package sqlite

import (
	"strings"

	"vigil"
	"vigil/storage"
)

// How signals go in. What each of them writes is kept small, because a commit writes whole
// pages: its row and its index entry go to the end of their tables, and its stream's row in
// counts, which is narrow, says by itself whether a number is new. The session's own row is
// left alone but for what seldom changes.

// named names a stream of a session.
type named struct{ session, stream string }

// stream is what is known of a stream while signals of it are stored.
type stream struct {
	name     named
	session  *holder
	no       int64 // 0: not stored yet
	top      int64
	missing  int64
	block    int64
	touched  bool
	repeated []item // numbers that were there already
}

// holder is a session that signals are stored for. It may be remembered from an earlier
// transaction: another process may have raised the severity or lowered from since.
type holder struct {
	no       int64
	severity float64
	from     int64 // when the oldest stored signal came

	// What the signals of this transaction change.
	incidents int
	lastKind  vigil.Kind
	lastAt    int64
	changed   bool
}

// item is one signal on its way into the table.
type item struct {
	signal *vigil.Signal
	out    *storage.Appended
	stream *stream
	no     int64
}

// appendTogether stores the signals of several calls. A call that names a session that
// is not there gets CodeNotFound, and nothing of it is stored.
func appendTogether(t tx, ops []*op) error {
	streams, order, err := streamsOf(t, ops)
	if err != nil {
		return err
	}
	var items []item
	for _, o := range ops {
		from := len(items)
		for i := range o.signals.in {
			g := &o.signals.in[i]
			st := streams[named{g.SessionID, g.Stream}]
			if st.session == nil {
				o.err = notFound("session")
				items = items[:from]
				break
			}
			items = append(items, item{signal: g, out: &o.signals.out[i], stream: st})
		}
	}
	if len(items) == 0 {
		return nil
	}
	fresh, err := sift(t, items)
	if err != nil {
		return err
	}
	if err := insertSignals(t, fresh); err != nil {
		return err
	}
	if err := saveStreams(t, order); err != nil {
		return err
	}
	for _, it := range fresh {
		if it.signal.Incident {
			if err := insertIncident(t, it.stream.session.no, vigil.IncidentOf(*it.signal)); err != nil {
				return err
			}
		}
	}
	return raiseTallies(t, order)
}

// streamsOf reads the streams that the calls name. One whose session is not there has none.
func streamsOf(t tx, ops []*op) (map[named]*stream, []*stream, error) {
	known, err := t.w.known.at(t)
	if err != nil {
		return nil, nil, err
	}
	streams := map[named]*stream{}
	var order []*stream // maps have none, and tests like the same statements every time
	var unknown []named
	var read []any // the numbers of those that are known
	byNo := map[int64]*stream{}
	for _, o := range ops {
		for i := range o.signals.in {
			n := named{o.signals.in[i].SessionID, o.signals.in[i].Stream}
			if streams[n] != nil {
				continue
			}
			st := &stream{}
			if k, ok := known[n]; ok {
				*st = stream{session: k.session, no: k.no}
				byNo[k.no], read = st, append(read, k.no)
			} else {
				unknown = append(unknown, n)
			}
			st.name = n
			streams[n], order = st, append(order, st)
		}
	}
	err = chunked(len(read), func(from, n int) error {
		return each(t, func(r row) (bool, error) {
			var no, top, missing int64
			err := r.Scan(&no, &top, &missing)
			byNo[no].top, byNo[no].missing = top, missing
			return true, err
		}, readCounts.of(n), read[from:from+n]...)
	})
	if err != nil {
		return nil, nil, err
	}
	return streams, order, learn(t, streams, unknown)
}

// learn reads the streams that the writer does not know.
func learn(t tx, streams map[named]*stream, names []named) error {
	return chunked(len(names), func(from, n int) error {
		args := make([]any, 0, 3*n)
		for i, v := range names[from : from+n] {
			args = append(args, from+i, v.session, v.stream)
		}
		return each(t, func(r row) (bool, error) {
			var i int
			var h holder
			var st stream
			err := r.Scan(&i, &h.no, &h.severity, &h.from, &st.no, &st.top, &st.missing)
			st.name, st.session = names[i], t.w.known.holder(h)
			*streams[names[i]] = st
			if st.no != 0 {
				t.w.known.add(&st)
			}
			return true, err
		}, findStreams.of(n), args...)
	})
}

// sift numbers the signals that are new, and sets the others aside in their streams.
func sift(t tx, items []item) (fresh []item, err error) {
	last, err := one(t, number, `SELECT max(last, (SELECT coalesce(max(no), 0) FROM signals)) FROM removals WHERE one = 1`)
	if err != nil {
		return nil, err
	}
	fresh = items[:0]
	for _, it := range items {
		st, seq := it.stream, it.signal.Seq
		if st.no == 0 {
			st.no, err = one(t, number, `INSERT INTO streams (session, name, block) VALUES (?, ?, ?) RETURNING no`,
				st.session.no, st.name.stream, (last+1)>>blockBits)
			if err != nil {
				return nil, err
			}
			t.w.known.add(st)
		}
		isNew := seq > st.top
		switch {
		case isNew:
			if seq > st.top+1 {
				if err := addHole(t, st.no, st.top+1, seq-1); err != nil {
					return nil, err
				}
				st.missing += seq - 1 - st.top
			}
			st.top = seq
		case st.missing > 0:
			if isNew, err = fill(t, st.no, seq); err != nil {
				return nil, err
			}
			if isNew {
				st.missing--
			}
		}
		if !isNew {
			st.repeated = append(st.repeated, it)
			continue
		}
		last++
		it.no, *it.out = last, storage.Stored
		st.touched, st.block = true, last>>blockBits
		st.session.add(it.signal)
		fresh = append(fresh, it)
	}
	return fresh, nil
}

// fill takes a number out of the hole that it lies in; false if it lies in none.
func fill(t tx, stream, seq int64) (bool, error) {
	holes, err := all(t, func(r row, _ ...any) (h [2]int64, err error) { return h, r.Scan(&h[0], &h[1]) },
		`SELECT first, last FROM holes WHERE stream = ? AND first <= ? ORDER BY first DESC LIMIT 1`, stream, seq)
	if err != nil || len(holes) == 0 || holes[0][1] < seq {
		return false, err
	}
	first, last := holes[0][0], holes[0][1]
	if first < seq {
		_, err = t.exec(`UPDATE holes SET last = ? WHERE stream = ? AND first = ?`, seq-1, stream, first)
	} else {
		_, err = t.exec(`DELETE FROM holes WHERE stream = ? AND first = ?`, stream, first)
	}
	if err == nil && seq < last {
		err = addHole(t, stream, seq+1, last)
	}
	return true, err
}

func addHole(t tx, stream, first, last int64) error {
	_, err := t.exec(`INSERT INTO holes (stream, first, last) VALUES (?, ?, ?)`, stream, first, last)
	return err
}

func insertSignals(t tx, items []item) error {
	return chunked(len(items), func(from, n int) error {
		args := make([]any, 0, n*11)
		for _, it := range items[from : from+n] {
			g := it.signal
			var data []byte
			if len(g.Data) > 0 {
				data = g.Data
			}
			args = append(args, it.no, it.stream.session.no, it.stream.no, g.Seq, string(g.Kind), g.Severity, g.Incident,
				ms(g.At), dms(g.Duration), ms(g.Received), data)
		}
		_, err := t.exec(addSignals.of(n), args...)
		return err
	})
}

// saveStreams writes what changed of the streams, and answers for the repeated numbers.
func saveStreams(t tx, streams []*stream) error {
	var args []any
	for _, st := range streams {
		if st.touched {
			args = append(args, st.no, st.top, st.missing, st.block)
		}
	}
	err := chunked(len(args)/4, func(from, n int) error {
		_, err := t.exec(saveCounts.of(n), args[from*4:(from+n)*4]...)
		return err
	})
	if err != nil {
		return err
	}
	for _, st := range streams {
		if len(st.repeated) > 0 {
			if err := settle(t, st); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle compares the signals whose numbers were there already with what is stored,
// newest first: what is sent again has mostly just been stored. One that expired and was
// removed cannot be compared, and counts as the same.
func settle(t tx, st *stream) error {
	waiting := map[int64][]item{}
	for _, it := range st.repeated {
		*it.out = storage.Repeated
		waiting[it.signal.Seq] = append(waiting[it.signal.Seq], it)
	}
	return each(t, func(r row) (more bool, err error) {
		var old vigil.Signal
		var data []byte
		if err := r.Scan(&old.Seq, &old.Kind, timeInto{&old.At}, durationInto{&old.Duration}, &data); err != nil {
			return false, err
		}
		if len(waiting[old.Seq]) == 0 {
			return true, nil
		}
		old.Data = data
		digest := old.Digest()
		for _, it := range waiting[old.Seq] {
			if it.signal.Digest() != digest {
				*it.out = storage.Differs
			}
		}
		delete(waiting, old.Seq)
		return len(waiting) > 0, nil
	}, `WITH RECURSIVE blocks (block, first) AS (SELECT +c.block, r.block FROM streams r CROSS JOIN counts c WHERE r.no = ?1 AND c.stream = r.no
		UNION ALL SELECT block - 1, first FROM blocks WHERE block > first ORDER BY 1 DESC)
		SELECT g.seq, g.kind, g.at, g.duration, g.data FROM blocks b CROSS JOIN signals g INDEXED BY signals_block
		WHERE g.no >> 12 = b.block AND g.session = ?2 AND g.stream = ?1`, st.no, st.session.no)
}

// add notes what a new signal changes in its session's row: seldom anything.
func (h *holder) add(g *vigil.Signal) {
	at := ms(g.Received)
	if h.from == 0 || at < h.from {
		h.from, h.changed = at, true
	}
	if !(g.Severity <= h.severity) { // also what is no number, which the table refuses
		h.severity, h.changed = g.Severity, true
	}
	if g.Incident {
		h.changed = true
		h.incidents++
		if at >= h.lastAt {
			h.lastKind, h.lastAt = g.Kind, at
		}
	}
}

// raiseTallies writes what changed of the sessions.
func raiseTallies(t tx, streams []*stream) error {
	var args []any
	for _, st := range streams {
		if h := st.session; h != nil && h.changed {
			h.changed = false // it may have several streams
			args = append(args, h.no, h.incidents, h.severity, string(h.lastKind), h.lastAt, h.from)
			h.incidents, h.lastKind, h.lastAt = 0, "", 0
		}
	}
	return chunked(len(args)/6, func(from, n int) error {
		_, err := t.exec(addTallies.of(n), args[from*6:(from+n)*6]...)
		return err
	})
}

// batch is a statement over several rows: before, one row's text for each, after. It
// exists in some sizes only, so that each is prepared once.
type batch struct {
	texts map[int]string
}

// Sizes of batches: all up to fewRows, then these, largest first.
const fewRows = 32

var manyRows = []int{128, 64}

func newBatch(before, each, after string) batch {
	b := batch{texts: map[int]string{}}
	text := func(n int) { b.texts[n] = before + strings.Repeat(", "+each, n)[2:] + after }
	for n := range fewRows {
		text(n + 1)
	}
	for _, n := range manyRows {
		text(n)
	}
	return b
}

func (b batch) of(n int) string { return b.texts[n] }

// chunked splits n rows into parts of the sizes that there are.
func chunked(n int, do func(from, n int) error) error {
	from := 0
	part := func(size int) error {
		from += size
		return do(from-size, size)
	}
	for _, size := range manyRows {
		for n-from >= size {
			if err := part(size); err != nil {
				return err
			}
		}
	}
	for n > from {
		if err := part(min(n-from, fewRows)); err != nil {
			return err
		}
	}
	return nil
}

var (
	findStreams = newBatch(`WITH v (i, id, name) AS (VALUES `, `(?, ?, ?)`, `) SELECT v.i, s.no, s.severity, s.signals_from,
		coalesce(r.no, 0), coalesce(c.top, 0), coalesce(c.missing, 0) FROM v CROSS JOIN sessions s ON s.id = v.id
		LEFT JOIN streams r ON r.session = s.no AND r.name = v.name LEFT JOIN counts c ON c.stream = r.no`)
	readCounts = newBatch(`SELECT stream, top, missing FROM counts WHERE stream IN (`, `?`, `)`)
	addSignals = newBatch(`INSERT INTO signals (no, session, stream, seq, kind, severity, incident, at, duration, received, data) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, ``)
	saveCounts = newBatch(`INSERT INTO counts (stream, top, missing, block) VALUES `, `(?, ?, ?, ?)`,
		` ON CONFLICT (stream) DO UPDATE SET top = excluded.top, missing = excluded.missing, block = excluded.block`)
	addTallies = newBatch(`WITH v (no, incidents, severity, kind, at, came) AS (VALUES `, `(?, ?, ?, ?, ?, ?)`,
		`) UPDATE sessions SET incidents = sessions.incidents + v.incidents, open_incidents = open_incidents + v.incidents,
		severity = max(sessions.severity, v.severity), last_kind = CASE WHEN v.incidents > 0 AND v.at >= last_at THEN v.kind ELSE last_kind END,
		last_at = max(last_at, v.at), signals_from = CASE WHEN signals_from = 0 THEN v.came ELSE min(signals_from, v.came) END
		FROM v WHERE sessions.no = v.no`)
)
