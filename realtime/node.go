package realtime

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/relay"
)

// A node lives as long as its row in the store moves. Nobody compares clocks: each node
// looks at the rows of the others and counts for how long it has seen one stand still. A
// node that could not look itself, because the store was away or the machine stood still,
// does not count that time.

// sights is what this node has seen of the others.
type sights struct {
	mu     sync.Mutex
	seen   map[string]*sight
	last   time.Time       // the last look; zero: it failed, or there was none
	taking map[string]bool // nodes from which this one takes over just now
	told   map[string]bool // nodes that told since the last look that they have students
	start  *startRows      // nodes that had a row when this one began, until it is known whether one of them lived
}

// startRows are the nodes whose rows were there when this node began, and have not moved since. If
// all of them turn out to be gone, nobody was served from when the last of them lived until then.
type startRows struct {
	began time.Time
	rows  map[string]time.Time // what they said
	lived time.Time            // the latest of that, by their clocks
}

type sight struct {
	heard  time.Time     // as the row says, by that node's clock
	still  time.Duration // for how long it was seen to stand still
	lived  time.Time     // when it lived for sure, by our clock
	judged bool          // it is gone, and what it left here was seen to
}

// nodeLoop keeps the node's row fresh and, on a shared store, looks for nodes that are
// gone.
func (h *Hub) nodeLoop() {
	every := h.cfg.NodeEvery
	if h.cfg.Shared {
		every /= 2 // a row that moves is seen soon after
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	renewed, left := h.cfg.Now(), false
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		if h.draining.Load() && h.quietNow.Load() {
			continue // Drain renews the row itself when it is done
		}
		h.tellTurned()
		if now := h.cfg.Now(); now.Sub(renewed) >= h.cfg.NodeEvery*9/10 {
			ctx, cancel := context.WithTimeout(h.ctx, h.cfg.NodeLease)
			began := h.now()
			taken, err := h.renewLate(ctx, now.Sub(renewed))
			cancel()
			h.noteStore(began, err)
			if err != nil {
				if h.ctx.Err() == nil {
					h.log.Warn("node row not renewed", "error", err)
				}
				h.sights.blind()
				if !left && now.Sub(renewed) > 2*h.cfg.NodeLease && h.isolated() {
					left = true
					h.forsaken("this server reaches neither the store nor the relay")
				}
				continue
			}
			if left && !taken {
				lived := renewed
				h.tasks.Go(func() { h.revisit(lived) })
			}
			renewed, left = h.cfg.Now(), false
		}
		if h.cfg.Shared && !h.draining.Load() {
			if err := h.lookAround(h.ctx); err != nil && h.ctx.Err() == nil {
				h.sights.blind()
				h.log.Warn("other nodes not looked at", "error", err)
			}
		}
	}
}

// renewLate renews the node's row. After a pause that was long enough to be taken for gone it
// looks at what the others have seen: at the row as it stood, whoever wrote it and when, and
// after it has moved the row, whether somebody had claimed that. A claim looks at the row
// after it was made, so that one of the two sees the other. A row that is not there was taken
// away by who took over. taken: somebody had taken over, and everyone here was sent away.
func (h *Hub) renewLate(ctx context.Context, pause time.Duration) (taken bool, err error) {
	if !h.cfg.Shared || pause <= h.cfg.NodeLease/2 {
		return false, h.renewNode(ctx)
	}
	nodes, err := h.store.Nodes(ctx)
	if err != nil {
		return false, err
	}
	if err := h.renewNode(ctx); err != nil {
		return false, err
	}
	i := slices.IndexFunc(nodes, func(n vigil.Node) bool { return n.ID == h.boot })
	if i < 0 {
		h.forsaken("another server took over")
		return true, nil
	}
	_, err = h.store.GetRecord(ctx, takeOverRecord, takeOverKey(h.boot, nodes[i].Heard), h.now())
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		return false, nil
	case err == nil:
		h.forsaken("another server took over")
		return true, nil
	}
	return false, err
}

// revisit judges those whom this node sent away because it could have been taken over from,
// which turned out not to be so: who has not come back since is lost, by our fault, since the
// node lived; nobody else would ever tell. Those who come back have as long as after a drain.
func (h *Hub) revisit(lived time.Time) {
	if !tasks.Sleep(h.ctx, h.cfg.DrainSpread+h.cfg.Liveness.DropGrace) {
		return
	}
	slots := make(chan struct{}, h.cfg.Limits.TakeOver)
	err := h.reread(h.ctx, "those who were sent away", func(ctx context.Context) error {
		for page := (vigil.Page{}); ; {
			sessions, next, err := h.store.Connected(ctx, h.boot, page)
			if err != nil {
				return err
			}
			for _, s := range sessions {
				if h.served(s) {
					continue
				}
				if _, err := h.recoverOne(ctx, s, lived.UTC().Truncate(time.Millisecond), slots); err != nil {
					return err
				}
			}
			if next == "" {
				return nil
			}
			page.After = next
		}
	})
	if err != nil && h.ctx.Err() == nil {
		h.log.Error("those who were sent away are not judged", "error", err)
	}
}

// served tells whether this node knows how it is with a session's student.
func (h *Hub) served(s vigil.Session) bool {
	st := h.student(s.ID)
	if st == nil {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.owner != nil || st.presence.Connection != vigil.ConnSuperseded || st.presence.Epoch > s.Presence.Epoch
}

func (h *Hub) renewNode(ctx context.Context) error {
	return h.store.RenewNode(ctx, vigil.Node{ID: h.boot, Host: h.cfg.Host, Heard: h.now()})
}

// blind forgets when the last look was: what passed since does not count.
func (s *sights) blind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Time{}
}

// live tells whether a node's row was seen to move lately.
func (s *sights) live(node string, lease time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.seen[node]
	return v != nil && v.still < lease
}

// departed is a node that has not moved for its lease, or whose row was taken away.
type departed struct {
	node  vigil.Node
	lived time.Time
	row   bool // its row is still there
	first bool // it was not known to be gone before
}

// row is what a node's row said when this one began. A nil receiver has none.
func (r *startRows) row(node string) (heard time.Time, ok bool) {
	if r == nil {
		return time.Time{}, false
	}
	heard, ok = r.rows[node]
	return heard, ok
}

// begin notes the rows that are there when this node begins.
func (s *sights) begin(nodes []vigil.Node, self string, now time.Time) {
	b := &startRows{began: now, rows: map[string]time.Time{}}
	for _, n := range nodes {
		if n.ID != self {
			b.rows[n.ID] = n.Heard
			b.lived = later(b.lived, n.Heard)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.rows) > 0 {
		s.start = b
	}
}

// down tells, once, from when until when no node lived: all that were there when this one began are
// gone, and none of their rows moved since.
func (s *sights) down() (from, to time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start == nil || len(s.start.rows) > 0 {
		return time.Time{}, time.Time{}, false
	}
	from, to = s.start.lived, s.start.began
	s.start = nil
	return from, to, true
}

// look takes in the rows as they are now and returns who is gone.
func (s *sights) look(nodes []vigil.Node, self string, now time.Time, most, lease time.Duration) []departed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var credit time.Duration
	before := s.last
	if !before.IsZero() {
		credit = max(0, min(now.Sub(before), most))
	}
	s.last = now
	if s.seen == nil {
		s.seen = map[string]*sight{}
	}
	var out []departed
	here := map[string]bool{}
	for _, n := range nodes {
		if n.ID == self {
			continue
		}
		here[n.ID] = true
		v := s.seen[n.ID]
		switch {
		case v == nil:
			v = &sight{heard: n.Heard, lived: now}
			if n.Heard.Before(now) {
				v.lived = n.Heard
			}
			s.seen[n.ID] = v
		case !n.Heard.Equal(v.heard):
			*v = sight{heard: n.Heard, lived: now}
			if !before.IsZero() {
				v.lived = before // it moved at some moment since
			}
		default:
			v.still += credit
		}
		if was, ok := s.start.row(n.ID); ok && !was.Equal(n.Heard) { // it lives, and may have served all the time
			s.start = nil
		}
		if v.still >= lease {
			out = append(out, departed{node: n, lived: v.lived, row: true, first: !v.judged})
			v.judged = true
		}
	}
	for id, v := range s.seen {
		if !here[id] { // somebody else took over, or it ended and nothing was left of it
			delete(s.seen, id)
			if !v.judged {
				out = append(out, departed{node: vigil.Node{ID: id}, lived: v.lived, first: true})
			}
		}
	}
	if s.start != nil {
		maps.DeleteFunc(s.start.rows, func(id string, _ time.Time) bool { return !here[id] || s.seen[id].judged })
	}
	return out
}

// tells notes that a node told that it has students.
func (s *sights) tells(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[node] = true
}

// tellers are the nodes that told since this was asked the last time.
func (s *sights) tellers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.told))
	clear(s.told)
	return out
}

// lookAround looks at the other nodes, and takes over from those that are gone. Who has a row
// before its first student, and tells of students without one, was taken over from and could not
// hear that: it is told again, also by those who began after it.
func (h *Hub) lookAround(ctx context.Context) error {
	now := h.cfg.Now()
	tellers := h.sights.tellers() // before the rows are read
	nodes, err := h.store.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, id := range tellers {
		if !slices.ContainsFunc(nodes, func(n vigil.Node) bool { return n.ID == id }) {
			h.tellGone(id)
		}
	}
	gone := h.sights.look(nodes, h.boot, now, h.cfg.NodeEvery, h.cfg.NodeLease)
	if from, to, ok := h.sights.down(); ok {
		h.outages.add(from, to)
		for _, st := range h.allStudents() { // who was back before that was known
			st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.reblame(ctx, st.id) })
		}
	}
	for _, g := range gone {
		lived := g.lived.UTC().Truncate(time.Millisecond)
		if g.first {
			h.owe(g.node.ID, lived)
			h.tasks.Go(h.showLater)
		}
		if !g.row { // somebody took over
			h.tellGone(g.node.ID)
			continue
		}
		if h.sights.takes(g.node.ID) {
			continue
		}
		claimed, err := h.claim(ctx, g.node)
		if err != nil {
			return err
		}
		if claimed { // beside the loop, which keeps this node's own row fresh
			h.sights.take(g.node.ID, true)
			h.tasks.Go(func() {
				defer h.sights.take(g.node.ID, false)
				if err := h.takeOver(h.ctx, g.node, lived); err != nil && h.ctx.Err() == nil {
					h.log.Warn("taking over from a node that is gone failed; it is tried again", "gone", g.node.ID, "error", err)
				}
			})
		}
	}
	return nil
}

// takes tells whether this node takes over from another just now.
func (s *sights) takes(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taking[node]
}

func (s *sights) take(node string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taking == nil {
		s.taking = map[string]bool{}
	}
	if s.taking[node] = on; !on {
		delete(s.taking, node)
	}
}

const (
	takeOverRecord = "takeover"
	takeOverKept   = 24 * time.Hour
)

// takeOverKey names one end of a node. A node that stood still and goes on has another one
// the next time.
func takeOverKey(node string, heard time.Time) string {
	return node + "/" + heard.UTC().Format("20060102150405.000")
}

// claim makes this node the one that takes over from another: of all survivors exactly
// one succeeds, by a conditional write. When that one dies at it, one of the rest follows.
func (h *Hub) claim(ctx context.Context, n vigil.Node) (bool, error) {
	key := takeOverKey(n.ID, n.Heard)
	for {
		now := h.now()
		err := h.store.CreateRecord(ctx, vigil.Record{Kind: takeOverRecord, Key: key, Value: []byte(h.boot), Expires: now.Add(takeOverKept)}, now)
		if err == nil {
			break
		}
		if !errors.Is(err, vigil.ErrExists) {
			return false, err
		}
		r, err := h.store.GetRecord(ctx, takeOverRecord, key, now)
		if err != nil {
			return false, err
		}
		holder := string(r.Value)
		if holder == h.boot {
			break // it failed half way
		}
		if h.sights.live(holder, h.cfg.NodeLease) {
			h.tellGone(n.ID)
			return false, nil
		}
		key += "/" + holder
	}
	// It may have gone on in the last moment: then it finds the record, or we its new row.
	nodes, err := h.store.Nodes(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range nodes {
		if m.ID == n.ID {
			return m.Heard.Equal(n.Heard), nil
		}
	}
	return true, nil // its row is gone, but maybe not its sessions
}

// showLater gives the dashboards here a fresh snapshot when a node is gone and its sessions were
// taken over: what it stored last it may not have told.
func (h *Hub) showLater() {
	if !tasks.Sleep(h.ctx, h.cfg.ShowAfter) {
		return
	}
	for _, r := range h.allRooms() {
		for _, p := range *r.proctors.Load() {
			p.afresh()
		}
	}
}

// tellGone tells a node that somebody takes over from it, should it live: it may not hear whoever
// does so.
func (h *Hub) tellGone(node string) {
	for _, r := range h.allRooms() {
		h.publish(r.exam, event{Kind: eventGone, Node: node})
	}
}

// isolated tells whether the relay does not reach this node either: then nobody can tell it that
// it was taken over from, which is likely, and its clients find the others by themselves.
func (h *Hub) isolated() bool {
	watched, ok := h.cfg.Relay.(relay.Watched)
	rooms := h.allRooms()
	return h.cfg.Shared && ok && len(rooms) > 0 && !slices.ContainsFunc(rooms, func(r *room) bool { return watched.State(r.exam).Up })
}

// forsaken sends away everyone here, because another node has taken over, or may have.
func (h *Hub) forsaken(why string) {
	h.log.Error("disconnecting all clients", "why", why)
	h.stats.forsaken.Add(1)
	for _, st := range h.allStudents() {
		st.mu.Lock()
		st.owner = nil
		st.term++
		st.presence.Connection = vigil.ConnSuperseded
		st.reachable.Store(false)
		st.stopTimerLocked()
		for _, c := range st.conns {
			c.Drain(h.spread())
		}
		st.mu.Unlock()
	}
}

func (h *Hub) allStudents() []*student {
	h.mu.RLock()
	out := slices.Collect(maps.Values(h.students))
	h.mu.RUnlock()
	slices.SortFunc(out, byID)
	return out
}

func byID(a, b *student) int { return strings.Compare(a.id, b.id) }

// moved is a session that came here from another node, which may turn out to be gone.
type moved struct {
	from   string
	at     time.Time
	online bool // as that node last said
}

// owe sees to the students who came here from a node that is gone before that was known:
// what it stored last is counted anew, and if they were never lost but away for longer than
// a drop may take, that is a gap, and our fault.
func (h *Hub) owe(node string, lived time.Time) {
	for _, st := range h.allStudents() {
		st.mu.Lock()
		m := st.moved
		started := m.online && st.life.state.Started() && st.presence.Connection != vigil.ConnLost // then it is counted there
		if m.from == node {
			st.moved = moved{}
			st.stalesLocked()
			if started && m.at.Sub(lived) > h.drop() {
				st.openGap(vigil.GapChange{Start: lived, Cause: vigil.CauseServer})
				st.closeGap(m.at)
			}
		}
		st.mu.Unlock()
	}
}

// drop is how long somebody may be away without a gap; where times are by several servers'
// clocks, these may be apart.
func (h *Hub) drop() time.Duration {
	if h.cfg.Shared {
		return h.cfg.Liveness.DropGrace + h.cfg.NodeEvery
	}
	return h.cfg.Liveness.DropGrace
}

// otherHost refuses to start on a store of one host while a node of another host lives.
func (h *Hub) otherHost(ctx context.Context) error {
	var s sights
	for {
		nodes, err := h.store.Nodes(ctx)
		if err != nil {
			return err
		}
		waiting := false
		now := h.cfg.Now()
		s.mu.Lock()
		was := map[string]time.Time{}
		for id, v := range s.seen {
			was[id] = v.heard
		}
		s.mu.Unlock()
		for _, n := range nodes {
			if n.Host == h.cfg.Host || now.Sub(n.Heard) > oneHostStale {
				continue
			}
			if heard, ok := was[n.ID]; ok && !heard.Equal(n.Heard) {
				return vigil.Invalid("store", "Another server, on %s, works with this database, which serves one host: stop it first, or run both with --redis on a dynamodb: store.", n.Host)
			}
		}
		s.look(nodes, h.boot, now, h.cfg.NodeEvery, h.cfg.NodeLease)
		for _, n := range nodes {
			if n.Host != h.cfg.Host && now.Sub(n.Heard) <= oneHostStale && s.live(n.ID, h.cfg.NodeLease) {
				waiting = true
			}
		}
		if !waiting {
			return nil
		}
		if !tasks.Sleep(ctx, h.cfg.NodeEvery/2) {
			return ctx.Err()
		}
	}
}

// oneHostStale is how old another host's row may be, by clocks that differ, to be watched
// for a while.
const oneHostStale = 5 * time.Minute
