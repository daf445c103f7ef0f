package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/cmd/internal/metrics"
)

// Figures of the retention.
const (
	sweepEvery  = 10 * time.Minute
	sweepAtOnce = 500
	sweepPause  = 50 * time.Millisecond
)

// sweepStore is what retention needs of the store; package storage states the contract.
type sweepStore interface {
	Sweep(ctx context.Context, now time.Time, n int) (int, error)
	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
}

// retention removes what has expired, and proves that it did: by metrics, and by one audit
// entry a day at most, which says how much was removed. What is removed after the entry of a
// day is in that of the next.
type retention struct {
	store sweepStore
	now   func() time.Time
	log   *slog.Logger

	// Owned by the goroutine that runs it.
	untold int    // removed since the last audit entry
	told   string // the day of that entry

	mu    sync.Mutex
	stats metrics.Retention // guarded by mu
}

// Stats returns the counts.
func (r *retention) Stats() metrics.Retention {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// run removes what has expired, a little at a time so that nobody waits for it.
func (r *retention) run(ctx context.Context) error {
	complete, err := r.sweep(ctx)
	r.mu.Lock()
	switch {
	case complete:
		r.stats.LastRun = r.now()
	case err != nil && ctx.Err() == nil:
		r.stats.Failed++
	}
	r.mu.Unlock()
	r.tell(ctx)
	return err
}

func (r *retention) sweep(ctx context.Context) (complete bool, err error) {
	for {
		n, err := r.store.Sweep(ctx, r.now(), sweepAtOnce)
		r.untold += n
		r.mu.Lock()
		r.stats.Removed += int64(n)
		r.mu.Unlock()
		if err != nil || n == 0 {
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(sweepPause):
		}
	}
}

// tell adds the day's audit entry, if anything was removed.
func (r *retention) tell(ctx context.Context) {
	now := r.now().UTC()
	day := now.Format(time.DateOnly)
	if r.untold == 0 || day == r.told {
		return
	}
	id, err := uuid.NewV7()
	if err == nil {
		err = r.store.AppendAudit(ctx, vigil.Audit{
			ID: id.String(), Action: "retention.sweep", By: vigil.Actor{Role: vigil.RoleSystem},
			Detail: fmt.Sprintf("removed %d things that had expired", r.untold), At: now,
		})
	}
	if err != nil { // the next run tries again
		r.log.ErrorContext(ctx, "audit entry not stored", "action", "retention.sweep", "error", err)
		return
	}
	r.untold, r.told = 0, day
}
