package socket

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vigil"

	"vigil/realtime/internal/netpoll"
	"vigil/realtime/internal/tasks"
)

// testEnv is what a node without settings gives its sockets.
func testEnv() Env {
	return Env{
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Tasks: tasks.NewGroup(), Liveness: vigil.DefaultLiveness(), Rates: DefaultRates(), Counters: &Counters{},
		Limits:    Limits{Sockets: 100, SocketsPerSession: 3, Queue: 512, QueueBytes: 1 << 20, Jobs: 64},
		WriteWait: 10 * time.Second,
	}
}

// fakeLine takes everything.
type fakeLine struct {
	mu   sync.Mutex
	out  []byte
	shut bool
}

func (l *fakeLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(l.out, p...)
	return len(p), nil
}

func (l *fakeLine) Shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = true
}

// told is what was written since the last time, without the heads of frames.
func (l *fakeLine) told() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := string(l.out)
	l.out = nil
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, out)
}

func (*fakeLine) Close() {}

func (*fakeLine) Start(netpoll.Handler) error { return nil }

func TestThePauseBetweenDeltasFollowsFromHowManyThereAre(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		deltas, sockets, processors int
		want                        time.Duration
	}{
		{0, 0, 1, 0},
		{500, 100, 1, 0}, // 2000 a second
		{501, 10, 1, 5 * time.Millisecond},
		{1001, 10, 2, 2500 * time.Microsecond},
		{1000, 10, 2, 0},
		{1 << 20, 75, 1, 37500 * time.Microsecond},
		{1 << 20, 85, 1, deltaPause},
		{1 << 20, 100000, 2, deltaPause},
	} {
		if got := pauseFor(row.deltas, row.sockets, row.processors); got != row.want {
			t.Errorf("%+v: got %v", row, got)
		}
	}
}

// TestWhoIsWrittenToIsForgottenThoughTheFlusherIsNeverDone: the queue is as long as what
// waits in it.
func TestWhoIsWrittenToIsForgottenThoughTheFlusherIsNeverDone(t *testing.T) {
	t.Parallel()
	f := &flusher{}
	f.wake.L = &f.mu
	f.push(&Conn{})
	for range 10000 {
		f.push(&Conn{})
		f.ready[f.first] = nil // as run takes it
		f.first++
	}
	if len(f.ready) > 8 {
		t.Fatalf("kept: got %d, want about one", len(f.ready))
	}
}

// TestNothingFollowsACloseFrame: what is queued after the peer's goodbye is not written, and
// neither is a ping.
func TestNothingFollowsACloseFrame(t *testing.T) {
	t.Parallel()
	s := &Server{flusher: &flusher{}, env: testEnv()}
	s.flusher.wake.L = &s.flusher.mu
	l := &fakeLine{}
	c := &Conn{s: s, net: l}
	c.handler().Close(1000)
	c.Send([]byte(`{"t":"late"}`))
	c.ping(nil)
	c.flush(make([]byte, 0, 1024))
	if want := []byte("\x88\x02\x03\xe8"); !bytes.Equal(l.out, want) || !l.shut {
		t.Fatalf("written: got %q, shut %t, want %q and then the end", l.out, l.shut, want)
	}
	c.force.Stop()
}

// idlePeer wants nothing.
type idlePeer struct{ Peer }

func (idlePeer) Idle() {}

// TestABusyNodeGathersDeltasAndNothingElse: over the rate a dashboard gets several deltas at
// once and late; an acknowledgement, a command, a pong are written as they come.
func TestABusyNodeGathersDeltasAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{env: testEnv(), flusher: newFlusher()}
		l := &fakeLine{}
		c := &Conn{s: s, net: l, peer: idlePeer{}}
		expect := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := l.told(); got != want {
				t.Errorf("%s: got %q, want %q", when, got, want)
			}
		}
		signal := func(frame string) { c.PutDelta("", LevelSignal, []byte(frame)) }

		signal("1")
		expect("a quiet node, at once", "1")
		signal("2")
		expect("a quiet node, again at once", "2")

		s.flusher.paceNow.Store(int64(deltaPause))
		signal("3")
		signal("4")
		expect("a busy node, within the pause", "")
		time.Sleep(deltaPause)
		expect("a busy node, after the pause", "[3,4]")

		signal("5")
		expect("within the next pause", "")
		c.Send([]byte("6"))
		expect("what is no delta, with what waited", "[5,6]")
		signal("7")
		c.handler().Ping([]byte("pong"))
		expect("a pong, and what waited", "pong7")
		time.Sleep(deltaPause)
		expect("nothing is left", "")
		time.Sleep(deltaPause)
		signal("8")
		expect("a socket that was told nothing for long, at once", "8")
		s.flusher.end()
	})
}

// TestTheFlusherTellsByTheRateWhetherTheNodeIsBusy: many deltas in one window pace the next.
func TestTheFlusherTellsByTheRateWhetherTheNodeIsBusy(t *testing.T) {
	t.Parallel()
	f := &flusher{}
	a, b := &Conn{}, &Conn{}
	at := time.UnixMilli(1_800_000_000_000)
	for range 2 * deltaWrites {
		f.count(a, at)
		f.count(b, at)
	}
	if got := f.paceNow.Load(); got != 0 {
		t.Errorf("before the window has ended: got %d, want 0", got)
	}
	f.count(a, at.Add(deltaCounted))
	if got := time.Duration(f.paceNow.Load()); got <= 0 || got > deltaPause {
		t.Errorf("after a busy window: got %v, want a pause", got)
	}
	f.count(a, at.Add(2*deltaCounted))
	if got := f.paceNow.Load(); got != 0 {
		t.Errorf("after a quiet window: got %d, want 0", got)
	}
}
