package realtime_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
)

// TestExtensionsGivenAtOnceAreReckonedWhenTheyAreSent gives three extensions before the
// first is answered: what it was rounded up by covers the second, which is then not sent,
// and part of the third, whose fewer minutes are stored before they go out.
func TestExtensionsGivenAtOnceAreReckonedWhenTheyAreSent(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	var r *rig
	stored := make(chan int, 1)
	platform.answers(func(d vigil.Delivery) vigil.Result {
		<-hold
		if d.CommandID == "extend-0003" { // another node's view of what is being sent
			leased, err := r.db.LeaseDeliveries(context.Background(), "other", time.Now().Add(vigil.DeliveryLease+time.Second), 1)
			if err == nil && len(leased) == 1 && leased[0].CommandID == d.CommandID {
				stored <- leased[0].ExtraMinutes
			}
			close(stored)
		}
		return vigil.Result{State: vigil.LMSAccepted}
	})
	r = newRig(t, func(c *realtime.Config) { c.Controller = platform })
	t.Cleanup(release) // before the rig's own
	s := r.session(controlled)
	extend := func(id string, seconds int64) {
		t.Helper()
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
			ID: id, Kind: vigil.CommandExtend, Seconds: seconds, Targets: []string{s.ID},
		})
		r.ok(err)
	}
	extend("extend-0001", 70) // 2 minutes, 50 s over
	extend("extend-0002", 30) // covered, 20 s over
	extend("extend-0003", 75) // 1 minute instead of 2, 5 s over
	release()
	r.until("accepted", func() bool { // the third's lease was taken; its command is answered all the same
		c, err := r.db.Command(r.ctx, s.ID, "extend-0003")
		return err == nil && c.LMS.State == vigil.LMSAccepted
	})
	got := platform.requests()
	if len(got) != 2 || got[0].ExtraMinutes != 2 || got[1].CommandID != "extend-0003" || got[1].ExtraMinutes != 1 {
		t.Fatalf("requests: got %+v, want 2 minutes for the first and 1 for the third", got)
	}
	if minutes, ok := <-stored; !ok || minutes != 1 {
		t.Fatalf("stored before it was sent: got %d (%v), want 1", minutes, ok)
	}
	c, err := r.db.Command(r.ctx, s.ID, "extend-0002")
	r.ok(err)
	if c.LMS.State != vigil.LMSAccepted {
		t.Fatalf("the covered one: got %q, want accepted", c.LMS.State)
	}
	end := r.read(s.ID)
	if len(end.Grants) != 3 || end.Carry != 5*time.Second {
		t.Fatalf("got %d grants and a carry of %v, want 3 and 5s", len(end.Grants), end.Carry)
	}
	for _, g := range end.Grants {
		if g.State != vigil.GrantConfirmed {
			t.Fatalf("grant: got %+v, want confirmed", g)
		}
	}
}
