package realtime_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// clock is a time that a test moves.
type clock struct{ shift atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.shift.Load())) }

func (c *clock) add(d time.Duration) { c.shift.Add(int64(d)) }

// by makes a hub go by the clock, with figures by which nobody is lost meanwhile.
func (c *clock) by(cfg *realtime.Config) { cfg.Now, cfg.Liveness = c.now, calm }

// stamps verifies page stamps that are just names.
type stamps struct {
	mu    sync.Mutex
	pages map[string]realtime.Page
	err   error
}

func (p *stamps) VerifyPage(_ context.Context, stamp string) (realtime.Page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	page, ok := p.pages[stamp]
	if p.err != nil || !ok {
		return page, vigil.Errorf(vigil.CodeUnauthorized, "This stamp is not the platform's.")
	}
	return page, nil
}

// print makes a stamp of a session's page.
func (p *stamps) print(s vigil.Session, stamp string, edit func(page *realtime.Page)) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages == nil {
		p.pages = map[string]realtime.Page{}
	}
	page := realtime.Page{
		Platform: s.PlatformID, Deployment: s.DeploymentID, ResourceLink: s.ResourceLinkID, User: s.UserID, Attempt: s.Attempt, Nonce: stamp,
		Requested: time.Now(), Answered: time.Now(), Report: vigil.Report{Version: 2, End: s.End, At: time.Now()},
	}
	edit(&page)
	p.pages[stamp] = page
	return stamp
}

// shown is the state of a session as a dashboard has it.
func shown(p *client.Proctor, session string) vigil.State {
	if l := p.Row(session).Life; l != nil {
		return l.State
	}
	return ""
}

func helloWith(stamp string) string {
	return `{"t":"hello","stream":"aaaaaaaaaaaaaaaaaaaa","next":1,"stamp":"` + stamp + `"}`
}

var moodle = vigil.Actor{Role: vigil.RoleLMS, ID: "platform-1"}

// proctored is a session on a platform with our plugin.
func proctored(s *vigil.Session) { s.Plugin = true }

func TestAReportOfTheEndCountsWheneverItComes(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by)
	for _, hidden := range []bool{false, true} { // the store, or only the rules, know that the time is up
		s := r.session(proctored, func(s *vigil.Session) {
			s.End = c.now().Add(time.Minute)
			s.Presence = vigil.Presence{Connection: vigil.ConnLost, Since: c.now(), Heard: c.now(), Epoch: 1, Cause: vigil.CauseStudent}
			s.DueAt = s.NextDue(r.exam.Policy)
		})
		r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "gap-of-hers", SessionID: s.ID, ExamID: r.exam.ID, Start: c.now(), Cause: vigil.CauseStudent}))
		handed := c.now().Add(30 * time.Second)
		c.add(10 * time.Minute)
		if !hidden {
			r.until("time up", func() bool { return r.settled(s.ID) == vigil.StateTimeUp })
		}
		got, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed)
		r.ok(err)
		if v := r.read(s.ID); got.State != vigil.StateSubmitted || v.State != vigil.StateSubmitted || v.Ended.Sub(handed).Abs() > time.Millisecond || v.By.Role != vigil.RoleLMS {
			t.Errorf("got %s, stored %s at %v by %s, want handed in at %v by the platform", got.State, v.State, v.Ended, v.By.Role, handed)
		}
		r.until("the gap to end with the attempt", func() bool { g := r.gaps(s.ID); return !g[0].End.IsZero() && !g[0].End.After(handed) })
	}
}

// settled asks the store for a session that is due, as the hub does, and returns its state.
func (r *rig) settled(session string) vigil.State {
	r.Helper()
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	return r.read(session).State
}

func TestTimeThatRunsOutIsStoredAndToldThoughNobodyReads(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = 10 * time.Millisecond })
	soon := func(s *vigil.Session) {
		s.End = c.now().Add(time.Minute)
		s.DueAt = s.NextDue(r.exam.Policy)
	}
	reported, unreported := r.session(proctored, soon), r.session(soon)
	lost := r.session(soon, proctored, func(s *vigil.Session) {
		s.Presence = vigil.Presence{Connection: vigil.ConnLost, Since: c.now(), Heard: c.now(), Epoch: 1, Cause: vigil.CauseStudent}
	})
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "gap-of-hers", SessionID: lost.ID, ExamID: r.exam.ID, Start: c.now(), Cause: vigil.CauseStudent}))
	p := r.proctor()
	c.add(2 * time.Minute)
	r.until("settled once without change", func() bool { return r.store.calls("LeaseDue") > 3 })
	if got := shown(p, reported.ID); got != vigil.StateActive {
		t.Fatalf("within the grace: got %s, want active", got)
	}
	c.add(3 * time.Minute)
	for id, want := range map[string]vigil.State{reported.ID: vigil.StateTimeUp, unreported.ID: vigil.StateExpired, lost.ID: vigil.StateTimeUp} {
		r.until("told", func() bool { return shown(p, id) == want })
		if got := r.read(id).State; got != want {
			t.Errorf("stored: got %s, want %s", got, want)
		}
	}
	r.until("the gap to end with the time", func() bool { g := r.gaps(lost.ID); return !g[0].End.IsZero() && !g[0].End.After(lost.End) })
	r.until("nobody waited for", func() bool { return r.read(lost.ID).Presence.Connection == vigil.ConnClosed })
	c.add(2 * vigil.ReportWait)
	r.until("expired without a report", func() bool { return shown(p, reported.ID) == vigil.StateExpired })
	r.until("due no more", func() bool { return r.read(reported.ID).DueAt.IsZero() })
}

func TestWhatCameDueWhileNoServerRanIsDoneBeforeTheFirstSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var ids []string
	for range 40 { // more than are taken at once
		s := r.session(func(s *vigil.Session) {
			s.End = time.Now().Add(-time.Hour)
			s.DueAt = s.NextDue(r.exam.Policy)
		})
		ids = append(ids, s.ID)
	}
	r.stop()
	r.start(func(c *realtime.Config) { c.DueEvery = time.Hour }) // Recover has returned
	for _, id := range ids {
		if got := r.read(id).State; got != vigil.StateExpired {
			t.Fatalf("got %s, want expired", got)
		}
	}
}

func TestAStudentOnAnotherServerThatLivesIsLeftToIt(t *testing.T) {
	t.Parallel()
	var c clock
	bus := relaytest.NewLocal(0)
	r := newRig(t, c.by, func(cfg *realtime.Config) {
		cfg.Shared, cfg.Relay, cfg.Node, cfg.NodeLease, cfg.DueEvery = true, bus.Node(), "one", time.Minute, time.Hour
	})
	s := r.session(func(s *vigil.Session) {
		s.End = c.now().Add(-time.Hour)
		s.Presence = vigil.Presence{Connection: vigil.ConnOnline, Since: c.now(), Heard: c.now(), Epoch: 1, Node: "two"}
		s.DueAt = s.NextDue(r.exam.Policy)
	})
	r.ok(r.db.RenewNode(r.ctx, vigil.Node{ID: "two", Host: "b", Heard: c.now()}))
	r.ok(r.hub.LookAround(r.ctx))
	if got := r.settled(s.ID); got != vigil.StateActive {
		t.Errorf("its server lives: got %s, want active: that server looks at its own", got)
	}
	r.ok(r.db.DeleteNode(r.ctx, "two"))
	r.ok(r.hub.LookAround(r.ctx))
	c.add(time.Minute)
	if got := r.settled(s.ID); got != vigil.StateExpired {
		t.Errorf("its server is gone: got %s, want expired", got)
	}
}

func TestATeacherWhoExtendsInTheLMSKeepsTheClassWatched(t *testing.T) {
	t.Parallel()
	var c clock
	pages := &stamps{}
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.Pages, cfg.DueEvery = pages, 10*time.Millisecond })
	p := r.proctor()
	s := r.session(proctored, func(s *vigil.Session) {
		s.End = c.now().Add(time.Minute)
		s.DueAt = s.NextDue(r.exam.Policy)
	})
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {})))
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	c.add(3*time.Minute + 5*time.Second)
	r.until("time up", func() bool { return shown(p, s.ID) == vigil.StateTimeUp })
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
	r.until("still watched", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 1 })
	end := c.now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	w.write(`{"t":"bye","reason":"navigating"}`)
	_ = w.ws.CloseNow()
	w = r.wire(studentClaims(s)) // the next page, with the same token
	next := helloWith(pages.print(s, "page-2", func(page *realtime.Page) { page.Report = vigil.Report{Version: 2, End: end, At: c.now()} }))
	w.write(strings.Replace(next, `"next":1`, `"next":2`, 1)) // its outbox goes on
	r.until("going on", func() bool {
		l := p.Row(s.ID).Life
		return l != nil && l.State == vigil.StateActive && l.End == end.UnixMilli()
	})
	if v := r.read(s.ID); v.State != vigil.StateActive || !v.End.Equal(end) || v.Tally.Incidents != 0 {
		t.Errorf("stored: got %s until %v with %d incidents, want active until %v without any", v.State, v.End, v.Tally.Incidents, end)
	}
}

func TestTheEndOfAPageIsTakenThoughTheStoreFailsOnce(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(cfg *realtime.Config) { cfg.Pages, cfg.Liveness = pages, calm })
	s := r.session(proctored)
	end := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	r.store.failNext("Transition", errDown)
	r.wire(studentClaims(s)).write(helloWith(pages.print(s, "page-1", func(p *realtime.Page) { p.Report.End = end })))
	r.until("taken", func() bool { return r.read(s.ID).End.Equal(end) })
}

func TestAPageStampOfAnotherAttemptChangesNothing(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(cfg *realtime.Config) { cfg.Pages, cfg.Liveness = pages, calm })
	other := r.session()
	later := time.Now().Add(9 * time.Hour)
	for name, edit := range map[string]func(page *realtime.Page){
		"platform":   func(p *realtime.Page) { p.Platform = "platform-2" },
		"deployment": func(p *realtime.Page) { p.Deployment = "2" },
		"quiz":       func(p *realtime.Page) { p.ResourceLink = "quiz-2" },
		"user":       func(p *realtime.Page) { p.User = other.UserID },
		"attempt":    func(p *realtime.Page) { p.Attempt = 2 },
	} {
		s := r.session(proctored)
		w := r.wire(studentClaims(s))
		refused := r.hub.Stats().StampsRefused
		w.write(helloWith(pages.print(s, "page-of-another-"+name, func(p *realtime.Page) { p.Report.End = later; edit(p) })))
		r.until("refused", func() bool { return r.hub.Stats().StampsRefused == refused+1 })
		if got := r.read(s.ID).End; !got.Equal(s.End) {
			t.Errorf("another %s: the end moved to %v", name, got)
		}
		w.write(`{"t":"signal","seq":1,"kind":"copy","at":1700000000000}`)
		r.until("the page works on", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 1 })
	}
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(helloWith("forged"))
	r.until("refused", func() bool { return r.hub.Stats().StampsRefused == 6 })
}

func TestProctoringThatIsSwitchedOffEndsTheWatchingAndAccusesNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.proctor()
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(hello)
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	_, err := r.hub.Sessions().Stopped(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	w.ends(protocol.CloseEnded)
	r.until("closed", func() bool { return p.Connection(s.ID) == vigil.ConnClosed })
	r.until("told", func() bool { return shown(p, s.ID) == vigil.StateStopped })
	time.Sleep(2 * (quick.DropGrace + quick.NavigateGrace))
	if v := r.read(s.ID); v.State != vigil.StateStopped || v.Reason == "" || v.Tally.Incidents != 0 || len(r.gaps(s.ID)) != 0 {
		t.Errorf("got %s because %q, %d incidents, %d gaps, want stopped with the reason and nothing else", v.State, v.Reason, v.Tally.Incidents, len(r.gaps(s.ID)))
	}
	handed := time.Now()
	got, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed)
	r.ok(err)
	if got.State != vigil.StateSubmitted || got.Reason == "" {
		t.Errorf("handed in later: got %s because %q, want submitted, and why nobody watched", got.State, got.Reason)
	}
}

func TestAnAttemptThatTheLMSLaunchesAgainGoesOnThoughWeCalledItOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored, func(s *vigil.Session) { s.State, s.Ended, s.End = vigil.StateExpired, time.Now(), time.Time{} })
	got, err := r.hub.Sessions().Relaunched(r.ctx, s.ID, func(s vigil.Session) (vigil.Session, bool) { s.Name = "New name"; return s, true })
	r.ok(err)
	if v := r.read(s.ID); got.State != vigil.StateActive || v.State != vigil.StateActive || v.Name != "New name" || !v.Ended.IsZero() {
		t.Errorf("got %s, stored %s of %q, want active with what the launch said", got.State, v.State, v.Name)
	}
	same, err := r.hub.Sessions().Relaunched(r.ctx, s.ID, func(s vigil.Session) (vigil.Session, bool) { return s, false })
	r.ok(err)
	if same.Version != got.Version {
		t.Errorf("a launch that says nothing new: got version %d, want %d", same.Version, got.Version)
	}
}

func TestWhatWasNotedBeforeTheSwitchOffWasHeardOfIsCleared(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = paged; c.Liveness.LoadLimit = 300 * time.Millisecond })
	s := r.session(proctored)
	w := r.comes(s)
	off := time.Now()
	r.leave(s, w)
	r.until("held against the student", func() bool { return r.read(s.ID).Tally.Open == 1 })
	_, err := r.hub.Sessions().Stopped(r.ctx, s.ID, moodle, off)
	r.ok(err)
	r.until("cleared", func() bool { return r.read(s.ID).Tally.Open == 0 })
}

func TestAPauseAfterTheSwitchOffDoesNotMakeItLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	w := r.comes(s)
	off := time.Now()
	_ = w.ws.CloseNow()
	r.until("held against the student", func() bool { return r.read(s.ID).Tally.Open == 1 })
	_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventPause}) // by a proctor who has not heard of it
	r.ok(err)
	_, err = r.hub.Sessions().Stopped(r.ctx, s.ID, moodle, off)
	r.ok(err)
	r.until("nothing of it theirs", func() bool {
		return r.read(s.ID).Tally.Open == 0 && !slices.ContainsFunc(r.gaps(s.ID), func(g vigil.Gap) bool {
			return g.End.IsZero() || g.Cause == vigil.CauseStudent && g.End.After(g.Start)
		})
	})
}

func TestASwitchOffThatIsHeardOfAfterTheEndClearsWhatLiesBetween(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	w := r.comes(s)
	off := time.Now()
	_ = w.ws.CloseNow()
	r.until("held against the student", func() bool { return r.read(s.ID).Tally.Open == 1 })
	_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	r.until("ended", func() bool { g := r.gaps(s.ID); return len(g) == 1 && !g[0].End.IsZero() })
	for range 2 { // whose answer was lost
		v, err := r.hub.Sessions().Stopped(r.ctx, s.ID, moodle, off)
		r.ok(err)
		if v.State != vigil.StateSubmitted || v.Reason == "" {
			t.Errorf("got %s because %q, want submitted, and why nobody watched", v.State, v.Reason)
		}
	}
	r.until("nothing of it theirs", func() bool { g := r.gaps(s.ID); return r.read(s.ID).Tally.Open == 0 && !g[0].End.After(g[0].Start) })
}

// A server stores the end of an attempt, and is gone before it did what follows.
func TestTheLedgerOfAnEndedAttemptIsClosedThoughItsServerIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.DueEvery = time.Hour })
	p := r.proctor()
	ended := time.Now().UTC().Add(-time.Minute).Truncate(time.Millisecond)
	s := r.session(func(s *vigil.Session) {
		s.State, s.Ended, s.DueAt = vigil.StateSubmitted, ended, ended.Add(30*time.Second)
		s.Presence = vigil.Presence{Connection: vigil.ConnLost, Cause: vigil.CauseStudent, Since: ended.Add(-time.Minute), Epoch: 1, Node: "gone"}
	})
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "left-open", SessionID: s.ID, ExamID: s.ExamID, Start: ended.Add(-time.Minute), Cause: vigil.CauseStudent}))
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	r.until("ended with the attempt", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].End.Equal(ended) })
	r.until("shown as closed", func() bool { return p.Connection(s.ID) == vigil.ConnClosed })
	r.until("nothing more due", func() bool { return r.read(s.ID).DueAt.IsZero() })
}

func TestAnEndIsDueUntilItsLedgerIsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.DueEvery = time.Hour })
	s := r.session()
	reading := r.store.holdNext("Transition")
	go func() { _, _ = r.hub.Sessions().Ended(r.ctx, s.ID, moodle, time.Now()) }()
	<-reading.entered
	closing := r.store.holdNext("GapsOfSession")
	close(reading.release)
	<-closing.entered
	if v := r.read(s.ID); !v.State.Ended() || v.DueAt.IsZero() {
		t.Errorf("while it is being closed: got %s, due %v, want it ended and due", v.State, v.DueAt)
	}
	close(closing.release)
	r.until("nothing more due", func() bool { return r.read(s.ID).DueAt.IsZero() })
}

func TestWhoIsAwayIsClosedByAnEndThatAnotherServerStored(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) { c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, time.Minute }
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	s := r.session(proctored)
	p := r.proctor()
	w := r.comes(s)
	_ = w.ws.CloseNow()
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	_, err := second.hub.Sessions().Ended(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	ended := time.Now()
	r.until("closed", func() bool {
		return r.hub.Live(r.read(s.ID)).Presence.Connection == vigil.ConnClosed && p.Connection(s.ID) == vigil.ConnClosed
	})
	if time.Since(ended) > 20*time.Second {
		t.Error("it was closed only because this server had forgotten the student")
	}
}

// The student closes the window when the time is over, on a platform that reports nothing. The
// incident is stored before the end is, or after it.
func TestNothingIsHeldAgainstAStudentAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		var c clock
		r := newRig(t, c.by, func(c *realtime.Config) { c.DueEvery, c.Liveness.DropGrace = time.Hour, 250*time.Millisecond })
		s := r.session(func(s *vigil.Session) { s.End = c.now().Add(time.Minute); s.DueAt = s.NextDue(r.exam.Policy) })
		w := r.comes(s)
		c.add(61 * time.Second)
		var h *hold
		if late {
			r.until("all stored", func() bool { return r.kinds(s.ID)[vigil.KindConnected] == 1 })
			h = r.store.holdNext("AppendSignals")
		}
		_ = w.ws.CloseNow()
		r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
		if late {
			<-h.entered
		} else {
			r.until("held against the student", func() bool { return r.read(s.ID).Tally.Open == 1 })
		}
		c.add(3 * time.Minute)
		if got := r.settled(s.ID); got != vigil.StateExpired {
			t.Fatalf("got %s, want expired", got)
		}
		if late {
			close(h.release)
			r.until("noted", func() bool { return r.read(s.ID).Tally.Incidents == 1 })
		}
		r.until("cleared", func() bool { return r.read(s.ID).Tally.Open == 0 })
	}
}

// The page is left when the attempt is handed in, by our clock; when that was the platform says, by its
// own, and perhaps minutes later.
func TestWhoHandsInIsNotLostUntilThePlatformSaysSo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after time.Duration // of the end, after the page was left
		lost  bool
	}{"clocks are apart": {3 * time.Second, false}, "long before": {30 * time.Second, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			r := newRig(t, c.by, func(c *realtime.Config) { c.Liveness = calm })
			s := r.session(proctored)
			w := r.comes(s)
			w.write(`{"t":"bye","reason":"finished"}`)
			_ = w.ws.CloseNow()
			r.until("gone", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnDegraded })
			r.until("closed", func() bool { return r.hub.Stats().Sockets == 0 }) // nothing is heard any more
			left := c.now()
			c.add(time.Minute)
			r.until("lost", func() bool { return len(r.gaps(s.ID)) == 1 && r.read(s.ID).Presence.Connection == vigil.ConnLost })
			_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, left.Add(tt.after))
			r.ok(err)
			r.until("the ledger is closed", func() bool { return !r.gaps(s.ID)[0].End.IsZero() })
			if !tt.lost {
				r.until("nothing is lost", func() bool { g := r.gaps(s.ID)[0]; return g.End.Equal(g.Start) })
				r.until("cleared", func() bool { return r.read(s.ID).Tally.Open == 0 })
				return
			}
			r.ok(r.hub.Drain(r.ctx)) // what is to be stored is
			if g := r.gaps(s.ID)[0]; !g.End.After(g.Start) {
				t.Errorf("got %+v, want a loss", g)
			}
		})
	}
}

func TestAWelcomeMakesNoVersionThatIsNotStored(t *testing.T) {
	t.Parallel()
	pages := &stamps{}
	r := newRig(t, func(c *realtime.Config) { c.Pages, c.DueEvery, c.TrialWait = pages, time.Hour, time.Millisecond })
	s := r.session(proctored, func(s *vigil.Session) { s.End = time.Now().Add(-3 * time.Minute) })
	end := time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
	w := r.wire(studentClaims(s))
	var welcome protocol.Welcome
	w.next(protocol.TypeWelcome, &welcome)
	if welcome.State != vigil.StateTimeUp || welcome.Version != s.Version {
		t.Errorf("got %s at version %d, want time_up at %d, which is stored", welcome.State, welcome.Version, s.Version)
	}
	w.write(helloWith(pages.print(s, "page-1", func(p *realtime.Page) { p.Report = vigil.Report{Version: 2, End: end, At: time.Now()} })))
	r.until("extended", func() bool { v := r.read(s.ID); return v.End.Equal(end) && v.State == vigil.StateActive })
	var tm protocol.Time
	for tm.End != end.UnixMilli() { // it is stored a moment before it counts here
		w.write(`{"t":"time","at":1}`)
		w.next(protocol.TypeTime, &tm)
	}
	_ = w.ws.CloseNow()
	r.until("lost from an attempt that goes on", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
}

func TestAShorterExamEndsWhenItsRulesSay(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(c *realtime.Config) { c.DueEvery = time.Hour })
	e := r.exam
	e.Policy.DurationMinutes = 180
	r.ok(r.db.UpdateExam(r.ctx, e))
	e.Version++
	s := r.session(func(s *vigil.Session) {
		s.End, s.EndSeen = time.Time{}, time.Time{}
		s.DueAt = s.NextDue(e.Policy)
	})
	e.Policy.DurationMinutes = 60
	r.ok(r.db.UpdateExam(r.ctx, e))
	r.hub.ExamChanged(r.ctx, e)
	r.until("due anew", func() bool { return r.read(s.ID).DueAt.Equal(s.NextDue(e.Policy)) })
	p := r.proctor()
	c.add(70 * time.Minute)
	if got := r.settled(s.ID); got != vigil.StateExpired {
		t.Errorf("ten minutes after the end: stored %s, want expired", got)
	}
	r.until("shown", func() bool { return shown(p, s.ID) == vigil.StateExpired })
}

// stubborn is a store that never takes a change of one session.
type stubborn struct {
	realtime.Store
	session string
}

func (s *stubborn) Transition(ctx context.Context, t vigil.Transition) error {
	if t.Session.ID == s.session {
		return errDown
	}
	return s.Store.Transition(ctx, t)
}

func TestASessionThatCannotBeStoredKeepsNobodyElseFromTheirEnd(t *testing.T) {
	t.Parallel()
	var c clock
	bad := &stubborn{}
	r := newRig(t, c.by, func(c *realtime.Config) { bad.Store, c.Store, c.DueEvery = c.Store, bad, time.Hour })
	due := func(back time.Duration) func(s *vigil.Session) {
		return func(s *vigil.Session) { s.End = c.now().Add(-back); s.DueAt = s.NextDue(r.exam.Policy) }
	}
	bad.session = r.session(due(2 * time.Hour)).ID
	good := r.session(due(time.Hour))
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	if got := r.read(good.ID).State; got != vigil.StateExpired {
		t.Errorf("got %s, want expired", got)
	}
	c.add(time.Minute) // its lease is over
	hub, err := realtime.New(r.cfg)
	r.ok(err)
	defer hub.Close()
	if err := hub.Recover(r.ctx); err != nil {
		t.Errorf("the server does not start: %v", err)
	}
}
