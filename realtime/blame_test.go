package realtime_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// What is said of somebody who is away, and what is taken back.

func TestWhoClosedTheBrowserWhileTheLMSWasSlowIsAwayByThemselvesAfterwards(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = paged })
	var all []vigil.Session
	var wires []*wire
	for range 4 {
		s := r.session(proctored)
		all, wires = append(all, s), append(wires, r.comes(s))
	}
	for i, s := range all {
		r.leave(s, wires[i])
	}
	time.Sleep(1500 * time.Millisecond)
	for _, s := range all[1:] {
		r.comes(s)
	}
	time.Sleep(time.Second)
	closed := all[0]
	r.comes(closed)
	var gaps []vigil.Gap
	r.until("ended", func() bool { gaps = r.gaps(closed.ID); return len(gaps) > 0 && !gaps[len(gaps)-1].End.IsZero() })
	if len(gaps) != 2 || gaps[0].Cause != vigil.CauseLMS || gaps[1].Cause != vigil.CauseUnclear || gaps[1].End.Sub(gaps[1].Start) < 900*time.Millisecond {
		t.Errorf("got %+v, want the LMS's while the others waited, and unclear from then on", gaps)
	}
}

func TestALongRestartInOrderIsGivenBackToWhoIsBackAtOnce(t *testing.T) {
	t.Parallel()
	quickly := func(c *realtime.Config) {
		c.DrainSpread, c.Liveness = 50*time.Millisecond, calm
		c.Liveness.DropGrace = time.Second
	}
	r := newRig(t, quickly)
	for _, down := range []time.Duration{0, 2 * time.Second} {
		s := r.session(proctored)
		w := r.comes(s)
		r.ok(r.hub.Drain(r.ctx))
		_ = w.ws.CloseNow()
		r.stop()
		time.Sleep(down)
		r.start(quickly)
		r.comes(s)
		if down == 0 {
			if g := r.gaps(s.ID); len(g) != 0 {
				t.Errorf("a short restart: got %+v, want no gap", g)
			}
			continue
		}
		r.until("given back", func() bool {
			g := r.gaps(s.ID)
			return len(g) == 1 && g[0].Cause == vigil.CauseServer && g[0].End.Sub(g[0].Start) >= down && g[0].Decision == vigil.GapGranted
		})
		if got := r.read(s.ID).Tally.Incidents; got != 0 {
			t.Errorf("incidents: got %d, want none", got)
		}
	}
}

func TestASilentSocketIsNotCalledLostWhenItsStudentIsOnAnotherServer(t *testing.T) {
	t.Parallel()
	slowPings := func(c *realtime.Config) {
		c.Liveness = vigil.Liveness{PingEvery: 4 * time.Second, PongWait: time.Second, NavigateGrace: 5 * time.Second, DropGrace: 5 * time.Second}
	}
	r := newRig(t, silent("one"), slowPings)
	second := r.another(silent("two"), slowPings)
	s := r.session()
	ws := r.raw(studentClaims(s)) // nobody reads, so nobody answers pings
	r.ok(ws.Write(r.ctx, websocket.MessageText, []byte(hello)))
	r.until("silent", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnDegraded })
	second.comes(s) // before the second ping
	r.until("given way", func() bool { c, idle := r.hub.Here(s.ID); return c == vigil.ConnSuperseded && idle })
	if v := r.read(s.ID); v.Tally.Incidents != 0 || len(r.gaps(s.ID)) != 0 || v.Presence.Node != "two" {
		t.Errorf("got %d incidents, gaps %+v, on %s, want nothing noted, and the student on two", v.Tally.Incidents, r.gaps(s.ID), v.Presence.Node)
	}
}

func TestADrainedServersStudentIsNotCalledLostWhenOnAnotherServer(t *testing.T) {
	t.Parallel()
	quickly := func(c *realtime.Config) {
		c.NodeLease, c.NodeEvery, c.DrainSpread, c.Liveness = 300*time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, calm
		c.Liveness.DropGrace = 2 * time.Second
	}
	r := newRig(t, silent("one"), quickly)
	second, third := r.another(silent("two"), quickly), r.another(silent("three"), quickly, func(c *realtime.Config) { c.NodeLease = time.Minute })
	s := r.session()
	w := r.comes(s)
	r.ok(r.hub.Drain(r.ctx))
	_ = w.ws.CloseNow()
	r.until("waited for by the second", func() bool { return r.read(s.ID).Presence.Node == "two" })
	third.comes(s)
	r.until("given way", func() bool { c, idle := second.hub.Here(s.ID); return c == vigil.ConnSuperseded && idle })
	if g := r.gaps(s.ID); len(g) != 0 || r.read(s.ID).Presence.Node != "three" {
		t.Errorf("got gaps %+v on %s, want none, and the student on three", g, r.read(s.ID).Presence.Node)
	}
}

func TestAnIncidentThatIsStoredAfterItsAbsenceWasJudgedIsCleared(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(c *realtime.Config) {
		c.Pages, c.Liveness = pages, paged
		c.Liveness.LoadLimit = 500 * time.Millisecond
	})
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {})))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	left := time.Now()
	r.leave(s, w)
	r.until("lost", func() bool { return r.kinds(s.ID)[vigil.KindLost] == 1 })
	h := r.store.holdNext("AppendSignals")
	<-h.entered // with what says that the student stays away
	release := sync.OnceFunc(func() { close(h.release) })
	defer release()
	time.Sleep(1500 * time.Millisecond) // so that the platform's part is no gap too short, however long the way here takes
	r.wire(studentClaims(s)).write(helloWith(pages.print(s, "page-2", func(p *realtime.Page) { p.Requested, p.Answered = left.Add(-time.Second), time.Now() })))
	r.until("the LMS's", func() bool {
		g := r.gaps(s.ID)
		for _, g := range g {
			if g.End.IsZero() || g.Cause == vigil.CauseStudent {
				return false
			}
		}
		return len(g) > 0
	})
	release()
	r.until("noted, and cleared", func() bool { v := r.read(s.ID); return v.Tally.Incidents == 1 && v.Tally.Open == 0 })
	list, _, err := r.db.IncidentsOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	if len(list) != 1 || list[0].Review != vigil.ReviewCleared || list[0].Reviewer.Role != vigil.RoleSystem || list[0].Note == "" {
		t.Errorf("got %+v, want cleared by the system, with the reason", list)
	}
}

func TestAllGapsThatWereLeftOpenAreEndedHoweverMany(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	const left = 3 * vigil.MaxTogether / 2
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	for i := range left {
		r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
			ID: fmt.Sprint("left-", i), SessionID: s.ID, ExamID: r.exam.ID, Start: at.Add(time.Duration(i) * 20 * time.Second), Cause: vigil.CauseStudent,
		}))
	}
	w := r.comes(s)
	_ = w.ws.CloseNow()
	r.until("lost", func() bool { return len(r.gaps(s.ID)) == left+1 })
	r.comes(s)
	r.until("all ended", func() bool {
		for _, g := range r.gaps(s.ID) {
			if g.End.IsZero() {
				return false
			}
		}
		return true
	})
}

func TestWhoIsOnAnotherServerByNowWaitsForNoPageHere(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, node, time.Minute, paged
		}
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	for range 3 {
		s := r.session()
		r.leave(s, r.comes(s))
		second.comes(s)
		r.until("given way", func() bool { c, idle := r.hub.Here(s.ID); return c == vigil.ConnSuperseded && idle })
	}
	time.Sleep(2 * paged.NavigateGrace)
	s := r.session()
	r.leave(s, r.comes(s))
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	if c := r.read(s.ID).Presence.Cause; c != vigil.CauseUnclear {
		t.Errorf("got %s, want unclear: nobody else waits", c)
	}
}

func TestWhoIsNotBackAfterAFaultOfOursThatHasPassedIsAwayForNoKnownReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.Liveness = calm
		c.Liveness.DropGrace = 1100 * time.Millisecond
	})
	s := r.session(proctored)
	r.store.failNext("ChatOfSession", errDown) // one call of the welcome's, and no other
	w := r.wire(studentClaims(s))
	w.write(hello)
	w.ends(protocol.CloseUnavailable) // and the student turns a page, which nobody can be told
	r.until("lost", func() bool { g := r.gaps(s.ID); return len(g) == 2 && g[0].Decision == vigil.GapGranted })
	g := r.gaps(s.ID)
	if g[0].Cause != vigil.CauseServer || g[0].End.Sub(g[0].Start) < time.Second || g[1].Cause != vigil.CauseUnclear || !g[1].End.IsZero() {
		t.Errorf("got %+v, want ours up to the end of the drop's grace, and unclear from then on", g)
	}
	// The presence is stored behind the gaps.
	r.until("lost by nobody's known fault", func() bool { return r.read(s.ID).Presence.Cause == vigil.CauseUnclear })
	if n := r.read(s.ID).Tally.Incidents; n != 0 {
		t.Errorf("got %d incidents, want none", n)
	}
	r.comes(s)
	r.until("ended", func() bool { g := r.gaps(s.ID); return !g[len(g)-1].End.IsZero() })
}
