package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
)

// Time that runs out is due work: the store knows which session is to be looked at when,
// whoever is connected, and gives each to one node (Store.LeaseDue). What came due while no
// server ran is done at start, before the first socket.

// dueLease is for how long a session that is due is one node's.
const dueLease = 30 * time.Second

// dueAgain is when a session is looked at again that was due, and is not over: somebody is
// heard of whom the store knows nothing newer.
const dueAgain = time.Hour

// dueLoop does what is due, every DueEvery.
func (h *Hub) dueLoop() {
	tick := time.NewTicker(h.cfg.DueEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		if h.draining.Load() {
			continue
		}
		if err := h.workDue(h.ctx); err != nil && h.ctx.Err() == nil {
			h.log.Warn("sessions that are due cannot be looked at; tried again", "error", err)
		}
	}
}

// workDue looks at every session that is due now. One that cannot be stored keeps nobody else
// waiting: it comes again when its lease ends.
func (h *Hub) workDue(ctx context.Context) error {
	for {
		now := h.now()
		sessions, err := h.store.LeaseDue(ctx, now, now.Add(dueLease), h.cfg.Limits.Due)
		if err != nil {
			return err
		}
		rooms := dueRooms{}
		for _, s := range sessions {
			if err := h.dueOne(ctx, s, rooms); err != nil {
				if ctx.Err() != nil {
					return err
				}
				h.log.Warn("what is due of a session cannot be stored; tried again", "session", s.ID, "error", err)
			}
		}
		if len(sessions) < h.cfg.Limits.Due {
			return nil
		}
	}
}

// dueOne ends a session whose time is over. One that has ended is told once more, and its ledger
// closed: the node that ended it did not live to do so. A student who is connected to another server
// that lives is left to it: only that server knows whether they are heard, and it looks
// at its own.
func (h *Hub) dueOne(ctx context.Context, s vigil.Session, rooms dueRooms) error {
	if s.State.Ended() {
		return h.tellSession(ctx, s.ID)
	}
	exam, err := h.exam(ctx, s.ExamID)
	if err != nil {
		return err
	}
	if !s.Unwatched.IsZero() { // whoever noted it did not live to do this
		if err := h.settleUnwatched(ctx, s.ID); err != nil {
			return err
		}
	}
	if p := s.Presence; p.Node != h.boot && (p.Reachable() || p.Connection == vigil.ConnNavigating) && h.members.Alive(p.Node) {
		if next := s.NextDue(exam.Policy); next.After(h.now()) { // it was due only if nobody watched it
			return h.setDue(ctx, s, next)
		}
		return nil // its lease ends by itself
	}
	done, err := h.settle(ctx, s.ID)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && done.Version != s.Version {
		return nil // erased, or moved on, which has set the next time
	}
	if err != nil {
		return err
	}
	done, watch, err := h.lookUnwatched(ctx, h.Live(done), rooms)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && done.Version != s.Version {
		return nil
	}
	if err != nil {
		return err
	}
	next, now := h.Live(done).NextDue(exam.Policy), h.now()
	if !next.IsZero() && !next.After(now) {
		if next = watch; !next.After(now) {
			next = now.Add(dueAgain)
		}
	}
	return h.setDue(ctx, s, next)
}

// setDue stores when a session is due again, unless it has moved on, which has set that.
func (h *Hub) setDue(ctx context.Context, s vigil.Session, next time.Time) error {
	err := h.store.SetDue(ctx, s.ID, s.Version, next)
	if errors.Is(err, vigil.ErrConflict) || errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	return err
}

// dueAnew stores when the sessions of an exam are due by its settings as they are now.
func (h *Hub) dueAnew(ctx context.Context, e vigil.Exam) error {
	for page := (vigil.Page{}); ; {
		var sessions []vigil.Session
		var next string
		err := h.retry(ctx, "exam", func(ctx context.Context) (err error) {
			sessions, next, err = h.store.SessionsOfExam(ctx, e.ID, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, s := range sessions {
			at := s.NextDue(e.Policy)
			if s.State.Ended() || at.Equal(s.DueAt) {
				continue
			}
			err := h.retry(ctx, "due", func(ctx context.Context) error { return h.store.SetDue(ctx, s.ID, s.Version, at) })
			if err != nil && !errors.Is(err, vigil.ErrConflict) && !errors.Is(err, vigil.ErrNotFound) { // a newer one goes by the new settings
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}
