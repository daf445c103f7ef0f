package cluster

import (
	"maps"
	"slices"
	"time"

	"vigil/realtime/internal/lockorder"

	"vigil"
)

// A node lives as long as its row in the store moves. Nobody compares clocks: each node
// looks at the rows of the others and counts for how long it has seen one stand still. A
// node that could not look itself, because the store was away or the machine stood still,
// does not count that time.

// nodeWatch is what a node has seen of the others.
type nodeWatch struct {
	mu     lockorder.Mutex[lockorder.Leaf]
	seen   map[string]*peerState
	last   time.Time       // the last observation; zero: it failed, or there was none
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

type peerState struct {
	heard  time.Time     // as the row says, by that node's clock
	still  time.Duration // for how long it was seen to stand still
	lived  time.Time     // when it lived for sure, by our clock
	judged bool          // it is gone, and what it left here was seen to
}

// reset forgets when the last observation was: what passed since does not count.
func (s *nodeWatch) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Time{}
}

// live tells whether a node's row was seen to move lately.
func (s *nodeWatch) live(node string, lease time.Duration) bool {
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
func (s *nodeWatch) begin(nodes []vigil.Node, self string, now time.Time) {
	b := &startRows{began: now, rows: map[string]time.Time{}}
	for _, n := range nodes {
		if n.ID != self {
			b.rows[n.ID] = n.Heard
			b.lived = latest(b.lived, n.Heard)
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
func (s *nodeWatch) down() (from, to time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start == nil || len(s.start.rows) > 0 {
		return time.Time{}, time.Time{}, false
	}
	from, to = s.start.lived, s.start.began
	s.start = nil
	return from, to, true
}

// observe takes in the rows as they are now and returns who is gone.
func (s *nodeWatch) observe(nodes []vigil.Node, self string, now time.Time, most, lease time.Duration) []departed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var credit time.Duration
	before := s.last
	if !before.IsZero() {
		credit = max(0, min(now.Sub(before), most))
	}
	s.last = now
	if s.seen == nil {
		s.seen = map[string]*peerState{}
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
			v = &peerState{heard: n.Heard, lived: now}
			if n.Heard.Before(now) {
				v.lived = n.Heard
			}
			s.seen[n.ID] = v
		case !n.Heard.Equal(v.heard):
			*v = peerState{heard: n.Heard, lived: now}
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
func (s *nodeWatch) tells(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[node] = true
}

// tellers are the nodes that told since this was asked the last time.
func (s *nodeWatch) tellers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.told))
	clear(s.told)
	return out
}

// takes tells whether this node takes over from another just now.
func (s *nodeWatch) takes(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taking[node]
}

func (s *nodeWatch) take(node string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taking == nil {
		s.taking = map[string]bool{}
	}
	if s.taking[node] = on; !on {
		delete(s.taking, node)
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
