package realtime_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/relay/relaytest"
)

// missing stores a student's gap of ten minutes that ended half an hour ago.
func (r *rig) missing(s vigil.Session) {
	r.Helper()
	start := time.Now().Add(-40 * time.Minute).UTC().Truncate(time.Millisecond)
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: name(1), SessionID: s.ID, ExamID: r.exam.ID, Start: start, End: start.Add(10 * time.Minute), Cause: vigil.CauseStudent}))
}

func TestLostTimeIsGivenOnceHoweverManyApproveIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const students, proctors = 20, 4
	var ids []string
	ends := map[string]time.Time{}
	for range students {
		s := r.session()
		r.missing(s)
		ids, ends[s.ID] = append(ids, s.ID), s.End
	}
	var wg sync.WaitGroup
	var given atomic.Int64
	for j := range proctors {
		wg.Go(func() {
			done, err := r.hub.Sessions().LostTime(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor, ID: fmt.Sprint("p", j)}, vigil.FullAccess,
				protocol.LostTimeUp{ID: fmt.Sprint("approve-all-", j), Targets: ids, Grant: true})
			if err != nil {
				t.Error(err)
			}
			for _, p := range done {
				if p.Stage != vigil.StageRefused {
					given.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		g := r.gaps(id)[0]
		if got := r.read(id).Deadline(r.exam.Policy).Sub(ends[id]).Round(time.Second); got != 10*time.Minute || g.Decision != vigil.GapGranted {
			t.Errorf("10 minutes were proposed: got %v, the gap %q", got, g.Decision)
		}
		if c, err := r.db.Command(r.ctx, id, g.CommandID); err != nil || c.Time != 10*time.Minute {
			t.Errorf("the gap's command: got %v (%v), want one of 10 minutes", c.Time, err)
		}
	}
	if got := given.Load(); got != students {
		t.Errorf("proctors were told of %d grants, want %d", got, students)
	}
}

// lossy is a store that does what it is asked and loses the answer, once for each that is set.
type lossy struct {
	realtime.Store
	transition atomic.Int64 // answers to lose
	ledger     atomic.Int64
	lost       func() // called for each, if not nil
}

var errMaybe = vigil.Errorf(vigil.CodeUnavailable, "the answer was lost")

func (l *lossy) Transition(ctx context.Context, t vigil.Transition) error {
	err := l.Store.Transition(ctx, t)
	lose := &l.transition
	if len(t.Gaps)+len(t.NewGaps) > 0 && t.Command == nil {
		lose = &l.ledger
	}
	if err == nil && lose.Load() > 0 && lose.Add(-1) >= 0 {
		if l.lost != nil {
			l.lost()
		}
		return errMaybe
	}
	return err
}

func TestAnOutageIsGivenBackThoughTheAnswerToItsEndIsLost(t *testing.T) {
	t.Parallel()
	l := &lossy{}
	edit := func(c *realtime.Config) { l.Store = c.Store; c.Store = l }
	r := newRig(t, edit)
	s := r.session()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	crash(r)
	time.Sleep(1100 * time.Millisecond) // more than the second that a grant has at least
	r.start(edit)
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	l.ledger.Store(1)
	close(hold)
	r.until("back", func() bool { return st.Connects() == 2 })
	r.until("given back", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 1 && g[0].Decision == vigil.GapGranted && len(r.read(s.ID).Grants) == 1
	})
	if got := l.ledger.Load(); got != 0 {
		t.Fatalf("answers left to lose: got %d, want 0", got)
	}
}

func TestACommandWhoseAnswerWasLostIsToldAndSentOnce(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{false, true} { // also the answer of the look whether it was done
		l := &lossy{}
		platform := &lms{}
		r := newRig(t, func(c *realtime.Config) { l.Store = c.Store; c.Store = l; c.Liveness = calm; c.Controller = platform })
		s := r.session(controlled)
		st := r.student(s)
		p := r.proctor()
		r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
		up := protocol.CommandUp{ID: "pause-it-now", Kind: vigil.CommandPause, Targets: []string{s.ID}}
		by := vigil.Actor{Role: vigil.RoleProctor, ID: "p"}
		l.transition.Store(1)
		if both {
			r.store.failNext("Command", errMaybe)
		}
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, up)
		if (err != nil) != both {
			t.Fatalf("given: got %v, want an error: %v", err, both)
		}
		if both { // as the dashboard does
			_, err = r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, up)
			r.ok(err)
		}
		r.ok(st.Wait(r.ctx, func(c *client.Student) bool { return c.State() == vigil.StatePaused }))
		r.until("shown", func() bool { return shown(p, s.ID) == vigil.StatePaused })
		r.until("answered", func() bool { g := p.Progress(up.ID, s.ID); return g.LMS != nil && g.LMS.State == vigil.LMSAccepted })
		if got := platform.requests(); len(got) != 1 {
			t.Errorf("the platform was asked %d times, want once", len(got))
		}
	}
}

func TestALineThatDroppedAMomentBeforeOurOutageIsNotBlamedForIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness.DropGrace = 250 * time.Millisecond })
	s := r.session()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	st.Cut() // their Wi-Fi
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	r.until("noted", func() bool { return r.read(s.ID).Tally.Incidents == 1 })
	crash(r)
	time.Sleep(2 * time.Second)
	r.start()
	close(hold)
	r.until("ended", func() bool {
		for _, g := range r.gaps(s.ID) {
			if g.End.IsZero() {
				return false
			}
		}
		return true
	})
	var ours, theirs time.Duration
	for _, g := range r.gaps(s.ID) {
		if g.Cause == vigil.CauseServer {
			ours += g.End.Sub(g.Start)
		} else {
			theirs += g.End.Sub(g.Start)
		}
	}
	if ours < 2*time.Second || theirs > time.Second {
		t.Errorf("2 s of outage: got %v ours and %v theirs in %+v", ours, theirs, r.gaps(s.ID))
	}
}

func TestWhoeverIsLostWhileTheStoreIsAwayIsLostByOurFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.Liveness.NavigateGrace = 2 * time.Second
		c.NodeEvery = 50 * time.Millisecond
	})
	p := r.proctor()
	var ids []string
	var all []*client.Student
	hold := make(chan struct{})
	for range 8 {
		s := r.session()
		ids = append(ids, s.ID)
		all = append(all, r.student(s, held(r, hold)))
		r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	}
	r.store.set("", errDown) // the disk is full, say
	for _, st := range all {
		st.Turn(2) // the next page finds no way in
	}
	for _, id := range ids {
		r.until("shown as lost by us", func() bool {
			c := p.Row(id).Conn
			return c != nil && c.Conn == vigil.ConnLost && c.Cause == vigil.CauseServer
		})
	}
	time.Sleep(500 * time.Millisecond)
	r.store.set("", nil)
	close(hold)
	for _, id := range ids {
		r.until("ended and given back", func() bool {
			g := r.gaps(id)
			return len(g) == 1 && !g[0].End.IsZero() && g[0].Decision == vigil.GapGranted
		})
		if g := r.gaps(id)[0]; g.Cause != vigil.CauseServer || r.read(id).Tally.Incidents != 0 {
			t.Errorf("got a gap of %s and %d incidents, want ours and none", g.Cause, r.read(id).Tally.Incidents)
		}
	}
}

// turn leaves a page and comes to the next one after a time, with its stamp.
func (r *rig) turn(s vigil.Session, w *wire, away time.Duration, stamp string) *wire {
	r.Helper()
	w.write(`{"t":"bye","reason":"navigating"}`)
	_ = w.ws.CloseNow()
	time.Sleep(away)
	next := r.wire(studentClaims(s))
	next.write(helloWith(stamp))
	return next
}

// paged are figures for page turns in real time.
var paged = vigil.Liveness{
	PingEvery: 10 * time.Second, PongWait: 4 * time.Second, NavigateGrace: 300 * time.Millisecond, DropGrace: 300 * time.Millisecond,
	LoadLimit: 30 * time.Second,
}

func TestWhatThePageStampShowsIsTheLMSsAndCountsOnce(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(c *realtime.Config) { c.Pages, c.Liveness = pages, paged })
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(p *realtime.Page) {
		p.Requested, p.Answered = p.Requested.Add(-40*time.Second), p.Answered.Add(-40*time.Second)
	})))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	slow := func(from, to time.Duration) func(p *realtime.Page) { // by Moodle's clock, which is 40 s behind
		now := time.Now()
		return func(p *realtime.Page) {
			p.Requested, p.Answered = now.Add(from-40*time.Second), now.Add(to-40*time.Second)
		}
	}
	w = r.turn(s, w, 1200*time.Millisecond, pages.print(s, "page-2", slow(-200*time.Millisecond, 1100*time.Millisecond)))
	r.until("the LMS's", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 1 && !g[0].End.IsZero() && g[0].Cause == vigil.CauseLMS
	})
	if g := r.gaps(s.ID)[0]; g.Proposed != g.End.Sub(g.Start) || g.Decision != vigil.GapUndecided {
		t.Errorf("got %v proposed, decided %q, want all of it, for a proctor to decide", g.Proposed, g.Decision)
	}
	// The same stamp again explains nothing more.
	r.turn(s, w, 1200*time.Millisecond, "page-2")
	r.until("unclear", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 2 && !g[1].End.IsZero() && g[1].Cause == vigil.CauseUnclear
	})
	if got := r.read(s.ID).Tally.Incidents; got != 0 {
		t.Errorf("incidents: got %d, want none", got)
	}
}

// A student whose page does not come may ask for it once more, and has only the last one's stamp then.
func TestNobodyIsBlamedForThePageBeforeTheOneThatCame(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(c *realtime.Config) { c.Pages, c.Liveness = pages, paged })
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {})))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	now := time.Now()
	r.turn(s, w, 2500*time.Millisecond, pages.print(s, "page-2", func(p *realtime.Page) {
		p.Requested, p.Answered = now.Add(1200*time.Millisecond), now.Add(2400*time.Millisecond)
	}))
	r.until("divided", func() bool {
		g := r.gaps(s.ID)
		return len(g) > 1 && g[0].Cause == vigil.CauseUnclear && g[1].Cause == vigil.CauseLMS && !g[len(g)-1].End.IsZero()
	})
	if got := r.read(s.ID).Tally.Incidents; got != 0 {
		t.Errorf("incidents: got %d, want none", got)
	}
}

// What a browser says when it leaves a page may be lost on a slow link.
func TestAnAbsenceThatBeganWithThePageThatCameBackIsAPageTurn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked time.Duration // from the end of the connection on
		cause vigil.Cause
		open  int
	}{
		"it was answered as the connection ended": {-200 * time.Millisecond, vigil.CauseUnclear, 0},
		"it was asked for later":                  {700 * time.Millisecond, vigil.CauseStudent, 1},
		"it had come long before":                 {-2 * time.Second, vigil.CauseStudent, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pages := &stamps{}
			r := newRig(t, func(c *realtime.Config) { c.Pages, c.Liveness = pages, paged })
			s := r.session(proctored)
			w := r.wire(studentClaims(s))
			w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {})))
			r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
			left := time.Now()
			_ = w.ws.CloseNow()
			r.until("lost", func() bool { return r.kinds(s.ID)[vigil.KindLost] == 1 })
			time.Sleep(time.Until(left.Add(1200 * time.Millisecond))) // so that the platform had time to be asked after that
			r.wire(studentClaims(s)).write(helloWith(pages.print(s, "page-2", func(p *realtime.Page) {
				p.Requested = left.Add(c.asked)
				p.Answered = p.Requested.Add(100 * time.Millisecond)
			})))
			r.until("divided, and judged", func() bool {
				g := r.gaps(s.ID)
				return len(g) == 1 && !g[0].End.IsZero() && g[0].Cause == c.cause && r.read(s.ID).Tally.Open == c.open
			})
		})
	}
}

func TestPagesThatAreSlowForManyAtOnceAreTheLMSs(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = paged })
	var wires []*wire
	var all []vigil.Session
	for range 4 {
		s := r.session(proctored)
		w := r.wire(studentClaims(s))
		w.write(hello)
		r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
		wires, all = append(wires, w), append(all, s)
	}
	// One has waited long before anybody else left: alone that explains nothing, and stays unclear.
	for i, s := range all {
		w := wires[i]
		w.write(`{"t":"bye","reason":"navigating"}`)
		r.until("away", func() bool { return r.read(s.ID).Presence.Connection != vigil.ConnOnline })
		_ = w.ws.CloseNow()
		if i == 0 {
			r.until("unclear", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].Cause == vigil.CauseUnclear })
		}
	}
	time.Sleep(1500 * time.Millisecond) // the platform's part has to be a second at least
	for _, s := range all {
		r.wire(studentClaims(s)).write(hello)
	}
	for i, s := range all {
		r.until(fmt.Sprint("the LMS's ", i), func() bool {
			g := r.gaps(s.ID)
			return slices.ContainsFunc(g, func(g vigil.Gap) bool { return !g.End.IsZero() && g.Cause == vigil.CauseLMS })
		})
		for j, g := range r.gaps(s.ID) {
			if g.Cause != vigil.CauseLMS && (i != 0 || j != 0 || g.Cause != vigil.CauseUnclear) {
				t.Errorf("student %d: got a gap of %s from %v to %v, want only the first one's beginning unclear", i, g.Cause, g.Start, g.End)
			}
		}
		if got := r.read(s.ID).Tally.Incidents; got != 0 {
			t.Errorf("incidents: got %d, want none", got)
		}
	}
}

func TestAClosedBrowserIsNotAPageThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = paged; c.Liveness.LoadLimit = 500 * time.Millisecond })
	p := r.proctor()
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(hello)
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	w.write(`{"t":"bye","reason":"navigating"}`)
	_ = w.ws.CloseNow()
	r.until("lost, and theirs by now", func() bool { c := p.Row(s.ID).Conn; return c.Conn == vigil.ConnLost && c.Cause == vigil.CauseStudent })
	r.until("an incident", func() bool { return r.read(s.ID).Tally.Incidents == 1 })
	time.Sleep(500 * time.Millisecond)
	r.wire(studentClaims(s)).write(hello)
	r.until("two causes", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 2 && g[0].Cause == vigil.CauseUnclear && g[1].Cause == vigil.CauseStudent && g[0].End.Equal(g[1].Start) && !g[1].End.IsZero()
	})
	if got := r.read(s.ID).Tally.Incidents; got != 1 {
		t.Errorf("incidents: got %d, want still one", got)
	}
}

func TestWhoStaysAwayLongAfterOurOutageIsAwayByThemselves(t *testing.T) {
	t.Parallel()
	short := func(c *realtime.Config) { c.Liveness.ReturnGrace = 600 * time.Millisecond }
	r := newRig(t, short)
	s := r.session()
	hold := make(chan struct{})
	r.student(s, held(r, hold))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	crash(r)
	time.Sleep(1200 * time.Millisecond)
	r.start(short)
	p := r.proctor()
	r.until("theirs by now", func() bool {
		c := p.Row(s.ID).Conn
		return c != nil && c.Conn == vigil.ConnLost && c.Cause == vigil.CauseStudent
	})
	time.Sleep(600 * time.Millisecond)
	close(hold)
	r.until("ended", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 2 && !g[1].End.IsZero() && g[0].Decision == vigil.GapGranted
	})
	if g := r.gaps(s.ID); g[0].Cause != vigil.CauseServer || g[1].Cause != vigil.CauseStudent || g[1].Decision != vigil.GapUndecided {
		t.Errorf("got %+v, want ours given back, and theirs to decide", g)
	}
	r.until("one incident", func() bool { return r.read(s.ID).Tally.Incidents == 1 })
}

func TestAnIncidentFromAfterTheEndIsCleared(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.proctor()
	s := r.session(proctored)
	st := r.student(s, func(c *client.Config) { c.BackoffFirst, c.BackoffMost = time.Hour, time.Hour })
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	handed := time.Now()
	st.Cut() // the browser is closed; the platform's report is late
	r.until("an incident", func() bool { return r.read(s.ID).Tally.Open == 1 })
	_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed)
	r.ok(err)
	r.until("cleared", func() bool { t := p.Row(s.ID).Tally; return r.read(s.ID).Tally.Open == 0 && t.Open == 0 })
	list, _, err := r.db.IncidentsOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	if i := list[0]; i.Review != vigil.ReviewCleared || i.Reviewer.Role != vigil.RoleSystem || i.Note == "" {
		t.Errorf("got %+v, want cleared by the system, with the reason", i)
	}
	if g := r.gaps(s.ID)[0]; g.End.Sub(g.Start) > time.Second || g.Proposed > time.Second {
		t.Errorf("got %+v, want the gap ended with the attempt", g)
	}
}

func TestAPageTurnToAnotherServerIsNotJudgedFromMemory(t *testing.T) {
	t.Parallel()
	apart := func(node string) func(c *realtime.Config) { // each hears nobody
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease = relaytest.NewLocal(0).Node(), true, node, time.Minute
		}
	}
	r := newRig(t, apart("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, store: r.store, tokens: r.tokens, exam: r.exam, path: r.path}
	second.start(apart("two"))
	t.Cleanup(second.stop)
	for _, bye := range []string{`{"t":"bye","reason":"navigating"}`, ""} { // or a drop
		s := r.session()
		w := r.wire(studentClaims(s))
		w.write(hello)
		r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
		if bye != "" {
			w.write(bye)
			r.until("navigating", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnNavigating })
		}
		_ = w.ws.CloseNow()
		second.wire(studentClaims(s)).write(hello)
		r.until("online there", func() bool { p := r.read(s.ID).Presence; return p.Connection == vigil.ConnOnline && p.Node == "two" })
		time.Sleep(3 * quick.NavigateGrace) // the grace passes on the first node
		if v := r.read(s.ID); v.Tally.Incidents != 0 || len(r.gaps(s.ID)) != 0 || v.Presence.Connection != vigil.ConnOnline {
			t.Errorf("got %s, %d incidents, gaps %+v, want online and nothing", v.Presence.Connection, v.Tally.Incidents, r.gaps(s.ID))
		}
	}
}

func TestAServerThatIsCutOffFromTheStoreHearsByTheRelayThatItIsTakenOver(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = bus.Node(), true, node, time.Second, 10*time.Millisecond, calm
		}
	}
	r := newRig(t, shared("one"))
	r.another(shared("two"))
	s := r.session()
	st := r.student(s)
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	r.store.set("", errDown)
	r.until("sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	r.store.set("", nil)
}

// A student is lost at a server that cannot store that, and another server takes over meanwhile.
func TestAServerThatWasTakenOverFromWritesNothingIntoTheLedger(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = bus.Node(), true, node, time.Second, 10*time.Millisecond, calm
			c.Liveness.DropGrace = 50 * time.Millisecond
		}
	}
	r := newRig(t, shared("one"))
	r.another(shared("two"))
	s := r.session(proctored)
	hold := make(chan struct{})
	defer close(hold)
	st := r.student(s, held(r, hold))
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	r.store.set("", errDown)
	st.Cut()
	r.until("lost", func() bool { c, _ := r.hub.Here(s.ID); return c == vigil.ConnLost })
	r.until("taken over", func() bool { return r.hub.Stats().Evictions > 0 && len(r.gaps(s.ID)) == 1 })
	r.store.set("", nil)
	r.until("done", func() bool { _, idle := r.hub.Here(s.ID); return idle })
	if g := r.gaps(s.ID); len(g) != 1 || g[0].Cause != vigil.CauseServer {
		t.Errorf("got %+v, want the survivor's gap alone", g)
	}
}

func TestAServerThatWasCutOffForLongLearnsThatItWasTakenOver(t *testing.T) {
	t.Parallel()
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) { // nobody hears anything of the others
			c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = relaytest.NewLocal(0).Node(), true, node, time.Second, 10*time.Millisecond, calm
		}
	}
	r := newRig(t, shared("one"))
	second := &rig{TB: t, ctx: r.ctx, db: r.db, tokens: r.tokens, exam: r.exam, path: r.path}
	second.store = &faults{Store: r.db, errs: map[string]error{}, seen: map[string]int{}}
	second.start(shared("two"))
	t.Cleanup(second.stop)
	s := r.session()
	st := r.student(s)
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	r.store.set("", errDown)
	r.until("taken over", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	looked := r.store.calls("Nodes")
	r.until("hundreds of tries", func() bool { return r.store.calls("Nodes") > looked+200 })
	r.store.set("", nil)
	r.until("learned", func() bool { return r.hub.Stats().Evictions >= 1 })
	r.until("back", func() bool { return st.Connects() == 2 && r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	r.until("ended", func() bool {
		g := r.gaps(s.ID)
		return len(g) == 1 && !g[0].End.IsZero() && g[0].Cause == vigil.CauseServer
	})
}

func TestAnOutageOfAllServersIsGivenBackByOneThatBeganAfterIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, silent("two"))
	r.stop()
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Millisecond) }
	away := r.session(proctored, func(s *vigil.Session) {
		s.Started = ago(time.Hour)
		s.Presence = vigil.Presence{Connection: vigil.ConnLost, Cause: vigil.CauseServer, Since: ago(80 * time.Second), Heard: ago(90 * time.Second), Epoch: 1, Node: "two"}
	})
	// The second server took over from the first, and ended before the student was back.
	r.ok(r.db.RenewNode(r.ctx, vigil.Node{ID: "two", Host: "h", Heard: ago(time.Minute)}))
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
		ID: "gap", SessionID: away.ID, ExamID: r.exam.ID, Start: ago(90 * time.Second), Until: ago(50 * time.Second), Cause: vigil.CauseServer,
	}))
	r.start(silent("three"), func(c *realtime.Config) { c.NodeLease = 6 * time.Second })
	r.comes(away)
	r.until("ended", func() bool { return !r.gaps(away.ID)[0].End.IsZero() })
	if g := r.gaps(away.ID); len(g) != 1 || g[0].Cause != vigil.CauseServer {
		t.Errorf("got %+v, want all of it ours: no server was there", g)
	}
}

// What two clocks may be apart hides a short outage from who begins after it, until the rows of
// the servers before have been seen to stand still.
func TestAShortOutageOfAllServersIsGivenBackAlsoToWhoWasBackBeforeThatWasKnown(t *testing.T) {
	t.Parallel()
	for name, lives := range map[string]bool{"all are gone": false, "one lives": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, silent("two"))
			r.stop()
			ago := func(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Millisecond) }
			away := r.session(proctored, func(s *vigil.Session) {
				s.Started = ago(time.Hour)
				s.Presence = vigil.Presence{Connection: vigil.ConnLost, Cause: vigil.CauseServer, Since: ago(20 * time.Second), Heard: ago(25 * time.Second), Epoch: 1, Node: "two"}
			})
			r.ok(r.db.RenewNode(r.ctx, vigil.Node{ID: "one", Host: "h", Heard: ago(9 * time.Second)}))
			r.ok(r.db.RenewNode(r.ctx, vigil.Node{ID: "two", Host: "h", Heard: ago(8 * time.Second)}))
			r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
				ID: "gap", SessionID: away.ID, ExamID: r.exam.ID, Start: ago(25 * time.Second), Until: ago(5 * time.Second), Cause: vigil.CauseServer,
			}))
			r.start(silent("three"), func(c *realtime.Config) { c.NodeLease, c.NodeEvery = 2*time.Second, 100*time.Millisecond })
			r.comes(away)
			r.until("ended, and divided", func() bool { return len(r.gaps(away.ID)) == 2 && !r.gaps(away.ID)[1].End.IsZero() })
			if lives {
				r.ok(r.db.RenewNode(r.ctx, vigil.Node{ID: "one", Host: "h", Heard: ago(0)}))
			}
			r.until("the other servers are seen to be gone", func() bool {
				nodes, err := r.db.Nodes(r.ctx)
				r.ok(err)
				return len(nodes) == 1
			})
			r.ok(r.hub.Drain(r.ctx)) // what is to be stored is
			var theirs []vigil.Gap
			for _, g := range r.gaps(away.ID) {
				if g.Cause == vigil.CauseStudent {
					theirs = append(theirs, g)
				}
			}
			if want := lives; (len(theirs) > 0) != want {
				t.Errorf("the student's: got %+v, want some: %v", theirs, want)
			}
		})
	}
}

func TestAnUpgradeInFlightIsToldToLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
	s := r.session()
	h := r.store.holdNext("NextEpoch")
	w := make(chan *wire, 1)
	go func() { w <- r.wire(studentClaims(s)) }()
	<-h.entered // past the check of draining
	done := make(chan error, 1)
	go func() { done <- r.hub.Drain(r.ctx) }()
	r.until("draining", func() bool { return !r.hub.Ready() })
	select {
	case err := <-done:
		t.Fatalf("drained (%v) while a socket was being opened", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(h.release)
	(<-w).ends(protocol.CloseDrain)
	r.ok(<-done)
	if c := r.read(s.ID).Presence.Connection; c != vigil.ConnNever {
		t.Errorf("presence: got %s, want never: this server did not take the student", c)
	}
}

func TestADrainWaitsForRequestsToPlatforms(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	platform := &lms{}
	platform.answers(func(vigil.Delivery) vigil.Result {
		close(asked)
		<-answer
		return vigil.Result{State: vigil.LMSAccepted, Status: vigil.StatusRunning}
	})
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor, ID: "p"}, vigil.FullAccess,
		protocol.CommandUp{ID: "more-time", Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID}})
	r.ok(err)
	<-asked
	done := make(chan error, 1)
	go func() { done <- r.hub.Drain(r.ctx) }()
	select {
	case err := <-done:
		t.Fatalf("drained (%v) while a request was under way", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(answer)
	r.ok(<-done)
	if g := r.read(s.ID).Grants; len(g) != 1 || g[0].State != vigil.GrantConfirmed {
		t.Errorf("got %+v, want the answer stored before the end", g)
	}
}

func TestASignalThatIsRefusedForGoodIsNoHoleLaterOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(studentClaims(s))
	w.write(`{"t":"hello","stream":"aaaaaaaaaaaaaaaaaaaa","next":1}`)
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
	w.write(`{"t":"signal","seq":2,"kind":"no_such_kind","at":1700000000000}`)
	w.write(`{"t":"signal","seq":3,"kind":"idle","at":1700000000000,"dur":-1}`)
	w.write(`{"t":"signal","seq":4,"kind":"copy","at":1700000000000}`)
	r.until("stored", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 2 && r.kinds(s.ID)[vigil.KindRefused] == 2 })
	for _, g := range r.stored(s.ID) {
		if g.Kind == vigil.KindRefused && (g.Severity != 0 || g.Incident || g.Seq == 3 && !strings.Contains(string(g.Data), `"kind":"idle"`)) {
			t.Errorf("got %+v %s, want what was refused, and nothing held against anybody", g, g.Data)
		}
	}
	r.stop() // another server knows nothing of it
	r.start()
	w = r.wire(studentClaims(s))
	w.write(`{"t":"hello","stream":"aaaaaaaaaaaaaaaaaaaa","next":5}`)
	r.until("looked for holes", func() bool { return r.store.calls("StreamState") > 0 })
	w.write(`{"t":"signal","seq":5,"kind":"copy","at":1700000000000}`)
	r.until("and on", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 3 })
	if got := r.kinds(s.ID)[vigil.KindHole]; got != 0 {
		t.Errorf("holes: got %d, want none", got)
	}
}

func TestAGapThatAServerLeftOpenEndsWhereItsStudentCameBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	st.Cut()
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost && len(r.gaps(s.ID)) == 1 })
	r.store.set("Transition", errDown) // it dies before that
	close(hold)
	r.until("back", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	since := r.read(s.ID).Presence.Since
	crash(r)
	r.store.set("Transition", nil)
	r.start()
	r.until("back again", func() bool {
		p := r.read(s.ID).Presence
		return p.Connection == vigil.ConnOnline && p.Epoch == 3
	})
	r.until("ended", func() bool { g := r.gaps(s.ID); return len(g) > 0 && !g[0].End.IsZero() })
	if got := r.gaps(s.ID)[0].End; !got.Equal(since) {
		t.Errorf("the gap ends at %v, want %v, when the student had come back", got, since)
	}
}

func TestAGapThatNobodyEndedIsUnclearWhenTheNextOneEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	left := time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Millisecond)
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "left-by-another-server", SessionID: s.ID, ExamID: r.exam.ID, Start: left, Cause: vigil.CauseStudent}))
	st.Cut()
	r.until("lost", func() bool { return len(r.gaps(s.ID)) == 2 })
	close(hold)
	r.until("ended", func() bool { g := r.gaps(s.ID); return !g[0].End.IsZero() && !g[1].End.IsZero() })
	if g := r.gaps(s.ID); g[0].Cause != vigil.CauseUnclear || !g[0].End.Equal(g[1].Start) || g[1].Cause != vigil.CauseStudent {
		t.Errorf("got %+v, want the first unclear up to the second, and that the student's", g)
	}
}

func TestAnAbsenceThatTheEndCutsIsDividedByWhoseFaultItWas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := time.Now().Add(-40 * time.Minute).UTC().Truncate(time.Millisecond)
	s := r.session(proctored, func(s *vigil.Session) {
		s.Started = start.Add(-time.Minute)
		s.Presence = vigil.Presence{Connection: vigil.ConnLost, Since: start, Heard: start, Epoch: 1, Cause: vigil.CauseStudent, Node: "gone"}
	})
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "our-outage", SessionID: s.ID, ExamID: r.exam.ID, Start: start, Until: start.Add(time.Minute), Cause: vigil.CauseServer}))
	h := r.store.holdNext("SetPresence") // of the two that end the gap the other one is quicker
	_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	<-h.entered
	r.until("ended", func() bool { return !r.gaps(s.ID)[0].End.IsZero() })
	close(h.release)
	r.until("away for good", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	if g := r.gaps(s.ID); len(g) != 2 || !g[0].End.Equal(start.Add(time.Minute)) || g[1].Cause != vigil.CauseStudent {
		t.Errorf("our outage took a minute: got %+v", g)
	}
}

// The server was down for half an hour and gave the student that time. Then Moodle reports
// that the attempt was handed in at the beginning of it.
func TestWhatWasGivenBackBeforeTheEndWasKnownEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	start := time.Now().Add(-40 * time.Minute).UTC().Truncate(time.Millisecond)
	s := r.session(proctored, func(s *vigil.Session) { s.Started = start.Add(-time.Minute) })
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
		ID: "our-outage", SessionID: s.ID, ExamID: r.exam.ID, Start: start, End: start.Add(30 * time.Minute), Cause: vigil.CauseServer,
		Proposed: 30 * time.Minute, Decision: vigil.GapGranted, CommandID: "command-1",
	}))
	handed := start.Add(time.Second)
	_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed)
	r.ok(err)
	r.until("cut", func() bool { return r.gaps(s.ID)[0].End.Equal(handed) })
}

// late is a relay that tells nothing until it says that it missed all.
type late struct {
	mu   sync.Mutex
	recv []relay.Receiver
}

func (l *late) Publish(string, []byte) {}
func (l *late) Close() error           { return nil }
func (l *late) Subscribe(_ string, r relay.Receiver) (func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recv = append(l.recv, r)
	return func() {}, nil
}

func (l *late) hole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.recv {
		r.Hole()
	}
}

func TestAServerThatLearnsLateEndsNobodyElsesGap(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]func(r *rig, s vigil.Session){
		"the page is closed": func(r *rig, s vigil.Session) { _ = r.comes(s).ws.CloseNow() },
		// Then the gap begins when the student was last heard, as the store has it.
		"the line goes silent": func(r *rig, s vigil.Session) {
			ws := r.raw(studentClaims(s)) // nobody reads, so that no ping is answered
			r.Cleanup(func() { _ = ws.CloseNow() })
			r.ok(ws.Write(r.ctx, websocket.MessageText, []byte(hello)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := &late{}
			r := newRig(t, silent("one"), func(c *realtime.Config) { c.Relay = end })
			second := r.another(silent("two"))
			s := r.session()
			w := r.comes(s)
			_ = w.ws.CloseNow()
			r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
			leaves(second, s)
			r.until("ended", func() bool { g := r.gaps(s.ID); return len(g) > 0 && !g[0].End.IsZero() })
			r.until("lost again", func() bool { return len(r.gaps(s.ID)) == 2 && r.read(s.ID).Presence.Connection == vigil.ConnLost })
			end.hole()
			r.until("learned", func() bool { c, idle := r.hub.Here(s.ID); return c == vigil.ConnSuperseded && idle })
			if g := r.gaps(s.ID); !g[1].End.IsZero() {
				t.Errorf("still away: got %+v", g)
			}
		})
	}
}

// A server that did not hear a goodbye may call a student lost who is on another one by now, whose page
// it does not know.
func TestWhatAnotherServerBlamesIsDividedByThePageThatCameHere(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	apart := func(node string) func(c *realtime.Config) { // each hears nobody
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease = relaytest.NewLocal(0).Node(), true, node, time.Minute
			c.Pages, c.Liveness = pages, paged
			c.Liveness.DropGrace = 2 * time.Second
		}
	}
	r := newRig(t, apart("one"))
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {})))
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	second := r.another(apart("two"))
	left := time.Now()
	_ = w.ws.CloseNow()
	there := second.wire(studentClaims(s))
	there.write(helloWith(pages.print(s, "page-2", func(p *realtime.Page) {
		p.Requested, p.Answered = left.Add(-200*time.Millisecond), left.Add(-100*time.Millisecond)
	})))
	r.until("online there", func() bool { return r.read(s.ID).Presence.Node == "two" })
	came := r.read(s.ID).Presence.Since
	gap := vigil.Gap{ID: "of-the-other-server", SessionID: s.ID, ExamID: s.ExamID, Start: came.Add(-20 * time.Millisecond), Cause: vigil.CauseStudent}
	r.ok(r.db.CreateGap(r.ctx, gap)) // as the first server does it, whose store was slow
	r.hub.Sessions().EndGap(r.ctx, s.ID, came, gap.ID)
	there.write(`{"t":"bye","reason":"navigating"}`)
	_ = there.ws.CloseNow()
	r.until("not the student's", func() bool {
		g := r.gaps(s.ID)[0]
		return g.ID == gap.ID && !g.End.IsZero() && g.Cause == vigil.CauseLMS && r.read(s.ID).Tally.Open == 0
	})
}
