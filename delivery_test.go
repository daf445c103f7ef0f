package vigil

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var deliveryActions = []string{ActionPause, ActionResume, ActionTerminate, ActionUpdate, ActionFlag}

// TestDeliverySettles plays the tries of one delivery, with nodes that die between
// sending and storing.
func TestDeliverySettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plugin := rapid.Bool().Draw(t, "our plugin")
		now := t0
		d := Delivery{ID: "d", Action: rapid.SampledFrom(deliveryActions).Draw(t, "action"), State: DeliveryWaiting, Created: now, NextTry: now}
		once := d.Action == ActionUpdate && !plugin
		reached := 0 // tries that may have reached the platform
		var answer LMSAnswer
		tries := 0
		for d.State == DeliveryWaiting {
			d.LeaseOwner, d.LeaseEnds = "node", now.Add(DeliveryLease)
			var r Result
			if !d.MaySend(plugin) {
				r = Result{State: LMSUnknown}
			} else {
				tries++
				r = Result{
					State: rapid.SampledFrom([]LMSState{LMSFailed, LMSFailed, LMSFailed, LMSFailed, LMSUnknown, LMSAccepted, LMSRefused, LMSWaiting, ""}).Draw(t, "result"),
					Retry: rapid.IntRange(0, 9).Draw(t, "retry") > 0,
				}
				if r.State != LMSFailed {
					reached++
				}
				if once && reached > 1 {
					t.Fatal("extra time was sent again after an outcome that was not known")
				}
				if r.State == LMSUnknown && rapid.Bool().Draw(t, "the node dies") {
					now = now.Add(DeliveryLease)
					if !d.Abandoned(now) || d.Abandoned(now.Add(-1)) {
						t.Fatalf("abandoned at the lease's end: got %v, want true, and false before", d.Abandoned(now))
					}
					d.Sent = true // as the store leases it out again
					d.Tries++
					if d.Tries > MaxTries {
						break
					}
					continue
				}
			}
			d, answer = d.Settle(r, plugin, now)
			if d.LeaseOwner != "" || !d.LeaseEnds.IsZero() {
				t.Fatalf("still leased: %+v", d)
			}
			if once && reached > 0 && d.State == DeliveryWaiting {
				t.Fatal("extra time waits for another try after an outcome that was not known")
			}
			if d.State == DeliveryWaiting {
				wait := d.NextTry.Sub(now)
				if answer.State != LMSWaiting || wait < FirstRetry || wait > MaxRetry {
					t.Fatalf("another try: got %s in %v, want %s within %v and %v", answer.State, wait, LMSWaiting, FirstRetry, MaxRetry)
				}
				if r.State != LMSFailed && r.State != LMSUnknown && r.State != LMSWaiting && r.State != "" {
					t.Fatalf("another try after %s", r.State)
				}
				now = d.NextTry
				continue
			}
			switch answer.State {
			case LMSAccepted, LMSRefused:
				if answer.State != r.State {
					t.Fatalf("got %s, want %s", answer.State, r.State)
				}
			case LMSFailed:
				if reached > 0 || d.Sent {
					t.Fatal("said to have failed, though a try may have got through")
				}
			case LMSUnknown:
				if reached == 0 {
					t.Fatal("said to be unknown, though nothing reached the platform")
				}
			default:
				t.Fatalf("settled as %q", answer.State)
			}
		}
		if tries > MaxTries+1 {
			t.Fatalf("got %d tries, want at most %d", tries, MaxTries)
		}
	})
}

func TestTriesAndWaitsAreBounded(t *testing.T) {
	for _, state := range []LMSState{LMSFailed, LMSUnknown} {
		d := Delivery{Action: ActionPause, State: DeliveryWaiting}
		now, tries := t0, 0
		var last time.Duration
		for d.State == DeliveryWaiting {
			d, _ = d.Settle(Result{State: state, Retry: true}, false, now)
			tries++
			if d.State != DeliveryWaiting {
				break
			}
			wait := d.NextTry.Sub(now)
			if wait < last || wait > MaxRetry || wait < FirstRetry {
				t.Errorf("%s, wait after try %d: got %v after %v", state, tries, wait, last)
			}
			last, now = wait, d.NextTry
		}
		if tries != MaxTries {
			t.Errorf("%s, tries: got %d, want %d", state, tries, MaxTries)
		}
		if got := now.Sub(t0); got < 5*time.Minute || got > 10*time.Minute {
			t.Errorf("%s: gave up after %v, want some minutes", state, got)
		}
	}
}

func TestWhatMayBeSentAgain(t *testing.T) {
	for _, action := range deliveryActions {
		for _, plugin := range []bool{false, true} {
			want := action != ActionUpdate || plugin
			if got := (Delivery{Action: action}).Repeatable(plugin); got != want {
				t.Errorf("%s, plugin %v: repeatable is %v, want %v", action, plugin, got, want)
			}
			if got := (Delivery{Action: action, Sent: true}).MaySend(plugin); got != want {
				t.Errorf("%s, plugin %v: may be sent again is %v, want %v", action, plugin, got, want)
			}
			if !(Delivery{Action: action}).MaySend(plugin) {
				t.Errorf("%s, plugin %v: may not be sent at all", action, plugin)
			}
		}
	}
}

func TestPrepareReckonsWithWhatThePlatformTook(t *testing.T) {
	s := Session{Carry: 59 * time.Second, Grants: []Grant{{CommandID: "a", Time: 118 * time.Second, State: GrantPending}}}
	d := Delivery{CommandID: "a", Action: ActionUpdate, ExtraMinutes: 2}
	if got := s.Prepare(d).ExtraMinutes; got != 1 {
		t.Errorf("with a carry: got %d, want 1", got)
	}
	s.Carry = 0
	d.ExtraMinutes = 1
	if got := s.Prepare(d).ExtraMinutes; got != 2 {
		t.Errorf("without: got %d, want 2", got)
	}
	s.Carry = 2 * time.Minute
	if got := s.Prepare(d).ExtraMinutes; got != 0 {
		t.Errorf("with more than enough: got %d, want 0", got)
	}
	d.Sent = true
	if got := s.Prepare(d).ExtraMinutes; got != 1 {
		t.Errorf("sent before: got %d, want 1, as it was sent", got)
	}
	if got := s.Prepare(Delivery{CommandID: "a", Action: ActionPause}).ExtraMinutes; got != 0 {
		t.Errorf("a pause: got %d minutes, want 0", got)
	}
}

func TestAnswerToEachKind(t *testing.T) {
	at := t0.Add(time.Minute)
	tests := []struct {
		kind   CommandKind
		from   State
		answer LMSState
		state  State
		told   bool
		stage  Stage
	}{
		{CommandTerminate, StateActive, LMSAccepted, StateTerminated, true, StageQueued},
		{CommandTerminate, StatePaused, LMSAccepted, StateTerminated, true, StageQueued},
		{CommandTerminate, StateActive, LMSRefused, StateActive, false, StageRefused},
		{CommandTerminate, StateActive, LMSFailed, StateActive, false, StageRefused},
		{CommandTerminate, StateActive, LMSUnknown, StateActive, false, StageQueued},
		{CommandTerminate, StateActive, LMSWaiting, StateActive, false, StageQueued},
		{CommandTerminate, StateSubmitted, LMSAccepted, StateSubmitted, false, StageQueued},
		{CommandTerminate, StateTerminated, LMSAccepted, StateTerminated, false, StageQueued},
		{CommandPause, StatePaused, LMSFailed, StatePaused, false, StageRefused},  // not the pause that holds
		{CommandPause, StatePaused, LMSAccepted, StatePaused, false, StageQueued}, // of another pause
		{CommandResume, StateActive, LMSFailed, StateActive, false, StageRefused},
		{CommandResume, StateActive, LMSRefused, StateActive, false, StageRefused},
		{CommandFlag, StateActive, LMSRefused, StateActive, false, StageQueued},
	}
	for _, tt := range tests {
		s := Session{State: tt.from, Version: 4, PausedAt: at}
		c := Command{ID: "command-1", Kind: tt.kind, Stage: StageQueued, By: Actor{ID: "p"}, Text: "why", At: t0}
		a := LMSAnswer{State: tt.answer, Status: "running", Problem: "no", At: at}
		out, cmd, told := s.Answer(c, Delivery{}, a, at)
		if out.State != tt.state || told != tt.told || cmd.Stage != tt.stage || cmd.LMS != a {
			t.Errorf("%s when %s, %s: got %s, told %v, %s, %+v, want %s, %v, %s, the answer",
				tt.kind, tt.from, tt.answer, out.State, told, cmd.Stage, cmd.LMS, tt.state, tt.told, tt.stage)
		}
		if moved := tt.state != tt.from; moved != (out.Version == 5) || !moved && out.Version != 4 {
			t.Errorf("%s when %s, %s: got version %d, moved %v", tt.kind, tt.from, tt.answer, out.Version, moved)
		}
		if moved := tt.state != tt.from; moved && (out.By.ID != "p" || out.Reason != "why" || !out.Ended.Equal(at)) {
			t.Errorf("%s: got by %v, %q at %v, want who ordered it and when it took effect", tt.kind, out.By, out.Reason, out.Ended)
		}
	}
}
