package realtime

import (
	"context"
	"time"

	"vigil"
)

// Agreed records that the student agreed to a version of the check-in's notice, and makes a
// session that was only created ready. One who has agreed to it before changes nothing. A
// session that has ended is CodeIllegal.
func (h *Hub) Agreed(ctx context.Context, sessionID string, c vigil.Consent, by vigil.Actor) (vigil.Session, error) {
	c.At = whole(c.At)
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		s = s.Settled(e.Policy, now)
		if s.AgreedTo(c.Notice) && s.State != vigil.StateCreated {
			return plan{}, errNothing
		}
		next, err := s.Agree(c, by)
		if err != nil {
			return plan{}, err
		}
		return plan{session: next}, nil
	})
	return s, err
}
