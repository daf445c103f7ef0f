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
		for i, step := range []struct {
			opened int64
			want   int
		}{{400, usual}, {100, min(usual, rushPercent)}, {700, min(usual, rushPercent)}, {3, usual}, {0, usual}} {
			h.rush.opened.Add(step.opened)
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
		if _, got := r.look(); got != step.want {
			t.Errorf("look %d: got %v, want %v", i, got, step.want)
		}
	}
}
