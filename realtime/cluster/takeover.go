package cluster

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
)

const (
	takeOverRecord = "takeover"
	takeOverKept   = 24 * time.Hour
)

// takeOverKey names one end of a node. A node that stood still and goes on has another one
// the next time.
func takeOverKey(node string, heard time.Time) string {
	return node + "/" + heard.UTC().Format("20060102150405.000")
}

// claim makes this node the one that takes over from another: of all survivors exactly
// one succeeds, by a conditional write. When that one dies at it, one of the rest follows.
func (m *Membership) claim(ctx context.Context, n vigil.Node) (bool, error) {
	key := takeOverKey(n.ID, n.Heard)
	for {
		now := m.now()
		err := m.cfg.Store.CreateRecord(ctx, vigil.Record{Kind: takeOverRecord, Key: key, Value: []byte(m.cfg.Node), Expires: now.Add(takeOverKept)}, now)
		if err == nil {
			break
		}
		if !errors.Is(err, vigil.ErrExists) {
			return false, err
		}
		r, err := m.cfg.Store.GetRecord(ctx, takeOverRecord, key, now)
		if err != nil {
			return false, err
		}
		holder := string(r.Value)
		if holder == m.cfg.Node {
			break // it failed half way
		}
		if m.watch.live(holder, m.cfg.Lease) {
			m.live.TellGone(n.ID)
			return false, nil
		}
		key += "/" + holder
	}
	// It may have gone on in the last moment: then it finds the record, or we its new row.
	nodes, err := m.cfg.Store.Nodes(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range nodes {
		if m.ID == n.ID {
			return m.Heard.Equal(n.Heard), nil
		}
	}
	return true, nil // its row is gone, but maybe not its sessions
}

// takeOver has the live state judge the sessions of a node that is gone, and forgets the node. heard is
// when it was last known to live.
func (m *Membership) takeOver(ctx context.Context, n vigil.Node, heard time.Time) error {
	begin := time.Now()
	count, err := m.live.Takeover(ctx, n, heard)
	if err != nil {
		return err
	}
	if err := m.cfg.Store.DeleteNode(ctx, n.ID); err != nil {
		return err
	}
	m.cfg.Log.Info("took over from a node that is gone", "gone", n.ID, "host", n.Host, "heard", heard, "sessions", count,
		"took", time.Since(begin))
	return nil
}

// noteDown notes that no other node reached the store for a while until this one began, whether
// they ended or were cut off: nobody was served meanwhile, whoever's fault it was that somebody
// was lost before. Where the clocks do not tell, it is known when all their rows have been seen to
// stand still.
func (m *Membership) noteDown(nodes []vigil.Node) {
	var heard time.Time // of any of them, by clocks that may be apart
	for _, n := range nodes {
		if n.ID != m.cfg.Node {
			heard = latest(heard, n.Heard)
		}
	}
	if now := m.now(); !heard.IsZero() && now.Sub(heard) > m.cfg.Lease+nodeClocksApart {
		m.live.Outage(heard, now)
	} else {
		m.watch.begin(nodes, m.cfg.Node, now)
	}
}

// nodeClocksApart is how far the clocks of two nodes may be apart, each of which may be 5 s off.
const nodeClocksApart = 10 * time.Second

// OnlyHost refuses to start on a store of one host while a node of another host lives.
func (m *Membership) OnlyHost(ctx context.Context) error {
	var s nodeWatch
	for {
		nodes, err := m.cfg.Store.Nodes(ctx)
		if err != nil {
			return err
		}
		waiting := false
		now := m.cfg.Now()
		s.mu.Lock()
		was := map[string]time.Time{}
		for id, v := range s.seen {
			was[id] = v.heard
		}
		s.mu.Unlock()
		for _, n := range nodes {
			if n.Host == m.cfg.Host || now.Sub(n.Heard) > oneHostStale {
				continue
			}
			if heard, ok := was[n.ID]; ok && !heard.Equal(n.Heard) {
				return vigil.Invalid("store", "Another server, on %s, works with this database, which serves one host: stop it first, or run both with --redis on a dynamodb: store.", n.Host)
			}
		}
		s.observe(nodes, m.cfg.Node, now, m.cfg.Every, m.cfg.Lease)
		for _, n := range nodes {
			if n.Host != m.cfg.Host && now.Sub(n.Heard) <= oneHostStale && s.live(n.ID, m.cfg.Lease) {
				waiting = true
			}
		}
		if !waiting {
			return nil
		}
		if !tasks.Sleep(ctx, m.cfg.Every/2) {
			return ctx.Err()
		}
	}
}

// oneHostStale is how old another host's row may be, by clocks that differ, to be watched
// for a while.
const oneHostStale = 5 * time.Minute
