package realtime

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"vigil/realtime/internal/line"
)

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

func (*fakeLine) Close() {}

func (*fakeLine) Start(line.Handler) error { return nil }

func TestThePauseBetweenDeltasFollowsFromHowManyThereAre(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		deltas, sockets, processors int
		want                        time.Duration
	}{
		{0, 0, 1, 0},
		{250, 100, 1, 0}, // 1000 a second
		{251, 10, 1, 10 * time.Millisecond},
		{501, 10, 2, 5 * time.Millisecond},
		{500, 10, 2, 0},
		{1 << 20, 75, 1, deltaPause},
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
	f.push(&conn{})
	for range 10000 {
		f.push(&conn{})
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
	h := &Hub{flusher: &flusher{}, cfg: Config{}.withDefaults()}
	h.flusher.wake.L = &h.flusher.mu
	l := &fakeLine{}
	c := &conn{h: h, line: l}
	c.Close(1000)
	c.send([]byte(`{"t":"late"}`))
	c.ping(nil)
	c.flush(make([]byte, 0, 1024))
	if want := []byte("\x88\x02\x03\xe8"); !bytes.Equal(l.out, want) || !l.shut {
		t.Fatalf("written: got %q, shut %t, want %q and then the end", l.out, l.shut, want)
	}
	c.force.Stop()
}
