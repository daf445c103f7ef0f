package realtime_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/relaytest"
)

// refuses dials a server that cannot serve, which says so.
func (r *rig) refuses(s vigil.Session) {
	r.Helper()
	_, resp, err := websocket.Dial(r.ctx, r.url(), &websocket.DialOptions{
		Subprotocols: []string{protocol.Subprotocol, protocol.TokenSubprotocol + r.mint(studentClaims(s))},
		HTTPHeader:   http.Header{"Origin": {r.server.URL}},
	})
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		r.Fatalf("got %v, %v, want a refusal", resp, err)
	}
	_ = resp.Body.Close()
}

// jump is a clock that several servers share.
type jump struct{ by atomic.Int64 }

func (j *jump) now() time.Time { return time.Now().Add(time.Duration(j.by.Load())) }

// awayByUs is a student who was lost by our fault, which explains it until now.
func (r *rig) awayByUs(j *jump) vigil.Session {
	r.Helper()
	now := j.now().UTC().Truncate(time.Millisecond)
	s := r.session(proctored, func(s *vigil.Session) {
		s.Started = now.Add(-time.Hour)
		s.Presence = vigil.Presence{
			Connection: vigil.ConnLost, Cause: vigil.CauseServer, Since: now.Add(-30 * time.Second), Heard: now.Add(-40 * time.Second), Epoch: 1, Node: "gone",
		}
	})
	r.ok(r.db.CreateGap(r.ctx, vigil.Gap{
		ID: "gap-of-the-server", SessionID: s.ID, ExamID: r.exam.ID, Start: now.Add(-40 * time.Second), Until: now, Cause: vigil.CauseServer,
	}))
	return s
}

func (r *rig) blamed(s vigil.Session) (d time.Duration) {
	r.Helper()
	for _, g := range r.gaps(s.ID) {
		if g.Cause == vigil.CauseStudent {
			d += g.End.Sub(g.Start)
		}
	}
	return d
}

func (r *rig) ended(s vigil.Session) bool {
	g := r.gaps(s.ID)
	return len(g) > 0 && !g[0].End.IsZero()
}

func TestWhoWasRefusedByOneServerIsNotBlamedWhenBackOnAnother(t *testing.T) {
	t.Parallel()
	var clock jump
	jumping := func(c *realtime.Config) { c.Now, c.Liveness = clock.now, calm }
	r := newRig(t, silent("one"), jumping)
	second := r.another(silent("two"), jumping)
	refused, idle := r.awayByUs(&clock), r.awayByUs(&clock)
	r.store.set("", errDown)
	r.refuses(refused)
	clock.by.Store(int64(20 * time.Second))
	second.comes(refused)
	second.comes(idle)
	r.until("ended, and judged without knowing", func() bool {
		return r.ended(refused) && r.ended(idle) && r.read(refused.ID).Tally.Open == 1 && r.read(idle.ID).Tally.Open == 1
	})
	r.store.set("", nil)
	r.until("corrected", func() bool { return r.blamed(refused) == 0 && r.read(refused.ID).Tally.Open == 0 })
	if got := r.blamed(idle); got < 15*time.Second || r.read(idle.ID).Tally.Open != 1 {
		t.Errorf("who did not try: got %v and %d open incidents, want 20 s of their own, and one", got, r.read(idle.ID).Tally.Open)
	}
	r.until("given back", func() bool {
		for _, g := range r.gaps(refused.ID) {
			if g.Decision != vigil.GapGranted {
				return false
			}
		}
		return true
	})
}

func TestARefusalIsKnownElsewhereThoughItsServerNeverReachesTheStoreAgain(t *testing.T) {
	t.Parallel()
	var clock jump
	bus := relaytest.NewLocal(0)
	shared := func(node string) func(c *realtime.Config) {
		return func(c *realtime.Config) {
			c.Relay, c.Shared, c.Node, c.NodeLease, c.Now, c.Liveness = bus.Node(), true, node, time.Minute, clock.now, calm
		}
	}
	r := newRig(t, shared("one"))
	second := r.another(shared("two"))
	r.comes(r.session()) // the exam has students on both
	second.comes(r.session())
	s := r.awayByUs(&clock)
	r.store.set("", errDown)
	r.refuses(s)
	r.until("told", func() bool { return second.hub.Turned(s.ID) == 1 })
	clock.by.Store(int64(20 * time.Second))
	second.comes(s)
	r.until("ended", func() bool { return r.ended(s) && r.blamed(s) == 0 })
	if got := r.read(s.ID).Tally.Incidents; got != 0 {
		t.Errorf("got %d incidents, want none", got)
	}
	r.store.set("", nil)
}

func TestARefusalIsStoredBeforeItsServerEnds(t *testing.T) {
	t.Parallel()
	var clock jump
	r := newRig(t, silent("one"), func(c *realtime.Config) { c.Now, c.Liveness, c.NodeEvery = clock.now, calm, time.Hour })
	second := r.another(silent("two"), func(c *realtime.Config) { c.Now, c.Liveness = clock.now, calm })
	s := r.awayByUs(&clock)
	r.store.failNext("NextEpoch", errDown)
	r.refuses(s)
	r.comes(r.session()) // it can store again
	r.ok(r.hub.Drain(r.ctx))
	clock.by.Store(int64(20 * time.Second))
	second.comes(s)
	r.until("ended", func() bool { return r.ended(s) })
	r.until("not blamed", func() bool { return r.blamed(s) == 0 })
}
