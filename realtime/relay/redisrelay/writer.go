package redisrelay

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// writer brings one partition's messages to Redis. An entry that may not have arrived is
// written again with the same number, by which readers know a repeat.
type writer struct {
	r    *Relay
	key  string
	wake chan struct{}
	sent atomic.Pointer[sent] // the newest entry, for measuring

	mu      sync.Mutex
	queue   []message
	bytes   int
	skip    bool // messages were dropped: the next entry's number leaves one out
	started bool
	ending  bool
	failing time.Time // since when; zero: it works
	done    chan struct{}

	// Owned by run.
	n       uint64
	trimmed time.Time
}

// sent is when an entry was first tried.
type sent struct {
	n  uint64
	at time.Time
}

// Bounds of one entry that is written.
const (
	batchBytes    = 512 << 10 // or one message
	batchMessages = 1024
	byeTime       = time.Second // for the last entries
	failGrace     = time.Second // a fault that lasts no longer is nobody's concern
)

func newWriter(r *Relay, p int) *writer {
	return &writer{r: r, key: streamKey(r.cfg.Prefix, p), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (w *writer) put(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return
	}
	size := m.size()
	switch {
	case len(m.payload) > maxPayload || m.exam == "" || len(m.exam) > maxExam:
		w.r.log.Error("a message is too large for the relay; the others read the store instead", "exam", m.exam, "bytes", len(m.payload))
		w.drop(1)
	case len(w.queue) >= w.r.cfg.QueueMessages || w.bytes+size > w.r.cfg.QueueBytes:
		w.drop(len(w.queue) + 1) // whoever misses some reads everything anew: the rest is of no use
		w.queue, w.bytes = nil, 0
	default:
		w.queue = append(w.queue, m)
		w.bytes += size
	}
	w.startLocked()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// start has the writer show signs of life, if it does not yet.
func (w *writer) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.startLocked()
}

func (w *writer) startLocked() {
	if !w.started && !w.ending {
		w.started = w.r.spawn(w.run)
	}
}

func (w *writer) drop(n int) {
	w.skip = true
	w.r.counters.dropped.Add(int64(n))
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

func (w *writer) up() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failing.IsZero() || time.Since(w.failing) < failGrace
}

// end writes what waits and says goodbye, if there was anything to say and Redis answers.
func (w *writer) end() {
	w.mu.Lock()
	w.ending = true
	started := w.started
	w.mu.Unlock()
	if !started {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	t := time.NewTimer(byeTime)
	defer t.Stop()
	select {
	case <-w.done:
	case <-t.C: // the relay's context ends it
	}
}

// take returns the next batch. What was dropped before it is told by its number.
func (w *writer) take() (batch []message, ending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, 0
	for n < len(w.queue) && n < batchMessages && (n == 0 || size+w.queue[n].size() <= batchBytes) {
		size += w.queue[n].size()
		n++
	}
	batch = append(batch, w.queue[:n]...)
	rest := copy(w.queue, w.queue[n:])
	clear(w.queue[rest:])
	w.queue = w.queue[:rest]
	w.bytes -= size
	if w.skip {
		w.skip = false
		w.n++
	}
	return batch, w.ending
}

func (w *writer) run() {
	defer close(w.done)
	beat := time.NewTicker(w.r.cfg.Beat)
	defer beat.Stop()
	for {
		select {
		case <-w.wake:
		case <-beat.C:
			w.append(entry{}) // a sign of life
		case <-w.r.ctx.Done():
			return
		}
		for {
			batch, ending := w.take()
			if len(batch) > 0 {
				began := time.Now()
				if !w.append(entry{messages: batch}) || !w.gather(len(batch), began) {
					return
				}
				continue
			}
			if ending {
				w.append(entry{flags: flagBye})
				return
			}
			break
		}
		w.trim()
	}
}

// gather waits a little after an entry with n messages, so that a busy node sends fewer and
// fuller ones: the busier, the longer. A quiet one sends at once.
func (w *writer) gather(n int, since time.Time) bool {
	pause := min(time.Duration(n)*w.r.cfg.PaceEach, w.r.cfg.PaceMost) - time.Since(since)
	w.mu.Lock()
	full := w.ending || len(w.queue) >= batchMessages || w.bytes >= batchBytes
	w.mu.Unlock()
	return full || pause <= 0 || sleep(w.r.ctx, pause)
}

// append writes one entry, however long that takes; false: the relay ended first.
func (w *writer) append(e entry) bool {
	w.n++
	e.layout, e.node, e.n = w.r.cfg.layout(), w.r.cfg.Node, w.n
	args := &redis.XAddArgs{Stream: w.key, Values: []any{fieldEntry, e.encode()}}
	w.sent.Store(&sent{w.n, time.Now()})
	pause := w.r.cfg.RetryFirst
	for {
		ctx, cancel := context.WithTimeout(w.r.ctx, callTime)
		err := w.r.write.XAdd(ctx, args).Err()
		cancel()
		if err == nil {
			w.worked()
			w.r.counters.entries.Add(1)
			return true
		}
		if w.r.ctx.Err() != nil {
			return false
		}
		w.failed(err)
		if !sleep(w.r.ctx, jitter(pause)) {
			return false
		}
		pause = min(2*pause, w.r.cfg.RetryMost)
	}
}

// jitter keeps many nodes from knocking at the same moment.
func jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1)) //nolint:gosec // not a secret
}

func (w *writer) failed(err error) {
	w.r.counters.faults.Add(1)
	w.mu.Lock()
	first := w.failing.IsZero()
	if first {
		w.failing = time.Now()
	}
	w.mu.Unlock()
	if first {
		w.r.log.Warn("Redis does not take what is relayed; trying again", "key", w.key, "error", err)
	}
}

func (w *writer) worked() {
	w.mu.Lock()
	since := w.failing
	w.failing = time.Time{}
	w.mu.Unlock()
	if !since.IsZero() {
		w.r.counters.reconnects.Add(1)
		w.r.log.Info("Redis takes what is relayed again", "key", w.key, "after", time.Since(since))
	}
}

// trim keeps the stream small, now and then.
func (w *writer) trim() {
	if time.Since(w.trimmed) < w.r.cfg.TrimEvery {
		return
	}
	w.trimmed = time.Now()
	ctx, cancel := context.WithTimeout(w.r.ctx, callTime)
	defer cancel()
	if err := trim.Run(ctx, w.r.write, []string{w.key}, w.r.cfg.Keep.Milliseconds(), w.r.cfg.MaxBytes).Err(); err != nil && w.r.ctx.Err() == nil {
		w.r.counters.faults.Add(1)
		w.r.log.Warn("a relay's stream is not trimmed", "key", w.key, "error", err)
	}
}
