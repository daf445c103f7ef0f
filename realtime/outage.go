package realtime

import (
	"slices"
	"sync"
	"time"

	"vigil"
)

// outages are the stretches in which this node could not store or admit anybody or was full,
// and those in which no node lived: whoever was away then was away by our fault. Stretches shorter
// than outageLeast keep nobody away.
type outages struct {
	mu    sync.Mutex
	since time.Time     // of the one that goes on; zero: there is none
	good  time.Time     // when something was stored the last time
	past  []vigil.Fault // newest last, maxOutages at most
	full  []vigil.Fault // from the first to the last who was turned away; likewise
}

const (
	outageLeast = time.Second
	turnedAway  = 30 * time.Second // who was turned away tries again after less
	maxOutages  = 64
)

// failed notes that something could not be stored that had been begun at a time: it hung
// since then, or since something was stored the last time.
func (o *outages) failed(began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = later(began, o.good)
	}
}

// worked notes that something was stored.
func (o *outages) worked(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = later(o.good, now)
	if !o.since.IsZero() {
		o.addLocked(o.since, now)
		o.since = time.Time{}
	}
}

// turned notes that somebody was turned away because the node is full.
func (o *outages) turned(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.full); n > 0 && now.Sub(o.full[n-1].To) <= turnedAway {
		o.full[n-1].To = later(o.full[n-1].To, now)
		return
	}
	o.full = last(append(o.full, vigil.Fault{From: now, To: now, Cause: vigil.CauseServer}), maxOutages)
}

// add notes an outage that was found out afterwards.
func (o *outages) add(from, to time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addLocked(from, to)
}

func (o *outages) addLocked(from, to time.Time) {
	if f := (vigil.Fault{From: from, To: to, Cause: vigil.CauseServer}); outlasts(f) {
		o.past = last(append(o.past, f), maxOutages)
	}
}

// on tells whether an outage goes on.
func (o *outages) on(now time.Time) bool {
	_, on := o.began(now)
	return on
}

// began is when the outage began that goes on, if one does.
func (o *outages) began(now time.Time) (since time.Time, on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.full); n > 0 && outlasts(o.full[n-1]) && now.Sub(o.full[n-1].To) <= turnedAway {
		since, on = o.full[n-1].From, true
	}
	if !o.since.IsZero() && now.Sub(o.since) >= outageLeast && (!on || o.since.Before(since)) {
		since, on = o.since, true
	}
	return since, on
}

// state tells whether something can be stored, as far as is known, and whether the node was full a
// moment ago.
func (o *outages) state(now time.Time) (saving, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.full)
	return o.since.IsZero(), n > 0 && now.Sub(o.full[n-1].To) <= turnedAway
}

// lately tells whether an outage goes on, or ended so short a time ago that it still explains why
// somebody is not back.
func (o *outages) lately(now time.Time, grace time.Duration) bool {
	return slices.ContainsFunc(o.faults(now, grace), func(f vigil.Fault) bool { return !now.Before(f.From) && now.Before(f.To) })
}

// explains tells whether an outage goes on by which somebody may be away who was last heard at a
// time. Who had not answered a ping before it began was away by themselves until then, and the
// gap is divided when it ends.
func (o *outages) explains(heard, now time.Time, l vigil.Liveness) bool {
	since, on := o.began(now)
	return on && since.Sub(heard) < l.PingEvery+l.PongWait
}

// outlasts tells whether an outage is long enough to keep anybody away.
func outlasts(f vigil.Fault) bool { return f.To.Sub(f.From) >= outageLeast }

// faults are the outages, each with the time that its clients' pauses took to bring them
// back: they grow with the outage.
func (o *outages) faults(now time.Time, grace time.Duration) []vigil.Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]vigil.Fault, 0, len(o.past)+len(o.full)+1)
	for _, f := range slices.Concat(o.past, o.full) {
		if outlasts(f) {
			f.To = f.To.Add(min(grace, f.To.Sub(f.From)))
			out = append(out, f)
		}
	}
	if !o.since.IsZero() && now.Sub(o.since) >= outageLeast {
		out = append(out, vigil.Fault{From: o.since, To: now.Add(grace), Cause: vigil.CauseServer})
	}
	return out
}

// upTo is to when a loss by our fault, which began at a time and is explained to another, is explained
// where outages follow upon it: for whoever is lost they are one outage, and the pauses grow with it.
func (o *outages) upTo(began, until time.Time, grace time.Duration) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.past {
		if !f.From.After(until) && f.To.After(began) {
			until = later(until, f.To.Add(min(grace, f.To.Sub(began))))
		}
	}
	return until
}

// noteRead keeps the outages by what became of reading, which was begun at a time: where even
// that fails, nothing works.
func (h *Hub) noteRead(began time.Time, err error) {
	if err != nil {
		h.noteStore(began, err)
	}
}

// noteStore keeps the outages by what became of a write to the store, which was begun at a time.
func (h *Hub) noteStore(began time.Time, err error) {
	switch {
	case err == nil:
		h.outages.worked(h.now())
	case vigil.Transient(err) && h.ctx.Err() == nil:
		h.outages.failed(began)
	}
}
