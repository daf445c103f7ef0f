package vigil

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// told is a report of a version 1 plugin.
func told(end, at time.Time) Report { return Report{Version: 1, End: end, At: at} }

// t0 is a time without meaning, on a whole millisecond.
var t0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// lifecycleTable repeats the whole lifecycle on its own, so that a slip in the rules
// shows. A dot is an illegal step.
const lifecycleTable = `
           consent await    admit      activate pause  resume submit    terminate  time_up reopen expire   cancel   reactivate delete     unpause stop      open
created    ready   .        .          .        .      .      canceled  .          .       .      canceled canceled .          .          .       canceled  active
ready      .       awaiting .          active   .      .      canceled  .          .       .      canceled canceled .          .          .       canceled  active
awaiting   .       .        authorized .        .      .      canceled  .          .       .      canceled canceled .          .          .       canceled  active
authorized .       .        .          active   .      .      canceled  .          .       .      canceled canceled .          .          .       canceled  active
active     .       .        .          .        paused .      submitted terminated time_up .      expired  .        .          .          .       stopped   .
paused     .       .        .          .        .      active submitted terminated .       .      expired  .        .          .          active  stopped   .
time_up    .       .        .          .        .      .      submitted terminated .       active expired  .        .          .          .       stopped   .
submitted  .       .        .          .        .      .      .         terminated .       .      .        .        .          .          .       .         .
terminated .       .        .          .        .      .      .         .          .       .      .        .        paused     terminated .       .         .
expired    .       .        .          .        .      .      submitted terminated .       active .        .        .          .          .       .         .
stopped    .       .        .          .        .      .      submitted .          .       .      .        .        .          .          .       .         .
canceled   .       .        .          .        .      .      .         .          .       .      .        .        .          .          .       .         active
`

func TestLifecycleAllowsExactlyTheTable(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(lifecycleTable), "\n")
	events := strings.Fields(rows[0])
	if got, want := len(events), len(Events); got != want {
		t.Fatalf("events in the table: got %d, want %d", got, want)
	}
	if got, want := len(rows)-1, len(States); got != want {
		t.Fatalf("states in the table: got %d, want %d", got, want)
	}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		from := State(cells[0])
		if got, want := len(cells)-1, len(events); got != want {
			t.Fatalf("%s: got %d cells, want %d", from, got, want)
		}
		for i, event := range events {
			want, legal := State(cells[i+1]), cells[i+1] != "."
			s := Session{State: from, Version: 7, Created: t0, Ended: t0.Add(time.Second), PausedAt: t0}
			by := Actor{Role: RoleProctor, ID: "p|1"}
			out, err := s.Apply(Change{Event: Event(event), At: t0.Add(time.Minute), By: by, Reason: "because"})
			if !legal {
				if !errors.Is(err, ErrIllegal) {
					t.Errorf("%s, %s: got error %v, want %s", from, event, err, CodeIllegal)
				}
				if !reflect.DeepEqual(out, s) {
					t.Errorf("%s, %s: an illegal step changed the session: got %+v", from, event, out)
				}
				continue
			}
			if err != nil || out.State != want {
				t.Errorf("%s, %s: got %s (%v), want %s", from, event, out.State, err, want)
			}
			if out.Version != 8 || out.Changed != t0.Add(time.Minute) || out.By != by || out.Reason != "because" {
				t.Errorf("%s, %s: got version %d, changed %v by %v for %q; want 8 and who did it, when and why",
					from, event, out.Version, out.Changed, out.By, out.Reason)
			}
		}
	}
}

func TestEndedAndStartedStates(t *testing.T) {
	ended := map[State]bool{StateSubmitted: true, StateTerminated: true, StateExpired: true, StateStopped: true, StateCanceled: true}
	started := map[State]bool{StateActive: true, StatePaused: true}
	for _, s := range States {
		if got, want := s.Ended(), ended[s]; got != want {
			t.Errorf("%s ended: got %v, want %v", s, got, want)
		}
		if got, want := s.Started(), started[s]; got != want {
			t.Errorf("%s started: got %v, want %v", s, got, want)
		}
	}
}

// TestSessionLives walks random sequences of events with a model that counts the time
// in which the student could work.
func TestSessionLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := DefaultPolicy()
		policy.DurationMinutes = 60
		reported := rapid.Bool().Draw(t, "the platform reports the end")
		now := t0
		s := Session{ID: "s", State: StateCreated, Version: 1, Created: now}
		var worked time.Duration
		byLMS := false // it is the platform's to say whether it has begun
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			step := time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second
			now = now.Add(step)
			if s.State == StateActive || s.State == StateTimeUp || s.State == StateExpired || s.State == StateStopped { // the clock runs
				worked += step
			}
			event := rapid.SampledFrom(Events).Draw(t, "event")
			before := s
			if s.State == StatePaused && event == EventUnpause { // it ran all along
				worked += now.Sub(s.PausedAt)
			}
			out, err := s.Apply(Change{Event: event, At: now})
			if err != nil {
				if CodeOf(err) != CodeIllegal || !reflect.DeepEqual(out, before) {
					t.Fatalf("%s, %s: got %v and a changed session, want %s and the same", before.State, event, err, CodeIllegal)
				}
			} else if out.Version != before.Version+1 {
				t.Fatalf("version: got %d, want %d", out.Version, before.Version+1)
			}
			// What gives way to the platform's word.
			ours := before.State == StateExpired || before.State == StateStopped || before.State == StateSubmitted && event == EventTerminate || before.State == StateCanceled && event == EventOpen
			if before.State.Ended() && !ours && err == nil && s.State != out.State && (event != EventReactivate || before.State != StateTerminated) {
				t.Fatalf("%s was left by %s", before.State, event)
			}
			s = out
			if err == nil && (event == EventActivate || event == EventOpen) && reported {
				s = s.ReportEnd(told(now.Add(time.Hour), now))
			}

			if err == nil && event == EventOpen {
				byLMS = true
			}
			if !s.Started.IsZero() && !byLMS && (s.Ready.IsZero() || s.Started.Before(s.Ready)) {
				t.Fatalf("started %v without a consent before it (%v)", s.Started, s.Ready)
			}
			if got, want := s.Ended.IsZero(), !s.State.Ended(); got != want {
				t.Fatalf("%s without an end: got %v, want %v", s.State, got, want)
			}
			if got, want := s.PausedAt.IsZero(), s.State != StatePaused; got != want {
				t.Fatalf("%s without the pause's begin: got %v, want %v", s.State, got, want)
			}
			if s.State.Started() {
				left, ok := s.Left(policy, now)
				if want := max(0, time.Hour-worked); !ok || left != want {
					t.Fatalf("%s, time left: got %v (%v), want %v: paused time is not the student's", s.State, left, ok, want)
				}
			}
		}
	})
}

func TestReactivationGivesTheTimeSinceTheTerminationBack(t *testing.T) {
	s := Session{State: StateActive, Started: t0, End: t0.Add(time.Hour), EndSeen: t0}
	for _, c := range []Change{
		{Event: EventPause, At: t0.Add(10 * time.Minute)},
		{Event: EventTerminate, At: t0.Add(15 * time.Minute)},
		{Event: EventReactivate, At: t0.Add(45 * time.Minute)},
		{Event: EventResume, At: t0.Add(50 * time.Minute)},
	} {
		var err error
		if s, err = s.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.PausedTotal, 40*time.Minute; got != want {
		t.Errorf("paused: got %v, want %v", got, want)
	}
	if got, want := s.End, t0.Add(100*time.Minute); !got.Equal(want) {
		t.Errorf("end: got %v, want %v", got, want)
	}
	if !s.Ended.IsZero() {
		t.Errorf("ended: got %v, want none", s.Ended)
	}
}

func TestRelaunchByState(t *testing.T) {
	want := map[State]Relaunch{
		StateTerminated: RelaunchRefused,
		StateSubmitted:  RelaunchAnew, StateExpired: RelaunchAnew, StateStopped: RelaunchAnew, StateCanceled: RelaunchAnew,
	}
	for _, state := range States {
		if got := (Session{State: state, Started: t0}).Relaunch(time.Time{}); got != want[state] { // the zero value resumes
			t.Errorf("%s: got %d, want %d", state, got, want[state])
		}
	}
	expired := Session{State: StateExpired, Started: t0, Ended: t0.Add(time.Hour)}
	for begun, want := range map[time.Time]Relaunch{
		t0.Add(-time.Second):     RelaunchResume, // the attempt that we know goes on
		t0.Add(clocksApart):      RelaunchResume,
		t0.Add(clocksApart + 1):  RelaunchAnew, // its number was used again
		t0.Add(30 * time.Minute): RelaunchAnew,
	} {
		for _, s := range []Session{expired, {State: StateActive, Started: t0}, {State: StatePaused, Started: t0}, {State: StateTimeUp, Started: t0}} {
			if got := s.Relaunch(begun); got != want {
				t.Errorf("%s, and the launched attempt began %v after ours: got %d, want %d", s.State, begun.Sub(t0), got, want)
			}
		}
	}
	if got := (Session{State: StateExpired}).Relaunch(t0); got != RelaunchAnew {
		t.Errorf("expired without a start: got %d, want %d", got, RelaunchAnew)
	}
	s := Session{State: StateTerminated, Ended: t0, By: Actor{Role: RoleProctor, ID: "p|1"}}
	s, err := s.Apply(Change{Event: EventDelete, At: t0.Add(time.Hour), By: Actor{Role: RoleLMS, ID: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Relaunch(time.Time{}); got != RelaunchAnew {
		t.Errorf("terminated, and deleted by the platform: got %d, want %d", got, RelaunchAnew)
	}
	if !s.Ended.Equal(t0) {
		t.Errorf("its end: got %v, want %v: the deletion is none", s.Ended, t0)
	}
	next := Session{ID: "old", Generation: 3}.NextGeneration(Session{ID: "new"})
	if next.ID != "new" || next.Generation != 4 || next.Previous != "old" {
		t.Errorf("next generation: got %+v, want new, 4, linked to old", next)
	}
}
