package realtime

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/cluster"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/signals"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/outage"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// node is what everything on a node shares: its settings, its clock, the store and what it knows of itself
// and of others. It knows neither rooms nor students.
type node struct {
	cfg      Config
	log      *slog.Logger
	store    Store
	alone    bool // no other nodes: nothing needs to be published
	boot     string
	seed     maphash.Seed // of hashes that are kept only here
	restored time.Time    // when the store was brought back from a backup; zero: it was not. Set by Recover.

	tasks *tasks.Group
	ctx   context.Context // of tasks: ends at Close

	draining  atomic.Bool
	serverSeq atomic.Int64 // of signals that this node makes
	rowsWake  chan struct{}
	stats     counters
	counters  socket.Counters
	outages   outage.History
	turns     outage.PageTurns

	writer     *signals.Writer
	sockets    *socket.Server
	members    *cluster.Membership
	sessions   *session.Service
	faults     session.Faults
	dashboards *dashboard.Env
}

// retry calls f until it succeeds, fails with something that trying again does not
// change, or the hub ends. Pauses double.
func (n *node) retry(ctx context.Context, what string, f func(ctx context.Context) error) error {
	return n.again(ctx, what, f, n.noteStore)
}

// reread is retry for what only reads: that it succeeds does not say that anything can be stored.
func (n *node) reread(ctx context.Context, what string, f func(ctx context.Context) error) error {
	return n.again(ctx, what, f, n.noteRead)
}

func (n *node) again(ctx context.Context, what string, f func(ctx context.Context) error, note func(began time.Time, err error)) error {
	pause := n.cfg.RetryFirst
	for {
		began := n.now()
		err := f(ctx)
		note(began, err)
		if err == nil || !vigil.Transient(err) {
			return err
		}
		n.stats.storeRetries.Add(1)
		n.log.Warn("the store does not answer; trying again", "doing", what, "error", err, "pause", pause)
		if !tasks.Sleep(ctx, pause) {
			return err
		}
		pause = min(2*pause, n.cfg.RetryMost)
	}
}

// noteRead keeps the outages by what became of reading, which was begun at a time: where even
// that fails, nothing works.
func (n *node) noteRead(began time.Time, err error) {
	if err != nil {
		n.noteStore(began, err)
	}
}

// noteStore keeps the outages by what became of a write to the store, which was begun at a time.
func (n *node) noteStore(began time.Time, err error) {
	switch {
	case err == nil:
		n.outages.Worked(n.now())
	case vigil.Transient(err) && n.ctx.Err() == nil:
		n.outages.Failed(began)
	}
}

// now is the hub's clock, in UTC and whole milliseconds as everything is kept and sent.
func (n *node) now() time.Time { return n.cfg.Now().UTC().Truncate(time.Millisecond) }

// publish tells the other nodes, if there are any.
func (n *node) publish(exam string, e event) {
	if n.alone {
		return
	}
	n.cfg.Relay.Publish(exam, protocol.Encode(e))
}

// drop is how long somebody may be away without a gap; where times are by several servers'
// clocks, these may be apart.
func (n *node) drop() time.Duration {
	if n.cfg.Shared {
		return n.cfg.Liveness.DropGrace + n.cfg.NodeEvery
	}
	return n.cfg.Liveness.DropGrace
}

// spread is when a client that is sent away comes back.
func (n *node) spread() time.Duration {
	return max(time.Millisecond, time.Duration(n.cfg.Rand(int64(n.cfg.DrainSpread)))) // frames tell whole milliseconds
}

// identity is a hash of what names an attempt at its platform.
func (n *node) identity(platform, deployment, link, user string, attempt int) uint64 {
	var m maphash.Hash
	m.SetSeed(n.seed)
	for _, s := range []string{platform, deployment, link, user, strconv.Itoa(attempt)} {
		_, _ = m.WriteString(s) // never fails
		_ = m.WriteByte(0)
	}
	return m.Sum64()
}

// identityOf is that of a session's attempt.
func (n *node) identityOf(s vigil.Session) uint64 {
	return n.identity(s.PlatformID, s.DeploymentID, s.ResourceLinkID, s.UserID, s.Attempt)
}

// wakeRows says that counts changed, or are to be read anew.
func (n *node) wakeRows() {
	select {
	case n.rowsWake <- struct{}{}:
	default:
	}
}

// counters are behind Stats.
type counters struct {
	stored, repeated, differ, storeRetries                                  atomic.Int64
	stampsRefused, receipts, lost, relayHoles, relayBad, relayAway, evicted atomic.Int64
	takeovers, takenOver                                                    atomic.Int64
}
