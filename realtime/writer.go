package realtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// entry is a signal on its way to the store.
type entry struct {
	signal vigil.Signal
	st     *student
	conn   *socket.Conn // who waits for the acknowledgement; nil: nobody
	quiet  bool         // was not shown yet: it is when it turns out to be new
}

// writer brings signals to the store, many at once: whatever came while the call before
// was under way, and within Config.StoreEvery of its beginning. A quiet system stores at
// once, a busy one in large batches, whose commit they share. What was
// accepted is never dropped; when the store does not answer, acknowledgements wait and
// the queue fills until put refuses.
type writer struct {
	h    *Hub
	wake chan struct{}

	mu      sync.Mutex
	queue   []entry
	failing bool
	busy    int // signals under way

	// Owned by run.
	signals []vigil.Signal
	acks    map[ackKey][]int64
	order   []ackKey // of acks
}

type ackKey struct {
	conn   *socket.Conn
	stream string
}

func newWriter(h *Hub) *writer {
	return &writer{h: h, wake: make(chan struct{}, 1), acks: map[ackKey][]int64{}}
}

// put accepts a signal, or not: then the queue is full. The server's own signals are few
// and have nobody who would send them again; they are accepted over the limit.
func (w *writer) put(e entry) bool {
	w.mu.Lock()
	if len(w.queue) >= w.h.cfg.Limits.Signals && e.conn != nil {
		w.mu.Unlock()
		w.h.stats.signalsRefused.Add(1)
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

// state tells how many signals wait and whether the store answers.
func (w *writer) state() (waiting int, saving bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue), !w.failing
}

// left counts the signals that wait and are under way.
func (w *writer) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + w.busy
}

func (w *writer) run() {
	var batch []entry
	var began time.Time
	for {
		select {
		case <-w.wake:
		case <-w.h.ctx.Done():
			return
		}
		for {
			if pause := w.h.cfg.StoreEvery - time.Since(began); pause > 0 && w.gathers() && !tasks.Sleep(w.h.ctx, pause) {
				return
			}
			began = time.Now()
			w.mu.Lock()
			n := min(len(w.queue), w.h.cfg.Limits.Batch)
			batch = append(batch[:0], w.queue[:n]...)
			rest := copy(w.queue, w.queue[n:])
			clear(w.queue[rest:])
			w.queue = w.queue[:rest]
			w.busy = n
			w.mu.Unlock()
			if n == 0 {
				break
			}
			w.store(w.h.ctx, batch)
			clear(batch)
			if w.h.ctx.Err() != nil {
				return
			}
		}
	}
}

// gathers tells whether it is worth waiting for more signals: not for a full batch, and
// not when the hub ends.
func (w *writer) gathers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0 && len(w.queue) < w.h.cfg.Limits.Batch && !w.h.draining.Load()
}

// store brings one batch to the store, however long that takes.
func (w *writer) store(ctx context.Context, batch []entry) {
	w.signals = w.signals[:0]
	for i := range batch {
		w.signals = append(w.signals, batch[i].signal)
	}
	pause := w.h.cfg.RetryFirst
	for again := false; ; again = true {
		began := w.h.now()
		results, err := w.append(ctx)
		w.h.noteStore(began, err)
		if err == nil && len(results) != len(batch) {
			err = vigil.Errorf(vigil.CodeInternal, "The store answered for %d of %d signals.", len(results), len(batch))
		}
		if err == nil {
			w.recovered()
			w.h.stats.batches.Add(1)
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
		pause = min(2*pause, w.h.cfg.RetryMost)
	}
}

// append is one call of the store. One that takes long is told as a store that does not
// answer, without waiting for what the backend says in the end.
func (w *writer) append(ctx context.Context) ([]vigil.Appended, error) {
	told := make(chan struct{})
	slow := time.AfterFunc(w.h.cfg.SaveWait, func() {
		defer close(told)
		w.fail(errSlow)
	})
	results, err := w.h.store.AppendSignals(ctx, w.signals)
	if !slow.Stop() {
		<-told // so that it is not said after the recovery
	}
	return results, err
}

var errSlow = vigil.Errorf(vigil.CodeUnavailable, "The store takes long to answer.")

// poisoned is a batch that the store will never take as it is: its signals are tried one
// by one, so that one bad signal holds up nobody else.
func (w *writer) poisoned(ctx context.Context, batch []entry, err error) {
	if len(batch) > 1 {
		for _, e := range append([]entry(nil), batch...) {
			w.store(ctx, []entry{e})
		}
		return
	}
	e := batch[0]
	w.h.log.Error("a signal cannot be stored", "session", e.st.id, "kind", e.signal.Kind, "error", err)
	if e.conn != nil {
		e.conn.SendError(&protocol.Up{Seq: e.signal.Seq}, vigil.Errorf(vigil.CodeInvalid, "This cannot be stored."), 0)
	}
	e.st.mu.Lock()
	e.st.storing--
	e.st.mu.Unlock()
}

// settle acknowledges and counts what was stored. again: it is not the first try, and an
// earlier one may have stored it, whose answer was lost.
func (w *writer) settle(batch []entry, results []vigil.Appended, again bool) {
	for i := range batch {
		e := &batch[i]
		e.st.stored(e, results[i], again)
		if e.conn != nil {
			k := ackKey{e.conn, e.signal.Stream}
			if w.acks[k] == nil {
				w.order = append(w.order, k)
			}
			w.acks[k] = append(w.acks[k], e.signal.Seq)
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

// stored follows what became of a signal, again as settle has it.
func (st *student) stored(e *entry, result vigil.Appended, again bool) {
	s := &e.signal
	stats := &st.h.stats
	st.mu.Lock()
	defer st.mu.Unlock()
	st.storing--
	switch result {
	case vigil.Stored:
		stats.stored.Add(1)
		st.countLocked(s)
		st.newLocked(e)
	case vigil.Repeated:
		stats.repeated.Add(1)
		if again {
			st.stalesLocked()
			st.newLocked(e)
		}
	case vigil.Differs:
		stats.differ.Add(1)
		if e.conn != nil { // ours may differ by the severity; theirs may not
			own := st.ownSignal(vigil.KindTampering, st.h.now(), nil)
			own.Stream, own.Seq = vigil.ServerStreamPrefix+"tampering:"+s.Stream, s.Seq // noted once
			if st.h.writer.put(entry{signal: own, st: st, quiet: true}) {
				st.storing++
			}
		}
	}
}

// newLocked does what follows from a signal that is stored now.
func (st *student) newLocked(e *entry) {
	s := &e.signal
	if e.quiet {
		st.room.Publish(dashboard.SignalDelta(*s))
	}
	if s.Kind == vigil.KindLost && s.Incident {
		life := st.life.session()
		life.ID = st.id
		if at := session.Over(st.room.Policy(), life); !at.IsZero() && !s.At.Before(at) {
			st.h.sessions.CloseLedger(life, at) // the end came while it waited
		} else if st.presence.Connection != vigil.ConnLost {
			st.clearLate() // as may the judgement of the absence
		}
	}
	switch s.Kind {
	case vigil.KindHandRaised:
		st.hand(s.Received)
	case vigil.KindHandLowered:
		st.hand(time.Time{})
	}
}

// clearLate clears the incident of an absence that was judged before the incident was stored.
func (st *student) clearLate() {
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) {
		err := st.h.sessions.ClearBlame(ctx, st.id)
		if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			st.h.log.Error("incidents of lost connections not looked through", "session", st.id, "error", err)
		}
	})
}

// countLocked keeps the tally in step with the store's.
func (st *student) countLocked(s *vigil.Signal) {
	t := &st.tally
	t.Signals++
	if s.Incident {
		t.Incidents++
		t.Open++
		t.LastKind, t.LastAt = s.Kind, s.Received
	}
	t.Severity = max(t.Severity, s.Severity)
	st.tallyGen++
	st.room.changed(st)
}

// fail says once that saving waits.
func (w *writer) fail(err error) {
	w.h.stats.storeRetries.Add(1)
	w.mu.Lock()
	first := !w.failing
	w.failing = true
	w.mu.Unlock()
	if first {
		w.h.log.Error("signals cannot be stored; acknowledgements wait", "error", err)
		w.h.tellSaving(false)
	}
}

func (w *writer) recovered() {
	w.mu.Lock()
	was := w.failing
	w.failing = false
	w.mu.Unlock()
	if was {
		w.h.log.Info("signals are stored again")
		w.h.tellSaving(true)
	}
}

// tellSaving tells everyone here that saving waits, or that it goes on.
func (h *Hub) tellSaving(over bool) {
	frame := protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving, Over: over})
	for _, c := range h.sockets.All() {
		c.Send(frame)
	}
}
