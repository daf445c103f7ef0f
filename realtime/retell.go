package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/protocol"
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

// tellLater has a session read and told.
func (h *Hub) tellLater(id string) {
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
		err := h.reread(h.ctx, "session", func(ctx context.Context) error { return h.tellSession(ctx, id) })
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

// tellSession tells everyone how a session is stored: its life, what it has lost, and its counts.
func (h *Hub) tellSession(ctx context.Context, id string) error {
	s, err := h.store.Session(ctx, id)
	if err != nil {
		return err
	}
	e, err := h.exam(ctx, s.ExamID)
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
	if err := h.reloadTally(ctx, id); err != nil {
		return err
	}
	if at := over(e.Policy, s); !at.IsZero() {
		h.endedAway(e, s, now)
		h.closeLedger(s, at)
	}
	return nil
}

// tellLife tells the proctors and the other servers of a session's life, and notes it here.
func (h *Hub) tellLife(e vigil.Exam, s vigil.Session, now time.Time) {
	life := protocol.LifeOf(s, e.Policy, now)
	h.toProctors(s.ExamID, delta{session: s.ID, key: lifeKey(s.ID, life), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: s.ID, Life: &life}})})
	if st := h.student(s.ID); st != nil {
		st.learn(s)
	}
	h.publish(s.ExamID, event{Kind: eventSession, Session: s.ID, Version: s.Version})
}

// repeated sees to a report of an end that changed nothing: the server that stored it may have
// ended before anybody was told.
func (h *Hub) repeated(s vigil.Session, p plan, err error) {
	if err == nil && p.session.ID == "" && s.State.Ended() {
		h.tellLater(s.ID)
	}
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
	st.h.publishDelta(st.room.exam, delta{session: st.id, key: connKey(st.id, c), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: st.id, Conn: &c}})})
}
