package realtime_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/relay/relaytest"
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
		if _, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed); err == nil {
			t.Fatal("the report: got no error")
		}
		if again {
			_, err := r.hub.Sessions().Ended(r.ctx, s.ID, moodle, handed)
			r.ok(err)
		}
		w.ends(protocol.CloseEnded)
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
	r.ok(r.hub.Sessions().WorkDue(r.ctx))
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
	bus := relaytest.NewLocal(0)
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

func TestCountsAreRightThoughAnAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	r.until("the first counts", func() bool { row := p.Row(s.ID); return row.Tally != nil && row.Tally.Signals > 0 })
	r.store.loseNext("AppendSignals")
	st.Hand(true)
	r.ok(st.Settled(r.ctx))
	r.until("as stored", func() bool {
		row, v := p.Row(s.ID), r.read(s.ID)
		return v.Tally.Signals > 1 && row.Tally.Signals == v.Tally.Signals && row.Tally.Hand != 0
	})
}

func TestThatACommandWasSeenIsToldThoughTheAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s, func(c *client.Config) { c.KeepUnseen = true })
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "Hello", Targets: []string{s.ID}})
	r.until("delivered", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageDelivered })
	r.store.loseNext("UpdateCommand")
	st.Seen(id)
	r.until("seen", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageSeen })
}

func TestThatASessionIsClosedIsToldByWhoTakesItOver(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, 2*time.Second
		}
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	s := r.session()
	hold := make(chan struct{})
	defer close(hold)
	r.student(s, held(r, hold))
	p := second.proctor()
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	crash(r)
	_, err := second.hub.Sessions().Ended(r.ctx, s.ID, moodle, time.Now())
	r.ok(err)
	r.until("closed", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	r.until("shown as closed", func() bool { return p.Connection(s.ID) == vigil.ConnClosed })
	r.server = nil
	r.start(shared("three")) // for the clean-up
}

func TestAChatLineIsToldThoughTheAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	r.store.loseNext("AddChat")
	id := st.Chat("May I go on?")
	r.ok(st.Settled(r.ctx))
	told := func(lines []protocol.ChatDown) bool {
		return slices.ContainsFunc(lines, func(l protocol.ChatDown) bool { return l.ID == id })
	}
	r.until("told to proctors", func() bool { return told(p.Lines()) })
	r.until("counted", func() bool { row := p.Row(s.ID); return row.Tally != nil && row.Tally.Unread == 1 })

	w := r.wire(r.proctorClaims())
	id = "a-line-of-a-proctor"
	for _, text := range []string{"Yes.", "No."} { // the second one is not what is stored
		if text == "Yes." {
			r.store.loseNext("AddChat")
		}
		w.write(`{"t":"chat","id":"` + id + `","session":"` + s.ID + `","text":"` + text + `"}`)
	}
	r.until("told to the student", func() bool { return told(st.Lines()) })
	for _, l := range st.Lines() {
		if l.ID == id && l.Text != "Yes." {
			t.Errorf("got %q, want what is stored", l.Text)
		}
	}
}

func TestThatAHandWasSeenIsToldThoughTheAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) { c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, time.Minute }
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	s := r.session()
	p := second.proctor()
	down := make(chan struct{}, 1)
	st := r.student(s, func(c *client.Config) {
		c.OnFrame = func(t protocol.Type, _ json.RawMessage) {
			if t == protocol.TypeHand {
				down <- struct{}{}
			}
		}
	})
	st.Hand(true)
	r.until("raised", func() bool { return !r.read(s.ID).Tally.Hand.IsZero() })
	second.store.loseNext("SetHand")
	p.Seen(s.ID)
	p.Seen(s.ID) // once more, for the first one was answered with an error
	r.until("told", func() bool { return len(down) == 1 })
}

func TestCountsAreRightThoughTheAnswerToClearingAnIncidentWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	p := r.proctor()
	w := r.comes(s)
	off := time.Now()
	_ = w.ws.CloseNow()
	r.until("held against the student", func() bool { row := p.Row(s.ID); return row.Tally != nil && row.Tally.Open == 1 })
	r.store.loseNext("UpdateIncident")
	_, err := r.hub.Sessions().Stopped(r.ctx, s.ID, moodle, off)
	r.ok(err)
	r.until("cleared", func() bool { return r.read(s.ID).Tally.Open == 0 && p.Row(s.ID).Tally.Open == 0 })
}

func TestACommandThatMayBeStoredIsNotShownAsRefused(t *testing.T) {
	t.Parallel()
	l := &lossy{}
	r := newRig(t, func(c *realtime.Config) { l.Store = c.Store; c.Store = l })
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	l.lost = func() { r.store.failNext("Command", errMaybe) } // nobody can say whether it was stored
	l.transition.Store(1)
	c := protocol.CommandUp{ID: "a-message-sent-twice", Kind: vigil.CommandMessage, Text: "Hello", Targets: []string{s.ID}}
	p.Command(c)
	r.until("an error", func() bool { return len(p.Errors()) == 1 })
	if e := p.Errors()[0]; e.Duty != protocol.DutyRetry || p.Progress(c.ID, s.ID).Stage == vigil.StageRefused {
		t.Errorf("got duty %s, and it is shown as %+v, want retry and not refused", e.Duty, p.Progress(c.ID, s.ID))
	}
	p.Command(c)
	r.until("seen", func() bool { return p.Progress(c.ID, s.ID).Stage == vigil.StageSeen && len(st.Commands()) == 1 })
}

func TestWhatThePlatformRefusedIsToldThoughTheAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	platform.answers(func(vigil.Delivery) vigil.Result { return vigil.Result{State: vigil.LMSRefused, Problem: "Not there."} })
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	r.store.loseNext("UpdateCommand")
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID}})
	r.until("told", func() bool { a := p.Progress(id, s.ID).LMS; return a != nil && a.State == vigil.LMSRefused })
}

func TestAServerThatReachesNeitherStoreNorRelaySendsItsClientsAway(t *testing.T) {
	t.Parallel()
	end := &deaf{Relay: relaytest.NewLocal(0).Node()}
	r := newRig(t, func(c *realtime.Config) {
		c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = end, true, "one", 100*time.Millisecond, 10*time.Millisecond, calm
	})
	s := r.session()
	st := r.student(s)
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	r.store.set("", errDown)
	tried := r.store.calls("Nodes")
	r.until("twice a lease, and more", func() bool { return r.store.calls("Nodes") > tried+100 })
	if n := st.Closes()[protocol.CloseDrain]; n != 0 {
		t.Fatalf("while the relay is there: sent away %d times, want it kept", n)
	}
	end.down.Store(true)
	r.until("sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	r.store.set("", nil)
}

// A student comes back to a server that can store nothing, is sent away by it, and comes back once more.
func TestAGapEndsThoughTheServerThatHadItsStudentGaveUp(t *testing.T) {
	t.Parallel()
	end := &deaf{Relay: relaytest.NewLocal(0).Node()}
	r := newRig(t, func(c *realtime.Config) {
		c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = end, true, "one", 100*time.Millisecond, 10*time.Millisecond, calm
	})
	lost := time.Now().Add(-time.Minute).UTC().Truncate(time.Millisecond)
	s := r.session(proctored, func(s *vigil.Session) {
		s.Presence = vigil.Presence{Connection: vigil.ConnLost, Cause: vigil.CauseStudent, Since: lost, Heard: lost, Epoch: 1, Node: "two"}
	})
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "gap", SessionID: s.ID, ExamID: r.exam.ID, Start: lost, Cause: vigil.CauseStudent}))
	r.store.set("SetPresence", errDown)
	st := r.student(s)
	r.until("online here", func() bool { c, _ := r.hub.Here(s.ID); return c == vigil.ConnOnline })
	end.down.Store(true)
	r.store.set("", errDown)
	r.until("sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	r.store.set("SetPresence", nil)
	r.store.set("", nil)
	end.down.Store(false)
	r.until("back", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	r.until("ended", func() bool { return !r.gaps(s.ID)[0].End.IsZero() })
}

// deaf is a relay that can be away.
type deaf struct {
	relay.Relay
	down atomic.Bool
}

func (d *deaf) State(string) relay.State { return relay.State{Up: !d.down.Load()} }

func TestTheSumsOfLostTimeAreToldThoughTheyCouldNotBeReadAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	r.until("shown", func() bool { return p.Row(s.ID).Life != nil })
	end := time.Now()
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: "a-gap-that-has-ended", SessionID: s.ID, ExamID: s.ExamID, Start: end.Add(-time.Minute), End: end, Cause: vigil.CauseStudent}))
	r.store.failNext("GapsOfSession", errMaybe)
	r.hub.TellLost(r.ctx, s.ExamID, s.ID)
	r.until("told", func() bool {
		l := p.Row(s.ID).Lost
		return l != nil && l.Gaps == 1 && l.Total == time.Minute.Milliseconds()
	})
}

func TestAHandThatIsNotStoredYetIsShownThoughTheCountsAreRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	storing := r.store.holdNext("SetHand")
	st.Hand(true)
	<-storing.entered
	r.hub.ReviewChanged(r.ctx, s.ID)
	close(storing.release)
	r.until("stored", func() bool { return !r.read(s.ID).Tally.Hand.IsZero() })
	r.until("shown as stored", func() bool { return p.Row(s.ID).Tally.Hand == r.read(s.ID).Tally.Hand.UnixMilli() })
}

func TestALineIsCountedOnceThoughTheCountsAreReadBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	stored := &slowChat{stored: make(chan struct{}), release: make(chan struct{})}
	r := newRig(t, func(c *realtime.Config) { stored.Store = c.Store; c.Store = stored })
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	r.until("counted", func() bool { row := p.Row(s.ID); return row.Tally != nil && row.Tally.Signals > 0 })
	st.Chat("May I go on?")
	<-stored.stored
	r.hub.ReviewChanged(r.ctx, s.ID)
	r.until("one line", func() bool { return p.Row(s.ID).Tally.Unread == 1 })
	read := r.store.calls("Session")
	close(stored.release)
	r.ok(st.Settled(r.ctx))
	r.until("read once more", func() bool { return r.store.calls("Session") > read })
	r.until("one line still", func() bool { return p.Row(s.ID).Tally.Unread == 1 })
}

func TestWhatWasDealtWithIsShownThoughTheAnswerOfTheStoreWasLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session() // whose student is away: nobody else reads its counts
	r.ok(r.db.AddChat(r.ctx, vigil.ChatLine{ID: "a-line-of-the-student", SessionID: s.ID, ExamID: s.ExamID, From: vigil.Actor{Role: vigil.RoleStudent}, Text: "May I go on?", At: time.Now()}))
	r.ok(r.db.SetHand(r.ctx, s.ID, time.Now()))
	p := r.proctor()
	r.until("unread, and raised", func() bool {
		row := p.Row(s.ID)
		return row.Tally != nil && row.Tally.Unread == 1 && row.Tally.Hand != 0
	})
	r.store.loseNext("ReadChat")
	p.Seen(s.ID)
	r.until("read", func() bool { return p.Row(s.ID).Tally.Unread == 0 })
	r.store.loseNext("SetHand")
	p.Seen(s.ID)
	r.until("lowered", func() bool { return p.Row(s.ID).Tally.Hand == 0 })
}

func TestWhatCannotBeReadAtOnceIsShownLater(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) { c.Relay, c.Shared, c.Node, c.NodeLease = bus.Node(), true, node, time.Minute }
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	p := second.proctor()
	s := r.session()
	r.store.failNext("Exam", errMaybe) // of which nobody is on this server
	r.hub.SessionCreated(r.ctx, s)
	r.until("the session", func() bool { row := p.Row(s.ID); return row.Who != nil && row.Life != nil })
	r.ok(r.db.SetHand(r.ctx, s.ID, time.Now()))
	r.store.failNext("Session", errMaybe)
	r.hub.ReviewChanged(r.ctx, s.ID)
	r.until("its counts", func() bool { return p.Row(s.ID).Tally.Hand != 0 })
}

func TestWhatHappenedElsewhereIsToldThoughItCouldNotBeReadAtOnce(t *testing.T) {
	t.Parallel()
	node := func(name string, end relay.Relay) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = end, true, name, time.Minute, calm
		}
	}
	for _, method := range []string{"SessionsOfExam", "Exam"} {
		end := &late{}
		r := newRig(t, node("one", end))
		second := r.another(node("two", &late{}))
		s := r.session()
		st := r.student(s)
		_, err := second.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor, ID: "p"}, vigil.FullAccess, protocol.CommandUp{
			ID: "a-message-from-elsewhere", Kind: vigil.CommandMessage, Text: "Hello", Targets: []string{s.ID},
		})
		r.ok(err)
		r.store.failNext(method, errMaybe)
		end.hole()
		r.until("told", func() bool { return len(st.Commands()) == 1 })
	}
}

// slowChat is a store whose answer to a line takes its time.
type slowChat struct {
	realtime.Store
	stored, release chan struct{}
}

func (c *slowChat) AddChat(ctx context.Context, l vigil.ChatLine) error {
	err := c.Store.AddChat(ctx, l)
	close(c.stored)
	<-c.release
	return err
}

func TestAServerThatCouldNotHearThatItWasTakenOverHearsItWhenTheRelayIsBack(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string, end relay.Relay) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.NodeEvery, c.Liveness = end, true, node, time.Second, 10*time.Millisecond, calm
		}
	}
	end := &severed{Relay: bus.Node()}
	r := newRig(t, shared("one", end))
	second := r.another(shared("two", bus.Node()))
	s := r.session()
	st := r.student(s)
	r.until("stored", func() bool { return r.read(s.ID).Presence.Node == "one" })
	end.away.Store(true)
	r.store.set("", errDown)
	r.until("taken over", func() bool {
		nodes, err := r.db.Nodes(r.ctx)
		r.ok(err)
		return len(nodes) == 1
	})
	second.stop() // the next one has never seen the first
	third := r.another(shared("three", bus.Node()))
	third.proctor() // and has the exam open
	if n := st.Closes()[protocol.CloseDrain]; n != 0 {
		t.Fatalf("sent away %d times while nobody could say so, want it kept", n)
	}
	end.away.Store(false)
	r.until("sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	r.store.set("", nil)
}

// severed is a relay that carries nothing while it is away, and does not know that.
type severed struct {
	relay.Relay
	away atomic.Bool
}

func (s *severed) Publish(exam string, payload []byte) {
	if !s.away.Load() {
		s.Relay.Publish(exam, payload)
	}
}

func (s *severed) Subscribe(exam string, to relay.Receiver) (func(), error) {
	return s.Relay.Subscribe(exam, lossyReceiver{to, s})
}

type lossyReceiver struct {
	relay.Receiver
	relay *severed
}

func (l lossyReceiver) Receive(payload []byte) {
	if !l.relay.away.Load() {
		l.Receiver.Receive(payload)
	}
}
