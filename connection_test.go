package vigil

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPresenceKeepsTheLedgerOfGaps drives presences at random: a gap is open exactly
// while the session is lost, opened once and closed once.
func TestPresenceKeepsTheLedgerOfGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := DefaultLiveness()
		now, p := t0, Presence{Connection: ConnNever}
		open := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 12_000).Draw(t, "ms")) * time.Millisecond)
			before := p
			var g GapChange
			step := rapid.SampledFrom([]string{"connect", "stale", "hear", "miss", "bye", "drop", "expire", "astray", "node"}).Draw(t, "step")
			switch step {
			case "connect":
				p, g = p.Connect(now, p.Epoch+1, "n1")
				if p.Connection != ConnOnline || p.Epoch != before.Epoch+1 || !p.Heard.Equal(now) {
					t.Fatalf("a new connection: got %+v, want online, of the new epoch and heard now", p)
				}
			case "stale":
				p, g = p.Connect(now, p.Epoch-1, "n2")
				if p != before {
					t.Fatalf("an older epoch took over: got %+v, want %+v", p, before)
				}
			case "hear":
				p, g = p.Hear(now)
			case "miss":
				p, g = p.Miss(now, l)
			case "bye":
				p = p.Bye(now, rapid.SampledFrom([]ByeReason{ByeNavigating, ByeClosing, ByeFinished}).Draw(t, "reason"), rapid.Bool().Draw(t, "running"))
			case "drop":
				p = p.Drop(now, rapid.SampledFrom([]Cause{CauseStudent, CauseServer}).Draw(t, "cause"))
			case "expire":
				p, g = p.Expire(now, l)
			case "astray":
				p, g = p.Astray(now, l)
				if g.Open && (g.Cause != CauseUnclear || !g.Start.Equal(now) || g.Until.IsZero()) {
					t.Fatalf("not back after a fault that has passed: got %+v, want unclear from now on, and for a while", g)
				}
			case "node":
				p, g = p.NodeGone(now, now.Add(-6*time.Second), l)
				if before.Connection == ConnOnline && p.Heard.Before(now.Add(-6*time.Second)) {
					t.Fatalf("who was online on a dead node was last heard %v, before it died", p.Heard)
				}
				if g.Open && g.Cause != CauseServer {
					t.Fatalf("a dead node's gap: got cause %q, want %q", g.Cause, CauseServer)
				}
			}
			switch {
			case g.Open && g.Close:
				t.Fatalf("%s opened and closed a gap at once", step)
			case g.Open && (open || p.Connection != ConnLost || g.Start.After(now) || g.Cause == ""):
				t.Fatalf("%s opened a gap %+v with one open: %v, connection %s", step, g, open, p.Connection)
			case g.Close && (!open || p.Connection == ConnLost || !g.End.Equal(now)):
				t.Fatalf("%s closed a gap %+v with one open: %v, connection %s", step, g, open, p.Connection)
			case g.Turn && (g.Open || g.Close || before.Cause == CauseStudent || p.Cause != CauseStudent || !open):
				t.Fatalf("%s turned a gap %+v of cause %q with one open: %v", step, g, before.Cause, open)
			case !g.Open && !g.Close && !g.Turn && g != (GapChange{}):
				t.Fatalf("%s neither opened nor closed a gap, and still said %+v", step, g)
			}
			open = (open || g.Open) && !g.Close
			if lost := p.Connection == ConnLost; lost != open {
				t.Fatalf("%s: lost is %v, and a gap is open: %v (from %s to %s)", step, lost, open, before.Connection, p.Connection)
			}
			if p.Connection == ConnOnline && p.Cause != "" {
				t.Fatalf("online with the cause of a silence: %q", p.Cause)
			}
			if p.Connection != before.Connection {
				want := now
				if p.Epoch == before.Epoch && !now.After(before.Since) { // a clock behind, or the same millisecond
					want = before.Since.Add(time.Millisecond)
				}
				if !p.Since.Equal(want) {
					t.Fatalf("%s → %s: since %v, want %v", before.Connection, p.Connection, p.Since, want)
				}
			}
		}
	})
}

func TestAPageTurnThatIsAnnouncedAgainHasNoOtherGrace(t *testing.T) {
	l := DefaultLiveness()
	p, _ := Presence{Connection: ConnNever}.Connect(t0, 1, "n")
	first := t0.Add(time.Minute)
	for at := first; at.Before(first.Add(l.NavigateGrace)); at = at.Add(time.Second) {
		p = p.Bye(at, ByeNavigating, true)
	}
	p, g := p.Expire(first.Add(l.NavigateGrace), l)
	if p.Connection != ConnLost || !g.Open || !g.Start.Equal(first) {
		t.Fatalf("got %s and %+v, want lost since the first goodbye", p.Connection, g)
	}
}

func TestShortAbsencesLeaveNoGap(t *testing.T) {
	l := DefaultLiveness()
	rapid.Check(t, func(t *rapid.T) {
		p, _ := Presence{Connection: ConnNever}.Connect(t0, 1, "n")
		grace := l.NavigateGrace
		if rapid.Bool().Draw(t, "page turn") {
			p = p.Bye(t0, ByeNavigating, false).Drop(t0, CauseStudent)
		} else {
			grace = l.DropGrace
			p = p.Drop(t0, CauseStudent)
		}
		away := time.Duration(rapid.Int64Range(0, int64(grace)-1).Draw(t, "away"))
		p, g := p.Expire(t0.Add(away), l)
		if g != (GapChange{}) || p.Connection == ConnLost {
			t.Fatalf("after %v: got %+v, want no gap within %v", away, g, grace)
		}
		if p, g = p.Connect(t0.Add(away), 2, "n"); g != (GapChange{}) || p.Connection != ConnOnline {
			t.Fatalf("back after %v: got %+v %s, want online and no gap", away, g, p.Connection)
		}
	})
}

func TestSilenceDegradesThenLoses(t *testing.T) {
	l := DefaultLiveness()
	online, _ := Presence{}.Connect(t0, 1, "n")
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	tests := []struct {
		name  string
		steps func(Presence) (Presence, GapChange)
		conn  Connection
		gap   GapChange
	}{
		{"one missed pong", func(p Presence) (Presence, GapChange) { return p.Miss(at(14), l) }, ConnDegraded, GapChange{}},
		{"two missed pongs: lost since last heard", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			return p.Miss(at(24), l)
		}, ConnLost, GapChange{Open: true, Start: at(0), Cause: CauseStudent}},
		{"three missed pongs open one gap", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			p, _ = p.Miss(at(24), l)
			return p.Miss(at(34), l)
		}, ConnLost, GapChange{}},
		{"a pong after one miss", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			return p.Hear(at(15))
		}, ConnOnline, GapChange{}},
		{"heard again when lost", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			p, _ = p.Miss(at(24), l)
			return p.Hear(at(30))
		}, ConnOnline, GapChange{Close: true, End: at(30), Cause: CauseStudent}},
		{"a page turn that takes too long", func(p Presence) (Presence, GapChange) {
			return p.Bye(at(10), ByeNavigating, false).Expire(at(18), l)
		}, ConnLost, GapChange{Open: true, Start: at(10), Cause: CauseUnclear, Until: at(78)}},
		{"and so long that the page must be closed", func(p Presence) (Presence, GapChange) {
			p, _ = p.Bye(at(10), ByeNavigating, false).Expire(at(18), l)
			p, g := p.Expire(at(77), l)
			if g != (GapChange{}) {
				t.Errorf("59 s after the loss: got %+v, want nothing", g)
			}
			return p.Expire(at(78), l)
		}, ConnLost, GapChange{Turn: true, Start: at(78), Cause: CauseStudent}},
		{"a drop", func(p Presence) (Presence, GapChange) { return p.Drop(at(10), CauseStudent), GapChange{} }, ConnDegraded, GapChange{}},
		{"a drop and nobody back", func(p Presence) (Presence, GapChange) {
			return p.Drop(at(10), CauseStudent).Expire(at(15), l)
		}, ConnLost, GapChange{Open: true, Start: at(10), Cause: CauseStudent}},
		{"our own drop after a missed pong is ours", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			return p.Drop(at(15), CauseServer).Expire(at(20), l)
		}, ConnLost, GapChange{Open: true, Start: at(15), Cause: CauseServer, Until: at(50)}},
		{"a dead node is never the student's", func(p Presence) (Presence, GapChange) {
			p, _ = p.Miss(at(14), l)
			return p.NodeGone(at(20), at(14), l)
		}, ConnLost, GapChange{Open: true, Start: at(14), Cause: CauseServer, Until: at(50)}},
		{"but to stay away after it is", func(p Presence) (Presence, GapChange) {
			p, _ = p.NodeGone(at(20), at(14), l)
			return p.Expire(at(50), l)
		}, ConnLost, GapChange{Turn: true, Start: at(50), Cause: CauseStudent}},
		{"the student's own loss stays theirs", func(p Presence) (Presence, GapChange) {
			p, _ = p.Drop(at(10), CauseStudent).Expire(at(15), l)
			return p.Expire(at(999), l)
		}, ConnLost, GapChange{}},
		{"who was lost while we could not store is lost by our fault", func(p Presence) (Presence, GapChange) {
			p, g := p.Bye(at(10), ByeNavigating, false).Expire(at(18), l)
			return p.Blame(g, CauseServer, l)
		}, ConnLost, GapChange{Open: true, Start: at(10), Cause: CauseServer, Until: at(48)}},
		{"an end in order", func(p Presence) (Presence, GapChange) {
			return p.Bye(at(10), ByeFinished, false).Expire(at(99), l)
		}, ConnClosed, GapChange{}},
		{"closing after a page turn was announced", func(p Presence) (Presence, GapChange) {
			return p.Bye(at(10), ByeNavigating, false).Bye(at(11), ByeClosing, false).Expire(at(99), l)
		}, ConnClosed, GapChange{}},
		{"a goodbye after the end does not begin a page turn", func(p Presence) (Presence, GapChange) {
			return p.Bye(at(10), ByeFinished, false).Bye(at(11), ByeNavigating, false).Expire(at(99), l)
		}, ConnClosed, GapChange{}},
		{"a goodbye alone leaves the lost lost", func(p Presence) (Presence, GapChange) {
			p, _ = p.Drop(at(10), CauseStudent).Expire(at(15), l)
			return p.Bye(at(16), ByeClosing, false), GapChange{}
		}, ConnLost, GapChange{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, g := tt.steps(online)
			if p.Connection != tt.conn || g != tt.gap {
				t.Errorf("got %s %+v, want %s %+v", p.Connection, g, tt.conn, tt.gap)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	for c, want := range map[Connection]bool{
		ConnNever: false, ConnOnline: true, ConnNavigating: false, ConnDegraded: true,
		ConnLost: false, ConnSuperseded: false, ConnClosed: false,
	} {
		if got := (Presence{Connection: c}).Reachable(); got != want {
			t.Errorf("%s: got %v, want %v", c, got, want)
		}
	}
}

func TestLivenessNamesTheFieldAtFault(t *testing.T) {
	tests := []struct {
		field string
		spoil func(*Liveness)
	}{
		{"", func(*Liveness) {}},
		{"ping_every", func(l *Liveness) { l.PingEvery = 0 }},
		{"pong_wait", func(l *Liveness) { l.PongWait = -1 }},
		{"pong_wait", func(l *Liveness) { l.PongWait = l.PingEvery }},
		{"navigate_grace", func(l *Liveness) { l.NavigateGrace = time.Hour }},
		{"drop_grace", func(l *Liveness) { l.DropGrace = time.Millisecond }},
	}
	for _, tt := range tests {
		l := DefaultLiveness()
		tt.spoil(&l)
		if got := fieldOf(l.Validate()); got != tt.field {
			t.Errorf("got field %q, want %q", got, tt.field)
		}
	}
}

// fieldOf returns the field that an Invalid error names, "" for none, and "?" for
// another kind of error.
func fieldOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := err.(*Error); ok && e.Code == CodeInvalid && e.Field != "" && e.Message != "" { //nolint:errorlint // the very type is meant
		return e.Field
	}
	return "?"
}

func TestProposeLostTime(t *testing.T) {
	m := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	gap := func(minutes int, c Cause) Gap { return Gap{Start: t0, End: t0.Add(m(minutes)), Cause: c} }
	decided := func(g Gap, proposed int, d GapDecision) Gap {
		g.Proposed, g.Decision = m(proposed), d
		return g
	}
	tests := []struct {
		name  string
		loss  LinkLoss
		limit int
		gaps  []Gap
		want  []int
	}{
		{"the student's link up to the cap", LinkLossAsk, 15, []Gap{gap(10, CauseStudent), gap(10, CauseStudent), gap(3, CauseStudent)}, []int{10, 5, 0}},
		{"one long gap", LinkLossAsk, 15, []Gap{gap(60, CauseStudent)}, []int{15}},
		{"ours in full, beside the cap", LinkLossAsk, 15, []Gap{gap(60, CauseServer), gap(15, CauseStudent), gap(40, CauseServer)}, []int{60, 15, 40}},
		{"ours in full where nothing else is given", LinkLossNever, 0, []Gap{gap(60, CauseServer), gap(5, CauseStudent)}, []int{60, 0}},
		{"no cap at all means nothing", LinkLossAsk, 0, []Gap{gap(5, CauseStudent)}, []int{0}},
		{"page turns: none", LinkLossAsk, 15, []Gap{gap(5, CauseNavigation)}, []int{0}},
		{"still open: none", LinkLossAsk, 15, []Gap{{Start: t0, Cause: CauseStudent}, {Start: t0, Cause: CauseServer}}, []int{0, 0}},
		{"an end before the start: none", LinkLossAsk, 15, []Gap{gap(-5, CauseServer)}, []int{0}},
		{"what was granted counts", LinkLossAsk, 15, []Gap{decided(gap(12, CauseStudent), 12, GapGranted), gap(10, CauseStudent)}, []int{12, 3}},
		{"granted later in the row counts as well", LinkLossAsk, 15, []Gap{gap(10, CauseStudent), decided(gap(12, CauseStudent), 12, GapGranted)}, []int{3, 12}},
		{"granted beyond a cap that was lowered", LinkLossAsk, 5, []Gap{decided(gap(12, CauseStudent), 12, GapGranted), gap(10, CauseStudent)}, []int{12, 0}},
		{"our own granted time does not count", LinkLossAsk, 15, []Gap{decided(gap(60, CauseServer), 60, GapGranted), gap(10, CauseStudent)}, []int{60, 10}},
		{"what was refused does not count, nor change", LinkLossAsk, 15, []Gap{decided(gap(12, CauseStudent), 12, GapRefused), gap(10, CauseStudent)}, []int{12, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := DefaultPolicy()
			p.LinkLoss, p.LostTimeCap = tt.loss, tt.limit
			given := append([]Gap(nil), tt.gaps...)
			for i, g := range ProposeLostTime(p, tt.gaps) {
				if g.Proposed != m(tt.want[i]) {
					t.Errorf("gap %d: got %v, want %v", i, g.Proposed, m(tt.want[i]))
				}
			}
			if !reflect.DeepEqual(given, tt.gaps) {
				t.Errorf("the gaps given were changed: %+v", tt.gaps)
			}
		})
	}
}

func TestProposalsStayWithinTheCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy()
		p.LostTimeCap = rapid.IntRange(0, 240).Draw(t, "cap")
		at, gaps := t0, []Gap(nil)
		for range rapid.IntRange(0, 20).Draw(t, "gaps") {
			g := Gap{
				Start: at, End: at.Add(time.Duration(rapid.IntRange(1, 3600).Draw(t, "seconds")) * time.Second),
				Cause: rapid.SampledFrom([]Cause{CauseStudent, CauseServer, CauseNavigation}).Draw(t, "cause"),
			}
			at = g.End
			gaps = append(gaps, g)
			if rapid.Bool().Draw(t, "decide now") { // a proctor grants some of what is proposed so far
				gaps = ProposeLostTime(p, gaps)
				i := rapid.IntRange(0, len(gaps)-1).Draw(t, "which")
				gaps[i].Decision = GapGranted
			}
		}
		var sum time.Duration
		for _, g := range ProposeLostTime(p, gaps) {
			switch g.Cause {
			case CauseServer:
				if g.Proposed != g.Lost(at) {
					t.Fatalf("our own outage: got %v, want %v", g.Proposed, g.Lost(at))
				}
			default:
				sum += g.Proposed
			}
			if g.Proposed < 0 || g.Proposed > g.Lost(at) {
				t.Fatalf("proposed %v of %v", g.Proposed, g.Lost(at))
			}
		}
		if limit := time.Duration(p.LostTimeCap) * time.Minute; sum > limit {
			t.Fatalf("proposed %v in all, want at most %v", sum, limit)
		}
	})
}

func TestLostCountsOpenGapsToNow(t *testing.T) {
	now := t0.Add(time.Minute)
	for _, tt := range []struct {
		gap  Gap
		want time.Duration
	}{
		{Gap{Start: t0}, time.Minute},
		{Gap{Start: t0, End: t0.Add(5 * time.Second)}, 5 * time.Second},
		{Gap{Start: now.Add(time.Second)}, 0},
	} {
		if got := tt.gap.Lost(now); got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}
