package session

import (
	"context"
	"time"

	"vigil/realtime/internal/instant"

	"vigil"
)

// Apply takes one step of a session's life (a consent, the activation at the first
// assertion, ...) and tells everyone connected. It returns the session as it is then. A
// step that the state does not allow is CodeIllegal; a race with other changes is
// resolved here. Extra time that was granted before the attempt began is asked for with the
// step that begins it.
func (u *Service) Apply(ctx context.Context, sessionID string, c vigil.Change) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if c.At.IsZero() {
			c.At = now
		}
		next, err := s.Settled(e.Policy, now).Apply(c)
		if err != nil {
			return plan{}, err
		}
		p := plan{session: next}
		if c.Event == vigil.EventActivate {
			p.session, p.deliveries = next.Unsent(now, u.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// Relaunched takes over what a further launch of the attempt says: edit changes a session as
// it is stored, and tells whether it did. One that we concluded to be over goes on, because
// the platform has launched it.
func (u *Service) Relaunched(ctx context.Context, sessionID string, edit func(s vigil.Session) (vigil.Session, bool)) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
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
func (u *Service) ReportEnd(ctx context.Context, sessionID string, r vigil.Report) (vigil.Session, error) {
	began := u.now()
	s, err := u.TakeReport(ctx, sessionID, r)
	u.faults.Refused(ctx, sessionID, began, err) // who asks for a token brings the report
	return s, err
}

// TakeReport is ReportEnd for a report that came with a page of the quiz: nobody is refused for it.
// The errors are those of the store, and CodeNotFound.
func (u *Service) TakeReport(ctx context.Context, sessionID string, r vigil.Report) (vigil.Session, error) {
	r.End, r.At, r.PausedAt = instant.Whole(r.End), instant.Whole(r.At), instant.Whole(r.PausedAt)
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		next, news := s.Told(r, e.Policy, now)
		if !news {
			return plan{}, errNothing
		}
		p := plan{session: next}
		if s.Started.IsZero() && !next.Started.IsZero() { // nobody had told us that it was opened
			p.session, p.deliveries = next.Unsent(now, u.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// Ended records that the attempt ended in order, by whoever reported it (the platform, or
// the student's own return), and when: the platform's word counts whenever it comes, also over
// our own conclusion that the time was over. The student's socket is told and closed. For a
// session that was ended otherwise it changes nothing.
func (u *Service) Ended(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, p, err := u.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, now time.Time) (plan, error) {
		if at = instant.Whole(at); at.IsZero() || at.After(now) {
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
	u.repeated(s, p, err)
	return s, err
}

// Stopped records that proctoring of the attempt was switched off in the platform, while it
// goes on there. Where the report of its end was quicker, nobody is blamed for what lies between
// the two.
func (u *Service) Stopped(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, p, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if at = instant.Whole(at); at.IsZero() || at.After(now) {
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
	u.repeated(s, p, err)
	if err == nil && at.Before(s.Ended) {
		u.CloseLedger(s, at)
	}
	return s, err
}

const switchedOff = "Proctoring was switched off in the learning platform."

// Deleted records that the platform has deleted the attempt. One that runs ends by that;
// one that a proctor has ended may be launched anew from then on.
func (u *Service) Deleted(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		if s.Relaunch(time.Time{}) != vigil.RelaunchRefused {
			return plan{}, errNothing
		}
		next, err := s.Apply(vigil.Change{Event: vigil.EventDelete, At: at, By: by, Reason: s.Reason})
		return plan{session: next}, err
	})
	if err != nil {
		return s, err
	}
	return u.Ended(ctx, sessionID, by, at)
}

// Settle stores what time has made of a session, if anything.
func (u *Service) Settle(ctx context.Context, sessionID string) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		next := s.Settled(e.Policy, now)
		if next.Version == s.Version {
			return plan{}, errNothing
		}
		return plan{session: next}, nil
	})
	return s, err
}

// Agreed records that the student agreed to a version of the check-in's notice, and makes a
// session that was only created ready. One who has agreed to it before changes nothing. A
// session that has ended is CodeIllegal.
func (u *Service) Agreed(ctx context.Context, sessionID string, c vigil.Consent, by vigil.Actor) (vigil.Session, error) {
	c.At = instant.Whole(c.At)
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
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
