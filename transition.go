package vigil

import (
	"slices"
	"time"
)

// Event is something that moves a session on.
type Event string

// The events.
const (
	EventConsent    Event = "consent"    // the student agreed
	EventAwait      Event = "await"      // the exam wants admission
	EventAdmit      Event = "admit"      // a proctor admitted
	EventActivate   Event = "activate"   // first assertion from the quiz page, or StartAssessment without our plugin
	EventPause      Event = "pause"      //
	EventResume     Event = "resume"     //
	EventSubmit     Event = "submit"     // the platform reported the end
	EventTerminate  Event = "terminate"  // a proctor's decision took effect
	EventTimeUp     Event = "time_up"    // the time is over; the platform's report is awaited
	EventReopen     Event = "reopen"     // the platform says that what we called over goes on
	EventExpire     Event = "expire"     // the time is over and nobody reported an end
	EventCancel     Event = "cancel"     // it never began
	EventReactivate Event = "reactivate" // an instructor's
	EventDelete     Event = "delete"     // the platform deleted the attempt that a proctor had ended
	EventUnpause    Event = "unpause"    // the platform did not take a pause: its clock never stood
	EventStop       Event = "stop"       // proctoring was switched off in the platform
	EventOpen       Event = "open"       // the platform says that the attempt has been opened
)

// Events lists all events.
var Events = []Event{
	EventConsent, EventAwait, EventAdmit, EventActivate, EventPause, EventResume,
	EventSubmit, EventTerminate, EventTimeUp, EventReopen, EventExpire, EventCancel, EventReactivate, EventDelete,
	EventUnpause, EventStop, EventOpen,
}

// transitions is the whole lifecycle; what is not in it is illegal. An attempt that
// the platform ends, or whose time runs out, before the start was never begun: it is
// canceled, until the platform says that it had been opened.
var transitions = map[State]map[Event]State{
	StateCreated: {
		EventConsent: StateReady, EventOpen: StateActive,
		EventCancel: StateCanceled, EventExpire: StateCanceled, EventSubmit: StateCanceled, EventStop: StateCanceled,
	},
	StateReady: {
		EventAwait: StateAwaiting, EventActivate: StateActive, EventOpen: StateActive,
		EventCancel: StateCanceled, EventExpire: StateCanceled, EventSubmit: StateCanceled, EventStop: StateCanceled,
	},
	StateAwaiting: {
		EventAdmit: StateAuthorized, EventOpen: StateActive,
		EventCancel: StateCanceled, EventExpire: StateCanceled, EventSubmit: StateCanceled, EventStop: StateCanceled,
	},
	StateAuthorized: {
		EventActivate: StateActive, EventOpen: StateActive,
		EventCancel: StateCanceled, EventExpire: StateCanceled, EventSubmit: StateCanceled, EventStop: StateCanceled,
	},
	StateActive: {
		EventPause: StatePaused, EventTimeUp: StateTimeUp,
		EventSubmit: StateSubmitted, EventTerminate: StateTerminated, EventExpire: StateExpired, EventStop: StateStopped,
	},
	StatePaused: {
		EventResume: StateActive, EventUnpause: StateActive,
		EventSubmit: StateSubmitted, EventTerminate: StateTerminated, EventExpire: StateExpired, EventStop: StateStopped,
	},
	StateTimeUp: {
		EventReopen: StateActive,
		EventSubmit: StateSubmitted, EventTerminate: StateTerminated, EventExpire: StateExpired, EventStop: StateStopped,
	},
	StateExpired:    {EventReopen: StateActive, EventSubmit: StateSubmitted, EventTerminate: StateTerminated},
	StateStopped:    {EventSubmit: StateSubmitted},
	StateSubmitted:  {EventTerminate: StateTerminated}, // the platform's report was quicker than its answer
	StateTerminated: {EventReactivate: StatePaused, EventDelete: StateTerminated},
	StateCanceled:   {EventOpen: StateActive},
}

// Next tells where an event leads from a state, and whether it is legal there.
func (s State) Next(e Event) (State, bool) {
	to, ok := transitions[s][e]
	return to, ok
}

// Change is one step of a session's life, with who did it and why. RequestID is that of the
// request by which the platform is told of it; empty: it is not told, or told us.
type Change struct {
	Event     Event
	At        time.Time
	By        Actor
	Reason    string
	RequestID string
}

// Apply takes one step. It returns the session with its version raised by one, or
// CodeIllegal and the session as it was. Pauses are summed up here: time spent paused
// is never the student's, unless the platform's clock ran on (EventUnpause).
func (s Session) Apply(c Change) (Session, error) {
	to, ok := s.State.Next(c.Event)
	if !ok {
		return s, Errorf(CodeIllegal, "A session that is %s cannot %s.", s.State, c.Event)
	}
	if s.State == StatePaused && !s.PausedAt.IsZero() {
		if paused := max(0, c.At.Sub(s.PausedAt)); c.Event != EventUnpause {
			s.PausedTotal += paused
			s.Pauses = append(slices.Clone(s.Pauses[max(0, len(s.Pauses)-MaxPauses+1):]), Pause{From: s.PausedAt, To: s.PausedAt.Add(paused), ID: c.RequestID})
			if !s.End.IsZero() { // the platform gives it back, too; its next report holds it
				s.End = s.End.Add(paused)
			}
		}
		s.PausedAt, s.PauseAnswered = time.Time{}, time.Time{}
	}
	switch c.Event {
	case EventConsent:
		s.Ready = c.At
	case EventActivate, EventOpen:
		known := s.BegunKnown()
		s.Started, s.Ended = c.At, time.Time{}
		if !known && s.BegunKnown() {
			s = s.unjudged()
		}
	case EventPause:
		s.PausedAt = c.At
	case EventReactivate:
		// The time between the end and the reactivation was not the student's.
		s.PausedAt = s.Ended
		s = s.goesOn()
	case EventReopen:
		s = s.goesOn()
	case EventSubmit:
		if s.State == StateStopped && c.Reason == "" { // why nobody watched to the end
			c.Reason = s.Reason
		}
	}
	if to.Ended() && c.Event != EventDelete && s.State != StateSubmitted { // how it ended is news, not when
		s.Ended = c.At
		if s.NotWatched() {
			s.UnwatchedEnd = later(c.At, s.Unwatched)
		}
	}
	s.State, s.Changed, s.By, s.Reason = to, c.At, c.By, c.Reason
	s.Version++
	return s, nil
}

// goesOn takes back that the session has ended, and that nobody watched it only until then.
func (s Session) goesOn() Session {
	if !s.Presence.Seen() && s.UnwatchedEnd.Equal(s.Ended) {
		s.UnwatchedEnd = time.Time{}
	}
	s.Ended = time.Time{}
	return s
}

// Relaunch says what a launch of an attempt does that already has a session.
type Relaunch int

// The answers of Session.Relaunch.
const (
	RelaunchResume  Relaunch = iota // goes on with this session; one that is expired is reopened (EventReopen)
	RelaunchAnew                    // begins a new generation, linked to this one
	RelaunchRefused                 // a proctor ended it, and nobody took that back
)

// Relaunch decides what a further launch of the same attempt number does. Platforms
// reuse attempt numbers (an attempt deleted, a course reset), so an ended session is
// followed by a new generation; a terminated one is refused until an instructor
// reactivates it, or the platform deletes the attempt. begun is when the launched attempt
// began, by the platform's clock, or a moment from now on where it has yet to begin, and zero
// where the launch does not say: an attempt that goes on, though we concluded that it had
// expired, is the one that we know, and one that began after ours is not.
func (s Session) Relaunch(begun time.Time) Relaunch {
	switch s.State {
	case StateTerminated:
		if s.By.Role == RoleLMS { // EventDelete: nothing else of the platform's ends here
			return RelaunchAnew
		}
		return RelaunchRefused
	case StateExpired:
		if begun.IsZero() || s.Started.IsZero() || begun.After(s.Started.Add(clocksApart)) {
			return RelaunchAnew // the number was used again since
		}
	case StateActive, StatePaused, StateTimeUp:
		if begun.After(s.Started.Add(clocksApart)) {
			return RelaunchAnew // deleted, and we have yet to hear of it
		}
	case StateSubmitted, StateStopped, StateCanceled:
		return RelaunchAnew
	}
	return RelaunchResume
}

// clocksApart is how far a platform's clock may be ahead of ours; launches and assertions
// from further away are refused.
const clocksApart = time.Minute

// NextGeneration makes the session that follows an ended one: next holds what the new
// launch said.
func (s Session) NextGeneration(next Session) Session {
	next.Generation = s.Generation + 1
	next.Previous = s.ID
	return next
}

// Offers tells whether the platform offers an Assessment Control action for this
// session. Only offered actions are sent.
func (s Session) Offers(action string) bool {
	return s.ControlURL != "" && slices.Contains(s.ControlActions, action)
}
