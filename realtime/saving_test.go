package realtime

import (
	"context"
	"testing"
	"time"

	"vigil"
	"vigil/realtime/socket"
)

// refusingStore fails as told, one error for each call.
type refusingStore struct {
	Store
	errs []error
}

func (s *refusingStore) AppendSignals(context.Context, []vigil.Signal) ([]vigil.Appended, error) {
	err := s.errs[0]
	s.errs = s.errs[1:]
	return nil, err
}

func TestAStoreThatRefusesASignalAfterAFaultIsNotAwayAnyMore(t *testing.T) {
	store := &refusingStore{errs: []error{
		vigil.Errorf(vigil.CodeUnavailable, "The store is away."),
		vigil.Errorf(vigil.CodeNotFound, "There is no such session."),
	}}
	h := &Hub{cfg: Config{RetryFirst: time.Millisecond}.withDefaults(), store: store, ctx: t.Context(), sockets: &socket.Server{}}
	h.log = h.cfg.Log
	w := newWriter(h)
	st := &student{h: h, id: "a", storing: 1}
	w.store(t.Context(), []entry{{st: st}})
	if _, saving := w.state(); !saving {
		t.Error("got signals that cannot be saved, want them saved: the store has answered and none waits")
	}
	if st.storing != 0 {
		t.Errorf("got %d signals of the student under way, want none", st.storing)
	}
}
