package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
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
	session    vigil.Session
	command    *vigil.Command // added to the store with it
	deliveries []vigil.Delivery
	gaps       []vigil.Gap    // changed with it
	newGaps    []vigil.Gap    // added with it
	told       *vigil.Command // the student is told of this command
}

// errNothing ends a change that has nothing to do.
var errNothing = errors.New("nothing to change")

// change reads a session, lets f plan from it as it is stored, and stores the plan; when
// someone else was quicker, all over again. On success everyone who should know is told.
// When f returns errNothing, the session is returned as it is. Where the store's answer got
// lost, what is stored tells whether it was done; a command that is there is CodeExists then.
func (h *Hub) change(ctx context.Context, id string, f func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error)) (vigil.Session, plan, error) {
	for range maxConflicts {
		stored, err := h.store.Session(ctx, id)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		e, err := h.exam(ctx, stored.ExamID)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		s := h.Live(stored)
		p, err := f(s, e, h.now())
		if errors.Is(err, errNothing) {
			return s, p, nil
		}
		if err != nil {
			return s, plan{}, err
		}
		if p.session.State.Ended() && !stored.State.Ended() { // what waited for a beginning is asked for no more
			var kept []vigil.Delivery
			p.session, kept = p.session.Unsent(h.now(), h.cfg.NewID)
			p.deliveries = append(p.deliveries, kept...)
		}
		if p.session.Version != stored.Version {
			if p.session.State.Ended() {
				p.session, _ = p.session.Unseen(h.faultsOf(p.session), false, h.now())
			}
			p.session.DueAt = p.session.NextDue(e.Policy)
			if p.session.State.Ended() || unwatchedMoved(stored, p.session) { // until its ledger is closed, or its record says so, should this node not live to do it
				p.session.DueAt = whole(h.now().Add(dueLease))
			}
		}
		began := h.now()
		err = h.store.Transition(ctx, vigil.Transition{
			Session: p.session, From: stored.Version, Command: p.command, Deliveries: p.deliveries, Gaps: p.gaps, NewGaps: p.newGaps,
		})
		if err != nil && vigil.Transient(err) {
			err = h.ambiguous(ctx, p, err)
		}
		h.noteStore(began, err)
		if errors.Is(err, vigil.ErrConflict) {
			continue
		}
		if err != nil {
			if vigil.Transient(err) {
				h.tellLater(id) // it may be stored all the same
			}
			return s, plan{}, err
		}
		h.announce(e, stored, p)
		return p.session, p, nil
	}
	return vigil.Session{}, plan{}, errBusy
}

// ambiguous finds out whether a transition was stored whose answer was not good: nil if it
// was, CodeExists if its command is there, and else the error that there was.
func (h *Hub) ambiguous(ctx context.Context, p plan, failed error) error {
	if p.command != nil {
		if _, err := h.store.Command(ctx, p.session.ID, p.command.ID); err == nil {
			return vigil.Wrap(failed, vigil.CodeExists, "The command is there already.")
		}
		return failed
	}
	s, err := h.store.Session(ctx, p.session.ID)
	if err == nil && same(s, p.session) {
		return nil
	}
	return failed
}

// same tells whether a session as it is stored is the one that was to be stored, and not
// another change that was made from the same one.
func same(s, p vigil.Session) bool {
	return s.Version == p.Version && s.Opened.Equal(p.Opened) && s.Sent.Equal(p.Sent) && !unwatchedMoved(s, p) && s.State == p.State && s.Changed.Equal(p.Changed) && s.By == p.By && s.Reason == p.Reason &&
		s.Ended.Equal(p.Ended) && s.PausedAt.Equal(p.PausedAt) && s.PausedTotal == p.PausedTotal &&
		s.End.Equal(p.End) && s.EndSeen.Equal(p.EndSeen) && s.Carry == p.Carry && s.Name == p.Name && s.PlatformID == p.PlatformID &&
		slices.EqualFunc(s.Grants, p.Grants, func(a, b vigil.Grant) bool {
			return a.CommandID == b.CommandID && a.ID == b.ID && a.State == b.State && a.Held == b.Held && a.Taken == b.Taken
		}) &&
		slices.EqualFunc(s.Consents, p.Consents, func(a, b vigil.Consent) bool { return a.Notice == b.Notice && a.At.Equal(b.At) })
}

// announce tells proctors and the student what changed.
func (h *Hub) announce(e vigil.Exam, old vigil.Session, p plan) {
	s := p.session
	now := h.now()
	moved := s.Version != old.Version
	var fs []json.RawMessage
	var sent *sentCommand
	if p.told != nil {
		fs = append(fs, protocol.Encode(protocol.CommandOf(*p.told)))
		sent = &sentCommand{p.told.ID}
	}
	if moved {
		fs = append(fs, changes(old, s, e.Policy, now)...)
		h.tellLife(e, s, now)
	}
	ended := s.State.Ended() && !old.State.Ended()
	h.toStudent(s.ExamID, s.ID, fs, sent, ended)
	if ended || s.State == vigil.StateTimeUp && old.State != vigil.StateTimeUp {
		h.endedAway(e, s, now)
	}
	if at := over(e.Policy, s); moved && !at.IsZero() {
		h.closeLedger(s, at)
	}
	if !s.State.Ended() && unwatchedMoved(old, s) {
		h.tellUnwatched(s.ID)
	}
	for _, g := range slices.Concat(p.gaps, p.newGaps) {
		h.tellGap(g)
	}
	if len(p.deliveries) > 0 {
		h.wakeQueue()
	}
}

// endedAway ends the judgement of a session whose student was away when it ended, or when its
// time was up: nobody is waited for any more.
func (h *Hub) endedAway(e vigil.Exam, s vigil.Session, now time.Time) {
	if st := h.student(s.ID); st != nil {
		st.ended(now, over(e.Policy, s))
		return
	}
	p, gap := s.Presence.Ended(now)
	if p.Connection == s.Presence.Connection || s.State == vigil.StateTimeUp && s.Presence.Connection != vigil.ConnLost {
		return // another node has the student, and judges
	}
	h.tasks.Aside(func() {
		err := h.retry(h.ctx, "presence", func(ctx context.Context) error {
			return h.ignoreNewer(h.store.SetPresence(ctx, s.ID, p))
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Error("presence not stored", "session", s.ID, "error", err)
		}
		c := protocol.ConnOf(p, 0)
		h.toProctors(s.ExamID, delta{session: s.ID, key: connKey(s.ID, c), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: s.ID, Conn: &c}})})
		if gap.Close {
			h.endGap(h.ctx, s.ID, over(e.Policy, s), "")
		}
	})
}

// over is when a session ended, or its time was up; zero: it goes on. Where nobody reports ends
// the grace of the end is not held against anybody either.
func over(p vigil.Policy, s vigil.Session) time.Time {
	switch d := s.Deadline(p); {
	case s.State == vigil.StateTimeUp:
		return s.Changed
	case s.State == vigil.StateExpired && !d.IsZero() && d.Before(s.Ended):
		return d
	}
	return s.Ended
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
			return h.advance(ctx, st.id, id, vigil.StageDelivered)
		})
		if err != nil && h.ctx.Err() == nil {
			h.log.Warn("a command's progress is not stored", "session", st.id, "error", err)
		}
	})
}

// advance moves a command's stage forward and tells the proctors.
func (h *Hub) advance(ctx context.Context, session, id string, to vigil.Stage) error {
	unlock, err := h.lockCommands(ctx, session)
	if err != nil {
		return err
	}
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
	err = h.retry(ctx, "command", func(ctx context.Context) error { return h.store.UpdateCommand(ctx, c) })
	if err != nil {
		return err
	}
	h.tellProgress(c)
	return nil
}

func (h *Hub) tellProgress(c vigil.Command) {
	h.toProctors(c.ExamID, delta{session: c.SessionID, key: progressKey(c), frame: protocol.Encode(protocol.ProgressOf(c))})
}

// commandLocks keep two updates of one session's commands on this node apart: a command
// is stored whole, so the student's acknowledgement and the platform's answer must not
// cross. They are held while the store is waited for, so they are no mutexes: who waits can
// give up, and nothing else is waited for within but the store.
type commandLocks [64]chan struct{}

func newCommandLocks() (l commandLocks) {
	for i := range l {
		l[i] = make(chan struct{}, 1)
	}
	return l
}

func (h *Hub) lockCommands(ctx context.Context, session string) (unlock func(), err error) {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(session)) // never fails
	lock := h.commandLocks[sum.Sum32()%uint32(len(h.commandLocks))]
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The attempt's other commands take long; try again.")
	}
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
		if at := over(st.room.policy(), s); !at.IsZero() { // by another node, which cannot end what is judged here
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

// Apply takes one step of a session's life (a consent, the activation at the first
// assertion, ...) and tells everyone connected. It returns the session as it is then. A
// step that the state does not allow is CodeIllegal; a race with other changes is
// resolved here. Extra time that was granted before the attempt began is asked for with the
// step that begins it.
func (h *Hub) Apply(ctx context.Context, sessionID string, c vigil.Change) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if c.At.IsZero() {
			c.At = now
		}
		next, err := s.Settled(e.Policy, now).Apply(c)
		if err != nil {
			return plan{}, err
		}
		p := plan{session: next}
		if c.Event == vigil.EventActivate {
			p.session, p.deliveries = next.Unsent(now, h.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// newID makes an id that sorts by its time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Relaunched takes over what a further launch of the attempt says: edit changes a session as
// it is stored, and tells whether it did. One that we concluded to be over goes on, because
// the platform has launched it.
func (h *Hub) Relaunched(ctx context.Context, sessionID string, edit func(s vigil.Session) (vigil.Session, bool)) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		s = s.Settled(e.Policy, now)
		next, changed := edit(s)
		if s.State == vigil.StateExpired {
			var err error
			if next, err = next.Apply(vigil.Change{Event: vigil.EventReopen, At: now, By: vigil.Actor{Role: vigil.RoleLMS, ID: next.PlatformID}}); err != nil {
				return plan{}, err
			}
			return plan{session: next}, nil
		}
		if !changed {
			return plan{}, errNothing
		}
		next.Version++
		return plan{session: next}, nil
	})
	return s, err
}

// ReportEnd takes in what the platform says of the attempt's end. The student's clock moves
// if the deadline did, and what we had called over goes on if the end is later. Nothing is
// written where the report brings nothing new.
func (h *Hub) ReportEnd(ctx context.Context, sessionID string, r vigil.Report) (vigil.Session, error) {
	began := h.now()
	s, err := h.reportEnd(ctx, sessionID, r)
	h.noteTurned(ctx, sessionID, began, err) // who asks for a token brings the report
	return s, err
}

func (h *Hub) reportEnd(ctx context.Context, sessionID string, r vigil.Report) (vigil.Session, error) {
	r.End, r.At, r.PausedAt = whole(r.End), whole(r.At), whole(r.PausedAt)
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		next, news := s.Told(r, e.Policy, now)
		if !news {
			return plan{}, errNothing
		}
		p := plan{session: next}
		if s.Started.IsZero() && !next.Started.IsZero() { // nobody had told us that it was opened
			p.session, p.deliveries = next.Unsent(now, h.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// whole is a time as it is kept: in UTC and whole milliseconds.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Ended records that the attempt ended in order, by whoever reported it (the platform, or
// the student's own return), and when: the platform's word counts whenever it comes, also over
// our own conclusion that the time was over. The student's socket is told and closed. For a
// session that was ended otherwise it changes nothing.
func (h *Hub) Ended(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, p, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, now time.Time) (plan, error) {
		if at = whole(at); at.IsZero() || at.After(now) {
			at = now
		}
		if at.Before(s.Started) { // by a clock behind ours
			at = s.Started
		}
		if s.State == vigil.StateSubmitted && at.Before(s.Ended) { // the answer to a command, say, told it later
			s.Ended = at
			s.Version++
			return plan{session: s}, nil
		}
		next, err := s.Apply(vigil.Change{Event: vigil.EventSubmit, At: at, By: by})
		if err != nil {
			return plan{}, errNothing
		}
		return plan{session: next}, nil
	})
	h.repeated(s, p, err)
	return s, err
}

// Stopped records that proctoring of the attempt was switched off in the platform, while it
// goes on there. Where the report of its end was quicker, nobody is blamed for what lies between
// the two.
func (h *Hub) Stopped(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, p, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if at = whole(at); at.IsZero() || at.After(now) {
			at = now
		}
		if at.Before(s.Started) { // what was asked of the platform since then it did not do
			at = s.Started
		}
		next, err := s.Settled(e.Policy, now).Apply(vigil.Change{Event: vigil.EventStop, At: at, By: by, Reason: switchedOff})
		switch {
		case err == nil:
			return plan{session: next}, nil
		case s.State == vigil.StateSubmitted && s.Reason == "" && at.Before(s.Ended): // why nobody watched to the end
			s.Reason = switchedOff
			s.Version++
			return plan{session: s}, nil
		}
		return plan{}, errNothing
	})
	h.repeated(s, p, err)
	if err == nil && at.Before(s.Ended) {
		h.closeLedger(s, at)
	}
	return s, err
}

const switchedOff = "Proctoring was switched off in the learning platform."

// Deleted records that the platform has deleted the attempt. One that runs ends by that;
// one that a proctor has ended may be launched anew from then on.
func (h *Hub) Deleted(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		if s.Relaunch(time.Time{}) != vigil.RelaunchRefused {
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

// settle stores what time has made of a session, if anything.
func (h *Hub) settle(ctx context.Context, sessionID string) (vigil.Session, error) {
	s, _, err := h.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		next := s.Settled(e.Policy, now)
		if next.Version == s.Version {
			return plan{}, errNothing
		}
		return plan{session: next}, nil
	})
	return s, err
}

// SessionCreated tells the dashboards of a new session: later, if its exam cannot be read now.
func (h *Hub) SessionCreated(ctx context.Context, s vigil.Session) {
	e, err := h.exam(ctx, s.ExamID)
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
			e, err := h.exam(ctx, s.ExamID)
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
	r := protocol.RowOf(s, e.Policy, h.now())
	d := delta{session: s.ID, key: "new/" + s.ID, created: true, frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: r}), groups: groupsOf(s)}
	if room := h.lookup(s.ExamID); room != nil {
		room.order.RLock()
		defer room.order.RUnlock()
	}
	h.toProctors(s.ExamID, d)
}

// ReviewChanged tells the dashboards that the review of an incident of the session moved,
// so that their count of open incidents follows: later, if it cannot be read now.
func (h *Hub) ReviewChanged(ctx context.Context, sessionID string) {
	if err := h.reloadTally(ctx, sessionID); err != nil {
		h.tellLater(sessionID)
	}
}

// ExamChanged makes the exam's new settings count: at once for those who are connected, and
// soon for when the others are due.
func (h *Hub) ExamChanged(_ context.Context, e vigil.Exam) {
	if r := h.lookup(e.ID); r != nil {
		r.learn(e)
	}
	h.publish(e.ID, event{Kind: eventExam})
	h.tasks.Go(func() {
		if err := h.dueAnew(h.ctx, e); err != nil && h.ctx.Err() == nil {
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
