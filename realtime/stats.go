package realtime

import (
	"sync/atomic"

	"github.com/coder/websocket"
)

// Stats is what a hub has counted since it began, but for the first group, which is how
// things are now.
type Stats struct {
	Sockets, Students, Proctors, Rooms int
	Waiting                            int  // signals that wait for the store
	Saving                             bool // the store answers

	Refused         int64 // upgrades
	FramesIn        int64
	FramesOut       int64
	FramesDropped   int64 // from full queues
	FramesCoalesced int64 // replaced or left out for a slow proctor
	Behind          int64 // times that a proctor was too slow and got a fresh snapshot
	WriteFailed     int64
	Malformed       int64
	RateRefused     int64
	JobsRefused     int64 // frames that would have waited too long for the store
	SignalsStored   int64
	SignalsRepeated int64
	SignalsDiffer   int64
	StampsRefused   int64 // page stamps
	Receipts        int64 // sent
	SignalsRefused  int64 // not taken: the queue to the store was full
	Batches         int64 // calls of AppendSignals that succeeded
	StoreRetries    int64
	Lost            int64 // connections that counted as lost
	Renewed         int64 // socket tokens
	Deliveries      int64 // tries of requests to platforms
	RelayHoles      int64
	RelayBad        int64
	RelayAway       int64                          // times that an exam's dashboards were told that other nodes come late
	Evictions       int64                          // times that this node disconnected everyone because others may have taken over
	Closed          map[websocket.StatusCode]int64 // by us, by code
}

// counters are behind Stats.
type counters struct {
	stored, repeated, differ, signalsRefused, batches, storeRetries         atomic.Int64
	stampsRefused, receipts, lost, relayHoles, relayBad, relayAway, evicted atomic.Int64
}

// Stats returns the counts as they are now.
func (h *Hub) Stats() Stats {
	s, c := &h.stats, &h.counters
	out := Stats{
		Refused: c.Refused.Load(), FramesIn: c.FramesIn.Load(), FramesOut: c.FramesOut.Load(),
		FramesDropped: c.FramesDropped.Load(), FramesCoalesced: c.FramesCoalesced.Load(), Behind: h.dashboards.Behind.Load(),
		WriteFailed: c.WriteFailed.Load(), Malformed: c.Malformed.Load(), RateRefused: c.RateRefused.Load(),
		JobsRefused: h.tasks.Refused(), SignalsStored: s.stored.Load(), SignalsRepeated: s.repeated.Load(),
		SignalsDiffer: s.differ.Load(), StampsRefused: s.stampsRefused.Load(), Receipts: s.receipts.Load(), SignalsRefused: s.signalsRefused.Load(), Batches: s.batches.Load(),
		StoreRetries: s.storeRetries.Load(), Lost: s.lost.Load(), Renewed: c.Renewed.Load(),
		Deliveries: h.sessions.Deliveries(), RelayHoles: s.relayHoles.Load(), RelayBad: s.relayBad.Load(), RelayAway: s.relayAway.Load(), Evictions: s.evicted.Load(),
		Closed: c.Codes(),
	}
	out.Waiting, out.Saving = h.writer.state()
	h.mu.RLock()
	defer h.mu.RUnlock()
	out.Sockets, out.Rooms = h.sockets.Count(), len(h.rooms)
	for _, st := range h.students {
		if st.reachable.Load() {
			out.Students++
		}
	}
	for _, r := range h.rooms {
		out.Proctors += r.Open()
	}
	return out
}
