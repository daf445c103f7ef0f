package vigil

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// entry is a delivery on its way with its command.
type entry struct {
	cmd Command
	d   Delivery
}

// TestExtensionsAddUpToWholeMinutes plays the queue to a platform that answers as it
// likes: it never holds less than what was granted, never a minute too much, and a
// refused extension leaves no trace.
func TestExtensionsAddUpToWholeMinutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prepare := rapid.Bool().Draw(t, "reckoned again before sending")
		p := DefaultPolicy()
		s := Session{
			ID: "s", ExamID: "e", State: StateActive, Version: 1, Started: t0, End: t0.Add(time.Hour), EndSeen: t0,
			ControlURL: "https://lms.example/control", ControlActions: []string{ActionUpdate},
		}
		var queue []entry
		var accepted, granted, open time.Duration
		now := t0
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
			before := s
			if len(queue) == 0 || rapid.Bool().Draw(t, "extend") {
				c := Command{
					ID: fmt.Sprintf("command-%d", i), Kind: CommandExtend,
					Time: time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second,
				}
				plan, err := s.Do(p, c, now, "d")
				if err != nil {
					t.Fatalf("extend: %v", err)
				}
				s = plan.Session
				if plan.Delivery == nil { // the platform has given it already
					granted += c.Time
				} else {
					queue = append(queue, entry{plan.Command, *plan.Delivery})
				}
				if s.Version != before.Version+1 {
					t.Fatalf("version: got %d, want %d", s.Version, before.Version+1)
				}
			} else {
				e := queue[0]
				queue = queue[1:]
				if prepare {
					e.d = s.Prepare(e.d)
				}
				answer := LMSAccepted
				if e.d.ExtraMinutes > 0 {
					answer = rapid.SampledFrom([]LMSState{LMSWaiting, LMSAccepted, LMSAccepted, LMSRefused, LMSFailed, LMSUnknown}).Draw(t, "answer")
				}
				out, cmd, told := s.Answer(e.cmd, e.d, LMSAnswer{State: answer, At: now}, now)
				s = out
				if told != (answer == LMSAccepted) {
					t.Fatalf("%s: the student was told: %v", answer, told)
				}
				if refused := answer == LMSRefused || answer == LMSFailed; refused != (cmd.Stage == StageRefused) {
					t.Fatalf("%s: got stage %s", answer, cmd.Stage)
				}
				switch answer {
				case LMSWaiting:
					queue = append([]entry{e}, queue...)
				case LMSUnknown:
					open += e.cmd.Time
				case LMSAccepted:
					accepted += time.Duration(e.d.ExtraMinutes) * time.Minute
					granted += e.cmd.Time
				}
				if answer != LMSAccepted {
					if s.Carry != before.Carry || !s.Deadline(p).Equal(before.Deadline(p)) {
						t.Fatalf("%s left a trace: carry %v → %v, deadline %v → %v",
							answer, before.Carry, s.Carry, before.Deadline(p), s.Deadline(p))
					}
				}
				if waits := answer == LMSWaiting || answer == LMSUnknown; waits == (s.Version != before.Version) {
					t.Fatalf("%s: version %d → %d", answer, before.Version, s.Version)
				}
				if again, _, _ := s.Answer(e.cmd, e.d, LMSAnswer{State: answer}, now); answer != LMSWaiting && !reflect.DeepEqual(again, s) {
					t.Fatalf("%s applied twice: got %+v, want %+v", answer, again, s)
				}
			}
			over := accepted - granted
			if over < 0 || (prepare && over >= time.Minute) {
				t.Fatalf("the platform was given %v for %v granted", accepted, granted)
			}
			if over != s.Carry {
				t.Fatalf("carry: got %v, want %v", s.Carry, over)
			}
			if got, want := s.Deadline(p), t0.Add(time.Hour+accepted); !got.Equal(want) {
				t.Fatalf("deadline: got %v, want %v: the platform's clock", got, want)
			}
			pending := open
			for _, e := range queue {
				pending += e.cmd.Time
			}
			end := t0.Add(time.Hour + accepted + pending)
			if got := s.Settled(p, end.Add(ExpiryGrace-1)); got.State != StateActive {
				t.Fatalf("expired before %v with %v pending", end, pending)
			}
			if got := s.Settled(p, end.Add(ExpiryGrace)); got.State != StateExpired {
				t.Fatalf("not expired at %v: %s", end, got.State)
			}
		}
		// Whatever the platform reports from now on holds all of it.
		s = s.ReportEnd(told(t0.Add(time.Hour+accepted), now.Add(time.Second)))
		if got, want := s.Deadline(p), t0.Add(time.Hour+accepted); !got.Equal(want) {
			t.Fatalf("deadline after the report: got %v, want %v", got, want)
		}
	})
}

func TestWholeMinutes(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	tests := []struct {
		grant, carry time.Duration
		minutes      int
		newCarry     time.Duration
	}{
		{s(60), 0, 1, 0},
		{s(61), 0, 2, s(59)},
		{s(119), 0, 2, s(1)},
		{s(60), s(59), 1, s(59)},
		{s(118), s(59), 1, s(1)},
		{s(60), s(60), 0, 0},
		{s(60), s(90), 0, s(30)},
		{s(60) + 1, 0, 2, s(60) - 1},
		{4 * time.Hour, 0, 240, 0},
	}
	for _, tt := range tests {
		minutes, carry := WholeMinutes(tt.grant, tt.carry)
		if minutes != tt.minutes || carry != tt.newCarry {
			t.Errorf("%v with a carry of %v: got %d, %v, want %d, %v", tt.grant, tt.carry, minutes, carry, tt.minutes, tt.newCarry)
		}
	}
}

func TestDeadlineAndLeft(t *testing.T) {
	h := func(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Hour))) }
	timed := DefaultPolicy()
	timed.DurationMinutes = 60
	free := DefaultPolicy()
	grant := func(state GrantState, at time.Time) []Grant {
		return []Grant{{CommandID: "c", Time: time.Hour, State: state, At: at}}
	}
	tests := []struct {
		name   string
		policy Policy
		s      Session
		now    time.Time
		want   time.Time // zero: none
		left   time.Duration
	}{
		{"no end is known", free, Session{State: StateActive, Started: h(0)}, h(1), time.Time{}, 0},
		{"the policy's duration", timed, Session{State: StateActive, Started: h(0)}, h(0.5), h(1), time.Hour / 2},
		{"not started yet", timed, Session{State: StateReady}, h(0.5), time.Time{}, 0},
		{"the duration moves with the pauses", timed, Session{State: StateActive, Started: h(0), PausedTotal: time.Hour}, h(1.5), h(2), time.Hour / 2},
		{"the report beats the duration", timed, Session{State: StateActive, Started: h(0), End: h(3), EndSeen: h(0)}, h(1), h(3), 2 * time.Hour},
		{"reported to have no end", timed, Session{State: StateActive, Started: h(0), EndSeen: h(0)}, h(1), time.Time{}, 0},
		{"paused: stands still", timed, Session{State: StatePaused, Started: h(0), End: h(3), EndSeen: h(0), PausedAt: h(1)}, h(9), h(3), 2 * time.Hour},
		{"over: not negative", timed, Session{State: StateActive, Started: h(0), End: h(1), EndSeen: h(0)}, h(2), h(1), 0},
		{"a pending grant does not move the clock", timed, Session{State: StateActive, End: h(1), EndSeen: h(0), Grants: grant(GrantPending, h(0.5))}, h(0.5), h(1), time.Hour / 2},
		{"a refused one neither", timed, Session{State: StateActive, End: h(1), EndSeen: h(0), Grants: grant(GrantRefused, h(0.5))}, h(0.5), h(1), time.Hour / 2},
		{"a confirmed one does", timed, Session{State: StateActive, End: h(1), EndSeen: h(0), Grants: grant(GrantConfirmed, h(0.5))}, h(0.5), h(2), 3 * time.Hour / 2},
		{"a report since then holds it", timed, Session{State: StateActive, End: h(2), EndSeen: h(0.6), Grants: grant(GrantConfirmed, h(0.5))}, h(1), h(2), time.Hour},
		{"without reports every grant counts", timed, Session{State: StateActive, Started: h(0), Grants: grant(GrantConfirmed, h(0.5))}, h(0.5), h(2), 3 * time.Hour / 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.Deadline(tt.policy); !got.Equal(tt.want) {
				t.Errorf("deadline: got %v, want %v", got, tt.want)
			}
			left, ok := tt.s.Left(tt.policy, tt.now)
			if ok == tt.want.IsZero() || left != tt.left {
				t.Errorf("left: got %v (%v), want %v", left, ok, tt.left)
			}
		})
	}
}

func TestReportEndTakesTheNewestReport(t *testing.T) {
	first, second := t0.Add(time.Hour), t0.Add(2*time.Hour)
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	resumed := Session{State: StateActive, End: second, EndSeen: at(1), Changed: at(30), PausedTotal: 20 * time.Minute}
	tests := []struct {
		name string
		s    Session
		end  time.Time
		at   time.Time
		want time.Time
	}{
		{"the first", Session{State: StateActive}, first, at(1), first},
		{"a newer one", Session{State: StateActive, End: first, EndSeen: at(1)}, second, at(2), second},
		{"of the same moment", Session{State: StateActive, End: first, EndSeen: at(1)}, second, at(1), second},
		{"an older one", Session{State: StateActive, End: first, EndSeen: at(2)}, second, at(1), first},
		{"none any more", Session{State: StateActive, End: first, EndSeen: at(1)}, time.Time{}, at(2), time.Time{}},
		{"from before the resumption", resumed, first, at(29), second},
		{"from after the resumption", resumed, first, at(30), first},
		{"made before the start that it brings", Session{State: StateActive, Changed: at(1)}, first, at(0), first},
		{"while paused", Session{State: StatePaused, Changed: at(5), PausedAt: at(5), End: second}, first, at(4), first},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.ReportEnd(told(tt.end, tt.at)).End; !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSettledExpires(t *testing.T) {
	h := func(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Hour))) }
	timed := DefaultPolicy()
	timed.DurationMinutes = 60
	tests := []struct {
		name  string
		s     Session
		now   time.Time
		want  State
		ended time.Time
	}{
		{"before the end", Session{State: StateActive, End: h(1), EndSeen: h(0)}, h(1), StateActive, time.Time{}},
		{"within the grace", Session{State: StateActive, End: h(1), EndSeen: h(0)}, h(1).Add(ExpiryGrace - 1), StateActive, time.Time{}},
		{"after it", Session{State: StateActive, End: h(1), EndSeen: h(0)}, h(9), StateExpired, h(1).Add(ExpiryGrace)},
		{"paused", Session{State: StatePaused, PausedAt: h(0.5), End: h(1), EndSeen: h(0)}, h(99), StatePaused, time.Time{}},
		{"never ends before it began", Session{State: StateActive, Changed: h(3), End: h(1), EndSeen: h(0)}, h(4), StateExpired, h(3)},
		{"by the policy's duration", Session{State: StateActive, Started: h(0)}, h(2), StateExpired, h(1).Add(ExpiryGrace)},
		{"never started: canceled when unheard", Session{State: StateReady, Created: h(0), Changed: h(1)}, h(13), StateCanceled, h(13)},
		{"unheard not yet for long enough", Session{State: StateCreated, Created: h(0)}, h(12).Add(-1), StateCreated, time.Time{}},
		{"heard since", Session{State: StateActive, EndSeen: h(0), Presence: Presence{Heard: h(5)}}, h(16.9), StateActive, time.Time{}},
		{"heard, but long ago", Session{State: StateActive, EndSeen: h(0), Presence: Presence{Heard: h(5)}}, h(17), StateExpired, h(17)},
		{"ended stays", Session{State: StateTerminated, Ended: h(0.1), End: h(1), EndSeen: h(0)}, h(9), StateTerminated, h(0.1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.s.Settled(timed, tt.now)
			if got.State != tt.want || !got.Ended.Equal(tt.ended) {
				t.Errorf("got %s at %v, want %s at %v", got.State, got.Ended, tt.want, tt.ended)
			}
			if again := got.Settled(timed, tt.now); !reflect.DeepEqual(again, got) {
				t.Errorf("settled twice: got %+v, want %+v", again, got)
			}
		})
	}
}

func TestSettleGrantAnswersOnce(t *testing.T) {
	s := Session{Grants: []Grant{{CommandID: "a", State: GrantPending, At: t0}, {CommandID: "b", State: GrantPending, At: t0}}}
	at := t0.Add(time.Minute)
	out := s.SettleGrant("b", GrantRefused, 0, at).SettleGrant("b", GrantConfirmed, time.Minute, at.Add(time.Minute)).SettleGrant("c", GrantConfirmed, time.Minute, at)
	want := []Grant{{CommandID: "a", State: GrantPending, At: t0}, {CommandID: "b", State: GrantRefused, At: at}}
	if !reflect.DeepEqual(out.Grants, want) {
		t.Errorf("got %+v, want %+v", out.Grants, want)
	}
	if s.Grants[1].State != GrantPending {
		t.Error("the session given was changed")
	}
}
