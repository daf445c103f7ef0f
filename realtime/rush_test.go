package realtime

import "testing"

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
		if got := r.over(); got != step.want {
			t.Errorf("look %d: got %v, want %v", i, got, step.want)
		}
	}
}
