package vigil

import "time"

// Actions of the Assessment Control Service (LTI Proctoring Services 1.0, section 5.1).
const (
	ActionPause     = "pause"
	ActionResume    = "resume"
	ActionTerminate = "terminate"
	ActionUpdate    = "update" // extra time
	ActionFlag      = "flag"
)

// LMSState says what the platform made of a command.
type LMSState string

// The states of the platform's answer.
const (
	LMSNone     LMSState = "none"     // it is not told of this command
	LMSWaiting  LMSState = "waiting"  // queued, or being sent
	LMSAccepted LMSState = "accepted" // it answered that it did it
	LMSRefused  LMSState = "refused"  // it answered that it will not
	LMSFailed   LMSState = "failed"   // it could not be reached in all tries
	LMSUnknown  LMSState = "unknown"  // it may or may not have done it; sending again could double it
)

// Answered tells whether the platform, or the lack of its answer, has had its say.
func (s LMSState) Answered() bool { return s != "" && s != LMSNone && s != LMSWaiting }

// LMSAnswer is what the platform answered to a command. Status is its own word: none,
// running, paused, terminated, complete, or empty where it gave none.
type LMSAnswer struct {
	State   LMSState
	Status  string
	Problem string // for the proctor
	At      time.Time
}

// DeliveryState is where an entry of the queue to the platform stands.
type DeliveryState string

// The states of a delivery. A leased one is with a node until its lease ends.
const (
	DeliveryWaiting DeliveryState = "waiting"
	DeliveryDone    DeliveryState = "done" // answered, given up or unknown: see the command's LMS
)

// Delivery is an entry of the durable queue to the platforms: one Assessment Control
// request. A session's entries are sent in the order in which they were made.
type Delivery struct {
	ID           string // sorts by time of creation (UUIDv7)
	SessionID    string
	ExamID       string
	CommandID    string
	Action       string
	ExtraMinutes int       // update; reckoned again by Prepare
	IncidentTime time.Time // the same at every try: our plugin knows a repeat by it
	Severity     float64
	ReasonCode   string
	Reason       string

	State      DeliveryState
	Tries      int
	Sent       bool // a try went out whose outcome is not known
	Created    time.Time
	NextTry    time.Time
	LeaseOwner string
	LeaseEnds  time.Time
}

// Figures of the queue.
const (
	MaxTries      = 12               // with 6 minutes of waiting between them
	FirstRetry    = time.Second      // doubled at each try
	MaxRetry      = time.Minute      //
	DeliveryLease = 30 * time.Second // longer than one request may take
)

// Result is the outcome of one try.
type Result struct {
	State   LMSState // accepted, refused, unknown, or failed: nothing reached the platform
	Status  string
	Problem string
	// Retry asks for another try where the state is failed or unknown.
	Retry bool
}

// Repeatable tells whether a delivery whose outcome is not known may be sent again:
// everything but extra time can be (pausing twice is pausing once), extra time only to
// our plugin, which knows a repeat by its incident time.
func (d Delivery) Repeatable(plugin bool) bool { return d.Action != ActionUpdate || plugin }

// MaySend tells whether a leased entry may be sent. One whose earlier try may have got
// through, and which is not repeatable, is settled as LMSUnknown instead.
func (d Delivery) MaySend(plugin bool) bool { return !d.Sent || d.Repeatable(plugin) }

// Prepare reckons, right before an entry is sent, how many minutes an extension takes:
// the session's earlier ones have been answered by then, so it is known what they were
// rounded up by. An entry that was sent before stays as it is. No minutes at all means
// that the platform holds the time already: the entry is not sent, but settled as
// LMSAccepted.
func (s Session) Prepare(d Delivery) Delivery {
	if d.Action != ActionUpdate || d.Sent {
		return d
	}
	for _, g := range s.Grants {
		if g.CommandID == d.CommandID && g.State == GrantPending {
			minutes, _ := WholeMinutes(g.Time, s.Carry)
			d.ExtraMinutes = minutes
		}
	}
	return d
}

// Settle applies a try's result. It returns the entry as it must be stored, and the
// answer for the command; answer.State is LMSWaiting while another try will come.
func (d Delivery) Settle(r Result, plugin bool, now time.Time) (Delivery, LMSAnswer) {
	switch r.State {
	case LMSAccepted, LMSRefused, LMSFailed:
	default:
		r.State = LMSUnknown
	}
	d.Tries++
	d.LeaseOwner, d.LeaseEnds = "", time.Time{}
	answer := LMSAnswer{State: r.State, Status: r.Status, Problem: r.Problem, At: now}
	d.Sent = d.Sent || r.State == LMSUnknown
	retry := r.Retry && d.Tries < MaxTries && (r.State == LMSFailed || r.State == LMSUnknown)
	if d.Sent && !d.Repeatable(plugin) {
		retry = false
	}
	if retry {
		d.NextTry = now.Add(min(MaxRetry, FirstRetry<<(d.Tries-1)))
		answer.State = LMSWaiting
		return d, answer
	}
	if r.State == LMSFailed && d.Sent {
		answer.State = LMSUnknown // an earlier try may have got through
	}
	d.State = DeliveryDone
	return d, answer
}

// Abandoned is a lease that ended without a result: its node may have died between
// sending and storing. Whoever leases the entry next finds it marked as Sent.
func (d Delivery) Abandoned(now time.Time) bool {
	return d.LeaseOwner != "" && !now.Before(d.LeaseEnds)
}

// Answer applies the platform's answer to a delivery of command c to the session and
// the command: extra time and a termination take effect now, if it accepted them. told
// says whether the student's browser must be told. A session that ended in the meantime
// stays as it is; an answer that was applied before changes nothing. The session's version moves only if the session changed.
func (s Session) Answer(c Command, d Delivery, a LMSAnswer, now time.Time) (out Session, cmd Command, told bool) {
	c.LMS = a
	if a.State == LMSWaiting {
		return s, c, false
	}
	ok := a.State == LMSAccepted
	switch c.Kind {
	case CommandExtend:
		to := GrantConfirmed
		if !ok && a.State != LMSUnknown {
			to = GrantRefused
		}
		// Unknown stays pending: it never makes the session expire too early.
		if a.State != LMSUnknown && s.pendingGrant(c.ID) {
			s = s.SettleGrant(c.ID, to, now)
			if ok {
				s.Carry += time.Duration(d.ExtraMinutes)*time.Minute - c.Time
			}
			s.Version++
			told = ok
		}
	case CommandTerminate:
		if next, err := s.Apply(Change{Event: EventTerminate, At: now, By: c.By, Reason: c.Text}); ok && err == nil {
			s, told = next, true
		}
	}
	if !ok && a.State != LMSUnknown && (c.Kind == CommandExtend || c.Kind == CommandTerminate) {
		c.Stage, c.Problem = StageRefused, a.Problem
	}
	return s, c, told
}
