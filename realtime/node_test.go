package realtime_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/relay/relaytest"
)

func TestOfManySurvivorsExactlyOneTakesOver(t *testing.T) {
	t.Parallel()
	bus := relaytest.NewLocal(0)
	shared := func(c *realtime.Config) {
		c.Relay, c.Shared, c.NodeEvery, c.NodeLease = bus.Node(), true, time.Hour, time.Hour
	}
	r := newRig(t, shared)
	hubs := []*realtime.Hub{r.hub}
	for range 7 {
		other := &rig{TB: t, ctx: r.ctx, db: r.db, store: r.store, tokens: r.tokens, exam: r.exam, path: r.path}
		other.start(shared)
		t.Cleanup(other.stop)
		hubs = append(hubs, other.hub)
	}
	for _, h := range hubs {
		r.ok(h.LookAround(r.ctx))
	}
	for range 20 {
		dead := vigil.Node{ID: name(1), Host: "h", Heard: time.Now().UTC().Truncate(time.Millisecond)}
		r.ok(r.db.RenewNode(r.ctx, dead))
		var claimed atomic.Int32
		var all sync.WaitGroup
		for _, h := range hubs {
			all.Go(func() {
				ok, err := h.Claim(r.ctx, dead)
				if err != nil {
					t.Error(err)
				}
				if ok {
					claimed.Add(1)
				}
			})
		}
		all.Wait()
		if n := claimed.Load(); n != 1 {
			t.Fatalf("got %d that take over, want one", n)
		}
	}
}

func TestANodeIsGoneWhenItsRowWasSeenToStandStill(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
	row := func(heard int) []vigil.Node { return []vigil.Node{{ID: "other", Heard: at(heard)}} }
	var s realtime.Sights
	for i := range 60 { // its clock is an hour behind, and it moves
		if gone := realtime.Look(&s, row(i/2*2-3600), at(i)); len(gone) > 0 {
			t.Fatalf("second %d: got it gone by its clock, want it alive", i)
		}
	}
	realtime.Blind(&s) // the store was away for a minute
	if gone := realtime.Look(&s, row(58-3600), at(120)); len(gone) > 0 {
		t.Fatal("got it gone after a time in which nobody could look")
	}
	if gone := realtime.Look(&s, row(58-3600), at(220)); len(gone) > 0 {
		t.Fatal("got it gone after this machine stood still")
	}
	i := 221
	for ; len(realtime.Look(&s, row(58-3600), at(i))) == 0; i++ {
		if i > 240 {
			t.Fatal("it never was gone")
		}
	}
	if i < 223 {
		t.Errorf("got it gone after %d s of looking, want its lease", i-220)
	}
}
