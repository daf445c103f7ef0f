package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/signals"
	"vigil/realtime/session"
)

// Stored implements signals.Source: it follows what became of a signal.
func (st *student) Stored(e *signals.Entry, result vigil.Appended, again bool) {
	s := &e.Signal
	stats := &st.n.stats
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
			st.recountLaterLocked()
			st.newLocked(e)
		}
	case vigil.Differs:
		stats.differ.Add(1)
		if e.Conn != nil { // ours may differ by the severity; theirs may not
			own := st.ownSignal(vigil.KindTampering, st.n.now(), nil)
			own.Stream, own.Seq = vigil.ServerStreamPrefix+"tampering:"+s.Stream, s.Seq // noted once
			st.storeLocked(own)
		}
	}
}

// Unstorable implements signals.Source.
func (st *student) Unstorable() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.storing--
}

// newLocked does what follows from a signal that is stored now.
func (st *student) newLocked(e *signals.Entry) {
	s := &e.Signal
	if e.Quiet {
		st.room.Publish(dashboard.SignalDelta(*s))
	}
	if s.Kind == vigil.KindLost && s.Incident {
		life := st.life.session()
		life.ID = st.id
		if at := session.Over(st.room.Policy(), life); !at.IsZero() && !s.At.Before(at) {
			st.n.sessions.CloseLedger(life, at) // the end came while it waited
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
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		err := st.n.sessions.ClearBlame(ctx, st.id)
		if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			st.n.log.Error("incidents of lost connections not looked through", "session", st.id, "error", err)
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

// hand stores that the student's hand is up, or (zero) down. Who reads the counts before that is
// stored does not find it, so they are read once more behind it. st.mu is held.
func (st *student) hand(at time.Time) {
	st.tally.Hand = at
	st.tallyGen++
	st.recountLaterLocked()
	st.room.changed(st)
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		err := st.n.retry(ctx, "hand", func(ctx context.Context) error { return st.n.store.SetHand(ctx, st.id, at) })
		if err != nil && ctx.Err() == nil {
			st.n.log.Error("a raised hand is not stored", "session", st.id, "error", err)
		}
	})
}
