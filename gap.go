package vigil

import "time"

// Cause says whose a gap is.
type Cause string

// The causes of a gap.
const (
	CauseStudent    Cause = "student"    // the student's side went away
	CauseServer     Cause = "server"     // we went away: never held against the student
	CauseNavigation Cause = "navigation" // a page turn that took longer than it may
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
// never removed. An End of zero means that it is still open.
type Gap struct {
	ID        string // unique within the session
	SessionID string
	ExamID    string
	Start     time.Time
	End       time.Time
	Cause     Cause
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

// ProposeLostTime fills in what each finished, undecided gap of one session proposes.
// Our own outages come in full; what the student's own link lost is capped over all
// the session's gaps, those already granted included, so that unplugging cannot buy
// time. The gaps must be in order of their start.
func ProposeLostTime(p Policy, gaps []Gap) []Gap {
	left := time.Duration(p.LostTimeCap) * time.Minute
	for _, g := range gaps {
		if g.Cause != CauseServer && g.Decision == GapGranted {
			left -= g.Proposed
		}
	}
	out := make([]Gap, len(gaps))
	for i, g := range gaps {
		if g.Decision == GapUndecided {
			g.Proposed = p.Propose(g)
			if g.Cause != CauseServer {
				g.Proposed = max(0, min(g.Proposed, left))
				left -= g.Proposed
			}
		}
		out[i] = g
	}
	return out
}
