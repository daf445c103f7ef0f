package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// pupil is a simulated student who remembers what it gave and what was acknowledged.
type pupil struct {
	*client.Student

	mu    sync.Mutex
	given map[int64]vigil.Signal
	acked map[int64]bool

	counted int // by how much the tally differs; on DynamoDB a kill may leave it too low
}

// executioner kills a server in the moment in which a number of acknowledgements has
// arrived: what was acknowledged too early would not be stored yet.
type executioner struct {
	arrived, at atomic.Int64
	victim      atomic.Pointer[node]
}

// frame listens to the server.
func (p *pupil) frame(t protocol.Type, raw json.RawMessage, e *executioner) {
	var a protocol.Ack
	if t != protocol.TypeAck || json.Unmarshal(raw, &a) != nil {
		return
	}
	n, at := e.arrived.Add(int64(len(a.Seqs))), e.at.Load()
	if n >= at && e.at.CompareAndSwap(at, math.MaxInt64) {
		_ = e.victim.Load().cmd.Process.Kill() // the test waits for its end
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, seq := range a.Seqs {
		p.acked[seq] = true
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
	tick := time.NewTicker(350*time.Millisecond + time.Duration(rand.IntN(100))*time.Millisecond)
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
// again by itself, once. The server is a process of its own and dies by SIGKILL, twice,
// while 200 students send.
func TestKillingTheServerLosesNoAcknowledgedSignalAndDuplicatesNone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const students, kills, between = 200, 2, 2500
	s := newSite(t)
	var e executioner
	e.at.Store(math.MaxInt64)
	server := s.process()
	pupils := make([]*pupil, students)
	begin := time.Now()
	var g errgroup.Group
	g.SetLimit(8)
	for i, u := range s.lms.NewStudents(students) {
		p := &pupil{given: map[int64]vigil.Signal{}, acked: map[int64]bool{}}
		pupils[i] = p
		g.Go(func() error {
			hc := crowdClient()
			t.Cleanup(hc.CloseIdleConnections)
			seat, err := takeSeat(t.Context(), s.tool, s.lms, u.ID, hc)
			if err != nil {
				return err
			}
			p.Student, err = seat.Dial(t.Context(), client.Config{
				Page: 1, BackoffFirst: 100 * time.Millisecond, BackoffMost: 2 * time.Second,
				OnFrame: func(t protocol.Type, raw json.RawMessage) { p.frame(t, raw, &e) },
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
	var deaths []time.Time
	var corpses []corpse
	for range kills {
		connects, drops := map[*pupil]int{}, map[*pupil]int{}
		for _, p := range pupils {
			connects[p], drops[p] = p.Connects(), p.Closes()[-1]
		}
		e.victim.Store(server)
		e.at.Store(e.arrived.Load() + between)
		testutil.Receive(t, fmt.Sprintf("%d acknowledgements", between), server.done)
		died := time.Now()
		deaths = append(deaths, died)
		testutil.Until(t, "all students to have read the last that was sent to them", func() bool {
			return all(pupils, func(p *pupil) bool { return p.Closes()[-1] > drops[p] })
		})
		given := count(pupils, func(p *pupil) int { return len(p.given) })
		corpses = append(corpses, exhume(s, pupils))
		server = s.process()
		ready := time.Since(died)
		testutil.Until(t, "all students to be back", func() bool {
			return all(pupils, func(p *pupil) bool { return p.Connects() > connects[p] })
		})
		t.Logf("%d signals given until the kill; ready again after %v, everybody back after %v",
			given, ready.Round(time.Millisecond), time.Since(died).Round(time.Millisecond))
	}
	end()
	stopped := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range pupils {
		s.ok(p.Settled(ctx))
	}
	t.Logf("all outboxes empty %v after the last signal", time.Since(stopped).Round(time.Millisecond))
	testutil.Until(t, "the dashboard to show all students online", func() bool {
		return all(pupils, func(p *pupil) bool { return proctor.Connection(p.Welcome().Session) == vigil.ConnOnline })
	})
	proctor.Close()
	for _, p := range pupils {
		p.Close()
	}
	if code := server.end(); code != 0 {
		t.Errorf("after SIGTERM: got exit code %d, want 0:\n%s", code, server.log)
	}

	for i, c := range corpses {
		t.Logf("kill %d: %d signals were acknowledged, all of them must be stored", i+1, c.check(s, pupils))
	}
	store := s.open(s.db)
	total := 0
	for _, p := range pupils {
		session := p.Welcome().Session
		held := p.stored(t, store)
		for seq := range p.given {
			if held[seq] != 1 {
				t.Errorf("session %s: signal %d: got it %d times, want once", session, seq, held[seq])
			}
			delete(held, seq)
		}
		if len(held) > 0 {
			t.Errorf("session %s: got signals %v that were never given", session, held)
		}
		if c := p.Counts(); c.Dropped != 0 || c.Given != int64(len(p.given)) {
			t.Errorf("session %s: got %+v, want %d given and none dropped", session, c, len(p.given))
		}
		total += len(p.given)
		checkOutages(t, store, session, deaths)
	}
	t.Logf("%d students seated in %v; %d signals given, each stored once in the end", students, seated.Round(time.Millisecond), total)
}

// corpse is what a killed server left, and what it had acknowledged.
type corpse struct {
	path  string
	acked []map[int64]bool // by pupil
}

// exhume copies the store of a server that was killed, before the next one mends it.
func exhume(s *site, pupils []*pupil) corpse {
	s.Helper()
	c := corpse{path: filepath.Join(s.TempDir(), "vigil.db")}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.db + suffix)
		s.ok(err)
		s.ok(os.WriteFile(c.path+suffix, b, 0o600))
	}
	for _, p := range pupils {
		p.mu.Lock()
		c.acked = append(c.acked, maps.Clone(p.acked))
		p.mu.Unlock()
	}
	return c
}

// check looks whether everything acknowledged is there, once. It returns how many that are.
func (c corpse) check(s *site, pupils []*pupil) int {
	s.Helper()
	store := s.open(c.path)
	n := 0
	for i, p := range pupils {
		held := p.stored(s.T, store)
		for seq := range c.acked[i] {
			if held[seq] != 1 {
				s.Errorf("session %s: signal %d was acknowledged: got it %d times at the kill, want once", p.Welcome().Session, seq, held[seq])
			}
		}
		n += len(c.acked[i])
	}
	return n
}

func all(pupils []*pupil, ok func(p *pupil) bool) bool {
	for _, p := range pupils {
		if !ok(p) {
			return false
		}
	}
	return true
}

// stored counts the pupil's signals in a store by number, and compares their content.
func (p *pupil) stored(t *testing.T, store storage.Store) map[int64]int {
	t.Helper()
	session := p.Welcome().Session
	held := map[int64]int{}
	list := signalsOf(t, store, session)
	for _, g := range list {
		if g.Stream != p.Stream() {
			switch g.Kind {
			case vigil.KindConsent, vigil.KindConnected, vigil.KindReconnected, vigil.KindLost:
			default:
				t.Errorf("session %s: got a signal %s of the server's own, want none", session, g.Kind)
			}
			continue
		}
		held[g.Seq]++
		p.mu.Lock()
		want := p.given[g.Seq]
		p.mu.Unlock()
		if g.Kind != want.Kind || !g.At.Equal(want.At) || g.Duration != want.Duration || string(g.Data) != string(want.Data) {
			t.Errorf("session %s: signal %d: got %+v, want %+v", session, g.Seq, g, want)
		}
	}
	v, err := store.Session(context.Background(), session)
	if err != nil {
		t.Fatal(err)
	}
	p.counted = v.Tally.Signals - len(list)
	if _, exact := store.(*sqlite.Store); v.Tally.Signals > len(list) || exact && p.counted != 0 {
		t.Errorf("session %s: got a tally of %d signals, want %d", session, v.Tally.Signals, len(list))
	}
	return held
}

// checkOutages checks that a session has a gap for each death, ours, that has ended.
func checkOutages(t *testing.T, store *sqlite.Store, session string, deaths []time.Time) {
	t.Helper()
	gaps, err := store.GapsOfSession(context.Background(), session)
	if err != nil {
		t.Fatal(err)
	}
	if len(gaps) != len(deaths) {
		t.Errorf("session %s: got gaps %+v, want %d", session, gaps, len(deaths))
		return
	}
	for i, g := range gaps {
		if died := deaths[i]; g.Cause != vigil.CauseServer || g.Start.After(died) || g.Start.Before(died.Add(-30*time.Second)) || !g.End.After(died) {
			t.Errorf("session %s: got a gap from %v to %v, cause %s, want one around %v, cause server", session, g.Start, g.End, g.Cause, died)
		}
	}
}
