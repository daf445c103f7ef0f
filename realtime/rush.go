package realtime

import (
	"runtime/debug"
	"sync/atomic"
)

// rush notices that many sockets were opened, and when that is over.
type rush struct {
	opened atomic.Int64

	// Owned by rowsLoop.
	seen  int64 // opened, when it was last looked at
	since int64 // opened, when memory was last given back
	turns int   // to give back, one a look
	busy  atomic.Bool
}

const (
	rushSockets = 500 // so many opened are a rush
	rushCalm    = 20  // so few since the last look are none
	rushTurns   = 3   // each halves the stacks that had grown
)

// over tells, when asked every few seconds, whether it is time to give back memory.
func (r *rush) over() bool {
	opened := r.opened.Load()
	calm := opened-r.seen < rushCalm
	r.seen = opened
	switch {
	case !calm:
		return false
	case opened-r.since >= rushSockets:
		r.since, r.turns = opened, rushTurns
	}
	if r.turns == 0 {
		return false
	}
	r.turns--
	return true
}

// returnMemory gives back what a rush has left. To open a socket takes many times the memory that
// it needs afterwards, and one that is quiet does nothing that would make the runtime
// collect it.
func (h *Hub) returnMemory() {
	if h.rush.over() && h.rush.busy.CompareAndSwap(false, true) {
		if !h.spawn(func() { debug.FreeOSMemory(); h.rush.busy.Store(false) }) {
			h.rush.busy.Store(false)
		}
	}
}
