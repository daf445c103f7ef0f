package vigil

import (
	"slices"
	"time"
)

// CommandKind is what a proctor does.
type CommandKind string

// The kinds of commands.
const (
	CommandMessage    CommandKind = "message"    // a text that the student sees
	CommandWarn       CommandKind = "warn"       // a text that the student must acknowledge
	CommandPause      CommandKind = "pause"      // at once
	CommandResume     CommandKind = "resume"     //
	CommandExtend     CommandKind = "extend"     // more time; takes effect when the platform answered
	CommandTerminate  CommandKind = "terminate"  // takes effect when the platform answered
	CommandFlag       CommandKind = "flag"       // marks the attempt for review; the student does not see it
	CommandNote       CommandKind = "note"       // a proctor's own note; nobody else's business
	CommandAdmit      CommandKind = "admit"      // lets a waiting student begin
	CommandReactivate CommandKind = "reactivate" // an instructor takes a termination back
)

// CommandKinds lists the kinds.
var CommandKinds = []CommandKind{
	CommandMessage, CommandWarn, CommandPause, CommandResume, CommandExtend, CommandTerminate,
	CommandFlag, CommandNote, CommandAdmit, CommandReactivate,
}

// Stage is how far a command got on its way to the student. It only moves forward; what the
// student has seen may still be refused by the platform.
type Stage string

// The stages. A refused command changed nothing.
const (
	StageQueued    Stage = "queued"    // stored; the student or the platform has yet to hear of it
	StageDelivered Stage = "delivered" // the student's browser has it
	StageSeen      Stage = "seen"      // the student acknowledged it
	StageRefused   Stage = "refused"   // the rules or the platform did not allow it
	StageDone      Stage = "done"      // needs nobody's acknowledgement and is in effect
)

var stageOrder = map[Stage]int{StageQueued: 0, StageDelivered: 1, StageDone: 2, StageSeen: 2, StageRefused: 3}

// After tells whether a command that stands at old may move to s.
func (s Stage) After(old Stage) bool { return stageOrder[s] > stageOrder[old] }

// Command is what a proctor did to one session. The proctor's browser chooses its id;
// giving the same id again changes nothing.
type Command struct {
	ID         string
	SessionID  string
	ExamID     string
	Kind       CommandKind
	Text       string        // message, warn, note; a reason for the others
	ReasonCode string        // of the tool's own list; may be empty
	Time       time.Duration // extend
	Severity   float64       // flag, 0 to 1
	By         Actor
	At         time.Time

	Stage     Stage
	Problem   string // why it was refused, for the proctor
	Delivered time.Time
	Seen      time.Time
	LMS       LMSAnswer
}

// Limits of a command.
const (
	MinExtend  = time.Second
	MaxExtend  = 4 * time.Hour
	MaxTargets = 2000 // sessions that one command may name
)

// ReasonCodes are what a proctor may give as a reason, beside free text.
var ReasonCodes = []string{"environment", "behaviour", "identity", "illness", "technical", "network", "staff", "lost_time", "other"}

// Validate checks what a proctor's browser sent. It returns CodeInvalid.
func (c Command) Validate() error {
	switch {
	case !ValidID(c.ID):
		return Invalid("id", "A command's id has 8 to 64 letters, digits, - or _.")
	case !slices.Contains(CommandKinds, c.Kind):
		return Invalid("kind", "There is no such command.")
	case c.ReasonCode != "" && !slices.Contains(ReasonCodes, c.ReasonCode):
		return Invalid("reason", "There is no such reason code.")
	case c.Kind == CommandExtend && (c.Time < MinExtend || c.Time > MaxExtend):
		return Invalid("seconds", "Extra time lies between 1 second and 4 hours.")
	case c.Kind != CommandExtend && c.Time != 0:
		return Invalid("seconds", "Only extra time has a length.")
	case !(c.Severity >= 0 && c.Severity <= 1):
		return Invalid("severity", "A severity lies between 0 and 1.")
	}
	if c.Text != "" || c.Kind == CommandMessage || c.Kind == CommandWarn || c.Kind == CommandNote {
		if _, err := CleanText("text", c.Text, MaxNote); err != nil {
			return err
		}
	}
	return nil
}

// Plan is what a command does to a session: what must be stored in one conditional
// write, and what happens after it.
type Plan struct {
	Session  Session   // of another version if its lifecycle or grants changed
	Command  Command   // to be stored with it, idempotent by (session, id)
	Delivery *Delivery // to be queued for the platform in the same write; nil: none, or not before the attempt begins
	ToPeer   bool      // the student's browser is told now, not only after the platform's answer
}

// Do applies a command to a session (as settled at now) by the exam's policy. It
// returns CodeIllegal where the state or the policy does not allow it, and changes
// nothing then. deliveryID names the queue entry, should one be needed.
func (s Session) Do(p Policy, c Command, now time.Time, deliveryID string) (Plan, error) {
	if err := c.Validate(); err != nil {
		return Plan{}, err
	}
	c.SessionID, c.ExamID, c.Stage, c.LMS = s.ID, s.ExamID, StageQueued, LMSAnswer{State: LMSNone}
	if c.At.IsZero() {
		c.At = now
	}
	plan := Plan{Session: s, Command: c}
	change := Change{At: now, By: c.By, Reason: c.Text}
	deliver := func(action string) bool {
		if !s.Offers(action) {
			return false
		}
		plan.Command.LMS.State = LMSWaiting
		plan.Delivery = &Delivery{
			ID: deliveryID, SessionID: s.ID, ExamID: s.ExamID, CommandID: c.ID, Version: s.Version + 1, Action: action,
			IncidentTime: s.incidentTime(now), Severity: c.Severity, ReasonCode: c.ReasonCode, Reason: c.Text,
			State: DeliveryWaiting, Created: now, NextTry: now,
		}
		return true
	}
	var err error
	switch c.Kind {
	case CommandMessage, CommandWarn:
		if s.State.Ended() {
			return Plan{}, Errorf(CodeIllegal, "The attempt has ended; nobody would read this.")
		}
		plan.ToPeer = true
	case CommandNote:
		plan.Command.Stage = StageDone
	case CommandFlag:
		deliver(ActionFlag)
		plan.Command.Stage = StageDone
	case CommandAdmit:
		change.Event = EventAdmit
	case CommandReactivate:
		change.Event = EventReactivate
	case CommandPause:
		if !p.Pause {
			return Plan{}, Errorf(CodeIllegal, "This exam's settings do not allow a pause.")
		}
		if s.State == StateTimeUp {
			return Plan{}, Errorf(CodeIllegal, "The time of this attempt is over.")
		}
		change.Event = EventPause
		deliver(ActionPause)
	case CommandResume:
		change.Event = EventResume
		if deliver(ActionResume) {
			change.RequestID = deliveryID
		}
	case CommandTerminate:
		if !s.State.Started() && s.State != StateTimeUp {
			return Plan{}, Errorf(CodeIllegal, "An attempt that is %s cannot be ended.", s.State)
		}
		if !deliver(ActionTerminate) {
			change.Event = EventTerminate
		}
	case CommandExtend:
		err = plan.extend(p, c, now, deliver)
	}
	if err != nil {
		return Plan{}, err
	}
	if change.Event != "" {
		plan.Session, err = plan.Session.Apply(change)
		if err != nil {
			return Plan{}, err
		}
		plan.ToPeer = true
	}
	return plan, nil
}

// extend adds the grant. With a platform that takes extra time it is pending until the
// platform answered, and before the attempt begins the platform is not even asked (Unsent);
// without one it is in effect at once, if there is a clock of ours that it could move. What
// earlier extensions were rounded up by is taken off only when the platform has taken them
// all: Prepare reckons again before the request is sent.
func (plan *Plan) extend(p Policy, c Command, now time.Time, deliver func(string) bool) error {
	s := plan.Session
	if s.State.Ended() {
		return Errorf(CodeIllegal, "The attempt has ended; time can no longer be given.")
	}
	g := Grant{CommandID: c.ID, Time: c.Time, State: GrantPending, At: now}
	carry := s.Carry
	if s.pendingGrant("") {
		carry = 0
	}
	minutes, carry := WholeMinutes(c.Time, carry)
	switch {
	case !s.Offers(ActionUpdate) && s.Deadline(p).IsZero():
		return Errorf(CodeIllegal, "This attempt has no end that Vigil knows, and its platform takes no extra time from us.")
	case !s.Offers(ActionUpdate):
		g.State, g.Own, plan.ToPeer = GrantConfirmed, true, true
	case !s.State.Started() && s.State != StateTimeUp:
		if s.unsent() >= MaxTogether { // which is what one step can queue
			return Errorf(CodeIllegal, "This attempt has been given time %d times before it began. Give more when it has begun.", MaxTogether)
		}
		plan.Command.LMS.State = LMSWaiting
	case minutes == 0: // an earlier extension was rounded up by more than this, and holds it
		g.State, g.Held, plan.ToPeer = GrantConfirmed, true, true
		s.Carry = carry
	default:
		deliver(ActionUpdate)
		plan.Delivery.ExtraMinutes = minutes
		g.ID, g.At = plan.Delivery.ID, plan.Delivery.IncidentTime
	}
	s.Grants = append(slices.Clone(s.Grants), g)
	s.Version++
	plan.Session = s
	return nil
}

// Unsent gives out the requests for extra time that was granted before the attempt began,
// to be queued with the step that begins it, or by which it never will: then the queue refuses
// them. ids makes their ids.
func (s Session) Unsent(now time.Time, ids func() string) (Session, []Delivery) {
	var out []Delivery
	s.Grants = slices.Clone(s.Grants)
	for i := range s.Grants {
		g := &s.Grants[i]
		if !g.unsent() {
			continue
		}
		minutes, _ := WholeMinutes(g.Time, 0)
		g.ID, g.At = ids(), s.incidentTime(now)
		out = append(out, Delivery{
			ID: g.ID, SessionID: s.ID, ExamID: s.ExamID, CommandID: g.CommandID, Version: s.Version, Action: ActionUpdate, ExtraMinutes: minutes,
			IncidentTime: g.At, State: DeliveryWaiting, Created: now, NextTry: now,
		})
	}
	return s, out
}

// unsent tells whether a grant waits for the attempt to begin.
func (g Grant) unsent() bool { return g.State == GrantPending && g.ID == "" && !g.Own }

// unsent counts the grants that wait for the attempt to begin.
func (s Session) unsent() int {
	n := 0
	for _, g := range s.Grants {
		if g.unsent() {
			n++
		}
	}
	return n
}

// incidentTime makes the time by which our plugin tells a repeated extension from a new
// one: in whole milliseconds, as it is stored and sent, and of no other extension that
// is still on its way.
func (s Session) incidentTime(now time.Time) time.Time {
	t := now.Truncate(time.Millisecond)
	for _, g := range s.Grants {
		if g.State == GrantPending && !t.After(g.At) {
			t = g.At.Truncate(time.Millisecond).Add(time.Millisecond)
		}
	}
	return t
}
