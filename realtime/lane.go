package realtime

import (
	"context"
	"sync"
)

// lane does one owner's jobs that wait for the store, one after the other, in a goroutine
// that exists only while there are some. The zero lane is ready.
type lane struct {
	mu   sync.Mutex
	jobs []func(context.Context)
	busy bool
}

// add puts a job at the end. It is refused when limit jobs wait already (0: no limit,
// for jobs that come one for one with something that is bounded) or the hub has closed.
func (l *lane) add(h *Hub, limit int, job func(context.Context)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit > 0 && len(l.jobs) >= limit {
		h.stats.jobsRefused.Add(1)
		return false
	}
	if !l.busy {
		if !h.spawn(func() { l.run(h) }) {
			return false
		}
		l.busy = true
	}
	l.jobs = append(l.jobs, job)
	return true
}

func (l *lane) run(h *Hub) {
	for {
		l.mu.Lock()
		if len(l.jobs) == 0 {
			l.busy = false
			l.jobs = nil
			l.mu.Unlock()
			return
		}
		job := l.jobs[0]
		l.jobs[0] = nil
		l.jobs = l.jobs[1:]
		l.mu.Unlock()
		job(h.ctx)
	}
}

// quiet tells whether nothing is to be done.
func (l *lane) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.busy
}
