package realtime

import (
	"context"

	"vigil"
)

// Recount implements session.Notifier: it reads a session's counts from the store and tells them.
func (h *Hub) Recount(ctx context.Context, sessionID string) error {
	const tries = 5
	for range tries {
		st := h.student(sessionID)
		var gen, storing int
		if st != nil {
			st.mu.Lock()
			gen, storing = st.tallyGen, st.storing
			st.mu.Unlock()
		}
		s, err := h.store.Session(ctx, sessionID)
		if err != nil {
			return err
		}
		if st == nil {
			h.tellTally(s)
			return nil
		}
		st.mu.Lock()
		if st.presence.Connection == vigil.ConnSuperseded {
			st.mu.Unlock()
			h.tellTally(s)
			return nil
		}
		steady := st.tallyGen == gen && st.storing == 0 && storing == 0
		if steady {
			st.tally = s.Tally
		} else { // signals arrive: take only what they do not count
			st.tally.Unread, st.tally.Hand = s.Tally.Unread, s.Tally.Hand
		}
		st.tallyGen++
		st.room.changed(st)
		st.mu.Unlock()
		if steady {
			return nil
		}
	}
	if st := h.student(sessionID); st != nil { // once it is quieter
		st.mu.Lock()
		st.recountLaterLocked()
		st.mu.Unlock()
	}
	return nil
}
