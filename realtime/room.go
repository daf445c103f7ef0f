package realtime

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
)

// room is an exam on this node: it exists while the exam has a socket here, or a student
// whose connection is still being judged.
type room struct {
	*dashboard.Board
	h    *Hub
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

	mu    sync.Mutex
	dirty map[*student]struct{} // whose counts changed
}

// enter gets or makes the exam's room and holds it; leave lets it go.
func (h *Hub) enter(exam vigil.Exam) (*room, error) {
	h.mu.Lock()
	r := h.rooms[exam.ID]
	if r == nil {
		r = &room{Board: dashboard.NewBoard(h.dashboards, exam), h: h, exam: exam.ID, dirty: map[*student]struct{}{}}
		h.rooms[exam.ID] = r
	}
	r.refs++
	h.mu.Unlock()
	r.Learn(exam)
	r.once.Do(func() { r.cancel, r.err = h.cfg.Relay.Subscribe(exam.ID, r) })
	if r.err != nil {
		h.leave(r)
		return nil, vigil.Wrap(r.err, vigil.CodeUnavailable, "The exam's other servers cannot be reached; try again.")
	}
	return r, nil
}

func (h *Hub) leave(r *room) {
	h.mu.Lock()
	r.refs--
	last := r.refs == 0
	if last && h.rooms[r.exam] == r {
		delete(h.rooms, r.exam)
	}
	h.mu.Unlock()
	if last {
		r.leaveRelay()
	}
}

func (r *room) leaveRelay() {
	r.once.Do(func() {}) // joined never, or waits until joined
	if r.cancel != nil {
		r.cancel()
	}
}

// lookup returns the exam's room, or nil.
func (h *Hub) lookup(exam string) *room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rooms[exam]
}

// toProctors gives a delta to the exam's proctors on all nodes.
func (h *Hub) toProctors(exam string, d dashboard.Delta) {
	if r := h.lookup(exam); r != nil {
		r.Publish(d)
		return
	}
	h.dashboards.Relay(exam, d)
}

// changed notes that a student's counts are to be told soon.
func (r *room) changed(st *student) {
	r.mu.Lock()
	first := len(r.dirty) == 0
	r.dirty[st] = struct{}{}
	r.mu.Unlock()
	if first {
		r.h.wakeRows()
	}
}

// tellRows tells the counts that changed since the last time, to other nodes in as few
// messages as they fit into.
func (r *room) tellRows() {
	r.mu.Lock()
	dirty := r.dirty
	if len(dirty) == 0 {
		r.mu.Unlock()
		return
	}
	r.dirty = make(map[*student]struct{}, len(dirty))
	r.mu.Unlock()
	var away []byte // for the other nodes
	for _, st := range slices.SortedFunc(maps.Keys(dirty), byID) {
		r.Order.RLock()
		st.mu.Lock()
		// At a drain the student may be elsewhere already without our having heard of it.
		if st.presence.Connection == vigil.ConnSuperseded || st.owner == nil && !r.h.alone && r.h.draining.Load() {
			if st.storing == 0 {
				st.tellStored()
			} else {
				r.changed(st)
			}
			st.mu.Unlock()
			r.Order.RUnlock()
			continue
		}
		d := dashboard.TallyDelta(st.id, st.tally)
		r.Tell(d)
		st.mu.Unlock()
		r.Order.RUnlock()
		if r.h.alone {
			continue
		}
		// Nobody else tells this one's counts while it is here: they may follow a little later.
		if away = dashboard.AppendDelta(away, d); len(away) >= protocol.MaxMessage {
			r.h.cfg.Relay.Publish(r.exam, away)
			away = nil
		}
	}
	if len(away) > 0 {
		r.h.cfg.Relay.Publish(r.exam, away)
	}
}

// online counts the students of this node who answer.
func (h *Hub) onlineByExam() map[string]int {
	out := map[string]int{}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, st := range h.students {
		if st.reachable.Load() {
			out[st.room.exam]++
		}
	}
	return out
}

// wakeRows says that counts changed, or are to be read anew.
func (h *Hub) wakeRows() {
	select {
	case h.rowsWake <- struct{}{}:
	default:
	}
}

// rowsLoop tells changed counts, beats the pulse and clears away what nobody needs any
// more. While no count changes it sleeps: to be woken up costs a quiet node more than what
// it then does.
func (h *Hub) rowsLoop() {
	rows := time.NewTimer(h.cfg.RowsEvery)
	defer rows.Stop()
	pulse := time.NewTicker(h.cfg.PulseEvery)
	defer pulse.Stop()
	for turn, gathering := 0, true; ; {
		select {
		case <-h.ctx.Done():
			return
		case <-h.rowsWake:
			if !gathering {
				gathering = true
				rows.Reset(h.cfg.RowsEvery)
			}
		case <-rows.C:
			gathering = false
			for _, r := range h.allRooms() {
				r.tellRows()
			}
			if turn++; turn%4 == 0 {
				h.freshen()
			}
			if h.stale.some() {
				h.wakeRows()
			}
		case <-pulse.C:
			online := h.onlineByExam()
			for _, r := range h.allRooms() {
				r.tellOnline(online[r.exam])
				r.Pulse()
			}
			h.sweep()
			h.sockets.TuneMemory()
		}
	}
}

func (h *Hub) allRooms() []*room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *room) int { return strings.Compare(a.exam, b.exam) })
	return out
}
