package realtime

import (
	"testing"
	"time"

	"vigil"
)

func TestTheStoreRestsBetweenTwoReadingsOfTheDashboards(t *testing.T) {
	for _, row := range []struct{ took, next time.Duration }{ // from the beginning of one to that of the next
		{time.Second, 5 * time.Second},
		{2 * time.Second, 6 * time.Second},
		{10 * time.Second, 30 * time.Second},
	} {
		var s showing
		reading := true
		look := func(now time.Time) bool { return s.due(now, func() bool { return reading }, 5*time.Second) }
		now := time.Now()
		began := now
		if !look(now) {
			t.Fatalf("no reading began when it was time")
		}
		again := false
		for !again && !s.began.IsZero() { // the watch looks once a second
			now = now.Add(time.Second)
			reading = now.Sub(began) < row.took
			again = look(now)
		}
		if again {
			t.Fatalf("a reading of %v was followed by another one at once", row.took)
		}
		for !again {
			now = now.Add(time.Second)
			again = look(now)
		}
		if got := now.Sub(began); got != row.next {
			t.Errorf("after a reading of %v: got the next one %v after its beginning, want %v", row.took, got, row.next)
		}
	}
}

func TestWhatANodeThatIsGoneStoredIsCountedAnew(t *testing.T) {
	h := &Hub{cfg: Config{}.withDefaults()}
	came := &student{h: h, id: "a", moved: moved{from: "gone"}}
	other := &student{h: h, id: "b", moved: moved{from: "alive"}}
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
	h := &Hub{cfg: Config{}.withDefaults()}
	elsewhere := &student{h: h, id: "a", presence: vigil.Presence{Connection: vigil.ConnSuperseded}}
	busy := &student{h: h, id: "b", storing: 1}
	forgotten := &student{h: h, id: "c", storing: 1}
	h.students = map[string]*student{"a": elsewhere, "b": busy}
	for _, st := range []*student{elsewhere, busy, forgotten} {
		st.stalesLocked()
		st.stalesLocked() // once is enough
	}
	h.freshen()
	if !elsewhere.stale || !busy.stale || len(h.stale.students) != 2 {
		t.Errorf("kept: got %d students, stale %t and %t, want the two that are here", len(h.stale.students), elsewhere.stale, busy.stale)
	}
}
