package vigil

import "time"

// Connection says whether we can reach a student. It is an axis of its own: a student
// who cannot be reached is still in the exam.
type Connection string

// The connection's values.
const (
	ConnNever      Connection = "never"      // has not connected yet
	ConnOnline     Connection = "online"     // answers
	ConnNavigating Connection = "navigating" // said goodbye to turn a page, back within seconds
	ConnDegraded   Connection = "degraded"   // missed one answer, or the TCP connection dropped just now
	ConnLost       Connection = "lost"       // out of reach
	ConnSuperseded Connection = "superseded" // this socket gave way to a newer one
	ConnClosed     Connection = "closed"     // ended in order, before the attempt began or after it was over
)

// Liveness holds the figures by which a silent peer is judged.
type Liveness struct {
	PingEvery     time.Duration // between two pings by the server; 10 s
	PongWait      time.Duration // until a pong counts as missed; 4 s
	NavigateGrace time.Duration // how long a page turn may take; 8 s
	DropGrace     time.Duration // from a dropped connection (degraded at once) to lost; 5 s
	LoadLimit     time.Duration // from the loss of who turned a page until the page counts as closed, by the student; 60 s
	ReturnGrace   time.Duration // from the end of an outage of ours until who has not come back is away by themselves; 30 s
}

// DefaultLiveness notices silence after at most 14 s and calls it lost after at most
// 24 s: one interval and one or two waits.
func DefaultLiveness() Liveness {
	return Liveness{
		PingEvery: 10 * time.Second, PongWait: 4 * time.Second, NavigateGrace: 8 * time.Second, DropGrace: 5 * time.Second,
		LoadLimit: time.Minute, ReturnGrace: 30 * time.Second,
	}
}

// WithDefaults fills in the figures that are zero.
func (l Liveness) WithDefaults() Liveness {
	d := DefaultLiveness()
	for _, f := range []struct{ v, standard *time.Duration }{
		{&l.PingEvery, &d.PingEvery},
		{&l.PongWait, &d.PongWait},
		{&l.NavigateGrace, &d.NavigateGrace},
		{&l.DropGrace, &d.DropGrace},
		{&l.LoadLimit, &d.LoadLimit},
		{&l.ReturnGrace, &d.ReturnGrace},
	} {
		if *f.v == 0 {
			*f.v = *f.standard
		}
	}
	return l
}

// Validate reports the first figure that makes no sense, as CodeInvalid.
func (l Liveness) Validate() error {
	for _, d := range []struct {
		field string
		v     time.Duration
	}{
		{"ping_every", l.PingEvery},
		{"pong_wait", l.PongWait},
		{"navigate_grace", l.NavigateGrace},
		{"drop_grace", l.DropGrace},
		{"load_limit", l.LoadLimit},
		{"return_grace", l.ReturnGrace},
	} {
		if d.v < 10*time.Millisecond || d.v > 5*time.Minute {
			return Invalid(d.field, "The time must lie between 10ms and 5m.")
		}
	}
	if l.PongWait >= l.PingEvery {
		return Invalid("pong_wait", "The wait for a pong must be shorter than the time between two pings.")
	}
	return nil
}

// Presence is what is known of a session's connection. It is kept beside the session
// and does not take part in its version: page turns must not make a proctor's command
// lose a race.
type Presence struct {
	Connection Connection
	Since      time.Time // when it took this value; within an epoch each value has a later one
	Heard      time.Time // when the student was last heard
	Epoch      int64     // of the connection that owns the session; the highest one wins
	Node       string    // where that connection is
	Cause      Cause     // of the silence, where there is one

	Reports time.Time     // since when connections have reported without a break; zero: none does. Page turns and short drops are no breaks
	Watched time.Duration // of the stretches before that: how much of the attempt they watched
}

// next is the time of the value that follows: now, or just after the present one where
// that was set by a clock ahead of ours, or in the same millisecond. So of two values of an
// epoch it can always be told which is the newer, whatever happens to them on the way to
// the store.
func (p Presence) next(now time.Time) time.Time {
	if least := p.Since.Add(time.Millisecond); now.Before(least) && !p.Since.IsZero() {
		return least
	}
	return now
}

// Reachable tells whether a frame sent now has a chance to arrive.
func (p Presence) Reachable() bool {
	return p.Connection == ConnOnline || p.Connection == ConnDegraded
}

// GapChange is what a step of a presence does to the ledger of gaps.
type GapChange struct {
	Open  bool // a gap begins at Start
	Close bool // the open gap ends at End
	Turn  bool // from here on the open gap is the student's, whoever's it was before
	Start time.Time
	End   time.Time
	Cause Cause
	Until time.Time // open: to when the cause holds (Gap.Until)
}

// Connect is a new connection of a higher epoch. It ends the gap if the session was
// lost. A page turn or a short drop leaves no gap. A connection of a lower epoch than
// the owner's came too late and changes nothing; whoever calls the other steps sees to
// it that they come from the connection that owns the session.
func (p Presence) Connect(now time.Time, epoch int64, node string) (Presence, GapChange) {
	var g GapChange
	if epoch < p.Epoch {
		return p, g
	}
	if p.Connection == ConnLost {
		g = GapChange{Close: true, End: now, Cause: p.Cause}
	}
	return Presence{Connection: ConnOnline, Since: now, Heard: now, Epoch: epoch, Node: node, Reports: p.Reports, Watched: p.Watched}, g
}

// Hear is any frame or pong from the student.
func (p Presence) Hear(now time.Time) (Presence, GapChange) {
	var g GapChange
	p.Heard = now
	switch p.Connection {
	case ConnLost:
		g = GapChange{Close: true, End: now, Cause: p.Cause}
		fallthrough
	case ConnDegraded:
		p.Connection, p.Since, p.Cause = ConnOnline, p.next(now), ""
	}
	return p, g
}

// Miss is a ping without a pong: the first one degrades, the second one loses. The gap
// begins when the student was last heard.
func (p Presence) Miss(now time.Time, l Liveness) (Presence, GapChange) {
	switch p.Connection {
	case ConnOnline:
		p.Connection, p.Since, p.Cause = ConnDegraded, p.next(now), CauseStudent
	case ConnDegraded:
		return p.lose(now, p.Heard, CauseStudent, l)
	}
	return p, GapChange{}
}

// Bye is an announced close. ByeNavigating leads to a page turn's grace. The others end the
// connection in order where the attempt does not run; in one that runs, whoever leaves by
// them is as away as by any other way, and has the grace of a drop. A goodbye is a frame like
// any other: Hear comes first, so that it ends the gap of a session that was lost. Without a
// connection a goodbye changes nothing, and a page turn that is announced again began at the first.
func (p Presence) Bye(now time.Time, reason ByeReason, running bool) Presence {
	switch p.Connection {
	case ConnOnline, ConnDegraded, ConnNavigating:
	default:
		return p
	}
	p.Heard = now
	if p.Connection == ConnNavigating && reason == ByeNavigating {
		return p
	}
	p.Since, p.Cause = p.next(now), ""
	switch {
	case reason == ByeNavigating:
		p.Connection = ConnNavigating
	case running:
		p.Connection, p.Cause = ConnDegraded, CauseStudent
	default:
		p.Connection = ConnClosed
	}
	return p
}

// Drop is a connection that ended without goodbye: degraded at once, lost when the
// grace is over (Expire). Cause says whose doing it was.
func (p Presence) Drop(now time.Time, cause Cause) Presence {
	switch p.Connection {
	case ConnOnline:
		p.Connection, p.Since, p.Cause = ConnDegraded, p.next(now), cause
	case ConnDegraded:
		p.Since = p.next(now)
		if cause == CauseServer { // a pong that we did not wait for is not the student's
			p.Cause = cause
		}
	}
	return p
}

// Due tells when Expire must be called for a presence that has no connection any
// more, and whether at all.
func (p Presence) Due(l Liveness) (time.Time, bool) {
	switch p.Connection {
	case ConnNavigating:
		return p.Since.Add(l.NavigateGrace), true
	case ConnDegraded:
		return p.Since.Add(l.DropGrace), true
	case ConnLost:
		if hold := l.holds(p.Cause); hold > 0 {
			return p.Since.Add(hold), true
		}
	}
	return time.Time{}, false
}

// Turned is how a page turn explains an absence that began without a goodbye. A browser lets
// go of a page when the next one begins to arrive, so its connection ends about when the
// platform answered; what it says then may be lost on a slow link. page is from when the
// platform was asked for the page that came back to when it had answered. False: whoever went
// away had not asked for it, or had waited for it for too long.
func (l Liveness) Turned(began time.Time, page Fault) (Fault, bool) {
	if began.Before(page.From.Add(-l.DropGrace)) || began.After(page.To.Add(l.NavigateGrace)) {
		return Fault{}, false
	}
	return Fault{From: began, To: later(began.Add(l.NavigateGrace+l.LoadLimit), page.To.Add(l.NavigateGrace)), Cause: CauseUnclear}, true
}

// holds is for how long from the loss on a cause explains that somebody is away; 0: for as
// long as it lasts. After that it is the student who stays away.
func (l Liveness) holds(c Cause) time.Duration {
	switch c {
	case CauseServer:
		return l.ReturnGrace
	case CauseUnclear, CauseLMS:
		return l.LoadLimit
	}
	return 0
}

// Expire ends the grace of a page turn or a drop: nobody came back in time. For who is lost
// by somebody else's fault it ends the time in which that explains the absence.
func (p Presence) Expire(now time.Time, l Liveness) (Presence, GapChange) {
	due, ok := p.Due(l)
	if !ok || now.Before(due) {
		return p, GapChange{}
	}
	switch {
	case p.Connection == ConnLost:
		p.Since, p.Cause = p.next(now), CauseStudent
		return p, GapChange{Turn: true, Start: due, Cause: CauseStudent}
	case p.Connection == ConnNavigating:
		return p.lose(now, p.Since, CauseUnclear, l)
	case p.Cause == "":
		return p.lose(now, p.Since, CauseStudent, l)
	}
	return p.lose(now, p.Since, p.Cause, l)
}

// Astray is the end of a drop's grace for who was sent away by us, for a fault that has passed: they
// could have been back, and nobody knows why they are not. A page turn, say, began while they had
// no connection to announce it. The gap begins now: what came before is ours.
func (p Presence) Astray(now time.Time, l Liveness) (Presence, GapChange) {
	if p.Connection != ConnDegraded {
		return p, GapChange{}
	}
	return p.lose(now, now, CauseUnclear, l)
}

// NodeGone is the end of the node that held the connection: lost, and not the student's
// fault for as long as it takes to come back elsewhere. last is when the node was last known
// to live, and who answered it then was heard then.
func (p Presence) NodeGone(now, last time.Time, l Liveness) (Presence, GapChange) {
	switch p.Connection {
	case ConnOnline, ConnDegraded, ConnNavigating:
		if p.Connection == ConnOnline && last.After(p.Heard) {
			p.Heard = last
		}
		return p.lose(now, last, CauseServer, l)
	}
	return p, GapChange{}
}

// Ended is the end of the attempt while its student was away: nobody is waited for any
// more, and a gap that is open ends with the attempt. A connection stays as it is.
func (p Presence) Ended(now time.Time) (Presence, GapChange) {
	var g GapChange
	switch p.Connection {
	case ConnLost:
		g = GapChange{Close: true, End: now, Cause: p.Cause}
	case ConnDegraded, ConnNavigating:
	default:
		return p, g
	}
	p.Connection, p.Since, p.Cause = ConnClosed, p.next(now), ""
	return p, g
}

func (p Presence) lose(now, start time.Time, cause Cause, l Liveness) (Presence, GapChange) {
	p.Connection, p.Since, p.Cause = ConnLost, p.next(now), cause
	g := GapChange{Open: true, Start: start, Cause: cause}
	g.Until, _ = p.Due(l)
	return p, g
}

// Still keeps somebody lost by a fault that goes on, or is known by now to be another's.
func (p Presence) Still(now time.Time, cause Cause) Presence {
	p.Since, p.Cause = p.next(now), cause
	return p
}

// Blame changes whose fault it is that somebody is lost who was lost just now: what the
// caller knows of our own outages and of the platform's is not known here.
func (p Presence) Blame(g GapChange, cause Cause, l Liveness) (Presence, GapChange) {
	if p.Connection == ConnLost && g.Open {
		p.Cause, g.Cause = cause, cause
		g.Until, _ = p.Due(l)
	}
	return p, g
}

// ByeReason is why a client closes its socket.
type ByeReason string

// The reasons. Navigating is a page turn; closing is a window that is closed or a
// monitor that stops; finished is the end of the attempt.
const (
	ByeNavigating ByeReason = "navigating"
	ByeClosing    ByeReason = "closing"
	ByeFinished   ByeReason = "finished"
)

// Guest says of a token for a page of ours (the check-in) in what browser that page is. Such a
// page tests the way, and waits for admission. It never owns an attempt that runs in the
// platform's quiz page.
type Guest string

// The values. Of GuestOther and GuestSame the visit's cookie tells; without one, or after an
// update, nothing is known but what the connection shows.
const (
	GuestUnknown Guest = "unknown"
	GuestSame    Guest = "same"  // the browser in which the attempt was begun or last continued
	GuestOther   Guest = "other" // another one
)

// Known tells whether g is one of the values.
func (g Guest) Known() bool {
	return g == GuestUnknown || g == GuestSame || g == GuestOther
}
