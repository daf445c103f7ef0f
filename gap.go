package vigil

import (
	"slices"
	"time"
)

// Cause says whose a gap is.
type Cause string

// The causes of a gap. Only the student's is an incident.
const (
	CauseStudent Cause = "student" // the student's side went away
	CauseServer  Cause = "server"  // we went away, our store and relay included: never held against the student
	CauseLMS     Cause = "lms"     // the platform was slow: its page stamp shows it, or many of its students at once
	CauseUnclear Cause = "unclear" // a page turn over its grace, and nobody knows why
	// CauseNavigation is in older ledgers, and counts as unclear. It is not written any more.
	CauseNavigation Cause = "navigation"
)

// GapDecision says what became of a gap's lost time.
type GapDecision string

// The decisions.
const (
	GapUndecided GapDecision = ""
	GapGranted   GapDecision = "granted"
	GapRefused   GapDecision = "refused"
)

// Gap is a stretch in which a student could not be reached. Gaps form a ledger: they
// are opened when the connection counts as lost, with the start of the silence, and
// never removed. An End of zero means that it is still open. When it ends, it is split where
// the fault changes hands (Split), so that each part has one cause.
type Gap struct {
	ID        string // unique within the session
	SessionID string
	ExamID    string
	Start     time.Time
	End       time.Time
	Cause     Cause
	Until     time.Time     // while open: to when the cause explains the absence; after that it is the student's. Zero: to the end
	Paused    time.Duration // how much of it the attempt's clock stood
	Proposed  time.Duration // what the policy proposes to give back
	Decision  GapDecision
	CommandID string // the extend command that gave it back
	Version   int64
}

// Lost is the gap's length as of now.
func (g Gap) Lost(now time.Time) time.Duration {
	end := g.End
	if end.IsZero() {
		end = now
	}
	return max(0, end.Sub(g.Start))
}

// Fault is a stretch in which somebody else than the students kept them away.
type Fault struct {
	From, To time.Time
	Cause    Cause
}

// Part is a stretch of a gap that has one cause.
type Part struct {
	Start, End time.Time
	Cause      Cause
}

// MaxParts is how many parts a gap has at most. The student's shortest count as of the fault
// beside them where there are more.
const MaxParts = 32

// Split divides a gap that ends at an end where the fault changes hands. Up to Until it has
// the gap's own cause, after that it is the student's; over both lie the faults that are
// known: ours before the platform's, and either before anything else. What remains of the
// student's or is unclear, and is shorter than the grace that it would have by itself,
// belongs to the part beside it: without the fault there would have been no gap. There are
// between one part and MaxParts, and the parts follow each other without a hole.
func (g Gap) Split(end time.Time, faults []Fault, grace Liveness) []Part {
	if end.Before(g.Start) {
		end = g.Start
	}
	own := g.Cause
	if own == CauseNavigation {
		own = CauseUnclear
	}
	faults = slices.Clone(faults)
	until := g.Until
	if until.IsZero() || until.After(end) {
		until = end
	}
	at := func(t time.Time) Cause {
		cause := CauseStudent
		if t.Before(until) {
			cause = own
		}
		for _, f := range faults {
			if !t.Before(f.From) && t.Before(f.To) && f.Cause.rank() > cause.rank() {
				cause = f.Cause
			}
		}
		return cause
	}
	cuts := []time.Time{g.Start, until, end}
	for _, f := range faults {
		cuts = append(cuts, f.From, f.To)
	}
	cuts = slices.DeleteFunc(cuts, func(t time.Time) bool { return t.Before(g.Start) || t.After(end) })
	slices.SortFunc(cuts, time.Time.Compare)
	var parts []Part
	for i, from := range cuts[:len(cuts)-1] {
		to := cuts[i+1]
		if !from.Before(to) {
			continue
		}
		cause := at(from)
		if n := len(parts); n > 0 && parts[n-1].Cause == cause {
			parts[n-1].End = to
			continue
		}
		parts = append(parts, Part{from, to, cause})
	}
	if len(parts) == 0 {
		return []Part{{g.Start, end, own}}
	}
	return merged(parts, grace)
}

// merged gives parts that are too short to be a gap to their neighbours, the one before
// first, until each that is left could stand by itself and there are MaxParts at most.
func merged(parts []Part, grace Liveness) []Part {
	for {
		i := slices.IndexFunc(parts, func(p Part) bool { return p.End.Sub(p.Start) < grace.of(p.Cause) })
		if i < 0 && len(parts) > MaxParts {
			i = least(parts)
		}
		if i < 0 || len(parts) == 1 {
			return parts
		}
		to := i - 1
		if i == 0 || i+1 < len(parts) && parts[i+1].Cause.rank() > parts[to].Cause.rank() {
			to = i + 1
		}
		parts[to].Start, parts[to].End = earlier(parts[to].Start, parts[i].Start), later(parts[to].End, parts[i].End)
		parts = slices.Delete(parts, i, i+1)
		for j := 1; j < len(parts); j++ { // what was apart may be side by side now
			if parts[j].Cause == parts[j-1].Cause {
				parts[j-1].End = parts[j].End
				parts = slices.Delete(parts, j, j+1)
				j--
			}
		}
	}
}

// least is the part that counts least: of those of the lowest rank the shortest.
func least(parts []Part) int {
	at := 0
	for i, p := range parts {
		r, than := p.Cause.rank(), parts[at].Cause.rank()
		if r < than || r == than && p.End.Sub(p.Start) < parts[at].End.Sub(parts[at].Start) {
			at = i
		}
	}
	return at
}

// of is how long an absence of a cause may be without being a gap.
func (l Liveness) of(c Cause) time.Duration {
	switch c {
	case CauseStudent:
		return l.DropGrace
	case CauseUnclear:
		return l.NavigateGrace
	}
	return time.Second
}

// rank orders causes by which counts where several explain an absence.
func (c Cause) rank() int {
	switch c {
	case CauseServer:
		return 3
	case CauseLMS:
		return 2
	case CauseUnclear, CauseNavigation:
		return 1
	}
	return 0
}

// Outranks tells whether a cause counts before another where both explain an absence.
func (c Cause) Outranks(d Cause) bool { return c.rank() > d.rank() }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ProposeLostTime fills in what each finished, undecided gap of one session proposes.
// Our own outages and the platform's come in full; what the student's own link lost, and
// what is unclear, is capped over all the session's gaps, those already granted included,
// so that unplugging cannot buy time. The gaps must be in order of their start.
func ProposeLostTime(p Policy, gaps []Gap) []Gap {
	left := time.Duration(p.LostTimeCap) * time.Minute
	for _, g := range gaps {
		if g.capped() && g.Decision == GapGranted {
			left -= g.Proposed
		}
	}
	out := make([]Gap, len(gaps))
	for i, g := range gaps {
		if g.Decision == GapUndecided {
			g.Proposed = p.Propose(g)
			if g.capped() {
				g.Proposed = max(0, min(g.Proposed, left))
				left -= g.Proposed
			}
		}
		out[i] = g
	}
	return out
}

func (g Gap) capped() bool { return g.Cause != CauseServer && g.Cause != CauseLMS }
