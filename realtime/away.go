package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
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
			r.watch(watched.State(r.exam), h.cfg.Now())
		}
	}
}

// watch takes in how the relay is for the room's exam. Only watchLoop calls it.
func (r *room) watch(s relay.State, now time.Time) {
	bad := !s.Up
	for _, node := range s.Silent {
		bad = bad || r.h.members.Alive(node) // it lives, and is cut off
	}
	switch {
	case bad && !r.Away():
		if r.badLooks++; r.badLooks < 2 {
			return
		}
		r.h.stats.relayAway.Add(1)
		r.SetAway(true)
		r.refreshed = now
		r.showing = showing{}
		r.showAnew(now)
		r.read(false)
	case bad:
		r.showAnew(now)
		if now.Sub(r.refreshed) >= r.h.cfg.RefreshEvery {
			r.refreshed = now
			r.read(false)
		}
	default:
		r.badLooks = 0
		if r.SetAway(false) {
			r.catchUp()
		}
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

// showAnew has the room's dashboards start afresh when it is time. Only watchLoop calls it.
func (r *room) showAnew(now time.Time) {
	if r.showing.due(now, r.Refreshing, r.h.cfg.RefreshEvery) {
		r.Refresh()
	}
}

// catchUp reads from the store what may have happened elsewhere: the dashboards start
// afresh, and students here hear of it.
func (r *room) catchUp() {
	r.Refresh()
	r.read(true)
}

// read tells students here of changes and commands that the store has; wholly, also of
// chat.
func (r *room) read(wholly bool) {
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
	if !r.h.tasks.Go(r.catchUpNow) {
		r.catching.busy.Store(false)
	}
}

func (r *room) catchUpNow() {
	for {
		for want := r.catching.state.Swap(0); want > 0; want = r.catching.state.Swap(0) {
			err := r.h.reread(r.h.ctx, "what happened elsewhere", func(ctx context.Context) error { return r.readAnew(ctx, want == 2) })
			if err != nil && r.h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				r.h.log.Error("what happened elsewhere cannot be read", "exam", r.exam, "error", err)
			}
		}
		r.catching.busy.Store(false)
		if r.catching.state.Load() == 0 || !r.catching.busy.CompareAndSwap(false, true) {
			return
		}
	}
}

// commandsSince is how far back commands are looked for that the relay did not bring;
// it is much more than any clocks differ.
const commandsSince = 10 * time.Minute

func (r *room) readAnew(ctx context.Context, wholly bool) error {
	if err := r.Reload(ctx); err != nil {
		return err
	}
	here := map[string]*student{}
	students := slices.DeleteFunc(r.h.allStudents(), func(st *student) bool { return st.room != r })
	for _, st := range students {
		here[st.id] = st
	}
	if len(here) == 0 {
		return nil
	}
	for page := (vigil.Page{}); ; {
		sessions, next, err := r.h.store.SessionsOfExam(ctx, r.exam, page)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if st := here[s.ID]; st != nil {
				st.catchUp(s)
			}
		}
		if next == "" {
			break
		}
		page.After = next
	}
	for page := (vigil.Page{}); ; {
		commands, next, err := r.h.store.CommandsOfExam(ctx, r.exam, r.h.now().Add(-commandsSince), page)
		if err != nil {
			return err
		}
		for _, c := range commands {
			if st := here[c.SessionID]; st != nil && session.ForStudent(c) && c.Stage == vigil.StageQueued {
				st.deliver(frames(protocol.Encode(protocol.CommandOf(c))), &sentCommand{c.ID}, false)
			}
		}
		if next == "" {
			break
		}
		page.After = next
	}
	if !wholly {
		return nil
	}
	for _, st := range students {
		if !st.reachable.Load() {
			continue
		}
		lines, err := r.h.lastChat(ctx, st.id)
		if err != nil {
			return err
		}
		for _, l := range lines {
			st.deliver(frames(protocol.Encode(l)), nil, false) // a page shows each line once
		}
	}
	return nil
}

// catchUp takes in a session as the store has it: another node may have a newer
// connection, or have changed it without our hearing of it.
func (st *student) catchUp(s vigil.Session) {
	st.mu.Lock()
	epoch := st.presence.Epoch
	st.stalesLocked()
	st.mu.Unlock()
	if s.Presence.Epoch > epoch {
		st.outdo(s.Presence.Epoch, came(s.Presence), nil)
		return
	}
	st.mu.Lock()
	old := st.life.session()
	newer := s.Version > old.Version
	if newer {
		st.life = lifeOf(s)
		st.watchesLocked()
		st.dismissLocked()
	}
	st.mu.Unlock()
	if !newer {
		return
	}
	fs := changes(old, s, st.room.Policy(), st.h.now())
	ended := s.State.Ended() && !old.State.Ended()
	if len(fs) > 0 || ended {
		st.deliver(fs, nil, ended)
	}
	if at := session.Over(st.room.Policy(), s); !at.IsZero() {
		st.ended(st.h.now(), at)
	}
}

// changes are the frames that tell a student what became of its session.
func changes(old, s vigil.Session, p vigil.Policy, now time.Time) []json.RawMessage {
	var fs []json.RawMessage
	if s.State != old.State || s.Reason != old.Reason {
		fs = append(fs, protocol.Encode(protocol.StateOf(s)))
	}
	if was, is := protocol.TimeOf(old, p, now), protocol.TimeOf(s, p, now); was != is && !s.State.Ended() {
		fs = append(fs, protocol.Encode(is))
	}
	return fs
}

// stale are the students whose counts are to be read anew.
type stale struct {
	mu       sync.Mutex // a leaf
	students []*student
}

// stalesLocked has the counts read from the store soon: another node may have counted.
func (st *student) stalesLocked() {
	if st.stale {
		return
	}
	st.stale = true
	st.h.stale.mu.Lock()
	defer st.h.stale.mu.Unlock()
	st.h.stale.students = append(st.h.stale.students, st)
	st.h.wakeRows()
}

// some tells whether there are any.
func (s *stale) some() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.students) > 0
}

// freshen reads the counts of students anew that another node may have changed.
func (h *Hub) freshen() {
	h.stale.mu.Lock()
	list := h.stale.students
	h.stale.students = nil
	h.stale.mu.Unlock()
	var later []*student
	defer func() {
		h.stale.mu.Lock()
		h.stale.students = append(h.stale.students, later...)
		h.stale.mu.Unlock()
	}()
	for _, st := range list {
		st.mu.Lock()
		do := st.storing == 0 && st.presence.Connection != vigil.ConnSuperseded
		if do {
			st.stale = false
		}
		st.mu.Unlock()
		if !do {
			if h.student(st.id) == st { // not forgotten meanwhile
				later = append(later, st)
			}
			continue
		}
		added := st.jobs.Add(h.tasks, 0, func(ctx context.Context) {
			if err := h.Recount(ctx, st.id); err != nil {
				st.mu.Lock()
				st.stalesLocked()
				st.mu.Unlock()
			}
		})
		if !added {
			return
		}
	}
}

// tellStored tells the counts of a session that lives elsewhere by now: what was stored
// here late is not in the new owner's counts.
func (st *student) tellStored() {
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) {
		s, err := st.h.store.Session(ctx, st.id)
		if err != nil {
			st.h.RetellLater(st.id)
			return
		}
		st.h.tellTally(s)
	})
}

// tellTally tells a session's counts as the store has them, to dashboards and to the node
// that has its student.
func (h *Hub) tellTally(s vigil.Session) {
	h.toProctors(s.ExamID, dashboard.TallyDelta(s.ID, s.Tally))
	h.publish(s.ExamID, event{Kind: eventTally, Session: s.ID, Tally: &s.Tally})
}

// tellOnline tells the other nodes how many students of the room are here.
func (r *room) tellOnline(n int) {
	r.h.publish(r.exam, event{Kind: eventOnline, Node: r.h.boot, Count: n})
}
