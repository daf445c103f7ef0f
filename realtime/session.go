package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Exam implements session.View: it reads an exam, from the room where one is open.
func (h *Hub) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	if r := h.lookup(id); r != nil {
		if e := r.Exam(); e != nil {
			return *e, nil
		}
	}
	return h.store.Exam(ctx, id)
}

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

// deliver gives frames to the owner's socket if it is here.
func (st *student) deliver(fs []json.RawMessage, sent *sentCommand, ended bool) bool {
	st.mu.Lock()
	c := st.owner
	st.mu.Unlock()
	if c == nil {
		return false
	}
	for i, f := range fs {
		it := socket.Item{Frame: f}
		if i == 0 && sent != nil {
			it.Sent = func() { st.h.delivered(st, sent.ID) }
		}
		c.Put(it)
	}
	if ended {
		c.Close(protocol.CloseEnded, "")
	}
	return true
}

// delivered notes that a command was written to the student's socket.
func (h *Hub) delivered(st *student, id string) {
	st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, h.cfg.WriteWait) // it is a courtesy to the proctor, and others wait behind it
		defer cancel()
		err := h.retry(ctx, "delivered", func(ctx context.Context) error {
			return h.sessions.Advance(ctx, st.id, id, vigil.StageDelivered)
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Warn("a command's progress is not stored", "session", st.id, "error", err)
		}
	})
}

// ProgressChanged implements session.Notifier.
func (h *Hub) ProgressChanged(c vigil.Command) {
	h.toProctors(c.ExamID, dashboard.ProgressDelta(c))
}

// refresh reads the session again because another node moved it past version.
func (st *student) refresh(version int64) {
	st.mu.Lock()
	known := st.life.version
	st.mu.Unlock()
	if version != 0 && known >= version {
		return
	}
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) {
		s, err := st.readAgain(ctx)
		if err != nil {
			return
		}
		st.learn(s)
		if at := session.Over(st.room.Policy(), s); !at.IsZero() { // by another node, which cannot end what is judged here
			st.ended(st.h.now(), at)
		}
	})
}

// readAgain reads the session when the store answers; an error has been dealt with.
func (st *student) readAgain(ctx context.Context) (s vigil.Session, err error) {
	err = st.h.reread(ctx, "session", func(ctx context.Context) error {
		s, err = st.h.store.Session(ctx, st.id)
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
		st.h.log.Error("a session cannot be read", "session", st.id, "error", err)
	}
	return s, err
}

// learn keeps the newest of a session that was read or written.
func (st *student) learn(s vigil.Session) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.learnLocked(s)
}

func (st *student) learnLocked(s vigil.Session) {
	if s.Version > st.life.version {
		st.life = lifeOf(s)
		st.who.Store(st.h.identityOf(s))
		st.watchesLocked()
		st.dismissLocked()
	}
}

// newID makes an id that sorts by its time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

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

func (h *Hub) tellCreated(e vigil.Exam, s vigil.Session) {
	d := dashboard.CreatedDelta(s, e.Policy, h.now())
	if room := h.lookup(s.ExamID); room != nil {
		room.Order.RLock()
		defer room.Order.RUnlock()
	}
	h.toProctors(s.ExamID, d)
}

// ReviewChanged tells the dashboards that the review of an incident of the session moved,
// so that their count of open incidents follows: later, if it cannot be read now.
func (h *Hub) ReviewChanged(ctx context.Context, sessionID string) {
	if err := h.Recount(ctx, sessionID); err != nil {
		h.RetellLater(sessionID)
	}
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

// Expel closes the sockets of those whose claims are such with CloseForbidden: they are not
// allowed any more, and it is none of their own doing. Config.Allow must refuse them already.
func (h *Hub) Expel(such func(socket.Claims) bool) {
	for _, c := range h.sockets.All() {
		if claims := c.Claims(); claims != nil && such(*claims) {
			c.Close(protocol.CloseForbidden, "")
		}
	}
}

// Sockets tells how many are open.
func (h *Hub) Sockets() int { return h.sockets.Count() }

// Live returns the session with the presence and the counts that this node knows better
// than the store, if its student is connected here.
func (h *Hub) Live(s vigil.Session) vigil.Session {
	if st := h.student(s.ID); st != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.overlayLocked(&s)
	}
	return s
}

// Overlay implements dashboard.Live.
func (h *Hub) Overlay(s *vigil.Session) (page int) {
	st := h.student(s.ID)
	if st == nil {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.overlayLocked(s)
	return st.page
}

// overlayLocked puts what is known live into a session that was read from the store.
func (st *student) overlayLocked(s *vigil.Session) {
	if st.presence.Connection == vigil.ConnSuperseded {
		return // another node knows better, and stores it
	}
	if p := st.presence; p.Epoch > s.Presence.Epoch || p.Epoch == s.Presence.Epoch && !p.Since.Before(s.Presence.Since) {
		s.Presence = st.presence
	}
	s.Tally = st.tally
	if st.owner != nil || !s.Monitor.Heard.After(st.monitor.Heard) && !s.Monitor.Since.After(st.monitor.Since) {
		s.Monitor = st.monitor
	}
}

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
		st.stalesLocked()
		st.mu.Unlock()
	}
	return nil
}

// setTally takes counts that another node read from the store. They may be older than
// our own, so that our own are read anew soon; what only others change counts at once.
func (st *student) setTally(t vigil.Tally) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.stalesLocked()
	st.tally.Unread, st.tally.Hand = t.Unread, t.Hand
	st.tallyGen++
	st.room.changed(st)
}
