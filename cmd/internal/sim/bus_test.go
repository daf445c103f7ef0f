package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// bus holds back whatever crosses a boundary, and lets one thing through at a time.
type bus struct {
	seed  uint64
	began time.Time
	wake  chan struct{} // something new is held back

	mu      sync.Mutex
	held    []*passage
	counts  map[string]int // of passages, by key
	history []string
	passed  int
}

// passage is one thing that waits to be let through.
type passage struct {
	class class
	key   string
	n     int       // so many of that key came before it
	due   time.Time // zero: not decided yet
	stays func() bool
	way   verdict
	free  chan struct{}
}

// by names the server whose call it is.
func (p *passage) by() string {
	id, _, _ := strings.Cut(p.key, " ")
	return id
}

// class says what crosses.
type class string

// The classes.
const (
	toStore class = "store"
	toRelay class = "relay"
	onLine  class = "line"
	toLMS   class = "lms"
	toWeb   class = "web" // from the platform, or for a token
)

// verdict says what becomes of a passage.
type verdict int

// The verdicts.
const (
	passes verdict = iota
	fails          // it does not get there
	lost           // it gets there, and its answer does not get back
)

func newBus(seed uint64) *bus {
	return &bus{seed: seed, began: time.Now(), wake: make(chan struct{}, 1), counts: map[string]int{}}
}

// pass waits until the bus lets it through. While stays says so it does not. The error is the
// context's.
func (b *bus) pass(ctx context.Context, c class, key string, stays func() bool) (verdict, error) {
	p := &passage{class: c, key: key, stays: stays, free: make(chan struct{})}
	b.mu.Lock()
	p.n = b.counts[key]
	b.counts[key]++
	b.held = append(b.held, p)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	select {
	case <-p.free:
		return p.way, nil
	case <-ctx.Done():
		b.mu.Lock()
		b.held = slices.DeleteFunc(b.held, func(o *passage) bool { return o == p })
		b.mu.Unlock()
		return fails, ctx.Err()
	}
}

// note adds to the history.
func (b *bus) note(format string, args ...any) {
	line := fmt.Sprintf("%9.3f %s", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.history = append(b.history, line)
}

// run lets things through until a time.
func (b *bus) run(until time.Time, judge func(*passage) (time.Duration, verdict)) {
	for {
		synctest.Wait()
		now := time.Now()
		p, next := b.next(now, judge)
		if p != nil {
			b.note("%s %s#%d %s", p.class, p.key, p.n, [...]string{"passes", "fails", "is lost"}[p.way])
			close(p.free)
			continue
		}
		if !now.Before(until) {
			return
		}
		if next.IsZero() || next.After(until) {
			next = until
		}
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-timer.C:
		case <-b.wake:
			timer.Stop()
		}
	}
}

// next takes out what passes now; else it tells when the next one is due.
func (b *bus) next(now time.Time, judge func(*passage) (time.Duration, verdict)) (*passage, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.held, func(p, q *passage) int {
		if c := strings.Compare(p.key, q.key); c != 0 {
			return c
		}
		return p.n - q.n
	})
	var first *passage
	var soonest time.Time
	for _, p := range b.held {
		if p.stays != nil && p.stays() {
			soonest = sooner(soonest, now.Add(100*time.Millisecond))
			continue
		}
		if p.due.IsZero() {
			var lag time.Duration
			lag, p.way = judge(p)
			p.due = now.Add(lag)
		}
		if p.due.After(now) {
			soonest = sooner(soonest, p.due)
		} else if first == nil || p.due.Before(first.due) {
			first = p
		}
	}
	if first != nil {
		b.held = slices.DeleteFunc(b.held, func(p *passage) bool { return p == first })
		b.passed++
	}
	return first, soonest
}

// dice are a passage's own: what becomes of it does not depend on what else crosses.
func (b *bus) dice(p *passage) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s#%d", p.key, p.n) // never fails
	return rand.New(rand.NewPCG(b.seed, h.Sum64()))
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
