package realtime

import (
	"context"
	"math/rand/v2"
	"time"

	"vigil"
)

// Recover judges what nodes that are gone left behind, before the first socket is served:
// their students are lost, by our fault, since the node was last heard. A node that
// stopped in order left its students as dropped by us: they get a while to come back
// and are lost only then. A Shared hub does it again whenever a node's lease ends.
func (h *Hub) Recover(ctx context.Context) error {
	if err := h.renewNode(ctx); err != nil {
		return err
	}
	return h.recoverGone(ctx)
}

func (h *Hub) recoverGone(ctx context.Context) error {
	nodes, err := h.store.Nodes(ctx)
	if err != nil {
		return err
	}
	now := h.now()
	for _, n := range nodes {
		if n.ID == h.boot || h.cfg.Shared && now.Sub(n.Heard) < h.cfg.NodeLease {
			continue
		}
		count := 0
		for page := (vigil.Page{}); ; {
			sessions, _, err := h.store.Connected(ctx, n.ID, page)
			if err != nil {
				return err
			}
			for _, s := range sessions {
				if err := h.recoverOne(ctx, s, n.Heard); err != nil {
					return err
				}
			}
			count += len(sessions)
			if len(sessions) == 0 { // those that were judged are not listed any more
				break
			}
		}
		if err := h.store.DeleteNode(ctx, n.ID); err != nil {
			return err
		}
		h.log.Info("took over from a node that is gone", "gone", n.ID, "heard", n.Heard, "sessions", count)
	}
	return nil
}

// recoverOne judges one session of a node that is gone.
func (h *Hub) recoverOne(ctx context.Context, s vigil.Session, heard time.Time) error {
	exam, err := h.exam(ctx, s.ExamID)
	if err != nil {
		return err
	}
	now := h.now()
	if here := h.student(s.ID); here != nil {
		here.mu.Lock()
		newer := here.presence.Epoch > s.Presence.Epoch
		here.mu.Unlock()
		if newer {
			return nil // came back here before
		}
	}
	if s.Settled(exam.Policy, now).State.Ended() {
		s.Presence.Connection, s.Presence.Since = vigil.ConnClosed, now
		s.Presence.Node = h.boot
		return h.ignoreNewer(h.store.SetPresence(ctx, s.ID, s.Presence))
	}
	st, err := h.studentOf(s, exam)
	if err != nil {
		return err
	}
	drained := s.Presence.Connection == vigil.ConnDegraded && s.Presence.Cause == vigil.CauseServer
	st.room.order.RLock()
	st.mu.Lock()
	st.presence.Node = h.boot
	if drained {
		st.stopTimerLocked()
		st.timer = time.AfterFunc(h.cfg.DrainSpread+h.cfg.Liveness.DropGrace, func() { st.lostWith(heard) })
	} else {
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.NodeGone(now, heard) })
	}
	p := st.presence
	st.mu.Unlock()
	st.room.order.RUnlock()
	return h.ignoreNewer(h.store.SetPresence(ctx, s.ID, p)) // now, so that Connected moves on
}

// ignoreNewer lets a conflict pass: the session has a newer connection, which is fine.
func (h *Hub) ignoreNewer(err error) error {
	if vigil.CodeOf(err) == vigil.CodeConflict {
		return nil
	}
	return err
}

// lostWith is the end of the patience with a student of a node that stopped in order.
func (st *student) lostWith(heard time.Time) {
	if !st.h.begin() {
		return
	}
	defer st.h.wg.Done()
	now := st.h.now()
	st.room.order.RLock()
	defer st.room.order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timer = nil
	if st.owner != nil || st.h.draining.Load() {
		return
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.NodeGone(now, heard) })
}

// nodeLoop keeps the node's row fresh and, on a shared store, looks for nodes that are
// gone.
func (h *Hub) nodeLoop() {
	tick := time.NewTicker(h.cfg.NodeEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		if err := h.renewNode(h.ctx); err != nil {
			if h.ctx.Err() == nil {
				h.log.Warn("this node's row is not renewed", "error", err)
			}
			continue
		}
		if h.cfg.Shared && !h.draining.Load() {
			if err := h.recoverGone(h.ctx); err != nil && h.ctx.Err() == nil {
				h.log.Warn("nodes that are gone could not be looked for", "error", err)
			}
		}
	}
}

func (h *Hub) renewNode(ctx context.Context) error {
	return h.store.RenewNode(ctx, vigil.Node{ID: h.boot, Host: h.cfg.Host, Heard: h.now()})
}

// Drain ends the node's work in order: it is not ready from now on, clients are told to
// come back spread over DrainSpread, their sockets are closed, and what was accepted is
// stored. Nobody is lost by it: the students are left as dropped by us, for the process
// that comes next. It returns when that is done or the context ends; Close follows.
func (h *Hub) Drain(ctx context.Context) error {
	h.draining.Store(true)
	h.mu.RLock()
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.RUnlock()
	for _, c := range all {
		c.drain(time.Duration(rand.Int64N(int64(h.cfg.DrainSpread)) + 1)) //nolint:gosec // not a secret
	}
	for {
		if h.quiet() {
			return h.renewNode(ctx) // what comes next counts from here
		}
		if !sleep(ctx, drainPoll) {
			return vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The node did not finish in time.")
		}
	}
}

const drainPoll = 10 * time.Millisecond

// quiet tells that no socket is left and everything accepted is stored.
func (h *Hub) quiet() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.conns) > 0 || !h.writer.flushed() {
		return false
	}
	for _, st := range h.students {
		if !st.jobs.quiet() {
			return false
		}
	}
	return true
}
