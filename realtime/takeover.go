package realtime

import (
	"context"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Takeover implements cluster.Live. Proctors hear of all of them before the first is stored;
// Limits.TakeOver of them are stored at once.
func (h *Hub) Takeover(ctx context.Context, n vigil.Node, heard time.Time) (count int, err error) {
	told := map[string]bool{} // exams
	slots := make(chan struct{}, h.cfg.Limits.TakeOver)
	for range maxPasses { // what is judged is not listed any more
		var stored []<-chan struct{}
		found := false
		for s, err := range vigil.EachOf(ctx, h.store.Connected, n.ID) {
			if err != nil {
				return count, err
			}
			found = true
			if !told[s.ExamID] { // should it live, its clients are to come here
				told[s.ExamID] = true
				h.publish(s.ExamID, event{Kind: eventGone, Node: n.ID})
			}
			done, err := h.recoverOne(ctx, s, heard, slots)
			if err != nil {
				return count, err
			}
			if done != nil {
				stored = append(stored, done)
			}
		}
		for _, done := range stored {
			select {
			case <-done:
			case <-ctx.Done():
				return count, ctx.Err()
			}
		}
		count += len(stored)
		if !found {
			break
		}
	}
	h.stats.takeovers.Add(1)
	h.stats.takenOver.Add(int64(count))
	return count, nil
}

// maxPasses bounds how often the sessions of a node that is gone are listed.
const maxPasses = 8

// recoverOne judges one session of a node that is gone. done is closed when that is stored,
// for which it takes a slot; nil: the session has a newer connection.
func (h *Hub) recoverOne(ctx context.Context, s vigil.Session, heard time.Time, slots chan struct{}) (done <-chan struct{}, err error) {
	exam, err := h.Exam(ctx, s.ExamID)
	if err != nil {
		return nil, err
	}
	now := h.now()
	if !now.After(s.Presence.Since) { // the other's clock was ahead, and what is shown goes by the newer
		now = s.Presence.Since.Add(time.Millisecond)
	}
	if here := h.student(s.ID); here != nil {
		here.mu.Lock()
		newer := here.presence.Epoch > s.Presence.Epoch
		here.mu.Unlock()
		if newer {
			return nil, nil // came back here before
		}
	}
	if s.Settled(exam.Policy, now).State.Ended() {
		s.Presence.Connection, s.Presence.Since = vigil.ConnClosed, now
		s.Presence.Node = h.boot
		err := h.store.SetPresence(ctx, s.ID, s.Presence)
		if err == nil {
			c := protocol.ConnOf(s.Presence, 0)
			h.toProctors(s.ExamID, dashboard.ConnDelta(s.ID, c))
		}
		if err := session.IgnoreNewer(err); err != nil {
			return nil, err
		}
		h.tellTally(s)
		return alreadyStored, nil
	}
	st, err := h.studentOf(s, exam)
	if err != nil {
		return nil, err
	}
	drained := s.Presence.Connection == vigil.ConnDegraded && s.Presence.Cause == vigil.CauseServer
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.presence.Epoch > s.Presence.Epoch || st.owner != nil { // came back here meanwhile
		return nil, nil
	}
	if st.presence.Connection == vigil.ConnSuperseded || st.presence.Node != h.boot {
		st.presence = s.Presence // an older view of this node's own
	}
	st.presence.Node = h.boot
	st.recountLaterLocked() // what the other counted last it may not have told
	slotted := false
	begun := st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
		select {
		case slots <- struct{}{}:
			slotted = true
		case <-ctx.Done():
		}
	})
	if was := s.Presence; was.Reachable() {
		st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.EndLeft(ctx, s.ID, was.Since) })
	}
	if drained {
		st.stopTimerLocked()
		st.timer = time.AfterFunc(h.cfg.DrainSpread+h.cfg.Liveness.DropGrace, func() { st.lostWith(heard) })
		st.savePresenceLocked() // so that it is listed under this node
	} else {
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.NodeGone(now, heard, h.cfg.Liveness)
		})
	}
	all := make(chan struct{})
	ended := st.jobs.Add(h.tasks, 0, func(context.Context) { // behind the gap and the presence
		close(all)
		if slotted {
			<-slots
		}
	})
	if !begun || !ended {
		return nil, socket.ErrDraining
	}
	return all, nil
}

// alreadyStored is what nobody waits for any more.
var alreadyStored = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// lostWith is the end of the patience with a student of a node that stopped in order.
func (st *student) lostWith(heard time.Time) {
	if !st.n.tasks.Begin() {
		return
	}
	defer st.n.tasks.Done()
	if st.elsewhere() {
		return
	}
	now := st.n.now()
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timer = nil
	if st.owner != nil || st.n.draining.Load() {
		return
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.NodeGone(now, heard, st.n.cfg.Liveness)
	})
}

// Rejudge implements cluster.Live. Who has not come back since they were sent away is lost because of a
// server outage, since the node lived; nobody else would ever tell. They have as long as after a drain.
func (h *Hub) Rejudge(lived time.Time) {
	if !tasks.Sleep(h.ctx, h.cfg.DrainSpread+h.cfg.Liveness.DropGrace) {
		return
	}
	slots := make(chan struct{}, h.cfg.Limits.TakeOver)
	err := h.reread(h.ctx, "those who were sent away", func(ctx context.Context) error {
		for s, err := range vigil.EachOf(ctx, h.store.Connected, h.boot) {
			if err != nil {
				return err
			}
			if h.served(s) {
				continue
			}
			if _, err := h.recoverOne(ctx, s, lived, slots); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && h.ctx.Err() == nil {
		h.log.Error("disconnected students not judged", "error", err)
	}
}

// served tells whether this node knows how it is with a session's student.
func (h *Hub) served(s vigil.Session) bool {
	st := h.student(s.ID)
	if st == nil {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.owner != nil || st.presence.Connection != vigil.ConnSuperseded || st.presence.Epoch > s.Presence.Epoch
}

// NodeLost implements cluster.Live.
func (h *Hub) NodeLost(node string, lived time.Time) {
	h.creditLateArrivals(node, lived)
	h.tasks.Go(h.showLater)
}

// Outage implements cluster.Live.
func (h *Hub) Outage(from, to time.Time) { h.outages.Add(from, to) }

// AllDown implements cluster.Live.
func (h *Hub) AllDown(from, to time.Time) {
	h.outages.Add(from, to)
	for _, st := range h.allStudents() { // who was back before that was known
		st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.Reblame(ctx, st.id) })
	}
}

// creditLateArrivals opens the gap of students who reconnected here before their old node was declared
// dead: if they were never lost but away for longer than a drop may take, that was our fault. What
// that node stored last is counted again, and a gap ends that it had opened without living to store
// that they were lost: their session had moved, so whoever took over did not look at it.
func (h *Hub) creditLateArrivals(node string, lived time.Time) {
	for _, st := range h.allStudents() {
		st.mu.Lock()
		m := st.moved
		started := m.online && st.life.state.Started() && st.presence.Connection != vigil.ConnLost // then it is counted there
		if m.from == node {
			st.moved = moved{}
			st.recountLaterLocked()
			if started && m.at.Sub(lived) > h.drop() {
				st.openGap(vigil.GapChange{Start: lived, Cause: vigil.CauseServer})
				st.closeGap(m.at)
			} else if st.life.state.Started() {
				st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.EndLeft(ctx, st.id, m.at) })
			}
		}
		st.mu.Unlock()
	}
}

// showLater gives the dashboards here a fresh snapshot when a node is gone and its sessions were
// taken over: what it stored last it may not have told.
func (h *Hub) showLater() {
	if !tasks.Sleep(h.ctx, h.cfg.ShowAfter) {
		return
	}
	for _, r := range h.allRooms() {
		r.Refresh()
	}
}

// TellGone implements cluster.Live.
func (h *Hub) TellGone(node string) {
	for _, r := range h.allRooms() {
		h.publish(r.exam, event{Kind: eventGone, Node: node})
	}
}

// Isolated implements cluster.Live. That this node was taken over from is likely then, and its clients
// find the others by themselves.
func (h *Hub) Isolated() bool {
	watched, ok := h.cfg.Relay.(relay.Watched)
	rooms := h.allRooms()
	return h.cfg.Shared && ok && len(rooms) > 0 && !slices.ContainsFunc(rooms, func(r *room) bool { return watched.State(r.exam).Up })
}

// Evict implements cluster.Live.
func (h *Hub) Evict(why string) {
	h.log.Error("disconnecting all clients", "why", why)
	h.stats.evicted.Add(1)
	for _, st := range h.allStudents() {
		st.mu.Lock()
		st.owner = nil
		st.term++
		st.presence.Connection = vigil.ConnSuperseded
		st.reachable.Store(false)
		st.stopTimerLocked()
		for _, c := range st.conns {
			c.Drain(h.spread())
		}
		st.mu.Unlock()
	}
}
