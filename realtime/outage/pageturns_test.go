package outage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

var (
	turnsBegan = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	turnsLive  = vigil.Liveness{NavigateGrace: 8 * time.Second, LoadLimit: time.Minute}
)

func second(s int) time.Time { return turnsBegan.Add(time.Duration(s) * time.Second) }

// span is a stretch in seconds; to 0: it goes on.
type span struct{ from, to int }

func (s span) String() string { return fmt.Sprintf("%d-%d", s.from, s.to) }

// told has a board told of turns in the order in which they would happen, and looks at it
// whenever somebody is back, as the hub does.
func told(turned []span, now int, look func(*PageTurns, time.Time)) *PageTurns {
	var board PageTurns
	for t := 0; t <= now; t++ {
		ended := false
		for i, u := range turned {
			if u.to == t && u.to > u.from {
				board.End("p", fmt.Sprint("s", i), second(t))
				ended = true
			}
		}
		for i, u := range turned {
			if u.from == t {
				board.Begin("p", fmt.Sprint("s", i), second(t))
				board.Begin("q", fmt.Sprint("s", i), second(t)) // another platform's explain nothing
			}
		}
		if ended {
			look(&board, second(t))
		}
	}
	look(&board, second(now))
	return &board
}

func spans(faults []vigil.Fault) (out []span) {
	for _, f := range faults {
		out = append(out, span{int(f.From.Sub(turnsBegan).Seconds()), int(f.To.Sub(turnsBegan).Seconds())})
	}
	return out
}

func TestAPlatformIsSlowWhileThreeWaitAtOnce(t *testing.T) {
	many := func(n int, u span) []span { return slices.Repeat([]span{u}, n) }
	tests := []struct {
		name  string
		turns []span
		now   int
		want  []span
	}{
		{"one", []span{{0, 20}}, 30, nil},
		{"two", []span{{0, 20}, {1, 21}}, 30, nil},
		{"three: from the third who left to the first who was back", []span{{0, 20}, {1, 21}, {2, 25}}, 30, []span{{2, 20}}},
		{"a fourth who left long before has nothing of it before", []span{{0, 40}, {20, 38}, {21, 39}, {22, 41}}, 50, []span{{21, 39}}},
		{"three who are still away", []span{{0, 0}, {1, 0}, {2, 0}}, 12, []span{{2, 12}}},
		{"three, of whom one has only just left", []span{{0, 0}, {1, 0}, {9, 0}}, 12, nil},
		{"three quick ones", []span{{0, 7}, {1, 7}, {2, 7}}, 30, nil},
		{"three while as many were quick", []span{{0, 20}, {1, 21}, {2, 25}, {3, 4}, {4, 5}, {5, 6}}, 30, []span{{2, 20}}},
		{"three while more were quick", []span{{0, 20}, {1, 21}, {2, 25}, {3, 4}, {4, 5}, {5, 6}, {6, 7}}, 30, nil},
		{"many who were quick before it began to be slow", append(many(50, span{0, 1}), span{2, 20}, span{2, 20}, span{2, 20}), 30, []span{{2, 20}}},
		{"three at other times", []span{{0, 20}, {100, 120}, {150, 170}}, 170, nil},
		{"two stretches", []span{{0, 20}, {0, 20}, {0, 20}, {50, 70}, {50, 70}, {50, 70}}, 80, []span{{0, 20}, {50, 70}}},
		{"it hangs for everybody: as long as it does", many(30, span{0, 0}), 200, []span{{0, 200}}},
		{"it hung for everybody, and is back", many(30, span{0, 200}), 230, []span{{0, 200}}},
		{"but nobody waits longer than five minutes", many(30, span{0, 0}), 400, []span{{0, 300}}},
		{"who closed the browser meanwhile waits no longer than the others", append(many(30, span{0, 20}), span{1, 0}, span{2, 0}), 90, []span{{0, 20}}},
		{"three who closed the browser, while more turn pages", []span{{0, 0}, {1, 0}, {2, 0}, {3, 4}, {4, 5}, {5, 6}, {6, 7}}, 90, nil},
		{"three who closed the browser count as slow for a minute at most", []span{{0, 0}, {1, 0}, {2, 0}, {30, 31}}, 90, []span{{2, 60}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var slow bool
			board := told(tt.turns, tt.now, func(b *PageTurns, now time.Time) { slow, _ = b.Look("p", now, turnsLive) })
			if got := spans(board.Faults("p")); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			n := len(tt.want)
			if want := n > 0 && tt.want[n-1].to == tt.now; slow != want {
				t.Errorf("slow now: got %v, want %v", slow, want)
			}
			if got := board.Faults("q"); len(got) != 0 {
				t.Errorf("another platform: got %v, want none", got)
			}
		})
	}
}

func TestWhoWasBackBeforeASlowStretchWasKnownIsNamedOnce(t *testing.T) {
	var named []string
	told([]span{{0, 10}, {1, 30}, {2, 31}, {9, 32}}, 60, func(b *PageTurns, now time.Time) {
		_, news := b.Look("p", now, turnsLive)
		for _, id := range news {
			named = append(named, fmt.Sprintf("%s at %v", id, now.Sub(turnsBegan)))
		}
	})
	// At 10 s three have waited for 8 s: those of whom one is back. That a fourth waited, too, is known later, and changes nothing for the first.
	if want := []string{"s0 at 10s", "s1 at 30s"}; !slices.Equal(named, want) {
		t.Errorf("got %v, want %v", named, want)
	}
}

func TestATurnThatIsNotRememberedAnyMoreChangesNothing(t *testing.T) {
	var board PageTurns
	for i := range 3 * maxTurns {
		now := second(i / 100)
		board.Begin("p", fmt.Sprint(i), now)
		board.End("p", fmt.Sprint(i), now)
	}
	if s := board.site("p"); len(s.turns) > maxTurns || len(s.ends) > maxTurns {
		t.Errorf("got %d turns and %d ends, want at most %d", len(s.turns), len(s.ends), maxTurns)
	}
	for i := range 3 {
		board.Begin("p", fmt.Sprint("slow-", i), second(2000))
	}
	if slow, _ := board.Look("p", second(2020), turnsLive); !slow {
		t.Error("the latest turns are not looked at")
	}
	board.Begin("p", "much later", second(2000).Add(turnsKept+time.Second))
	if s := board.site("p"); len(s.turns) != 1 || len(s.ends) != 0 || len(s.open) != 1 {
		t.Errorf("after %v: got %d turns, %d ends, %d that last, want only the new one", turnsKept, len(s.turns), len(s.ends), len(s.open))
	}
	board.Begin("p", "much later", second(4000)) // came back elsewhere meanwhile
	board.End("p", "much later", second(4001))
	board.End("p", "much later", second(4002))
	board.End("p", "nobody", second(4002))
	if s := board.site("p"); len(s.ends) != 1 || !protocol.Moment(s.ends[0]).Equal(second(4001)) || len(s.open) != 0 {
		t.Errorf("got ends %v, %d that last, want the one that was heard of", s.ends, len(s.open))
	}
}

func TestAPlatformsClockIsKnownByTheQuickestWay(t *testing.T) {
	var board PageTurns
	const behind = 40 * time.Second // the platform's clock
	for i, took := range []time.Duration{9 * time.Second, 3 * time.Second, 300 * time.Millisecond, 5 * time.Second} {
		board.Ahead("p", second(i).Add(-took-behind), second(i))
	}
	if got := board.Ahead("p", second(50).Add(-10*time.Second-behind), second(50)); got != behind+300*time.Millisecond {
		t.Errorf("a page that took 10 s: got %v ahead, want 40.3 s: the quickest that was seen", got)
	}
	// The clocks drift apart: what is long ago does not count for ever.
	now := second(50)
	for range 3 {
		now = now.Add(aheadStretch + time.Second)
		board.Ahead("p", now.Add(-time.Second-behind-time.Minute), now)
	}
	if got := board.Ahead("p", now.Add(-time.Second-behind-time.Minute), now); got != behind+time.Minute+time.Second {
		t.Errorf("after a jump of the platform's clock: got %v, want 101 s", got)
	}
}

// A class of 2,000 whose platform hangs: what it costs to look at once more whether it is slow.
func BenchmarkLookAtSlowTurns(b *testing.B) {
	var board PageTurns
	for i := range maxTurns - 2000 {
		now := turnsBegan.Add(time.Duration(i) * 20 * time.Millisecond)
		board.Begin("p", fmt.Sprint("quick-", i), now)
		board.End("p", fmt.Sprint("quick-", i), now.Add(time.Second))
	}
	now := turnsBegan.Add(maxTurns * 20 * time.Millisecond)
	for i := range 2000 {
		board.Begin("p", fmt.Sprint("slow-", i), now.Add(time.Duration(i)*time.Millisecond))
	}
	now = now.Add(30 * time.Second)
	for b.Loop() {
		now = now.Add(time.Millisecond)
		if slow, _ := board.Look("p", now, turnsLive); !slow {
			b.Fatal("not slow")
		}
	}
}
