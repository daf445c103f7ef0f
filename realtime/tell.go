package realtime

import (
	"context"
	"encoding/json"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// tellLife tells the proctors and the other servers of a session's life, and notes it here.
func (h *Hub) tellLife(e vigil.Exam, s vigil.Session, now time.Time) {
	life := protocol.LifeOf(s, e.Policy, now)
	h.toProctors(s.ExamID, dashboard.LifeDelta(s.ID, life))
	if st := h.student(s.ID); st != nil {
		st.learn(s)
	}
	h.publish(s.ExamID, event{Kind: eventSession, Session: s.ID, Version: s.Version})
}

// toStudent gives frames to the session's owner, on whatever node it is; ended closes the
// socket after them.
func (h *Hub) toStudent(exam, session string, fs []json.RawMessage, sent *sentCommand, ended bool) {
	if len(fs) == 0 && !ended {
		return
	}
	if st := h.student(session); st != nil && st.deliver(fs, sent, ended) {
		return
	}
	h.publish(exam, event{Kind: eventStudent, Session: session, Frames: fs, Command: sent, Ended: ended})
}

// ToStudent implements dashboard.Live.
func (h *Hub) ToStudent(exam, session string, frames []json.RawMessage) {
	h.toStudent(exam, session, frames, nil, false)
}

// endedAway ends the judgement of a session whose student was away when it ended, or when its
// time was up: nobody is waited for any more.
func (h *Hub) endedAway(e vigil.Exam, s vigil.Session, now time.Time) {
	if st := h.student(s.ID); st != nil {
		st.ended(now, session.Over(e.Policy, s))
		return
	}
	p, gap := s.Presence.Ended(now)
	if p.Connection == s.Presence.Connection || s.State == vigil.StateTimeUp && s.Presence.Connection != vigil.ConnLost {
		return // another node has the student, and judges
	}
	h.tasks.Aside(func() {
		err := h.retry(h.ctx, "presence", func(ctx context.Context) error {
			return session.IgnoreNewer(h.store.SetPresence(ctx, s.ID, p))
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Error("presence not stored", "session", s.ID, "error", err)
		}
		c := protocol.ConnOf(p, 0)
		h.toProctors(s.ExamID, dashboard.ConnDelta(s.ID, c))
		if gap.Close {
			h.sessions.EndGap(h.ctx, s.ID, session.Over(e.Policy, s), "")
		}
	})
}

func (h *Hub) tellCreated(e vigil.Exam, s vigil.Session) {
	d := dashboard.CreatedDelta(s, e.Policy, h.now())
	if room := h.lookup(s.ExamID); room != nil {
		room.Order.RLock()
		defer room.Order.RUnlock()
	}
	h.toProctors(s.ExamID, d)
}

// tellTally tells a session's counts as the store has them, to dashboards and to the node
// that has its student.
func (h *Hub) tellTally(s vigil.Session) {
	h.toProctors(s.ExamID, dashboard.TallyDelta(s.ID, s.Tally))
	h.publish(s.ExamID, event{Kind: eventTally, Session: s.ID, Tally: &s.Tally})
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

// GapChanged implements session.Notifier.
func (h *Hub) GapChanged(g vigil.Gap) {
	h.toProctors(g.ExamID, dashboard.GapDelta(g))
}

// SignalStored implements session.Notifier.
func (h *Hub) SignalStored(s vigil.Signal) { h.toProctors(s.ExamID, dashboard.SignalDelta(s)) }

// ProgressChanged implements session.Notifier.
func (h *Hub) ProgressChanged(c vigil.Command) {
	h.toProctors(c.ExamID, dashboard.ProgressDelta(c))
}
