package session

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
func (u *Service) dueLoop() {
	tick := time.NewTicker(u.cfg.DueEvery)
	defer tick.Stop()
	for {
		select {
		case <-u.cfg.Tasks.Context().Done():
			return
		case <-tick.C:
		}
		if u.cfg.Draining() {
			continue
		}
		if err := u.WorkDue(u.cfg.Tasks.Context()); err != nil && u.cfg.Tasks.Context().Err() == nil {
			u.cfg.Log.Warn("sessions that are due cannot be looked at; tried again", "error", err)
		}
	}
}

// WorkDue looks at every session that is due now. One that cannot be stored keeps nobody else
// waiting: it comes again when its lease ends.
func (u *Service) WorkDue(ctx context.Context) error {
	for {
		now := u.now()
		sessions, err := u.cfg.Store.LeaseDue(ctx, now, now.Add(dueLease), u.cfg.Limits.Due)
		if err != nil {
			return err
		}
		rooms := dueRooms{}
		for _, s := range sessions {
			if err := u.dueOne(ctx, s, rooms); err != nil {
				if ctx.Err() != nil {
					return err
				}
				u.cfg.Log.Warn("what is due of a session cannot be stored; tried again", "session", s.ID, "error", err)
			}
		}
		if len(sessions) < u.cfg.Limits.Due {
			return nil
		}
	}
}

// dueOne ends a session whose time is over. One that has ended is told once more, and its ledger
// closed: the node that ended it did not live to do so. A student who is connected to another server
// that lives is left to it: only that server knows whether they are heard, and it looks
// at its own.
func (u *Service) dueOne(ctx context.Context, s vigil.Session, rooms dueRooms) error {
	if s.State.Ended() {
		return u.notify.Retell(ctx, s.ID)
	}
	exam, err := u.view.Exam(ctx, s.ExamID)
	if err != nil {
		return err
	}
	if !s.Unwatched.IsZero() { // whoever noted it did not live to do this
		if err := u.recordUnwatched(ctx, s.ID); err != nil {
			return err
		}
	}
	if p := s.Presence; p.Node != u.cfg.Node && (p.Reachable() || p.Connection == vigil.ConnNavigating) && u.faults.Alive(p.Node) {
		if next := s.NextDue(exam.Policy); next.After(u.now()) { // it was due only if nobody watched it
			return u.setDue(ctx, s, next)
		}
		return nil // its lease ends by itself
	}
	done, err := u.Settle(ctx, s.ID)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && done.Version != s.Version {
		return nil // erased, or moved on, which has set the next time
	}
	if err != nil {
		return err
	}
	done, watch, err := u.lookUnwatched(ctx, u.view.Live(done), rooms)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && done.Version != s.Version {
		return nil
	}
	if err != nil {
		return err
	}
	next, now := u.view.Live(done).NextDue(exam.Policy), u.now()
	if !next.IsZero() && !next.After(now) {
		if next = watch; !next.After(now) {
			next = now.Add(dueAgain)
		}
	}
	return u.setDue(ctx, s, next)
}

// setDue stores when a session is due again, unless it has moved on, which has set that.
func (u *Service) setDue(ctx context.Context, s vigil.Session, next time.Time) error {
	err := u.cfg.Store.SetDue(ctx, s.ID, s.Version, next)
	if errors.Is(err, vigil.ErrConflict) || errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	return err
}

// Reschedule stores when the sessions of an exam are due by its settings as they are now.
func (u *Service) Reschedule(ctx context.Context, e vigil.Exam) error {
	sessions := vigil.Each(func(page vigil.Page) (list []vigil.Session, next string, err error) {
		err = u.cfg.Retry(ctx, "exam", func(ctx context.Context) error {
			list, next, err = u.cfg.Store.SessionsOfExam(ctx, e.ID, page)
			return err
		})
		return list, next, err
	})
	for s, err := range sessions {
		if err != nil {
			return err
		}
		at := s.NextDue(e.Policy)
		if s.State.Ended() || at.Equal(s.DueAt) {
			continue
		}
		err := u.cfg.Retry(ctx, "due", func(ctx context.Context) error { return u.cfg.Store.SetDue(ctx, s.ID, s.Version, at) })
		if err != nil && !errors.Is(err, vigil.ErrConflict) && !errors.Is(err, vigil.ErrNotFound) { // a newer one goes by the new settings
			return err
		}
	}
	return nil
}

// Run begins the work that comes due: deliveries, and time that runs out.
func (u *Service) Run() {
	u.cfg.Tasks.Go(u.deliverLoop)
	u.cfg.Tasks.Go(u.dueLoop)
}
