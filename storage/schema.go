package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil"
)

// Schema is where the schema of a store stands, by two numbers that the store itself keeps,
// so that an older program can read what a newer one did.
type Schema struct {
	Version int // of the last step that was applied; 0: there is no store yet
	// Oldest is the least version that a program must know to work with the store. Above
	// Version the store is marked: a change is about to come, and who knows less has to end.
	Oldest int
}

// Step is a numbered change of a schema.
type Step struct {
	Version int    `json:"version"`
	Oldest  int    `json:"oldest"` // least version that a program must know to work beside and after it; Version: none older
	Name    string `json:"-"`      // of its file
}

// Migration is a step that a program knows, and when it was applied.
type Migration struct {
	Step
	Applied time.Time // zero: not yet
	Stops   bool      // not yet, and servers of older programs have to end for it
}

// Migrations are the steps as they stand; the caller fills in when each was applied.
func (s Schema) Migrations(steps []Step) []Migration {
	out := make([]Migration, len(steps))
	for i, step := range steps {
		out[i] = Migration{Step: step, Stops: s.Version > 0 && step.Version > s.Version && step.Oldest > s.Oldest}
	}
	return out
}

// OldestAfter is the least version that programs must know once all steps are applied.
func (s Schema) OldestAfter(steps []Step) int {
	oldest := s.Oldest
	for _, step := range steps {
		if step.Version > s.Version {
			oldest = max(oldest, step.Oldest)
		}
	}
	return oldest
}

// ErrNoStore is within the error of a place where there is no store.
var ErrNoStore = errors.New("no store")

// Check tells whether a program that knows the steps up to a version may work with the store,
// as CodeIllegal. It may also work with a newer schema, if that says so.
func (s Schema) Check(known int) error {
	switch {
	case s.Version == 0:
		return vigil.Wrap(ErrNoStore, vigil.CodeIllegal, "There is no store there yet. `vigil migrate` makes one.")
	case s.Oldest > known && s.Oldest > s.Version:
		return vigil.Errorf(vigil.CodeIllegal, "A newer program is changing the store's schema from version %d to %d or later, and this program knows %d. Use the newer program; its `vigil migrate --stop-old` finishes the change.", s.Version, s.Oldest, known)
	case s.Oldest > known:
		return vigil.Errorf(vigil.CodeIllegal, "The store has schema version %d, made by a newer program, which needs programs that know %d; this one knows %d. Use the newer program.", s.Version, s.Oldest, known)
	case s.Version < known:
		return vigil.Errorf(vigil.CodeIllegal, "The store has schema version %d and this program needs %d. Run `vigil migrate`; `vigil migrate --dry-run` says first what it would do.", s.Version, known)
	}
	return nil
}

// Upgrade makes way for steps after which older programs cannot work with a store any more:
// it marks the store and waits until their servers have ended. Nodes, Mark and Progress are
// required.
type Upgrade struct {
	Have   Schema
	Oldest int  // that programs must know after the steps
	Stop   bool // make older servers end; else they are a reason to refuse

	Nodes    func(ctx context.Context) ([]Node, error)
	Mark     func(ctx context.Context, oldest int) error // stores Schema.Oldest
	Progress func(string)
	// Claim keeps servers out until it is released, where the store can do that; shared: but for
	// those that may live beside the steps, which are at work. May be nil.
	Claim func(shared bool) (release func(), err error)

	Poll time.Duration // between two looks at the nodes; 1 s
	Gone time.Duration // after which a node whose row stands still is gone; 10 s
	Wait time.Duration // for older servers to end; 2 min
}

// nodeStale is how old a node's row may be, by clocks that differ a little, to be watched.
const nodeStale = 30 * time.Second

// Run applies the steps by do. Steps that older programs may live beside need no waiting. If
// it fails before do was called, the store is not marked any more.
func (u Upgrade) Run(ctx context.Context, do func(ctx context.Context) error) error {
	if u.Poll <= 0 {
		u.Poll = time.Second
	}
	if u.Gone <= 0 {
		u.Gone = 10 * time.Second
	}
	if u.Wait <= 0 {
		u.Wait = 2 * time.Minute
	}
	if u.Have.Version > 0 && u.Oldest > u.Have.Oldest {
		release, err := u.makeWay(ctx)
		if err != nil {
			return err
		}
		defer release()
	} else if err := u.Mark(ctx, u.Oldest); err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return err
	}
	return u.Mark(ctx, u.Oldest) // again: another one may have failed meanwhile
}

// makeWay marks the store and returns when no older server works with it; release is called
// when servers may claim it again.
func (u Upgrade) makeWay(ctx context.Context) (release func(), err error) {
	seen := sightings{}
	if !u.Stop {
		if _, err := u.await(ctx, seen); err != nil {
			return nil, err
		}
	}
	if err := u.Mark(ctx, u.Oldest); err != nil {
		return nil, err
	}
	release = func() {}
	others, err := u.await(ctx, seen) // also those that began before they could see the mark
	if err == nil && u.Claim != nil {
		release, err = u.Claim(others)
	}
	if err == nil {
		return release, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmarkTime)
	defer cancel()
	if unmarked := u.Mark(ctx, u.Have.Oldest); unmarked != nil {
		err = errors.Join(err, vigil.Wrap(unmarked, vigil.CodeUnavailable, "The store is still marked; migrate again."))
	}
	return nil, err
}

// unmarkTime bounds how long a migration that is given up tries to remove its mark.
const unmarkTime = 5 * time.Second

// sightings are the rows of nodes as they were seen first, and since when they stand still.
type sightings map[string]sighting

type sighting struct {
	heard time.Time // by the node's clock
	since time.Time // by ours
	moved bool
}

// await waits until no node of an older program lives: its row is gone, or was seen to stand
// still. Without Stop it refuses as soon as one is seen to live. others tells whether servers
// are at work that may live beside the steps.
func (u Upgrade) await(ctx context.Context, seen sightings) (others bool, err error) {
	began, told := time.Now(), time.Time{}
	for {
		nodes, err := u.Nodes(ctx)
		if err != nil {
			return false, err
		}
		now := time.Now()
		var living []string
		moved := false
		others = false
		for _, n := range nodes {
			if now.Sub(n.Heard) > nodeStale {
				continue
			}
			if n.Schema >= u.Oldest {
				others = true
				continue
			}
			v, ok := seen[n.ID]
			if !ok || !v.heard.Equal(n.Heard) {
				v = sighting{heard: n.Heard, since: now, moved: ok}
				seen[n.ID] = v
			}
			if now.Sub(v.since) < u.Gone {
				living = append(living, fmt.Sprintf("%s on %s (knows version %d)", n.ID, n.Host, n.Schema))
				moved = moved || v.moved
			}
		}
		slices.Sort(living)
		who := strings.Join(living, ", ")
		switch {
		case len(living) == 0:
			return others, nil
		case moved && !u.Stop:
			return false, vigil.Errorf(vigil.CodeConflict, "Servers of an older program work with this store, and could not after the change of its schema: %s. Stop them, or run `vigil migrate --stop-old`, which makes them end in order. Nothing was changed.", who)
		case now.Sub(began) > u.Wait:
			return false, vigil.Errorf(vigil.CodeConflict, "Servers of an older program have not ended in %s: %s. Stop them and migrate again; those from before programs could be told to end must be stopped by hand. Nothing was changed.", u.Wait, who)
		case now.Sub(told) >= u.Gone:
			told = now
			u.Progress("waiting for servers of an older program to end: " + who)
		}
		t := time.NewTimer(u.Poll)
		select {
		case <-ctx.Done():
			t.Stop()
			return false, vigil.Wrap(context.Cause(ctx), vigil.CodeUnavailable, "Waiting for servers of an older program was broken off. Nothing was changed.")
		case <-t.C:
		}
	}
}
