package realtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/session"
)

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
