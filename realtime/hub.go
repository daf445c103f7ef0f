package realtime

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/realtime/cluster"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/outage"
	"vigil/realtime/relay"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Hub is the live state of one node. All methods may be called at the same time.
type Hub struct {
	cfg   Config
	log   *slog.Logger
	store Store
	alone bool // no other nodes: nothing needs to be published
	boot  string
	seed  maphash.Seed // of hashes that are kept only here

	tasks *tasks.Group
	ctx   context.Context // of tasks: ends at Close

	draining   atomic.Bool
	quietNow   atomic.Bool // Drain has finished
	members    *cluster.Membership
	sessions   *session.Service
	upgrading  atomic.Int64 // sockets that are being opened
	serverSeq  atomic.Int64 // of signals that this node makes
	rowsWake   chan struct{}
	writer     *writer
	outages    outage.History
	refusals   outage.Refusals
	turns      outage.PageTurns
	stale      stale
	retelling  retelling
	stats      counters
	counters   socket.Counters
	sockets    *socket.Server
	dashboards *dashboard.Env

	restored time.Time // when the store was brought back from a backup; zero: it was not. Set by Recover.

	mu       sync.RWMutex
	rooms    map[string]*room
	students map[string]*student // by session
}

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
		cfg: cfg, log: cfg.Log.With("node", cfg.Node), store: cfg.Store, boot: cfg.Node,
		seed: maphash.MakeSeed(), rowsWake: make(chan struct{}, 1),
		rooms: map[string]*room{}, students: map[string]*student{},
	}
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
		Store: cfg.Store, Controller: cfg.Controller, Observer: cfg.Observer, Node: h.boot, Shared: cfg.Shared, Tasks: h.tasks, Log: h.log, Now: h.now, NewID: cfg.NewID, Liveness: cfg.Liveness,
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
	h.writer = newWriter(h)
	for _, work := range []func(){h.writer.run, h.rowsLoop, h.accessLoop} {
		h.tasks.Go(work)
	}
	h.members.Run()
	h.sessions.Run()
	if watched, ok := cfg.Relay.(relay.Watched); ok {
		h.tasks.Go(func() { h.watchLoop(watched) })
	}
	return h, nil
}

// Sessions are the use cases, which the pages and the API call.
func (h *Hub) Sessions() *session.Service { return h.sessions }

// Ready tells whether new sockets are welcome: false from Drain on.
func (h *Hub) Ready() bool { return !h.draining.Load() }

// Saving tells whether signals can be stored, as far as is known: false from the first that
// could not be until one was.
func (h *Hub) Saving() bool {
	_, saving := h.writer.state()
	return saving
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

// now is the hub's clock, in UTC and whole milliseconds as everything is kept and sent.
func (h *Hub) now() time.Time { return h.cfg.Now().UTC().Truncate(time.Millisecond) }

// retry calls f until it succeeds, fails with something that trying again does not
// change, or the hub ends. Pauses double.
func (h *Hub) retry(ctx context.Context, what string, f func(ctx context.Context) error) error {
	return h.again(ctx, what, f, h.noteStore)
}

// reread is retry for what only reads: that it succeeds does not say that anything can be stored.
func (h *Hub) reread(ctx context.Context, what string, f func(ctx context.Context) error) error {
	return h.again(ctx, what, f, h.noteRead)
}

func (h *Hub) again(ctx context.Context, what string, f func(ctx context.Context) error, note func(began time.Time, err error)) error {
	pause := h.cfg.RetryFirst
	for {
		began := h.now()
		err := f(ctx)
		note(began, err)
		if err == nil || !vigil.Transient(err) {
			return err
		}
		h.stats.storeRetries.Add(1)
		h.log.Warn("the store does not answer; trying again", "doing", what, "error", err, "pause", pause)
		if !tasks.Sleep(ctx, pause) {
			return err
		}
		pause = min(2*pause, h.cfg.RetryMost)
	}
}

// noteRead keeps the outages by what became of reading, which was begun at a time: where even
// that fails, nothing works.
func (h *Hub) noteRead(began time.Time, err error) {
	if err != nil {
		h.noteStore(began, err)
	}
}

// noteStore keeps the outages by what became of a write to the store, which was begun at a time.
func (h *Hub) noteStore(began time.Time, err error) {
	switch {
	case err == nil:
		h.outages.Worked(h.now())
	case vigil.Transient(err) && h.ctx.Err() == nil:
		h.outages.Failed(began)
	}
}
