package realtime_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// lms answers Assessment Control as it is told.
type lms struct {
	mu     sync.Mutex
	got    []vigil.Delivery
	answer func(d vigil.Delivery) vigil.Result
}

func (l *lms) Control(_ context.Context, _ vigil.Session, d vigil.Delivery) vigil.Result {
	l.mu.Lock()
	l.got = append(l.got, d)
	answer := l.answer
	l.mu.Unlock()
	if answer == nil {
		status := map[string]string{vigil.ActionPause: vigil.StatusPaused, vigil.ActionTerminate: vigil.StatusTerminated}[d.Action]
		return vigil.Result{State: vigil.LMSAccepted, Status: cmp.Or(status, vigil.StatusRunning)}
	}
	return answer(d)
}

func (l *lms) requests() []vigil.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]vigil.Delivery(nil), l.got...)
}

func (l *lms) answers(f func(d vigil.Delivery) vigil.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = f
}

// controlled is a session whose platform offers everything.
func controlled(s *vigil.Session) {
	s.ControlURL = "https://lms.example/acs"
	s.ControlActions = []string{vigil.ActionPause, vigil.ActionResume, vigil.ActionTerminate, vigil.ActionUpdate, vigil.ActionFlag}
}

func TestAMessageIsQueuedDeliveredAndSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "Hello", Targets: []string{s.ID}})
	r.until("queued", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageQueued })
	st := r.student(s, func(c *client.Config) { c.KeepUnseen = true })
	r.until("delivered", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageDelivered })
	if got := st.Welcome().Commands; len(got) != 1 || got[0].Text != "Hello" || got[0].By != "Teacher" {
		t.Fatalf("welcome's commands: got %+v, want the message", got)
	}
	st.Turn(2) // unseen commands come again
	r.until("again", func() bool { return st.Connects() == 2 && len(st.Welcome().Commands) == 1 })
	st.Seen(id)
	r.until("seen", func() bool { return p.Progress(id, s.ID).Stage == vigil.StageSeen })
	st.Turn(3)
	r.until("no more", func() bool { return st.Connects() == 3 && len(st.Welcome().Commands) == 0 })
	c, err := r.db.Command(r.ctx, s.ID, id)
	r.ok(err)
	if c.Stage != vigil.StageSeen || c.Seen.IsZero() || c.Delivered.IsZero() {
		t.Fatalf("stored: got %+v, want seen and delivered", c)
	}
}

func TestPauseStopsTheClockAndResumeStartsItAgain(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	st := r.student(s)
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandPause, Text: "Wait", Targets: []string{s.ID}})
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { return c.State() == vigil.StatePaused }))
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { _, left := c.Clock(); return left > 0 }))
	r.until("answered", func() bool { l := p.Progress(id, s.ID).LMS; return l != nil && l.State == vigil.LMSAccepted })
	line := st.Chat("May I?")
	r.until("urgent", func() bool {
		for _, l := range p.Lines() {
			if l.ID == line && l.Urgent && l.From == vigil.RoleStudent {
				return true
			}
		}
		return false
	})
	r.until("unread", func() bool { row := p.Row(s.ID); return row.Tally != nil && row.Tally.Unread == 1 })
	p.Seen(s.ID)
	r.until("read", func() bool { return p.Row(s.ID).Tally.Unread == 0 })
	if got := r.read(s.ID).Tally.Unread; got != 0 {
		t.Fatalf("stored unread: got %d, want 0", got)
	}
	p.Command(protocol.CommandUp{Kind: vigil.CommandResume, Targets: []string{s.ID}})
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { _, left := c.Clock(); return c.State() == vigil.StateActive && left == 0 }))
	r.until("both asked", func() bool { return len(platform.requests()) == 2 })
	if g := platform.requests(); g[0].Action != vigil.ActionPause || g[1].Action != vigil.ActionResume {
		t.Fatalf("requests: got %v, want pause, resume", g)
	}
	r.until("row", func() bool { l := p.Row(s.ID).Life; return l.State == vigil.StateActive && l.Left == 0 })
}

func TestExtraTimeTakesEffectWhenThePlatformAnswered(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	hold := make(chan struct{})
	platform.answers(func(vigil.Delivery) vigil.Result { <-hold; return vigil.Result{State: vigil.LMSAccepted} })
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	st := r.student(s)
	before := st.Welcome().End
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandExtend, Seconds: 90, Targets: []string{s.ID}})
	r.until("asked", func() bool { return len(platform.requests()) == 1 })
	if got := platform.requests()[0].ExtraMinutes; got != 2 {
		t.Fatalf("minutes: got %d, want 2", got)
	}
	if end, _ := st.Clock(); end != before {
		t.Fatalf("the clock moved before the answer: got %d, want %d", end, before)
	}
	close(hold)
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { end, _ := c.Clock(); return end == before+120_000 })) // by the platform's clock
	r.until("accepted and seen", func() bool {
		g := p.Progress(id, s.ID)
		return g.LMS != nil && g.LMS.State == vigil.LMSAccepted && g.Stage == vigil.StageSeen
	})
	if got := r.read(s.ID).Carry; got != 30*time.Second {
		t.Fatalf("carry: got %v, want 30s", got)
	}
}

func TestRefusedExtraTimeIsTakenBack(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	platform.answers(func(vigil.Delivery) vigil.Result {
		return vigil.Result{State: vigil.LMSRefused, Problem: "The platform does not give more."}
	})
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID}})
	r.until("refused", func() bool { g := p.Progress(id, s.ID); return g.Stage == vigil.StageRefused && g.Problem != "" })
	if g := r.read(s.ID).Grants; len(g) != 1 || g[0].State != vigil.GrantRefused {
		t.Fatalf("grants: got %+v, want one refused", g)
	}
}

func TestTerminateEndsWhenThePlatformAnsweredAndClosesTheStudent(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	st := r.student(s)
	p.Command(protocol.CommandUp{Kind: vigil.CommandTerminate, Text: "Enough", Reason: "behaviour", Targets: []string{s.ID}})
	<-st.Done()
	if err := st.Err(); !stoppedWith(err, 4000) {
		t.Fatalf("end: got %v, want 4000", err)
	}
	if got := st.Commands(); len(got) != 1 || got[0].Kind != vigil.CommandTerminate || got[0].Text != "Enough" {
		t.Fatalf("commands: got %+v, want the termination", got)
	}
	if got := st.State(); got != vigil.StateTerminated {
		t.Fatalf("state: got %s, want terminated", got)
	}
	r.until("row", func() bool {
		return p.Row(s.ID).Life.State == vigil.StateTerminated && p.Connection(s.ID) == vigil.ConnClosed
	})
	p.Command(protocol.CommandUp{Kind: vigil.CommandReactivate, Targets: []string{s.ID}})
	r.until("reactivated", func() bool { return p.Row(s.ID).Life.State == vigil.StatePaused })
	r.student(s)
}

func TestACommandGivenAgainChangesNothingAndGivesTheSameProgress(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	by := vigil.Actor{Role: vigil.RoleProctor, ID: "platform-1|teacher", Name: "Teacher"}
	extend := protocol.CommandUp{ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 600, Targets: []string{s.ID, s.ID}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, extend)
			if err != nil || len(got) != 1 || got[0].Stage == vigil.StageRefused {
				t.Errorf("got %+v %v, want progress of one session", got, err)
			}
		})
	}
	wg.Wait()
	r.until("told", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, extend.ID)
		return err == nil && c.LMS.State == vigil.LMSAccepted
	})
	if got := len(platform.requests()); got != 1 {
		t.Fatalf("requests: got %d, want 1", got)
	}
	if got := r.read(s.ID).Grants; len(got) != 1 {
		t.Fatalf("grants: got %+v, want one", got)
	}
	// A refusal stands as well.
	resume := protocol.CommandUp{ID: "resume-0001", Kind: vigil.CommandResume, Targets: []string{s.ID}}
	first, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, resume)
	r.ok(err)
	if first[0].Stage != vigil.StageRefused {
		t.Fatalf("resume of an active session: got %+v, want refused", first[0])
	}
	_, err = r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, protocol.CommandUp{ID: "pause-00001", Kind: vigil.CommandPause, Targets: []string{s.ID}})
	r.ok(err)
	second, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, by, vigil.FullAccess, resume)
	r.ok(err)
	if second[0].Stage != vigil.StageRefused || second[0].Problem != first[0].Problem {
		t.Fatalf("given again: got %+v, want the same refusal", second[0])
	}
}

func TestACommandToAllReachesThoseWhoHaveNotEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var open []string
	for range 30 {
		open = append(open, r.session().ID)
	}
	ended := r.session(func(s *vigil.Session) { s.State = vigil.StateSubmitted })
	p := r.proctor()
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "Ten minutes left", All: true})
	r.until("all", func() bool {
		for _, s := range open {
			if p.Progress(id, s).Stage != vigil.StageQueued {
				return false
			}
		}
		return true
	})
	if got := p.Progress(id, ended.ID).Stage; got != "" {
		t.Fatalf("ended session: got %q, want nothing", got)
	}
}

func TestAStoreThatIsAwayMakesACommandSafeToSendAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(r.proctorClaims())
	r.store.set("Transition", errDown)
	cmd := `{"t":"command","id":"abcdefgh","kind":"pause","targets":["` + s.ID + `"]}`
	w.write(cmd)
	var e protocol.Error
	w.next(protocol.TypeError, &e)
	if e.Code != vigil.CodeUnavailable || e.Duty != protocol.DutyRetry || e.Ref != "abcdefgh" {
		t.Fatalf("error: got %+v, want unavailable, retry", e)
	}
	r.store.set("Transition", nil)
	w.write(cmd)
	r.until("paused", func() bool { return r.read(s.ID).State == vigil.StatePaused })
}

func TestTheQueueNeverDoublesAnExtension(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		plugin bool
		state  vigil.LMSState
		tries  int
	}{
		{false, vigil.LMSUnknown, 0}, // nobody knows whether it was sent: not again
		{true, vigil.LMSAccepted, 1}, // our plugin knows a repeat
	} {
		t.Run(fmt.Sprintf("plugin %v", row.plugin), func(t *testing.T) {
			t.Parallel()
			platform := &lms{}
			r := newRig(t) // no controller yet: the node that leased it died
			s := r.session(controlled, func(s *vigil.Session) { s.Plugin = row.plugin })
			_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
				ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID},
			})
			r.ok(err)
			leased, err := r.db.LeaseDeliveries(r.ctx, "dead", time.Now().Add(time.Second), 1)
			r.ok(err)
			if len(leased) != 1 {
				t.Fatalf("leased: got %d, want 1", len(leased))
			}
			r.stop()
			r.start(func(c *realtime.Config) {
				c.Controller = platform
				c.Now = func() time.Time { return time.Now().Add(vigil.DeliveryLease + 10*time.Second) }
				r.tokens.now = c.Now
			})
			r.until("settled", func() bool {
				c, err := r.db.Command(r.ctx, s.ID, "extend-0001")
				return err == nil && c.LMS.State == row.state
			})
			if got := len(platform.requests()); got != row.tries {
				t.Fatalf("requests: got %d, want %d", got, row.tries)
			}
		})
	}
}

func TestAnAnswerThatCannotBeStoredIsStoredLater(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	r.store.set("UpdateCommand", errDown)
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
		ID: "extend-0001", Kind: vigil.CommandExtend, Seconds: 60, Targets: []string{s.ID},
	})
	r.ok(err)
	r.until("tried", func() bool { return r.store.calls("UpdateCommand") > 2 })
	r.store.set("UpdateCommand", nil)
	r.until("accepted", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, "extend-0001")
		return err == nil && c.LMS.State == vigil.LMSAccepted
	})
	if g := r.read(s.ID); len(platform.requests()) != 1 || len(g.Grants) != 1 || g.Grants[0].State != vigil.GrantConfirmed {
		t.Fatalf("got %d requests and grants %+v, want one of each", len(platform.requests()), g.Grants)
	}
}

func TestTheFirstFinalAnswerStands(t *testing.T) {
	t.Parallel()
	r := newRig(t) // no controller: the test answers
	s := r.session(controlled)
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
		ID: "pause-00001", Kind: vigil.CommandPause, Targets: []string{s.ID},
	})
	r.ok(err)
	d := vigil.Delivery{SessionID: s.ID, CommandID: "pause-00001", Action: vigil.ActionPause}
	for _, state := range []vigil.LMSState{vigil.LMSWaiting, vigil.LMSAccepted, vigil.LMSFailed} {
		r.ok(r.hub.Sessions().Answered(r.ctx, d, vigil.LMSAnswer{State: state, At: time.Now()}))
	}
	c, err := r.db.Command(r.ctx, s.ID, "pause-00001")
	r.ok(err)
	if c.LMS.State != vigil.LMSAccepted {
		t.Fatalf("answer: got %s, want accepted", c.LMS.State)
	}
	d.CommandID = "erased-0001"
	r.ok(r.hub.Sessions().Answered(r.ctx, d, vigil.LMSAnswer{State: vigil.LMSAccepted})) // nobody is left to tell
}

func TestAPlatformThatIsAwayIsAskedAgain(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	n, shown := 0, make(chan struct{})
	platform.answers(func(vigil.Delivery) vigil.Result {
		if n++; n == 1 {
			return vigil.Result{State: vigil.LMSFailed, Problem: "The platform cannot be reached.", Retry: true}
		}
		select {
		case <-shown:
		case <-t.Context().Done(): // the test has failed
		}
		return vigil.Result{State: vigil.LMSAccepted}
	})
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	p := r.proctor()
	id, _ := p.Command(protocol.CommandUp{Kind: vigil.CommandPause, Targets: []string{s.ID}})
	r.until("waiting", func() bool {
		l := p.Progress(id, s.ID).LMS
		return l != nil && l.State == vigil.LMSWaiting && l.Problem != ""
	})
	close(shown)
	r.until("accepted", func() bool { l := p.Progress(id, s.ID).LMS; return l != nil && l.State == vigil.LMSAccepted })
}

func TestTheReportedEndMovesTheStudentsClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	st := r.student(s)
	end := s.End.Add(10 * time.Minute)
	_, err := r.hub.Sessions().ReportEnd(r.ctx, s.ID, vigil.Report{Version: 1, End: end, At: time.Now()})
	r.ok(err)
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool { e, _ := c.Clock(); return e == end.UnixMilli() }))
	v := r.read(s.ID).Version
	for range 3 {
		_, err = r.hub.Sessions().ReportEnd(r.ctx, s.ID, vigil.Report{Version: 1, End: end, At: time.Now()})
		r.ok(err)
	}
	if got := r.read(s.ID).Version; got != v {
		t.Fatalf("version after reports without news: got %d, want %d", got, v)
	}
}

func TestApplyAndSessionCreatedShowAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.proctor()
	s := r.session(func(s *vigil.Session) { s.State = vigil.StateCreated })
	r.hub.SessionCreated(r.ctx, s)
	r.until("row", func() bool { row := p.Row(s.ID); return row.Who != nil && row.Life.State == vigil.StateCreated })
	_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventConsent})
	r.ok(err)
	var wg sync.WaitGroup
	oks := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventActivate})
			oks <- err
		})
	}
	wg.Wait()
	n := 0
	for range 8 {
		switch err := <-oks; vigil.CodeOf(err) {
		case "":
			n++
		case vigil.CodeIllegal:
		default:
			t.Errorf("apply: %v", err)
		}
	}
	if n != 1 {
		t.Fatalf("activations: got %d, want 1", n)
	}
	r.until("active", func() bool { return p.Row(s.ID).Life.State == vigil.StateActive })
}

func TestAnExpiredSessionEndsWhileItsStudentIsConnected(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ahead := time.Duration(0)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	r := newRig(t, func(c *realtime.Config) { c.Now = now })
	r.tokens.now = now
	r.tokens.life = 10 * time.Hour
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	mu.Lock()
	ahead = 2 * time.Hour
	mu.Unlock()
	<-st.Done()
	if err := st.Err(); !stoppedWith(err, 4000) {
		t.Fatalf("end: got %v, want 4000", err)
	}
	r.until("expired", func() bool { return p.Row(s.ID).Life.State == vigil.StateExpired })
	if got := r.read(s.ID).State; got != vigil.StateExpired {
		t.Fatalf("stored: got %s, want expired", got)
	}
}

func TestProctorsTalkWithAStudent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p, q := r.proctor(), r.proctor()
	var lowered atomic.Int32
	st := r.student(s, func(c *client.Config) {
		c.OnFrame = func(ty protocol.Type, _ json.RawMessage) {
			if ty == protocol.TypeHand {
				lowered.Add(1)
			}
		}
	})
	id, _ := p.Chat(s.ID, "All well?")
	r.ok(st.Wait(r.ctx, func(c *client.Student) bool {
		l := c.Lines()
		return len(l) == 1 && l[0].ID == id && l[0].From == vigil.RoleProctor && l[0].Name == "Teacher"
	}))
	for _, x := range []*client.Proctor{p, q} {
		r.until("the other proctors", func() bool { l := x.Lines(); return len(l) == 1 && l[0].ID == id && l[0].Session == s.ID })
	}
	st.Hand(true)
	r.until("hand", func() bool { row := q.Row(s.ID); return row.Tally != nil && row.Tally.Hand > 0 })
	r.until("hand stored", func() bool { return !r.read(s.ID).Tally.Hand.IsZero() })
	st.Hand(false)
	r.until("hand down", func() bool { return q.Row(s.ID).Tally.Hand == 0 })
	r.until("hand down, stored", func() bool { return r.read(s.ID).Tally.Hand.IsZero() })
	// A proctor lowers it: the student hears of that, and of nothing when it was down.
	p.Seen(s.ID)
	p.Chat(s.ID, "Seen.")
	r.until("the line, and so what was sent before it", func() bool { return len(st.Lines()) == 2 })
	st.Hand(true)
	r.until("hand stored again", func() bool { return !r.read(s.ID).Tally.Hand.IsZero() })
	if n := lowered.Load(); n != 0 {
		t.Errorf("told of a hand that was down or lowered by the student: %d times", n)
	}
	q.Seen(s.ID)
	r.until("the student to be told", func() bool { return lowered.Load() == 1 })
	r.until("hand down by the proctor", func() bool { return p.Row(s.ID).Tally.Hand == 0 })
	// Sent again, a line changes nothing.
	w := r.wire(studentClaims(r.session()))
	w.write(hello)
	for range 2 {
		w.write(`{"t":"chat","id":"same-line","text":"x"}`)
		var a protocol.Ack
		w.next(protocol.TypeAck, &a)
		if a.ID != "same-line" {
			t.Fatalf("ack: got %+v, want same-line", a)
		}
	}
	if n := len(p.Lines()); n > 3 {
		t.Fatalf("lines: got %d, want 3", n)
	}
}
