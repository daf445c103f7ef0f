//go:build race

package lockorder

import (
	"sync"
	"testing"
)

// panics tells what f panics with; nil: it does not.
func panics(f func()) (with any) {
	defer func() { with = recover() }()
	f()
	return nil
}

func TestALockInTheWrongOrderPanics(t *testing.T) {
	var hub RWMutex[Hub]
	var student, other Mutex[Student]
	hub.RLock()
	student.Lock()
	student.Unlock()
	hub.RUnlock()
	student.Lock()
	if got, want := panics(hub.RLock), "lockorder: Hub is taken while Student is held"; got != want {
		t.Errorf("a lower one: got %v, want %q", got, want)
	}
	if got := panics(other.Lock); got == nil {
		t.Error("another of the same rank: got nothing, want a panic")
	}
	var wg sync.WaitGroup
	wg.Go(func() { // holds nothing
		hub.Lock()
		other.Lock()
		other.Unlock()
		hub.Unlock()
	})
	wg.Wait()
	student.Unlock()
	if got := panics(func() { hub.Lock(); hub.Unlock() }); got != nil {
		t.Errorf("when all are unlocked: got %v", got)
	}
	for b := range held {
		for i := range held[b] {
			if g := held[b][i].goroutine.Load(); g != 0 {
				t.Errorf("goroutine %d: got ranks %b remembered, want nothing", g, held[b][i].ranks.Load())
			}
		}
	}
}
