package socket

import (
	"runtime/debug"
	"sync/atomic"
)

// burst notices that many sockets were opened, and when that is over.
type burst struct {
	opened atomic.Int64
	busy   atomic.Bool

	// Owned by who calls TuneMemory.
	seen    int64 // opened, when it was last looked at
	open    int   // sockets that were open then
	since   int64 // opened, when memory was last given back
	turns   int   // to give back, one a look
	percent int   // the collector's, to be set again when it is over; 0: it was left alone
}

const (
	burstSockets = 500 // so many opened are a burst
	burstQuiet   = 20  // so few since the last look are none
	burstTurns   = 3   // each halves the stacks that had grown
	burstGrowth  = 50  // by so many more are open than at the last look: it goes on
	burstPercent = 50  // the collector's meanwhile
)

// observe tells, when asked every few seconds with the number of open sockets, whether ever
// more are opened, and whether it is time to give back memory. Students who turn pages open
// as many as they close, for hours: that is no burst.
func (b *burst) observe(open int) (on, giveBack bool) {
	on = open-b.open >= burstGrowth
	b.open = open
	opened := b.opened.Load()
	quiet := opened-b.seen < burstQuiet
	b.seen = opened
	switch {
	case !quiet:
		return on, false
	case opened-b.since >= burstSockets:
		b.since, b.turns = opened, burstTurns
	}
	if b.turns == 0 {
		return on, false
	}
	b.turns--
	return on, true
}

func (b *burst) tighten() {
	if b.percent != 0 {
		return
	}
	was := debug.SetGCPercent(burstPercent)
	if was <= burstPercent { // tight by itself, or off
		debug.SetGCPercent(was)
		return
	}
	b.percent = was
}

func (b *burst) loosen() {
	if b.percent != 0 {
		debug.SetGCPercent(b.percent)
		b.percent = 0
	}
}
