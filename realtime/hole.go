package realtime

import (
	"context"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
)

// lookForHole looks whether numbers below the hello's next are missing, when none of them
// has come for a while: a long outbox takes as long as its rate and its network allow, so
// the resend is over when it is quiet, not when a time has passed since the hello. Called
// about once per ping.
func (sc *studentConn) lookForHole(now time.Time) {
	last := sc.resent.Load()
	if last == 0 || now.UnixMilli()-last < sc.st.n.cfg.HoleWait.Milliseconds() {
		return
	}
	sc.st.mu.Lock()
	id, busy := sc.stream, sc.st.storing > 0
	sc.st.mu.Unlock()
	if busy || !sc.resent.CompareAndSwap(last, 0) {
		return // still coming in
	}
	next := sc.next // written before resent
	if !sc.Do(sc.st.n.cfg.Limits.Jobs, func(ctx context.Context) { sc.st.findHole(ctx, id, next) }) {
		sc.resent.CompareAndSwap(0, last)
	}
}

// lookAtEnd looks for a hole after the attempt has ended and its socket is gone: there is no
// later connection that would tell. What was refused for now may be missing rightly.
func (sc *studentConn) lookAtEnd() {
	if sc.resent.Load() == 0 || sc.PutOff {
		return
	}
	st, id, next := sc.st, sc.stream, sc.next
	st.n.tasks.Go(func() {
		if !tasks.Sleep(st.n.ctx, st.n.cfg.HoleWait) { // what came is being stored
			return
		}
		st.mu.Lock()
		busy := st.storing > 0
		st.mu.Unlock()
		if !busy {
			st.findHole(st.n.ctx, id, next)
		}
	})
}

// findHole notes numbers that were given and never came, once for each stream. Of those that
// were refused for good it is stored that they were.
func (st *student) findHole(ctx context.Context, id string, next int64) {
	count, highest, err := st.n.store.StreamState(ctx, st.id, id)
	if err != nil {
		st.n.log.Warn("a stream cannot be counted", "session", st.id, "error", err)
		return
	}
	excused, err := st.restoredSince(ctx)
	if err != nil {
		st.n.log.Warn("a session cannot be read to judge what is missing of it", "session", st.id, "error", err)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	i := slices.IndexFunc(st.streams, func(s stream) bool { return s.id == id })
	if i < 0 || st.streams[i].noted {
		return
	}
	missing := max(highest, next-1) - count
	if missing <= 0 {
		return
	}
	st.streams[i].noted = true
	own := st.ownSignal(vigil.KindHole, st.n.now(), protocol.Encode(hole{Missing: missing, Restored: excused}))
	if excused {
		own.Severity, own.Incident = 0, false
	}
	own.Stream, own.Seq = vigil.ServerStreamPrefix+"hole:"+id, 1 // once, whatever node notes it
	st.storeLocked(own)
}

// hole is the data of a signal about numbers that never came.
type hole struct {
	Missing  int64 `json:"missing"`
	Restored bool  `json:"restored,omitempty"` // the store was brought back from a backup since, and may have lost them
}

// restoredSince tells whether the store was brought back from a backup since the session began:
// signals that were acknowledged may be lost, and their browser does not send them again.
func (st *student) restoredSince(ctx context.Context) (bool, error) {
	if st.n.restored.IsZero() {
		return false, nil
	}
	s, err := st.n.store.Session(ctx, st.id)
	return err == nil && s.Created.Before(st.n.restored), err
}
