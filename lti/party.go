package lti

import (
	"context"
	"sync"
	"time"

	"vigil"
)

// parties finds who an assertion speaks of.
type parties interface {
	PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error)
	Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error)
}

// knownParties remembers for a moment who was found: each page of a quiz brings a stamp, and
// they speak of a few platforms only. What was not found is looked for each time. A platform
// or deployment that is switched off counts for partyLife more; what a socket may do is
// checked elsewhere.
type knownParties struct {
	store parties
	now   func() time.Time

	mu          sync.Mutex
	platforms   map[[2]string]known[vigil.Platform]
	deployments map[[2]string]known[vigil.Deployment]
}

type known[T any] struct {
	v     T
	until time.Time
}

const (
	partyLife  = 5 * time.Second
	maxParties = 1000 // of each kind; more: all are forgotten
)

// PlatformByClient implements parties.
func (k *knownParties) PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error) {
	return recall(k, &k.platforms, [2]string{issuer, clientID}, func() (vigil.Platform, error) {
		return k.store.PlatformByClient(ctx, issuer, clientID)
	})
}

// Deployment implements parties.
func (k *knownParties) Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error) {
	return recall(k, &k.deployments, [2]string{platformID, id}, func() (vigil.Deployment, error) {
		return k.store.Deployment(ctx, platformID, id)
	})
}

// recall looks into a map of k, and where that says nothing asks find, without the lock.
func recall[T any](k *knownParties, m *map[[2]string]known[T], key [2]string, find func() (T, error)) (T, error) {
	now := k.now()
	k.mu.Lock()
	v, ok := (*m)[key]
	k.mu.Unlock()
	if ok && now.Before(v.until) {
		return v.v, nil
	}
	found, err := find()
	if err != nil {
		return found, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if *m == nil || len(*m) >= maxParties {
		*m = map[[2]string]known[T]{}
	}
	(*m)[key] = known[T]{found, now.Add(partyLife)}
	return found, nil
}
