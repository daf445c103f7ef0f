package tasks

import (
	"context"

	"vigil/realtime/internal/lockorder"
)

// Queue does one owner's jobs that wait for the store, one after the other, in a goroutine
// that exists only while there are some. The zero Queue is ready.
type Queue struct {
	mu   lockorder.Mutex[lockorder.Queue]
	jobs []func(context.Context)
	busy bool
}

// Add puts a job at the end. It is refused when limit jobs wait already (0: no limit,
// for jobs that come one for one with something that is bounded) or the group has stopped.
func (q *Queue) Add(g *Group, limit int, job func(context.Context)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limit > 0 && len(q.jobs) >= limit {
		g.refused.Add(1)
		return false
	}
	if !q.busy {
		if !g.Go(func() { q.run(g) }) {
			return false
		}
		q.busy = true
	}
	q.jobs = append(q.jobs, job)
	return true
}

func (q *Queue) run(g *Group) {
	for {
		q.mu.Lock()
		if len(q.jobs) == 0 {
			q.busy = false
			q.jobs = nil
			q.mu.Unlock()
			return
		}
		job := q.jobs[0]
		q.jobs[0] = nil
		q.jobs = q.jobs[1:]
		q.mu.Unlock()
		job(g.ctx)
	}
}

// Idle tells whether nothing is to be done.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.busy
}
