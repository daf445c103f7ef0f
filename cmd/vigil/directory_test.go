package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/protocol"
	"vigil/realtime/relay/redisrelay/redistest"
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
				err := d.allow(t.Context(), vigil.SocketClaims{Subject: row.subject}, "")
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
		who := vigil.SocketClaims{Subject: "p1|u"}
		left, leave := context.WithCancel(t.Context())
		go func() {
			if err := d.allow(left, who, ""); !errors.Is(err, context.Canceled) {
				t.Errorf("one who left: got %v, want Canceled", err)
			}
		}()
		for range 100 {
			go func() {
				if err := d.allow(t.Context(), who, ""); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		leave() // the others need not begin anew
		time.Sleep(2 * time.Second)
		if err := d.allow(t.Context(), who, ""); err != nil || store.asked.Load() != 1 {
			t.Errorf("got %v after %d readings, want one", err, store.asked.Load())
		}
	})
}

func TestADisabledPlatformIsNoticedAndANewOneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fewPlatforms{}
		d := &directory{store: store, now: time.Now}
		who := vigil.SocketClaims{Subject: "p1|u"}
		if err := d.allow(t.Context(), who, ""); !errors.Is(err, vigil.ErrForbidden) {
			t.Errorf("before it is registered: got %v, want forbidden", err)
		}
		store.list = onePlatform(vigil.PlatformActive)
		if err := d.allow(t.Context(), who, ""); err != nil {
			t.Errorf("as soon as it is registered: got %v", err)
		}
		store.list = onePlatform(vigil.PlatformDisabled)
		if err := d.allow(t.Context(), who, ""); err != nil {
			t.Errorf("a moment later: got %v, want what was read", err)
		}
		time.Sleep(directoryAge)
		if err := d.allow(t.Context(), who, ""); !errors.Is(err, vigil.ErrForbidden) {
			t.Errorf("once what was read is old: got %v, want forbidden", err)
		}
	})
}

// expelled is a hub with one socket of a platform, and when it was closed.
type expelled struct {
	sockets int
	at      time.Time
}

func (e *expelled) Sockets() int { return e.sockets }

func (e *expelled) Expel(such func(vigil.SocketClaims) bool) {
	if e.sockets > 0 && such(vigil.SocketClaims{Subject: "p1|u"}) {
		e.sockets, e.at = 0, time.Now()
	}
}

func TestThePeopleOfAPlatformThatIsDisabledLoseTheirSocketsInFiveSeconds(t *testing.T) {
	for name, after := range map[string][]vigil.Platform{
		"disabled": onePlatform(vigil.PlatformDisabled), "removed": nil, "another is active": {{ID: "p2", State: vigil.PlatformActive}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := &fewPlatforms{list: onePlatform(vigil.PlatformActive)}, &expelled{sockets: 1}
				d := &directory{store: store, now: time.Now}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go d.watch(ctx, hub, slog.New(slog.DiscardHandler))
				time.Sleep(time.Minute)
				synctest.Wait()
				if hub.sockets != 1 {
					t.Fatal("closed while the platform was active")
				}
				store.err = vigil.Errorf(vigil.CodeUnavailable, "away")
				time.Sleep(time.Minute)
				synctest.Wait()
				if hub.sockets != 1 {
					t.Fatal("closed because the store did not answer")
				}
				store.err, store.list = nil, after
				from := time.Now()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if hub.sockets != 0 || hub.at.Sub(from) > 5*time.Second {
					t.Errorf("closed %v after it, want 5 s at most", hub.at.Sub(from))
				}
				asked := store.asked.Load()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := store.asked.Load(); got != asked {
					t.Errorf("the store was asked %d times while nobody was there, want never", got-asked)
				}
			})
		})
	}
}

// TestDisablingAPlatformEndsItsSocketsOnAllServers has a student on one server and a proctor on
// another.
func TestDisablingAPlatformEndsItsSocketsOnAllServers(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	for _, name := range []string{"disable", "remove"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			redis := "--redis=redis://" + redistest.Start(t).Address
			to := s.front()
			one, two := s.beside(), s.beside()
			one.process(redis)
			two.process(redis)
			to(one)
			st := s.student(student)
			session := st.Welcome().Session
			to(two)
			w := s.proctor()
			testutil.Until(t, "the student on the dashboard", func() bool { return w.Connection(session) == vigil.ConnOnline })
			args := []string{"platform", name, "--store=sqlite:" + s.db, s.platform}
			if name == "remove" {
				args = append(args, "--yes")
			}
			must(t, args...)
			testutil.Until(t, "the proctor's commands to be refused", func() bool {
				_, sent := w.Command(protocol.CommandUp{Kind: vigil.CommandMessage, Text: "hello", Targets: []string{session}})
				return !sent
			})
			store := s.open(s.db)
			testutil.Until(t, "the student to be away", func() bool {
				v, err := store.Session(t.Context(), session)
				return err == nil && v.Presence.Connection == vigil.ConnLost
			})
			gaps, err := store.GapsOfSession(t.Context(), session)
			if err != nil || len(gaps) == 0 || slices.ContainsFunc(gaps, func(g vigil.Gap) bool { return g.Cause == vigil.CauseStudent }) {
				t.Errorf("got gaps %+v, %v, want some, and none that is the student's", gaps, err)
			}
			for _, n := range []*site{one, two} {
				testutil.Until(t, "no socket to be left", func() bool { return scrape(t, "http://"+n.admin+"/metrics")["vigil_sockets"] == 0 })
			}
		})
	}
}

func TestATokenOpensSocketsFromItsOwnPlatformsPagesOnly(t *testing.T) {
	store := &fewPlatforms{list: []vigil.Platform{
		{ID: "p1", Issuer: "https://one.example", State: vigil.PlatformActive}, {ID: "p2", Issuer: "https://two.example", State: vigil.PlatformActive},
	}}
	for _, row := range []struct {
		subject, origin string
		want            error
	}{
		{"p1|u", "", nil}, // the tool's own page
		{"p1|u", "https://one.example", nil},
		{"p2|u", "https://two.example", nil},
		{"p1|u", "https://two.example", vigil.ErrForbidden},
		{"p2|u", "https://one.example", vigil.ErrForbidden},
		{"p1|u", "https://three.example", vigil.ErrForbidden},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &directory{store: store, now: time.Now}
			if err := d.allow(t.Context(), vigil.SocketClaims{Subject: row.subject}, row.origin); !errors.Is(err, row.want) {
				t.Errorf("%s from %q: got %v, want %v", row.subject, row.origin, err, row.want)
			}
		})
	}
}
