package realtime_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// held gives the first token at once and every later one when hold is closed, and makes
// the token at hand useless then: a client that cannot come back for a while.
func held(r *rig, hold <-chan struct{}) func(c *client.Config) {
	return func(c *client.Config) {
		source, first := c.TokenSource, true
		c.TokenSource = func(ctx context.Context) (client.Token, error) {
			if !first {
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			first = false
			t, err := source(ctx)
			t.Expires = time.Now().Add(time.Second) // asked for anew at each connection
			return t, err
		}
	}
}

func TestAfterACrashStudentsAreLostByUsAndGetTheTimeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	noClock := r.session(func(s *vigil.Session) { s.End = time.Time{} })
	paused := r.session(func(s *vigil.Session) { s.State, s.PausedAt = vigil.StatePaused, s.Started })
	done := r.session()
	hold := make(chan struct{})
	st, st2 := r.student(s, held(r, hold)), r.student(noClock, held(r, hold))
	r.student(paused, held(r, hold))
	r.student(done)
	for _, id := range []string{s.ID, noClock.ID, paused.ID, done.ID} {
		r.until("stored", func() bool { return r.read(id).Presence.Connection == vigil.ConnOnline })
	}
	crash(r)
	_, err := r.db.Session(r.ctx, s.ID)
	r.ok(err)
	ended := r.read(done.ID)
	ended.State, ended.Version = vigil.StateSubmitted, ended.Version+1
	r.ok(r.db.Transition(r.ctx, vigil.Transition{Session: ended, From: ended.Version - 1}))
	time.Sleep(1100 * time.Millisecond) // more than the second that a grant has at least
	r.start()
	for _, id := range []string{s.ID, noClock.ID} {
		if p := r.read(id).Presence; p.Connection != vigil.ConnLost || p.Cause != vigil.CauseServer {
			t.Fatalf("after recovery: got %+v, want lost by us", p)
		}
	}
	if p := r.read(done.ID).Presence; p.Connection != vigil.ConnClosed {
		t.Fatalf("ended session: got %+v, want closed", p)
	}
	p := r.proctor()
	before := r.read(s.ID).Deadline(r.exam.Policy)
	close(hold)
	r.until("back", func() bool { return st.Connects() == 2 && st2.Connects() == 2 })
	r.until("given back", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].Decision == vigil.GapGranted })
	g := r.gaps(s.ID)[0]
	if g.Cause != vigil.CauseServer || g.Proposed < time.Second || g.Proposed != g.End.Sub(g.Start) || g.CommandID == "" {
		t.Fatalf("gap: got %+v, want ours, in full, granted by a command", g)
	}
	if got := r.read(s.ID).Deadline(r.exam.Policy).Sub(before); got != g.Proposed {
		t.Fatalf("deadline moved by %v, want %v", got, g.Proposed)
	}
	c, err := r.db.Command(r.ctx, s.ID, g.CommandID)
	r.ok(err)
	if c.By.Role != vigil.RoleSystem || c.ReasonCode != "lost_time" {
		t.Fatalf("command: got %+v, want one of the system's for lost time", c)
	}
	r.until("told", func() bool { l := p.Row(s.ID).Lost; return l != nil && l.Granted == g.Proposed.Milliseconds() })
	r.until("left as it is", func() bool { g := r.gaps(noClock.ID); return len(g) == 1 && !g[0].End.IsZero() })
	if g := r.gaps(noClock.ID)[0]; g.Decision != vigil.GapUndecided {
		t.Fatalf("without a clock: got %+v, want undecided", g)
	}
	r.until("nothing was lost while paused", func() bool {
		g := r.gaps(paused.ID)
		return len(g) == 1 && !g[0].End.IsZero() && g[0].Paused > time.Second && g[0].Proposed < vigil.MinExtend && len(r.read(paused.ID).Grants) == 0
	})
	for _, g := range r.stored(s.ID) {
		if g.Incident {
			t.Fatalf("our own outage is an incident of the student: %+v", g)
		}
	}
	if nodes, err := r.db.Nodes(r.ctx); err != nil || len(nodes) != 1 {
		t.Fatalf("nodes: got %v %v, want this one only", nodes, err)
	}
}

// crash ends the hub so that it can no longer write, as SIGKILL would.
func crash(r *rig) {
	r.store.set("", errDown)
	r.stop()
	r.store.set("", nil)
}

func TestARestartInOrderShowsNoLost(t *testing.T) {
	t.Parallel()
	patient := func(c *realtime.Config) { c.Liveness = calm }
	r := newRig(t, patient)
	s, away := r.session(), r.session()
	hold := make(chan struct{})
	defer close(hold)
	st := r.student(s)
	r.student(away, held(r, hold))
	for _, id := range []string{s.ID, away.ID} {
		r.until("stored", func() bool { return r.read(id).Presence.Connection == vigil.ConnOnline })
	}
	for range 5 {
		st.Signal(vigil.KindCopy, 0, nil)
	}
	r.ok(r.hub.Drain(r.ctx))
	r.stop()
	r.start(patient)
	p := r.proctor()
	r.until("back", func() bool { return st.Connects() >= 2 })
	r.ok(st.Settled(r.ctx))
	// Who does not come back is lost, by us, after all.
	r.until("lost", func() bool { return p.Connection(away.ID) == vigil.ConnLost })
	if c := p.Row(away.ID).Conn.Cause; c != vigil.CauseServer {
		t.Fatalf("cause: got %q, want server", c)
	}
	if g := r.gaps(s.ID); len(g) != 0 {
		t.Fatalf("gaps of who came back: got %+v, want none", g)
	}
	if k := r.kinds(s.ID); k[vigil.KindLost] != 0 || k[vigil.KindCopy] != 5 {
		t.Fatalf("signals: got %v, want the five and no loss", k)
	}
}

func TestLostTimeIsGrantedOrRefusedInBulk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b, c := r.session(), r.session(), r.session()
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i, s := range []vigil.Session{a, b} {
		for j := range 2 {
			start := now.Add(-time.Duration(40-20*j) * time.Minute)
			r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
				ID: name(10*i + j), SessionID: s.ID, ExamID: r.exam.ID, Start: start, End: start.Add(10 * time.Minute), Cause: vigil.CauseStudent,
			}))
		}
	}
	p := r.proctor()
	r.until("proposed", func() bool { l := p.Row(a.ID).Lost; return l != nil && l.Proposed == (15*time.Minute).Milliseconds() })
	id, _ := p.LostTime(true, a.ID, c.ID)
	r.until("granted", func() bool {
		l := p.Row(a.ID).Lost
		return l.Granted == (15*time.Minute).Milliseconds() && l.Proposed == 0
	})
	r.until("nothing to grant", func() bool { return p.Progress(id, c.ID).Stage == vigil.StageRefused })
	if got := r.read(a.ID).Deadline(r.exam.Policy).Sub(a.End).Round(time.Second); got != 15*time.Minute {
		t.Fatalf("deadline moved by %v, want the cap of 15m", got)
	}
	// The same again, as after a drop, gives nothing more.
	got, err := r.hub.Sessions().LostTime(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.LostTimeUp{ID: id, Targets: []string{a.ID}, Grant: true})
	r.ok(err)
	if got[0].Stage == vigil.StageRefused || len(r.read(a.ID).Grants) != 1 {
		t.Fatalf("again: got %+v and grants %+v, want the same and one", got, r.read(a.ID).Grants)
	}
	// A gap that came after the grant is not part of it: the replay leaves it open.
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
		ID: "later-gap", SessionID: a.ID, ExamID: r.exam.ID, Start: time.Now().Add(time.Minute), End: time.Now().Add(2 * time.Minute), Cause: vigil.CauseServer,
	}))
	_, err = r.hub.Sessions().LostTime(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.LostTimeUp{ID: id, Targets: []string{a.ID}, Grant: true})
	r.ok(err)
	for _, g := range r.gaps(a.ID) {
		if g.ID == "later-gap" && g.Decision != vigil.GapUndecided {
			t.Fatalf("a later gap: got %+v, want undecided", g)
		}
	}
	p.LostTime(false, b.ID)
	r.until("refused", func() bool { l := p.Row(b.ID).Lost; return l.Granted == 0 && l.Proposed == 0 })
	for _, g := range r.gaps(b.ID) {
		if g.Decision != vigil.GapRefused {
			t.Fatalf("gap: got %+v, want refused", g)
		}
	}
}

func TestASecondDeviceIsAnIncidentAndAPageTurnIsNot(t *testing.T) {
	t.Parallel()
	const streamA, streamB = "aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb"
	for _, row := range []struct {
		name    string
		stream  string
		bye     bool
		address string
		browser string
		replay  bool // the first socket's own token
		want    map[vigil.Kind]int
	}{
		{"page turn, same outbox", streamA, false, "", "", false, map[vigil.Kind]int{}},
		{"page turn, lost outbox, goodbye", streamB, true, "", "", false, map[vigil.Kind]int{}},
		{"another browser after goodbye", streamB, true, "", "other", false, map[vigil.Kind]int{}},
		{"another outbox at once", streamB, false, "", "", false, map[vigil.Kind]int{vigil.KindSecondSession: 1}},
		{"same outbox, another address", streamA, false, "192.0.2.9", "", false, map[vigil.Kind]int{vigil.KindAddress: 1}},
		{"same outbox, another browser only", streamA, false, "", "other", false, map[vigil.Kind]int{}},
		{"another address and browser at once", streamA, false, "192.0.2.9", "other", false, map[vigil.Kind]int{vigil.KindSecondSession: 1, vigil.KindAddressBrowser: 1}},
		{"another address and browser after goodbye", streamB, true, "192.0.2.9", "other", false, map[vigil.Kind]int{vigil.KindAddressBrowser: 1}},
		{"the token from another address and browser", streamB, true, "192.0.2.9", "other", true, map[vigil.Kind]int{vigil.KindTokenReplay: 1}},
		{"the token from another address", streamA, true, "192.0.2.9", "", true, map[vigil.Kind]int{vigil.KindAddress: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
			s := r.session()
			token := r.mint(studentClaims(s))
			w := r.wireOn(r.rawWith(token, "User-Agent", "first"))
			w.write(`{"t":"hello","stream":"` + streamA + `","next":1}`)
			w.write(`{"t":"time","at":1}`)
			var tm protocol.Time
			w.next(protocol.TypeTime, &tm)
			if row.bye {
				w.write(`{"t":"bye","reason":"navigating"}`)
				r.until("navigating", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnNavigating })
			}
			if !row.replay {
				token = r.mint(studentClaims(s))
			}
			headers := []string{"User-Agent", "first"}
			if row.browser != "" {
				headers[1] = row.browser
			}
			if row.address != "" {
				headers = append(headers, "X-Test-Address", row.address)
			}
			v := r.wireOn(r.rawWith(token, headers...))
			v.write(`{"t":"hello","stream":"` + row.stream + `","next":1}`)
			v.write(`{"t":"signal","seq":1,"kind":"copy","at":1790000000000}`)
			var a protocol.Ack
			v.next(protocol.TypeAck, &a) // the server's own signals were stored before
			got := r.kinds(s.ID)
			notes := 1 // of the first connection
			if row.browser != "" && row.address == "" {
				notes = 2 // and of another browser from its address
			}
			if n := got[vigil.KindConnected]; n != notes {
				t.Errorf("got %d times connected, want %d", n, notes)
			}
			delete(got, vigil.KindConnected)
			delete(got, vigil.KindCopy)
			if len(got) != len(row.want) {
				t.Fatalf("got %v, want %v", got, row.want)
			}
			for k, n := range row.want {
				if got[k] != n {
					t.Fatalf("got %v, want %v", got, row.want)
				}
			}
			w.ends(protocol.CloseSuperseded)
		})
	}
}

func TestANumberUsedAgainForSomethingElseIsNotedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(studentClaims(s))
	w.write(hello)
	var a protocol.Ack
	for _, at := range []string{"1790000000000", "1790000000000", "1790000000001", "1790000000002"} {
		w.write(`{"t":"signal","seq":1,"kind":"copy","at":` + at + `}`)
		w.next(protocol.TypeAck, &a)
	}
	r.until("noted", func() bool { return r.kinds(s.ID)[vigil.KindTampering] == 1 })
	r.until("quiet", func() bool { return r.hub.Stats().Waiting == 0 })
	for _, g := range r.stored(s.ID) {
		if g.Kind == vigil.KindCopy && g.At.UnixMilli() != 1790000000000 {
			t.Fatalf("stored: got %v, want the first content", g.At)
		}
	}
	if k := r.kinds(s.ID); k[vigil.KindCopy] != 1 || k[vigil.KindTampering] != 1 {
		t.Fatalf("stored: got %v, want one of each", k)
	}
}

func TestAHoleThatStaysOpenIsNotedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	for range 2 {
		w := r.wire(studentClaims(s))
		w.write(`{"t":"hello","stream":"abcdefghijklmnop","next":6}`) // 1 to 5 were given
		for _, seq := range []string{"1", "2", "5"} {
			w.write(`{"t":"signal","seq":` + seq + `,"kind":"copy","at":1790000000000}`)
		}
		w.write(`{"t":"signal","seq":6,"kind":"copy","at":1790000000000}`)
		r.until("noted", func() bool { return r.kinds(s.ID)[vigil.KindHole] == 1 })
		_ = w.ws.CloseNow()
	}
	time.Sleep(400 * time.Millisecond) // HoleWait of the second
	var missing struct{ Missing int }
	for _, g := range r.stored(s.ID) {
		if g.Kind == vigil.KindHole {
			r.ok(json.Unmarshal(g.Data, &missing))
		}
	}
	if k := r.kinds(s.ID); k[vigil.KindHole] != 1 || missing.Missing != 2 {
		t.Fatalf("holes: got %d with %d missing, want 1 with 2", k[vigil.KindHole], missing.Missing)
	}
}

// TestWhatARestoredStoreLostIsNobodysFault brings a store back from a backup: of a session that
// began before, the browser has been told that signals are stored that are not any more.
func TestWhatARestoredStoreLostIsNobodysFault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what     string
		restored time.Duration // after the session began
		severity float64
	}{
		{"a session from before the restore", time.Minute, 0},
		{"a session from after it", -time.Minute, 0.3},
	} {
		r := newRig(t)
		s := r.session()
		r.ok(r.db.PutRecord(r.ctx, vigil.RestoredRecord(s.Created.Add(c.restored))))
		r.ok(r.hub.Recover(r.ctx))
		w := r.wire(studentClaims(s))
		w.write(`{"t":"hello","stream":"abcdefghijklmnop","next":6}`) // 1 to 5 were given, and acknowledged
		w.write(`{"t":"signal","seq":6,"kind":"copy","at":1790000000000}`)
		r.until("noted", func() bool { return r.kinds(s.ID)[vigil.KindHole] == 1 })
		for _, g := range r.stored(s.ID) {
			if g.Kind != vigil.KindHole {
				continue
			}
			var data struct {
				Missing  int
				Restored bool
			}
			r.ok(json.Unmarshal(g.Data, &data))
			if data.Missing != 5 || data.Restored != (c.severity == 0) || g.Severity != c.severity || c.severity == 0 && g.Incident {
				t.Errorf("%s: got %s of severity %v, want 5 missing and %v", c.what, g.Data, g.Severity, c.severity)
			}
		}
	}
}

func TestRepeatedHidingIsSevereAndResendsDoNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(studentClaims(s))
	w.write(hello)
	var a protocol.Ack
	send := func(seq string) {
		w.write(`{"t":"signal","seq":` + seq + `,"kind":"hidden","dur":1000,"at":1790000000` + "00" + seq + `}`)
		w.next(protocol.TypeAck, &a)
	}
	for _, seq := range []string{"1", "2", "1", "2", "1", "3"} {
		send(seq)
	}
	send("4")
	want := []float64{0.1, 0.1, 0.6, 0.6}
	i := 0
	for _, g := range r.stored(s.ID) {
		if g.Kind != vigil.KindHidden {
			continue
		}
		if g.Severity != want[i] {
			t.Fatalf("severity of number %d: got %v, want %v", g.Seq, g.Severity, want[i])
		}
		i++
	}
}

func TestAMissedPongIsForgivenWhenAnythingIsHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	ws := r.raw(studentClaims(s)) // reads nothing: no pong is ever sent
	r.ok(ws.Write(r.ctx, 1, []byte(hello)))
	r.until("degraded", func() bool { return p.Connection(s.ID) == vigil.ConnDegraded })
	r.ok(ws.Write(r.ctx, 1, []byte(`{"t":"time","at":1}`)))
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	r.until("lost", func() bool { return p.Connection(s.ID) == vigil.ConnLost })
	r.ok(ws.Write(r.ctx, 1, []byte(`{"t":"time","at":1}`)))
	r.until("online again", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	r.until("gap ended", func() bool { g := r.gaps(s.ID); return len(g) >= 1 && !g[0].End.IsZero() })
	r.until("reconnected", func() bool { return r.kinds(s.ID)[vigil.KindReconnected] >= 1 })
}

func TestAPageTurnThatNeverEndsIsUnclearAndNoIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	st.Bye(vigil.ByeNavigating)
	r.until("navigating", func() bool { return p.Connection(s.ID) == vigil.ConnNavigating || p.Connection(s.ID) == vigil.ConnLost })
	r.until("lost", func() bool { return p.Connection(s.ID) == vigil.ConnLost })
	r.until("gap", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].Cause == vigil.CauseUnclear })
	r.student(s)
	r.until("ended", func() bool { g := r.gaps(s.ID); return !g[0].End.IsZero() && g[0].Proposed > 0 })
	if got := r.read(s.ID).Tally.Incidents; got != 0 {
		t.Fatalf("incidents: got %d, want 0: nobody knows why", got)
	}
}

func TestWhoClosesARunningAttemptIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, reason := range []vigil.ByeReason{vigil.ByeClosing, vigil.ByeFinished} {
		s := r.session()
		r.student(s).Bye(reason)
		r.until("lost", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
		r.until("gap", func() bool { g := r.gaps(s.ID); return len(g) == 1 && g[0].Cause == vigil.CauseStudent })
		r.until("connection_lost", func() bool { return r.kinds(s.ID)[vigil.KindLost] == 1 })
	}
	// Before the attempt begins, and when it is over, nobody is missed.
	s := r.session(func(s *vigil.Session) { s.State, s.Started, s.End = vigil.StateReady, time.Time{}, time.Time{} })
	r.student(s).Bye(vigil.ByeClosing)
	r.until("closed", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	if got := len(r.gaps(s.ID)); got != 0 {
		t.Errorf("gaps before the beginning: got %d, want none", got)
	}
}

func TestASessionThatEndsWhileItsStudentIsAwayEndsItsGap(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, restart := range []bool{false, true} {
		s := r.session()
		hold := make(chan struct{})
		defer close(hold)
		r.student(s, held(r, hold)).Cut()
		r.until("gap", func() bool { return len(r.gaps(s.ID)) == 1 })
		r.until("stored", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
		if restart { // nobody here has heard of the student
			r.stop()
			r.start()
		}
		_, err := r.hub.Sessions().Ended(r.ctx, s.ID, vigil.Actor{Role: vigil.RoleLMS}, time.Time{})
		r.ok(err)
		r.until("gap ended", func() bool { return !r.gaps(s.ID)[0].End.IsZero() })
		r.until("closed", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	}
}

func TestBeforeTheStartNothingCanBeLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
	s := r.session(func(s *vigil.Session) { s.State, s.Started = vigil.StateReady, time.Time{} })
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	p := r.proctor()
	st.Cut()
	r.until("lost", func() bool { return p.Connection(s.ID) == vigil.ConnLost })
	_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventActivate})
	r.ok(err)
	close(hold)
	r.until("back", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	st.Signal(vigil.KindCopy, 0, nil)
	r.ok(st.Settled(r.ctx))
	if k := r.kinds(s.ID); k[vigil.KindLost] != 0 || len(r.gaps(s.ID)) != 0 {
		t.Fatalf("got %v and gaps %v, want no loss", k, r.gaps(s.ID))
	}
}

func TestPresenceIsStoredWhenTheStoreIsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	r.store.set("SetPresence", errDown)
	st := r.student(s)
	r.until("tried", func() bool { return r.store.calls("SetPresence") > 2 })
	st.Turn(2)
	r.until("turned", func() bool { return st.Connects() == 2 })
	r.store.set("SetPresence", nil)
	r.until("stored", func() bool {
		p := r.read(s.ID).Presence
		return p.Connection == vigil.ConnOnline && p.Epoch == st.Welcome().Epoch
	})
}

func TestAPresenceThatIsBeatenDoesNotSwallowTheOneAfterIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
	s := r.session()
	st := r.student(s)
	r.until("stored", func() bool { return r.read(s.ID).Presence.Epoch == 1 })
	elsewhere, err := r.db.NextEpoch(r.ctx, s.ID)
	r.ok(err)
	late := r.store.holdNext("SetPresence")
	st.Turn(2)
	<-late.entered // the page turn is on its way to the store
	r.ok(r.db.SetPresence(r.ctx, s.ID, vigil.Presence{
		Connection: vigil.ConnLost, Since: time.Now(), Heard: time.Now(), Epoch: elsewhere, Node: "another", Cause: vigil.CauseServer,
	}))
	r.until("back here", func() bool { return st.Connects() == 2 && st.Welcome().Epoch > elsewhere })
	close(late.release)
	r.until("stored", func() bool {
		p := r.read(s.ID).Presence
		return p.Connection == vigil.ConnOnline && p.Epoch == st.Welcome().Epoch
	})
}

func TestTwoNodesOnOneStore(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	r := newRig(t, func(c *realtime.Config) {
		c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, "one", time.Minute
		c.Liveness = calm
	})
	second := &rig{TB: t, ctx: r.ctx, db: r.db, store: r.store, tokens: r.tokens, exam: r.exam, path: r.path}
	second.start(func(c *realtime.Config) {
		c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, "two", time.Minute
		c.Liveness = calm
	})
	t.Cleanup(second.stop)

	s := r.session()
	here, there := r.proctor(), second.proctor()
	st := r.student(s)
	for i, p := range []*client.Proctor{here, there} {
		r.until("online on both", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
		st.Signal(vigil.KindCopy, 0, nil)
		r.until("signals on both", func() bool {
			n := 0
			for _, d := range p.Signals() {
				if d.Kind == vigil.KindCopy {
					n++
				}
			}
			return n == i+1
		})
	}
	// A command from the other node reaches the student and its progress both proctors.
	id, _ := there.Command(protocol.CommandUp{Kind: vigil.CommandPause, Targets: []string{s.ID}})
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { return c.State() == vigil.StatePaused }))
	for _, p := range []*client.Proctor{here, there} {
		r.until("seen on both", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageSeen })
		r.until("paused on both", func() bool { return p.Row(s.ID).Life.State == vigil.StatePaused })
	}
	// The student's chat is urgent: the node that has the socket knows of the pause.
	line := st.Chat("Hello?")
	r.until("urgent", func() bool { l := there.Lines(); return len(l) == 1 && l[0].ID == line && l[0].Urgent })
	there.Seen(s.ID)
	r.until("read on both", func() bool {
		a, b := here.Row(s.ID).Tally, there.Row(s.ID).Tally
		return a != nil && b != nil && a.Unread == 0 && b.Unread == 0 && a.Signals == b.Signals
	})
	// The session moves to the other node: the socket here is superseded, a second device is noted.
	two := second.wire(studentClaims(s), "X-Test-Address", "192.0.2.77", "User-Agent", "other")
	two.write(`{"t":"hello","stream":"qqqqqqqqqqqqqqqqqqqq","next":1}`)
	<-st.Done()
	if err := st.Err(); !stoppedWith(err, 4001) {
		t.Fatalf("end: got %v, want 4001", err)
	}
	r.until("second session", func() bool { return r.kinds(s.ID)[vigil.KindSecondSession] == 1 })
	r.until("owned by the other", func() bool { return r.read(s.ID).Presence.Node == "two" })
	time.Sleep(calm.DropGrace)
	if p := r.read(s.ID).Presence; p.Connection != vigil.ConnOnline || len(r.gaps(s.ID)) != 0 {
		t.Fatalf("presence: got %+v with gaps %v, want online and none", p, r.gaps(s.ID))
	}
	if got := here.Connection(s.ID); got != vigil.ConnOnline {
		t.Fatalf("row on the first node: got %s, want online", got)
	}
}
