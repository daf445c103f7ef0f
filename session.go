package vigil

import "time"

// State is where a session stands in its life. Whether we can reach the student is
// not part of it (see Connection).
type State string

// The states: created → ready → [awaiting → authorized] → active ⇄ paused → submitted |
// terminated | expired; before the start also canceled.
const (
	StateCreated    State = "created"    // by the verified StartProctoring
	StateReady      State = "ready"      // the student consented
	StateAwaiting   State = "awaiting"   // waits for a proctor's admission
	StateAuthorized State = "authorized" // admitted
	StateActive     State = "active"     // works
	StatePaused     State = "paused"     // stopped by a proctor; the clock stands
	StateSubmitted  State = "submitted"  // the attempt ended in order
	StateTerminated State = "terminated" // a proctor ended it
	StateExpired    State = "expired"    // nobody reported an end and the time is over
	StateCanceled   State = "canceled"   // never began
)

// States lists all states in the order of their life.
var States = []State{
	StateCreated, StateReady, StateAwaiting, StateAuthorized, StateActive, StatePaused,
	StateSubmitted, StateTerminated, StateExpired, StateCanceled,
}

// Ended tells whether the state is final (but for a reactivation).
func (s State) Ended() bool {
	switch s {
	case StateSubmitted, StateTerminated, StateExpired, StateCanceled:
		return true
	}
	return false
}

// Started tells whether the attempt has begun.
func (s State) Started() bool { return s == StateActive || s == StatePaused }

// Session is one student's numbered attempt at an exam. It is created once, by the
// first verified launch of that attempt. Exam, user, attempt and generation name it.
type Session struct {
	ID         string // ours, a UUIDv7
	ExamID     string
	UserID     string // the platform's sub; unique within the exam's issuer
	Name       string // for proctors; may be empty
	Attempt    int    // 1 and up, the platform's attempt number
	Generation int    // 1 and up: platforms reuse attempt numbers
	Previous   string // the session of the generation before

	PlatformID     string // where it was launched from, and is reported to
	DeploymentID   string
	ResourceLinkID string
	Plugin         bool     // the platform's side is our plugin
	Locale         string   // BCP 47, may be empty
	ControlURL     string   // Assessment Control; empty: the platform offers none
	ControlActions []string // what it offers
	ReturnURL      string   // where an ended session leads back to; may be empty

	State   State
	Version int64 // of the lifecycle; every change is conditional on it
	Created time.Time
	Ready   time.Time
	Started time.Time
	Ended   time.Time
	Changed time.Time // last change of state
	By      Actor     // of the last change
	Reason  string    // of the last change

	PausedAt    time.Time     // while paused
	PausedTotal time.Duration // of finished pauses
	End         time.Time     // end of the attempt as the platform last reported it; zero: none
	EndSeen     time.Time     // when the platform said so
	Grants      []Grant       // time given by proctors
	Carry       time.Duration // time that the platform took too much, by rounding up to minutes

	Presence Presence // kept apart: not part of Version
	Tally    Tally    // kept apart: not part of Version
}

// Tally holds a session's running counts, kept by the store as signals and chat
// arrive.
type Tally struct {
	Signals   int       // stored
	Incidents int       // of those
	Open      int       // incidents without a review that ended
	Severity  float64   // the highest
	LastKind  Kind      // of the last incident
	LastAt    time.Time // of the last incident
	Hand      time.Time // when the hand was raised; zero: it is down
	Unread    int       // chat lines of the student that no proctor saw
}

// GrantState says whether the platform confirmed a grant.
type GrantState string

// The states of a grant.
const (
	GrantPending   GrantState = "pending"
	GrantConfirmed GrantState = "confirmed"
	GrantRefused   GrantState = "refused"
)

// Grant is time that a proctor gave.
type Grant struct {
	CommandID string        `json:"command"`
	Time      time.Duration `json:"time"`
	State     GrantState    `json:"state"`
	At        time.Time     `json:"at"` // when it took this state
}
