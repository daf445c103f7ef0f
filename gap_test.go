package vigil

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGapsAreSplitWhereTheFaultChangesHands(t *testing.T) {
	l := DefaultLiveness()
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	part := func(from, to float64, c Cause) Part { return Part{at(from), at(to), c} }
	server := func(from, to float64) Fault { return Fault{at(from), at(to), CauseServer} }
	lms := func(from, to float64) Fault { return Fault{at(from), at(to), CauseLMS} }
	tests := []struct {
		name   string
		cause  Cause
		until  float64 // 0: none
		end    float64
		faults []Fault
		want   []Part
	}{
		{"nobody else's fault", CauseStudent, 0, 60, nil, []Part{part(0, 60, CauseStudent)}},
		{"our outage explains it for as long as it takes to come back", CauseServer, 40, 100, nil, []Part{part(0, 40, CauseServer), part(40, 100, CauseStudent)}},
		{"back in time", CauseServer, 40, 30, nil, []Part{part(0, 30, CauseServer)}},
		{"hardly late", CauseServer, 40, 44, nil, []Part{part(0, 44, CauseServer)}},
		{"a page that was closed", CauseUnclear, 68, 300, nil, []Part{part(0, 68, CauseUnclear), part(68, 300, CauseStudent)}},
		{"a line that dropped just before our outage", CauseStudent, 0, 90, []Fault{server(0.3, 90)}, []Part{part(0, 90, CauseServer)}},
		{"and long before it", CauseStudent, 0, 90, []Fault{server(30, 90)}, []Part{part(0, 30, CauseStudent), part(30, 90, CauseServer)}},
		{"our outage in the middle", CauseStudent, 0, 90, []Fault{server(30, 60)}, []Part{part(0, 30, CauseStudent), part(30, 60, CauseServer), part(60, 90, CauseStudent)}},
		{"our outage before and after it", CauseStudent, 0, 10, []Fault{server(-30, -1), server(11, 20)}, []Part{part(0, 10, CauseStudent)}},
		{"our store away while pages were turned", CauseUnclear, 68, 40, []Fault{server(-5, 70)}, []Part{part(0, 40, CauseServer)}},
		{"the page stamp shows it", CauseUnclear, 68, 12, []Fault{lms(0.5, 10.5)}, []Part{part(0, 12, CauseLMS)}},
		{"the page stamp shows some of it", CauseUnclear, 68, 30, []Fault{lms(0, 10)}, []Part{part(0, 10, CauseLMS), part(10, 30, CauseUnclear)}},
		{"a page that was asked for late", CauseStudent, 0, 41, []Fault{lms(40, 41)}, []Part{part(0, 40, CauseStudent), part(40, 41, CauseLMS)}},
		{"we and the platform at once", CauseUnclear, 68, 60, []Fault{lms(0, 40), server(20, 60)}, []Part{part(0, 20, CauseLMS), part(20, 60, CauseServer)}},
		{"two outages of ours with a moment between", CauseStudent, 0, 60, []Fault{server(0, 20), server(22, 60)}, []Part{part(0, 60, CauseServer)}},
		{"of older ledgers", CauseNavigation, 0, 60, nil, []Part{part(0, 60, CauseUnclear)}},
		{"ended before it began, by two clocks", CauseStudent, 0, -3, nil, []Part{part(0, 0, CauseStudent)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := Gap{Start: t0, Cause: tt.cause}
			if tt.until > 0 {
				g.Until = at(tt.until)
			}
			given := slices.Clone(tt.faults)
			if got := g.Split(at(tt.end), tt.faults, l); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !slices.Equal(given, tt.faults) {
				t.Error("the faults given were changed")
			}
		})
	}
}

// TestSplitBooksNothingWrongly splits at random: the parts cover the gap, and no second of a
// fault is the student's, but for what is too short to stand by itself.
func TestSplitBooksNothingWrongly(t *testing.T) {
	l := DefaultLiveness()
	rapid.Check(t, func(t *rapid.T) {
		second := func(name string, most int) time.Time {
			return t0.Add(time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Second)
		}
		g := Gap{Start: t0, Cause: rapid.SampledFrom([]Cause{CauseStudent, CauseServer, CauseLMS, CauseUnclear}).Draw(t, "cause")}
		if rapid.Bool().Draw(t, "holds for a while") {
			g.Until = second("until", 200)
		}
		end := second("end", 300)
		var faults []Fault
		for range rapid.IntRange(0, 4).Draw(t, "faults") {
			from := second("from", 300)
			faults = append(faults, Fault{from, from.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "length")) * time.Second), rapid.SampledFrom([]Cause{CauseServer, CauseLMS}).Draw(t, "fault")})
		}
		parts := g.Split(end, faults, l)
		from := g.Start
		for i, p := range parts {
			if !p.Start.Equal(from) || p.End.Before(p.Start) || i > 0 && p.Cause == parts[i-1].Cause {
				t.Fatalf("parts %v: they follow each other without a hole, each of another cause", parts)
			}
			if len(parts) > 1 && p.End.Sub(p.Start) < l.of(p.Cause) {
				t.Fatalf("part %v could not stand by itself", p)
			}
			from = p.End
		}
		if !from.Equal(end) {
			t.Fatalf("the parts end at %v, want %v", from, end)
		}
		for s := g.Start; s.Before(end); s = s.Add(time.Second) {
			i := slices.IndexFunc(parts, func(p Part) bool { return !s.Before(p.Start) && s.Before(p.End) })
			ours := slices.ContainsFunc(faults, func(f Fault) bool { return f.Cause == CauseServer && !s.Before(f.From) && s.Before(f.To) })
			if ours && parts[i].Cause == CauseStudent {
				t.Fatalf("at %v we were at fault, and %v is the student's", s, parts[i])
			}
		}
	})
}

func TestNobodyPaysForWhatTheClockDidNotCount(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	s := Session{State: StateActive, Started: t0, End: at(60), EndSeen: t0}
	for _, c := range []Change{
		{Event: EventPause, At: at(5)}, {Event: EventResume, At: at(8)}, // begins before the gap
		{Event: EventPause, At: at(10)}, {Event: EventResume, At: at(11)}, // within it
		{Event: EventPause, At: at(14)}, // and goes on
	} {
		var err error
		if s, err = s.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.PausedWithin(at(7), at(16)), 4*time.Minute; got != want {
		t.Errorf("paused within: got %v, want %v", got, want)
	}
	if got := s.PausedWithin(at(20), at(16)); got != 0 {
		t.Errorf("within nothing: got %v, want 0", got)
	}
	gaps := ProposeLostTime(p, []Gap{{Start: at(7), End: at(16), Cause: CauseServer, Paused: 4 * time.Minute}})
	if got, want := gaps[0].Proposed, 5*time.Minute; got != want {
		t.Errorf("proposed: got %v, want %v", got, want)
	}
}

func TestWhatIsProposedByCause(t *testing.T) {
	p := DefaultPolicy() // caps at 15 minutes
	gap := func(c Cause) Gap { return Gap{Start: t0, End: t0.Add(20 * time.Minute), Cause: c} }
	got := ProposeLostTime(p, []Gap{gap(CauseServer), gap(CauseLMS), gap(CauseUnclear), gap(CauseStudent), gap(CauseNavigation)})
	for i, want := range []time.Duration{20 * time.Minute, 20 * time.Minute, 15 * time.Minute, 0, 0} {
		if got[i].Proposed != want {
			t.Errorf("%s: got %v, want %v", got[i].Cause, got[i].Proposed, want)
		}
	}
	p.LinkLoss = LinkLossNever
	got = ProposeLostTime(p, []Gap{gap(CauseServer), gap(CauseLMS), gap(CauseUnclear), gap(CauseStudent)})
	for i, want := range []time.Duration{20 * time.Minute, 20 * time.Minute, 0, 0} {
		if got[i].Proposed != want {
			t.Errorf("never, %s: got %v, want %v", got[i].Cause, got[i].Proposed, want)
		}
	}
}

func TestAGapWithManyOutagesHasABoundedNumberOfParts(t *testing.T) {
	var faults []Fault
	for i := range 40 { // of the many that a server remembers
		from := t0.Add(time.Duration(i+1) * 20 * time.Second)
		faults = append(faults, Fault{from, from.Add(4 * time.Second), CauseServer})
	}
	end := t0.Add(15 * time.Minute)
	parts := Gap{Start: t0, Cause: CauseStudent}.Split(end, faults, DefaultLiveness())
	if n := len(parts); n > MaxParts || n < MaxParts-2 {
		t.Errorf("got %d parts, want about %d", n, MaxParts)
	}
	from, ours := t0, time.Duration(0)
	for _, p := range parts {
		if !p.Start.Equal(from) {
			t.Fatalf("a hole or an overlap before %v in %v", p.Start, parts)
		}
		if from = p.End; p.Cause == CauseServer {
			ours += p.End.Sub(p.Start)
		}
	}
	if !from.Equal(end) || ours < 160*time.Second {
		t.Errorf("the parts end at %v, want %v; ours: got %v, want 160 s at least", from, end, ours)
	}
}

// A browser lets go of a page when the next one begins to arrive.
func TestAnAbsenceThatBeginsWithThePageIsAPageTurn(t *testing.T) {
	t.Parallel()
	l := DefaultLiveness()
	asked := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	page := Fault{From: asked, To: asked.Add(3 * time.Second), Cause: CauseLMS}
	for name, c := range map[string]struct {
		began time.Duration
		want  bool
	}{
		"as it was answered":            {3100 * time.Millisecond, true},
		"while it was waited for":       {time.Second, true},
		"just before it was asked for":  {-l.DropGrace, true},
		"before that":                   {-l.DropGrace - time.Millisecond, false},
		"on a link that brings it late": {3*time.Second + l.NavigateGrace, true},
		"after it was there":            {3*time.Second + l.NavigateGrace + time.Millisecond, false},
	} {
		began := asked.Add(c.began)
		got, ok := l.Turned(began, page)
		want := Fault{}
		if c.want {
			want = Fault{From: began, To: began.Add(l.NavigateGrace + l.LoadLimit), Cause: CauseUnclear}
		}
		if ok != c.want || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, ok, want)
		}
	}
}

// A page that was answered after more than the longest wait for one has still to be shown, and its scripts to
// begin: none of that is the student's.
func TestTheLoadingOfAPageThatWasAnsweredVeryLateIsNotTheStudents(t *testing.T) {
	t.Parallel()
	l := DefaultLiveness()
	asked := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	page := Fault{From: asked, To: asked.Add(l.NavigateGrace + l.LoadLimit + 5*time.Second), Cause: CauseLMS}
	turn, ok := l.Turned(asked, page)
	if !ok {
		t.Fatal("got no page turn")
	}
	gap := Gap{Start: asked, Cause: CauseUnclear, Until: asked.Add(l.NavigateGrace + l.LoadLimit)}
	for _, part := range gap.Split(page.To.Add(l.NavigateGrace-time.Second), []Fault{page, turn}, l) {
		if part.Cause == CauseStudent {
			t.Errorf("got %v to %v as the student's, want none", part.Start.Sub(asked), part.End.Sub(asked))
		}
	}
}
