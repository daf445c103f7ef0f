package realtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

func TestASnapshotComesInPagesThatFitAndNamesEveryRow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 450
	ids := map[string]bool{}
	for i := range n {
		ids[r.session(func(s *vigil.Session) { s.Name = strings.Repeat("N", 150); s.Attempt = i%3 + 1 }).ID] = true
	}
	w := r.wire(r.proctorClaims())
	w.write(`{"t":"subscribe"}`)
	got, page, number := map[string]bool{}, 0, int64(0)
	for {
		var s protocol.Snapshot
		w.next(protocol.TypeSnapshot, &s)
		page++
		if number == 0 {
			number = s.Number
		}
		if s.Page != page || s.Number != number {
			t.Fatalf("page: got %d of %d, want %d of %d", s.Page, s.Number, page, number)
		}
		if b, _ := json.Marshal(s); len(b) > protocol.MaxMessage {
			t.Fatalf("a page has %d bytes, want at most %d", len(b), protocol.MaxMessage)
		}
		for _, row := range s.Rows {
			if row.Who == nil || row.Life == nil || row.Conn == nil || row.Tally == nil || got[row.ID] {
				t.Fatalf("row: got %+v, want all groups, once", row)
			}
			got[row.ID] = true
		}
		if s.Last {
			break
		}
	}
	if len(got) != n {
		t.Fatalf("rows: got %d, want %d", len(got), n)
	}
}

func TestASnapshotShowsWhatTheStoreDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	platform := &lms{}
	platform.answers(func(vigil.Delivery) vigil.Result {
		return vigil.Result{State: vigil.LMSRefused, Status: "running", Problem: "No."}
	})
	r := newRig(t, func(c *realtime.Config) { c.Controller = platform })
	s := r.session(controlled)
	r.store.set("SetPresence", errDown)
	r.student(s, func(c *client.Config) { c.Page = 3 })
	_, err := r.hub.Sessions().Command(r.ctx, r.exam.ID, vigil.Actor{Role: vigil.RoleProctor, Name: "Other"}, vigil.FullAccess, protocol.CommandUp{
		ID: "pause-00001", Kind: vigil.CommandPause, Targets: []string{s.ID},
	})
	r.ok(err)
	r.until("refused", func() bool {
		c, err := r.db.Command(r.ctx, s.ID, "pause-00001")
		return err == nil && c.LMS.State == vigil.LMSRefused
	})
	p := r.proctor()
	row := p.Row(s.ID)
	if row.Conn.Conn != vigil.ConnOnline || row.Conn.Page != 3 {
		t.Fatalf("connection: got %+v, want online on page 3", row.Conn)
	}
	if g := p.Progress("pause-00001", s.ID); g.LMS == nil || g.LMS.State != vigil.LMSRefused || g.By != "Other" {
		t.Fatalf("open answers: got %+v, want the refused pause", g)
	}
	r.store.set("SetPresence", nil)
}

func TestSignalsAreFilteredAsSubscribed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	all := r.proctor()
	incidents := r.proctor(func(c *client.Config) { c.Signals = "incidents" })
	none := r.proctor(func(c *client.Config) { c.Signals = "none" })
	st := r.student(s)
	st.Signal(vigil.KindCopy, 0, nil)
	st.Signal(vigil.KindPrint, 0, nil)
	count := func(p *client.Proctor) map[vigil.Kind]int {
		out := map[vigil.Kind]int{}
		for _, d := range p.Signals() {
			out[d.Kind]++
		}
		return out
	}
	r.until("counts everywhere", func() bool {
		for _, p := range []*client.Proctor{all, incidents, none} {
			if row := p.Row(s.ID); row.Tally == nil || row.Tally.Incidents != 1 {
				return false
			}
		}
		return true
	})
	if g := count(all); g[vigil.KindCopy] != 1 || g[vigil.KindPrint] != 1 {
		t.Errorf("all: got %v", g)
	}
	if g := count(incidents); len(g) != 1 || g[vigil.KindPrint] != 1 {
		t.Errorf("incidents: got %v, want the print only", g)
	}
	if g := count(none); len(g) != 0 {
		t.Errorf("none: got %v", g)
	}
}

func TestThePulseBeats(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.student(r.session())
	w := r.wire(r.proctorClaims())
	w.write(`{"t":"subscribe"}`)
	for {
		var p protocol.Pulse
		w.next(protocol.TypePulse, &p)
		if p.Now > 0 {
			return
		}
	}
}

// throttled is a connection whose reads can be held, with a small receive buffer.
type throttled struct {
	net.Conn
	mu   *sync.RWMutex
	once *sync.Once
}

func (c *throttled) Read(b []byte) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.Conn.Read(b)
}

func slowClient(mu *sync.RWMutex) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			_ = c.(*net.TCPConn).SetReadBuffer(64 << 10) // much less, and what is buffered takes minutes to read
			return &throttled{Conn: c, mu: mu, once: new(sync.Once)}, nil
		},
	}}
}

// flood tells the proctors of large new rows until enough says so: the system's buffers
// take megabytes before a write waits. Those in step get no more than they can take.
func (r *rig) flood(enough func() bool, inStep ...*client.Proctor) {
	r.Helper()
	s := vigil.Session{ExamID: r.exam.ID, State: vigil.StateCreated, Name: strings.Repeat("n", 16<<10)}
	end := time.Now().Add(testutil.Patience)
	for i := 0; !enough(); i++ {
		if time.Now().After(end) {
			r.Fatal("flooded in vain")
		}
		s.ID = fmt.Sprintf("flood-%d", i)
		r.hub.SessionCreated(r.ctx, s)
		if i%8 == 7 {
			for _, p := range inStep {
				r.until("those in step to have the row", func() bool { return p.Row(s.ID).ID != "" })
			}
		}
		if i%64 == 63 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestASlowProctorFallsBehindAndGetsAFreshSnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.Limits.Queue, c.Limits.QueueBytes = 64, 256<<10
		c.Liveness, c.WriteWait = vigil.DefaultLiveness(), testutil.Patience // it is slow, not closed
	})
	var sessions []vigil.Session
	for range 40 {
		sessions = append(sessions, r.session())
	}
	var gate sync.RWMutex
	var mu sync.Mutex
	var notices []protocol.Notice
	slow := r.proctor(func(c *client.Config) {
		c.HTTPClient = slowClient(&gate)
		c.OnFrame = func(ty protocol.Type, f json.RawMessage) {
			var n protocol.Notice
			if ty == protocol.TypeNotice && json.Unmarshal(f, &n) == nil {
				mu.Lock()
				notices = append(notices, n)
				mu.Unlock()
			}
		}
	})
	fast := r.proctor()
	gate.Lock() // the slow one reads nothing from here on
	r.flood(func() bool { return r.hub.Stats().Behind > 0 }, fast)
	_, err := r.hub.Sessions().Apply(r.ctx, sessions[0].ID, vigil.Change{Event: vigil.EventPause})
	r.ok(err)
	r.until("the fast one is not held up", func() bool { return fast.Row(sessions[0].ID).Life.State == vigil.StatePaused })
	before := slow.Snapshots()
	gate.Unlock()
	r.until("fresh snapshot", func() bool { return slow.Snapshots() > before })
	r.until("caught up", func() bool { return slow.Row(sessions[0].ID).Life.State == vigil.StatePaused })
	r.until("notices", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := len(notices)
		return n >= 2 && notices[0].Kind == protocol.NoticeBehind && !notices[0].Over && notices[n-1].Over
	})
	if slow.Connects() != 1 {
		t.Fatalf("connections of the slow one: got %d, want 1", slow.Connects())
	}
	if s := r.hub.Stats(); s.FramesDropped == 0 || s.FramesCoalesced == 0 && s.FramesDropped == 0 {
		t.Fatalf("stats: got %+v, want drops counted", s)
	}
}

func TestAProctorWhoReadsNothingIsClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.Limits.Queue, c.Limits.QueueBytes = 64, 256<<10
		c.WriteWait = 300 * time.Millisecond
	})
	var gate sync.RWMutex
	r.proctor(func(c *client.Config) { c.HTTPClient = slowClient(&gate) })
	gate.Lock()
	defer gate.Unlock()
	r.flood(func() bool { return r.hub.Stats().Closed[protocol.CloseSlow] > 0 })
	r.until("gone", func() bool { return r.hub.Stats().Proctors == 0 })
}

func TestAFloodingStudentHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bad, good := r.session(), r.session()
	p := r.proctor()
	w := r.wire(studentClaims(bad))
	w.write(hello)
	st := r.student(good)
	var b strings.Builder
	b.WriteByte('[')
	for i := range 200 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"t":"dance"}`)
	}
	b.WriteByte(']')
	go func() {
		for range 200 {
			if w.ws.Write(r.ctx, websocket.MessageText, []byte(b.String())) != nil {
				return
			}
		}
	}()
	st.Signal(vigil.KindPrint, 0, nil)
	r.ok(st.Settled(r.ctx))
	r.until("shown", func() bool { row := p.Row(good.ID); return row.Tally != nil && row.Tally.Incidents == 1 })
	r.until("limited", func() bool { return r.hub.Stats().RateRefused > 0 })
}

func TestAProctorSeesNewSessionsOfADeltaWithinASnapshot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 20 {
		r.session()
	}
	p := r.proctor()
	for range 20 {
		p.Subscribe("all")
		s := r.session()
		r.hub.SessionCreated(r.ctx, s)
		r.until("row", func() bool { return p.Row(s.ID).Who != nil })
	}
	time.Sleep(50 * time.Millisecond)
	if got := len(p.Rows()); got != 40 {
		t.Fatalf("rows: got %d, want 40", got)
	}
}

func TestReviewsMoveTheCountOfOpenIncidents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	p := r.proctor()
	st := r.student(s)
	st.Signal(vigil.KindPrint, 0, nil)
	r.ok(st.Settled(r.ctx))
	list, _, err := r.db.IncidentsOfSession(r.ctx, s.ID, vigil.Page{})
	r.ok(err)
	i, err := list[0].Decide(vigil.ReviewCleared, vigil.Actor{Role: vigil.RoleProctor}, "", time.Now())
	r.ok(err)
	r.ok(r.db.UpdateIncident(r.ctx, i))
	r.hub.ReviewChanged(r.ctx, s.ID)
	r.until("cleared", func() bool {
		row := p.Row(s.ID)
		return row.Tally != nil && row.Tally.Incidents == 1 && row.Tally.Open == 0
	})
}

func TestADashboardWhoseSnapshotFailsGetsAnother(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	r.store.failNext("SessionsOfExam", errDown)
	p := r.proctor() // which waits for a whole one
	if l := p.Row(s.ID).Life; l == nil || l.State != vigil.StateActive {
		t.Errorf("got %+v, want the attempt", l)
	}
	if errs := p.Errors(); len(errs) != 1 || errs[0].Duty != protocol.DutyRetry {
		t.Errorf("got errors %+v, want the first try's", errs)
	}
}

// A snapshot is read, then another server's words come, and then the snapshot's page is sent.
func TestASnapshotDoesNotTakeBackWhatWasToldWhileItWasMade(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(*realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Liveness = bus.Node(), true, node, time.Minute, calm
		}
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	s := r.session()
	st := r.student(s)
	lost := func(id string) {
		r.ok(r.db.CreateGap(r.ctx, vigil.Gap{ID: id, SessionID: s.ID, ExamID: s.ExamID, Start: time.Now().Add(-time.Minute), End: time.Now(), Cause: vigil.CauseStudent}))
	}
	lost("a-gap-that-was-told-before")
	p := second.proctor()
	r.until("shown", func() bool {
		row := p.Row(s.ID)
		return row.Tally != nil && row.Tally.Signals == r.read(s.ID).Tally.Signals && row.Tally.Signals > 0
	})
	reading := second.store.keepNext()
	whole := p.Snapshots()
	p.Subscribe("all")
	<-reading.entered
	st.Hand(true)
	lost("a-gap-that-ended-meanwhile")
	r.hub.TellLost(r.ctx, s.ExamID, s.ID)
	r.until("told", func() bool { row := p.Row(s.ID); return row.Tally.Hand != 0 && row.Lost != nil && row.Lost.Gaps == 2 })
	close(reading.release)
	r.until("a whole snapshot", func() bool { return p.Snapshots() > whole })
	if row := p.Row(s.ID); row.Tally.Hand == 0 || row.Lost == nil || row.Lost.Gaps != 2 {
		t.Errorf("got counts %+v and lost time %+v, want what was told", row.Tally, row.Lost)
	}
}
