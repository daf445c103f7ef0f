package realtime_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

func TestSignalsReachProctorsAtOnceAndAreAcknowledgedWhenStored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })

	r.store.set("AppendSignals", errDown)
	st.Signal(vigil.KindHidden, 20*time.Second, nil)
	shown := func() bool {
		for _, d := range p.Signals() {
			if d.Kind == vigil.KindHidden && d.Incident && d.Severity == 0.3 {
				return true
			}
		}
		return false
	}
	r.until("shown", shown)
	if got := st.Counts().Acked; got != 0 {
		t.Fatalf("acknowledged before it was stored: got %d, want 0", got)
	}
	r.store.set("AppendSignals", nil)
	r.ok(st.Settled(r.ctx))
	if got := r.kinds(s.ID)[vigil.KindHidden]; got != 1 {
		t.Fatalf("stored: got %d, want 1", got)
	}
	r.until("counts", func() bool {
		row := p.Row(s.ID)
		return row.Tally != nil && row.Tally.Incidents == 1 && row.Tally.Open == 1 && row.Tally.LastKind == vigil.KindHidden
	})
}

func TestOfflineSignalsArriveOnceWithTheirOwnTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	st := r.student(s)
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	r.server.CloseClientConnections()
	st.Cut()
	for range 50 {
		st.SignalAt(at, vigil.KindCopy, 0, json.RawMessage(`{"length":3}`))
	}
	r.ok(st.Settled(r.ctx))
	st.Cut()
	r.until("back", func() bool { return st.Connects() >= 3 })
	n := 0
	for _, g := range r.stored(s.ID) {
		if g.Kind == vigil.KindCopy {
			n++
			if !g.At.Equal(at) {
				t.Fatalf("time: got %v, want %v", g.At, at)
			}
		}
	}
	if n != 50 {
		t.Fatalf("stored: got %d, want 50", n)
	}
}

func TestStoreAwayTellsStudentsAndLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	notices := make(chan protocol.Notice, 16)
	st := r.student(s, func(c *client.Config) {
		c.OnFrame = func(ty protocol.Type, f json.RawMessage) {
			var n protocol.Notice
			if ty == protocol.TypeNotice && json.Unmarshal(f, &n) == nil {
				notices <- n
			}
		}
	})
	r.until("quiet", func() bool { return r.hub.Stats().Waiting == 0 && r.hub.Stats().SignalsStored > 0 })
	r.store.set("AppendSignals", errDown)
	for range 30 {
		st.Signal(vigil.KindCut, 0, nil)
	}
	if n := <-notices; n.Kind != protocol.NoticeSaving || n.Over {
		t.Fatalf("notice: got %+v, want saving_later", n)
	}
	r.store.set("AppendSignals", nil)
	if n := <-notices; n.Kind != protocol.NoticeSaving || !n.Over {
		t.Fatalf("notice: got %+v, want saving_later over", n)
	}
	r.ok(st.Settled(r.ctx))
	if got := r.kinds(s.ID)[vigil.KindCut]; got != 30 {
		t.Fatalf("stored: got %d, want 30", got)
	}
	if len(notices) != 0 {
		t.Fatalf("more notices than one each: %+v", <-notices)
	}
}

func TestAFullQueueRefusesAndTheClientSendsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Limits.Signals = 8; c.Limits.Batch = 2 })
	s := r.session()
	st := r.student(s)
	r.store.set("AppendSignals", errDown)
	for range 20 {
		st.Signal(vigil.KindCut, 0, nil)
	}
	r.until("refused", func() bool { return r.hub.Stats().SignalsRefused > 0 })
	r.store.set("AppendSignals", nil)
	st.Cut() // the resend after a welcome comes before the error's wait is over
	r.ok(st.Settled(r.ctx))
	if got := r.kinds(s.ID)[vigil.KindCut]; got != 20 {
		t.Fatalf("stored: got %d, want 20", got)
	}
}

func TestTwentyPageTurnsAreNeverLostAndNoIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Liveness = calm })
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	for i := range 20 {
		st.Signal(vigil.KindPageTurned, 0, json.RawMessage(`{"page":2}`))
		st.Turn(i + 2)
		r.ok(st.Wait(r.ctx, func(c *client.Student) bool { return c.Connects() == i+2 }))
	}
	r.ok(st.Settled(r.ctx))
	r.until("page", func() bool { row := p.Row(s.ID); return row.Conn != nil && row.Conn.Page == 21 })
	time.Sleep(calm.NavigateGrace + calm.DropGrace) // what must not happen has had its time
	if got := r.gaps(s.ID); len(got) != 0 {
		t.Fatalf("gaps: got %v, want none", got)
	}
	k := r.kinds(s.ID)
	if k[vigil.KindLost] != 0 || k[vigil.KindReconnected] != 0 || k[vigil.KindSecondSession] != 0 || k[vigil.KindConnected] != 1 {
		t.Fatalf("server's signals: got %v, want connected once and nothing else", k)
	}
	for _, d := range p.Signals() {
		if d.Incident {
			t.Fatalf("incident: %+v", d)
		}
	}
}

func TestADropIsDegradedThenLostAndComesBackWithAGap(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	hold := make(chan struct{})
	st := r.student(s, held(r, hold))
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	cut := time.Now()
	st.Cut()
	r.until("degraded", func() bool { return p.Connection(s.ID) == vigil.ConnDegraded })
	r.until("lost", func() bool { return p.Connection(s.ID) == vigil.ConnLost })
	if d := time.Since(cut); d < quick.DropGrace {
		t.Fatalf("lost after %v, want at least %v", d, quick.DropGrace)
	}
	r.until("gap", func() bool { return len(p.Gaps(s.ID)) == 1 })
	close(hold)
	r.until("online", func() bool { return p.Connection(s.ID) == vigil.ConnOnline })
	r.until("closed gap", func() bool { g := p.Gaps(s.ID); return len(g) == 1 && g[0].End > 0 })
	g := r.gaps(s.ID)
	if len(g) != 1 || g[0].Cause != vigil.CauseStudent || g[0].End.IsZero() || g[0].Proposed <= 0 || g[0].Decision != vigil.GapUndecided {
		t.Fatalf("gap: got %+v, want one of the student's, ended, with a proposal and no decision", g)
	}
	r.until("sums", func() bool { l := p.Row(s.ID).Lost; return l != nil && l.Gaps == 1 && l.Proposed > 0 })
	r.until("signals", func() bool { k := r.kinds(s.ID); return k[vigil.KindLost] == 1 && k[vigil.KindReconnected] == 1 })
	if got := r.read(s.ID).Presence; got.Connection != vigil.ConnOnline {
		t.Fatalf("stored presence: got %+v, want online", got)
	}
}

func TestAWelcomeFitsIntoAMessageAndLeavesNoCommandOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	text := strings.Repeat("<", vigil.MaxNote)
	for i := range 30 {
		r.ok(r.db.AddChat(r.ctx, vigil.ChatLine{
			ID: fmt.Sprintf("line-%04d", i), SessionID: s.ID, ExamID: s.ExamID, From: vigil.Actor{Role: vigil.RoleProctor}, Text: text, At: time.Now(),
		}))
		_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor}, vigil.FullAccess, protocol.CommandUp{
			ID: fmt.Sprintf("message-%04d", i), Kind: vigil.CommandMessage, Text: text, Targets: []string{s.ID},
		})
		r.ok(err)
	}
	var mu sync.Mutex
	size := 0
	st := r.student(s, func(c *client.Config) {
		c.OnFrame = func(ty protocol.Type, f json.RawMessage) {
			mu.Lock()
			defer mu.Unlock()
			if ty == protocol.TypeWelcome {
				size = len(f)
			}
		}
	})
	r.until("all commands", func() bool { return len(st.Commands()) == 30 })
	mu.Lock()
	defer mu.Unlock()
	if size > protocol.MaxMessage || len(st.Welcome().Chat) == 0 {
		t.Fatalf("welcome: got %d bytes with %d lines, want at most %d with some", size, len(st.Welcome().Chat), protocol.MaxMessage)
	}
}
