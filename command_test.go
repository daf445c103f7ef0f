package vigil

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample makes a valid command of a kind.
func sample(k CommandKind) Command {
	c := Command{ID: "command-1", Kind: k, By: Actor{Role: RoleProctor, ID: "p|1"}}
	switch k {
	case CommandMessage, CommandWarn, CommandNote:
		c.Text = "Please look at your own screen."
	case CommandExtend:
		c.Time = 90 * time.Second
	case CommandFlag:
		c.Severity = 0.6
	}
	return c
}

var (
	beforeTheEnd = []State{StateCreated, StateReady, StateAwaiting, StateAuthorized, StateActive, StatePaused, StateTimeUp}
	legalIn      = map[CommandKind][]State{
		CommandMessage: beforeTheEnd, CommandWarn: beforeTheEnd, CommandExtend: beforeTheEnd,
		CommandNote: States, CommandFlag: States,
		CommandPause: {StateActive}, CommandResume: {StatePaused}, CommandTerminate: {StateActive, StatePaused, StateTimeUp},
		CommandAdmit: {StateAwaiting}, CommandReactivate: {StateTerminated},
	}
	actionOf = map[CommandKind]string{
		CommandPause: ActionPause, CommandResume: ActionResume, CommandTerminate: ActionTerminate,
		CommandExtend: ActionUpdate, CommandFlag: ActionFlag,
	}
	leadsTo = map[CommandKind]State{
		CommandPause: StatePaused, CommandResume: StateActive, CommandTerminate: StateTerminated,
		CommandAdmit: StateAuthorized, CommandReactivate: StatePaused,
	}
)

// TestEveryCommandInEveryState covers kind × state × may pause × what the platform
// offers × whether the attempt has an end.
func TestEveryCommandInEveryState(t *testing.T) {
	now := t0.Add(time.Hour)
	for _, kind := range CommandKinds {
		for _, state := range States {
			for bits := range 8 {
				mayPause, offers, timed := bits&1 > 0, bits&2 > 0, bits&4 > 0
				p := DefaultPolicy()
				p.Pause = mayPause
				s := Session{ID: "s", ExamID: "e", State: state, Version: 3, Grants: make([]Grant, 0, 8), PausedAt: t0, Ended: t0}
				if offers {
					s.ControlURL, s.ControlActions = "https://lms.example/control", deliveryActions
				}
				if timed {
					s.End, s.EndSeen = t0.Add(3*time.Hour), t0
				}
				legal := slices.Contains(legalIn[kind], state)
				if kind == CommandPause && !mayPause || kind == CommandExtend && !offers && !timed {
					legal = false
				}
				given := s
				plan, err := s.Do(p, sample(kind), now, "delivery-1")
				if !reflect.DeepEqual(s, given) {
					t.Errorf("%s when %s: the session given was changed", kind, state)
				}
				if s.Grants[:1][0] != (Grant{}) {
					t.Fatalf("%s when %s: the plan's grants lie in the given session's memory", kind, state)
				}
				if !legal {
					if !errors.Is(err, ErrIllegal) || !reflect.DeepEqual(plan, Plan{}) {
						t.Errorf("%s when %s (%d): got %+v, %v, want nothing and %s", kind, state, bits, plan, err, CodeIllegal)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s when %s (%d): got %v, want none", kind, state, bits, err)
					continue
				}
				sent := offers && actionOf[kind] != ""
				kept := sent && kind == CommandExtend && !state.Started() && state != StateTimeUp // until the attempt begins
				want, later := state, sent && kind == CommandTerminate
				if to, moves := leadsTo[kind]; moves && !later {
					want = to
				}
				if plan.Session.State != want {
					t.Errorf("%s when %s (%d): got %s, want %s", kind, state, bits, plan.Session.State, want)
				}
				changed := want != state || kind == CommandExtend
				if changed != (plan.Session.Version == 4) || !changed && plan.Session.Version != 3 {
					t.Errorf("%s when %s (%d): got version %d of 3, changed should be %v", kind, state, bits, plan.Session.Version, changed)
				}
				toPeer := kind != CommandNote && kind != CommandFlag && !later && !(kind == CommandExtend && sent)
				if plan.ToPeer != toPeer {
					t.Errorf("%s when %s (%d): the student is told is %v, want %v", kind, state, bits, plan.ToPeer, toPeer)
				}
				stage, lms := StageQueued, LMSNone
				if kind == CommandNote || kind == CommandFlag {
					stage = StageDone
				}
				if sent {
					lms = LMSWaiting
				}
				c := plan.Command
				if c.Stage != stage || c.LMS.State != lms || c.SessionID != "s" || c.ExamID != "e" || !c.At.Equal(now) {
					t.Errorf("%s when %s (%d): got command %+v, want %s, %s, of s in e, at %v", kind, state, bits, c, stage, lms, now)
				}
				if (plan.Delivery != nil) != (sent && !kept) {
					t.Errorf("%s when %s (%d): got delivery %v, want one: %v", kind, state, bits, plan.Delivery, sent && !kept)
					continue
				}
				if d := plan.Delivery; d != nil && (d.Action != actionOf[kind] || d.CommandID != c.ID || d.ID != "delivery-1" ||
					d.SessionID != "s" || d.ExamID != "e" || d.Version != 4 || d.State != DeliveryWaiting || d.Sent || d.Tries != 0 ||
					!d.NextTry.Equal(now) || d.Severity != c.Severity || (d.ExtraMinutes != 0) != (kind == CommandExtend)) {
					t.Errorf("%s when %s (%d): got delivery %+v", kind, state, bits, *d)
				}
				if kind == CommandExtend {
					grant := Grant{CommandID: c.ID, Time: 90 * time.Second, State: GrantConfirmed, At: now, Own: !sent}
					if sent {
						grant.State = GrantPending
					}
					if sent && !kept {
						grant.ID = "delivery-1"
					}
					if got := plan.Session.Grants; len(got) != 1 || got[0] != grant {
						t.Errorf("extend when %s (%d): got grants %+v, want %+v", state, bits, got, grant)
					}
				}
			}
		}
	}
}

func TestOnlyOfferedActionsAreSent(t *testing.T) {
	for _, s := range []Session{
		{State: StateActive, ControlURL: "https://lms.example/c", ControlActions: []string{ActionFlag}},
		{State: StateActive, ControlActions: deliveryActions},
	} {
		plan, err := s.Do(DefaultPolicy(), sample(CommandPause), t0, "d")
		if err != nil || plan.Delivery != nil || plan.Command.LMS.State != LMSNone {
			t.Errorf("got %+v, %v, want a pause that the platform is not told of", plan.Delivery, err)
		}
	}
}

func TestExtensionsOfOneMomentAreToldApart(t *testing.T) {
	s := Session{State: StateActive, ControlURL: "https://lms.example/c", ControlActions: deliveryActions}
	now := t0.Add(123 * time.Microsecond)
	seen := map[int64]bool{}
	for _, id := range []string{"command-1", "command-2", "command-3"} {
		c := sample(CommandExtend)
		c.ID = id
		plan, err := s.Do(DefaultPolicy(), c, now, "d")
		if err != nil {
			t.Fatal(err)
		}
		at := plan.Delivery.IncidentTime
		if !at.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("incident time: got %v, want whole milliseconds", at)
		}
		if seen[at.UnixMilli()] {
			t.Errorf("%s has the incident time of another: %v", id, at)
		}
		seen[at.UnixMilli()] = true
		s = plan.Session
	}
}

func TestCommandValidateNamesTheField(t *testing.T) {
	tests := []struct {
		name  string
		kind  CommandKind
		spoil func(*Command)
		field string
	}{
		{"no id", CommandPause, func(c *Command) { c.ID = "" }, "id"},
		{"a short id", CommandPause, func(c *Command) { c.ID = "1234567" }, "id"},
		{"no such kind", CommandPause, func(c *Command) { c.Kind = "delete" }, "kind"},
		{"no such reason", CommandPause, func(c *Command) { c.ReasonCode = "mood" }, "reason"},
		{"a reason", CommandPause, func(c *Command) { c.ReasonCode = "illness" }, ""},
		{"no time", CommandExtend, func(c *Command) { c.Time = 0 }, "seconds"},
		{"too little time", CommandExtend, func(c *Command) { c.Time = time.Second - 1 }, "seconds"},
		{"the least time", CommandExtend, func(c *Command) { c.Time = time.Second }, ""},
		{"the most time", CommandExtend, func(c *Command) { c.Time = 4 * time.Hour }, ""},
		{"too much time", CommandExtend, func(c *Command) { c.Time = 4*time.Hour + 1 }, "seconds"},
		{"time that a pause has not", CommandPause, func(c *Command) { c.Time = time.Minute }, "seconds"},
		{"below 0", CommandFlag, func(c *Command) { c.Severity = -0.1 }, "severity"},
		{"above 1", CommandFlag, func(c *Command) { c.Severity = 1.1 }, "severity"},
		{"not a number", CommandFlag, func(c *Command) { c.Severity = math.NaN() }, "severity"},
		{"an empty message", CommandMessage, func(c *Command) { c.Text = " " }, "text"},
		{"an empty warning", CommandWarn, func(c *Command) { c.Text = "" }, "text"},
		{"an empty note", CommandNote, func(c *Command) { c.Text = "" }, "text"},
		{"no reason given", CommandTerminate, func(c *Command) { c.Text = "" }, ""},
		{"too long", CommandPause, func(c *Command) { c.Text = strings.Repeat("x", MaxNote+1) }, "text"},
		{"control characters", CommandMessage, func(c *Command) { c.Text = "a\x00b" }, "text"},
	}
	for _, k := range CommandKinds {
		if got := fieldOf(sample(k).Validate()); got != "" {
			t.Errorf("%s: got field %q, want none", k, got)
		}
	}
	for _, tt := range tests {
		c := sample(tt.kind)
		tt.spoil(&c)
		if got := fieldOf(c.Validate()); got != tt.field {
			t.Errorf("%s: got field %q, want %q", tt.name, got, tt.field)
		}
		if tt.field == "" {
			continue
		}
		if plan, err := (Session{State: StateActive}).Do(DefaultPolicy(), c, t0, "d"); CodeOf(err) != CodeInvalid || !reflect.DeepEqual(plan, Plan{}) {
			t.Errorf("%s: Do gave %v, want %s and nothing", tt.name, err, CodeInvalid)
		}
	}
}

func TestStagesOnlyMoveForward(t *testing.T) {
	stages := []Stage{StageQueued, StageDelivered, StageSeen, StageRefused, StageDone}
	allowed := map[[2]Stage]bool{
		{StageQueued, StageDelivered}: true, {StageQueued, StageSeen}: true, {StageQueued, StageRefused}: true, {StageQueued, StageDone}: true,
		{StageDelivered, StageSeen}: true, {StageDelivered, StageRefused}: true, {StageDelivered, StageDone}: true,
		{StageSeen, StageRefused}: true, {StageDone, StageRefused}: true, // by the platform
	}
	for _, from := range stages {
		for _, to := range stages {
			if got, want := to.After(from), allowed[[2]Stage{from, to}]; got != want {
				t.Errorf("%s to %s: got %v, want %v", from, to, got, want)
			}
		}
	}
}
