//go:build race

package lockorder

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// Mutex is a sync.Mutex of a rank.
type Mutex[R Rank] struct{ mu sync.Mutex }

// Lock locks the mutex. It panics where the goroutine holds one of the same rank or a higher one.
func (m *Mutex[R]) Lock() {
	take[R]()
	m.mu.Lock()
}

// Unlock unlocks the mutex.
func (m *Mutex[R]) Unlock() {
	m.mu.Unlock()
	leave[R]()
}

// RWMutex is a sync.RWMutex of a rank.
type RWMutex[R Rank] struct{ mu sync.RWMutex }

// Lock locks for writing; as Mutex.Lock.
func (m *RWMutex[R]) Lock() {
	take[R]()
	m.mu.Lock()
}

// Unlock unlocks for writing.
func (m *RWMutex[R]) Unlock() {
	m.mu.Unlock()
	leave[R]()
}

// RLock locks for reading; as Mutex.Lock.
func (m *RWMutex[R]) RLock() {
	take[R]()
	m.mu.RLock()
}

// RUnlock unlocks for reading.
func (m *RWMutex[R]) RUnlock() {
	m.mu.RUnlock()
	leave[R]()
}

// ranks are all of them, by place.
var ranks = [...]Rank{1: Rows{}, Hub{}, Student{}, Room{}, Dashboard{}, Socket{}, Flusher{}, Leaf{}, Queue{}, Tasks{}}

// held has what each goroutine holds that holds anything. The race detector must not take the look-ups for
// synchronization between goroutines, which would hide races: they are atomic, and it ignores their order.
var held [4096][16]slot

// slot is one goroutine's; only that goroutine changes it.
type slot struct {
	goroutine atomic.Int64 // 0: the slot is free
	ranks     atomic.Int64 // a bit for each place
}

func take[R Rank]() {
	var next R
	if at := hold(next.place()); at >= next.place() {
		panic(fmt.Sprintf("lockorder: %s is taken while %s is held", next.name(), ranks[at].name()))
	}
}

func leave[R Rank]() {
	var gone R
	runtime.RaceDisable()
	defer runtime.RaceEnable()
	s := mine(goroutine())
	if s == nil {
		return
	}
	ranks := s.ranks.Load() &^ (1 << gone.place())
	s.ranks.Store(ranks)
	if ranks == 0 {
		s.goroutine.Store(0)
	}
}

// hold notes a rank for the goroutine, unless it holds the same or a higher one. It returns the highest place that
// the goroutine held; -1 or 0: none.
func hold(place int) (highest int) {
	runtime.RaceDisable()
	defer runtime.RaceEnable()
	g := goroutine()
	s := mine(g)
	if s == nil {
		if s = free(g); s == nil {
			return 0 // too many goroutines hold something: these are not looked at
		}
	}
	ranks := s.ranks.Load()
	highest = bits.Len64(uint64(ranks)) - 1
	if highest < place {
		s.ranks.Store(ranks | 1<<place)
	}
	return highest
}

// mine is the goroutine's slot; nil: it holds nothing.
func mine(g int64) *slot {
	bucket := &held[g%int64(len(held))]
	for i := range bucket {
		if bucket[i].goroutine.Load() == g {
			return &bucket[i]
		}
	}
	return nil
}

// free makes a slot the goroutine's; nil: there is none.
func free(g int64) *slot {
	bucket := &held[g%int64(len(held))]
	for i := range bucket {
		if bucket[i].goroutine.CompareAndSwap(0, g) {
			return &bucket[i]
		}
	}
	return nil
}

// goroutine is the number of the calling goroutine, as its stack's first line has it.
func goroutine() int64 {
	var buf [64]byte
	line := buf[len("goroutine "):runtime.Stack(buf[:], false)]
	n := int64(0)
	for _, c := range line {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int64(c-'0')
	}
	return n
}
