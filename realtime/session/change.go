package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil/realtime/internal/instant"

	"vigil"
)

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
func (u *Service) change(ctx context.Context, id string, f func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error)) (vigil.Session, plan, error) {
	for range maxConflicts {
		stored, err := u.cfg.Store.Session(ctx, id)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		e, err := u.view.Exam(ctx, stored.ExamID)
		if err != nil {
			return vigil.Session{}, plan{}, err
		}
		s := u.view.Live(stored)
		p, err := f(s, e, u.now())
		if errors.Is(err, errNothing) {
			return s, p, nil
		}
		if err != nil {
			return s, plan{}, err
		}
		if p.session.State.Ended() && !stored.State.Ended() { // what waited for a beginning is asked for no more
			var kept []vigil.Delivery
			p.session, kept = p.session.Unsent(u.now(), u.cfg.NewID)
			p.deliveries = append(p.deliveries, kept...)
		}
		if p.session.Version != stored.Version {
			if p.session.State.Ended() {
				p.session, _ = p.session.Unseen(u.faults.Faults(p.session), false, u.now())
			}
			p.session.DueAt = p.session.NextDue(e.Policy)
			if p.session.State.Ended() || unwatchedMoved(stored, p.session) { // until its ledger is closed, or its record says so, should this node not live to do it
				p.session.DueAt = instant.Whole(u.now().Add(dueLease))
			}
		}
		began := u.now()
		err = u.cfg.Store.Transition(ctx, vigil.Transition{
			Session: p.session, From: stored.Version, Command: p.command, Deliveries: p.deliveries, Gaps: p.gaps, NewGaps: p.newGaps,
		})
		if err != nil && vigil.Transient(err) {
			err = u.ambiguous(ctx, p, err)
		}
		u.cfg.Noted(began, err)
		if errors.Is(err, vigil.ErrConflict) {
			continue
		}
		if err != nil {
			if vigil.Transient(err) {
				u.notify.RetellLater(id) // it may be stored all the same
			}
			return s, plan{}, err
		}
		u.announce(e, stored, p)
		return p.session, p, nil
	}
	return vigil.Session{}, plan{}, errBusy
}

// ambiguous finds out whether a transition was stored whose answer was not good: nil if it
// was, CodeExists if its command is there, and else the error that there was.
func (u *Service) ambiguous(ctx context.Context, p plan, failed error) error {
	if p.command != nil {
		if _, err := u.cfg.Store.Command(ctx, p.session.ID, p.command.ID); err == nil {
			return vigil.Wrap(failed, vigil.CodeExists, "The command is there already.")
		}
		return failed
	}
	s, err := u.cfg.Store.Session(ctx, p.session.ID)
	if err == nil && isStored(s, p.session) {
		return nil
	}
	return failed
}

// isStored tells whether a session as it is stored is the one that was to be stored, and not
// another change that was made from the same one.
func isStored(s, p vigil.Session) bool {
	return s.Version == p.Version && s.Opened.Equal(p.Opened) && s.Sent.Equal(p.Sent) && !unwatchedMoved(s, p) && s.State == p.State && s.Changed.Equal(p.Changed) && s.By == p.By && s.Reason == p.Reason &&
		s.Ended.Equal(p.Ended) && s.PausedAt.Equal(p.PausedAt) && s.PausedTotal == p.PausedTotal &&
		s.End.Equal(p.End) && s.EndSeen.Equal(p.EndSeen) && s.Carry == p.Carry && s.Name == p.Name && s.PlatformID == p.PlatformID &&
		slices.EqualFunc(s.Grants, p.Grants, func(a, b vigil.Grant) bool {
			return a.CommandID == b.CommandID && a.ID == b.ID && a.State == b.State && a.Held == b.Held && a.Taken == b.Taken
		}) &&
		slices.EqualFunc(s.Consents, p.Consents, func(a, b vigil.Consent) bool { return a.Notice == b.Notice && a.At.Equal(b.At) })
}

// announce has everyone told of what changed, and sees to what follows from it.
func (u *Service) announce(e vigil.Exam, old vigil.Session, p plan) {
	s := p.session
	u.observeWatch(old, s)
	u.notify.SessionChanged(e, old, s, p.told)
	if at := Over(e.Policy, s); s.Version != old.Version && !at.IsZero() {
		u.CloseLedger(s, at)
	}
	if !s.State.Ended() && unwatchedMoved(old, s) {
		u.noteUnwatched(s.ID)
	}
	for _, g := range slices.Concat(p.gaps, p.newGaps) {
		u.notify.GapChanged(g)
	}
	if len(p.deliveries) > 0 {
		u.wakeQueue()
	}
}

// observeWatch tells what a change of a session means for whether it is watched.
func (u *Service) observeWatch(old, s vigil.Session) {
	open := func(s vigil.Session) bool { return s.NotWatched() && !s.State.Ended() }
	began := old.Unwatched.IsZero() && !s.Unwatched.IsZero()
	if began {
		u.cfg.Observer.UnwatchedBegan(s.UnwatchedRoom)
	}
	if (began || open(old)) && !open(s) {
		u.cfg.Observer.UnwatchedEnded()
	}
}

// repeated sees to a report of an end that changed nothing: the server that stored it may have
// ended before anybody was told.
func (u *Service) repeated(s vigil.Session, p plan, err error) {
	if err == nil && p.session.ID == "" && s.State.Ended() {
		u.notify.RetellLater(s.ID)
	}
}
