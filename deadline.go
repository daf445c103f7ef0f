package vigil

import (
	"slices"
	"time"
)

// Figures of expiry.
const (
	// UnheardExpiry ends a session that has no end of its own: so long after it was last
	// heard.
	UnheardExpiry = 12 * time.Hour
	// ExpiryGrace lets the platform's own report of the end arrive first.
	ExpiryGrace = 2 * time.Minute
	// ReportWait is how long a session whose time is up waits for the platform's report
	// before it counts as expired. A report that comes later still counts.
	ReportWait = 24 * time.Hour
)

// Report is what a platform says of an attempt's end, in an assertion or a page stamp
// (docs/assertion.md).
type Report struct {
	// Version is the format's: 1 of plugins that name no grants, and whose end moves with
	// a pause while it lasts.
	Version int
	// At is when the platform said it, by its clock. Reports are taken in this order.
	At time.Time
	// End is when the attempt ends: from version 2 on, while paused, as of the start of the
	// pause. Zero: it has no end.
	End time.Time
	// PausedAt is since when the platform has the attempt paused, by its clock; zero: it is
	// not paused, or the version is 1.
	PausedAt time.Time
	// Held tells that the platform paused it itself, because nobody watches the student's page.
	Held bool
	// Requests are the ids of the requests for extra time, and to let a paused attempt go on,
	// whose time End holds. Version 1 names none.
	Requests []string
}

// reportSettles is after how long a report holds what the platform did before it, whether
// or not it names the request: a plugin that was updated meanwhile does not know the ids of
// what it did before. It is longer than clocks may differ.
const reportSettles = 5 * time.Minute

// ReportEnd records the end of the attempt as the platform told it. A report that is older
// than the last one changes nothing. Nor does one that does not hold a pause that has
// ended here (the platform said so before it heard of the end of it): Apply has added that
// time. While both sides have the attempt paused, the end is the one from before the pause.
// Reports are applied to the session as it is stored, before Settled: they may bring a
// later end.
func (s Session) ReportEnd(r Report) Session {
	if r.At.Before(s.EndSeen) {
		return s
	}
	paused := s.State == StatePaused
	if !paused && !r.PausedAt.IsZero() || !r.holdsPauses(s) {
		return s
	}
	end := r.End
	if paused && r.Version < 2 && !end.IsZero() { // it moved with the pause
		end = end.Add(-max(0, r.At.Sub(s.PausedAt)))
	}
	return s.endsAt(end, r)
}

// endsAt is the session with the end that a report tells.
func (s Session) endsAt(end time.Time, r Report) Session {
	s.Grants = slices.Clone(s.Grants)
	for i, g := range s.Grants {
		s.Grants[i].Held = g.holds(r)
	}
	s.End, s.EndSeen = end, r.At
	return s
}

// holds tells whether a report's end holds the grant. Before grants had ids, a report held
// what the platform had confirmed before it.
func (g Grant) holds(r Report) bool {
	switch {
	case g.Own, g.State == GrantRefused:
		return false
	case g.ID != "" && r.Version >= 2:
		return slices.Contains(r.Requests, g.ID) || g.State == GrantConfirmed && g.At.Add(reportSettles).Before(r.At)
	}
	return g.Held || g.State == GrantConfirmed && g.At.Before(r.At)
}

// holdsPauses tells whether a report's end holds the session's last pause that has ended. Before requests
// had ids, it did if it was made after the pause.
func (r Report) holdsPauses(s Session) bool {
	if len(s.Pauses) == 0 { // none, or the session is of before they were remembered
		return s.PausedTotal == 0 || !r.At.Before(s.Changed)
	}
	last := s.Pauses[len(s.Pauses)-1]
	if last.ID != "" && r.Version >= 2 {
		return slices.Contains(r.Requests, last.ID) || last.To.Add(reportSettles).Before(r.At) || r.follows(last.Answered)
	}
	return !r.At.Before(last.To)
}

// follows tells whether a report was made after a moment of ours, however clocks differ.
func (r Report) follows(at time.Time) bool { return !at.IsZero() && r.At.After(at.Add(clocksApart)) }

// Told applies a report to the session as it is stored, and tells whether that changes it.
// What we concluded to be over goes on if the platform says so after that, and its end is
// not over either.
func (s Session) Told(r Report, p Policy, now time.Time) (Session, bool) {
	if r.begins(s) {
		if begun, ok := s.Open(time.Time{}, Actor{Role: RoleLMS, ID: s.PlatformID}); ok {
			if next, _ := begun.Told(r, p, now); next.State == StatePaused {
				return next, true
			}
		}
	}
	gone := s.State == StateExpired
	if s.State.Ended() && !gone || !s.News(r) && (!gone || !r.At.After(s.Ended)) {
		return s, false
	}
	if next, ok := s.corrected(r, now); ok {
		return next.endsAt(r.End, r), true
	}
	next := s.ReportEnd(r)
	next.Version++
	if gone {
		back, err := next.Apply(Change{Event: EventReopen, At: now, By: Actor{Role: RoleLMS, ID: s.PlatformID}})
		if err != nil || back.Settled(p, now).State != StateActive {
			return s, false
		}
		return back, true
	}
	return next.Settled(p, now), true
}

// begins tells whether a report says of a session that has not begun here that the attempt is
// held there: it has, though neither a page of it nor the report of its opening came here.
func (r Report) begins(s Session) bool {
	return r.Held && s.Started.IsZero() && !r.At.Before(s.EndSeen)
}

// contradicted tells whether a report says that the attempt is paused, which goes on here, or
// the reverse, and no request that is on its way explains it: an answer got lost for good, or
// somebody let the attempt go on in the platform. What the platform says a minute after it had its
// say about the pause is what it made of it, however clocks differ.
func (s Session) contradicted(r Report) bool {
	if r.Version < 2 || r.At.Before(s.EndSeen) {
		return false
	}
	if s.State == StatePaused && r.PausedAt.IsZero() {
		return r.follows(s.PauseAnswered)
	}
	n := len(s.Pauses)
	if r.PausedAt.IsZero() {
		return false
	}
	goesOn := s.State == StateActive || s.State == StateTimeUp || s.State == StateExpired
	if n == 0 {
		return r.Held && goesOn
	}
	last := s.Pauses[n-1]
	if r.Held && slices.Contains(r.Requests, last.ID) && goesOn {
		return true // it went on since, and was held again
	}
	switch s.State {
	case StatePaused: // by the pause before this one, which did not end there
		return r.follows(last.Answered) && !slices.Contains(r.Requests, last.ID) && r.PausedAt.Sub(last.From).Abs() < r.PausedAt.Sub(s.PausedAt).Abs()
	case StateActive, StateTimeUp, StateExpired:
		return last.ID == "" || r.follows(last.Answered)
	}
	return false
}

// corrected makes the session paused, or not, as the platform says that the attempt is.
func (s Session) corrected(r Report, now time.Time) (Session, bool) {
	if !s.contradicted(r) {
		return s, false
	}
	lms := Actor{Role: RoleLMS, ID: s.PlatformID}
	if r.PausedAt.IsZero() {
		next, err := s.Apply(Change{Event: EventResume, At: now, By: lms, Reason: "The learning platform let the attempt go on."})
		return next, err == nil
	}
	if r.Held && s.State != StatePaused {
		if s.State == StateTimeUp || s.State == StateExpired {
			s, _ = s.Apply(Change{Event: EventReopen, At: now, By: lms})
		}
		next, err := s.Apply(Change{Event: EventPause, At: now, By: lms, Reason: "The learning platform holds the attempt: nobody watches its quiz page."})
		next.PauseAnswered = r.At.Add(-clocksApart) // whatever it says later than this counts
		return next, err == nil
	}
	next := s.rejoin(len(s.Pauses)-1, now, now, lms, "The attempt is still paused in the learning platform.")
	return next, next.State == StatePaused
}

// News tells whether a report changes anything but the time of the last one.
func (s Session) News(r Report) bool {
	if r.At.Before(s.EndSeen) {
		return false
	}
	if s.contradicted(r) {
		return true
	}
	next := s.ReportEnd(r)
	return s.EndSeen.IsZero() || !next.End.Equal(s.End) || !slices.Equal(next.Grants, s.Grants)
}

// granted sums the grants that the reported end does not hold: those confirmed, and with
// pending also those not confirmed.
func (s Session) granted(pending bool) time.Duration {
	var sum time.Duration
	for _, g := range s.Grants {
		if !s.holds(g) && (g.State == GrantConfirmed || pending && g.State == GrantPending) {
			sum += g.length()
		}
	}
	return sum
}

// holds tells whether the reported end holds the grant: as noted with the report, and by
// time for grants of before they had ids.
func (s Session) holds(g Grant) bool {
	byTime := g.ID == "" && !g.Own && g.State == GrantConfirmed && !s.End.IsZero() && !s.EndSeen.IsZero()
	return g.Held || byTime && g.At.Before(s.EndSeen)
}

// base is the end of the attempt before grants, or zero where it has none. Without a
// report, the policy's duration counts from the start and pauses move it.
func (s Session) base(p Policy) time.Time {
	switch {
	case !s.End.IsZero():
		return s.End
	case s.EndSeen.IsZero() && p.DurationMinutes > 0 && !s.Started.IsZero():
		return s.Started.Add(time.Duration(p.DurationMinutes)*time.Minute + s.PausedTotal)
	}
	return time.Time{}
}

// Deadline is the end that the student's clock shows: the platform's last report and
// the grants that took effect since. It is zero where the attempt has no end.
func (s Session) Deadline(p Policy) time.Time {
	b := s.base(p)
	if b.IsZero() {
		return b
	}
	return b.Add(s.granted(false))
}

// Left is the time to the deadline; while paused it stands still. The second result is
// false where the attempt has no end.
func (s Session) Left(p Policy, now time.Time) (time.Duration, bool) {
	d := s.Deadline(p)
	if d.IsZero() {
		return 0, false
	}
	if s.State == StatePaused {
		now = s.PausedAt
	}
	return max(0, d.Sub(now)), true
}

// NextDue is when the session must be looked at though nothing happens: the moment at
// which Settled changes it, or at which it counts as not watched. Zero: never.
func (s Session) NextDue(p Policy) time.Time {
	due := s.endDue(p)
	if watch := s.WatchDue(nil); !s.State.Ended() && !watch.IsZero() && (due.IsZero() || watch.Before(due)) {
		return watch
	}
	return due
}

// endDue is the moment at which Settled changes the session; zero: never. Grants that the
// platform has not confirmed yet count, and a paused session never expires by its deadline.
func (s Session) endDue(p Policy) time.Time {
	switch b := s.base(p); {
	case s.State.Ended():
		return time.Time{}
	case s.State == StateTimeUp:
		return s.lastHeard().Add(ReportWait)
	case b.IsZero():
		return s.lastHeard().Add(UnheardExpiry)
	case s.State == StatePaused:
		return time.Time{}
	default:
		return b.Add(s.granted(true)).Add(ExpiryGrace)
	}
}

// lastHeard is when something last happened to the session or its student was last heard.
func (s Session) lastHeard() time.Time {
	heard := s.Created
	for _, t := range []time.Time{s.Changed, s.Presence.Heard} {
		if t.After(heard) {
			heard = t
		}
	}
	return heard
}

// Settled returns the session as it counts at a time. Time that runs out is stored by
// whoever sees to what is due, but every reader judges for itself as well. Where our plugin
// reports ends, a running attempt is not over by our word: its time is up, and it waits for
// the platform's. A later end lets it go on.
func (s Session) Settled(p Policy, now time.Time) Session {
	due := s.endDue(p)
	change := Change{Event: EventExpire, At: due, By: Actor{Role: RoleSystem}, Reason: "deadline"}
	switch d := s.Deadline(p); {
	case s.State == StateTimeUp && (d.IsZero() || now.Before(d.Add(ExpiryGrace))):
		change.Event, change.At, change.Reason = EventReopen, now, ""
	case due.IsZero() || now.Before(due):
		return s
	case s.base(p).IsZero() && s.Presence.Reachable():
		return s // it is heard now, and what is stored of that is old
	case s.State == StateActive && s.Plugin && !d.IsZero():
		change.Event, change.At = EventTimeUp, s.base(p).Add(s.granted(true))
	}
	if change.At.Before(s.Changed) { // an end that had passed before the last step
		change.At = s.Changed
	}
	out, err := s.Apply(change)
	if err != nil { // every state that has not ended can expire
		return s
	}
	return out
}

// pendingGrant tells whether the platform has yet to answer to a grant; with an empty
// id, to any.
func (s Session) pendingGrant(commandID string) bool {
	return slices.ContainsFunc(s.Grants, func(g Grant) bool {
		return g.State == GrantPending && (commandID == "" || g.CommandID == commandID)
	})
}

// grant is the grant of a command; the zero value: there is none.
func (s Session) grant(commandID string) Grant {
	if i := slices.IndexFunc(s.Grants, func(g Grant) bool { return g.CommandID == commandID }); i >= 0 {
		return s.Grants[i]
	}
	return Grant{}
}

// SettleGrant records the platform's answer to a grant, and what it made of it where it
// confirmed: nothing at all if earlier ones had been rounded up by as much. An unknown
// command id or an answer that came before changes nothing.
func (s Session) SettleGrant(commandID string, to GrantState, taken time.Duration, at time.Time) Session {
	s.Grants = slices.Clone(s.Grants)
	for i, g := range s.Grants {
		if g.CommandID == commandID && g.State == GrantPending {
			s.Grants[i].State, s.Grants[i].Taken, s.Grants[i].At = to, taken, at
			if to == GrantConfirmed && taken == 0 { // it was not asked for: no report will name it
				s.Grants[i].Held, s.Grants[i].ID = true, ""
			}
		}
	}
	return s
}

// PausedWithin is how much of a stretch the attempt's clock stood.
func (s Session) PausedWithin(from, to time.Time) time.Duration {
	pauses := s.Pauses
	if s.State == StatePaused {
		pauses = append(slices.Clone(pauses), Pause{From: s.PausedAt, To: to})
	}
	var sum time.Duration
	for _, p := range pauses {
		a, b := p.From, p.To
		if a.Before(from) {
			a = from
		}
		if b.After(to) {
			b = to
		}
		sum += max(0, b.Sub(a))
	}
	return sum
}

// WholeMinutes converts a grant to the whole minutes that Assessment Control can carry,
// rounded up. carry is what earlier grants rounded up too much; the result's carry is
// what it is once the platform took these minutes. Minutes may be 0 where the carry covers the grant.
func WholeMinutes(grant, carry time.Duration) (minutes int, newCarry time.Duration) {
	need := grant - carry
	if need <= 0 {
		return 0, -need
	}
	minutes = int((need + time.Minute - 1) / time.Minute)
	return minutes, time.Duration(minutes)*time.Minute - need
}
