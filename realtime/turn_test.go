package realtime

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vigil"
)

func TestSlowTurnsAreSharedByHalfOrMoreAndAtLeastThree(t *testing.T) {
	const grace = 8 * time.Second
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	type turned struct{ from, to int } // to 0: goes on
	tests := []struct {
		name  string
		turns []turned
		now   int
		want  bool
		fault [2]int
	}{
		{"one", []turned{{0, 20}}, 30, false, [2]int{}},
		{"two", []turned{{0, 20}, {1, 21}}, 30, false, [2]int{}},
		{"three", []turned{{0, 20}, {1, 21}, {2, 25}}, 30, true, [2]int{0, 25}},
		{"three who are still away", []turned{{0, 0}, {1, 0}, {2, 0}}, 12, true, [2]int{0, 12}},
		{"three, of whom one has only just left", []turned{{0, 0}, {1, 0}, {9, 0}}, 12, false, [2]int{}},
		{"three among many who were quick", []turned{{0, 20}, {1, 21}, {2, 25}, {3, 4}, {4, 5}, {5, 6}, {6, 7}}, 30, false, [2]int{}},
		{"three among three who were quick", []turned{{0, 20}, {1, 21}, {2, 25}, {3, 4}, {4, 5}, {5, 6}}, 30, true, [2]int{0, 25}},
		{"three at other times", []turned{{0, 20}, {100, 120}, {150, 170}}, 170, false, [2]int{}},
		{"three who left for good", []turned{{0, 0}, {1, 0}, {2, 0}}, 200, false, [2]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var board turns
			for i, u := range tt.turns {
				id := fmt.Sprint("s", i)
				board.begin("p", id, at(u.from))
				if u.to > 0 {
					board.end("p", id, at(u.to))
				}
				board.begin("q", id, at(u.from)) // another platform's explain nothing
			}
			shared, others := board.shared("p", at(0), at(20), at(tt.now), grace)
			if shared != tt.want || shared != slices.Contains(others, "s0") {
				t.Fatalf("got %v with %v, want %v", shared, others, tt.want)
			}
			faults := board.faults("p")
			if !tt.want {
				if len(faults) != 0 {
					t.Errorf("got faults %v, want none", faults)
				}
				return
			}
			if want := (vigil.Fault{From: at(tt.fault[0]), To: at(tt.fault[1]), Cause: vigil.CauseLMS}); len(faults) != 1 || faults[0] != want {
				t.Errorf("got faults %v, want %v", faults, want)
			}
		})
	}
}

func TestOneSlowStretchIsRememberedOnce(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var board turns
	for i := range 5 {
		board.begin("p", fmt.Sprint("s", i), t0.Add(time.Duration(i)*time.Second))
	}
	for i := range 5 {
		now := t0.Add(time.Duration(20+i) * time.Second)
		board.end("p", fmt.Sprint("s", i), now)
		if shared, _ := board.shared("p", t0, now, now, 8*time.Second); !shared {
			t.Fatalf("at %v: got not shared", now)
		}
	}
	want := vigil.Fault{From: t0, To: t0.Add(24 * time.Second), Cause: vigil.CauseLMS}
	if got := board.faults("p"); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := board.faults("q"); len(got) != 0 {
		t.Errorf("another platform: got %v, want none", got)
	}
}

func TestAPlatformsClockIsKnownByTheQuickestWay(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var board turns
	const behind = 40 * time.Second
	for i, took := range []time.Duration{9 * time.Second, 3 * time.Second, 300 * time.Millisecond, 5 * time.Second, time.Second, 12 * time.Second, time.Second, time.Second, 2 * time.Second} {
		now := t0.Add(time.Duration(i) * time.Second)
		if _, sure := board.came("p", now.Add(-took-behind), now); sure {
			t.Fatalf("after %d: got sure, want not yet", i+1)
		}
	}
	now := t0.Add(time.Minute)
	written := now.Add(-10 * time.Second)
	if got, sure := board.came("p", written.Add(-behind), now); !sure || got.Sub(written) != 300*time.Millisecond {
		t.Errorf("a page that took 10 s: got %v (%v) after it was written, want 300 ms: the quickest that was seen", got.Sub(written), sure)
	}
	// The clocks drift apart: what is long ago does not count for ever.
	for range 3 {
		now = now.Add(aheadStretch + time.Second)
		board.came("p", now.Add(-time.Second-behind-time.Minute), now)
	}
	if got, _ := board.came("p", now.Add(-behind-time.Minute-time.Second), now); !got.Equal(now) {
		t.Errorf("after a jump of the platform's clock: got %v before now, want now", now.Sub(got))
	}
}

func TestOutages(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	var o outages
	o.worked(at(0))
	o.failed(at(10))
	if o.on(at(10.5)) || !o.on(at(11)) {
		t.Errorf("half a second and a second after a fault: got %v, %v, want an outage only from a second on", o.on(at(10.5)), o.on(at(11)))
	}
	o.failed(at(15))
	if got := o.faults(at(20), 30*time.Second); len(got) != 1 || !got[0].From.Equal(at(10)) || !got[0].To.After(at(20)) {
		t.Errorf("while it goes on: got %v, want from its first fault on, beyond now", got)
	}
	o.worked(at(30))
	o.failed(at(40))
	o.worked(at(40.2)) // keeps nobody away
	o.add(at(50), at(150))
	want := []vigil.Fault{
		{From: at(10), To: at(50), Cause: vigil.CauseServer},  // 20 s, and as long to come back
		{From: at(50), To: at(180), Cause: vigil.CauseServer}, // bounded by the grace
	}
	if got := o.faults(at(200), 30*time.Second); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if o.on(at(200)) {
		t.Error("an outage goes on, want none")
	}
	for i := range 3 * maxOutages {
		o.add(at(float64(300+10*i)), at(float64(305+10*i)))
	}
	if got := len(o.faults(at(9999), 0)); got != maxOutages {
		t.Errorf("remembered: got %d, want at most %d", got, maxOutages)
	}
}
