package realtime

import (
	"testing"
	"time"

	"vigil"
)

func TestWhatANodeThatIsGoneStoredIsCountedAnew(t *testing.T) {
	h := &Hub{node: node{cfg: Config{}.withDefaults()}}
	r := &room{n: &h.node, exam: "e"}
	came := &student{n: &h.node, room: r, id: "a", moved: moved{from: "gone"}}
	other := &student{n: &h.node, room: r, id: "b", moved: moved{from: "alive"}}
	h.students = map[string]*student{"a": came, "b": other}
	h.creditLateArrivals("gone", time.Now())
	if !came.stale || came.moved.from != "" {
		t.Error("got the counts of who came from the node that is gone as they were")
	}
	if other.stale || other.moved.from != "alive" {
		t.Error("got the counts of who came from elsewhere touched, too")
	}
}

func TestCountsThatCannotBeReadNowAreReadLater(t *testing.T) {
	h := &Hub{node: node{cfg: Config{}.withDefaults()}}
	r := &room{n: &h.node, exam: "e"}
	h.rooms = map[string]*room{"e": r}
	elsewhere := &student{n: &h.node, room: r, id: "a", presence: vigil.Presence{Connection: vigil.ConnSuperseded}}
	busy := &student{n: &h.node, room: r, id: "b", storing: 1}
	forgotten := &student{n: &h.node, room: r, id: "c", storing: 1}
	h.students = map[string]*student{"a": elsewhere, "b": busy}
	for _, st := range []*student{elsewhere, busy, forgotten} {
		st.recountLaterLocked()
		st.recountLaterLocked() // once is enough
	}
	h.recountStale()
	if !elsewhere.stale || !busy.stale || len(r.stale) != 2 {
		t.Errorf("kept: got %d students, stale %t and %t, want the two that are here", len(r.stale), elsewhere.stale, busy.stale)
	}
}
