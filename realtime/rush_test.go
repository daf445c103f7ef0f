package realtime

import (
	"runtime/debug"
	"testing"
)

func TestTheCollectorIsTightOnlyInARush(t *testing.T) {
	standard := debug.SetGCPercent(200)
	defer debug.SetGCPercent(standard)
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	for _, usual := range []int{200, 25, -1} {
		debug.SetGCPercent(usual)
		h := &Hub{}
		for i, step := range []struct{ opened, open, want int }{
			{20, 20, usual},
			{400, 400, min(usual, rushPercent)},
			{300, 450, min(usual, rushPercent)},
			{900, 460, usual}, // they turn pages
			{0, 460, usual},
			{0, 10, usual},
		} {
			h.rush.opened.Add(int64(step.opened))
			h.conns = map[*conn]struct{}{}
			for range step.open {
				h.conns[&conn{}] = struct{}{}
			}
			h.rush.busy.Store(true) // nothing is given back here
			h.watchMemory()
			if got := now(); got != step.want {
				t.Errorf("usually %d, look %d: got %d, want %d", usual, i, got, step.want)
			}
		}
	}
}

func TestMemoryIsGivenBackThriceWhenARushIsOver(t *testing.T) {
	var r rush
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
		{0, false}, // a rush, and after
		{600, false},
		{600, false},
		{3, true},
		{700, false},
		{0, true},
		{0, true},
		{0, true},
		{0, false}, // another before the first was done with
	} {
		r.opened.Add(step.opened)
		if _, got := r.look(0); got != step.want {
			t.Errorf("look %d: got %v, want %v", i, got, step.want)
		}
	}
}
