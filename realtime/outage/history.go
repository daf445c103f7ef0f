package outage

import (
	"slices"
	"time"

	"vigil/realtime/internal/instant"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/lockorder"

	"vigil"
)

// History has the stretches in which this node could not store or admit anybody or was full,
// and those in which no node lived: whoever was away then was away because of a server outage. Stretches
// shorter than Least keep nobody away. The zero value is ready; all methods may be called at the same time.
type History struct {
	mu    lockorder.Mutex[lockorder.Leaf]
	since time.Time     // of the one that goes on; zero: there is none
	good  time.Time     // when something was stored the last time
	past  []vigil.Fault // newest last, maxOutages at most
	full  []vigil.Fault // from the first to the last who was turned away; likewise
}

// Least is the shortest outage that keeps anybody away.
const Least = time.Second

const (
	turnedAway = 30 * time.Second // who was turned away tries again after less
	maxOutages = 64
)

// Failed notes that something could not be stored that had been begun at a time: it hung
// since then, or since something was stored the last time.
func (o *History) Failed(began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = instant.Later(began, o.good)
	}
}

// Worked notes that something was stored.
func (o *History) Worked(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = instant.Later(o.good, now)
	if !o.since.IsZero() {
		o.addLocked(o.since, now)
		o.since = time.Time{}
	}
}

// TurnedAway notes that somebody was turned away because the node is full.
func (o *History) TurnedAway(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.full); n > 0 && now.Sub(o.full[n-1].To) <= turnedAway {
		o.full[n-1].To = instant.Later(o.full[n-1].To, now)
		return
	}
	o.full = lists.Newest(append(o.full, vigil.Fault{From: now, To: now, Cause: vigil.CauseServer}), maxOutages)
}

// Add notes an outage that was found out afterwards.
func (o *History) Add(from, to time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addLocked(from, to)
}

func (o *History) addLocked(from, to time.Time) {
	if f := (vigil.Fault{From: from, To: to, Cause: vigil.CauseServer}); outlasts(f) {
		o.past = lists.Newest(append(o.past, f), maxOutages)
	}
}

// On tells whether an outage goes on.
func (o *History) On(now time.Time) bool {
	_, on := o.began(now)
	return on
}

// began is when the outage began that goes on, if one does.
func (o *History) began(now time.Time) (since time.Time, on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.full); n > 0 && outlasts(o.full[n-1]) && now.Sub(o.full[n-1].To) <= turnedAway {
		since, on = o.full[n-1].From, true
	}
	if !o.since.IsZero() && now.Sub(o.since) >= Least && (!on || o.since.Before(since)) {
		since, on = o.since, true
	}
	return since, on
}

// State tells whether something can be stored, as far as is known, and whether the node was full a
// moment ago.
func (o *History) State(now time.Time) (saving, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.full)
	return o.since.IsZero(), n > 0 && now.Sub(o.full[n-1].To) <= turnedAway
}

// Lately tells whether an outage goes on, or ended so short a time ago that it still explains why
// somebody is not back.
func (o *History) Lately(now time.Time, grace time.Duration) bool {
	return slices.ContainsFunc(o.Faults(now, grace), func(f vigil.Fault) bool { return !now.Before(f.From) && now.Before(f.To) })
}

// Explains tells whether an outage goes on by which somebody may be away who was last heard at a
// time. Who had not answered a ping before it began was away by themselves until then, and the
// gap is divided when it ends.
func (o *History) Explains(heard, now time.Time, l vigil.Liveness) bool {
	since, on := o.began(now)
	return on && since.Sub(heard) < l.PingEvery+l.PongWait
}

// outlasts tells whether an outage is long enough to keep anybody away.
func outlasts(f vigil.Fault) bool { return f.To.Sub(f.From) >= Least }

// Faults are the outages, each with the time that its clients' pauses took to bring them
// back: they grow with the outage.
func (o *History) Faults(now time.Time, grace time.Duration) []vigil.Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]vigil.Fault, 0, len(o.past)+len(o.full)+1)
	for _, f := range slices.Concat(o.past, o.full) {
		if outlasts(f) {
			f.To = f.To.Add(min(grace, f.To.Sub(f.From)))
			out = append(out, f)
		}
	}
	if !o.since.IsZero() && now.Sub(o.since) >= Least {
		out = append(out, vigil.Fault{From: o.since, To: now.Add(grace), Cause: vigil.CauseServer})
	}
	return out
}

// Until is to when a loss because of a server outage, which began at a time and is explained to another, is
// explained where outages follow upon it: for whoever is lost they are one outage, and the pauses grow with it.
func (o *History) Until(began, until time.Time, grace time.Duration) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.past {
		if !f.From.After(until) && f.To.After(began) {
			until = instant.Later(until, f.To.Add(min(grace, f.To.Sub(began))))
		}
	}
	return until
}
