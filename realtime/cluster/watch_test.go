package cluster

import (
	"testing"
	"time"

	"vigil"
)

// gone is one observation of rows at a moment: the ids of who is gone.
func gone(s *nodeWatch, nodes []vigil.Node, now time.Time) []string {
	var out []string
	for _, d := range s.observe(nodes, "self", now, 2*time.Second, 6*time.Second) {
		out = append(out, d.node.ID)
	}
	return out
}

func TestANodeIsGoneWhenItsRowWasSeenToStandStill(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	row := func(heard int) []vigil.Node { return []vigil.Node{{ID: "other", Heard: at(heard)}} }
	var s nodeWatch
	for i := range 60 { // its clock is an hour behind, and it moves
		if list := gone(&s, row(i/2*2-3600), at(i)); len(list) > 0 {
			t.Fatalf("second %d: got it gone by its clock, want it alive", i)
		}
	}
	s.reset() // the store was away for a minute
	if list := gone(&s, row(58-3600), at(120)); len(list) > 0 {
		t.Fatal("got it gone after a time in which nobody could look")
	}
	if list := gone(&s, row(58-3600), at(220)); len(list) > 0 {
		t.Fatal("got it gone after this machine stood still")
	}
	i := 221
	for ; len(gone(&s, row(58-3600), at(i))) == 0; i++ {
		if i > 240 {
			t.Fatal("it never was gone")
		}
	}
	if i < 223 {
		t.Errorf("got it gone after %d s of looking, want its lease", i-220)
	}
}
