package realtime

import (
	"context"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
)

// Drain ends the node's work in order: it is not ready from now on, clients are told to
// come back spread over DrainSpread, their sockets are closed, and what was accepted is
// stored. Nobody is lost by it: the students are left as dropped by us, for the process
// that comes next. It returns when that is done or the context ends; Close follows.
func (h *Hub) Drain(ctx context.Context) error {
	h.draining.Store(true)
	for _, c := range h.sockets.All() {
		c.Drain(h.spread())
	}
	for {
		for _, r := range h.allRooms() {
			h.tellRows(r) // what was stored last counts, too
		}
		h.tellRefused()
		left := h.leftovers()
		if left == (leftovers{}) {
			h.quietNow.Store(true)
			return h.members.Renew(ctx) // what comes next counts from here
		}
		if !tasks.Sleep(ctx, drainPoll) {
			return vigil.Wrap(ctx.Err(), vigil.CodeUnavailable,
				"The node did not finish in time: %d sockets were open, %d students, %d refusals and %d signals waited for the store, %d requests to platforms were under way.",
				left.sockets, left.students, left.refusals, left.signals, left.requests)
		}
	}
}

const drainPoll = 10 * time.Millisecond

// leftovers is what a drain still waits for.
type leftovers struct{ sockets, students, refusals, signals, requests int }

// left counts the sockets that are open or being opened, the students of whom something is to
// be stored, those of whom it is to be stored that they were refused, the signals that are, and the requests to platforms that are under way.
func (h *Hub) leftovers() leftovers {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := leftovers{sockets: h.sockets.Count() + int(h.upgrading.Load()), refusals: h.refusals.Pending(), signals: h.writer.Left(), requests: int(h.sessions.Requests())}
	for _, st := range h.students {
		if !st.jobs.Idle() {
			l.students++
		}
	}
	return l
}
