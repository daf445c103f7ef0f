package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/storage/sqlite"
)

// pupil is a simulated student who remembers what it gave and what was acknowledged.
type pupil struct {
	*client.Student

	mu    sync.Mutex
	given map[int64]vigil.Signal
	acked map[int64]bool
	first map[int64]bool // acknowledged by the process that was killed
	old   bool           // the present connection is with that process
	back  bool           // was welcomed by the next one
}

// frame listens to the server. killed is set between the two processes.
func (p *pupil) frame(t realtime.Type, raw json.RawMessage, killed *atomic.Bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch t {
	case realtime.TypeWelcome:
		p.old = !killed.Load()
		p.back = p.back || !p.old
	case realtime.TypeAck:
		var a realtime.Ack
		if json.Unmarshal(raw, &a) != nil {
			return
		}
		for _, seq := range a.Seqs {
			if !p.acked[seq] && p.old {
				p.first[seq] = true
			}
			p.acked[seq] = true
		}
	}
}

// give sends one signal and remembers it.
func (p *pupil) give(i int) {
	kinds := []vigil.Kind{vigil.KindBlur, vigil.KindCopy, vigil.KindHidden, vigil.KindPaste, vigil.KindResize, vigil.KindFocusGained}
	g := vigil.Signal{Kind: kinds[i%len(kinds)], At: time.Now().UTC().Truncate(time.Millisecond)}
	switch g.Kind {
	case vigil.KindBlur, vigil.KindHidden:
		g.Duration = time.Duration(1+rand.IntN(4000)) * time.Millisecond
	case vigil.KindCopy, vigil.KindPaste:
		g.Data = length(rand.IntN(300))
	case vigil.KindResize:
		g.Data = fmt.Appendf(nil, `{"width":%d,"height":700}`, 800+rand.IntN(600))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g.Seq = p.SignalAt(g.At, g.Kind, g.Duration, g.Data)
	p.given[g.Seq] = g
}

// work gives signals until it is told to stop, whether or not there is a connection.
func (p *pupil) work(stop <-chan struct{}) {
	tick := time.NewTicker(250*time.Millisecond + time.Duration(rand.IntN(100))*time.Millisecond)
	defer tick.Stop()
	for i := rand.IntN(100); ; i += 2 {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.give(i)
			p.give(i + 1)
		}
	}
}

// count adds up over all pupils.
func count(pupils []*pupil, of func(p *pupil) int) int {
	n := 0
	for _, p := range pupils {
		p.mu.Lock()
		n += of(p)
		p.mu.Unlock()
	}
	return n
}

// TestKillingTheServerLosesNoAcknowledgedSignalAndDuplicatesNone is the promise of
// DESIGN.md, section 5: acknowledged means stored, and what was not acknowledged comes
// again by itself, once. The server is a process of its own and dies by SIGKILL while 200
// students send.
func TestKillingTheServerLosesNoAcknowledgedSignalAndDuplicatesNone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const students, before = 200, 4000
	s := newSite(t)
	server := s.process()
	var killed atomic.Bool
	pupils := make([]*pupil, students)
	begin := time.Now()
	var g errgroup.Group
	g.SetLimit(8)
	for i, u := range s.lms.NewStudents(students) {
		p := &pupil{given: map[int64]vigil.Signal{}, acked: map[int64]bool{}, first: map[int64]bool{}}
		pupils[i] = p
		g.Go(func() error {
			hc := crowdClient()
			t.Cleanup(hc.CloseIdleConnections)
			seat, err := takeSeat(t.Context(), s.tool, s.lms, u.ID, hc)
			if err != nil {
				return err
			}
			p.Student, err = seat.connect(t.Context(), client.Config{
				Page: 1, BackoffFirst: 100 * time.Millisecond, BackoffMost: 2 * time.Second,
				OnFrame: func(t realtime.Type, raw json.RawMessage) { p.frame(t, raw, &killed) },
			})
			if err == nil {
				t.Cleanup(p.Close)
			}
			return err
		})
	}
	s.ok(g.Wait())
	seated := time.Since(begin)
	proctor := s.proctor()

	stop := make(chan struct{})
	var working sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); working.Wait() })
	t.Cleanup(end)
	for _, p := range pupils {
		working.Go(func() { p.work(stop) })
	}
	given := func(p *pupil) int { return len(p.given) }
	acked := func(p *pupil) int { return len(p.acked) }
	until(t, "signals to be acknowledged, and some to be on their way", func() bool {
		n := count(pupils, acked)
		return n >= before && count(pupils, given) > n
	})
	server.kill()
	died := time.Now()
	killed.Store(true)

	corpse := filepath.Join(t.TempDir(), "vigil.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.db + suffix)
		s.ok(err)
		s.ok(os.WriteFile(corpse+suffix, b, 0o600))
	}
	ackedFirst := count(pupils, func(p *pupil) int { return len(p.first) })
	givenFirst := count(pupils, given)
	server = s.process()
	ready := time.Since(died)
	until(t, "all students to be back", func() bool {
		return count(pupils, func(p *pupil) int {
			if p.back {
				return 1
			}
			return 0
		}) == students
	})
	back := time.Since(died)
	end()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range pupils {
		s.ok(p.Settled(ctx))
	}
	settled := time.Since(died)
	until(t, "the dashboard to show all students online", func() bool {
		n := 0
		for _, p := range pupils {
			if proctor.Connection(p.Welcome().Session) == vigil.ConnOnline {
				n++
			}
		}
		return n == students
	})
	proctor.Close()
	for _, p := range pupils {
		p.Close()
	}
	if code := server.end(); code != 0 {
		t.Errorf("after SIGTERM: got exit code %d, want 0:\n%s", code, server.log)
	}

	atDeath, store := s.open(corpse), s.open(s.db)
	total := 0
	for _, p := range pupils {
		session := p.Welcome().Session
		heldAtDeath := p.stored(t, atDeath)
		for seq := range p.first {
			if heldAtDeath[seq] == 0 {
				t.Errorf("session %s: signal %d was acknowledged and is not stored at the kill", session, seq)
			}
		}
		held := p.stored(t, store)
		for seq := range p.given {
			if held[seq] != 1 {
				t.Errorf("session %s: signal %d (acknowledged before the kill: %v): got %d times, want once", session, seq, p.first[seq], held[seq])
			}
			delete(held, seq)
		}
		if len(held) > 0 {
			t.Errorf("session %s: got signals %v that were never given", session, maps.Collect(maps.All(held)))
		}
		if c := p.Counts(); c.Dropped != 0 || c.Given != int64(len(p.given)) {
			t.Errorf("session %s: got %+v, want %d given and none dropped", session, c, len(p.given))
		}
		total += len(p.given)
		checkOutage(t, store, session, died)
	}
	t.Logf("%d students seated in %v; %d signals given before the kill, %d of them acknowledged; %d given and stored in the end",
		students, seated.Round(time.Millisecond), givenFirst, ackedFirst, total)
	t.Logf("after the kill: ready in %v, everybody back in %v, all outboxes empty in %v",
		ready.Round(time.Millisecond), back.Round(time.Millisecond), settled.Round(time.Millisecond))
	if ackedFirst < before {
		t.Errorf("acknowledged before the kill: got %d, want at least %d", ackedFirst, before)
	}
}

// stored counts the pupil's signals in a store by number, and compares their content.
func (p *pupil) stored(t *testing.T, store *sqlite.Store) map[int64]int {
	t.Helper()
	session := p.Welcome().Session
	held := map[int64]int{}
	all := signalsOf(t, store, session)
	for _, g := range all {
		if g.Stream != p.Stream() {
			switch g.Kind {
			case vigil.KindConsent, vigil.KindConnected, vigil.KindReconnected, vigil.KindLost:
			default:
				t.Errorf("session %s: got a signal %s of the server's own, want none", session, g.Kind)
			}
			continue
		}
		held[g.Seq]++
		want := p.given[g.Seq]
		if g.Kind != want.Kind || !g.At.Equal(want.At) || g.Duration != want.Duration || string(g.Data) != string(want.Data) {
			t.Errorf("session %s: signal %d: got %+v, want %+v", session, g.Seq, g, want)
		}
	}
	v, err := store.Session(context.Background(), session)
	if err != nil {
		t.Fatal(err)
	}
	if v.Tally.Signals != len(all) {
		t.Errorf("session %s: got a tally of %d signals, want %d", session, v.Tally.Signals, len(all))
	}
	return held
}

// checkOutage checks that a session has one gap, ours, around the kill, that has ended.
func checkOutage(t *testing.T, store *sqlite.Store, session string, died time.Time) {
	t.Helper()
	gaps, err := store.GapsOfSession(context.Background(), session)
	if err != nil {
		t.Fatal(err)
	}
	if len(gaps) != 1 || gaps[0].Cause != vigil.CauseServer || gaps[0].End.IsZero() {
		t.Errorf("session %s: got gaps %+v, want one that was caused by the server and has ended", session, gaps)
		return
	}
	if g := gaps[0]; g.Start.After(died) || g.Start.Before(died.Add(-10*time.Second)) || !g.End.After(died) {
		t.Errorf("session %s: got a gap from %v to %v, want one around %v", session, g.Start, g.End, died)
	}
}
