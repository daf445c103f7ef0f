package realtime_test

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
)

// twiceLost is a store that does what it is asked the first time and loses the answer, and then
// that of the look whether it was done.
func twiceLost(r *rig, l *lossy) {
	l.lost = func() { r.store.failNext("Session", errMaybe) }
	l.transition.Store(1)
}

func TestAnEndWhoseAnswerWasLostIsTold(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} { // the platform reports it again, or does not
		l := &lossy{}
		r := newRig(t, func(c *realtime.Config) { l.Store = c.Store; c.Store = l })
		s := r.session(proctored)
		p := r.proctor()
		w := r.wire(studentClaims(s))
		w.write(hello)
		r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
		handed := time.Now()
		twiceLost(r, l)
		if _, err := r.hub.Ended(r.ctx, s.ID, moodle, handed); err == nil {
			t.Fatal("the report: got no error")
		}
		if again {
			_, err := r.hub.Ended(r.ctx, s.ID, moodle, handed)
			r.ok(err)
		}
		w.ends(realtime.CloseEnded)
		r.until("told", func() bool { return shown(p, s.ID) == vigil.StateSubmitted && p.Connection(s.ID) == vigil.ConnClosed })
		if v := r.read(s.ID); v.Tally.Incidents != 0 || len(r.gaps(s.ID)) != 0 {
			t.Errorf("after the end: got %d incidents and gaps %+v, want none", v.Tally.Incidents, r.gaps(s.ID))
		}
	}
}

func TestTimeThatRanOutIsToldThoughTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	l := &lossy{}
	var c clock
	r := newRig(t, c.by, func(c *realtime.Config) { l.Store = c.Store; c.Store = l; c.DueEvery = time.Hour })
	s := r.session(proctored, func(s *vigil.Session) { s.DueAt = s.NextDue(r.exam.Policy) })
	p := r.proctor()
	c.add(time.Hour + vigil.ExpiryGrace)
	twiceLost(r, l)
	r.ok(r.hub.WorkDue(r.ctx))
	r.until("told", func() bool { return shown(p, s.ID) == vigil.StateTimeUp })
	if got := r.read(s.ID).State; got != vigil.StateTimeUp {
		t.Errorf("stored: got %s, want time_up", got)
	}
}

func TestTheEndOfAGapIsToldThoughItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	l := &lossy{}
	r := newRig(t, func(c *realtime.Config) { l.Store = c.Store; c.Store = l })
	s := r.session()
	p := r.proctor()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	st.Cut()
	r.until("told of the gap", func() bool { return len(p.Gaps(s.ID)) == 1 })
	l.ledger.Store(1)
	close(hold)
	r.until("told of its end", func() bool { return p.Gaps(s.ID)[0].End != 0 })
}

func TestADashboardThatSubscribesElsewhereBeforeAConnectionIsStoredSeesItAfterwards(t *testing.T) {
	t.Parallel()
	bus := realtime.NewLocal(0)
	node := func(name string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, name, time.Minute, calm
		}
	}
	r := newRig(t, node("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, store: r.store, tokens: r.tokens, exam: r.exam, path: r.path}
	second.start(node("two"))
	t.Cleanup(second.stop)

	s := r.session()
	storing := r.store.holdNext("SetPresence")
	r.student(s)
	<-storing.entered
	there := second.proctor() // nobody of the exam was on its node when the connection was told
	r.until("the dashboard's snapshot", func() bool { return there.Snapshots() > 0 })
	if got := there.Connection(s.ID); got == vigil.ConnOnline {
		t.Fatal("the snapshot shows the student online before that is stored: the test is wrong")
	}
	close(storing.release)
	r.until("the dashboard to show the student online", func() bool { return there.Connection(s.ID) == vigil.ConnOnline })
}
