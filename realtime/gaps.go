package realtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/instant"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// The gaps of the ledger that a node opens and closes by what it sees of its students. What the ledger
// makes of them is package session's.

// openGap stores the beginning of a gap. st.mu is held.
func (st *student) openGap(change vigil.GapChange) {
	gap := vigil.Gap{
		ID: st.h.cfg.NewID(), SessionID: st.id, ExamID: st.room.exam, Start: instant.Whole(change.Start), Cause: change.Cause,
	}
	if !change.Until.IsZero() {
		gap.Until = instant.Whole(change.Until)
	}
	st.gap, st.blamed = gap.ID, false
	st.h.cfg.Observer.GapBegan(gap.Cause)
	term := st.term
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) { st.createGap(ctx, gap, term) })
}

// ours tells whether nobody has taken over the students of this node since a term began. Who
// did keeps the ledger.
func (st *student) ours(term int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.term == term
}

func (st *student) createGap(ctx context.Context, gap vigil.Gap, term int) {
	h := st.h
	err := h.retry(ctx, "gap", func(ctx context.Context) error {
		if !st.ours(term) {
			return vigil.ErrNotFound // not here any more
		}
		if gap.Cause == vigil.CauseServer && !gap.Until.IsZero() { // while this cannot be stored nobody can come back either
			if until := h.now().Add(h.cfg.Liveness.ReturnGrace); until.After(gap.Until) {
				gap.Until = until
			}
		}
		return h.store.CreateGap(ctx, gap)
	})
	if err != nil && !errors.Is(err, vigil.ErrExists) {
		if ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			h.log.Error("gap not stored", "session", gap.SessionID, "error", err)
		}
		return
	}
	h.GapChanged(gap)
}

// closeGap stores the end of the open gap. st.mu is held.
func (st *student) closeGap(end time.Time) {
	own, term := st.gap, st.term
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) {
		if st.ours(term) {
			st.h.sessions.EndGap(ctx, st.id, end, own)
		}
	})
}

// SlowNow implements session.Faults: it tells whether a session's platform is slow for several students at once. Those
// who came back before that was known have their gaps divided once more.
func (h *Hub) SlowNow(platform, session string) bool {
	slow, news := h.turns.Look(platform, h.now(), h.cfg.Liveness)
	news = slices.DeleteFunc(news, func(id string) bool { return id == session })
	if len(news) > 0 {
		h.tasks.Go(func() { // the caller may hold a lock
			for _, id := range news {
				if o := h.student(id); o != nil {
					o.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.Reblame(ctx, id) })
				}
			}
		})
	}
	return slow
}

// Faults implements session.Faults: the stretches in which others than the student kept the session's student
// away, as far as this node knows.
func (h *Hub) Faults(s vigil.Session) []vigil.Fault {
	return append(h.outages.Faults(h.now(), h.cfg.Liveness.ReturnGrace), h.turns.Faults(s.PlatformID)...)
}

// OutageUntil implements session.Faults.
func (h *Hub) OutageUntil(began, until time.Time) time.Time {
	return h.outages.Until(began, until, h.cfg.Liveness.ReturnGrace)
}

// Alive implements session.Faults.
func (h *Hub) Alive(node string) bool { return h.members.Alive(node) }

// NoteLost implements session.View: it makes the incident of the student's part of a gap, if it was not noted when it
// happened. It has one name, so that it is noted once, whoever notes it.
func (h *Hub) NoteLost(ctx context.Context, g vigil.Gap) error {
	st := h.student(g.SessionID)
	if st == nil {
		return nil // whoever has the student notes it
	}
	_, err := h.store.Incident(ctx, g.SessionID, session.LostIncident(session.BaseOf(g)))
	if !errors.Is(err, vigil.ErrNotFound) {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gap == session.BaseOf(g) {
		if st.blamed {
			return nil // on its way
		}
		st.blamed = true
	}
	st.lostLocked(session.BaseOf(g), g.Start, g.End)
	return nil
}

// lostLocked makes the signal that the student was out of reach by their own fault.
func (st *student) lostLocked(gap string, from, to time.Time) {
	own := st.ownSignal(vigil.KindLost, from, protocol.Encode(map[string]string{"cause": string(vigil.CauseStudent)}))
	own.Stream, own.Seq, own.Received = session.LostStream(gap), 1, st.h.now()
	own.Duration = max(0, to.Sub(from))
	if st.h.writer.put(entry{signal: own, st: st, quiet: true}) {
		st.storing++
	}
}
