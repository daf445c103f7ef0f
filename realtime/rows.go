package realtime

import (
	"context"
	"maps"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
)

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
				h.tellRows(r)
			}
			if turn++; turn%4 == 0 {
				h.recountStale()
			}
			if h.anyStale() {
				h.wakeRows()
			}
		case <-pulse.C:
			online := h.onlineByExam()
			for _, r := range h.allRooms() {
				h.tellOnline(r, online[r.exam])
				r.Pulse()
			}
			h.sweep()
			h.sockets.TuneMemory()
		}
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

// recountStale reads the counts of students that another node may have changed.
func (h *Hub) recountStale() {
	for _, r := range h.allRooms() {
		r.mu.Lock()
		list := r.stale
		r.stale = nil
		r.mu.Unlock()
		later := slices.DeleteFunc(list, h.recountOne)
		r.mu.Lock()
		r.stale = append(later, r.stale...)
		r.mu.Unlock()
	}
}

// tellRows tells the counts that changed since the last time, to other nodes in as few
// messages as they fit into.
func (h *Hub) tellRows(r *room) {
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
		if st.presence.Connection == vigil.ConnSuperseded || st.owner == nil && !h.alone && h.draining.Load() {
			if st.storing == 0 {
				h.tellStored(st)
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
		if h.alone {
			continue
		}
		// Nobody else tells this one's counts while it is here: they may follow a little later.
		if away = dashboard.AppendDelta(away, d); len(away) >= protocol.MaxMessage {
			h.cfg.Relay.Publish(r.exam, away)
			away = nil
		}
	}
	if len(away) > 0 {
		h.cfg.Relay.Publish(r.exam, away)
	}
}

// tellStored tells the counts of a session that lives elsewhere by now: what was stored
// here late is not in the new owner's counts.
func (h *Hub) tellStored(st *student) {
	st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
		s, err := h.store.Session(ctx, st.id)
		if err != nil {
			h.RetellLater(st.id)
			return
		}
		h.tellTally(s)
	})
}

// tellOnline tells the other nodes how many students of the room are here.
func (h *Hub) tellOnline(r *room, n int) {
	h.publish(r.exam, event{Kind: eventOnline, Node: h.boot, Count: n})
}

// anyStale tells whether counts of students are to be read.
func (h *Hub) anyStale() bool {
	return slices.ContainsFunc(h.allRooms(), func(r *room) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.stale) > 0
	})
}

// recountOne reads a student's counts; false: that is to be done later.
func (h *Hub) recountOne(st *student) bool {
	st.mu.Lock()
	do := st.storing == 0 && st.presence.Connection != vigil.ConnSuperseded
	if do {
		st.stale = false
	}
	st.mu.Unlock()
	if !do {
		return h.student(st.id) != st // forgotten meanwhile
	}
	st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
		if err := h.Recount(ctx, st.id); err != nil {
			st.mu.Lock()
			st.recountLaterLocked()
			st.mu.Unlock()
		}
	})
	return true
}
