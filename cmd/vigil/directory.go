package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"vigil"
)

// directory knows the active platforms: sockets are for their people and their pages. When a
// server's students come back all at once, one reading of the store serves them all. A
// platform that is new is found at once. While there are sockets the platforms are read every
// directoryEvery; the people of one that was disabled or removed lose theirs then.
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
	directoryEvery = 2 * time.Second
	directoryAge   = 5 * time.Second
	directoryWait  = 10 * time.Second // for the store
)

// allowOrigin is realtime.Config.AllowOrigin.
func (d *directory) allowOrigin(ctx context.Context, origin string) (bool, error) {
	return d.find(ctx, func(p vigil.Platform) bool { return slices.Contains(p.Origins(), origin) })
}

// allow is realtime.Config.Allow: a token opens sockets from its own platform's pages.
func (d *directory) allow(ctx context.Context, c vigil.SocketClaims, origin string) error {
	id, _, _ := strings.Cut(c.Subject, "|")
	ok, err := d.find(ctx, func(p vigil.Platform) bool { return p.ID == id })
	if err == nil && !ok {
		return vigil.Errorf(vigil.CodeForbidden, "The learning platform that you came from is not active any more.")
	}
	if err != nil || origin == "" {
		return err
	}
	ok, err = d.find(ctx, func(p vigil.Platform) bool { return p.ID == id && slices.Contains(p.Origins(), origin) })
	if err == nil && !ok {
		return vigil.Errorf(vigil.CodeForbidden, "This page is not of the learning platform that you came from.")
	}
	return err
}

// find tells whether an active platform is such. Only a yes may be a moment old.
func (d *directory) find(ctx context.Context, such func(vigil.Platform) bool) (bool, error) {
	match := func(p vigil.Platform) bool { return p.State == vigil.PlatformActive && such(p) }
	if l := d.last.Load(); l != nil && d.now().Sub(l.at).Abs() < directoryAge && slices.ContainsFunc(l.platforms, match) {
		return true, nil
	}
	answer := d.group.DoChan("", func() (any, error) { return d.read(ctx) })
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

// read reads the platforms, for all who wait for it.
func (d *directory) read(ctx context.Context) ([]vigil.Platform, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), directoryWait)
	defer cancel()
	l := &listed{at: d.now()}
	var err error
	if l.platforms, err = d.store.Platforms(ctx); err == nil {
		d.keep(l)
	}
	return l.platforms, err
}

// keep takes what was read, unless a later reading was faster.
func (d *directory) keep(l *listed) {
	for {
		old := d.last.Load()
		if old != nil && old.at.After(l.at) || d.last.CompareAndSwap(old, l) {
			return
		}
	}
}

// expeller is what the directory needs of the hub.
type expeller interface {
	// Expel closes the sockets of those whose claims are such.
	Expel(such func(vigil.SocketClaims) bool)
	Sockets() int
}

// watch reads the platforms while there are sockets, and closes those of people whose platform is
// not active any more. It returns when the context ends. While the store does not answer,
// nobody is expelled.
func (d *directory) watch(ctx context.Context, hub expeller, log *slog.Logger) {
	t := time.NewTicker(directoryEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if hub.Sockets() == 0 {
			continue
		}
		platforms, err := d.read(ctx)
		if err != nil {
			if ctx.Err() == nil {
				log.WarnContext(ctx, "platforms cannot be read", "error", err)
			}
			continue
		}
		active := map[string]bool{}
		for _, p := range platforms {
			active[p.ID] = p.State == vigil.PlatformActive
		}
		hub.Expel(func(c vigil.SocketClaims) bool {
			id, _, _ := strings.Cut(c.Subject, "|")
			return !active[id]
		})
	}
}
