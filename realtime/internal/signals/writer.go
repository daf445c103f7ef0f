// Package signals brings signals to the store, many at once.
package signals

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Source is whose signals an entry is of. It is told what became of each, once.
type Source interface {
	// Stored tells what became of a signal. again: it is not the first try, and an earlier one may have
	// stored it, whose answer was lost.
	Stored(e *Entry, result vigil.Appended, again bool)
	// Unstorable says that the store will never take a signal as it is.
	Unstorable()
}

// Entry is a signal on its way to the store.
type Entry struct {
	Signal vigil.Signal
	Source Source
	Conn   *socket.Conn // who waits for the acknowledgement; nil: nobody
	Quiet  bool         // was not shown yet: it is when it turns out to be new
}

// Store keeps signals; package storage states the contract.
type Store interface {
	AppendSignals(ctx context.Context, signals []vigil.Signal) ([]vigil.Appended, error)
}

// Config is what a Writer needs. All of it must be given.
type Config struct {
	Store   Store
	Context context.Context // ends the writer
	Log     *slog.Logger
	Now     func() time.Time

	Every      time.Duration // from one batch to the next while there are more
	SaveWait   time.Duration // until a call of the store that takes longer is told as one that fails
	RetryFirst time.Duration // first pause when the store does not answer; doubles to RetryMost
	RetryMost  time.Duration
	Waiting    int // signals with somebody who would send them again; more: Put refuses them
	Batch      int // signals in one call of the store

	Draining func() bool // nothing is gathered any more
	// Noted is told what became of each call of the store, Saving that saving waits (false), or goes on.
	Noted  func(began time.Time, err error)
	Saving func(goesOn bool)
}

// Counters is what a Writer has counted since it began.
type Counters struct {
	Batches atomic.Int64 // calls of the store that succeeded
	Retries atomic.Int64
	Refused atomic.Int64 // not taken: too many waited
}

// Writer brings signals to the store, many at once: whatever came while the call before
// was under way, and within Config.Every of its beginning. A quiet system stores at
// once, a busy one in large batches, whose commit they share. What was
// accepted is never dropped; when the store does not answer, acknowledgements wait and
// the queue fills until Put refuses. All methods but Run may be called at the same time.
type Writer struct {
	Counters Counters

	cfg  Config
	wake chan struct{}

	mu      lockorder.Mutex[lockorder.Leaf]
	queue   []Entry
	failing bool
	busy    int // signals under way

	// Owned by Run.
	signals []vigil.Signal
	acks    map[ackKey][]int64
	order   []ackKey // of acks
}

type ackKey struct {
	conn   *socket.Conn
	stream string
}

// New makes a writer; Run is its work.
func New(cfg Config) *Writer {
	return &Writer{cfg: cfg, wake: make(chan struct{}, 1), acks: map[ackKey][]int64{}}
}

// Put accepts a signal, or not: then the queue is full. The server's own signals are few
// and have nobody who would send them again; they are accepted over the limit.
func (w *Writer) Put(e Entry) bool {
	w.mu.Lock()
	if len(w.queue) >= w.cfg.Waiting && e.Conn != nil {
		w.mu.Unlock()
		w.Counters.Refused.Add(1)
		return false
	}
	w.queue = append(w.queue, e)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// State tells how many signals wait and whether the store answers.
func (w *Writer) State() (waiting int, saving bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), !w.failing
}

// Left counts the signals that wait and are under way.
func (w *Writer) Left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + w.busy
}

// Run brings to the store what comes, until the context ends.
func (w *Writer) Run() {
	var batch []Entry
	var began time.Time
	for {
		select {
		case <-w.wake:
		case <-w.cfg.Context.Done():
			return
		}
		for {
			if pause := w.cfg.Every - time.Since(began); pause > 0 && w.gathers() && !tasks.Sleep(w.cfg.Context, pause) {
				return
			}
			began = time.Now()
			w.mu.Lock()
			n := min(len(w.queue), w.cfg.Batch)
			batch = append(batch[:0], w.queue[:n]...)
			rest := copy(w.queue, w.queue[n:])
			clear(w.queue[rest:])
			w.queue = w.queue[:rest]
			w.busy = n
			w.mu.Unlock()
			if n == 0 {
				break
			}
			w.store(w.cfg.Context, batch)
			clear(batch)
			if w.cfg.Context.Err() != nil {
				return
			}
		}
	}
}

// gathers tells whether it is worth waiting for more signals: not for a full batch, and
// not when the hub ends.
func (w *Writer) gathers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0 && len(w.queue) < w.cfg.Batch && !w.cfg.Draining()
}

// store brings one batch to the store, however long that takes.
func (w *Writer) store(ctx context.Context, batch []Entry) {
	w.signals = w.signals[:0]
	for i := range batch {
		w.signals = append(w.signals, batch[i].Signal)
	}
	pause := w.cfg.RetryFirst
	for again := false; ; again = true {
		began := w.cfg.Now()
		results, err := w.append(ctx)
		w.cfg.Noted(began, err)
		if err == nil && len(results) != len(batch) {
			err = vigil.Errorf(vigil.CodeInternal, "The store answered for %d of %d signals.", len(results), len(batch))
		}
		if err == nil {
			w.recovered()
			w.Counters.Batches.Add(1)
			w.settle(batch, results, again)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !vigil.Transient(err) {
			w.recovered() // it answers
			w.poisoned(ctx, batch, err)
			return
		}
		w.fail(err)
		if !tasks.Sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, w.cfg.RetryMost)
	}
}

// append is one call of the store. One that takes long is told as a store that does not
// answer, without waiting for what the backend says in the end.
func (w *Writer) append(ctx context.Context) ([]vigil.Appended, error) {
	told := make(chan struct{})
	slow := time.AfterFunc(w.cfg.SaveWait, func() {
		defer close(told)
		w.fail(errSlow)
	})
	results, err := w.cfg.Store.AppendSignals(ctx, w.signals)
	if !slow.Stop() {
		<-told // so that it is not said after the recovery
	}
	return results, err
}

var errSlow = vigil.Errorf(vigil.CodeUnavailable, "The store takes long to answer.")

// poisoned is a batch that the store will never take as it is: its signals are tried one
// by one, so that one bad signal holds up nobody else.
func (w *Writer) poisoned(ctx context.Context, batch []Entry, err error) {
	if len(batch) > 1 {
		for _, e := range append([]Entry(nil), batch...) {
			w.store(ctx, []Entry{e})
		}
		return
	}
	e := batch[0]
	w.cfg.Log.Error("a signal cannot be stored", "session", e.Signal.SessionID, "kind", e.Signal.Kind, "error", err)
	if e.Conn != nil {
		e.Conn.SendError(&protocol.Up{Seq: e.Signal.Seq}, vigil.Errorf(vigil.CodeInvalid, "This cannot be stored."), 0)
	}
	e.Source.Unstorable()
}

// settle acknowledges and counts what was stored. again: it is not the first try, and an
// earlier one may have stored it, whose answer was lost.
func (w *Writer) settle(batch []Entry, results []vigil.Appended, again bool) {
	for i := range batch {
		e := &batch[i]
		e.Source.Stored(e, results[i], again)
		if e.Conn != nil {
			k := ackKey{e.Conn, e.Signal.Stream}
			if w.acks[k] == nil {
				w.order = append(w.order, k)
			}
			w.acks[k] = append(w.acks[k], e.Signal.Seq)
		}
	}
	for _, k := range w.order {
		seqs := w.acks[k]
		for len(seqs) > 0 {
			n := min(len(seqs), maxAcks)
			frame := protocol.AppendAck(make([]byte, 0, 64+len(k.stream)+12*n), k.stream, seqs[:n])
			k.conn.Send(frame)
			seqs = seqs[n:]
		}
	}
	clear(w.acks)
	clear(w.order) // the sockets may end
	w.order = w.order[:0]
}

// maxAcks is how many numbers one Ack names.
const maxAcks = 512

// fail says once that saving waits.
func (w *Writer) fail(err error) {
	w.Counters.Retries.Add(1)
	w.mu.Lock()
	first := !w.failing
	w.failing = true
	w.mu.Unlock()
	if first {
		w.cfg.Log.Error("signals cannot be stored; acknowledgements wait", "error", err)
		w.cfg.Saving(false)
	}
}

func (w *Writer) recovered() {
	w.mu.Lock()
	was := w.failing
	w.failing = false
	w.mu.Unlock()
	if was {
		w.cfg.Log.Info("signals are stored again")
		w.cfg.Saving(true)
	}
}
