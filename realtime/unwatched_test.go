package realtime_test

import (
	"fmt"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/relay/relaytest"
)

// ready is a session whose student was just sent to a platform with our plugin.
func (r *rig) ready(now time.Time, edits ...func(s *vigil.Session)) vigil.Session {
	r.Helper()
	return r.session(append([]func(s *vigil.Session){proctored, func(s *vigil.Session) {
		s.State, s.Started, s.End, s.EndSeen = vigil.StateReady, time.Time{}, time.Time{}, time.Time{}
		s.Created, s.Changed, s.Ready, s.Sent = now.Add(-time.Minute), now.Add(-time.Minute), now.Add(-time.Minute), now
		s.DueAt = s.NextDue(r.exam.Policy)
	}}, edits...)...)
}

// opens is the platform's word that the attempt was opened now.
func (r *rig) opens(id string, now time.Time) vigil.Session {
	r.Helper()
	s, err := r.hub.Sessions().Opened(r.ctx, id, moodle, now)
	r.ok(err)
	return s
}

// unwatched are the incidents of a session that say that nobody watched.
func (r *rig) unwatched(id string) []vigil.Incident {
	r.Helper()
	all, _, err := r.db.IncidentsOfSession(r.ctx, id, vigil.Page{})
	r.ok(err)
	var out []vigil.Incident
	for _, i := range all {
		if i.Kind == vigil.KindUnwatched {
			out = append(out, i)
		}
	}
	return out
}

func TestAnAttemptWithoutAMonitorIsNotWatchedThoughNobodyReads(t *testing.T) {
	t.Parallel()
	var c clock
	pages := &stamps{}
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery, cfg.Pages = 10*time.Millisecond, pages })
	blocked, slow, honest := r.ready(c.now()), r.ready(c.now()), r.ready(c.now())
	p := r.proctor()
	for _, s := range []vigil.Session{blocked, slow, honest} {
		if got := r.opens(s.ID, c.now()); got.State != vigil.StateActive || got.Opened.IsZero() {
			t.Fatalf("got %s, opened %v, want active, and when", got.State, got.Opened)
		}
		r.until("shown", func() bool { return shown(p, s.ID) == vigil.StateActive })
		if s.ID != honest.ID {
			c.add(-3 * vigil.RoomWindow) // or it would be a whole room's
		}
	}
	w := r.wire(studentClaims(honest))
	w.write(helloWith(pages.print(honest, "honest", func(*realtime.Page) {})))
	r.until("watched", func() bool { return !r.read(honest.ID).Presence.Reports.IsZero() })
	c.add(6*vigil.RoomWindow + vigil.UnwatchedAfter + time.Second)
	for _, s := range []vigil.Session{blocked, slow} {
		r.until("not watched", func() bool { l := p.Row(s.ID).Life; return l.Unwatched > 0 && l.UnwatchedEnd == 0 })
		r.until("an incident", func() bool { return p.Row(s.ID).Tally.Open == 1 })
	}
	if v := r.read(honest.ID); v.Presence.Reports.IsZero() || !v.Unwatched.IsZero() {
		t.Errorf("the honest one: got %+v, want it watched", v)
	}
	if got := r.unwatched(blocked.ID); len(got) != 1 || got[0].Severity != 0.6 || got[0].Review != vigil.ReviewNone {
		t.Errorf("got %+v, want one incident that is not reviewed", got)
	}

	// The slow one's page is there at last: that was no incident.
	v := r.read(slow.ID)
	c.add(v.Unwatched.Add(time.Minute).Sub(c.now()))
	w = r.wire(studentClaims(slow))
	w.write(helloWith(pages.print(slow, "slow", func(*realtime.Page) {})))
	r.until("watched", func() bool { l := p.Row(slow.ID).Life; return l.UnwatchedEnd > 0 })
	r.until("cleared", func() bool { return p.Row(slow.ID).Tally.Open == 0 && p.Row(slow.ID).Tally.Incidents == 1 })
	if got := r.unwatched(slow.ID); len(got) != 1 || got[0].Review != vigil.ReviewCleared || got[0].Note == "" {
		t.Errorf("got %+v, want it cleared, with a reason", got)
	}

	// The other one hands in, and comes nowhere near us.
	c.add(40 * time.Minute)
	got, err := r.hub.Sessions().Ended(r.ctx, blocked.ID, moodle, c.now())
	r.ok(err)
	if got.State != vigil.StateSubmitted || got.Started.IsZero() || got.UnwatchedFor(c.now()) < 38*time.Minute || got.WatchedFor(c.now()) != 0 {
		t.Errorf("got %s, started %v, not watched for %v, watched %v; want all of it not watched", got.State, got.Started, got.UnwatchedFor(c.now()), got.WatchedFor(c.now()))
	}
	r.until("due no more", func() bool { return r.read(blocked.ID).DueAt.IsZero() })
	if got := r.unwatched(blocked.ID); len(got) != 1 || got[0].Review != vigil.ReviewNone {
		t.Errorf("got %+v, want the incident to stay", got)
	}
}

func TestACheckinPageWatchesNothing(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = 10 * time.Millisecond })
	s := r.ready(c.now())
	r.opens(s.ID, c.now())
	w := r.wire(studentClaims(s))
	w.write(hello) // names no page of the quiz
	r.until("connected", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	c.add(vigil.UnwatchedAfter + time.Second)
	r.until("not watched", func() bool { v := r.read(s.ID); return v.NotWatched() && !v.Presence.Seen() })
}

func TestNobodyKnowsWhetherAnAttemptHasBegunThatNobodyReports(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = 10 * time.Millisecond })
	s := r.ready(c.now())
	p := r.proctor()
	c.add(vigil.UnwatchedAfter + time.Second)
	calls := r.store.calls("LeaseDue")
	r.until("looked at", func() bool { return r.store.calls("LeaseDue") > calls+3 })
	if r.read(s.ID).NotWatched() {
		t.Fatal("counts as not watched too early")
	}
	c.add(vigil.UnknownAfter)
	r.until("not watched, perhaps", func() bool { l := p.Row(s.ID).Life; return l.Unwatched > 0 && l.UnwatchedMaybe })
	r.until("in the record", func() bool { return len(r.unwatched(s.ID)) == 1 })
	if got := r.unwatched(s.ID); got[0].Severity != 0.3 || shown(p, s.ID) != vigil.StateReady {
		t.Errorf("got %+v, %s; want a smaller severity, and it still ready", got, shown(p, s.ID))
	}
	// The student had gone back to the course, and begins now.
	r.opens(s.ID, c.now())
	r.until("cleared", func() bool { got := r.unwatched(s.ID); return got[0].Review == vigil.ReviewCleared })
	if v := r.read(s.ID); v.NotWatched() || v.State != vigil.StateActive {
		t.Errorf("got %s, not watched %v, want active, and judged anew", v.State, v.NotWatched())
	}
	c.add(vigil.UnwatchedAfter + time.Second)
	r.until("not watched for sure", func() bool { return r.read(s.ID).NotWatched() && len(r.unwatched(s.ID)) == 2 })

	// One that never begins leaves nothing open.
	other := r.ready(c.now())
	c.add(vigil.UnknownAfter + time.Second)
	r.until("noted", func() bool { return len(r.unwatched(other.ID)) == 1 })
	_, err := r.hub.Sessions().Ended(r.ctx, other.ID, moodle, c.now())
	r.ok(err)
	r.until("cleared", func() bool { return r.unwatched(other.ID)[0].Review == vigil.ReviewCleared })
}

func TestOurOutageIsNotTheStudents(t *testing.T) {
	t.Parallel()
	var c clock
	pages := &stamps{}
	by := func(cfg *realtime.Config) {
		c.by(cfg)
		cfg.DueEvery, cfg.Pages = 10*time.Millisecond, pages
	}
	r := newRig(t, by)
	r.tokens.now = c.now
	back, away := r.ready(c.now()), r.ready(c.now())
	r.opens(back.ID, c.now())
	r.opens(away.ID, c.now())
	c.add(5 * time.Second)
	r.ok(r.hub.LookAround(r.ctx))
	r.until("the server is heard of", func() bool {
		nodes, err := r.db.Nodes(r.ctx)
		r.ok(err)
		return len(nodes) == 1 && c.now().Sub(nodes[0].Heard) < time.Second
	})
	r.stop()
	c.add(10 * time.Minute)
	r.start(by)
	for _, s := range []vigil.Session{back, away} {
		if r.read(s.ID).NotWatched() {
			t.Fatal("the server was away, and the student counts as not watched")
		}
	}
	w := r.wire(studentClaims(back))
	w.write(helloWith(pages.print(back, "back", func(*realtime.Page) {})))
	r.until("watched", func() bool { return r.read(back.ID).Presence.Seen() })
	c.add(20 * time.Second) // clients come back within the grace after it
	calls := r.store.calls("LeaseDue")
	r.until("looked at", func() bool { return r.store.calls("LeaseDue") > calls+3 })
	if r.read(away.ID).NotWatched() {
		t.Error("not watched within the grace after an outage")
	}
	c.add(2 * time.Minute)
	r.until("not watched", func() bool { return r.read(away.ID).NotWatched() })
	if v := r.read(back.ID); !v.Unwatched.IsZero() || v.Tally.Incidents != 0 {
		t.Errorf("got %+v, want nothing noted of who came back", v)
	}
}

func TestWhatServersOwedWhenTheyStoppedIsNotedByTheNextOne(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = time.Hour })
	s := r.ready(c.now())
	r.opens(s.ID, c.now())
	c.add(vigil.UnwatchedAfter + time.Second)
	r.store.set("AppendSignals", errDown) // the session is stored, and its record is not
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	if v := r.read(s.ID); !v.NotWatched() || len(r.unwatched(s.ID)) != 0 {
		t.Fatalf("got not watched %v with %d incidents, want it noted with none", v.NotWatched(), len(r.unwatched(s.ID)))
	}
	r.stop()
	r.store.set("AppendSignals", nil)
	c.add(time.Minute)
	r.start(c.by, func(cfg *realtime.Config) { cfg.DueEvery = time.Hour })
	if got := r.unwatched(s.ID); len(got) != 1 {
		t.Errorf("got %d incidents, want one", len(got))
	}
}

func TestAStudentWhoIsWatchedByAnotherServerIsNotJudged(t *testing.T) {
	t.Parallel()
	var c clock
	pages := &stamps{}
	bus := relaytest.NewLocal(0)
	node := func(name string) func(cfg *realtime.Config) {
		return func(cfg *realtime.Config) {
			c.by(cfg)
			cfg.Shared, cfg.Relay, cfg.Node, cfg.NodeLease, cfg.DueEvery, cfg.Pages = true, bus.Node(), name, time.Hour, time.Hour, pages
		}
	}
	r := newRig(t, node("one"))
	two := r.another(node("two"))
	s := r.ready(c.now())
	r.opens(s.ID, c.now())
	w := two.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page", func(*realtime.Page) {})))
	r.until("watched there", func() bool { v := r.read(s.ID); return v.Presence.Node == "two" && v.Presence.Seen() })
	r.ok(r.hub.LookAround(r.ctx))
	c.add(vigil.UnwatchedAfter + time.Second)
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	v := r.read(s.ID)
	if !v.Unwatched.IsZero() || v.DueAt.Sub(c.now()) < time.Hour {
		t.Errorf("got not watched %v, due after %v; want it watched, and due when it may be over", v.NotWatched(), v.DueAt.Sub(c.now()))
	}

	// The other way round: noted here, and connected there.
	late := r.ready(c.now())
	r.opens(late.ID, c.now())
	c.add(vigil.UnwatchedAfter + time.Second)
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	if !r.read(late.ID).NotWatched() {
		t.Fatal("watched by nobody, and not noted")
	}
	w = two.wire(studentClaims(late))
	w.write(helloWith(pages.print(late, "late", func(*realtime.Page) {})))
	r.until("watched", func() bool { return !r.read(late.ID).NotWatched() })
}

func TestARoomThatCannotConnectIsOneMatter(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = time.Hour })
	var room []vigil.Session
	for range 12 {
		s := r.ready(c.now())
		r.opens(s.ID, c.now())
		room = append(room, s)
		c.add(4 * time.Second)
		r.ok(r.hub.Sessions().WorkDue(r.ctx)) // the first are judged before the last have begun
	}
	c.add(vigil.UnwatchedAfter)
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
	for i, s := range room {
		r.until(fmt.Sprint("the room's: ", i), func() bool { v := r.read(s.ID); return v.NotWatched() && v.UnwatchedRoom })
		r.until("in the record", func() bool { return r.kinds(s.ID)[vigil.KindUnwatched] > 0 })
		r.until("nothing left open", func() bool { return r.read(s.ID).Tally.Open == 0 })
	}
}

func TestTheLMSMaySayLateOrAgainThatAnAttemptWasOpened(t *testing.T) {
	t.Parallel()
	var c clock
	r := newRig(t, c.by, func(cfg *realtime.Config) { cfg.DueEvery = time.Hour })
	opened := c.now()
	s := r.ready(c.now())
	c.add(20 * time.Minute)
	if got, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, c.now()); err != nil || got.State != vigil.StateCanceled {
		t.Fatalf("got %s, %v, want canceled: nobody has said that it began", got.State, err)
	}
	c.add(time.Hour)
	for range 2 {
		got := r.opens(s.ID, opened)
		if got.State != vigil.StateSubmitted || got.Started.Sub(opened).Abs() > time.Second || got.Ended.Sub(opened) > 21*time.Minute {
			t.Errorf("got %s from %v to %v, want handed in after 20 minutes", got.State, got.Started, got.Ended)
		}
	}
	v := r.read(s.ID)
	if v.Unwatched.IsZero() || v.NotWatched() || v.UnwatchedFor(c.now()) < 19*time.Minute {
		t.Errorf("got not watched since %v until %v, want all of it", v.Unwatched, v.UnwatchedEnd)
	}
	r.until("in the record", func() bool { got := r.unwatched(s.ID); return len(got) == 1 && got[0].Review == vigil.ReviewNone })

	for _, e := range []vigil.Event{vigil.EventPause, vigil.EventTerminate} {
		s := r.session(proctored, func(s *vigil.Session) { s.End = c.now().Add(time.Hour) })
		_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: e, By: moodle})
		r.ok(err)
		before := r.read(s.ID)
		got := r.opens(s.ID, c.now())
		if got.State != before.State || got.Opened.IsZero() {
			t.Errorf("%s: got %s, opened %v, want the state to stay", before.State, got.State, got.Opened)
		}
	}
}

func TestWatchedTimeOutlivesServers(t *testing.T) {
	t.Parallel()
	var c clock
	pages := &stamps{}
	by := func(cfg *realtime.Config) {
		c.by(cfg)
		cfg.Pages, cfg.DueEvery = pages, time.Hour
	}
	r := newRig(t, by)
	r.tokens.now = c.now
	s := r.ready(c.now())
	r.opens(s.ID, c.now())
	comes := func(page string) *wire {
		w := r.wire(studentClaims(s))
		w.write(helloWith(pages.print(s, page, func(*realtime.Page) {})))
		r.until("watched", func() bool {
			v := r.read(s.ID)
			return !v.Presence.Reports.IsZero() && v.Presence.Connection == vigil.ConnOnline
		})
		return w
	}
	watched := func(what string, want time.Duration) {
		t.Helper()
		if got := r.read(s.ID).WatchedFor(c.now()); (got - want).Abs() > 30*time.Second {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	comes("one")
	c.add(10 * time.Minute)
	r.until("the server is heard of", func() bool {
		nodes, err := r.db.Nodes(r.ctx)
		r.ok(err)
		return len(nodes) == 1 && c.now().Sub(nodes[0].Heard) < time.Second
	})
	watched("connected", 10*time.Minute)
	r.stop() // as a crash would
	c.add(5 * time.Minute)
	r.start(by)
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	watched("after a crash", 10*time.Minute)
	w := comes("two")
	c.add(3 * time.Minute)
	w.write(`{"t":"bye","reason":"closing"}`)
	r.until("gone", func() bool { return r.read(s.ID).Presence.Connection != vigil.ConnOnline })
	c.add(30 * time.Minute)
	r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	watched("closed", 13*time.Minute)
	if got := r.read(s.ID).OpenFor(c.now()); (got - 48*time.Minute).Abs() > 30*time.Second {
		t.Errorf("open: got %v, want 48 min", got)
	}
}
