package outage

import (
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/protocol"
)

// PageTurns are the page turns of each platform's students on this node in the last minutes. A
// slow one by itself explains nothing; several at the same moment are the platform's. The zero
// value is ready; all methods may be called at the same time.
type PageTurns struct {
	mu    lockorder.Mutex[lockorder.Leaf]
	sites map[string]*site // by platform
}

// site is one platform.
type site struct {
	turns  []turn         // in order of their beginning
	gone   int            // how many were before them
	open   map[string]int // by session: which of all turns lasts
	ends   []int64        // of the turns, in order
	faults []vigil.Fault  // the stretches in which it was slow, in order, none touches another
	ahead  ahead
}

// turn is one page turn.
type turn struct {
	session  string // empty: forgotten
	from, to int64  // ms since 1970; to is zero while it lasts
}

const (
	turnsKept   = 10 * time.Minute
	maxTurns    = 20_000          // of one platform
	sharedLeast = 3               // so many students who wait at once are no accident
	hangMost    = 5 * time.Minute // so long somebody may wait while no page at all comes

	maxSiteFault = 64
)

func (t *PageTurns) site(platform string) *site {
	if t.sites == nil {
		t.sites = map[string]*site{}
	}
	s := t.sites[platform]
	if s == nil {
		s = &site{open: map[string]int{}}
		t.sites[platform] = s
	}
	return s
}

// Begin notes that a student left a page.
func (t *PageTurns) Begin(platform, session string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	if n, ok := s.open[session]; ok {
		s.turns[n-s.gone].session = "" // came back without our hearing of it
	}
	old := protocol.Millis(now.Add(-turnsKept))
	for len(s.turns) >= maxTurns || len(s.turns) > 0 && s.turns[0].from < old {
		if id := s.turns[0].session; id != "" && s.turns[0].to == 0 {
			delete(s.open, id)
		}
		s.turns, s.gone = s.turns[1:], s.gone+1
	}
	s.open[session] = s.gone + len(s.turns)
	s.turns = append(s.turns, turn{session: session, from: protocol.Millis(now)})
	s.ends = s.ends[before(s.ends, old):]
}

// End notes that the next page is there, since a time.
func (t *PageTurns) End(platform, session string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	n, ok := s.open[session]
	if !ok {
		return
	}
	delete(s.open, session)
	u := &s.turns[n-s.gone]
	u.to = max(protocol.Millis(at), u.from)
	if len(s.ends) >= maxTurns {
		s.ends = s.ends[1:]
	}
	s.ends = slices.Insert(s.ends, before(s.ends, u.to), u.to)
}

// Look finds out when a platform was slow, as far as that is known by now, and remembers it:
// at each moment at which at least three students waited who were to wait for longer than the
// grace, and at which no more than they have turned a page quickly since the first of them
// left. It tells whether it is slow now, and who is back already and had waited in a stretch
// of which that was not known before.
func (t *PageTurns) Look(platform string, now time.Time, l vigil.Liveness) (slow bool, news []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	grace := l.NavigateGrace.Milliseconds()
	for _, f := range s.stretches(protocol.Millis(now), grace, l.LoadLimit.Milliseconds()) {
		slow = slow || !f.To.Before(now)
		for _, part := range without(f, s.faults) {
			from, to := protocol.Millis(part.From), protocol.Millis(part.To)
			for _, u := range s.turns {
				if u.session != "" && u.to-u.from >= grace && u.from < to && from < u.to && !slices.Contains(news, u.session) {
					news = append(news, u.session)
				}
			}
		}
		s.faults = lists.Newest(union(s.faults, f), maxSiteFault)
	}
	return slow, news
}

// stretches are those in which several students waited at once. All times are in ms.
func (s *site) stretches(now, grace, limit int64) []vigil.Fault {
	var slow []turn
	var quick []int64 // the beginnings of those that were, in order, from the first slow one on
	var cuts, ends []int64
	for _, u := range s.turns {
		if u.session == "" {
			continue
		}
		if to := s.waited(u, now, limit); to-u.from >= grace {
			u.to = to
			slow, cuts, ends = append(slow, u), append(cuts, u.from, to), append(ends, to)
		} else if u.to != 0 && len(slow) > 0 {
			quick = append(quick, u.from)
		}
	}
	if len(slow) < sharedLeast {
		return nil
	}
	slices.Sort(ends)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []vigil.Fault
	first, left, back := 0, 0, 0 // the first who waits; how many have left and are back
	for i, from := range cuts[:len(cuts)-1] {
		to := cuts[i+1]
		for left < len(slow) && slow[left].from <= from {
			left++
		}
		for back < len(ends) && ends[back] <= from {
			back++
		}
		for first < left && slow[first].to <= from {
			first++
		}
		waiting := left - back
		if waiting < sharedLeast || before(quick, to)-before(quick, slow[first].from) > waiting {
			continue
		}
		if n := len(out); n > 0 && protocol.Millis(out[n-1].To) == from {
			out[n-1].To = protocol.Moment(to)
		} else {
			out = append(out, vigil.Fault{From: protocol.Moment(from), To: protocol.Moment(to), Cause: vigil.CauseLMS})
		}
	}
	return out
}

// waited is until when a student waited for a page. Who is not back may have closed the
// browser: they count for the time that a page may take, the limit (LoadLimit), and beyond it
// only while no page at all comes to anybody.
func (s *site) waited(u turn, now, limit int64) int64 {
	switch {
	case u.to != 0:
		return u.to
	case now < u.from+limit:
		return now
	}
	until := min(now, u.from+max(hangMost.Milliseconds(), limit))
	if i := before(s.ends, u.from+1); i < len(s.ends) {
		until = min(until, s.ends[i])
	}
	return max(until, u.from+limit)
}

// without is what of a stretch is in none of others, which are in order.
func without(f vigil.Fault, others []vigil.Fault) []vigil.Fault {
	var out []vigil.Fault
	for _, o := range others {
		if !o.To.After(f.From) || !o.From.Before(f.To) {
			continue
		}
		if o.From.After(f.From) {
			out = append(out, vigil.Fault{From: f.From, To: o.From, Cause: f.Cause})
		}
		f.From = o.To
	}
	if f.From.Before(f.To) {
		out = append(out, f)
	}
	return out
}

// union adds a stretch to others, which are in order and stay so.
func union(others []vigil.Fault, f vigil.Fault) []vigil.Fault {
	out := slices.DeleteFunc(others, func(o vigil.Fault) bool {
		if o.To.Before(f.From) || o.From.After(f.To) {
			return false
		}
		if o.From.Before(f.From) {
			f.From = o.From
		}
		if o.To.After(f.To) {
			f.To = o.To
		}
		return true
	})
	at, _ := slices.BinarySearchFunc(out, f, func(a, b vigil.Fault) int { return a.From.Compare(b.From) })
	return slices.Insert(out, at, f)
}

// Faults are the stretches in which a platform was slow for several students at once.
func (t *PageTurns) Faults(platform string) []vigil.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[platform]; s != nil {
		return slices.Clone(s.faults)
	}
	return nil
}

// ahead is how far our clock is ahead of a platform's at most: the least time from when the
// platform signed something, by its clock, until that came here, by ours, in the last
// minutes. It is too much by what the quickest way took.
type ahead struct {
	now, before time.Duration // of this stretch, and of the one before
	began       time.Time
}

const aheadStretch = 5 * time.Minute

// Ahead notes that something came here at now which a platform signed at a time, by its clock. It
// tells how far our clock is ahead.
func (t *PageTurns) Ahead(platform string, signed, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, d := &t.site(platform).ahead, now.Sub(signed)
	switch {
	case a.began.IsZero():
		*a = ahead{d, d, now}
	case now.Sub(a.began) > aheadStretch:
		a.now, a.before, a.began = d, a.now, now
	default:
		a.now = min(a.now, d)
	}
	return min(a.now, a.before)
}

// before tells how many of a list in order are before t.
func before(list []int64, t int64) int {
	n, _ := slices.BinarySearch(list, t)
	return n
}
