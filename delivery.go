package vigil

import (
	"slices"
	"time"
)

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

// Applied says what a platform did about a request. Our plugin says so (docs/assertion.md);
// others do not.
type Applied string

// What a platform did.
const (
	AppliedUnsaid Applied = ""       // it does not say
	AppliedNow    Applied = "now"    // it did it
	AppliedBefore Applied = "before" // it had done it: the request is a repeat, or it stood like that already
	AppliedNo     Applied = "no"     // it did not do it, for a reason
)

// NoReason is why our plugin did not do what it was asked for.
type NoReason string

// The reasons.
const (
	NoNotBegun     NoReason = "not_begun"     // the attempt has yet to be opened
	NoEnded        NoReason = "ended"         // it has ended; the status says how
	NoGone         NoReason = "gone"          // it was deleted
	NoSwitchedOff  NoReason = "switched_off"  // proctoring of the quiz was switched off
	NoEnd          NoReason = "no_end"        // it has no end that extra time could move
	NoCannotReopen NoReason = "cannot_reopen" // it was marked since, or a later attempt has begun
	NoOverride     NoReason = "override"      // the platform refused the quiz's new times for this student
)

// The platform's words for how an attempt stands (LTI Proctoring Services 1.0, section 4).
const (
	StatusNone       = "none"
	StatusRunning    = "running"
	StatusPaused     = "paused"
	StatusTerminated = "terminated"
	StatusComplete   = "complete"
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
	ID           string // a UUIDv7; the request's id, by which our plugin knows a repeat
	SessionID    string
	ExamID       string
	CommandID    string
	Version      int64 // of the session with which it was queued: what was queued first is sent first
	Action       string
	ExtraMinutes int       // update; reckoned again by Prepare
	IncidentTime time.Time // the same at every try: older plugins know a repeat by it
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

// Result is the outcome of one try. An accepted one is judged by what the platform says of
// it: that it answered is nothing.
type Result struct {
	State   LMSState // accepted: it answered; refused, unknown, or failed: nothing reached it
	Status  string
	Applied Applied
	Reason  NoReason
	Problem string
	// Retry asks for another try where the state is failed or unknown.
	Retry bool
}

// judged is the result as it counts for an action: what our plugin says that it did, and of
// other platforms the status that the action leads to. A platform that names no status
// (Open edX) is taken at its word, for there is no other.
func (r Result) judged(action string) Result {
	if r.State != LMSAccepted || r.Applied == AppliedNow || r.Applied == AppliedBefore {
		return r
	}
	if r.Applied == AppliedUnsaid && (r.Status == "" || action == ActionFlag || slices.Contains(reached[action], r.Status)) {
		return r
	}
	if action == ActionUpdate && (r.Reason == NoNotBegun || r.Applied == AppliedUnsaid && r.Status == StatusNone) {
		// The attempt is about to be opened: the request waits for it.
		r.State, r.Retry, r.Problem = LMSFailed, true, "The attempt has not begun in the learning platform."
		return r
	}
	r.State, r.Problem = LMSRefused, r.words(action)
	return r
}

// reached are the statuses that say that an action was done.
var reached = map[string][]string{
	ActionPause:     {StatusPaused},
	ActionResume:    {StatusRunning},
	ActionTerminate: {StatusTerminated},
	ActionUpdate:    {StatusRunning, StatusPaused},
}

// words tell a proctor why the platform did not do something.
func (r Result) words(action string) string {
	switch r.Reason {
	case NoNotBegun:
		return "The attempt has not begun in the learning platform."
	case NoGone:
		return "The attempt was deleted in the learning platform."
	case NoSwitchedOff:
		return "Proctoring of this quiz was switched off in the learning platform."
	case NoEnd:
		return "The attempt has no time limit and no closing time: there is no end to move."
	case NoCannotReopen:
		return "The learning platform cannot reopen this attempt: it was marked since, or the student has begun a later one."
	case NoOverride:
		return "The learning platform refused the new times: they contradict the quiz's own, such as its due date."
	}
	switch r.Status {
	case StatusComplete:
		if action == ActionTerminate {
			return "The student was first: the attempt had been handed in, or its time had run out."
		}
		return "The attempt is over in the learning platform."
	case StatusTerminated:
		return "The attempt was ended in the learning platform."
	case StatusNone:
		return "The learning platform knows no running attempt."
	case StatusPaused:
		return "The learning platform did not do it; the attempt is paused there."
	case StatusRunning:
		return "The learning platform did not do it; the attempt is running there."
	}
	return "The learning platform did not do it."
}

// Repeatable tells whether a delivery whose outcome is not known may be sent again:
// everything but extra time can be (pausing twice is pausing once), extra time only to
// our plugin, which knows a repeat.
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
	r = r.judged(d.Action)
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

// Overtaken tells why a request is not sent any more though it was right when it was made;
// empty: it is sent. A platform that is asked to let an ended attempt go on opens it again, so
// that a resumption must have been asked for after the end, not before it.
func (s Session) Overtaken(d Delivery) string {
	if d.Action == ActionResume && s.State == StateTerminated {
		return "A proctor has ended the attempt meanwhile."
	}
	return ""
}

// Abandoned is a lease that ended without a result: its node may have died between
// sending and storing. Whoever leases the entry next finds it marked as Sent.
func (d Delivery) Abandoned(now time.Time) bool {
	return d.LeaseOwner != "" && !now.Before(d.LeaseEnds)
}

// Answer applies the platform's answer to a delivery of command c to the session and
// the command: extra time and a termination take effect now, if it did them. A pause and a
// resumption took effect at once; where the platform refused them they are taken back, so
// that both sides agree. Where its status says that the attempt is over, it is over. told
// says whether the student's browser must be told of the command. A session that ended in the
// meantime stays as it is, but for one whose end the platform reported before it answered that
// it was the proctor's; an answer that was applied before changes nothing. The session's
// version moves only if the session changed.
func (s Session) Answer(c Command, d Delivery, a LMSAnswer, now time.Time) (out Session, cmd Command, told bool) {
	c.LMS = a
	if a.State == LMSWaiting {
		return s, c, false
	}
	if g := s.grant(c.ID); g.State == GrantConfirmed { // by an answer of which nothing else was stored
		a.State, a.Problem = LMSAccepted, ""
		c.LMS = a
	}
	ok, no := a.State == LMSAccepted, a.State == LMSRefused || a.State == LMSFailed
	switch c.Kind {
	case CommandExtend:
		// Unknown stays pending: it never makes the session expire too early.
		if (ok || no) && s.pendingGrant(c.ID) {
			to, taken := GrantRefused, time.Duration(0)
			if ok {
				to, taken = GrantConfirmed, time.Duration(d.ExtraMinutes)*time.Minute
				s.Carry += taken - c.Time
			}
			s = s.SettleGrant(c.ID, to, taken, now)
			s.Version++
			told = ok
		}
	case CommandTerminate:
		if ok && s.Plugin && a.Status == StatusComplete && s.State != StateSubmitted {
			// It did that once, and has let the attempt go on since: the student handed in.
			if next, err := s.Apply(Change{Event: EventSubmit, At: now, By: Actor{Role: RoleLMS, ID: s.PlatformID}}); err == nil {
				s = next
			}
			break
		}
		change := Change{Event: EventTerminate, At: now, By: c.By, Reason: c.Text}
		if s.State == StateSubmitted { // a report of the end is no contradiction: the answer says how it came
			change.At = s.Ended
			ok = ok && s.By.Role == RoleLMS && a.Status == StatusTerminated
		}
		if next, err := s.Apply(change); ok && err == nil {
			s, told = next, true
		}
	case CommandPause, CommandResume:
		if !no {
			s = s.answered(c, d, now)
		}
	}
	if no {
		s = s.follow(c, d, a, now)
		if c.Kind != CommandFlag { // which needs nobody but us
			c.Stage, c.Problem = StageRefused, a.Problem
		}
	}
	return s, c, told
}

// follow makes the session what the platform says that it is, where it refused a command or
// was never reached by it: a pause or a resumption that it did not take never was, and an
// attempt that is over there is over.
func (s Session) follow(c Command, d Delivery, a LMSAnswer, now time.Time) Session {
	lms := Actor{Role: RoleLMS, ID: s.PlatformID}
	var change Change
	switch {
	case a.Status == StatusComplete, a.Status == StatusTerminated && c.Kind != CommandResume:
		change = Change{Event: EventSubmit, At: now, By: lms}
	case a.Status == StatusTerminated: // an end that was taken back here, and cannot be there
		change = Change{Event: EventTerminate, At: now, By: c.By, Reason: a.Problem}
	case c.Kind == CommandPause:
		return s.withoutPause(c.At, now, lms, a.Problem)
	case c.Kind == CommandResume && (a.Status == StatusPaused || a.Status == ""):
		return s.withoutResumption(d.ID, c.At, now, lms, a.Problem)
	default:
		return s
	}
	next, err := s.Apply(change)
	if err != nil { // it is over already
		return s
	}
	return next
}

// answered notes that the platform has had its say about a pause, or about the end of one, if
// only that nobody knows what it did: a report from after that tells.
func (s Session) answered(c Command, d Delivery, now time.Time) Session {
	if c.Kind == CommandPause {
		if s.State == StatePaused && s.PauseAnswered.IsZero() && !c.At.Before(s.PausedAt) {
			s.PauseAnswered = now
			s.Version++
		}
		return s
	}
	if i := slices.IndexFunc(s.Pauses, func(p Pause) bool { return p.ID != "" && p.ID == d.ID }); i >= 0 && s.Pauses[i].Answered.IsZero() {
		s.Pauses = slices.Clone(s.Pauses)
		s.Pauses[i].Answered = now
		s.Version++
	}
	return s
}

// withoutPause takes back a pause that the platform did not take, given at a moment: its clock
// never stood. The pause may have ended here in the meantime.
func (s Session) withoutPause(at, now time.Time, by Actor, why string) Session {
	if s.State == StatePaused && s.PausedAt.Equal(at) {
		next, err := s.Apply(Change{Event: EventUnpause, At: now, By: by, Reason: why})
		if err != nil { // every paused session may go on
			return s
		}
		return next
	}
	i := slices.IndexFunc(s.Pauses, func(p Pause) bool { return p.From.Equal(at) })
	if i < 0 || s.State.Ended() {
		return s
	}
	p := s.Pauses[i]
	s.Pauses = slices.Delete(slices.Clone(s.Pauses), i, i+1)
	settled := p.To.Add(reportSettles).Before(s.EndSeen) // the end was told since
	return s.stood(p.From.Sub(p.To), !settled)
}

// withoutResumption takes back a resumption that the platform did not take, by the id of its
// request: the pause goes on as if it had not ended, and a later one is part of it.
func (s Session) withoutResumption(id string, at, now time.Time, by Actor, why string) Session {
	i := slices.IndexFunc(s.Pauses, func(p Pause) bool { return p.ID != "" && p.ID == id })
	if i < 0 || s.State.Ended() && s.State != StateExpired {
		return s
	}
	return s.rejoin(i, at, now, by, why)
}

// rejoin takes back that a pause ended, from a moment on: it goes on, and a later one is part of
// it. The platform has it, as is known now.
func (s Session) rejoin(i int, at, now time.Time, by Actor, why string) Session {
	p, last := s.Pauses[i], i == len(s.Pauses)-1
	pauses := slices.Delete(slices.Clone(s.Pauses), i, i+1)
	if !last { // it had been paused again: the clock stood in between, too
		between := pauses[i].From.Sub(p.To)
		pauses[i].From, s.Pauses = p.From, pauses
		return s.stood(between, true)
	}
	for _, e := range []Event{EventReopen, EventPause} { // where its time was up
		if next, err := s.Apply(Change{Event: e, At: at, By: by, Reason: why}); err == nil {
			s = next
		}
	}
	s.Pauses, s.PausedAt, s.PauseAnswered = pauses, p.From, now
	return s.stood(p.From.Sub(p.To), true)
}

// stood corrects for how long the attempt's clock stood in finished pauses, and with it, where
// the platform has not told its own since, the end.
func (s Session) stood(by time.Duration, end bool) Session {
	s.PausedTotal += by
	if end && !s.End.IsZero() {
		s.End = s.End.Add(by)
	}
	s.Version++
	return s
}
