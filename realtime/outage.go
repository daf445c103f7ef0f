package realtime

import (
	"sync"
	"time"

	"vigil"
)

// outages are the stretches in which this node could not store or admit anybody, and those
// in which no node lived: whoever was away then was away by our fault. Stretches shorter
// than outageLeast keep nobody away.
type outages struct {
	mu    sync.Mutex
	since time.Time     // of the one that goes on; zero: there is none
	past  []vigil.Fault // newest last, maxOutages at most
}

const (
	outageLeast = time.Second
	maxOutages  = 64
)

// failed notes that something could not be stored.
func (o *outages) failed(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = now
	}
}

// worked notes that something was stored.
func (o *outages) worked(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		o.addLocked(o.since, now)
		o.since = time.Time{}
	}
}

// add notes an outage that was found out afterwards.
func (o *outages) add(from, to time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addLocked(from, to)
}

func (o *outages) addLocked(from, to time.Time) {
	if to.Sub(from) >= outageLeast {
		o.past = last(append(o.past, vigil.Fault{From: from, To: to, Cause: vigil.CauseServer}), maxOutages)
	}
}

// on tells whether an outage goes on.
func (o *outages) on(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() && now.Sub(o.since) >= outageLeast
}

// faults are the outages, each with the time that its clients' pauses took to bring them
// back: they grow with the outage.
func (o *outages) faults(now time.Time, grace time.Duration) []vigil.Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]vigil.Fault, 0, len(o.past)+1)
	for _, f := range o.past {
		f.To = f.To.Add(min(grace, f.To.Sub(f.From)))
		out = append(out, f)
	}
	if !o.since.IsZero() && now.Sub(o.since) >= outageLeast {
		out = append(out, vigil.Fault{From: o.since, To: now.Add(grace), Cause: vigil.CauseServer})
	}
	return out
}

// noteRead keeps the outages by what became of reading: where even that fails, nothing works.
func (h *Hub) noteRead(err error) {
	if err != nil {
		h.noteStore(err)
	}
}

// noteStore keeps the outages by what became of a write to the store.
func (h *Hub) noteStore(err error) {
	switch {
	case err == nil:
		h.outages.worked(h.now())
	case transient(err) && h.ctx.Err() == nil:
		h.outages.failed(h.now())
	}
}
