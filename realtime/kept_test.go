package realtime_test

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
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
			_, err := r.hub.Ended(r.ctx, id, moodle, c.now())
			r.ok(err)
		}},
		{"nobody came", func(string) { // last: the others are made in real time
			c.add(vigil.UnheardExpiry + time.Minute)
			r.ok(r.hub.WorkDue(r.ctx))
		}},
	}
	for _, row := range ends {
		s := r.session(controlled, waiting)
		by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
		_, err := r.hub.Command(r.ctx, r.exam.ID, by, realtime.CommandUp{ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 600, Targets: []string{s.ID}})
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
	_, err := r.hub.Command(r.ctx, r.exam.ID, by, realtime.CommandUp{ID: "terminate-01", Kind: vigil.CommandTerminate, Targets: []string{s.ID}})
	r.ok(err)
	_, err = r.hub.Deleted(r.ctx, s.ID, moodle, time.Now())
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
