package realtime

import (
	"context"
	"encoding/json"
	"errors"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// SessionChanged implements session.Notifier.
func (h *Hub) SessionChanged(e vigil.Exam, old, s vigil.Session, told *vigil.Command) {
	now := h.now()
	var fs []json.RawMessage
	var sent *sentCommand
	if told != nil {
		fs = append(fs, protocol.Encode(protocol.CommandOf(*told)))
		sent = &sentCommand{told.ID}
	}
	if s.Version != old.Version {
		fs = append(fs, changes(old, s, e.Policy, now)...)
		h.tellLife(e, s, now)
	}
	ended := s.State.Ended() && !old.State.Ended()
	h.toStudent(s.ExamID, s.ID, fs, sent, ended)
	if ended || s.State == vigil.StateTimeUp && old.State != vigil.StateTimeUp {
		h.endedAway(e, s, now)
	}
}

// CommandRepeated implements session.Notifier.
func (h *Hub) CommandRepeated(e vigil.Exam, s vigil.Session, c vigil.Command) {
	h.ProgressChanged(c)
	now := h.now()
	h.tellLife(e, s, now)
	if c.Stage != vigil.StageQueued || !session.ForStudent(c) {
		return
	}
	fs := frames(protocol.Encode(protocol.CommandOf(c)), protocol.Encode(protocol.StateOf(s)))
	if !s.State.Ended() {
		fs = append(fs, protocol.Encode(protocol.TimeOf(s, e.Policy, now)))
	}
	h.toStudent(s.ExamID, s.ID, fs, &sentCommand{c.ID}, s.State.Ended())
}

// ReviewChanged tells the dashboards that the review of an incident of the session moved,
// so that their count of open incidents follows: later, if it cannot be read now.
func (h *Hub) ReviewChanged(ctx context.Context, sessionID string) {
	if err := h.Recount(ctx, sessionID); err != nil {
		h.RetellLater(sessionID)
	}
}

// SessionCreated tells the dashboards of a new session: later, if its exam cannot be read now.
func (h *Hub) SessionCreated(ctx context.Context, s vigil.Session) {
	e, err := h.Exam(ctx, s.ExamID)
	if err == nil {
		h.tellCreated(e, s)
		return
	}
	h.tasks.Go(func() {
		err := h.reread(h.ctx, "session", func(ctx context.Context) error {
			s, err := h.store.Session(ctx, s.ID) // as it is then
			if err != nil {
				return err
			}
			e, err := h.Exam(ctx, s.ExamID)
			if err == nil {
				h.tellCreated(e, h.Live(s))
			}
			return err
		})
		if err != nil && h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			h.log.Error("a new session is not shown", "session", s.ID, "error", err)
		}
	})
}

// ExamChanged makes the exam's new settings count: at once for those who are connected, and
// soon for when the others are due.
func (h *Hub) ExamChanged(_ context.Context, e vigil.Exam) {
	if r := h.lookup(e.ID); r != nil {
		r.Learn(e)
	}
	h.publish(e.ID, event{Kind: eventExam})
	h.tasks.Go(func() {
		if err := h.sessions.Reschedule(h.ctx, e); err != nil && h.ctx.Err() == nil {
			h.log.Error("an exam's attempts end when its settings said before they were changed", "exam", e.ID, "error", err)
		}
	})
}
