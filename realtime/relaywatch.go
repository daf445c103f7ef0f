package realtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/session"
)

// What a node does when it cannot hear the others, or they cannot hear it: it says so to
// its dashboards, and reads from the store what it is not told.

// watchLoop looks at the relay's state. A fault of less than two looks is nobody's concern.
func (h *Hub) watchLoop(watched relay.Watched) {
	tick := time.NewTicker(h.cfg.RelayEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range h.allRooms() {
			h.watch(r, watched.State(r.exam), h.cfg.Now())
		}
	}
}

// showAnew has the room's dashboards start afresh when it is time. Only watchLoop calls it.
func (r *room) showAnew(now time.Time) {
	if r.showing.due(now, r.Refreshing, r.n.cfg.RefreshEvery) {
		r.Refresh()
	}
}

// commandsSince is how far back commands are looked for that the relay did not bring;
// it is much more than any clocks differ.
const commandsSince = 10 * time.Minute

// watch takes in how the relay is for the room's exam. Only watchLoop calls it.
func (h *Hub) watch(r *room, s relay.State, now time.Time) {
	bad := !s.Up
	for _, node := range s.Silent {
		bad = bad || h.members.Alive(node) // it lives, and is cut off
	}
	switch {
	case bad && !r.Away():
		if r.badLooks++; r.badLooks < 2 {
			return
		}
		h.stats.relayAway.Add(1)
		r.SetAway(true)
		r.refreshed = now
		r.showing = showing{}
		r.showAnew(now)
		h.readMissed(r, false)
	case bad:
		r.showAnew(now)
		if now.Sub(r.refreshed) >= h.cfg.RefreshEvery {
			r.refreshed = now
			h.readMissed(r, false)
		}
	default:
		r.badLooks = 0
		if r.SetAway(false) {
			h.catchUp(r)
		}
	}
}

// catchUp reads from the store what may have happened elsewhere: the dashboards start
// afresh, and students here hear of it.
func (h *Hub) catchUp(r *room) {
	r.Refresh()
	h.readMissed(r, true)
}

// readMissed tells students here of changes and commands that the store has; wholly, also of
// chat.
func (h *Hub) readMissed(r *room, wholly bool) {
	want := int32(1)
	if wholly {
		want = 2
	}
	for {
		old := r.catching.state.Load()
		if old >= want || r.catching.state.CompareAndSwap(old, want) {
			break
		}
	}
	if !r.catching.busy.CompareAndSwap(false, true) {
		return // whoever is at it sees the state
	}
	if !h.tasks.Go(func() { h.readMissedNow(r) }) {
		r.catching.busy.Store(false)
	}
}

func (h *Hub) readMissedNow(r *room) {
	for {
		for want := r.catching.state.Swap(0); want > 0; want = r.catching.state.Swap(0) {
			err := h.reread(h.ctx, "what happened elsewhere", func(ctx context.Context) error { return h.readMissedOnce(ctx, r, want == 2) })
			if err != nil && h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				h.log.Error("what happened elsewhere cannot be read", "exam", r.exam, "error", err)
			}
		}
		r.catching.busy.Store(false)
		if r.catching.state.Load() == 0 || !r.catching.busy.CompareAndSwap(false, true) {
			return
		}
	}
}

func (h *Hub) readMissedOnce(ctx context.Context, r *room, wholly bool) error {
	if err := r.Reload(ctx); err != nil {
		return err
	}
	here := map[string]*student{}
	students := slices.DeleteFunc(h.allStudents(), func(st *student) bool { return st.room != r })
	for _, st := range students {
		here[st.id] = st
	}
	if len(here) == 0 {
		return nil
	}
	for s, err := range vigil.EachOf(ctx, h.store.SessionsOfExam, r.exam) {
		if err != nil {
			return err
		}
		if st := here[s.ID]; st != nil {
			st.catchUp(s)
		}
	}
	commands := vigil.Each(func(page vigil.Page) ([]vigil.Command, string, error) {
		return h.store.CommandsOfExam(ctx, r.exam, h.now().Add(-commandsSince), page)
	})
	for c, err := range commands {
		if err != nil {
			return err
		}
		if st := here[c.SessionID]; st != nil && session.ForStudent(c) && c.Stage == vigil.StageQueued {
			st.deliver(frames(protocol.Encode(protocol.CommandOf(c))), &sentCommand{c.ID}, false)
		}
	}
	if !wholly {
		return nil
	}
	for _, st := range students {
		if !st.reachable.Load() {
			continue
		}
		lines, err := h.lastChat(ctx, st.id)
		if err != nil {
			return err
		}
		for _, l := range lines {
			st.deliver(frames(protocol.Encode(l)), nil, false) // a page shows each line once
		}
	}
	return nil
}
