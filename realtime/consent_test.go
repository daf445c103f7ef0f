package realtime_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"vigil"
)

func TestAConsentIsStoredOnceAndLeavesARunningAttemptAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	student := vigil.Actor{Role: vigil.RoleStudent, ID: "p|u"}
	s := r.session(func(s *vigil.Session) { s.State = vigil.StateCreated })
	at := time.Now().UTC().Truncate(time.Millisecond)
	agree := func(notice string) {
		t.Helper()
		var wg sync.WaitGroup
		for range 8 { // in as many windows
			wg.Go(func() {
				if _, err := r.hub.Sessions().Agreed(r.ctx, s.ID, vigil.Consent{Notice: notice, At: at}, student); err != nil {
					t.Errorf("agreed: %v", err)
				}
			})
		}
		wg.Wait()
	}
	agree("one")
	got := r.read(s.ID)
	if got.State != vigil.StateReady || got.Version != s.Version+1 || !slices.Equal(got.Consents, []vigil.Consent{{Notice: "one", At: at}}) {
		t.Fatalf("got %s, version %d, consents %v, want it ready by one consent", got.State, got.Version, got.Consents)
	}
	_, err := r.hub.Sessions().Apply(r.ctx, s.ID, vigil.Change{Event: vigil.EventActivate})
	r.ok(err)
	before := r.read(s.ID)
	agree("two")
	got = r.read(s.ID)
	if got.State != vigil.StateActive || got.Version != before.Version+1 || !got.Started.Equal(before.Started) || !got.Changed.Equal(before.Changed) ||
		len(got.Consents) != 2 || !got.AgreedTo("two") {
		t.Fatalf("got %+v, want the running attempt with one more consent", got)
	}
	_, err = r.hub.Sessions().Ended(r.ctx, s.ID, vigil.Actor{Role: vigil.RoleLMS}, time.Time{})
	r.ok(err)
	if _, err = r.hub.Sessions().Agreed(r.ctx, s.ID, vigil.Consent{Notice: "three", At: at}, student); !errors.Is(err, vigil.ErrIllegal) {
		t.Errorf("after the end: got %v, want it refused", err)
	}
}
