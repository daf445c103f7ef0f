package realtime

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unique"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/instant"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/outage"
	"vigil/realtime/relay"
)

// Hub is the live state of one node. All methods may be called at the same time.
type Hub struct {
	node

	quietNow  atomic.Bool  // Drain has finished
	upgrading atomic.Int64 // sockets that are being opened
	refusals  outage.Refusals
	retelling retelling
	receiver  func(*room) relay.Receiver // takes what other nodes tell of a room's exam

	mu       lockorder.RWMutex[lockorder.Hub]
	rooms    map[string]*room
	students map[string]*student // by session
}

// student returns the session's entry on this node, or nil.
func (h *Hub) student(session string) *student {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.students[session]
}

// studentOf gets or makes the session's entry. The caller has reserved a socket for it,
// so that it is not swept away.
func (h *Hub) studentOf(s vigil.Session, exam vigil.Exam) (*student, error) {
	if st := h.student(s.ID); st != nil {
		return st, nil
	}
	r, err := h.enter(exam)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	if st := h.students[s.ID]; st != nil {
		h.mu.Unlock()
		h.leave(r)
		return st, nil
	}
	presence := s.Presence
	if n := presence.Node; n != "" && n != h.boot && (presence.Reachable() || presence.Connection == vigil.ConnNavigating) {
		presence.Connection = vigil.ConnSuperseded // that node has it, until a hello comes here
	}
	st := &student{
		n: &h.node, id: s.ID, room: r, life: lifeOf(s), presence: presence, tally: s.Tally, monitor: s.Monitor, monitorSaved: h.now(), platform: unique.Make(s.PlatformID),
	}
	// Elsewhere it may have been asked before, or turned its pages too quickly for that: who goes from
	// server to server is asked as often as others.
	if last := instant.Later(s.Started, s.Monitor.Heard); !last.IsZero() {
		st.askDue = last.Add(h.cfg.AliveEvery)
	}
	switch s.Monitor.State { // what it left unanswered before: nothing vouches for it until it answers
	case vigil.MonitorSilent:
		st.unanswered = 1
	case vigil.MonitorAway:
		st.away = 1
	}
	st.who.Store(h.identityOf(s))
	st.used.Store(h.now().UnixMilli())
	h.students[s.ID] = st
	h.mu.Unlock()
	return st, nil
}

func (h *Hub) allStudents() []*student {
	h.mu.RLock()
	out := slices.Collect(maps.Values(h.students))
	h.mu.RUnlock()
	slices.SortFunc(out, byID)
	return out
}

// sweep forgets students of whom nothing is left to do.
func (h *Hub) sweep() {
	now := h.now()
	old := now.Add(-supersededFor).UnixMilli()
	var rooms []*room
	h.mu.Lock()
	for id, st := range h.students {
		if h.sockets.Reserved(id) || st.used.Load() > old || !st.over(now) {
			continue
		}
		delete(h.students, id)
		rooms = append(rooms, st.room)
	}
	h.mu.Unlock()
	for _, r := range rooms {
		h.leave(r)
	}
}

// enter gets or makes the exam's room and holds it; leave lets it go.
func (h *Hub) enter(exam vigil.Exam) (*room, error) {
	h.mu.Lock()
	r := h.rooms[exam.ID]
	if r == nil {
		r = &room{Board: dashboard.NewBoard(h.dashboards, exam), n: &h.node, exam: exam.ID, dirty: map[*student]struct{}{}}
		h.rooms[exam.ID] = r
	}
	r.refs++
	h.mu.Unlock()
	r.Learn(exam)
	r.once.Do(func() { r.cancel, r.err = h.cfg.Relay.Subscribe(exam.ID, h.receiver(r)) })
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

// lookup returns the exam's room, or nil.
func (h *Hub) lookup(exam string) *room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rooms[exam]
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

// toProctors gives a delta to the exam's proctors on all nodes.
func (h *Hub) toProctors(exam string, d dashboard.Delta) {
	if r := h.lookup(exam); r != nil {
		r.Publish(d)
		return
	}
	h.dashboards.Relay(exam, d)
}

// Exam implements session.View: it reads an exam, from the room where one is open.
func (h *Hub) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	if r := h.lookup(id); r != nil {
		if e := r.Exam(); e != nil {
			return *e, nil
		}
	}
	return h.store.Exam(ctx, id)
}

// Live returns the session with the presence and the counts that this node knows better
// than the store, if its student is connected here.
func (h *Hub) Live(s vigil.Session) vigil.Session {
	if st := h.student(s.ID); st != nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.overlayLocked(&s)
	}
	return s
}

// Overlay implements dashboard.Live.
func (h *Hub) Overlay(s *vigil.Session) (page int) {
	st := h.student(s.ID)
	if st == nil {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.overlayLocked(s)
	return st.page
}

// overlayLocked puts what is known live into a session that was read from the store.
func (st *student) overlayLocked(s *vigil.Session) {
	if st.presence.Connection == vigil.ConnSuperseded {
		return // another node knows better, and stores it
	}
	if p := st.presence; p.Epoch > s.Presence.Epoch || p.Epoch == s.Presence.Epoch && !p.Since.Before(s.Presence.Since) {
		s.Presence = st.presence
	}
	s.Tally = st.tally
	if st.owner != nil || !s.Monitor.Heard.After(st.monitor.Heard) && !s.Monitor.Since.After(st.monitor.Since) {
		s.Monitor = st.monitor
	}
}

// retelling is the sessions of which it is not known whether a change was stored, or of which
// something that changed could not be read to be told: they are read when the store answers, and
// told as they are. Every receiver takes that for
// something that it knows, or not yet.
type retelling struct {
	mu   lockorder.Mutex[lockorder.Leaf]
	ids  []string
	busy bool
}

// next takes one off the list; false: there is none, and nobody works any more.
func (r *retelling) next() (id string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) == 0 {
		r.ids, r.busy = nil, false
		return "", false
	}
	id, r.ids = r.ids[0], r.ids[1:]
	return id, true
}
