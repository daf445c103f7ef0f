// Package tasks runs a node's background work: goroutines that the end of the node waits for, and
// queues that do one owner's jobs one after the other.
package tasks

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vigil/realtime/internal/lockorder"
)

// maxAside is how many pieces of work of Aside are done at once.
const maxAside = 16

// Group is the background work of one node. All methods may be called at the same time.
type Group struct {
	refused atomic.Int64 // jobs, by queues that were full

	ctx    context.Context // ends at Stop
	cancel context.CancelFunc
	aside  chan struct{} // slots of Aside

	stop    lockorder.RWMutex[lockorder.Tasks] // guards stopped against wg
	stopped bool
	wg      sync.WaitGroup
}

// NewGroup makes a group without work.
func NewGroup() *Group {
	g := &Group{aside: make(chan struct{}, maxAside)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Context ends at Stop.
func (g *Group) Context() context.Context { return g.ctx }

// Go runs f in a goroutine that Wait waits for. After Stop it does nothing and returns false.
func (g *Group) Go(f func()) bool {
	if !g.Begin() {
		return false
	}
	go func() {
		defer g.Done()
		f()
	}()
	return true
}

// Aside is Go for what many sessions have to do at the same moment, such as the end of an
// exam: a few at once, and nobody waits for it. There is one per session that ends.
func (g *Group) Aside(f func()) {
	g.Go(func() {
		select {
		case g.aside <- struct{}{}:
			defer func() { <-g.aside }()
			f()
		case <-g.ctx.Done():
		}
	})
}

// Begin counts one piece of work that Wait waits for; Done ends it. After Stop it is false.
func (g *Group) Begin() bool {
	g.stop.RLock()
	defer g.stop.RUnlock()
	if g.stopped {
		return false
	}
	g.wg.Add(1)
	return true
}

// Done ends what Begin began.
func (g *Group) Done() { g.wg.Done() }

// Stop lets nothing new begin, and ends the context.
func (g *Group) Stop() {
	g.stop.Lock()
	g.stopped = true
	g.stop.Unlock()
	g.cancel()
}

// Wait waits for all work. Stop comes first.
func (g *Group) Wait() { g.wg.Wait() }

// Refused counts the jobs that queues refused because they were full.
func (g *Group) Refused() int64 { return g.refused.Load() }

// Sleep waits; false: the context ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
