package vigil

import "time"

// State is where a session stands in its life. Whether we can reach the student is
// not part of it (see Connection).
type State string

// The states: created → ready → [awaiting → authorized] → active ⇄ paused → submitted |
// terminated | expired | stopped; before the start also canceled. Whether an attempt is
// over, and how, is the platform's to say: time_up and expired are what we conclude until
// it has said so, and give way to its word whenever that comes.
const (
	StateCreated    State = "created"    // by the verified StartProctoring
	StateReady      State = "ready"      // the student consented
	StateAwaiting   State = "awaiting"   // waits for a proctor's admission
	StateAuthorized State = "authorized" // admitted
	StateActive     State = "active"     // works
	StatePaused     State = "paused"     // stopped by a proctor; the clock stands
	StateSubmitted  State = "submitted"  // the attempt ended in order
	StateTerminated State = "terminated" // a proctor ended it
	StateExpired    State = "expired"    // the time is over and nobody reported an end
	StateCanceled   State = "canceled"   // never began
	StateTimeUp     State = "time_up"    // the time is over by what we know; the platform's report is awaited
	StateStopped    State = "stopped"    // proctoring was switched off; the attempt goes on without us
)

// States lists all states in the order of their life.
var States = []State{
	StateCreated, StateReady, StateAwaiting, StateAuthorized, StateActive, StatePaused,
	StateTimeUp, StateSubmitted, StateTerminated, StateExpired, StateStopped, StateCanceled,
}

// Ended tells whether nobody is watched any more. Only a reactivation and the platform's
// word lead out of such a state.
func (s State) Ended() bool {
	switch s {
	case StateSubmitted, StateTerminated, StateExpired, StateStopped, StateCanceled:
		return true
	}
	return false
}

// Started tells whether the attempt is running: begun, and not over by what we know.
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

	Consents []Consent // the last MaxConsents agreements to the notice, oldest first

	State   State
	Version int64 // of the lifecycle; every change is conditional on it
	Created time.Time
	Ready   time.Time
	Started time.Time
	Ended   time.Time
	Changed time.Time // last change of state
	By      Actor     // of the last change
	Reason  string    // of the last change

	PausedAt      time.Time     // while paused
	PauseAnswered time.Time     // while paused: when the platform had had its say about the pause; zero: not yet
	PausedTotal   time.Duration // of finished pauses
	Pauses        []Pause       // the last MaxPauses finished ones, oldest first
	End           time.Time     // end of the attempt as the platform last reported it, while paused as of the start of the pause; zero: none
	EndSeen       time.Time     // when the platform said so, by its clock
	Grants        []Grant       // time given by proctors
	Carry         time.Duration // time that the platform took too much, by rounding up to minutes
	DueAt         time.Time     // when the session must be looked at, though nothing happens (NextDue); zero: never

	Sent          time.Time // when the student was last sent to the platform to begin (StartAssessment)
	Opened        time.Time // when the platform served the first page of the attempt, as it says, by our clock; zero: it has not said so
	Unwatched     time.Time // since when nobody watched the attempt, which was open; zero: that never came
	UnwatchedEnd  time.Time // when that ended; zero: it goes on
	UnwatchedRoom bool      // it was the same with many others

	// The student's groups at the platform, and the version of that word (Access.Version); kept
	// apart: not part of Version.
	Groups        []Group
	GroupsVersion int64

	Presence Presence // kept apart: not part of Version
	Tally    Tally    // kept apart: not part of Version
	Monitor  Monitor  // kept apart: not part of Version
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

// Grant is time that a proctor gave. It is named by its command; the platform knows it by
// ID, and names it in its reports once the end that it tells holds the time.
type Grant struct {
	CommandID string        `json:"command"`
	ID        string        `json:"id,omitempty"` // of the request to the platform (Delivery.ID); empty: not asked yet, or never
	Time      time.Duration `json:"time"`
	Taken     time.Duration `json:"taken,omitempty"` // what the platform made of it: Time rounded up to minutes
	State     GrantState    `json:"state"`
	At        time.Time     `json:"at"`             // when it took this state
	Held      bool          `json:"held,omitempty"` // Session.End holds it
	Own       bool          `json:"own,omitempty"`  // no platform is told of it: no reported end ever holds it
}

// length is what the grant moves the end by.
func (g Grant) length() time.Duration {
	if g.State == GrantConfirmed && g.Taken > 0 {
		return g.Taken
	}
	return g.Time
}

// Pause is a stretch in which the attempt's clock stood. The platform knows the end of it
// by ID (Delivery.ID), and names it in its reports once the end that it tells holds the
// time; empty: it was not told.
type Pause struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	ID       string    `json:"id,omitempty"`
	Answered time.Time `json:"answered,omitzero"` // when the platform had had its say about the end of it; zero: not yet
}

// MaxPauses bounds the finished pauses that a session remembers.
const MaxPauses = 32
