package realtime

import (
	"github.com/coder/websocket"

	"vigil"
)

// Stats is what a hub has counted since it began, but for the first group, which is how
// things are now.
type Stats struct {
	Sockets, Students, Proctors, Rooms int
	Connections                        map[vigil.Connection]int // of students that this node knows
	Unreported                         int                      // students whose attempt is open, and of whom no connection reports now
	Queued, LongestQueue               int                      // frames that wait to be written to sockets: in all, and to one
	Waiting                            int                      // signals that wait for the store
	Saving                             bool                     // the store answers

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
	Takeovers       int64                          // from nodes that were gone
	TakenOver       int64                          // sessions of theirs
	Evictions       int64                          // times that this node disconnected everyone because others may have taken over
	Closed          map[websocket.StatusCode]int64 // by us, by code
}

// Stats returns the counts as they are now.
func (h *Hub) Stats() Stats {
	s, c, w := &h.stats, &h.counters, &h.writer.Counters
	out := Stats{
		Refused: c.Refused.Load(), FramesIn: c.FramesIn.Load(), FramesOut: c.FramesOut.Load(),
		FramesDropped: c.FramesDropped.Load(), FramesCoalesced: c.FramesCoalesced.Load(), Behind: h.dashboards.Behind.Load(),
		WriteFailed: c.WriteFailed.Load(), Malformed: c.Malformed.Load(), RateRefused: c.RateRefused.Load(),
		JobsRefused: h.tasks.Refused(), SignalsStored: s.stored.Load(), SignalsRepeated: s.repeated.Load(),
		SignalsDiffer: s.differ.Load(), StampsRefused: s.stampsRefused.Load(), Receipts: s.receipts.Load(), SignalsRefused: w.Refused.Load(), Batches: w.Batches.Load(),
		StoreRetries: s.storeRetries.Load() + w.Retries.Load(), Lost: s.lost.Load(), Renewed: c.Renewed.Load(),
		Deliveries: h.sessions.Deliveries(), RelayHoles: s.relayHoles.Load(), RelayBad: s.relayBad.Load(), RelayAway: s.relayAway.Load(), Evictions: s.evicted.Load(),
		Takeovers: s.takeovers.Load(), TakenOver: s.takenOver.Load(), Closed: c.Codes(), Connections: map[vigil.Connection]int{},
	}
	out.Waiting, out.Saving = h.writer.State()
	out.Queued, out.LongestQueue = h.sockets.Queued()
	for _, st := range h.allStudents() {
		st.mu.Lock()
		out.Connections[st.presence.Connection]++
		if state := st.life.state; state.Started() && !state.Ended() && st.presence.Reports.IsZero() {
			out.Unreported++
		}
		st.mu.Unlock()
	}
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
