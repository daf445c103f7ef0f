package vigil

import (
	"slices"
	"time"
)

// Figures of attempts that nobody watches.
const (
	// UnwatchedAfter is how long an attempt may be open until somebody must be watching it.
	UnwatchedAfter = 30 * time.Second
	// UnknownAfter is the same where the platform does not say whether the attempt was opened:
	// it counts from when the student was sent there.
	UnknownAfter = 2 * time.Minute
	// SlowPage is how long the monitor of an honest student may take to connect: what ends
	// within it is no incident.
	SlowPage = 2 * time.Minute
	// RoomLeast and RoomWindow say when students who are not watched are a whole room's: so many
	// of them, and at least half of all, who began within this time of each other.
	RoomLeast  = 3
	RoomWindow = 2 * time.Minute
	// RoomLoading is how long a page takes to load: who began later than that ago is not counted.
	RoomLoading = 10 * time.Second
)

// BegunKnown tells whether the platform has said that the attempt has begun: by its report, or
// because one of its quiz pages has asked for a connection.
func (s Session) BegunKnown() bool {
	return !s.Opened.IsZero() || s.Plugin && !s.Started.IsZero()
}

// Open takes the platform's word that the attempt has been opened at a time, whenever it comes: it
// begins then, and one that had been canceled ended as it did. at is zero where the platform says
// that the attempt has begun, but not when. It tells whether that changes the session; saying it
// again does not.
func (s Session) Open(at time.Time, by Actor) (Session, bool) {
	told := !at.IsZero()
	switch {
	case !told:
		if !s.Started.IsZero() {
			return s, false
		}
		at = later(s.Sent, s.Ready)
	case !s.Opened.IsZero():
		return s, false
	}
	at = later(at, s.Created)
	if s.State.Ended() && at.After(s.Ended) { // by a clock ahead of ours
		at = s.Ended
	}
	next := s
	if _, fresh := s.State.Next(EventOpen); fresh {
		opened, err := s.Apply(Change{Event: EventOpen, At: later(at, s.Changed), By: by})
		if err != nil {
			return s, false
		}
		next = opened
		next.Started = at
	} else {
		next.Version++
		if next.Started.IsZero() || at.Before(next.Started) {
			next.Started = at
		}
	}
	if told {
		next.Opened = at
	}
	if !s.BegunKnown() && next.BegunKnown() { // nobody knew: what was noted is judged anew
		next = next.unjudged()
	}
	if s.State != StateCanceled || s.By.Role != RoleLMS { // what we concluded gives way
		return next, true
	}
	end := Change{Event: EventSubmit, At: s.Ended, By: s.By, Reason: s.Reason}
	if s.Reason != "" {
		end.Event = EventStop
	}
	over, err := next.Apply(end)
	if err != nil {
		return next, true
	}
	return over, true
}

// SentBack notes that the student was sent to the platform to begin. Of several times before the
// attempt begins the last one counts.
func (s Session) SentBack(at time.Time) (Session, bool) {
	if s.State.Ended() || !s.Started.IsZero() {
		return s, false
	}
	s = s.unjudged()
	s.Sent = at
	s.Version++
	return s, true
}

// unjudged takes back what was noted of nobody watching.
func (s Session) unjudged() Session {
	s.Unwatched, s.UnwatchedEnd, s.UnwatchedRoom = time.Time{}, time.Time{}, false
	return s
}

// WatchFrom is from when on somebody must watch, and how long that may take: from the opening of
// the attempt, or from when the student was sent to it where nobody says whether it was opened.
// Zero: not yet, or it is of before that was noted.
func (s Session) WatchFrom() (from time.Time, within time.Duration) {
	switch {
	case !s.Opened.IsZero():
		return s.Opened, UnwatchedAfter
	case s.Sent.IsZero():
		return time.Time{}, 0
	case s.BegunKnown():
		return later(s.Started, s.Sent), UnwatchedAfter
	}
	return s.Sent, UnknownAfter
}

// Seen tells whether a connection of the attempt has reported anything yet.
func (p Presence) Seen() bool { return !p.Reports.IsZero() || p.Watched > 0 }

// WatchDue is when the attempt counts as not watched if nobody connects until then: time that is
// explained by a fault that is not the student's, and time in which the attempt is paused, is not
// counted. Zero: it does not come to that, or is noted.
func (s Session) WatchDue(faults []Fault) time.Time {
	from, within := s.WatchFrom()
	switch {
	case from.IsZero(), s.Presence.Seen(), !s.Unwatched.IsZero(), s.State == StatePaused:
		return time.Time{}
	}
	away := slices.Clone(faults)
	for _, p := range s.Pauses {
		away = append(away, Fault{From: p.From, To: p.To})
	}
	slices.SortFunc(away, func(a, b Fault) int { return a.From.Compare(b.From) })
	due := from.Add(within)
	for _, f := range away {
		if f.To.After(from) && f.From.Before(due) {
			due = due.Add(f.To.Sub(later(f.From, from)))
			from = f.To
		}
	}
	return due
}

// Unseen notes that nobody watches the attempt, or watched it until it ended, if that is so by
// now. room tells that it is a whole room's case.
func (s Session) Unseen(faults []Fault, room bool, now time.Time) (Session, bool) {
	if s.State.Ended() {
		now = s.Ended
	}
	due := s.WatchDue(faults)
	if due.IsZero() || due.After(now) || s.State == StateCanceled {
		return s, false
	}
	s.Unwatched, _ = s.WatchFrom()
	s.UnwatchedRoom = room
	if s.State.Ended() {
		s.UnwatchedEnd = s.Ended
	}
	s.Version++
	return s, true
}

// NotWatched tells whether nobody watches the attempt, which goes on.
func (s Session) NotWatched() bool { return !s.Unwatched.IsZero() && s.UnwatchedEnd.IsZero() }

// Watches ends the time in which nobody watched: somebody does from a time on, or the attempt is
// over.
func (s Session) Watches(at time.Time) (Session, bool) {
	if !s.NotWatched() {
		return s, false
	}
	s.UnwatchedEnd = later(at, s.Unwatched)
	s.Version++
	return s, true
}

// Forgiven is why it is none of the student's doing that nobody watched for a while; empty: nothing
// says so.
func (s Session) Forgiven() string {
	switch {
	case s.Unwatched.IsZero():
		return "The attempt had not begun then."
	case s.State == StateCanceled:
		return "The attempt never began."
	case s.UnwatchedRoom:
		return "Several students of the exam could not connect at the same time."
	case !s.NotWatched() && s.Presence.Seen() && s.UnwatchedEnd.Sub(s.Unwatched) < SlowPage:
		return "The page took a while to connect, and was watched from then on."
	}
	return ""
}

// UnwatchedFor is how long nobody watched, as of now.
func (s Session) UnwatchedFor(now time.Time) time.Duration {
	switch {
	case s.Unwatched.IsZero():
		return 0
	case !s.UnwatchedEnd.IsZero():
		now = s.UnwatchedEnd
	case s.State.Ended():
		now = s.Ended
	}
	return max(0, now.Sub(s.Unwatched))
}

// WholeRoom tells whether an attempt that is not watched is one of a whole room's: at least
// RoomLeast of those who began within RoomWindow of it, and at least half, are not watched. Who
// began a moment ago, whose page may still be loading, is not counted.
func (s Session) WholeRoom(others []Session, now time.Time) bool {
	all, unseen := 0, 0
	for _, o := range others {
		began, _ := o.WatchFrom()
		if !s.Near(o) || now.Sub(began) < RoomLoading || o.State == StateCanceled {
			continue
		}
		all++
		if !o.Presence.Seen() {
			unseen++
		}
	}
	return unseen >= RoomLeast && 2*unseen >= all
}

// Near tells whether two attempts began at about the same time.
func (s Session) Near(o Session) bool {
	a, _ := s.WatchFrom()
	b, _ := o.WatchFrom()
	return !a.IsZero() && !b.IsZero() && a.Sub(b).Abs() <= RoomWindow
}

// Counted tells whether it is counted how long the attempt was watched. Attempts of before that
// was counted have no such figure.
func (s Session) Counted() bool {
	from, _ := s.WatchFrom()
	return !from.IsZero() && !s.Started.IsZero()
}

// openTo is until when the attempt was open, as of now.
func (s Session) openTo(now time.Time) time.Time {
	switch {
	case s.State.Ended() && !s.Ended.IsZero():
		return s.Ended
	case s.State == StateTimeUp:
		return s.Changed
	}
	return now
}

// OpenWithin is how much of a stretch the attempt was open and its clock ran.
func (s Session) OpenWithin(from, to time.Time) time.Duration {
	if s.Started.IsZero() {
		return 0
	}
	from, to = later(from, s.Started), earlier(to, s.openTo(to))
	if !from.Before(to) {
		return 0
	}
	return max(0, to.Sub(from)-s.PausedWithin(from, to))
}

// OpenFor is how long the attempt has been open, or was: the time in which its clock stood is not
// in it.
func (s Session) OpenFor(now time.Time) time.Duration {
	if s.Started.IsZero() {
		return 0
	}
	to := s.openTo(now)
	open := to.Sub(s.Started) - s.PausedTotal
	if s.State == StatePaused {
		open -= max(0, to.Sub(s.PausedAt))
	}
	return max(0, open)
}

// WatchedFor is how much of OpenFor somebody watched: a connection reported. Where it was lost, it
// counts to when the student was last heard.
func (s Session) WatchedFor(now time.Time) time.Duration {
	watched := s.Presence.Watched
	if p := s.Presence; !p.Reports.IsZero() {
		if !p.Reachable() {
			now = earlier(now, p.Since)
		}
		watched += s.OpenWithin(p.Reports, now)
	}
	return min(watched, s.OpenFor(now))
}

// Report notes that the connection reports, from now on: the quiz page's monitor has said who it is.
func (p Presence) Report(now time.Time) Presence {
	if p.Reports.IsZero() {
		p.Reports = now
	}
	return p
}

// Silent ends what the connection reported as of a time: the line is there, but since then the page's
// monitor has not answered. It counts again from the next Report on.
func (p Presence) Silent(s Session, since time.Time) Presence {
	if p.Reports.IsZero() {
		return p
	}
	p.Watched += max(time.Millisecond, s.OpenWithin(p.Reports, since))
	p.Reports = time.Time{}
	return p
}

// Count ends what the connection before reported, where a step took it away: what was watched of
// the attempt is added up. A page turn or a short drop takes nothing away.
func (p Presence) Count(was Presence, s Session, gap GapChange, now time.Time) Presence {
	if p.Reports.IsZero() {
		return p
	}
	var end time.Time
	switch {
	case p.Connection == ConnLost && was.Connection != ConnLost:
		end = earlier(now, later(p.Heard, p.Reports))
		if gap.Open {
			end = earlier(end, gap.Start)
		}
	case p.Connection == ConnClosed:
		end = earlier(now, p.Heard)
	case p.Connection == ConnOnline && p.Epoch > was.Epoch && (was.Connection == ConnDegraded || was.Connection == ConnNavigating) && now.Sub(was.Since) > UnwatchedAfter:
		end = was.Since // nobody was there to call them lost
	default:
		return p
	}
	p.Watched += max(time.Millisecond, s.OpenWithin(p.Reports, end)) // one that reported something was seen
	p.Reports = time.Time{}
	return p
}
