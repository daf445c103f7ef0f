package session

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vigil"
)

// asStored knows nothing better than the store.
type asStored struct{ View }

func (asStored) Live(s vigil.Session) vigil.Session { return s }

// faultless knows of no fault.
type faultless struct{}

func (faultless) Faults(vigil.Session) []vigil.Fault { return nil }

func (faultless) SlowNow(string, string) bool { return false }

func (faultless) OutageUntil(_, until time.Time) time.Time { return until }

func (faultless) Refusals(context.Context, string) ([]vigil.Fault, error) { return nil, nil }

func (faultless) Refused(context.Context, string, time.Time, error) {}

func (faultless) Alive(string) bool { return false }

// A gap is split, and its parts again and again by what is known later, it is cut at an end, and
// some of it is decided on: no id comes twice, and nothing is lost or doubled.
func TestPartsOfPartsAreFoundAgain(t *testing.T) {
	live := vigil.DefaultLiveness()
	u := &Service{cfg: Config{Liveness: live, Now: time.Now, Drop: live.DropGrace}, view: asStored{}, faults: faultless{}}
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		ms := func(what string, most int) time.Time {
			return t0.Add(time.Duration(rapid.IntRange(0, most).Draw(t, what)) * time.Millisecond)
		}
		causes := []vigil.Cause{vigil.CauseStudent, vigil.CauseServer, vigil.CauseLMS, vigil.CauseUnclear}
		g := vigil.Gap{ID: "base", Start: t0, Cause: rapid.SampledFrom(causes).Draw(t, "cause")}
		if rapid.Bool().Draw(t, "holds for a while") {
			g.Until = ms("until", 200_000)
		}
		end := ms("end", 300_000)
		s := vigil.Session{State: vigil.StateActive}
		var faults []vigil.Fault
		learn := func() {
			for range rapid.IntRange(0, 3).Draw(t, "faults") {
				from := ms("from", 300_000)
				faults = append(faults, vigil.Fault{From: from, To: from.Add(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "length")) * time.Millisecond), Cause: rapid.SampledFrom(causes[1:3]).Draw(t, "fault")})
			}
		}
		learn()
		gaps := []vigil.Gap{g}
		write := func(did ledgerEdit) {
			for _, c := range did.change {
				i := slices.IndexFunc(gaps, func(g vigil.Gap) bool { return g.ID == c.ID })
				if i < 0 || slices.ContainsFunc(did.add, func(g vigil.Gap) bool { return g.ID == c.ID }) {
					t.Fatalf("changed %s, which is not there, or twice", c.ID)
				}
				gaps[i] = c
			}
			for _, a := range did.add {
				if slices.ContainsFunc(gaps, func(g vigil.Gap) bool { return g.ID == a.ID }) {
					t.Fatalf("%s is there already: this edit would conflict for ever", a.ID)
				}
				gaps = append(gaps, a)
			}
			slices.SortStableFunc(gaps, func(a, b vigil.Gap) int { return a.Start.Compare(b.Start) })
		}
		write(u.splitGap(s, gaps[0], end, faults))
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			learn()
			var did ledgerEdit
			for i, g := range gaps {
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					if g.Decision == vigil.GapUndecided {
						gaps[i].Decision = vigil.GapGranted
					}
				case 1, 2:
					if g.Decision == vigil.GapUndecided {
						if rapid.Bool().Draw(t, "of a page turn") {
							g.Cause = vigil.CauseStudent
						}
						parts := u.splitGap(s, g, g.End, faults)
						did.change, did.add = append(did.change, parts.change...), append(did.add, parts.add...)
					}
				}
			}
			write(did)
			from := t0
			for _, g := range gaps {
				if !g.Start.Equal(from) || g.End.Before(g.Start) {
					t.Fatalf("a hole or an overlap in %+v", gaps)
				}
				from = g.End
			}
			if !from.Equal(end) {
				t.Fatalf("the parts end at %v, want %v", from, end)
			}
		}
		if rapid.Bool().Draw(t, "cut") {
			s.Ended = ms("ended", 300_000)
			for range 3 {
				did, _, _ := u.cutAt(s, gaps, s.Ended)
				write(did)
			}
			if did, _, _ := u.cutAt(s, gaps, s.Ended); len(did.change) != 0 {
				t.Fatalf("cut for ever: %+v", did.change)
			}
			var did ledgerEdit
			for _, g := range gaps {
				if g.Decision == vigil.GapUndecided {
					parts := u.splitGap(s, g, g.End, faults)
					did.change, did.add = append(did.change, parts.change...), append(did.add, parts.add...)
				}
			}
			write(did)
		}
	})
}

func TestAGapThatWasLeftOpenEndsBeforeTheNextOneThatHasEnded(t *testing.T) {
	t0 := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	gaps := []vigil.Gap{
		{ID: "left", Start: at(0), Cause: vigil.CauseStudent},
		{ID: "over", Start: at(100), End: at(110), Cause: vigil.CauseStudent},
		{ID: "last", Start: at(200), Cause: vigil.CauseUnclear},
		{ID: "another connection's", Start: at(400), Cause: vigil.CauseStudent},
	}
	got := openGaps(gaps, at(300), "")
	if len(got) != 2 || got[0].gap.ID != "last" || !got[0].end.Equal(at(300)) || got[1].gap.ID != "left" || !got[1].end.Equal(at(100)) || got[1].gap.Cause != vigil.CauseUnclear {
		t.Errorf("got %+v, want the last one up to 300 s, and the first up to 100 s, unclear", got)
	}
	// A server whose clock is 4 s behind says when the student was back.
	if got := openGaps(gaps[2:3], at(196), "left"); len(got) != 0 {
		t.Errorf("got %+v, want none: it began after that", got)
	}
	if got := openGaps(gaps[2:3], at(196), "last"); len(got) != 1 {
		t.Errorf("its own: got %+v, want the gap ended", got)
	}
}
