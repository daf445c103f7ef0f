package realtime

import (
	"context"

	"vigil"
)

// LookAround looks at the other nodes.
func (h *Hub) LookAround(ctx context.Context) error { return h.members.Look(ctx) }

// TellLost is tellLost.
func (h *Hub) TellLost(ctx context.Context, exam, session string) {
	h.LostTimeChanged(ctx, exam, session)
}

// Here is how this node has a session's student, and whether nothing of it is to be stored.
func (h *Hub) Here(session string) (connection vigil.Connection, idle bool) {
	st := h.student(session)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.presence.Connection, st.jobs.Idle()
}

// Turned counts what other nodes told of refusing a session's student.
func (h *Hub) Turned(session string) int {
	return len(h.refusals.Told(session))
}
