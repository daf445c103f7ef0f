package realtime

import (
	"context"
	"time"

	"vigil"
)

// Claim is claim.
func (h *Hub) Claim(ctx context.Context, n vigil.Node) (bool, error) { return h.claim(ctx, n) }

// WorkDue is workDue.
func (h *Hub) WorkDue(ctx context.Context) error { return h.workDue(ctx) }

// LookAround is lookAround.
func (h *Hub) LookAround(ctx context.Context) error { return h.lookAround(ctx) }

// TellLost is tellLost.
func (h *Hub) TellLost(ctx context.Context, exam, session string) { h.tellLost(ctx, exam, session) }

// Here is how this node has a session's student, and whether nothing of it is to be stored.
func (h *Hub) Here(session string) (connection vigil.Connection, idle bool) {
	st := h.student(session)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.presence.Connection, st.jobs.Idle()
}

// Look is one look at rows as they are, at a moment; it returns the ids of who is gone.
func Look(s *Sights, nodes []vigil.Node, now time.Time) []string {
	var out []string
	for _, d := range s.look(nodes, "self", now, 2*time.Second, 6*time.Second) {
		out = append(out, d.node.ID)
	}
	return out
}

// Sights is sights.
type Sights = sights

// Blind is blind.
func Blind(s *Sights) { s.blind() }

// Turned counts what other nodes told of refusing a session's student.
func (h *Hub) Turned(session string) int {
	h.refusals.mu.Lock()
	defer h.refusals.mu.Unlock()
	return len(h.refusals.told[session])
}
