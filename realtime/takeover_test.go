package realtime_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/relay/relaytest"
)

func TestWhatADrainingNodeStoresLastIsCountedByTheNextOne(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string, rows time.Duration) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.RowsEvery = bus.Node(), true, node, time.Minute, rows
			c.Liveness = calm
		}
	}
	r := newRig(t, shared("one", time.Hour))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, tokens: r.tokens, exam: r.exam, path: r.path}
	second.store = &faults{Store: r.db, errs: map[string]error{}, seen: map[string]int{}}
	second.start(shared("two", 10*time.Millisecond))
	t.Cleanup(second.stop)
	s := r.session()
	p := second.proctor()
	st := r.student(s)
	r.until("connected", func() bool { return r.read(s.ID).Tally.Signals == 1 })
	late := r.store.holdNext("AppendSignals")
	st.Signal(vigil.KindCopy, 0, nil)
	<-late.entered
	st.Close()
	w := second.wire(studentClaims(s))
	w.write(`{"t":"hello","stream":"qqqqqqqqqqqqqqqqqqqq","next":1}`)
	calls, since := 0, time.Now()
	r.until("the next one to have read all counts", func() bool {
		if n := second.store.calls("Session"); n != calls {
			calls, since = n, time.Now()
		}
		return p.Connection(s.ID) == vigil.ConnOnline && time.Since(since) > 300*time.Millisecond
	})
	drained := make(chan error, 1)
	go func() { drained <- r.hub.Drain(r.ctx) }()
	r.until("draining", func() bool { return !r.hub.Ready() })
	close(late.release)
	r.ok(<-drained)
	r.hub.Close()
	r.until("all counted", func() bool {
		row := p.Row(s.ID)
		return row.Tally != nil && row.Tally.Signals == r.read(s.ID).Tally.Signals && r.kinds(s.ID)[vigil.KindCopy] == 1
	})
}

func TestASessionThatComesBackFromAnotherNodeIsCountedAnew(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, time.Minute
			c.Liveness = calm
		}
	}
	r := newRig(t, shared("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, store: r.store, tokens: r.tokens, exam: r.exam, path: r.path}
	second.start(shared("two"))
	t.Cleanup(second.stop)
	s := r.session()
	p := second.proctor()
	for i, at := range []*rig{r, second, r} { // page after page, as a load balancer has it
		seq := strconv.Itoa(i + 1)
		w := at.wire(studentClaims(s))
		w.write(`{"t":"hello","stream":"qqqqqqqqqqqqqqqqqqqq","next":` + seq + `}`)
		w.write(`{"t":"signal","seq":` + seq + `,"kind":"copy","at":` + strconv.FormatInt(time.Now().UnixMilli(), 10) + `}`)
		r.until("all counted", func() bool {
			row, v := p.Row(s.ID), r.read(s.ID)
			return r.kinds(s.ID)[vigil.KindCopy] == i+1 && row.Tally != nil && row.Tally.Signals == v.Tally.Signals &&
				at.hub.Live(v).Tally == v.Tally
		})
		w.write(`{"t":"bye","reason":"navigating"}`)
	}
}

func TestASurvivorTakesOverFromANodeThatIsGone(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, 2*time.Second
		}
	}
	r := newRig(t, shared("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, tokens: r.tokens, exam: r.exam, path: r.path}
	second.store = &faults{Store: r.db, errs: map[string]error{}, seen: map[string]int{}}
	second.start(shared("two"))
	t.Cleanup(second.stop)
	s := r.session()
	hold := make(chan struct{})
	defer close(hold)
	r.student(s, held(r, hold))
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	p := second.proctor()
	crash(r)
	r.until("lost by us", func() bool {
		c := p.Row(s.ID).Conn
		return c != nil && c.Conn == vigil.ConnLost && c.Cause == vigil.CauseServer
	})
	second.until("counted", func() bool { s := second.hub.Stats(); return s.Takeovers == 1 && s.TakenOver == 1 })
	r.server = nil
	r.start(shared("three")) // for the clean-up
}

func TestProctorsHearOfAllOfADeadNodesStudentsBeforeTheyAreStored(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Limits.TakeOver = bus.Node(), true, node, 2*time.Second, 1
		}
	}
	r := newRig(t, shared("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, tokens: r.tokens, exam: r.exam, path: r.path}
	second.store = &faults{Store: r.db, errs: map[string]error{}, seen: map[string]int{}}
	second.start(shared("two"))
	t.Cleanup(second.stop)
	hold := make(chan struct{})
	defer close(hold)
	var all []vigil.Session
	for range 3 {
		s := r.session()
		r.student(s, held(r, hold))
		r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
		all = append(all, s)
	}
	p := second.proctor()
	first := second.store.holdNext("SetPresence")
	release := sync.OnceFunc(func() { close(first.release) })
	t.Cleanup(release)
	crash(r)
	<-first.entered
	for _, s := range all {
		r.until("all lost by us", func() bool {
			c := p.Row(s.ID).Conn
			return c != nil && c.Conn == vigil.ConnLost && c.Cause == vigil.CauseServer
		})
	}
	heard := func() (at time.Time) {
		nodes, err := r.db.Nodes(r.ctx)
		r.ok(err)
		for _, n := range nodes {
			if n.ID == "two" {
				at = n.Heard
			}
		}
		return at
	}
	before := heard()
	r.until("the survivor to show that it lives", func() bool { return heard().After(before.Add(4 * r.cfg.NodeEvery)) })
	release()
	for _, s := range all {
		r.until("stored", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	}
	r.server = nil
	r.start(shared("three")) // for the clean-up
}
