package realtime

import (
	"hash/maphash"

	"vigil"

	"github.com/google/uuid"

	"vigil/realtime/cluster"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/signals"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// New makes a hub and starts its background work: the writer of signals, the queue to
// the platforms, the node's row. Close ends it. Recover must be called before the first
// socket is served. A bad configuration is CodeInvalid and names the field.
func New(cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Node == "" {
		cfg.Node = uuid.NewString()
	}
	h := &Hub{
		node: node{
			cfg: cfg, log: cfg.Log.With("node", cfg.Node), store: cfg.Store, boot: cfg.Node,
			seed: maphash.MakeSeed(), rowsWake: make(chan struct{}, 1),
		},
		rooms: map[string]*room{}, students: map[string]*student{},
	}
	h.faults = h
	h.receiver = func(r *room) relay.Receiver { return receiver{h, r} }
	_, h.alone = cfg.Relay.(relay.None)
	h.serverSeq.Store(cfg.Now().UnixMilli()) // higher than any before, should a node id come again
	h.tasks = tasks.NewGroup()
	h.ctx = h.tasks.Context()
	h.sockets = socket.New(socket.Env{
		Now: h.now, Log: h.log, Tasks: h.tasks, Signer: cfg.Signer, Rand: cfg.Rand, Liveness: cfg.Liveness, Rates: cfg.Rates, Counters: &h.counters,
		Limits: socket.Limits{
			Sockets: cfg.Limits.Sockets, SocketsPerSession: cfg.Limits.SocketsPerSession,
			Queue: cfg.Limits.Queue, QueueBytes: cfg.Limits.QueueBytes, Jobs: cfg.Limits.Jobs,
		},
		RenewBefore: cfg.RenewBefore, TokenGrace: cfg.TokenGrace, RateGrace: cfg.RateGrace, WriteWait: cfg.WriteWait,
	})
	h.members = cluster.New(cluster.Config{
		Node: h.boot, Host: cfg.Host, Shared: cfg.Shared, Every: cfg.NodeEvery, Lease: cfg.NodeLease, Store: cfg.Store, Tasks: h.tasks, Log: h.log, Now: cfg.Now,
		Draining: h.draining.Load, Drained: func() bool { return h.draining.Load() && h.quietNow.Load() }, Each: h.tellRefused, Noted: h.noteStore,
	}, h)
	h.sessions = session.New(session.Config{
		Store: cfg.Store, Controller: cfg.Controller, Observer: cfg.Observer, Tracer: cfg.Tracer, Node: h.boot, Shared: cfg.Shared, Tasks: h.tasks, Log: h.log, Now: h.now, NewID: cfg.NewID, Liveness: cfg.Liveness,
		Limits: session.Limits{Deliveries: cfg.Limits.Deliveries, Due: cfg.Limits.Due, Commands: cfg.Limits.Commands},
		Drop:   h.drop(), QueueEvery: cfg.QueueEvery, DueEvery: cfg.DueEvery,
		Draining: h.draining.Load, Retry: h.retry, Reread: h.reread, Noted: h.noteStore,
	}, h, h, h)
	h.dashboards = &dashboard.Env{
		Store: cfg.Store, UseCases: h.sessions, Live: h, Now: h.now, Log: h.log, Tasks: h.tasks, Counters: &h.counters, Liveness: cfg.Liveness,
		Allow: cfg.Allow, Noted: h.noteRead, RetryMost: cfg.RetryMost, Proctors: cfg.Limits.ProctorsPerExam, Rows: cfg.Limits.Rows,
	}
	if !h.alone {
		h.dashboards.Send = cfg.Relay.Publish
	}
	h.writer = signals.New(signals.Config{
		Store: cfg.Store, Context: h.ctx, Log: h.log, Now: h.now, Every: cfg.StoreEvery, SaveWait: cfg.SaveWait, RetryFirst: cfg.RetryFirst, RetryMost: cfg.RetryMost,
		Waiting: cfg.Limits.Signals, Batch: cfg.Limits.Batch, Draining: h.draining.Load, Noted: h.noteStore, Saving: h.tellSaving,
	})
	for _, work := range []func(){h.writer.Run, h.rowsLoop, h.accessLoop} {
		h.tasks.Go(work)
	}
	h.members.Run()
	h.sessions.Run()
	if watched, ok := cfg.Relay.(relay.Watched); ok {
		h.tasks.Go(func() { h.watchLoop(watched) })
	}
	return h, nil
}

// Close ends every socket and all background work without ceremony, and waits for it.
// Call Drain first to end in order.
func (h *Hub) Close() {
	h.draining.Store(true)
	h.tasks.Stop()
	for _, c := range h.sockets.All() {
		c.Kill()
	}
	for _, st := range h.allStudents() {
		st.stopTimer()
	}
	h.tasks.Wait()
	h.sockets.Close()
	h.mu.Lock()
	rooms := h.rooms
	h.rooms = map[string]*room{}
	h.mu.Unlock()
	for _, r := range rooms {
		r.leaveRelay()
	}
}

// Sessions are the use cases, which the pages and the API call.
func (h *Hub) Sessions() *session.Service { return h.sessions }

// Ready tells whether new sockets are welcome: false from Drain on.
func (h *Hub) Ready() bool { return !h.draining.Load() }

// Saving tells whether signals can be stored, as far as is known: false from the first that
// could not be until one was.
func (h *Hub) Saving() bool {
	_, saving := h.writer.State()
	return saving
}

// Sockets tells how many are open.
func (h *Hub) Sockets() int { return h.sockets.Count() }

// Expel closes the sockets of those whose claims are such with CloseForbidden: they are not
// allowed any more, and it is none of their own doing. Config.Allow must refuse them already.
func (h *Hub) Expel(such func(vigil.SocketClaims) bool) {
	for _, c := range h.sockets.All() {
		if claims := c.Claims(); claims != nil && such(*claims) {
			c.Close(protocol.CloseForbidden, "")
		}
	}
}

// tellSaving tells everyone here that saving waits, or that it goes on.
func (h *Hub) tellSaving(over bool) {
	frame := protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving, Over: over})
	for _, c := range h.sockets.All() {
		c.Send(frame)
	}
}
