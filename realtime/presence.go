package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
)

// stepLocked moves the presence and does what follows: the proctors are told, the
// store gets the new value, and the ledger its gap. st.mu and room.order (for reading)
// are held.
func (st *student) stepLocked(now time.Time, f func(vigil.Presence) (vigil.Presence, vigil.GapChange)) {
	old := st.presence
	p, gap := f(old)
	if gap.Open {
		p, gap = st.blameLocked(p, gap, now)
	}
	p = p.Count(old, st.life.session(), gap, now)
	st.presence = p
	if p.Connection == old.Connection && p.Epoch == old.Epoch && p.Cause == old.Cause && p.Reports.Equal(old.Reports) {
		return // Heard is not stored for itself
	}
	st.reachable.Store(p.Reachable())
	st.tellPresenceLocked()
	if gap.Open {
		st.n.stats.lost.Add(1)
	}
	lost := gap.Open && st.life.state.Started() // before the start there is no time to lose
	if lost {
		st.openGap(gap) // stored before the presence: another node that reads lost finds the gap to end
	}
	st.savePresenceLocked()
	if gap.Close {
		st.closeGap(gap.End)
	}
	switch {
	case lost && gap.Cause == vigil.CauseStudent, gap.Turn && st.gap != "" && st.life.state.Started():
		st.blamed = true
		st.lostLocked(st.gap, now, time.Time{})
	case lost: // never held against the student
		own := st.ownSignal(vigil.KindLost, now, protocol.Encode(map[string]string{"cause": string(gap.Cause)}))
		own.Severity, own.Incident = 0, false
		st.emitLocked(own, nil)
	}
	if old.Connection == vigil.ConnLost && p.Connection == vigil.ConnOnline && p.Epoch == old.Epoch {
		st.noteLocked(vigil.KindReconnected, now) // on the same socket: only silent
	}
	st.armLocked(now)
}

// blameLocked says whose fault it is that somebody counts as lost, by what is known here of our
// own outages and of the platform. When the time of an attempt is up nobody is lost any more.
func (st *student) blameLocked(p vigil.Presence, gap vigil.GapChange, now time.Time) (vigil.Presence, vigil.GapChange) {
	l := st.n.cfg.Liveness
	switch {
	case st.life.state.Ended() || st.life.state == vigil.StateTimeUp:
		p.Connection, p.Cause = vigil.ConnClosed, ""
		return p, vigil.GapChange{}
	case st.n.outages.Explains(gap.Start, now, l):
		return p.Blame(gap, vigil.CauseServer, l)
	case gap.Cause == vigil.CauseUnclear && st.n.faults.SlowNow(st.platform.Value(), st.id):
		return p.Blame(gap, vigil.CauseLMS, l)
	}
	return p, gap
}

func (st *student) tellPresenceLocked() {
	c := protocol.ConnOf(st.presence, st.page)
	st.room.Publish(dashboard.ConnDelta(st.id, c))
}

// armLocked sets the timer for the end of a grace, where the student has no socket that
// would tell.
func (st *student) armLocked(now time.Time) {
	st.stopTimerLocked()
	due, ok := st.presence.Due(st.n.cfg.Liveness)
	if !ok || st.owner != nil && st.presence.Connection != vigil.ConnNavigating {
		return
	}
	st.timer = time.AfterFunc(max(0, due.Sub(now))+time.Millisecond, st.graceOver)
}

// graceOver ends a grace: of a page turn, of a drop, or of somebody else's fault. A node that
// is being drained leaves the judgement to the nodes that come after it.
func (st *student) graceOver() {
	if !st.n.tasks.Begin() {
		return
	}
	defer st.n.tasks.Done()
	if !st.elsewhere() {
		st.expire()
	}
}

// elsewhere is asked before somebody is called lost. Where other nodes share the store, the
// student may be on another one by now, and the relay be late; then this node gives way. A store
// that does not answer in time says nothing. No lock may be held.
func (st *student) elsewhere() bool {
	if !st.n.cfg.Shared {
		return false
	}
	ctx, cancel := context.WithTimeout(st.n.ctx, st.n.cfg.Liveness.DropGrace)
	defer cancel()
	began := st.n.now()
	s, err := st.n.store.Session(ctx, st.id)
	st.n.noteRead(began, err)
	if err != nil {
		return false
	}
	st.mu.Lock()
	epoch := st.presence.Epoch
	st.mu.Unlock()
	if s.Presence.Epoch <= epoch {
		return false
	}
	st.giveWay(s.Presence.Epoch, came(s.Presence), nil)
	return true
}

// expire judges a grace that is over.
func (st *student) expire() {
	now := st.n.now()
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.timer = nil
	if st.n.draining.Load() {
		return
	}
	switch p := st.presence; {
	case p.Connection == vigil.ConnDegraded && st.owner != nil:
		return // has a socket again: the pings judge
	case p.Connection == vigil.ConnLost && p.Cause == vigil.CauseServer && st.n.outages.On(now):
		st.timer = time.AfterFunc(st.n.cfg.Liveness.ReturnGrace, st.graceOver) // it goes on
		return
	case p.Connection == vigil.ConnLost && p.Cause != vigil.CauseServer && st.n.faults.SlowNow(st.platform.Value(), st.id):
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.Still(now, vigil.CauseLMS), vigil.GapChange{}
		})
		st.armLocked(now)
		return
	case p.Connection == vigil.ConnDegraded && p.Cause == vigil.CauseServer && !st.n.outages.Lately(now, st.n.cfg.Liveness.ReturnGrace):
		st.astrayLocked(p, now)
		return
	}
	before := st.presence
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.Expire(now, st.n.cfg.Liveness)
	})
	if st.presence.Connection == before.Connection && st.presence.Cause == before.Cause {
		st.armLocked(now) // too early, by the clock's grain
	}
}

// astrayLocked judges who does not come back after we had to close their socket, and could have
// served them since: up to now it was our fault.
func (st *student) astrayLocked(p vigil.Presence, now time.Time) {
	due, ok := p.Due(st.n.cfg.Liveness)
	if !ok || now.Before(due) { // too early, by the clock's grain
		st.armLocked(now)
		return
	}
	if st.life.state.Started() {
		st.openGap(vigil.GapChange{Start: p.Since, Cause: vigil.CauseServer})
		st.closeGap(now)
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.Astray(now, st.n.cfg.Liveness)
	})
}

// savePresenceLocked stores the presence soon; of several changes the last one counts.
func (st *student) savePresenceLocked() {
	if !st.saving {
		st.saving = st.jobs.Add(st.n.tasks, 0, st.savePresence)
	}
}

func (st *student) savePresence(ctx context.Context) {
	for {
		var saved vigil.Presence
		err := st.n.retry(ctx, "presence", func(ctx context.Context) error {
			st.mu.Lock()
			saved = st.presence
			st.mu.Unlock()
			if saved.Connection == vigil.ConnSuperseded {
				return nil // the new owner stores its own
			}
			return st.n.store.SetPresence(ctx, st.id, saved)
		})
		if errors.Is(err, vigil.ErrConflict) {
			st.beaten(saved)
		}
		if err == nil {
			st.tellSaved(saved)
		}
		st.mu.Lock()
		st.saveMonitorLocked(st.n.now())
		p := st.presence
		again := ctx.Err() == nil && (p.Connection != saved.Connection || p.Epoch != saved.Epoch || p.Cause != saved.Cause || p.Node != saved.Node || !p.Reports.Equal(saved.Reports))
		st.saving = again
		st.mu.Unlock()
		switch {
		case again: // it moved meanwhile; a newer connection may have come here after the one that was beaten
			continue
		case errors.Is(err, vigil.ErrConflict):
		case err != nil && ctx.Err() == nil:
			st.n.log.Error("presence not stored", "session", st.id, "error", err)
		}
		return
	}
}

// came is when the connection was made that a stored presence tells of, as far as it tells: who
// is away again came before they were last heard. The gap of that absence may begin at that very
// moment, and is not ours to end.
func came(p vigil.Presence) time.Time {
	if p.Reachable() {
		return p.Since
	}
	return p.Heard.Add(-time.Millisecond)
}

// beaten is the store's word that another node has a newer connection of the session.
func (st *student) beaten(saved vigil.Presence) {
	s, err := st.readAgain(st.n.ctx)
	if err == nil && s.Presence.Epoch > saved.Epoch {
		st.giveWay(s.Presence.Epoch, came(s.Presence), nil)
	}
}

// ended ends the judgement of a session that has ended, or whose time was up, while its
// student was away: who is lost then stays away rightly, and an open gap ends with the
// attempt.
func (st *student) ended(now, over time.Time) {
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.endedLocked(now, over)
}

func (st *student) endedLocked(now, over time.Time) {
	if st.owner != nil {
		return // its socket is being closed, or it is still watched
	}
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		p, gap := p.Ended(now)
		if gap.Close {
			gap.End = over
		}
		return p, gap
	})
}

// watchesLocked ends the time in which nobody watched, now that this student's connection reports.
// st.mu is held.
func (st *student) watchesLocked() {
	from := st.presence.Reports
	if from.IsZero() || st.life.unwatched == 0 || st.life.unwatchedEnd != 0 || st.watching {
		return
	}
	st.watching = st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		err := st.n.retry(ctx, "watched", func(ctx context.Context) error {
			return st.n.sessions.Watched(ctx, st.id, from)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			st.n.log.Error("it is not noted that an attempt is watched", "session", st.id, "error", err)
		}
		st.mu.Lock()
		st.watching = false
		st.mu.Unlock()
	})
}

// tellSaved tells the other nodes of a presence once more, now that the store has it. It
// was told when it changed, without waiting for the store. A dashboard that subscribed on
// another node in between heard nothing of it and read the old one for its snapshot, and
// nothing else would ever correct that. Dashboards here have their snapshots corrected by
// liveRow.
func (st *student) tellSaved(saved vigil.Presence) {
	if saved.Connection == vigil.ConnSuperseded {
		return // not ours any more, and not stored
	}
	st.mu.Lock()
	page := st.page
	st.mu.Unlock()
	c := protocol.ConnOf(saved, page)
	st.n.dashboards.Relay(st.room.exam, dashboard.ConnDelta(st.id, c))
}
