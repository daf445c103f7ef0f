package realtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"vigil"
)

// stepLocked moves the presence and sees to what follows: the proctors are told, the
// store gets the new value, and the ledger its gap. st.mu and room.order (for reading)
// are held.
func (st *student) stepLocked(now time.Time, f func(vigil.Presence) (vigil.Presence, vigil.GapChange)) {
	old := st.presence
	p, gap := f(old)
	st.presence = p
	if p.Connection == old.Connection && p.Epoch == old.Epoch && p.Cause == old.Cause {
		return // Heard is not stored for itself
	}
	st.reachable.Store(p.Reachable())
	st.tellPresenceLocked()
	if gap.Open {
		st.h.stats.lost.Add(1)
	}
	lost := gap.Open && st.life.state.Started() // before the start there is no time to lose
	if lost {
		st.openGap(gap) // stored before the presence: another node that reads lost finds the gap to end
	}
	st.savePresenceLocked()
	if gap.Close {
		st.closeGap(gap)
	}
	if lost {
		own := st.ownSignal(vigil.KindLost, now, encode(map[string]string{"cause": string(gap.Cause)}))
		if gap.Cause == vigil.CauseServer {
			own.Severity, own.Incident = 0, false // never held against the student
		}
		st.emitLocked(own, nil)
	}
	if old.Connection == vigil.ConnLost && p.Connection == vigil.ConnOnline && p.Epoch == old.Epoch {
		st.noteLocked(vigil.KindReconnected, now) // on the same socket: only silent
	}
	st.armLocked(now)
}

func (st *student) tellPresenceLocked() {
	c := rowConn(st.presence, st.page)
	st.room.toProctors(delta{key: "conn/" + st.id, frame: encode(SessionDelta{T: TypeSession, Row: Row{ID: st.id, Conn: &c}})})
}

// armLocked sets the timer for the end of a grace, where the student has no socket that
// would tell.
func (st *student) armLocked(now time.Time) {
	st.stopTimerLocked()
	due, ok := st.presence.Due(st.h.cfg.Liveness)
	if !ok || st.owner != nil && st.presence.Connection != vigil.ConnNavigating {
		return
	}
	st.timer = time.AfterFunc(max(0, due.Sub(now))+time.Millisecond, st.graceOver)
}

// graceOver ends the grace of a page turn or a drop. A node that is being drained leaves
// the judgement to the nodes that come after it.
func (st *student) graceOver() {
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
	if st.h.draining.Load() {
		return
	}
	if st.presence.Connection == vigil.ConnDegraded && st.owner != nil {
		return // has a socket again: the pings judge
	}
	before := st.presence.Connection
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.Expire(now, st.h.cfg.Liveness)
	})
	if st.presence.Connection == before {
		st.armLocked(now) // too early, by the clock's grain
	}
}

// savePresenceLocked stores the presence soon; of several changes the last one counts.
func (st *student) savePresenceLocked() {
	if !st.saving {
		st.saving = st.jobs.add(st.h, 0, st.savePresence)
	}
}

func (st *student) savePresence(ctx context.Context) {
	for {
		var saved vigil.Presence
		err := st.h.retry(ctx, "presence", func(ctx context.Context) error {
			st.mu.Lock()
			saved = st.presence
			st.mu.Unlock()
			if saved.Connection == vigil.ConnSuperseded {
				return nil // the new owner stores its own
			}
			return st.h.store.SetPresence(ctx, st.id, saved)
		})
		if errors.Is(err, vigil.ErrConflict) {
			st.beaten(saved)
		}
		st.mu.Lock()
		p := st.presence
		again := ctx.Err() == nil && (p.Connection != saved.Connection || p.Epoch != saved.Epoch || p.Cause != saved.Cause || p.Node != saved.Node)
		st.saving = again
		st.mu.Unlock()
		switch {
		case again: // it moved meanwhile; a newer connection may have come here after the one that was beaten
			continue
		case errors.Is(err, vigil.ErrConflict):
		case err != nil && ctx.Err() == nil:
			st.h.log.Error("a presence is not stored", "session", st.id, "error", err)
		}
		return
	}
}

// beaten is the store's word that another node has a newer connection of the session.
func (st *student) beaten(saved vigil.Presence) {
	s, err := st.h.store.Session(st.h.ctx, st.id)
	if err != nil {
		st.h.log.Warn("a session cannot be read", "session", st.id, "error", err)
		return
	}
	if s.Presence.Epoch > saved.Epoch {
		st.outdo(s.Presence.Epoch, nil)
	}
}

// ended ends the judgement of a session that has ended while its student was away: who is
// lost then stays away rightly, and an open gap ends with the attempt.
func (st *student) ended(now time.Time) {
	st.room.order.RLock()
	defer st.room.order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.owner != nil {
		return // its socket is being closed
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.Ended(now) })
}

// openGap stores the beginning of a gap.
func (st *student) openGap(change vigil.GapChange) {
	gap := vigil.Gap{
		ID: uuid.Must(uuid.NewV7()).String(), SessionID: st.id, ExamID: st.room.exam,
		Start: change.Start.Truncate(time.Millisecond), Cause: change.Cause,
	}
	st.jobs.add(st.h, 0, func(ctx context.Context) { st.h.createGap(ctx, gap) })
}

func (h *Hub) createGap(ctx context.Context, gap vigil.Gap) {
	err := h.retry(ctx, "gap", func(ctx context.Context) error { return h.store.CreateGap(ctx, gap) })
	if err != nil && !errors.Is(err, vigil.ErrExists) {
		h.log.Error("a gap is not stored", "session", gap.SessionID, "error", err)
		return
	}
	h.tellGap(gap)
}

// closeGap stores the end of the open gap and gives back what needs nobody's decision.
func (st *student) closeGap(change vigil.GapChange) {
	st.jobs.add(st.h, 0, func(ctx context.Context) { st.h.endGap(ctx, st.id, st.room.policy(), change) })
}

func (h *Hub) endGap(ctx context.Context, session string, policy vigil.Policy, change vigil.GapChange) {
	var gaps []vigil.Gap
	var at int // of the one that ends
	err := h.retry(ctx, "gap", func(ctx context.Context) (err error) {
		for range maxConflicts {
			if gaps, err = h.store.GapsOfSession(ctx, session); err != nil {
				return err
			}
			at = lastOpen(gaps)
			if at < 0 {
				return nil
			}
			open := &gaps[at]
			open.End = change.End.Truncate(time.Millisecond)
			if open.End.Before(open.Start) { // the clocks of two nodes
				open.End = open.Start
			}
			if change.Cause == vigil.CauseServer {
				open.Cause = vigil.CauseServer
			}
			for _, g := range vigil.ProposeLostTime(policy, gaps) {
				if g.ID == open.ID {
					*open = g
				}
			}
			err = h.store.UpdateGap(ctx, *open)
			if errors.Is(err, vigil.ErrConflict) {
				continue
			}
			open.Version++
			return err
		}
		return errBusy
	})
	switch {
	case errors.Is(err, vigil.ErrNotFound), err == nil && at < 0: // erased, or lost before gaps were kept
		return
	case err != nil:
		if ctx.Err() == nil {
			h.log.Error("the end of a gap is not stored", "session", session, "error", err)
		}
		return
	}
	gap := gaps[at]
	if gap.Cause == vigil.CauseServer && gap.Proposed >= vigil.MinExtend {
		gap = h.giveBack(ctx, gap)
	}
	h.tellGap(gap)
	h.tellLost(ctx, gap.ExamID, session)
}

// lastOpen is where the newest gap without an end is, or -1.
func lastOpen(gaps []vigil.Gap) int {
	for i, g := range slices.Backward(gaps) {
		if g.End.IsZero() {
			return i
		}
	}
	return -1
}

// maxConflicts bounds how often a conditional write is tried anew.
const maxConflicts = 16

var errBusy = vigil.Errorf(vigil.CodeUnavailable, "Too many changes at once; try again.")
