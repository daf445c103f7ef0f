package signals

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"vigil"
)

// refusingStore fails as told, one error for each call.
type refusingStore struct{ errs []error }

func (s *refusingStore) AppendSignals(context.Context, []vigil.Signal) ([]vigil.Appended, error) {
	err := s.errs[0]
	s.errs = s.errs[1:]
	return nil, err
}

// source counts what became of its signals.
type source struct{ stored, unstorable int }

func (s *source) Stored(*Entry, vigil.Appended, bool) { s.stored++ }

func (s *source) Unstorable() { s.unstorable++ }

func TestAStoreThatRefusesASignalAfterAFaultIsNotAwayAnyMore(t *testing.T) {
	store := &refusingStore{errs: []error{
		vigil.Errorf(vigil.CodeUnavailable, "The store is away."),
		vigil.Errorf(vigil.CodeNotFound, "There is no such session."),
	}}
	w := New(Config{
		Store: store, Context: t.Context(), Log: slog.New(slog.DiscardHandler), Now: time.Now, SaveWait: time.Minute, RetryFirst: time.Millisecond, RetryMost: time.Second,
		Noted: func(time.Time, error) {}, Saving: func(bool) {},
	})
	var of source
	w.store(t.Context(), []Entry{{Source: &of}})
	if _, saving := w.State(); !saving {
		t.Error("got signals that cannot be saved, want them saved: the store has answered and none waits")
	}
	if of.unstorable != 1 || of.stored != 0 {
		t.Errorf("told of %d signals stored and %d that cannot be, want none and one", of.stored, of.unstorable)
	}
}
