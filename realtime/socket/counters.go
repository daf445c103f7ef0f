package socket

import (
	"maps"
	"sync/atomic"

	"vigil/realtime/internal/lockorder"

	"github.com/coder/websocket"
)

// Counters count what became of sockets and frames, since the node began.
type Counters struct {
	Refused         atomic.Int64 // upgrades
	FramesIn        atomic.Int64
	FramesOut       atomic.Int64
	FramesDropped   atomic.Int64 // from full queues
	FramesCoalesced atomic.Int64 // replaced or left out for a slow proctor
	WriteFailed     atomic.Int64
	Malformed       atomic.Int64
	RateRefused     atomic.Int64
	Renewed         atomic.Int64 // tokens

	mu    lockorder.Mutex[lockorder.Leaf]
	codes map[websocket.StatusCode]int64 // by which we closed
}

func (s *Counters) closed(code websocket.StatusCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.codes == nil {
		s.codes = map[websocket.StatusCode]int64{}
	}
	s.codes[code]++
}

// Codes are the codes by which we closed sockets, and how many.
func (s *Counters) Codes() map[websocket.StatusCode]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[websocket.StatusCode]int64, len(s.codes))
	maps.Copy(out, s.codes)
	return out
}
