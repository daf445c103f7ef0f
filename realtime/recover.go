package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Recover judges what nodes that are gone left behind, before the first socket is served:
// their students are lost, by our fault, since the node was last heard. A node that
// stopped in order left its students as dropped by us: they get a while to come back
// and are lost only then. A Shared hub judges nobody at its start, because it cannot know
// yet who lives; it does so whenever it has seen a node's row stand still for NodeLease.
// Sessions whose time ran out while no server ran are ended here, too.
func (h *Hub) Recover(ctx context.Context) error {
	if h.cfg.OneHost {
		if err := h.otherHost(ctx); err != nil {
			return err
		}
	}
	if err := h.readRestored(ctx); err != nil {
		return err
	}
	if err := h.renewNode(ctx); err != nil {
		return err
	}
	nodes, err := h.store.Nodes(ctx)
	if err != nil {
		return err
	}
	if h.cfg.Shared {
		h.noteDown(nodes)
		return h.workDue(ctx)
	}
	for _, n := range nodes {
		if n.ID == h.boot {
			continue
		}
		h.outages.add(n.Heard, h.now()) // nobody was served meanwhile
		if err := h.takeOver(ctx, n, n.Heard); err != nil {
			return err
		}
	}
	return h.workDue(ctx)
}

// readRestored learns whether the store was brought back from a backup. A server is started after
// that, not before.
func (h *Hub) readRestored(ctx context.Context) error {
	r, err := h.store.GetRecord(ctx, vigil.RestoredKind, vigil.RestoredKey, h.now())
	if errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	h.restored, err = vigil.RestoredAt(r)
	return err
}

// noteDown notes that no other node reached the store for a while until this one began, whether
// they ended or were cut off: nobody was served meanwhile, whoever's fault it was that somebody
// was lost before. Where the clocks do not tell, it is known when all their rows have been seen to
// stand still.
func (h *Hub) noteDown(nodes []vigil.Node) {
	var heard time.Time // of any of them, by clocks that may be apart
	for _, n := range nodes {
		if n.ID != h.boot {
			heard = later(heard, n.Heard)
		}
	}
	if now := h.now(); !heard.IsZero() && now.Sub(heard) > h.cfg.NodeLease+nodeClocksApart {
		h.outages.add(heard, now)
	} else {
		h.sights.begin(nodes, h.boot, now)
	}
}

// nodeClocksApart is how far the clocks of two nodes may be apart, each of which may be 5 s off.
const nodeClocksApart = 10 * time.Second

// takeOver judges the sessions of a node that is gone and forgets the node. heard is when
// it was last known to live. Proctors hear of all of them before the first is stored;
// Limits.TakeOver of them are stored at once.
func (h *Hub) takeOver(ctx context.Context, n vigil.Node, heard time.Time) error {
	begin := time.Now()
	count := 0
	told := map[string]bool{} // exams
	slots := make(chan struct{}, h.cfg.Limits.TakeOver)
	for range maxPasses { // what is judged is not listed any more
		var stored []<-chan struct{}
		found := false
		for page := (vigil.Page{}); ; {
			sessions, next, err := h.store.Connected(ctx, n.ID, page)
			if err != nil {
				return err
			}
			for _, s := range sessions {
				found = true
				if !told[s.ExamID] { // should it live, its clients are to come here
					told[s.ExamID] = true
					h.publish(s.ExamID, event{Kind: eventGone, Node: n.ID})
				}
				done, err := h.recoverOne(ctx, s, heard, slots)
				if err != nil {
					return err
				}
				if done != nil {
					stored = append(stored, done)
				}
			}
			if next == "" {
				break
			}
			page.After = next
		}
		for _, done := range stored {
			select {
			case <-done:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		count += len(stored)
		if !found {
			break
		}
	}
	if err := h.store.DeleteNode(ctx, n.ID); err != nil {
		return err
	}
	h.log.Info("took over from a node that is gone", "gone", n.ID, "host", n.Host, "heard", heard, "sessions", count,
		"took", time.Since(begin))
	return nil
}

// maxPasses bounds how often the sessions of a node that is gone are listed.
const maxPasses = 8

// recoverOne judges one session of a node that is gone. done is closed when that is stored,
// for which it takes a slot; nil: the session has a newer connection.
func (h *Hub) recoverOne(ctx context.Context, s vigil.Session, heard time.Time, slots chan struct{}) (done <-chan struct{}, err error) {
	exam, err := h.exam(ctx, s.ExamID)
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
			h.toProctors(s.ExamID, delta{session: s.ID, key: connKey(s.ID, c), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: s.ID, Conn: &c}})})
		}
		if err := h.ignoreNewer(err); err != nil {
			return nil, err
		}
		h.tellTally(s)
		return closed, nil
	}
	st, err := h.studentOf(s, exam)
	if err != nil {
		return nil, err
	}
	drained := s.Presence.Connection == vigil.ConnDegraded && s.Presence.Cause == vigil.CauseServer
	st.room.order.RLock()
	defer st.room.order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.presence.Epoch > s.Presence.Epoch || st.owner != nil { // came back here meanwhile
		return nil, nil
	}
	if st.presence.Connection == vigil.ConnSuperseded || st.presence.Node != h.boot {
		st.presence = s.Presence // an older view of this node's own
	}
	st.presence.Node = h.boot
	st.stalesLocked() // what the other counted last it may not have told
	slotted := false
	begun := st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
		select {
		case slots <- struct{}{}:
			slotted = true
		case <-ctx.Done():
		}
	})
	if was := s.Presence; was.Reachable() {
		st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.endLeft(ctx, s.ID, was.Since) })
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

// closed is what nobody waits for any more.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// ignoreNewer lets a conflict pass: the session has a newer connection, which is fine.
func (h *Hub) ignoreNewer(err error) error {
	if vigil.CodeOf(err) == vigil.CodeConflict {
		return nil
	}
	return err
}

// lostWith is the end of the patience with a student of a node that stopped in order.
func (st *student) lostWith(heard time.Time) {
	if !st.h.tasks.Begin() {
		return
	}
	defer st.h.tasks.Done()
	if st.elsewhere() {
		return
	}
	now := st.h.now()
	st.room.order.RLock()
	defer st.room.order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timer = nil
	if st.owner != nil || st.h.draining.Load() {
		return
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.NodeGone(now, heard, st.h.cfg.Liveness)
	})
}

// Drain ends the node's work in order: it is not ready from now on, clients are told to
// come back spread over DrainSpread, their sockets are closed, and what was accepted is
// stored. Nobody is lost by it: the students are left as dropped by us, for the process
// that comes next. It returns when that is done or the context ends; Close follows.
func (h *Hub) Drain(ctx context.Context) error {
	h.draining.Store(true)
	for _, c := range h.sockets.All() {
		c.Drain(h.spread())
	}
	for {
		for _, r := range h.allRooms() {
			r.tellRows() // what was stored last counts, too
		}
		h.tellTurned()
		left := h.left()
		if left == (leftovers{}) {
			h.quietNow.Store(true)
			return h.renewNode(ctx) // what comes next counts from here
		}
		if !tasks.Sleep(ctx, drainPoll) {
			return vigil.Wrap(ctx.Err(), vigil.CodeUnavailable,
				"The node did not finish in time: %d sockets were open, %d students, %d refusals and %d signals waited for the store, %d requests to platforms were under way.",
				left.sockets, left.students, left.refusals, left.signals, left.requests)
		}
	}
}

// spread is when a client that is sent away comes back.
func (h *Hub) spread() time.Duration {
	return max(time.Millisecond, time.Duration(h.cfg.Rand(int64(h.cfg.DrainSpread)))) // frames tell whole milliseconds
}

const drainPoll = 10 * time.Millisecond

// leftovers is what a drain still waits for.
type leftovers struct{ sockets, students, refusals, signals, requests int }

// left counts the sockets that are open or being opened, the students of whom something is to
// be stored, those of whom it is to be stored that they were refused, the signals that are, and the requests to platforms that are under way.
func (h *Hub) left() leftovers {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := leftovers{sockets: h.sockets.Count() + int(h.upgrading.Load()), refusals: h.refusals.pending(), signals: h.writer.left(), requests: int(h.requests.Load())}
	for _, st := range h.students {
		if !st.jobs.Idle() {
			l.students++
		}
	}
	return l
}
