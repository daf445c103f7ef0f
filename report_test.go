package vigil

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// says is a report of a version 2 plugin.
func says(end, at time.Time, requests ...string) Report {
	return Report{Version: 2, End: end, At: at, Requests: requests}
}

// do plans a command that must be legal.
func do(t *testing.T, s Session, c Command, at time.Time, delivery string) (Session, Command, *Delivery) {
	t.Helper()
	plan, err := s.Do(DefaultPolicy(), c, at, delivery)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Session, plan.Command, plan.Delivery
}

// running is an hour's attempt on a platform with our plugin.
func running() Session {
	return Session{
		ID: "s", ExamID: "e", PlatformID: "p", Plugin: true, State: StateActive, Version: 1, Created: t0, Started: t0, Changed: t0,
		End: t0.Add(time.Hour), EndSeen: t0, ControlURL: "https://lms.example/control", ControlActions: deliveryActions,
	}
}

// TestAGrantIsCountedOnceWhateverTheClocksSay gives ten minutes to attempts on platforms
// whose clocks differ from ours, and reads reports from before and after it.
func TestAGrantIsCountedOnceWhateverTheClocksSay(t *testing.T) {
	p := DefaultPolicy()
	for _, ahead := range []time.Duration{-30 * time.Second, -3 * time.Second, 0, 700 * time.Millisecond, 30 * time.Second} {
		t.Run(fmt.Sprint("the platform's clock is ahead by ", ahead), func(t *testing.T) {
			at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
			by := func(ms int) time.Time { return at(ms).Add(ahead) }
			s := running()
			s.EndSeen = by(0)
			want := func(when string, end time.Duration) {
				t.Helper()
				if got := s.Deadline(p).Sub(t0); got != end {
					t.Errorf("%s: got a deadline of +%v, want +%v", when, got, end)
				}
			}
			s, c, d := do(t, s, Command{ID: "command-1", Kind: CommandExtend, Time: 10 * time.Minute}, at(5000), "request-1")
			s = s.ReportEnd(says(t0.Add(time.Hour), by(5100)))
			want("a page from before the platform did it", time.Hour)
			s, _, _ = s.Answer(c, *d, LMSAnswer{State: LMSAccepted, At: at(5300)}, at(5300))
			want("answered", 70*time.Minute)
			s = s.ReportEnd(says(t0.Add(time.Hour), by(5200)))
			want("a page from before, that comes late", 70*time.Minute)
			s = s.ReportEnd(says(t0.Add(70*time.Minute), by(5900), "request-1"))
			want("a page from after it, in the same second", 70*time.Minute)
			s = s.ReportEnd(says(t0.Add(80*time.Minute), by(9000), "request-1"))
			want("a teacher gave ten more", 80*time.Minute)
		})
	}
}

func TestAReportThatHoldsAGrantBeforeItsAnswerCountsItOnce(t *testing.T) {
	p := DefaultPolicy()
	s, c, d := do(t, running(), Command{ID: "command-1", Kind: CommandExtend, Time: 10 * time.Minute}, t0.Add(time.Second), "request-1")
	s = s.ReportEnd(says(t0.Add(70*time.Minute), t0.Add(2*time.Second), "request-1"))
	s, _, _ = s.Answer(c, *d, LMSAnswer{State: LMSAccepted}, t0.Add(3*time.Second))
	if got := s.Deadline(p).Sub(t0); got != 70*time.Minute {
		t.Errorf("got a deadline of +%v, want +1h10m", got)
	}
	if got := s.Settled(p, t0.Add(70*time.Minute+ExpiryGrace)).State; got != StateTimeUp {
		t.Errorf("after 70 minutes and the grace: got %s, want %s: the grant does not count twice", got, StateTimeUp)
	}
}

func TestAPluginThatWasUpdatedInTheMiddleOfAnAttemptCountsOnce(t *testing.T) {
	p := DefaultPolicy()
	s, c, d := do(t, running(), Command{ID: "command-1", Kind: CommandExtend, Time: 10 * time.Minute}, t0.Add(time.Second), "request-1")
	s, _, _ = s.Answer(c, *d, LMSAnswer{State: LMSAccepted}, t0.Add(2*time.Second))
	s, _, _ = do(t, s, Command{ID: "command-2", Kind: CommandPause}, t0.Add(time.Minute), "request-2")
	s, _, _ = do(t, s, Command{ID: "command-3", Kind: CommandResume}, t0.Add(2*time.Minute), "request-3")
	// The plugin of now does not know the ids of what the plugin of before did.
	s = s.ReportEnd(says(t0.Add(71*time.Minute), t0.Add(10*time.Minute)))
	if got := s.Deadline(p).Sub(t0); got != 71*time.Minute {
		t.Errorf("got a deadline of +%v, want +1h11m", got)
	}
}

// TestAPauseIsCountedOnce pauses for 30 minutes, ten minutes into an hour, with reports of
// the end from before, during and after it.
func TestAPauseIsCountedOnce(t *testing.T) {
	p := DefaultPolicy()
	at := func(m float64) time.Time { return t0.Add(time.Duration(m * float64(time.Minute))) }
	paused := func(r Report) Report { r.PausedAt = at(10.1); return r }
	tests := []struct {
		name            string
		before          []Report // told during the pause
		after           []Report
		left, end, slip time.Duration
	}{
		{"no report", nil, nil, 50 * time.Minute, 90 * time.Minute, 0},
		{"from before the platform heard of it", []Report{says(at(60), at(10.05))}, nil, 50 * time.Minute, 90 * time.Minute, 0},
		{"during it", []Report{paused(says(at(60), at(30)))}, nil, 50 * time.Minute, 90 * time.Minute, 0},
		{"during it, of version 1", []Report{told(at(60+20), at(30))}, nil, 50 * time.Minute, 90 * time.Minute, 0},
		{"after it, from during it", nil, []Report{paused(says(at(60), at(39.9)))}, 50 * time.Minute, 90 * time.Minute, 0},
		{"after it, from before it", nil, []Report{says(at(60), at(9.9))}, 50 * time.Minute, 90 * time.Minute, 0},
		{"after it, by a clock ahead, from before it", nil, []Report{says(at(60), at(40.5))}, 50 * time.Minute, 90 * time.Minute, 0},
		{"after it, and holds it", nil, []Report{says(at(89.8), at(41), "request-2")}, 50 * time.Minute, 89*time.Minute + 48*time.Second, 0},
		{"after it, holds it, by a clock behind", nil, []Report{says(at(89.8), at(39), "request-2")}, 50 * time.Minute, 89*time.Minute + 48*time.Second, 0},
		{"after it, of version 1", nil, []Report{told(at(89.8), at(41))}, 50 * time.Minute, 89*time.Minute + 48*time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _, _ := do(t, running(), Command{ID: "command-1", Kind: CommandPause}, at(10), "request-1")
			for _, r := range tt.before {
				s = s.ReportEnd(r)
			}
			if left, _ := s.Left(p, at(35)); left != tt.left {
				t.Errorf("left while paused: got %v, want %v", left, tt.left)
			}
			s, _, _ = do(t, s, Command{ID: "command-2", Kind: CommandResume}, at(40), "request-2")
			for _, r := range tt.after {
				s = s.ReportEnd(r)
			}
			if got := s.Deadline(p).Sub(t0); got != tt.end {
				t.Errorf("deadline: got +%v, want +%v", got, tt.end)
			}
		})
	}
}

func TestALaterEndReopensWhatWeCalledOver(t *testing.T) {
	p := DefaultPolicy()
	over := t0.Add(time.Hour + ExpiryGrace)
	up := running().Settled(p, over)
	if up.State != StateTimeUp || !up.Changed.Equal(t0.Add(time.Hour)) || !up.Ended.IsZero() {
		t.Fatalf("at the end: got %s since %v, ended %v, want %s since the end, not ended", up.State, up.Changed, up.Ended, StateTimeUp)
	}
	gone := up.Settled(p, over.Add(ReportWait))
	if gone.State != StateExpired {
		t.Fatalf("a day later: got %s, want %s", gone.State, StateExpired)
	}
	untimed := running()
	untimed.End = time.Time{}
	untimed = untimed.Settled(p, t0.Add(UnheardExpiry))
	if untimed.State != StateExpired {
		t.Fatalf("unheard: got %s, want %s", untimed.State, StateExpired)
	}
	other := running()
	other.Plugin = false
	if got := other.Settled(p, over).State; got != StateExpired {
		t.Fatalf("on a platform that reports no ends: got %s, want %s", got, StateExpired)
	}
	submitted, _ := up.Apply(Change{Event: EventSubmit, At: over})
	late := t0.Add(30 * time.Hour)
	tests := []struct {
		name string
		s    Session
		r    Report
		now  time.Time
		want State
	}{
		{"nothing had been stored yet", running(), says(t0.Add(2*time.Hour), over), over, StateActive},
		{"the time was up", up, says(t0.Add(2*time.Hour), over), over, StateActive},
		{"the time was up, and has no end any more", up, says(time.Time{}, over), over, StateActive},
		{"the time was up, and is", up, says(t0.Add(61*time.Minute), over.Add(time.Hour)), over.Add(time.Hour), StateTimeUp},
		{"expired, and extended since", gone, says(late.Add(time.Hour), late), late, StateActive},
		{"expired, and its time is up all the same", gone, says(t0.Add(2*time.Hour), late), late, StateExpired},
		{"expired because nobody was heard", untimed, says(time.Time{}, late), late, StateActive},
		{"expired because nobody was heard, told before that", untimed, says(time.Time{}, t0.Add(time.Hour)), late, StateExpired},
		{"an old report", up, says(t0.Add(2*time.Hour), t0.Add(-1)), over, StateTimeUp},
		{"handed in", submitted, says(t0.Add(2*time.Hour), over), over, StateSubmitted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, changed := tt.s.Told(tt.r, p, tt.now)
			if got = got.Settled(p, tt.now); got.State != tt.want {
				t.Errorf("got %s, want %s", got.State, tt.want)
			}
			if changed != (got.Version > tt.s.Version) && tt.s.State != StateActive {
				t.Errorf("changed: got %v, with version %d after %d", changed, got.Version, tt.s.Version)
			}
		})
	}
}

func TestASessionIsDueWhenSettlingChangesIt(t *testing.T) {
	p := DefaultPolicy()
	online := Presence{Connection: ConnOnline, Heard: t0.Add(5 * time.Hour)}
	for _, s := range []Session{
		running(),
		{State: StateActive, Created: t0, EndSeen: t0},
		{State: StateReady, Created: t0, Changed: t0.Add(time.Minute)},
		{State: StatePaused, PausedAt: t0, EndSeen: t0, Created: t0},
		running().Settled(p, t0.Add(2*time.Hour)),
		{State: StateActive, Created: t0, EndSeen: t0, Presence: Presence{Connection: ConnLost, Heard: online.Heard}},
	} {
		due := s.NextDue(p)
		if before := s.Settled(p, due.Add(-1)); before.State != s.State {
			t.Errorf("%s: changes to %s before it is due", s.State, before.State)
		}
		if at := s.Settled(p, due); at.State == s.State {
			t.Errorf("%s: due at %v, and nothing changes", s.State, due)
		}
	}
	paused, _, _ := do(t, running(), Command{ID: "command-1", Kind: CommandPause}, t0, "d")
	ended := Session{State: StateSubmitted}
	for _, s := range []Session{paused, ended} {
		if due := s.NextDue(p); !due.IsZero() {
			t.Errorf("%s: due at %v, want never", s.State, due)
		}
	}
	// Who is heard now is not gone, whatever is stored of when they were heard last.
	if got := (Session{State: StateActive, Created: t0, EndSeen: t0, Presence: online}).Settled(p, t0.Add(99*time.Hour)); got.State != StateActive {
		t.Errorf("online for days on one page: got %s, want %s", got.State, StateActive)
	}
}

// TestA200AloneIsNothing judges each action by each answer.
func TestA200AloneIsNothing(t *testing.T) {
	statuses := []string{StatusNone, StatusRunning, StatusPaused, StatusTerminated, StatusComplete}
	done := map[string][]string{
		ActionPause: {StatusPaused}, ActionResume: {StatusRunning}, ActionTerminate: {StatusTerminated},
		ActionUpdate: {StatusRunning, StatusPaused}, ActionFlag: statuses,
	}
	for _, action := range deliveryActions {
		d := Delivery{Action: action, State: DeliveryWaiting}
		for _, status := range append([]string{""}, statuses...) {
			for _, applied := range []Applied{AppliedUnsaid, AppliedNow, AppliedBefore, AppliedNo} {
				want := LMSRefused
				switch {
				case applied == AppliedNow || applied == AppliedBefore:
					want = LMSAccepted
				case applied == AppliedUnsaid && (status == "" || slices.Contains(done[action], status)):
					want = LMSAccepted
				case applied == AppliedUnsaid && action == ActionUpdate && status == StatusNone:
					want = LMSWaiting // until the attempt begins
				}
				_, a := d.Settle(Result{State: LMSAccepted, Status: status, Applied: applied}, true, t0)
				if a.State != want || a.Status != status {
					t.Errorf("%s answered %q, applied %q: got %s %q, want %s", action, status, applied, a.State, a.Status, want)
				}
				if said := a.Problem != ""; said != (want == LMSRefused || want == LMSWaiting) {
					t.Errorf("%s answered %q, applied %q: got the problem %q", action, status, applied, a.Problem)
				}
			}
		}
		for _, reason := range []NoReason{NoNotBegun, NoEnded, NoGone, NoSwitchedOff, NoEnd, NoCannotReopen, NoOverride, "later"} {
			want := LMSRefused
			if action == ActionUpdate && reason == NoNotBegun {
				want = LMSWaiting
			}
			if _, a := d.Settle(Result{State: LMSAccepted, Applied: AppliedNo, Reason: reason}, true, t0); a.State != want || a.Problem == "" {
				t.Errorf("%s not done because %s: got %s %q, want %s in words", action, reason, a.State, a.Problem, want)
			}
		}
	}
}

// TestTheSessionFollowsWhatThePlatformRefused gives a command, and has the platform answer
// that it did not do it, and how the attempt stands.
func TestTheSessionFollowsWhatThePlatformRefused(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	paused, _, _ := do(t, running(), Command{ID: "command-0", Kind: CommandPause}, at(5), "request-0")
	tests := []struct {
		name   string
		s      Session
		kind   CommandKind
		status string
		want   State
		left   time.Duration // at 20 minutes; 0: not looked at
	}{
		{"end: the student was first", running(), CommandTerminate, StatusComplete, StateSubmitted, 0},
		{"end: it goes on", running(), CommandTerminate, StatusRunning, StateActive, 40 * time.Minute},
		{"pause: handed in", running(), CommandPause, StatusComplete, StateSubmitted, 0},
		{"pause: the clock never stood", running(), CommandPause, StatusRunning, StateActive, 40 * time.Minute},
		{"pause: deleted", running(), CommandPause, StatusNone, StateActive, 40 * time.Minute},
		{"resume: still paused", paused, CommandResume, StatusPaused, StatePaused, 55 * time.Minute},
		{"resume: handed in", paused, CommandResume, StatusComplete, StateSubmitted, 0},
		{"resume: cannot be reopened", paused, CommandResume, StatusTerminated, StateTerminated, 0},
		{"time: handed in", running(), CommandExtend, StatusComplete, StateSubmitted, 0},
		{"time: no end to move", running(), CommandExtend, StatusRunning, StateActive, 40 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Command{ID: "command-1", Kind: tt.kind, By: Actor{Role: RoleProctor, ID: "p|1"}}
			if tt.kind == CommandExtend {
				c.Time = 10 * time.Minute
			}
			s, c, d := do(t, tt.s, c, at(10), "request-1")
			_, a := d.Settle(Result{State: LMSAccepted, Status: tt.status, Applied: AppliedNo, Reason: NoEnded}, true, at(12))
			s, c, told := s.Answer(c, *d, a, at(12))
			if s.State != tt.want || told {
				t.Errorf("got %s, the student told of the command: %v, want %s, untold", s.State, told, tt.want)
			}
			if c.Stage != StageRefused || c.Problem == "" || c.LMS.State != LMSRefused {
				t.Errorf("command: got %s %q %s, want refused in words", c.Stage, c.Problem, c.LMS.State)
			}
			if tt.want == StateSubmitted && s.By.Role != RoleLMS {
				t.Errorf("ended by %+v, want the platform", s.By)
			}
			if left, _ := s.Left(p, at(20)); tt.left != 0 && left != tt.left {
				t.Errorf("left: got %v, want %v", left, tt.left)
			}
			again, _, _ := s.Answer(c, *d, a, at(13))
			if again.State != s.State || again.Version != s.Version {
				t.Errorf("answered again: got %s, version %d, want %s, %d", again.State, again.Version, s.State, s.Version)
			}
		})
	}
}

// TestWhatThePlatformDidNotTakeNeverWas refuses pauses and resumptions, or never reaches the
// platform with them, also where more happened here in the meantime.
func TestWhatThePlatformDidNotTakeNeverWas(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	refused := Result{State: LMSRefused, Problem: "refused"}
	unreached := Result{State: LMSFailed, Problem: "unreachable"}
	type step struct {
		kind CommandKind
		at   int
	}
	pause, resume := CommandPause, CommandResume
	tests := []struct {
		name  string
		steps []step
		took  int // how many of the steps the platform did before the one that it did not
		r     Result
		page  *Report // read after it
		want  State
		left  time.Duration // at 30 minutes
	}{
		{"a pause that never got there", []step{{pause, 10}}, 0, unreached, nil, StateActive, 30 * time.Minute},
		{"a pause that had ended here", []step{{pause, 10}, {resume, 20}}, 0, refused, nil, StateActive, 30 * time.Minute},
		{"a resumption that never got there", []step{{pause, 10}, {resume, 20}}, 1, unreached, nil, StatePaused, 50 * time.Minute},
		{"a refused one, and a page of the pause", []step{{pause, 10}, {resume, 20}}, 1, refused, &Report{Version: 2, At: at(26), End: at(60), PausedAt: at(10)}, StatePaused, 50 * time.Minute},
		{"a refused one, and a new pause", []step{{pause, 10}, {resume, 20}, {pause, 22}}, 1, refused, nil, StatePaused, 50 * time.Minute},
		{"a refused one, and a new pause that has ended", []step{{pause, 10}, {resume, 20}, {pause, 22}, {resume, 24}}, 1, refused, nil, StateActive, 44 * time.Minute},
		{"a page of a pause, read in the next one", []step{{pause, 10}, {resume, 20}, {pause, 22}}, 3, Result{}, &Report{Version: 2, At: at(15), End: at(60), PausedAt: at(10)}, StatePaused, 48 * time.Minute},
		{"a resumption, and the time was up by then", []step{{pause, 59}, {resume, 60}}, 1, unreached, nil, StatePaused, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := running()
			var queue []entry
			for i, step := range tt.steps {
				var c Command
				var d *Delivery
				s, c, d = do(t, s, Command{ID: fmt.Sprintf("command-%d", i), Kind: step.kind}, at(step.at), fmt.Sprintf("request-%d", i))
				queue = append(queue, entry{c, *d})
			}
			if tt.steps[0].at > 30 {
				s = s.Settled(p, at(65))
			}
			for _, e := range queue[:tt.took] {
				s, _, _ = s.Answer(e.cmd, e.d, LMSAnswer{State: LMSAccepted}, at(25))
			}
			if tt.took < len(queue) {
				e := queue[tt.took]
				_, a := e.d.Settle(tt.r, true, at(25))
				var c Command
				if s, c, _ = s.Answer(e.cmd, e.d, a, at(25)); c.Stage != StageRefused || c.Problem != tt.r.Problem {
					t.Errorf("the command: got %s %q, want refused in words", c.Stage, c.Problem)
				}
			}
			if tt.page != nil {
				s = s.ReportEnd(*tt.page)
			}
			if left, _ := s.Left(p, at(30)); s.State != tt.want || left != tt.left {
				t.Errorf("got %s with %v left, want %s with %v", s.State, left, tt.want, tt.left)
			}
		})
	}
}

// TestWhetherAnAttemptIsPausedIsThePlatformsToSay reads reports that contradict what we believe of
// a pause, when requests may still be on their way, and when they are not.
func TestWhetherAnAttemptIsPausedIsThePlatformsToSay(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	answer := func(s Session, c Command, d *Delivery, state LMSState, m int) Session {
		s, _, _ = s.Answer(c, *d, LMSAnswer{State: state}, at(m))
		return s
	}
	asked, c, d := do(t, running(), Command{ID: "command-1", Kind: CommandPause}, at(10), "request-1")
	paused := answer(asked, c, d, LMSAccepted, 11)
	resumed, c, d := do(t, paused, Command{ID: "command-2", Kind: CommandResume}, at(20), "request-2")
	unknown := answer(resumed, c, d, LMSUnknown, 26)
	later := unknown.Settled(p, at(80))
	again, _, _ := do(t, unknown, Command{ID: "command-3", Kind: CommandPause}, at(30), "request-3")
	goesOn := Report{Version: 2, At: at(40), End: at(65)}
	holds := Report{Version: 2, At: at(40), End: at(60), PausedAt: at(11)}
	tests := []struct {
		name string
		s    Session
		r    Report
		want State
		left time.Duration // at 40 minutes
	}{
		{"let go on there", paused, goesOn, StateActive, 25 * time.Minute},
		{"a page of before the pause", paused, Report{Version: 2, At: at(10), End: at(60)}, StatePaused, 50 * time.Minute},
		{"the pause is on its way", asked, Report{Version: 2, At: at(12), End: at(60)}, StatePaused, 50 * time.Minute},
		{"the resumption is on its way", resumed, holds, StateActive, 30 * time.Minute},
		{"the resumption never got there, for all we know", unknown, holds, StatePaused, 50 * time.Minute},
		{"the same, and the time was up by then", later, holds, StatePaused, 50 * time.Minute},
		{"the same, and paused again", again, holds, StatePaused, 50 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := tt.s.Told(tt.r, p, at(40))
			if left, _ := s.Left(p, at(40)); s.State != tt.want || left != tt.left {
				t.Errorf("got %s with %v left, want %s with %v", s.State, left, tt.want, tt.left)
			}
			if s.State != tt.s.State && s.By.Role != RoleLMS {
				t.Errorf("by %s, want the platform", s.By.Role)
			}
		})
	}
}

func TestAPlatformThatHoldsAnAttemptIsFollowed(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	hold := func(m int, requests ...string) Report {
		return Report{Version: 3, At: at(m), End: at(60), PausedAt: at(m), Held: true, Requests: requests}
	}
	tell := func(s Session, r Report, m int, want State) Session {
		t.Helper()
		next, _ := s.Told(r, p, at(m))
		if next.State != want {
			t.Fatalf("minute %d: got %s, want %s", m, next.State, want)
		}
		return next
	}
	held := tell(running(), hold(20), 20, StatePaused)
	if held.By.Role != RoleLMS || held.Reason == "" {
		t.Errorf("got %s by %s, want the platform's reason", held.Reason, held.By.Role)
	}
	tell(running(), Report{Version: 3, At: at(20), End: at(60), PausedAt: at(20)}, 20, StateActive) // not a pause of ours, nor a hold
	tell(held, hold(21), 21, StatePaused)
	tell(held, Report{Version: 3, At: at(19), End: at(60)}, 21, StatePaused) // a page of before
	again := tell(held, Report{Version: 3, At: at(25), End: at(65)}, 25, StateActive)
	if left, _ := again.Left(p, at(25)); left != 40*time.Minute {
		t.Errorf("got %v left, want what the platform says: 40 minutes", left)
	}
	tell(again, hold(30), 30, StatePaused)
	up := running()
	up.State = StateTimeUp
	tell(up, hold(61), 61, StatePaused)
	// A proctor lets it go on: until the platform has had its say, its word of before does not count; a new hold does.
	resumed, c, d := do(t, held, Command{ID: "command-1", Kind: CommandResume}, at(30), "request-1")
	tell(resumed, hold(31), 31, StateActive)
	resumed, _, _ = resumed.Answer(c, *d, LMSAnswer{State: LMSAccepted, Status: "running"}, at(31))
	tell(resumed, hold(40, "request-1"), 40, StatePaused)
	expired := running()
	expired.State, expired.Ended, expired.Changed = StateExpired, at(15), at(15)
	back := tell(expired, hold(20), 20, StatePaused)
	if !back.Ended.IsZero() {
		t.Errorf("held after we called it over: ended %v, want never", back.Ended)
	}
	over := running()
	over.State, over.Ended, over.Changed = StateSubmitted, at(15), at(15)
	tell(over, hold(20), 20, StateSubmitted)
}

// TestAHeldAttemptHasBegun: its browser never reached us, nor did the report of the opening.
func TestAHeldAttemptHasBegun(t *testing.T) {
	p := DefaultPolicy()
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	for _, state := range []State{StateCreated, StateReady, StateAwaiting, StateAuthorized, StateCanceled} {
		s := running()
		s.State, s.Started, s.Sent, s.End, s.EndSeen = state, time.Time{}, at(1), time.Time{}, time.Time{}
		if state == StateCanceled {
			s.Ended, s.Changed = at(10), at(10)
		}
		r := Report{Version: 3, At: at(20), End: at(60), PausedAt: at(20), Held: true}
		held, news := s.Told(r, p, at(20))
		if !news || held.State != StatePaused || held.Reason == "" || held.Started.IsZero() || !held.Ended.IsZero() {
			t.Fatalf("%s: got %s because %q, begun %v, ended %v, news %v, want paused with a reason, and begun", state, held.State, held.Reason, held.Started, held.Ended, news)
		}
		if again, news := held.Told(r, p, at(21)); news || again.Version != held.Version {
			t.Errorf("%s: told twice: got news %v", state, news)
		}
		resumed, _, d := do(t, held, Command{ID: "command-1", Kind: CommandResume}, at(25), "request-1")
		if resumed.State != StateActive || d == nil {
			t.Errorf("%s: a proctor's resume: got %s, request %v, want active, and asked of the platform", state, resumed.State, d)
		}
		opened, _ := held.Open(at(2), Actor{Role: RoleLMS})
		if opened.State != StatePaused || !opened.Opened.Equal(at(2)) {
			t.Errorf("%s: the opening told after it: got %s, opened %v, want paused, opened then", state, opened.State, opened.Opened)
		}
		r.PausedAt, r.Held = time.Time{}, false
		if s, _ = s.Told(r, p, at(20)); s.State != state { // not said to be open by this
			t.Errorf("%s: running there: got %s, want no change", state, s.State)
		}
	}
	stopped := running()
	stopped.State, stopped.Started, stopped.Ended, stopped.Changed = StateCanceled, time.Time{}, at(10), at(10)
	stopped.By = Actor{Role: RoleLMS}
	if got, _ := stopped.Told(Report{Version: 3, At: at(9), End: at(60), PausedAt: at(9), Held: true}, p, at(20)); got.State == StatePaused {
		t.Error("the platform had ended it: got paused, want over")
	}
}

func TestTimeGivenBeforeTheStartIsAskedForWhenTheAttemptBegins(t *testing.T) {
	s := running()
	s.State, s.Started, s.End, s.EndSeen = StateReady, time.Time{}, time.Time{}, time.Time{}
	s, c, d := do(t, s, Command{ID: "command-1", Kind: CommandExtend, Time: 90 * time.Second}, t0, "request-1")
	s, _, e := do(t, s, Command{ID: "command-2", Kind: CommandExtend, Time: time.Minute}, t0, "request-2")
	if d != nil || e != nil || c.LMS.State != LMSWaiting {
		t.Fatalf("before the start: got requests %v %v, command %s, want none, and waiting", d, e, c.LMS.State)
	}
	s, err := s.Apply(Change{Event: EventActivate, At: t0.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	next, list := s.Unsent(t0.Add(time.Minute), func() string { n++; return fmt.Sprint("id-", n) })
	if len(list) != 2 || list[0].CommandID != "command-1" || list[0].ExtraMinutes != 2 || list[1].ID != "id-2" || list[1].Version != s.Version ||
		list[0].IncidentTime.Equal(list[1].IncidentTime) {
		t.Fatalf("at the start: got %+v, want a request for each, told apart", list)
	}
	if s.Grants[0].ID != "" {
		t.Error("the session given was changed")
	}
	if _, again := next.Unsent(t0, func() string { return "x" }); len(again) != 0 {
		t.Errorf("asked for twice: got %+v", again)
	}
}

func TestProctoringThatWasSwitchedOffStaysTheReason(t *testing.T) {
	s, err := running().Apply(Change{Event: EventStop, At: t0.Add(time.Minute), Reason: "Proctoring was switched off."})
	if err != nil || s.State != StateStopped || !s.State.Ended() {
		t.Fatalf("got %s, %v, want %s", s.State, err, StateStopped)
	}
	s, err = s.Apply(Change{Event: EventSubmit, At: t0.Add(time.Hour)})
	if err != nil || s.State != StateSubmitted || s.Reason != "Proctoring was switched off." || !s.Ended.Equal(t0.Add(time.Hour)) {
		t.Errorf("handed in later: got %s at %v because %q (%v), want when, and why nobody watched", s.State, s.Ended, s.Reason, err)
	}
}

func TestPausesThatAreRememberedAreBounded(t *testing.T) {
	s := running()
	for i := range 3 * MaxPauses {
		var err error
		for j, e := range []Event{EventPause, EventResume} {
			if s, err = s.Apply(Change{Event: e, At: t0.Add(time.Duration(2*i+j) * time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.Pauses) != MaxPauses || !s.Pauses[MaxPauses-1].To.Equal(t0.Add((6*MaxPauses-1)*time.Second)) {
		t.Errorf("got %d, the last %v, want %d, the newest last", len(s.Pauses), s.Pauses[len(s.Pauses)-1], MaxPauses)
	}
}

// TestAReportThatIsQuickerThanTheAnswerHidesNoProctorsEnd ends an attempt, with the platform's
// report of the end before and after its answer, and an answer that is a repeat.
func TestAReportThatIsQuickerThanTheAnswerHidesNoProctorsEnd(t *testing.T) {
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	lms := Actor{Role: RoleLMS, ID: "p"}
	by := Actor{Role: RoleProctor, ID: "p|1"}
	report := func(s Session) Session {
		if next, err := s.Apply(Change{Event: EventSubmit, At: at(2), By: lms}); err == nil {
			return next
		}
		return s
	}
	tests := []struct {
		name   string
		first  bool // the report
		answer Result
		want   State
		by     Role
	}{
		{"the answer first", false, Result{Status: StatusTerminated, Applied: AppliedNow}, StateTerminated, RoleProctor},
		{"the report first", true, Result{Status: StatusTerminated, Applied: AppliedNow}, StateTerminated, RoleProctor},
		{"the report first, and the answer is a repeat", true, Result{Status: StatusTerminated, Applied: AppliedBefore}, StateTerminated, RoleProctor},
		{"it went on since, and the student handed in", false, Result{Status: StatusComplete, Applied: AppliedBefore}, StateSubmitted, RoleLMS},
		{"the student was first, the answer before the report", false, Result{Status: StatusComplete, Applied: AppliedNo, Reason: NoEnded}, StateSubmitted, RoleLMS},
		{"the student was first, the report before the answer", true, Result{Status: StatusComplete, Applied: AppliedNo, Reason: NoEnded}, StateSubmitted, RoleLMS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c, d := do(t, running(), Command{ID: "command-1", Kind: CommandTerminate, By: by, Text: "why"}, at(1), "request-1")
			if tt.first {
				s = report(s)
			}
			tt.answer.State = LMSAccepted
			_, a := d.Settle(tt.answer, true, at(5))
			s, c, _ = s.Answer(c, *d, a, at(5))
			s = report(s)
			if s.State != tt.want || s.By.Role != tt.by {
				t.Errorf("got %s by %s, want %s by %s", s.State, s.By.Role, tt.want, tt.by)
			}
			if tt.first && !s.Ended.Equal(at(2)) {
				t.Errorf("ended at %v, want when the platform says, %v", s.Ended, at(2))
			}
			if refused := tt.answer.Applied == AppliedNo; refused != (c.Stage == StageRefused) {
				t.Errorf("the command: got %s %q, want refused: %v", c.Stage, c.Problem, refused)
			}
		})
	}
}
