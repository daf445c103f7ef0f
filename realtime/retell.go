package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

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
