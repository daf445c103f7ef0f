package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// retelling is the sessions of which it is not known whether a change was stored, or of which
// something that changed could not be read to be told: they are read when the store answers, and
// told as they are. Every receiver takes that for
// something that it knows, or not yet.
type retelling struct {
	mu   sync.Mutex // a leaf
	ids  []string
	busy bool
}

// RetellLater implements session.Notifier: it has a session read and told.
func (h *Hub) RetellLater(id string) {
	r := &h.retelling
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.ids, id) {
		r.ids = append(r.ids, id)
	}
	if !r.busy {
		r.busy = h.tasks.Go(h.retell)
	}
}

// retell tells every session of the list.
func (h *Hub) retell() {
	for {
		id, ok := h.retelling.next()
		if !ok {
			return
		}
		err := h.reread(h.ctx, "session", func(ctx context.Context) error { return h.Retell(ctx, id) })
		if err != nil && h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			h.log.Error("dashboards may show an attempt as it was", "session", id, "error", err)
		}
	}
}

// next takes one off the list; false: there is none, and nobody works any more.
func (r *retelling) next() (id string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) == 0 {
		r.ids, r.busy = nil, false
		return "", false
	}
	id, r.ids = r.ids[0], r.ids[1:]
	return id, true
}

// Retell implements session.Notifier: it tells everyone how a session is stored: its life, what it has lost, and its counts.
func (h *Hub) Retell(ctx context.Context, id string) error {
	s, err := h.store.Session(ctx, id)
	if err != nil {
		return err
	}
	e, err := h.Exam(ctx, s.ExamID)
	if err != nil {
		return err
	}
	s, now := h.Live(s), h.now()
	h.tellLife(e, s, now)
	fs := []json.RawMessage{protocol.Encode(protocol.StateOf(s))}
	if !s.State.Ended() {
		fs = append(fs, protocol.Encode(protocol.TimeOf(s, e.Policy, now)))
	}
	h.toStudent(s.ExamID, s.ID, fs, nil, s.State.Ended())
	if err := h.tellLostOnce(ctx, e, id); err != nil {
		return err
	}
	if err := h.Recount(ctx, id); err != nil {
		return err
	}
	if at := session.Over(e.Policy, s); !at.IsZero() {
		h.endedAway(e, s, now)
		h.sessions.CloseLedger(s, at)
	}
	return nil
}

// tellLife tells the proctors and the other servers of a session's life, and notes it here.
func (h *Hub) tellLife(e vigil.Exam, s vigil.Session, now time.Time) {
	life := protocol.LifeOf(s, e.Policy, now)
	h.toProctors(s.ExamID, dashboard.LifeDelta(s.ID, life))
	if st := h.student(s.ID); st != nil {
		st.learn(s)
	}
	h.publish(s.ExamID, event{Kind: eventSession, Session: s.ID, Version: s.Version})
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
	st.h.dashboards.Relay(st.room.exam, dashboard.ConnDelta(st.id, c))
}

// GapChanged implements session.Notifier.
func (h *Hub) GapChanged(g vigil.Gap) {
	h.toProctors(g.ExamID, dashboard.GapDelta(g))
}

// LostTimeChanged implements session.Notifier: it tells the sums of a session's ledger, as it is by now: another node may have
// written into it meanwhile. Where that cannot be read now, it is told later.
func (h *Hub) LostTimeChanged(ctx context.Context, exam, session string) {
	e, err := h.Exam(ctx, exam)
	if err == nil {
		err = h.tellLostOnce(ctx, e, session)
	}
	if err != nil {
		h.RetellLater(session)
	}
}

func (h *Hub) tellLostOnce(ctx context.Context, e vigil.Exam, session string) error {
	gaps, err := h.store.GapsOfSession(ctx, session)
	if err != nil {
		return err
	}
	if lost := protocol.LostOf(e.Policy, gaps); lost != nil {
		h.toProctors(e.ID, dashboard.LostDelta(session, *lost))
	}
	return nil
}

// SignalStored implements session.Notifier.
func (h *Hub) SignalStored(s vigil.Signal) { h.toProctors(s.ExamID, dashboard.SignalDelta(s)) }
