package socket

import (
	"runtime/debug"
	"testing"
)

func TestTheCollectorIsTightOnlyInABurst(t *testing.T) {
	standard := debug.SetGCPercent(200)
	defer debug.SetGCPercent(standard)
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	for _, usual := range []int{200, 25, -1} {
		debug.SetGCPercent(usual)
		s := &Server{env: testEnv()}
		for i, step := range []struct{ opened, open, want int }{
			{20, 20, usual},
			{400, 400, min(usual, burstPercent)},
			{300, 450, min(usual, burstPercent)},
			{900, 460, usual}, // they turn pages
			{0, 460, usual},
			{0, 10, usual},
		} {
			s.burst.opened.Add(int64(step.opened))
			s.conns = map[*Conn]struct{}{}
			for range step.open {
				s.conns[&Conn{}] = struct{}{}
			}
			s.burst.busy.Store(true) // nothing is given back here
			s.TuneMemory()
			if got := now(); got != step.want {
				t.Errorf("usually %d, look %d: got %d, want %d", usual, i, got, step.want)
			}
		}
	}
}

func TestMemoryIsGivenBackThriceWhenABurstIsOver(t *testing.T) {
	var b burst
	for i, step := range []struct {
		opened int64
		want   bool
	}{
		{400, false},
		{0, false}, // few
		{10, false},
		{400, false},
		{19, true},
		{0, true},
		{5, true},
		{0, false}, // a burst, and after
		{600, false},
		{600, false},
		{3, true},
		{700, false},
		{0, true},
		{0, true},
		{0, true},
		{0, false}, // another before the first was done with
	} {
		b.opened.Add(step.opened)
		if _, got := b.observe(0); got != step.want {
			t.Errorf("look %d: got %v, want %v", i, got, step.want)
		}
	}
}
