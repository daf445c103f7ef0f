package realtime

import (
	"sync"
	"sync/atomic"
	"time"

	"vigil/realtime/dashboard"
	"vigil/realtime/internal/lockorder"
)

// room is an exam on this node: it exists while the exam has a socket here, or a student
// whose connection is still being judged.
type room struct {
	*dashboard.Board
	n    *node
	exam string

	once   sync.Once
	cancel func() // leaves the relay
	err    error  // of joining it

	refs int // guarded by Hub.mu

	catching catching

	// Owned by watchLoop.
	badLooks  int
	refreshed time.Time
	showing   showing

	mu    lockorder.Mutex[lockorder.Room]
	dirty map[*student]struct{} // whose counts changed
	stale []*student            // whose counts are to be read from the store: another node may have counted
}

// recountLater notes that a student's counts are to be read from the store soon.
func (r *room) recountLater(st *student) {
	r.mu.Lock()
	r.stale = append(r.stale, st)
	r.mu.Unlock()
	r.n.wakeRows()
}

func (r *room) leaveRelay() {
	r.once.Do(func() {}) // joined never, or waits until joined
	if r.cancel != nil {
		r.cancel()
	}
}

// changed notes that a student's counts are to be told soon.
func (r *room) changed(st *student) {
	r.mu.Lock()
	first := len(r.dirty) == 0
	r.dirty[st] = struct{}{}
	r.mu.Unlock()
	if first {
		r.n.wakeRows()
	}
}

// catching makes one catching up of a room at a time.
type catching struct {
	state atomic.Int32 // of what is asked for: 0 nothing, 1 partly, 2 wholly
	busy  atomic.Bool
}

// showing paces the dashboards' snapshots while the relay is away. Each reads the whole
// exam, so the store rests from them for at least twice as long as the last ones took: it
// has to keep time for what students and proctors do.
type showing struct {
	began time.Time // zero: none is under way
	next  time.Time
}

// due tells whether it is time for the dashboards to start afresh: not while that is under way, and not
// before the store has rested.
func (s *showing) due(now time.Time, refreshing func() bool, every time.Duration) bool {
	if !s.began.IsZero() {
		if refreshing() {
			return false
		}
		took := now.Sub(s.began)
		s.began, s.next = time.Time{}, now.Add(max(every-took, 2*took))
	}
	if now.Before(s.next) {
		return false
	}
	s.began = now
	return true
}
