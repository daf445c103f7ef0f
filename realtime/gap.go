package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/instant"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// openGap stores the beginning of a gap. st.mu is held.
func (st *student) openGap(change vigil.GapChange) {
	gap := vigil.Gap{
		ID: st.n.cfg.NewID(), SessionID: st.id, ExamID: st.room.exam, Start: instant.Whole(change.Start), Cause: change.Cause,
	}
	if !change.Until.IsZero() {
		gap.Until = instant.Whole(change.Until)
	}
	st.gap, st.blamed = gap.ID, false
	st.n.cfg.Observer.GapBegan(gap.Cause)
	term := st.term
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) { st.createGap(ctx, gap, term) })
}

// ours tells whether nobody has taken over the students of this node since a term began. Who
// did keeps the ledger.
func (st *student) ours(term int) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.term == term
}

func (st *student) createGap(ctx context.Context, gap vigil.Gap, term int) {
	h := st.n
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
	st.room.Publish(dashboard.GapDelta(gap))
}

// closeGap stores the end of the open gap. st.mu is held.
func (st *student) closeGap(end time.Time) {
	own, term := st.gap, st.term
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		if st.ours(term) {
			st.n.sessions.EndGap(ctx, st.id, end, own)
		}
	})
}

// lostLocked makes the signal that the student was out of reach by their own fault.
func (st *student) lostLocked(gap string, from, to time.Time) {
	own := st.ownSignal(vigil.KindLost, from, protocol.Encode(map[string]string{"cause": string(vigil.CauseStudent)}))
	own.Stream, own.Seq, own.Received = session.LostStream(gap), 1, st.n.now()
	own.Duration = max(0, to.Sub(from))
	st.storeLocked(own)
}
