package vigil

import (
	"strings"
	"time"
)

// ReviewState is where the human review of an incident stands.
type ReviewState string

// The states: none → [pending →] cleared | upheld, and upheld → appealed → overturned |
// upheld. A decision that nobody appealed against may be taken up again (→ pending).
const (
	ReviewNone       ReviewState = "none"
	ReviewPending    ReviewState = "pending"
	ReviewCleared    ReviewState = "cleared"
	ReviewUpheld     ReviewState = "upheld"
	ReviewAppealed   ReviewState = "appealed"
	ReviewOverturned ReviewState = "overturned"
)

var reviews = map[ReviewState][]ReviewState{
	ReviewNone:     {ReviewPending, ReviewCleared, ReviewUpheld},
	ReviewPending:  {ReviewCleared, ReviewUpheld},
	ReviewCleared:  {ReviewPending},
	ReviewUpheld:   {ReviewPending, ReviewAppealed},
	ReviewAppealed: {ReviewOverturned, ReviewUpheld},
}

// ReviewStates lists the states in order.
var ReviewStates = []ReviewState{ReviewNone, ReviewPending, ReviewCleared, ReviewUpheld, ReviewAppealed, ReviewOverturned}

// Incident is a signal or a gap at or over the exam's attention threshold, with its
// review. Its ID is the signal's id, or "gap/" and the gap's id.
type Incident struct {
	ID        string
	SessionID string
	ExamID    string
	Kind      Kind
	Severity  float64
	At        time.Time // by the server's clock
	Duration  time.Duration
	Review    ReviewState
	Reviewer  Actor
	Note      string
	Reviewed  time.Time
	Version   int64
}

// IncidentOf makes the incident that a signal is.
func IncidentOf(s Signal) Incident {
	return Incident{
		ID: s.ID(), SessionID: s.SessionID, ExamID: s.ExamID, Kind: s.Kind, Severity: s.Severity,
		At: s.Received, Duration: s.Awake(), Review: ReviewNone,
	}
}

// MaxNote is the longest note, reason or message of a proctor, in bytes.
const MaxNote = 2000

// Decide moves the review on. An illegal step is CodeIllegal and changes nothing.
func (i Incident) Decide(to ReviewState, by Actor, note string, now time.Time) (Incident, error) {
	if note = strings.TrimSpace(note); note != "" {
		clean, err := CleanText("note", note, MaxNote)
		if err != nil {
			return i, err
		}
		note = clean
	}
	for _, next := range reviews[i.Review] {
		if next == to {
			i.Review, i.Reviewer, i.Note, i.Reviewed = to, by, note, now
			return i, nil
		}
	}
	return i, Errorf(CodeIllegal, "An incident that is %s cannot become %s.", i.Review, to)
}
