package realtime

import (
	"runtime/debug"
	"sync/atomic"
)

// rush notices that many sockets were opened, and when that is over.
type rush struct {
	opened atomic.Int64
	busy   atomic.Bool

	// Owned by rowsLoop.
	seen    int64 // opened, when it was last looked at
	open    int   // sockets that were open then
	since   int64 // opened, when memory was last given back
	turns   int   // to give back, one a look
	percent int   // the collector's, to be set again when it is over; 0: it was left alone
}

const (
	rushSockets = 500 // so many opened are a rush
	rushCalm    = 20  // so few since the last look are none
	rushTurns   = 3   // each halves the stacks that had grown
	rushGrowth  = 50  // by so many more are open than at the last look: it goes on
	rushPercent = 50  // the collector's meanwhile
)

// look tells, when asked every few seconds with the number of open sockets, whether ever
// more are opened, and whether it is time to give back memory. Students who turn pages open
// as many as they close, for hours: that is no rush.
func (r *rush) look(open int) (on, giveBack bool) {
	on = open-r.open >= rushGrowth
	r.open = open
	opened := r.opened.Load()
	calm := opened-r.seen < rushCalm
	r.seen = opened
	switch {
	case !calm:
		return on, false
	case opened-r.since >= rushSockets:
		r.since, r.turns = opened, rushTurns
	}
	if r.turns == 0 {
		return on, false
	}
	r.turns--
	return on, true
}

// watchMemory keeps a rush from leaving much behind. To open a socket takes many times the
// memory that it needs afterwards: the collector runs more often while many are opened, so
// that what stays of each lies close together and not between what was thrown away; and
// once it is quiet the rest is given back, for then nothing would make the runtime collect it.
func (h *Hub) watchMemory() {
	h.mu.RLock()
	open := len(h.conns)
	h.mu.RUnlock()
	on, giveBack := h.rush.look(open)
	if on {
		h.rush.tighten()
	} else {
		h.rush.loosen()
	}
	if giveBack && h.rush.busy.CompareAndSwap(false, true) {
		if !h.tasks.Go(func() { debug.FreeOSMemory(); h.rush.busy.Store(false) }) {
			h.rush.busy.Store(false)
		}
	}
}

func (r *rush) tighten() {
	if r.percent != 0 {
		return
	}
	was := debug.SetGCPercent(rushPercent)
	if was <= rushPercent { // tight by itself, or off
		debug.SetGCPercent(was)
		return
	}
	r.percent = was
}

func (r *rush) loosen() {
	if r.percent != 0 {
		debug.SetGCPercent(r.percent)
		r.percent = 0
	}
}
