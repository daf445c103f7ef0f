package realtime

import (
	"slices"
	"sync"
	"time"

	"vigil"
)

// turns are the page turns of each platform's students on this node in the last minutes. A
// slow one by itself explains nothing; many at the same time are the platform's.
type turns struct {
	mu    sync.Mutex
	sites map[string]*site // by platform
}

// site is one platform.
type site struct {
	turns  []turn // newest last
	faults []vigil.Fault
	ahead  ahead
}

// turn is one page turn.
type turn struct {
	session  string
	from, to time.Time // to is zero while it lasts
}

const (
	turnsKept    = 3 * time.Minute
	maxTurns     = 20_000 // of one platform
	sharedLeast  = 3      // so many students at once are no accident
	maxSiteFault = 64
)

func (t *turns) site(platform string) *site {
	if t.sites == nil {
		t.sites = map[string]*site{}
	}
	s := t.sites[platform]
	if s == nil {
		s = &site{}
		t.sites[platform] = s
	}
	return s
}

// begin notes that a student left a page.
func (t *turns) begin(platform, session string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	s.turns = slices.DeleteFunc(s.turns, func(u turn) bool {
		return u.session == session && u.to.IsZero() || now.Sub(u.from) > turnsKept
	})
	if len(s.turns) < maxTurns {
		s.turns = append(s.turns, turn{session: session, from: now})
	}
}

// end notes that the next page is there.
func (t *turns) end(platform, session string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	for i := range s.turns {
		if u := &s.turns[i]; u.session == session && u.to.IsZero() {
			u.to = now
		}
	}
}

// shared tells whether the platform was slow for many at once in a stretch: at least three
// students turned a page then that took longer than the grace, and they are half of those
// whose turn is known to have been slow or quick. If so, the stretch is remembered as the
// platform's fault, as long as the slow turns were, and others are those who were slow with it.
func (t *turns) shared(platform string, from, to, now time.Time, grace time.Duration) (shared bool, others []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(platform)
	quick := 0
	fault := vigil.Fault{Cause: vigil.CauseLMS}
	for _, u := range s.turns {
		end := u.to
		if end.IsZero() {
			end = now
		}
		if u.from.After(to) || end.Before(from) || now.Sub(u.from) > turnsKept {
			continue
		}
		switch {
		case end.Sub(u.from) >= grace:
			if !slices.Contains(others, u.session) {
				others = append(others, u.session)
			}
			if fault.From.IsZero() || u.from.Before(fault.From) {
				fault.From = u.from
			}
			if end.After(fault.To) {
				fault.To = end
			}
		case !u.to.IsZero():
			quick++
		}
	}
	if len(others) < sharedLeast || len(others) < quick {
		return false, nil
	}
	if n := len(s.faults); n > 0 && !fault.From.After(s.faults[n-1].To) && !fault.To.Before(s.faults[n-1].From) { // the same one
		old := &s.faults[n-1]
		if fault.From.Before(old.From) {
			old.From = fault.From
		}
		if fault.To.After(old.To) {
			old.To = fault.To
		}
	} else {
		s.faults = last(append(s.faults, fault), maxSiteFault)
	}
	return true, others
}

// faults are the stretches in which a platform was slow for many.
func (t *turns) faults(platform string) []vigil.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[platform]; s != nil {
		return slices.Clone(s.faults)
	}
	return nil
}

// ahead estimates how far our clock is ahead of a platform's: the least time from when the
// platform signed something, by its clock, until that came here, by ours, in the last
// minutes. It is too high by what the quickest way took, and tells nothing before some have come.
type ahead struct {
	now, before time.Duration // least of this stretch, and of the one before
	began       time.Time
	seen        int
}

const (
	aheadStretch = 5 * time.Minute
	aheadEnough  = 10
)

func (a *ahead) see(now time.Time, d time.Duration) {
	a.seen++
	switch {
	case a.seen == 1:
		a.now, a.before, a.began = d, d, now
	case now.Sub(a.began) > aheadStretch:
		a.now, a.before, a.began = d, a.now, now
	default:
		a.now = min(a.now, d)
	}
}

// came notes that something came here which a platform signed at a time, by its clock, and
// tells when that was by ours, and whether it is known well enough to hold it against anybody.
func (t *turns) came(platform string, signed, now time.Time) (ours time.Time, sure bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.site(platform).ahead
	a.see(now, now.Sub(signed))
	return signed.Add(min(a.now, a.before)), a.seen >= aheadEnough
}
