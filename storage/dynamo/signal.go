package dynamo

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/storage"
)

// tallyTime is how long the tallies of what has been stored may take after the caller
// has gone.
const tallyTime = 30 * time.Second

func signalKey(sessionID, stream string, seq int64) key {
	return key{sessionPartition(sessionID), name("g", stream, seqName(seq))}
}

// place is what signals have in common to which they belong.
type place struct {
	live item
	info examInfo
}

// AppendSignals implements storage.Signals. Each signal is one conditional put; they go
// side by side. Then each session's tally is raised once. If the process dies between
// the two the signals are there and the tally is too low by them; where only the service
// fails, the repeat at the same node makes up for it.
func (s *Store) AppendSignals(ctx context.Context, signals []vigil.Signal) ([]storage.Appended, error) {
	for _, g := range signals {
		if g.Received.IsZero() {
			return nil, vigil.Invalid("received", "A signal needs the time when it came.")
		}
		if g.Seq < 1 {
			return nil, vigil.Invalid("seq", "A signal needs a number from 1 up.")
		}
	}
	if len(signals) == 0 {
		return nil, convert(ctx.Err())
	}
	places, err := s.placesOf(ctx, signals)
	if err != nil {
		return nil, err
	}
	out := make([]storage.Appended, len(signals))
	first := make(map[key]int, len(signals))
	stored := make([]bool, len(signals))
	var g errgroup.Group
	g.SetLimit(s.parallel)
	for i, sig := range signals {
		k := signalKey(sig.SessionID, sig.Stream, sig.Seq)
		if _, again := first[k]; again {
			continue
		}
		first[k] = i
		g.Go(func() (err error) {
			out[i], err = s.appendOne(ctx, k, sig, places[sig.SessionID])
			stored[i] = err == nil && out[i] == storage.Stored
			return err
		})
	}
	failure := g.Wait()
	for i, sig := range signals { // a number that comes twice in one call
		if f := first[signalKey(sig.SessionID, sig.Stream, sig.Seq)]; f != i {
			out[i] = storage.Repeated
			if signals[f].Digest() != sig.Digest() || out[f] == storage.Differs {
				out[i], err = s.compare(ctx, sig, signals[f], out[f], failure)
				if err != nil {
					failure = err
				}
			}
		}
	}
	if err := s.tallies(ctx, signals, stored, places); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	return out, nil
}

// compare tells what a signal is whose number came before in the same call. Where that
// one was not stored because another is there, that other counts.
func (s *Store) compare(ctx context.Context, sig, before vigil.Signal, was storage.Appended, failure error) (storage.Appended, error) {
	if failure != nil || was != storage.Differs {
		if before.Digest() == sig.Digest() {
			return storage.Repeated, nil
		}
		return storage.Differs, nil
	}
	it, err := s.get(ctx, "signal", s.main, signalKey(sig.SessionID, sig.Stream, sig.Seq))
	if err != nil {
		return storage.Differs, err
	}
	return sameSignal(it, sig)
}

func sameSignal(it item, sig vigil.Signal) (storage.Appended, error) {
	old, err := decode[vigil.Signal](it)
	if err != nil {
		return storage.Differs, err
	}
	sig.At = whole(sig.At)
	if old.Digest() == sig.Digest() {
		return storage.Repeated, nil
	}
	return storage.Differs, nil
}

// placesOf reads the live items of the signals' sessions; one that is not there is
// CodeNotFound.
func (s *Store) placesOf(ctx context.Context, signals []vigil.Signal) (map[string]place, error) {
	out := map[string]place{}
	var keys []key
	for _, g := range signals {
		if _, ok := out[g.SessionID]; !ok {
			out[g.SessionID] = place{}
			keys = append(keys, liveKey(g.SessionID))
		}
	}
	found := map[key]item{}
	if len(keys) == 1 {
		it, err := s.get(ctx, "tally", s.main, keys[0])
		if err != nil {
			return nil, err
		}
		found[keys[0]] = it
	} else {
		var err error
		if found, err = s.batchGet(ctx, "tally", keys); err != nil {
			return nil, err
		}
	}
	for id := range out {
		live := found[liveKey(id)]
		if live == nil {
			return nil, notFound("session")
		}
		info, err := s.exam(ctx, live.text("ExamID"))
		if err != nil {
			return nil, err
		}
		out[id] = place{live: live, info: info}
	}
	return out, nil
}

// appendOne stores one signal, or tells that it is there.
func (s *Store) appendOne(ctx context.Context, k key, g vigil.Signal, p place) (storage.Appended, error) {
	g.ExamID = p.live.text("ExamID")
	it := encode(g)
	end := g.Received.Add(p.info.signals() + day)
	var incident extra
	stamp := s.stamp()
	if g.Incident { // it is its own incident, and stays as long as the session
		end = s.now().Add(max(p.info.sessions(), p.info.signals()) + slack)
		in := vigil.IncidentOf(g)
		it["Review"], it["Version"] = str(string(in.Review)), num(in.Version)
		incident = listed(name("xi", g.ExamID), sortable(g.Received)+"#"+stamp+"#"+partName(g.SessionID))
	}
	o, err := s.put(ctx, "signal", s.main, k, it,
		both(ordered("g#"+sortable(g.Received)+"#"+stamp+"#"+k.sk), incident, expiring(end)), newExpr().absent())
	if err != nil {
		s.doubt(k, it.text(attrNote))
		return storage.Differs, err
	}
	doubts := s.takeDoubts(k)
	if o.done {
		return storage.Stored, nil
	}
	answer, err := sameSignal(o.old, g)
	if answer == storage.Repeated && slices.Contains(doubts, o.old.text(attrNote)) {
		answer = storage.Stored // by a call of which nobody knew what became of it
	}
	return answer, err
}

// maxDoubts bounds how many puts of one signal are remembered of which no answer came.
const maxDoubts = 16

// doubt remembers a put of which no answer came in all tries: where it was done after
// all, the repeat finds its note and the signal is counted.
func (s *Store) doubt(k key, note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doubts) >= maxLives { // most were repeated at another node
		clear(s.doubts)
	}
	if len(s.doubts[k]) < maxDoubts {
		s.doubts[k] = append(s.doubts[k], note)
	}
}

func (s *Store) takeDoubts(k key) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.doubts[k]
	delete(s.doubts, k)
	return notes
}

// raise is what new signals add to a session's tally.
type raise struct {
	mark               string // by which it is known to be done
	signals, incidents int64
	severity           float64
	lastKind           vigil.Kind
	lastAt             time.Time
	keys               []key
}

// tallies raises the tallies of the sessions whose signals were stored, also when the
// caller has gone. A session that was erased in the meantime takes its signals along.
func (s *Store) tallies(ctx context.Context, signals []vigil.Signal, stored []bool, places map[string]place) error {
	raises := map[string]*raise{}
	for i, g := range signals {
		if !stored[i] {
			continue
		}
		r := raises[g.SessionID]
		if r == nil {
			r = &raise{mark: rand.Text()[:12]}
			raises[g.SessionID] = r
		}
		r.signals++
		r.severity = max(r.severity, g.Severity)
		r.keys = append(r.keys, signalKey(g.SessionID, g.Stream, g.Seq))
		if g.Incident {
			r.incidents++
			if at := whole(g.Received); !at.Before(r.lastAt) {
				r.lastKind, r.lastAt = g.Kind, at
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tallyTime)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(s.parallel)
	for id, p := range places {
		due := s.takeOwed(id)
		if r := raises[id]; r != nil {
			due = append(due, r)
		}
		if len(due) == 0 {
			continue
		}
		all.Go(func() error {
			t, err := s.takeTurn(ctx, id)
			if err != nil {
				s.owe(id, due)
				return err
			}
			defer s.endTurn(id, t)
			if t.live.number("Round") < p.live.number("Round") {
				t.live = p.live
			}
			for i, r := range due {
				if err := s.raiseTally(ctx, id, r, &t.live); err != nil {
					if vigil.CodeOf(err) != vigil.CodeNotFound {
						s.owe(id, due[i:])
					}
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// turn lets the raises of one session go one after the other in this process, each from
// what the one before it left, so that only other nodes' can make them lose a race. It is
// there while somebody wants it.
type turn struct {
	free chan struct{} // holds one token
	live item          // the session's live item as it was last seen; whose turn it is has it
	want int           // guarded by Store.mu
}

// takeTurn waits for a session's turn, which endTurn ends.
func (s *Store) takeTurn(ctx context.Context, id string) (*turn, error) {
	s.mu.Lock()
	t := s.turns[id]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		s.turns[id] = t
	}
	t.want++
	s.mu.Unlock()
	select {
	case <-t.free:
		return t, nil
	case <-ctx.Done():
		s.unwant(id, t)
		return nil, convert(ctx.Err())
	}
}

func (s *Store) endTurn(id string, t *turn) {
	t.free <- struct{}{}
	s.unwant(id, t)
}

func (s *Store) unwant(id string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.want--; t.want == 0 {
		delete(s.turns, id)
	}
}

// maxOwed bounds how many raises of one session are remembered that failed.
const maxOwed = 64

// owe remembers raises that failed, or of which nobody knows: the signals are stored, so
// a repeat does not count them. The next call for the session makes up for them.
func (s *Store) owe(id string, due []*raise) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(due) > maxOwed || len(s.owed) >= maxLives && s.owed[id] == nil {
		s.log.Error("a tally stays too low: too many could not be raised", "session", id)
		return
	}
	s.owed[id] = append(due, s.owed[id]...)
}

func (s *Store) takeOwed(id string) []*raise {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.owed[id]
	delete(s.owed, id)
	return due
}

// tallyMarks is how many of the last raises a session's live item names, so that one
// whose answer was lost knows its own work though others came after it.
const tallyMarks = 8

func tallyMark(round int64) string { return "T" + strconv.FormatInt(round%tallyMarks, 10) }

// raised tells whether a raise is among the last that were made.
func (r *raise) raised(live item) bool {
	for round := range int64(tallyMarks) {
		if live.text(tallyMark(round)) == r.mark {
			return true
		}
	}
	return false
}

// raiseTally adds to the counts. The highest severity and the last incident depend on
// what is stored, so the write is conditional on the round that was read; a lost race
// brings the new round with it. live is what was last seen of the live item, and then what
// this left.
func (s *Store) raiseTally(ctx context.Context, id string, r *raise, live *item) error {
	for attempt := 0; ; attempt++ {
		if r.raised(*live) {
			return nil
		}
		var t vigil.Tally
		if err := decodeInto(*live, &t); err != nil {
			return err
		}
		round := (*live).number("Round")
		e := newExpr().add("Signals", r.signals).set("Round", num(round+1)).set(tallyMark(round+1), str(r.mark)).
			present().is("Round", num(round))
		if r.severity > t.Severity {
			e.set("Severity", field(r.severity))
		}
		if r.incidents > 0 {
			e.add("Incidents", r.incidents).add("Open", r.incidents)
			if !r.lastAt.Before(t.LastAt) {
				e.set("LastKind", field(r.lastKind)).set("LastAt", field(r.lastAt))
			}
		}
		o, err := s.change(ctx, "tally", s.main, liveKey(id), e)
		switch {
		case err != nil:
			return err
		case o.done:
			*live = o.new
			return nil
		case o.old == nil:
			if err := s.removeAll(ctx, "signal", r.keys); err != nil {
				return err
			}
			return notFound("session")
		}
		*live = o.old
		if attempt > 0 {
			if err := pause(ctx, min(attempt, 3)); err != nil {
				return convert(err)
			}
		}
	}
}

// SignalsOfSession implements storage.Signals.
func (s *Store) SignalsOfSession(ctx context.Context, sessionID string, page storage.Page) (signals []vigil.Signal, next string, err error) {
	info, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	oldest := ms(s.now().Add(-info.signals()))
	l := list{what: "signal", index: indexOrder, pk: sessionPartition(sessionID), prefix: "g#"}
	return paged(ctx, s, l, page, decodeAll(func(g vigil.Signal) bool { return there && ms(g.Received) > oldest }))
}

// infoOf tells whether a session is there and has not expired, and its exam's retention.
func (s *Store) infoOf(ctx context.Context, sessionID string) (examInfo, bool, error) {
	s.mu.Lock()
	l, ok := s.known[sessionID]
	s.mu.Unlock()
	if ok {
		info, err := s.exam(ctx, l.exam)
		if err == nil && ms(l.age) > ms(s.now().Add(-info.sessions())) {
			return info, true, nil
		}
	}
	_, info, err := s.session(ctx, sessionID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return examInfo{}, false, nil
	}
	return info, err == nil, err
}

// StreamState implements storage.Signals.
func (s *Store) StreamState(ctx context.Context, sessionID, stream string) (count, highest int64, err error) {
	l := list{what: "stream", pk: sessionPartition(sessionID), prefix: name("g", stream) + "#", desc: true}
	if count, err = s.counted(ctx, l); err != nil || count == 0 {
		return 0, 0, err
	}
	low, high := l.bounds("")
	out, err := s.query(ctx, l, low, high, nil, 1)
	if err != nil {
		return 0, 0, err
	}
	for _, it := range out.Items {
		highest = item(it).number("Seq")
	}
	return count, highest, nil
}
