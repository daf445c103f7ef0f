package lti

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"vigil"
)

// partyBook is a store of parties that counts its readings.
type partyBook struct {
	platforms map[[2]string]vigil.Platform
	reads     int
	err       error
}

func (b *partyBook) PlatformByClient(_ context.Context, issuer, clientID string) (vigil.Platform, error) {
	b.reads++
	p, ok := b.platforms[[2]string{issuer, clientID}]
	if !ok && b.err == nil {
		return p, vigil.ErrNotFound
	}
	return p, b.err
}

func (b *partyBook) Deployment(_ context.Context, platformID, id string) (vigil.Deployment, error) {
	b.reads++
	return vigil.Deployment{PlatformID: platformID, ID: id, State: vigil.DeploymentActive}, b.err
}

func TestPartiesAreReadOnceInFiveSeconds(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	b := &partyBook{platforms: map[[2]string]vigil.Platform{{"a", "1"}: {ID: "p", State: vigil.PlatformActive}}}
	k := &knownParties{store: b, now: func() time.Time { return now }}
	read := func(want int, what string) {
		t.Helper()
		if b.reads != want {
			t.Errorf("%s: got %d readings, want %d", what, b.reads, want)
		}
	}
	for range 100 {
		if p, err := k.PlatformByClient(t.Context(), "a", "1"); err != nil || p.ID != "p" {
			t.Fatalf("got %+v, %v", p, err)
		}
		if d, err := k.Deployment(t.Context(), "p", "d"); err != nil || d.ID != "d" {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
	read(2, "a hundred pages")
	for range 3 {
		if _, err := k.PlatformByClient(t.Context(), "b", "1"); !errors.Is(err, vigil.ErrNotFound) {
			t.Fatalf("unknown: got %v", err)
		}
	}
	read(5, "what is not there is looked for each time")
	b.platforms[[2]string{"a", "1"}] = vigil.Platform{ID: "p", State: vigil.PlatformDisabled}
	now = now.Add(partyLife)
	if p, _ := k.PlatformByClient(t.Context(), "a", "1"); p.State != vigil.PlatformDisabled {
		t.Errorf("after five seconds: got %s, want disabled", p.State)
	}
	b.err = vigil.ErrUnavailable
	now = now.Add(partyLife)
	if _, err := k.PlatformByClient(t.Context(), "a", "1"); !errors.Is(err, vigil.ErrUnavailable) {
		t.Errorf("the store is away: got %v, want its error", err)
	}
	b.err = nil
	for i := range 3 * maxParties {
		_, _ = k.Deployment(t.Context(), "p", fmt.Sprint(i))
	}
	if got := len(k.deployments); got > maxParties {
		t.Errorf("remembered: got %d, want at most %d", got, maxParties)
	}
}
