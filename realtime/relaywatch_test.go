package realtime

import (
	"testing"
	"time"
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
