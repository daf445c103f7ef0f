package sim

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/realtime"
)

// server is one process of Vigil, from its start to its end.
type server struct {
	world  *world
	name   string // of the machine
	id     string // of the process
	skew   time.Duration
	hub    *realtime.Hub
	http   *http.Server
	accept chan net.Conn
	down   chan struct{} // closed when it takes no connections any more

	ready atomic.Bool // takes connections
	dead  atomic.Bool // was killed: nothing of it reaches anybody
	cut   atomic.Bool // from the relay
	ended atomic.Bool // nothing of it is left
}

// boot starts a process on a machine.
func (w *world) boot(name string, skew time.Duration) {
	w.mu.Lock()
	w.boots++
	n := &server{
		world: w, name: name, id: name + "-" + letters(w.boots), skew: skew, accept: make(chan net.Conn), down: make(chan struct{}),
	}
	w.mu.Unlock()
	// Timers of the same moment fire in any order in a bubble: so no two of them are of the same
	// moment, and a seed plays the same run each time.
	odd := time.Duration(w.boots) * 7919
	apart := func(d time.Duration) time.Duration {
		odd += 1_000_003
		return d + odd
	}
	liveness := vigil.DefaultLiveness()
	liveness.PingEvery = apart(liveness.PingEvery)
	if w.off == NothingStays {
		liveness.PingEvery = 5 * time.Minute
	}
	hub, err := realtime.New(realtime.Config{
		Liveness: liveness, PulseEvery: apart(5 * time.Second), RowsEvery: apart(250 * time.Millisecond), RelayEvery: apart(time.Second),
		RefreshEvery: apart(5 * time.Second), NodeEvery: apart(2 * time.Second), QueueEvery: apart(time.Second), DueEvery: apart(5 * time.Second),
		Store: &store{Store: w.db, bus: w.bus, node: n}, Verifier: w.tokens, Signer: w.tokens, Controller: controller{n}, Pages: w.pages,
		Relay: &relayEnd{all: w.relays, node: n}, Origin: origin, Node: n.id, Host: name, Shared: true,
		Now: func() time.Time { return time.Now().Add(n.skew) }, Rand: w.dicer(n.id), NewID: w.namer(n.id),
		Address: func(*http.Request) string { return "192.0.2.1" }, Log: w.log.With("at", name),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.hub = hub
	n.http = &http.Server{Handler: hub, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	w.spawn(func() {
		for hub.Recover(w.ctx) != nil {
			if n.dead.Load() || w.ctx.Err() != nil {
				return
			}
			time.Sleep(time.Second)
		}
		n.ready.Store(true)
		_ = n.http.Serve(doors{n}) // ends with the doors
	})
}

// kill ends a process at once, as the machine's end does.
func (n *server) kill() {
	n.dead.Store(true)
	n.end()
}

// drain ends a process in order, as a restart does.
func (n *server) drain() {
	n.ready.Store(false)
	ctx, cancel := context.WithTimeout(n.world.ctx, 17*time.Second)
	defer cancel()
	_ = n.hub.Drain(ctx) // what it could not do comes again from the clients
	n.end()
}

func (n *server) end() {
	n.ready.Store(false)
	if n.ended.Swap(true) {
		return
	}
	close(n.down)
	_ = n.http.Close()
	n.hub.Close()
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	for i, o := range n.world.nodes {
		if o == n {
			n.world.nodes = append(n.world.nodes[:i:i], n.world.nodes[i+1:]...)
			return
		}
	}
}

// controller is a server's way to the platform.
type controller struct{ node *server }

// Control implements realtime.Controller.
func (c controller) Control(ctx context.Context, s vigil.Session, d vigil.Delivery) vigil.Result {
	w := c.node.world
	way, err := w.bus.pass(ctx, toLMS, c.node.id+" "+d.Action+" "+d.ID, nil)
	if err != nil || way == fails || c.node.dead.Load() {
		return vigil.Result{State: vigil.LMSFailed, Problem: "The learning platform could not be asked.", Retry: true}
	}
	answer, err := w.lms.Apply(ltitest.Control{
		ClientID: clientID, UserID: s.UserID, LinkID: linkID, Attempt: s.Attempt, Action: d.Action, Extra: d.ExtraMinutes,
		Time: d.IncidentTime.Format(time.RFC3339Nano), Message: d.Reason, Request: d.ID, Applied: true,
	})
	if err != nil {
		return vigil.Result{State: vigil.LMSRefused, Problem: err.Error()}
	}
	way, err = w.bus.pass(ctx, toLMS, c.node.id+" hears of "+d.ID, nil)
	if err != nil || way != passes || c.node.dead.Load() {
		return vigil.Result{State: vigil.LMSUnknown, Problem: "The learning platform did not answer.", Retry: true}
	}
	return vigil.Result{State: vigil.LMSAccepted, Status: string(answer.Status), Applied: answer.Verdict.Applied, Reason: answer.Verdict.Reason}
}
