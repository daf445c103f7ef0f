package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"vigil"
)

// exam reads an exam, from the room where one is open.
func (h *Hub) exam(ctx context.Context, id string) (vigil.Exam, error) {
	if r := h.lookup(id); r != nil {
		if e := r.known.Load(); e != nil {
			return *e, nil
		}
	}
	return h.store.Exam(ctx, id)
}

// plan is what a change of a session stores, and whom it tells.
type plan struct {
	session  vigil.Session
	command  *vigil.Command // added to the store with it
	delivery *vigil.Delivery
	told     *vigil.Command // the student is told of this command
}

// errNothing ends a change that has nothing to do.
var errNothing = errors.New("nothing to change")

// change reads a session, lets f plan from it as it counts now, and stores the plan; when
// someone else was quicker, all over again. On success everyone who should know is told.
// When f returns errNothing, the session is returned as it is.
func (h *Hub) change(ctx context.Context, id string, f func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error)) (vigil.Session, plan, error) {
	for range maxConflicts {
		s, err := h.store.Session(ctx, id)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		e, err := h.exam(ctx, s.ExamID)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		now := h.now()
		settled := s.Settled(e.Policy, now)
		p, err := f(settled, e, now)
		if errors.Is(err, errNothing) {
			return settled, p, nil
		}
		if err != nil {
			return settled, plan{}, err
		}
		err = h.store.Transition(ctx, vigil.Transition{Session: p.session, From: s.Version, Command: p.command, Delivery: p.delivery})
		if errors.Is(err, vigil.ErrConflict) {
			continue
		}
		if err != nil {
			return settled, plan{}, err
		}
		h.announce(e, s, p)
		return p.session, p, nil
	}
	return vigil.Session{}, plan{}, errBusy
}

// announce tells proctors and the student what changed.
func (h *Hub) announce(e vigil.Exam, old vigil.Session, p plan) {
	s := p.session
	now := h.now()
	moved := s.Version != old.Version
	var fs []json.RawMessage
	var sent *sentCommand
	if p.told != nil {
		fs = append(fs, encode(commandDown(*p.told)))
		sent = &sentCommand{p.told.ID}
	}
	if moved {
		life := rowLife(s, e.Policy, now)
		h.toProctors(s.ExamID, delta{key: "life/" + s.ID, frame: encode(SessionDelta{T: TypeSession, Row: Row{ID: s.ID, Life: &life}})})
		fs = append(fs, changes(old, s, e.Policy, now)...)
		if st := h.student(s.ID); st != nil {
			st.mu.Lock()
			if s.Version > st.life.version {
				st.life = lifeOf(s)
			}
			st.mu.Unlock()
		}
		h.publish(s.ExamID, event{Kind: eventSession, Session: s.ID, Version: s.Version})
	}
	ended := s.State.Ended() && !old.State.Ended()
	h.toStudent(s.ExamID, s.ID, fs, sent, ended)
	if ended {
		h.endedAway(e, s, now)
	}
	if p.delivery != nil {
		h.wakeQueue()
	}
}

// endedAway sees to the presence of a session that ended while its student was away.
func (h *Hub) endedAway(e vigil.Exam, s vigil.Session, now time.Time) {
	if st := h.student(s.ID); st != nil {
		st.ended(now)
		return
	}
	p, gap := s.Presence.Ended(now)
	if p.Connection == s.Presence.Connection {
		return
	}
	h.spawn(func() {
		err := h.retry(h.ctx, "presence", func(ctx context.Context) error {
			return h.ignoreNewer(h.store.SetPresence(ctx, s.ID, p))
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Error("a presence is not stored", "session", s.ID, "error", err)
		}
		c := rowConn(p, 0)
		h.toProctors(s.ExamID, delta{key: "conn/" + s.ID, frame: encode(SessionDelta{T: TypeSession, Row: Row{ID: s.ID, Conn: &c}})})
		if gap.Close {
			h.endGap(h.ctx, s.ID, e.Policy, gap)
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

// deliver gives frames to the owner's socket if it is here.
func (st *student) deliver(fs []json.RawMessage, sent *sentCommand, ended bool) bool {
	st.mu.Lock()
	c := st.owner
	st.mu.Unlock()
	if c == nil {
		return false
	}
	for i, f := range fs {
		it := item{frame: f}
		if i == 0 && sent != nil {
			it.sent = func() { st.h.delivered(st, sent.ID) }
		}
		c.put(it)
	}
	if ended {
		c.close(CloseEnded, "")
	}
	return true
}

// delivered notes that a command was written to the student's socket.
func (h *Hub) delivered(st *student, id string) {
	st.jobs.add(h, 0, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, h.cfg.WriteWait) // it is a courtesy to the proctor, and others wait behind it
		defer cancel()
		err := h.retry(ctx, "delivered", func(ctx context.Context) error {
			return h.advance(ctx, st.id, id, vigil.StageDelivered)
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Warn("a command's progress is not stored", "session", st.id, "error", err)
		}
	})
}

// advance moves a command's stage forward and tells the proctors.
func (h *Hub) advance(ctx context.Context, session, id string, to vigil.Stage) error {
	unlock := h.lockCommands(session)
	defer unlock()
	c, err := h.store.Command(ctx, session, id)
	if err != nil {
		return err
	}
	if !forStudent(c) {
		if c.LMS.State == vigil.LMSWaiting { // told by another node that is about to store the answer
			return vigil.Errorf(vigil.CodeUnavailable, "This command is not in effect yet; try again.")
		}
		return vigil.Errorf(vigil.CodeNotFound, "There is no such command.")
	}
	if !to.After(c.Stage) {
		return nil
	}
	now := h.now()
	c.Stage = to
	if to == vigil.StageSeen {
		c.Seen = now
	} else {
		c.Delivered = now
	}
	if err := h.store.UpdateCommand(ctx, c); err != nil {
		return err
	}
	h.tellProgress(c)
	return nil
}

func (h *Hub) tellProgress(c vigil.Command) {
	h.toProctors(c.ExamID, delta{key: "progress/" + c.SessionID + "/" + c.ID, frame: encode(progress(c))})
}

// commandLocks keep two updates of one session's commands on this node apart: a command
// is stored whole, so the student's acknowledgement and the platform's answer must not
// cross. They are the only locks held while the store is waited for, and nothing else is
// locked within.
type commandLocks struct {
	locks [64]sync.Mutex
}

func (h *Hub) lockCommands(session string) (unlock func()) {
	m := &h.commandLocks.locks[maphash.String(h.seed, session)%64]
	m.Lock()
	return m.Unlock
}

// refresh reads the session again because another node moved it past version.
func (st *student) refresh(version int64) {
	st.mu.Lock()
	known := st.life.version
	st.mu.Unlock()
	if version != 0 && known >= version {
		return
	}
	st.jobs.add(st.h, 0, func(ctx context.Context) {
		s, err := st.h.store.Session(ctx, st.id)
		if err != nil {
			st.h.log.Warn("a session cannot be read", "session", st.id, "error", err)
			return
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		if s.Version > st.life.version {
			st.life = lifeOf(s)
		}
	})
}

// Apply takes one step of a session's life (a consent, the activation at the first
// assertion, ...) and tells everyone connected. It returns the session as it is then. A
// step that the state does not allow is CodeIllegal; a race with other changes is
// resolved here.
func (h *Hub) Apply(ctx context.Context, sessionID string, c vigil.Change) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, now time.Time) (plan, error) {
		if c.At.IsZero() {
			c.At = now
		}
		next, err := s.Apply(c)
		return plan{session: next}, err
	})
	return s, err
}

// ReportEnd records the end of the attempt that the platform told at a time (in an
// assertion); the zero end means that it has none. The student's clock moves if the
// deadline did. Nothing is written where the report brings nothing new.
func (h *Hub) ReportEnd(ctx context.Context, sessionID string, end, at time.Time) (vigil.Session, error) {
	end, at = end.UTC().Truncate(time.Millisecond), at.UTC().Truncate(time.Millisecond)
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		if s.State.Ended() || at.Before(s.EndSeen) {
			return plan{}, errNothing
		}
		news := s.EndSeen.IsZero() || !s.End.Equal(end)
		for _, g := range s.Grants {
			news = news || g.State == vigil.GrantConfirmed && !g.At.Before(s.EndSeen)
		}
		if !news {
			return plan{}, errNothing
		}
		s = s.ReportEnd(end, at)
		s.Version++
		return plan{session: s}, nil
	})
	return s, err
}

// Ended records that the attempt ended in order, by whoever reported it (the platform, or
// the student's own return). The student's socket is told and closed. For a session that
// has ended already it changes nothing.
func (h *Hub) Ended(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, now time.Time) (plan, error) {
		if s.State.Ended() {
			return plan{}, errNothing
		}
		if at.IsZero() {
			at = now
		}
		next, err := s.Apply(vigil.Change{Event: vigil.EventSubmit, At: at, By: by})
		return plan{session: next}, err
	})
	return s, err
}

// Deleted records that the platform has deleted the attempt. One that runs ends by that;
// one that a proctor has ended may be launched anew from then on.
func (h *Hub) Deleted(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		if s.Relaunch() != vigil.RelaunchRefused {
			return plan{}, errNothing
		}
		next, err := s.Apply(vigil.Change{Event: vigil.EventDelete, At: at, By: by, Reason: s.Reason})
		return plan{session: next}, err
	})
	if err != nil {
		return s, err
	}
	return h.Ended(ctx, sessionID, by, at)
}

// settle stores that a session has expired, if it has.
func (h *Hub) settle(ctx context.Context, sessionID string) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		if s.State != vigil.StateExpired && s.State != vigil.StateCanceled {
			return plan{}, errNothing
		}
		return plan{session: s}, nil
	})
	return s, err
}

// SessionCreated tells the dashboards of a new session.
func (h *Hub) SessionCreated(ctx context.Context, s vigil.Session) {
	e, err := h.exam(ctx, s.ExamID)
	if err != nil {
		h.log.Warn("a new session is not shown at once", "session", s.ID, "error", err)
		return
	}
	r := row(s, e.Policy, h.now())
	d := delta{key: "new/" + s.ID, created: s.ID, frame: encode(SessionDelta{T: TypeSession, Row: r})}
	if room := h.lookup(s.ExamID); room != nil {
		room.order.RLock()
		defer room.order.RUnlock()
	}
	h.toProctors(s.ExamID, d)
}

// ReviewChanged tells the dashboards that the review of an incident of the session moved,
// so that their count of open incidents follows.
func (h *Hub) ReviewChanged(ctx context.Context, sessionID string) error {
	return h.reloadTally(ctx, sessionID)
}

// ExamChanged makes the exam's new settings count for those who are connected.
func (h *Hub) ExamChanged(_ context.Context, e vigil.Exam) {
	if r := h.lookup(e.ID); r != nil {
		r.learn(e)
	}
	h.publish(e.ID, event{Kind: eventExam})
}

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

// overlayLocked puts what is known live into a session that was read from the store.
func (st *student) overlayLocked(s *vigil.Session) {
	if st.presence.Connection == vigil.ConnSuperseded {
		return // another node knows better, and stores it
	}
	if st.presence.Epoch >= s.Presence.Epoch {
		s.Presence = st.presence
	}
	s.Tally = st.tally
}

// reloadTally reads a session's counts from the store and tells them.
func (h *Hub) reloadTally(ctx context.Context, sessionID string) error {
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
