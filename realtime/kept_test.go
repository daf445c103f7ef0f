package realtime_test

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

func TestTimeKeptForAnAttemptThatNeverBeginsIsRefusedInWords(t *testing.T) {
	t.Parallel()
	var c clock
	platform := &lms{}
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.Controller = platform })
	waiting := func(s *vigil.Session) {
		s.State, s.Started, s.End, s.EndSeen = vigil.StateReady, time.Time{}, time.Time{}, time.Time{}
		s.DueAt = s.NextDue(r.exam.Policy)
	}
	ends := []struct {
		name string
		end  func(id string)
	}{
		{"the platform ended it", func(id string) {
			_, err := r.hub.Sessions().Ended(r.ctx, id, moodle, c.now())
			r.ok(err)
		}},
		{"nobody came", func(string) { // last: the others are made in real time
			c.add(vigil.UnheardExpiry + time.Minute)
			r.ok(r.hub.Sessions().WorkDue(r.ctx))
		}},
	}
	for _, row := range ends {
		s := r.session(controlled, waiting)
		by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 600, Targets: []string{s.ID}})
		r.ok(err)
		row.end(s.ID)
		r.until(row.name+": refused", func() bool {
			c, err := r.db.Command(r.ctx, s.ID, "extend-0001")
			return err == nil && c.Stage == vigil.StageRefused && c.Problem == "The attempt never began."
		})
		if got := r.read(s.ID); got.State != vigil.StateCanceled || got.Grants[0].State != vigil.GrantRefused {
			t.Errorf("%s: got %s and the grant %s, want canceled and refused", row.name, got.State, got.Grants[0].State)
		}
	}
	if got := platform.requests(); len(got) != 0 {
		t.Errorf("the platform was asked for %d, want nothing", len(got))
	}
}

// TestARequestIsNotDoneToAnotherAttemptOfTheSameNumber ends an attempt while its platform
// cannot be reached; the attempt is deleted there, and its number used again.
func TestARequestIsNotDoneToAnotherAttemptOfTheSameNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t) // sends nothing
	s := r.session(controlled)
	by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: "terminate-01", Kind: vigil.CommandTerminate, Targets: []string{s.ID}})
	r.ok(err)
	_, err = r.hub.Sessions().Deleted(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	r.session(controlled, func(next *vigil.Session) {
		next.UserID = s.UserID
		*next = s.NextGeneration(*next)
	})
	r.stop()
	platform := &lms{}
	r.start(func(cfg *realtime.Config) { cfg.Controller = platform })
	r.until("refused", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, "terminate-01")
		return err == nil && c.Stage == vigil.StageRefused && c.Problem != ""
	})
	if got := platform.requests(); len(got) != 0 {
		t.Errorf("the platform was asked to %s the new attempt, want nothing", got[0].Action)
	}
}

// TestAResumptionFromBeforeTheEndDoesNotOpenTheAttemptAgain ends a paused attempt while its
// platform cannot be reached, and lets it go on before the platform has answered.
func TestAResumptionFromBeforeTheEndDoesNotOpenTheAttemptAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t) // sends nothing
	s := r.session(controlled)
	by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
	for _, kind := range []vigil.CommandKind{vigil.CommandPause, vigil.CommandTerminate, vigil.CommandResume} {
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: string(kind) + "-0001", Kind: kind, Targets: []string{s.ID}})
		r.ok(err)
	}
	r.stop()
	platform := &lms{}
	r.start(func(cfg *realtime.Config) { cfg.Controller = platform })
	r.until("refused", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, "resume-0001")
		return err == nil && c.LMS.State.Answered()
	})
	c, err := r.db.Command(r.ctx, s.ID, "resume-0001")
	r.ok(err)
	if got := r.read(s.ID).State; got != vigil.StateTerminated || c.Stage != vigil.StageRefused || c.Problem == "" {
		t.Errorf("got %s, the resumption %s (%q), want terminated and refused in words", got, c.Stage, c.Problem)
	}
	for _, d := range platform.requests() {
		if d.Action == vigil.ActionResume {
			t.Error("the platform was asked to let an ended attempt go on")
		}
	}
	// Taken back, it goes on when that is asked for.
	for _, kind := range []vigil.CommandKind{vigil.CommandReactivate, vigil.CommandResume} {
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: string(kind) + "-0002", Kind: kind, Targets: []string{s.ID}})
		r.ok(err)
	}
	r.until("goes on", func() bool { l := platform.requests(); return l[len(l)-1].Action == vigil.ActionResume })
}

func TestTimeWhoseAnswerWasLostIsToldToItsStudent(t *testing.T) {
	t.Parallel()
	l := &lossy{}
	r := newRig(t, func(c *realtime.Config) { l.Store = c.Store; c.Store = l; c.Liveness = calm }) // the test answers
	l.lost = func() { r.store.failNext("Session", errMaybe) }                                      // nor is it known afterwards whether it was stored
	s := r.session(controlled)
	st := r.student(s)
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 600, Targets: []string{s.ID}})
	r.ok(err)
	l.transition.Store(1)
	d := vigil.Delivery{SessionID: s.ID, CommandID: "extend-0001", Action: vigil.ActionUpdate, ExtraMinutes: 10}
	if err := r.hub.Sessions().Answered(r.ctx, d, vigil.LMSAnswer{State: vigil.LMSAccepted, At: time.Now()}); err == nil {
		t.Fatal("the store's answer was lost: got no error, want one")
	}
	// Its server ends, and the next one does not know what came of the request.
	r.ok(r.hub.Sessions().Answered(r.ctx, d, vigil.LMSAnswer{State: vigil.LMSUnknown, Problem: "unknown", At: time.Now()}))
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { return len(c.Commands()) == 1 }))
	c, err := r.db.Command(r.ctx, s.ID, "extend-0001")
	r.ok(err)
	if got := r.read(s.ID); c.LMS.State != vigil.LMSAccepted || len(got.Grants) != 1 || got.Grants[0].State != vigil.GrantConfirmed {
		t.Errorf("got the answer %s, and grants %+v, want accepted, one and confirmed", c.LMS.State, got.Grants)
	}
}

// TestAnotherChangeIsNotTakenForOneThatFailed answers a grant while the store fails, and
// another server changes the same session in the meantime.
func TestAnotherChangeIsNotTakenForOneThatFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t) // the test answers
	s := r.session(controlled)
	by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
	for _, id := range []string{"extend-0001", "extend-0002"} {
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: id, Kind: vigil.CommandExtend, Seconds: 600, Targets: []string{s.ID}})
		r.ok(err)
	}
	other := r.another(silent("another"))
	answer := func(hub *realtime.Hub, id string) error {
		return hub.Sessions().Answered(r.ctx, vigil.Delivery{SessionID: s.ID, CommandID: id, Action: vigil.ActionUpdate, ExtraMinutes: 10},
			vigil.LMSAnswer{State: vigil.LMSAccepted, At: time.Now()})
	}
	hold := r.store.holdNext("Transition")
	r.store.failNext("Transition", errDown)
	done := make(chan error, 1)
	go func() { done <- answer(r.hub, "extend-0001") }()
	<-hold.entered
	r.ok(answer(other.hub, "extend-0002"))
	close(hold.release)
	if err := <-done; err == nil {
		t.Error("the store failed: got no error, want one")
	}
	r.ok(answer(r.hub, "extend-0001"))
	for _, g := range r.read(s.ID).Grants {
		if g.State != vigil.GrantConfirmed {
			t.Errorf("%s: got %s, want confirmed", g.CommandID, g.State)
		}
	}
}
