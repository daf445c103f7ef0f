package vigil

import (
	"slices"
	"time"
)

// Figures of expiry.
const (
	// UnheardExpiry ends a session whose platform reports no end: so long after it was
	// last heard.
	UnheardExpiry = 12 * time.Hour
	// ExpiryGrace lets the platform's own report of the end arrive first.
	ExpiryGrace = 2 * time.Minute
)

// ReportEnd records the end of the attempt as the platform told it at a time (in an
// assertion). A zero end means that the attempt has none. A report that is older than
// the last one changes nothing, nor does one from before the last pause ended: it does
// not hold the paused time, which Apply has added. While paused, the platform's end is
// the one from before the pause. Reports are applied to the session as it is stored,
// before Settled: they may bring a later end.
func (s Session) ReportEnd(end, at time.Time) Session {
	if at.Before(s.EndSeen) {
		return s
	}
	if s.State == StateActive && s.PausedTotal > 0 && at.Before(s.Changed) {
		return s
	}
	s.End, s.EndSeen = end, at
	return s
}

// granted sums the grants that the platform's last report does not hold yet: those
// confirmed after it, and with pending also those not confirmed.
func (s Session) granted(pending bool) time.Duration {
	var sum time.Duration
	for _, g := range s.Grants {
		switch g.State {
		case GrantConfirmed:
			if s.EndSeen.IsZero() || s.End.IsZero() || !g.At.Before(s.EndSeen) {
				sum += g.Time
			}
		case GrantPending:
			if pending {
				sum += g.Time
			}
		}
	}
	return sum
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

// Settled returns the session as it counts at a time: expiry is judged whenever a
// session is read, so nothing has to scan for it. Grants that the platform has not
// confirmed yet count, and a paused session never expires by its deadline.
func (s Session) Settled(p Policy, now time.Time) Session {
	if s.State.Ended() {
		return s
	}
	var end time.Time
	if b := s.base(p); !b.IsZero() {
		if s.State == StatePaused {
			return s
		}
		end = b.Add(s.granted(true)).Add(ExpiryGrace)
	} else {
		heard := s.Created
		for _, t := range []time.Time{s.Changed, s.Presence.Heard} {
			if t.After(heard) {
				heard = t
			}
		}
		end = heard.Add(UnheardExpiry)
	}
	if now.Before(end) {
		return s
	}
	if end.Before(s.Changed) { // an end that had passed before the last step
		end = s.Changed
	}
	out, err := s.Apply(Change{Event: EventExpire, At: end, By: Actor{Role: RoleSystem}, Reason: "deadline"})
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

// SettleGrant records the platform's answer to a grant. An unknown command id or an
// answer that came before changes nothing.
func (s Session) SettleGrant(commandID string, to GrantState, at time.Time) Session {
	s.Grants = slices.Clone(s.Grants)
	for i, g := range s.Grants {
		if g.CommandID == commandID && g.State == GrantPending {
			s.Grants[i].State, s.Grants[i].At = to, at
		}
	}
	return s
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
