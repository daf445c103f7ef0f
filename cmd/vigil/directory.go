package main

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"vigil"
	"vigil/realtime"
)

// directory knows the active platforms: sockets are for their people and their pages. When a
// server's students come back all at once, one reading of the store serves them all. A
// platform that is new is found at once; one that the operator disables gets no more
// sockets after directoryAge, and loses those it has at their next renewal.
type directory struct {
	store lister
	now   func() time.Time
	group singleflight.Group
	last  atomic.Pointer[listed]
}

// lister lists the registered platforms.
type lister interface {
	Platforms(ctx context.Context) ([]vigil.Platform, error)
}

type listed struct {
	platforms []vigil.Platform
	at        time.Time
}

const (
	directoryAge  = 5 * time.Second
	directoryWait = 10 * time.Second // for the store
)

// allowOrigin is realtime.Config.AllowOrigin.
func (d *directory) allowOrigin(ctx context.Context, origin string) (bool, error) {
	return d.find(ctx, func(p vigil.Platform) bool { return slices.Contains(p.Origins(), origin) })
}

// allow is realtime.Config.Allow.
func (d *directory) allow(ctx context.Context, c realtime.Claims) error {
	id, _, _ := strings.Cut(c.Subject, "|")
	ok, err := d.find(ctx, func(p vigil.Platform) bool { return p.ID == id })
	if err == nil && !ok {
		return vigil.Errorf(vigil.CodeForbidden, "The learning platform that you came from is not active any more.")
	}
	return err
}

// find tells whether an active platform is such. Only a yes may be a moment old.
func (d *directory) find(ctx context.Context, such func(vigil.Platform) bool) (bool, error) {
	match := func(p vigil.Platform) bool { return p.State == vigil.PlatformActive && such(p) }
	if l := d.last.Load(); l != nil && d.now().Sub(l.at).Abs() < directoryAge && slices.ContainsFunc(l.platforms, match) {
		return true, nil
	}
	answer := d.group.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), directoryWait) // others wait for it, too
		defer cancel()
		l := &listed{at: d.now()}
		var err error
		if l.platforms, err = d.store.Platforms(ctx); err == nil {
			d.last.Store(l)
		}
		return l.platforms, err
	})
	select {
	case r := <-answer:
		if r.Err != nil {
			return false, r.Err
		}
		list, _ := r.Val.([]vigil.Platform)
		return slices.ContainsFunc(list, match), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
