package vigil

import (
	"testing"
	"time"
)

var lms = Actor{Role: RoleLMS, ID: "platform"}

// sent is a session whose student was sent to the platform at t0.
func sent(state State) Session {
	s := Session{ID: "s", State: state, Version: 3, Created: t0.Add(-time.Hour), Changed: t0.Add(-time.Minute), Plugin: true, PlatformID: "platform", Sent: t0}
	if state != StateCreated {
		s.Ready = t0.Add(-time.Minute)
	}
	return s
}

func TestTheLMSSaysWhetherAnAttemptHasBegun(t *testing.T) {
	opened := t0.Add(3 * time.Second)
	end := func(s Session, e Event, by Actor, reason string) Session {
		out, err := s.Apply(Change{Event: e, At: t0.Add(42 * time.Minute), By: by, Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	active := sent(StateReady)
	active.State, active.Started = StateActive, t0.Add(20*time.Second)
	for _, tt := range []struct {
		name  string
		s     Session
		want  State
		ended time.Time
	}{
		{"created", sent(StateCreated), StateActive, time.Time{}},
		{"ready", sent(StateReady), StateActive, time.Time{}},
		{"awaiting", sent(StateAwaiting), StateActive, time.Time{}},
		{"authorized", sent(StateAuthorized), StateActive, time.Time{}},
		{"active", active, StateActive, time.Time{}},
		{"handed in before we heard", end(sent(StateReady), EventSubmit, lms, ""), StateSubmitted, t0.Add(42 * time.Minute)},
		{"switched off before we heard", end(sent(StateReady), EventStop, lms, "switched off"), StateStopped, t0.Add(42 * time.Minute)},
		{"canceled by us", end(sent(StateReady), EventExpire, Actor{Role: RoleSystem}, "deadline"), StateActive, time.Time{}},
		{"handed in", end(active, EventSubmit, lms, ""), StateSubmitted, t0.Add(42 * time.Minute)},
		{"ended by a proctor", end(active, EventTerminate, Actor{Role: RoleProctor}, ""), StateTerminated, t0.Add(42 * time.Minute)},
	} {
		out, news := tt.s.Open(opened, lms)
		if !news || out.State != tt.want || !out.Opened.Equal(opened) || !out.Started.Equal(opened) || !out.Ended.Equal(tt.ended) || out.Version <= tt.s.Version {
			t.Errorf("%s: got %v %s, opened %v, started %v, ended %v; want %s, opened and started then, ended %v",
				tt.name, news, out.State, out.Opened, out.Started, out.Ended, tt.want, tt.ended)
		}
		if again, news := out.Open(opened.Add(time.Hour), lms); news || !again.Opened.Equal(opened) {
			t.Errorf("%s: said again: got %v, opened %v, want no change", tt.name, news, again.Opened)
		}
	}
	if out, news := sent(StateReady).Open(time.Time{}, lms); !news || out.State != StateActive || !out.Opened.IsZero() || !out.Started.Equal(t0) {
		t.Errorf("nobody says when: got %v %s, opened %v, started %v; want it to have begun when the student was sent there", news, out.State, out.Opened, out.Started)
	}
}

func TestAnAttemptThatNobodyWatchesCountsSo(t *testing.T) {
	p := DefaultPolicy()
	opened := func(s Session) Session {
		s, _ = s.Open(t0.Add(time.Second), lms)
		return s
	}
	seen := opened(sent(StateReady))
	seen.Presence.Reports = t0.Add(2 * time.Second)
	seenOnce := opened(sent(StateReady))
	seenOnce.Presence.Watched = time.Second
	paused, _ := opened(sent(StateReady)).Apply(Change{Event: EventPause, At: t0.Add(11 * time.Second)})
	resumed, _ := paused.Apply(Change{Event: EventResume, At: t0.Add(71 * time.Second)})
	never := sent(StateReady)
	never.Sent = time.Time{}
	asked := sent(StateReady) // an old plugin: the page asked for a connection
	asked.State, asked.Started = StateActive, t0.Add(4*time.Second)
	other := sent(StateActive)
	other.Plugin, other.Started = false, t0
	before := Session{State: StateActive, Version: 1, Created: t0, Started: t0, Plugin: true}
	for _, tt := range []struct {
		name   string
		s      Session
		faults []Fault
		due    time.Duration // after t0; -1: never
	}{
		{"opened", opened(sent(StateReady)), nil, 31 * time.Second},
		{"not opened yet", sent(StateReady), nil, 2 * time.Minute},
		{"not sent there yet", never, nil, -1},
		{"another platform", other, nil, 2 * time.Minute},
		{"an old plugin", asked, nil, 34 * time.Second},
		{"of before it was noted", before, nil, -1},
		{"watched", seen, nil, -1},
		{"watched once", seenOnce, nil, -1},
		{"paused", paused, nil, -1},
		{"paused for a minute", resumed, nil, 91 * time.Second},
		{"our outage", opened(sent(StateReady)), []Fault{{From: t0.Add(11 * time.Second), To: t0.Add(5 * time.Minute), Cause: CauseServer}}, 5*time.Minute + 20*time.Second},
		{"an outage before", opened(sent(StateReady)), []Fault{{From: t0.Add(-time.Hour), To: t0}}, 31 * time.Second},
		{"two that overlap", opened(sent(StateReady)), []Fault{{From: t0, To: t0.Add(time.Minute)}, {From: t0.Add(30 * time.Second), To: t0.Add(2 * time.Minute)}}, 2*time.Minute + 30*time.Second},
	} {
		due := tt.s.WatchDue(tt.faults)
		if tt.due < 0 {
			if !due.IsZero() {
				t.Errorf("%s: got due %v, want never", tt.name, due.Sub(t0))
			}
			continue
		}
		if got := due.Sub(t0); got != tt.due {
			t.Errorf("%s: got due after %v, want %v", tt.name, got, tt.due)
			continue
		}
		if next := tt.s.NextDue(p); tt.faults == nil && !next.Equal(due) {
			t.Errorf("%s: got next due %v, want %v", tt.name, next, due)
		}
		if _, news := tt.s.Unseen(tt.faults, false, due.Add(-time.Millisecond)); news {
			t.Errorf("%s: noted too early", tt.name)
		}
		out, news := tt.s.Unseen(tt.faults, false, due)
		from, _ := tt.s.WatchFrom()
		if !news || !out.NotWatched() || !out.Unwatched.Equal(from) || out.State != tt.s.State {
			t.Errorf("%s: got %v since %v, %s; want it not watched since %v, and the same state", tt.name, news, out.Unwatched, out.State, from)
		}
		if again, news := out.Unseen(tt.faults, false, due.Add(time.Hour)); news || !again.Unwatched.Equal(out.Unwatched) {
			t.Errorf("%s: noted twice", tt.name)
		}
	}
}

func TestNobodyWatchedUntilSomebodyDoesOrTheAttemptEnds(t *testing.T) {
	s, _ := sent(StateReady).Open(t0, lms)
	s, _ = s.Unseen(nil, false, t0.Add(30*time.Second))
	if got := s.UnwatchedFor(t0.Add(time.Minute)); got != time.Minute {
		t.Errorf("got %v, want a minute so far", got)
	}
	if got := s.Forgiven(); got != "" {
		t.Errorf("got %q, want no excuse", got)
	}
	soon, _ := s.Watches(t0.Add(50 * time.Second))
	soon.Presence.Reports = t0.Add(50 * time.Second)
	if soon.NotWatched() || soon.UnwatchedFor(t0.Add(time.Hour)) != 50*time.Second || soon.Forgiven() == "" {
		t.Errorf("a slow page: got %+v, want 50 s, and an excuse", soon)
	}
	late, _ := s.Watches(t0.Add(10 * time.Minute))
	late.Presence.Reports = t0.Add(10 * time.Minute)
	if late.Forgiven() != "" {
		t.Errorf("after ten minutes: got %q, want no excuse", late.Forgiven())
	}
	ended, err := s.Apply(Change{Event: EventSubmit, At: t0.Add(42 * time.Minute), By: lms})
	if err != nil || ended.NotWatched() || ended.UnwatchedFor(t0.Add(time.Hour)) != 42*time.Minute || ended.Forgiven() != "" {
		t.Errorf("handed in: got %v, %v, want 42 minutes, and no excuse", err, ended.UnwatchedFor(t0.Add(time.Hour)))
	}
	// Handed in within what is not judged yet, and the report came late.
	quick, _ := sent(StateReady).Open(t0, lms)
	quick, _ = quick.Apply(Change{Event: EventSubmit, At: t0.Add(29 * time.Second), By: lms})
	if _, news := quick.Unseen(nil, false, t0.Add(time.Hour)); news {
		t.Error("an attempt of 29 s counts as not watched")
	}
	long, _ := sent(StateReady).Open(t0, lms)
	long, _ = long.Apply(Change{Event: EventSubmit, At: t0.Add(10 * time.Minute), By: lms})
	if out, news := long.Unseen(nil, false, t0.Add(time.Hour)); !news || out.NotWatched() || out.UnwatchedFor(t0.Add(2*time.Hour)) != 10*time.Minute {
		t.Errorf("an attempt of 10 min: got %v, %v", news, out.UnwatchedFor(t0.Add(2*time.Hour)))
	}
	canceled, _ := sent(StateReady).Apply(Change{Event: EventCancel, At: t0.Add(10 * time.Minute)})
	if _, news := canceled.Unseen(nil, false, t0.Add(time.Hour)); news {
		t.Error("an attempt that never began counts as not watched")
	}
	// Noted before anybody knew whether it had begun: judged anew from when it was opened.
	unknown, _ := sent(StateReady).Unseen(nil, false, t0.Add(2*time.Minute))
	if unknown.BegunKnown() || !unknown.NotWatched() {
		t.Fatalf("got %+v, want it not watched, and not known whether it began", unknown)
	}
	known, _ := unknown.Open(t0.Add(10*time.Minute), lms)
	if known.NotWatched() || !known.WatchDue(nil).Equal(t0.Add(10*time.Minute+30*time.Second)) {
		t.Errorf("opened later: got not watched %v, due %v", known.NotWatched(), known.WatchDue(nil))
	}
}

func TestAWholeRoomIsNobodysDoing(t *testing.T) {
	at := func(after time.Duration, seen bool) Session {
		s, _ := sent(StateReady).Open(t0.Add(after), lms)
		if seen {
			s.Presence.Reports = s.Opened
		}
		return s
	}
	now := t0.Add(40 * time.Second)
	for _, tt := range []struct {
		name string
		room []Session
		want bool
	}{
		{"alone", []Session{at(0, false)}, false},
		{"two of two", []Session{at(0, false), at(1, false)}, false},
		{"three of three", []Session{at(0, false), at(time.Second, false), at(2*time.Second, false)}, true},
		{"three of six", []Session{at(0, false), at(1, false), at(2, false), at(3, true), at(4, true), at(5, true)}, true},
		{"three of seven", []Session{at(0, false), at(1, false), at(2, false), at(3, true), at(4, true), at(5, true), at(6, true)}, false},
		{"others began long before", []Session{at(0, false), at(-10*time.Minute, false), at(-11*time.Minute, false)}, false},
		{"others are still loading", []Session{at(0, false), at(31*time.Second, false), at(32*time.Second, false)}, false},
	} {
		if got := tt.room[0].WholeRoom(tt.room, now); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWatchedTimeIsWhatConnectionsReportedOfTheOpenAttempt(t *testing.T) {
	l := DefaultLiveness()
	s, _ := sent(StateReady).Open(t0, lms)
	p := Presence{Connection: ConnNever}
	now := t0
	step := func(after time.Duration, f func(p Presence) (Presence, GapChange)) {
		t.Helper()
		now = t0.Add(after)
		was := p
		next, gap := f(p)
		p = next.Count(was, s, gap, now)
		s.Presence = p
	}
	figures := func(what string, after, watched, open time.Duration) {
		t.Helper()
		if w, o := s.WatchedFor(t0.Add(after)), s.OpenFor(t0.Add(after)); w != watched || o != open {
			t.Errorf("%s: got watched %v of %v, want %v of %v", what, w, o, watched, open)
		}
	}
	const m = time.Minute
	connect := func(epoch int64, node string) func(Presence) (Presence, GapChange) {
		return func(p Presence) (Presence, GapChange) {
			p, g := p.Connect(now, epoch, node)
			return p.Report(now), g
		}
	}
	figures("before the first connection", m, 0, m)
	step(m, connect(1, "a"))
	figures("connected", 3*m, 2*m, 3*m)
	step(3*m, func(p Presence) (Presence, GapChange) { return p.Bye(now, ByeNavigating, true), GapChange{} })
	step(3*m+4*time.Second, connect(2, "b")) // a page turn, to another server
	figures("after a page turn", 5*m, 4*m, 5*m)
	step(5*m, func(p Presence) (Presence, GapChange) { p.Heard = now; return p.Drop(now, CauseStudent), GapChange{} })
	step(5*m+l.DropGrace, func(p Presence) (Presence, GapChange) { return p.Expire(now, l) })
	figures("lost", 7*m, 4*m, 7*m)
	step(7*m, connect(3, "a"))
	s, _ = s.Apply(Change{Event: EventPause, At: t0.Add(8 * m)})
	figures("paused", 18*m, 5*m, 8*m)
	s, _ = s.Apply(Change{Event: EventResume, At: t0.Add(18 * m)})
	s.Presence = p
	figures("resumed", 20*m, 7*m, 10*m)
	// The server dies at 21 min, is missed at 25 and was last known to live at 20.5.
	step(25*m, func(p Presence) (Presence, GapChange) { return p.NodeGone(now, t0.Add(20*m+30*time.Second), l) })
	figures("the server died", 26*m, 7*m+30*time.Second, 16*m)
	step(26*m, connect(4, "b"))
	s, _ = s.Apply(Change{Event: EventSubmit, At: t0.Add(30 * m), By: lms})
	step(30*m+5*time.Second, func(p Presence) (Presence, GapChange) {
		p, g := p.Hear(now)
		return p.Bye(now, ByeFinished, false), g
	})
	figures("handed in", 2*time.Hour, 11*m+30*time.Second, 20*m)

	// The monitor reported before the attempt began: only what is of the attempt counts.
	early := Session{State: StateReady, Version: 1, Created: t0, Ready: t0, Sent: t0.Add(m), Plugin: true, Presence: Presence{Connection: ConnOnline, Epoch: 1, Reports: t0}}
	early, _ = early.Open(t0.Add(2*m), lms)
	if got := early.WatchedFor(t0.Add(5 * m)); got != 3*m {
		t.Errorf("connected before the start: got %v, want 3 min", got)
	}
	if before := (Session{State: StateActive, Started: t0}); before.Counted() || !early.Counted() {
		t.Error("an attempt of before it was counted has a figure, or a new one has none")
	}
}
