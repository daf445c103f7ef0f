package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/realtime"
)

// fewPlatforms is a store of platforms that takes a second to answer and counts how often it
// is asked. Its fields are changed between questions.
type fewPlatforms struct {
	list  []vigil.Platform
	err   error
	asked atomic.Int64
}

func (f *fewPlatforms) Platforms(ctx context.Context) ([]vigil.Platform, error) {
	f.asked.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return f.list, f.err
}

func onePlatform(state vigil.PlatformState) []vigil.Platform {
	return []vigil.Platform{{ID: "p1", Issuer: "https://lms.example", State: state}}
}

func TestSocketsAreForPeopleAndPagesOfActivePlatformsOnly(t *testing.T) {
	away := vigil.Errorf(vigil.CodeUnavailable, "The store does not answer.")
	const origin = "https://lms.example"
	for name, row := range map[string]struct {
		store           *fewPlatforms
		subject, origin string
		want            error
		page            bool
	}{
		"active":             {&fewPlatforms{list: onePlatform(vigil.PlatformActive)}, "p1|u", origin, nil, true},
		"disabled":           {&fewPlatforms{list: onePlatform(vigil.PlatformDisabled)}, "p1|u", origin, vigil.ErrForbidden, false},
		"pending":            {&fewPlatforms{list: onePlatform(vigil.PlatformPending)}, "p1|u", origin, vigil.ErrForbidden, false},
		"removed":            {&fewPlatforms{list: onePlatform(vigil.PlatformActive)}, "p2|u", "https://other.example", vigil.ErrForbidden, false},
		"no platform at all": {&fewPlatforms{list: onePlatform(vigil.PlatformActive)}, "u", "", vigil.ErrForbidden, false},
		"store away":         {&fewPlatforms{err: away}, "p1|u", origin, vigil.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &directory{store: row.store, now: time.Now}
				err := d.allow(t.Context(), realtime.Claims{Subject: row.subject})
				if row.want == nil && err != nil || row.want != nil && !errors.Is(err, row.want) {
					t.Errorf("got %v, want %v", err, row.want)
				}
				page, err := d.allowOrigin(t.Context(), row.origin)
				if page != row.page || (err != nil) != (row.store.err != nil) {
					t.Errorf("got %t and %v for its page, want %t", page, err, row.page)
				}
			})
		})
	}
}

func TestOneReadingServesAllWhoComeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fewPlatforms{list: onePlatform(vigil.PlatformActive)}
		d := &directory{store: store, now: time.Now}
		who := realtime.Claims{Subject: "p1|u"}
		left, leave := context.WithCancel(t.Context())
		go func() {
			if err := d.allow(left, who); !errors.Is(err, context.Canceled) {
				t.Errorf("one who left: got %v, want Canceled", err)
			}
		}()
		for range 100 {
			go func() {
				if err := d.allow(t.Context(), who); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		leave() // the others need not begin anew
		time.Sleep(2 * time.Second)
		if err := d.allow(t.Context(), who); err != nil || store.asked.Load() != 1 {
			t.Errorf("got %v after %d readings, want one", err, store.asked.Load())
		}
	})
}

func TestADisabledPlatformIsNoticedAndANewOneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fewPlatforms{}
		d := &directory{store: store, now: time.Now}
		who := realtime.Claims{Subject: "p1|u"}
		if err := d.allow(t.Context(), who); !errors.Is(err, vigil.ErrForbidden) {
			t.Errorf("before it is registered: got %v, want forbidden", err)
		}
		store.list = onePlatform(vigil.PlatformActive)
		if err := d.allow(t.Context(), who); err != nil {
			t.Errorf("as soon as it is registered: got %v", err)
		}
		store.list = onePlatform(vigil.PlatformDisabled)
		if err := d.allow(t.Context(), who); err != nil {
			t.Errorf("a moment later: got %v, want what was read", err)
		}
		time.Sleep(directoryAge)
		if err := d.allow(t.Context(), who); !errors.Is(err, vigil.ErrForbidden) {
			t.Errorf("once what was read is old: got %v, want forbidden", err)
		}
	})
}
