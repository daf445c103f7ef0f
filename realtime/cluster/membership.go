package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
)

// Store is what the cluster needs of the storage; package storage states the contract.
type Store interface {
	RenewNode(ctx context.Context, n vigil.Node) error
	Nodes(ctx context.Context) ([]vigil.Node, error)
	DeleteNode(ctx context.Context, id string) error
	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
}

// Live is what the cluster asks of a node's live state. Times are in UTC and whole milliseconds.
type Live interface {
	// Takeover judges the sessions of a node that is gone, and tells how many there were. heard is
	// when it was last known to live. It may be called again after an error.
	Takeover(ctx context.Context, n vigil.Node, heard time.Time) (sessions int, err error)
	// Evict disconnects everyone, because another node has taken over, or may have.
	Evict(why string)
	// Rejudge judges those whom Evict sent away although nobody took over, and who have not come back.
	// lived is when this node last renewed its lease before.
	Rejudge(lived time.Time)
	// NodeLost follows, once, when a node is known to be gone that lived until a time.
	NodeLost(node string, lived time.Time)
	// Outage notes that nobody was served from one time to another.
	Outage(from, to time.Time)
	// AllDown is Outage for one that is found out after students have come back.
	AllDown(from, to time.Time)
	// TellGone tells a node that somebody takes over from it, should it live: it may not hear whoever
	// does so.
	TellGone(node string)
	// Isolated tells whether the relay does not reach this node: then nobody can tell it that it was
	// taken over from.
	Isolated() bool
}

// Config is what a Membership needs. All of it must be given.
type Config struct {
	Node   string // this process's id
	Host   string // of the machine
	Shared bool   // other nodes live on the same store
	Every  time.Duration
	Lease  time.Duration // after which a silent node is gone
	Store  Store
	Tasks  *tasks.Group
	Log    *slog.Logger
	Now    func() time.Time

	Draining func() bool                      // nothing is taken over any more
	Drained  func() bool                      // Draining, and done: the lease is renewed no more
	Each     func()                           // called each time that the lease is looked at, before that
	Noted    func(began time.Time, err error) // told what became of a renewal
}

// Membership is a node's part in the cluster.
type Membership struct {
	cfg   Config
	live  Live
	watch nodeWatch
}

// New makes a node's membership. Join begins it.
func New(cfg Config, live Live) *Membership { return &Membership{cfg: cfg, live: live} }

// now is the clock in UTC and whole milliseconds, as everything is kept.
func (m *Membership) now() time.Time { return m.cfg.Now().UTC().Truncate(time.Millisecond) }

// Run begins the work that keeps the lease and watches those of others.
func (m *Membership) Run() { m.cfg.Tasks.Go(m.run) }

// Join takes the node's lease, before the first socket is served, and sees to what nodes left that are
// gone. A node that shares the store judges nobody yet, because it cannot know who lives.
func (m *Membership) Join(ctx context.Context) error {
	if err := m.Renew(ctx); err != nil {
		return err
	}
	nodes, err := m.cfg.Store.Nodes(ctx)
	if err != nil {
		return err
	}
	if m.cfg.Shared {
		m.noteDown(nodes)
		return nil
	}
	for _, n := range nodes {
		if n.ID == m.cfg.Node {
			continue
		}
		m.live.Outage(n.Heard, m.now()) // nobody was served meanwhile
		if err := m.takeOver(ctx, n, n.Heard); err != nil {
			return err
		}
	}
	return nil
}

// Alive tells whether a node's lease was seen to be renewed lately.
func (m *Membership) Alive(node string) bool { return m.watch.live(node, m.cfg.Lease) }

// Heard notes that a node told, by the relay, that it has students.
func (m *Membership) Heard(node string) { m.watch.tells(node) }

// run keeps the node's row fresh and, on a shared store, looks for nodes that are
// gone.
func (m *Membership) run() {
	every := m.cfg.Every
	if m.cfg.Shared {
		every /= 2 // a row that moves is seen soon after
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	renewed, left := m.cfg.Now(), false
	for {
		select {
		case <-m.cfg.Tasks.Context().Done():
			return
		case <-tick.C:
		}
		if m.cfg.Drained() {
			continue // who drains renews the row when that is done
		}
		m.cfg.Each()
		if now := m.cfg.Now(); now.Sub(renewed) >= m.cfg.Every*9/10 {
			ctx, cancel := context.WithTimeout(m.cfg.Tasks.Context(), m.cfg.Lease)
			began := m.now()
			taken, err := m.renewLate(ctx, now.Sub(renewed))
			cancel()
			m.cfg.Noted(began, err)
			if err != nil {
				if m.cfg.Tasks.Context().Err() == nil {
					m.cfg.Log.Warn("node row not renewed", "error", err)
				}
				m.watch.reset()
				if !left && now.Sub(renewed) > 2*m.cfg.Lease && m.live.Isolated() {
					left = true
					m.live.Evict("this server reaches neither the store nor the relay")
				}
				continue
			}
			if left && !taken {
				lived := renewed
				m.cfg.Tasks.Go(func() { m.rejoin(lived) })
			}
			renewed, left = m.cfg.Now(), false
		}
		if m.cfg.Shared && !m.cfg.Draining() {
			if err := m.Look(m.cfg.Tasks.Context()); err != nil && m.cfg.Tasks.Context().Err() == nil {
				m.watch.reset()
				m.cfg.Log.Warn("other nodes not looked at", "error", err)
			}
		}
	}
}

// renewLate renews the node's row. After a pause that was long enough to be taken for gone it
// looks at what the others have seen: at the row as it stood, whoever wrote it and when, and
// after it has moved the row, whether somebody had claimed that. A claim looks at the row
// after it was made, so that one of the two sees the other. A row that is not there was taken
// away by who took over. taken: somebody had taken over, and everyone here was sent away.
func (m *Membership) renewLate(ctx context.Context, pause time.Duration) (taken bool, err error) {
	if !m.cfg.Shared || pause <= m.cfg.Lease/2 {
		return false, m.Renew(ctx)
	}
	nodes, err := m.cfg.Store.Nodes(ctx)
	if err != nil {
		return false, err
	}
	if err := m.Renew(ctx); err != nil {
		return false, err
	}
	i := slices.IndexFunc(nodes, func(n vigil.Node) bool { return n.ID == m.cfg.Node })
	if i < 0 {
		m.live.Evict("another server took over")
		return true, nil
	}
	_, err = m.cfg.Store.GetRecord(ctx, takeOverRecord, takeOverKey(m.cfg.Node, nodes[i].Heard), m.now())
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return false, nil
	case err == nil:
		m.live.Evict("another server took over")
		return true, nil
	}
	return false, err
}

// rejoin follows when the node has its lease again, which nobody had taken over.
func (m *Membership) rejoin(lived time.Time) { m.live.Rejudge(lived.UTC().Truncate(time.Millisecond)) }

// Renew keeps the node's lease, which is its row in the store.
func (m *Membership) Renew(ctx context.Context) error {
	return m.cfg.Store.RenewNode(ctx, vigil.Node{ID: m.cfg.Node, Host: m.cfg.Host, Heard: m.now()})
}

// Look looks at the other nodes, and takes over from those that are gone. Who has a row
// before its first student, and tells of students without one, was taken over from and could not
// hear that: it is told again, also by those who began after it.
func (m *Membership) Look(ctx context.Context) error {
	now := m.cfg.Now()
	tellers := m.watch.tellers() // before the rows are read
	nodes, err := m.cfg.Store.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, id := range tellers {
		if !slices.ContainsFunc(nodes, func(n vigil.Node) bool { return n.ID == id }) {
			m.live.TellGone(id)
		}
	}
	gone := m.watch.observe(nodes, m.cfg.Node, now, m.cfg.Every, m.cfg.Lease)
	if from, to, ok := m.watch.down(); ok {
		m.live.AllDown(from, to)
	}
	for _, g := range gone {
		lived := g.lived.UTC().Truncate(time.Millisecond)
		if g.first {
			m.live.NodeLost(g.node.ID, lived)
		}
		if !g.row { // somebody took over
			m.live.TellGone(g.node.ID)
			continue
		}
		if m.watch.takes(g.node.ID) {
			continue
		}
		claimed, err := m.claim(ctx, g.node)
		if err != nil {
			return err
		}
		if claimed { // beside the loop, which keeps this node's own row fresh
			m.watch.take(g.node.ID, true)
			m.cfg.Tasks.Go(func() {
				defer m.watch.take(g.node.ID, false)
				if err := m.takeOver(m.cfg.Tasks.Context(), g.node, lived); err != nil && m.cfg.Tasks.Context().Err() == nil {
					m.cfg.Log.Warn("taking over from a node that is gone failed; it is tried again", "gone", g.node.ID, "error", err)
				}
			})
		}
	}
	return nil
}
