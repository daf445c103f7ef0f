package session

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/internal/instant"
	"vigil/realtime/protocol"
)

// An attempt that is open, and of which no connection has reported anything, counts as not watched
// after a while (vigil.Session.WatchDue). It is due work, so that it is noted whoever is connected,
// and also what came due while no server ran. What explains it on our side or the platform's is
// not counted; what many students of an exam have at once is noted as the room's, and is no incident.

// Opened records the platform's word that an attempt was opened at a time, by our clock, whenever it
// comes; zero: that it has begun, and not when. Saying it again changes nothing.
func (u *Service) Opened(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		if !at.IsZero() {
			at = instant.Whole(instant.Earlier(at, now))
		}
		next, news := s.Open(at, by)
		if !news {
			return plan{}, errNothing
		}
		p := plan{session: next.Settled(e.Policy, now)}
		if s.Started.IsZero() && !p.session.State.Ended() {
			p.session, p.deliveries = p.session.Unsent(now, u.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// SentBack records that the student was sent to the platform to begin. Where our plugin is not in
// the quiz page nothing else will tell that the attempt begins: it does now.
func (u *Service) SentBack(ctx context.Context, sessionID string, by vigil.Actor) (vigil.Session, error) {
	s, _, err := u.change(ctx, sessionID, func(s vigil.Session, e vigil.Exam, now time.Time) (plan, error) {
		s = s.Settled(e.Policy, now)
		next, news := s.SentBack(now)
		if !news {
			return plan{}, errNothing
		}
		p := plan{session: next}
		if !s.Plugin {
			begun, err := next.Apply(vigil.Change{Event: vigil.EventActivate, At: now, By: by})
			if err != nil {
				return plan{}, err
			}
			p.session, p.deliveries = begun.Unsent(now, u.cfg.NewID)
		}
		return p, nil
	})
	return s, err
}

// unwatchedMoved tells whether a change notes that nobody watches, or takes that back or ends it.
func unwatchedMoved(old, s vigil.Session) bool {
	return !s.Unwatched.Equal(old.Unwatched) || !s.UnwatchedEnd.Equal(old.UnwatchedEnd) || s.UnwatchedRoom != old.UnwatchedRoom
}

// dueRooms are the sessions of exams that were read while what is due is looked at, with what
// tells whether they are watched.
type dueRooms map[string][]vigil.Session

// of reads the sessions of an exam, once.
func (r dueRooms) of(ctx context.Context, u *Service, exam string) ([]vigil.Session, error) {
	if list, ok := r[exam]; ok {
		return list, nil
	}
	list := []vigil.Session{}
	for s, err := range vigil.EachOf(ctx, u.cfg.Store.SessionsOfExam, exam) {
		if err != nil {
			return nil, err
		}
		s = u.view.Live(s)
		if from, _ := s.WatchFrom(); !from.IsZero() {
			list = append(list, vigil.Session{
				ID: s.ID, State: s.State, Plugin: s.Plugin, Sent: s.Sent, Opened: s.Opened, Started: s.Started, Presence: s.Presence,
				Unwatched: s.Unwatched, UnwatchedEnd: s.UnwatchedEnd, UnwatchedRoom: s.UnwatchedRoom,
			})
		}
	}
	r[exam] = list
	return list, nil
}

// lookUnwatched notes that nobody watches an attempt, if that is so by now. It returns the session
// as it is then, and when it must be looked at again; zero: it need not be for this.
func (u *Service) lookUnwatched(ctx context.Context, s vigil.Session, rooms dueRooms) (vigil.Session, time.Time, error) {
	now, faults := u.now(), u.faults.Faults(s)
	if due := s.WatchDue(faults); due.IsZero() || due.After(now) {
		return s, due, nil
	}
	others, err := rooms.of(ctx, u, s.ExamID)
	if err != nil {
		return s, time.Time{}, err
	}
	room := s.WholeRoom(others, now)
	s, _, err = u.change(ctx, s.ID, func(s vigil.Session, _ vigil.Exam, now time.Time) (plan, error) {
		next, news := s.Unseen(faults, room, now)
		if !news {
			return plan{}, errNothing
		}
		return plan{session: next}, nil
	})
	if err != nil || !room {
		return s, time.Time{}, err
	}
	for i, o := range others { // who was noted before it was known that it is the room's case
		if o.UnwatchedRoom || !o.NotWatched() || !s.Near(o) {
			continue
		}
		_, _, err := u.change(ctx, o.ID, func(o vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
			if o.UnwatchedRoom || !o.NotWatched() {
				return plan{}, errNothing
			}
			o.UnwatchedRoom = true
			o.Version++
			return plan{session: o}, nil
		})
		if err != nil && !errors.Is(err, vigil.ErrNotFound) {
			return s, time.Time{}, err
		}
		others[i].UnwatchedRoom = true
	}
	return s, time.Time{}, nil
}

// The numbers of the signals by which a session's record says that it was not watched.
const (
	unwatchedStream = vigil.ServerStreamPrefix + "unwatched"

	unwatchedUnknown = 1 // and nobody knows whether the attempt had begun
	unwatchedKnown   = 2
	unwatchedRoom    = 3 // like many others
)

// recordUnwatched makes the record say what is known of an attempt that was not watched, and clears
// what turned out to be none of the student's doing. It may be called at any time.
func (u *Service) recordUnwatched(ctx context.Context, id string) error {
	s, err := u.cfg.Store.Session(ctx, id)
	if err != nil {
		return err
	}
	e, err := u.view.Exam(ctx, s.ExamID)
	if err != nil {
		return err
	}
	s = u.view.Live(s)
	moved := false
	if !s.Unwatched.IsZero() {
		signal := u.unwatchedSignal(s, e.Policy)
		stored, err := u.cfg.Store.AppendSignals(ctx, []vigil.Signal{signal})
		if err != nil {
			return err
		}
		if len(stored) == 1 && stored[0] == vigil.Stored {
			moved = true
			u.notify.SignalStored(signal)
		}
	}
	unknown := s.Forgiven()
	if s.BegunKnown() {
		unknown = "It was not known then whether the attempt had begun."
	}
	for seq, why := range map[int64]string{unwatchedUnknown: unknown, unwatchedKnown: s.Forgiven()} {
		if why == "" {
			continue
		}
		cleared, err := u.clearIncident(ctx, id, vigil.Signal{Stream: unwatchedStream, Seq: seq}.ID(), why)
		if err != nil {
			return err
		}
		moved = moved || cleared
	}
	if moved {
		if err := u.notify.Recount(ctx, id); err != nil {
			return err
		}
	}
	if s.State.Ended() {
		return nil // when its ledger is closed
	}
	return IgnoreNewer(u.cfg.Store.SetDue(ctx, id, s.Version, s.NextDue(e.Policy)))
}

// unwatchedSignal is what a session's record says of the time in which nobody watched it.
func (u *Service) unwatchedSignal(s vigil.Session, p vigil.Policy) vigil.Signal {
	out := vigil.Signal{
		SessionID: s.ID, ExamID: s.ExamID, Stream: unwatchedStream, Seq: unwatchedKnown, Kind: vigil.KindUnwatched,
		At: s.Unwatched, Received: u.now(),
	}
	if !s.UnwatchedEnd.IsZero() {
		out.Duration = s.UnwatchedFor(out.Received)
	}
	out.Severity = out.Rate(0)
	switch {
	case s.UnwatchedRoom:
		out.Seq, out.Severity, out.Data = unwatchedRoom, 0, protocol.Encode(map[string]bool{"room": true})
	case !s.BegunKnown():
		out.Seq, out.Severity, out.Data = unwatchedUnknown, severityUnknown, protocol.Encode(map[string]string{"begun": "unknown"})
	}
	out.Incident = out.Severity >= p.Attention
	return out
}

// severityUnknown is the severity where it is not known whether the attempt has begun.
const severityUnknown = 0.3

// clearIncident clears an incident for a reason, if there is one that nobody has reviewed. It
// tells whether it is cleared, now or by an earlier call.
func (u *Service) clearIncident(ctx context.Context, session, id, why string) (bool, error) {
	i, err := u.cfg.Store.Incident(ctx, session, id)
	if errors.Is(err, vigil.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if i.Review == vigil.ReviewCleared && i.Reviewer == system {
		return true, nil // a moment ago perhaps, by a write whose answer was lost
	}
	if i.Review != vigil.ReviewNone {
		return false, nil
	}
	if i, err = i.Decide(vigil.ReviewCleared, system, why, u.now()); err != nil {
		return false, err
	}
	return true, IgnoreNewer(u.cfg.Store.UpdateIncident(ctx, i))
}

// noteUnwatched has the record of a session say what a change of it means for that.
func (u *Service) noteUnwatched(id string) {
	u.cfg.Tasks.Aside(func() {
		err := u.cfg.Retry(u.cfg.Tasks.Context(), "not watched", func(ctx context.Context) error { return u.recordUnwatched(ctx, id) })
		if err != nil && u.cfg.Tasks.Context().Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			u.cfg.Log.Error("it is not in the record that an attempt is not watched", "session", id, "error", err)
		}
	})
}

// Watched ends the time in which nobody watched a session, now that a connection reports, which does so
// since a time.
func (u *Service) Watched(ctx context.Context, id string, from time.Time) error {
	_, _, err := u.change(ctx, id, func(s vigil.Session, _ vigil.Exam, _ time.Time) (plan, error) {
		next, news := s.Watches(from)
		if !news {
			return plan{}, errNothing
		}
		return plan{session: next}, nil
	})
	return err
}
