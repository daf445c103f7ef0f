package lti_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// signedBy launches with a token signed under a key id.
func (g *rig) signedBy(s signer) error {
	g.t.Helper()
	l := g.begin()
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {s.sign(g.claims(lti.MessageResourceLink, l))}}, l.cookie)
	return err
}

func TestKeySetAnswersThatAreRefused(t *testing.T) {
	set := func() []byte { return mustJSON(m{"keys": []m{good().jwk()}}) }
	for _, row := range []struct {
		name  string
		serve func(w http.ResponseWriter, r *http.Request)
	}{
		{"status 404 with a good set", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write(set())
		}},
		{"status 203", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNonAuthoritativeInfo)
			_, _ = w.Write(set())
		}},
		{"redirect to a good set", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
		{"more than 256 KB", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append(bytes.Repeat([]byte(" "), 256<<10), set()...))
		}},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"an array", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }},
		{"keys twice", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"keys":[],"keys":[%s]}`, mustJSON(good().jwk()))
		}},
		{"keys under another name", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"KEYS":[%s]}`, mustJSON(good().jwk()))
		}},
		{"a key that is a string", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":["x"]}`)) }},
		{"101 keys", func(w http.ResponseWriter, _ *http.Request) {
			keys := make([]m, 101)
			for i := range keys {
				keys[i] = m{"kty": "RSA"}
			}
			keys[0] = good().jwk()
			_, _ = w.Write(mustJSON(m{"keys": keys}))
		}},
		{"nothing before the connection closes", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			g.mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) {
				t.Error("the redirect was followed")
				_, _ = w.Write(set())
			})
			g.setKeySet(row.serve)
			wantFault(t, g.signedBy(good()), lti.ErrKeySetUnavailable)
		})
	}
}

func TestKeySetBombIsNotUnpacked(t *testing.T) {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	if _, err := z.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat(member.Bytes(), 50) // a file of several members is unpacked as one
	g := newRig(t)
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	wantFault(t, g.signedBy(good()), lti.ErrKeySetUnavailable)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("got %d MB allocated for a bomb of 200 MB", got>>20)
	}
}

func TestKeySetMayBeCompressed(t *testing.T) {
	g := newRig(t)
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(mustJSON(m{"keys": []m{good().jwk()}}))
		_ = z.Close()
	})
	wantFault(t, g.signedBy(good()), nil)
}

func TestAKeyThatWasRemovedCountsForFiveMinutesAtMost(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	_, evil := testKeys()
	g.serveKeys(signer{kid: "next", key: evil.key}.jwk())
	g.clock.add(5*time.Minute - time.Second)
	wantFault(t, g.signedBy(good()), nil) // as it was read
	g.clock.add(time.Second)
	wantFault(t, g.signedBy(good()), lti.ErrLaunchKey)
}

func TestAPlatformThatIsActivatedAgainHasItsKeysReadAgain(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	_, evil := testKeys()
	g.serveKeys(signer{kid: "next", key: evil.key}.jwk())
	g.clock.add(time.Second)
	wantFault(t, g.signedBy(good()), nil)
	g.update(func(p *vigil.Platform) { p.Updated = g.clock.now() }) // as disabling and activating it does
	wantFault(t, g.signedBy(good()), lti.ErrLaunchKey)
	g.update(func(p *vigil.Platform) { p.Updated = g.clock.now().Add(time.Minute) }) // by a clock that is ahead
	wantFault(t, g.signedBy(signer{kid: "next", key: evil.key}), nil)
	// Where the keys cannot be read, those of before do not serve either.
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	g.clock.add(11 * time.Second)
	g.update(func(p *vigil.Platform) { p.Updated = g.clock.now() })
	wantFault(t, g.signedBy(signer{kid: "next", key: evil.key}), lti.ErrKeySetUnavailable)
}

func TestKeySetIsReadOncePerFiveMinutes(t *testing.T) {
	g := newRig(t)
	for range 5 {
		wantFault(t, g.signedBy(good()), nil)
	}
	if got := g.fetched(); got != 1 {
		t.Errorf("got %d fetches for 5 launches, want 1", got)
	}
	g.clock.add(5 * time.Minute)
	wantFault(t, g.signedBy(good()), nil)
	if got := g.fetched(); got != 2 {
		t.Errorf("got %d fetches after five minutes, want 2", got)
	}
}

func TestUnknownKeyIDsCauseOneFetchPerTenSeconds(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	g.clock.add(10 * time.Second)
	before := g.fetched()
	for i := range 200 {
		s := good()
		s.kid = fmt.Sprintf("unknown-%d", i)
		wantFault(t, g.signedBy(s), lti.ErrLaunchKey)
	}
	if got := g.fetched() - before; got != 1 {
		t.Errorf("got %d fetches for 200 unknown key ids, want 1", got)
	}
	wantFault(t, g.signedBy(good()), nil)
}

func TestUnknownKeyIDIsRememberedForAMinute(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	stranger := good()
	stranger.kid = "stranger"
	g.clock.add(10 * time.Second)
	err := g.signedBy(stranger)
	wantFault(t, err, lti.ErrLaunchKey)
	wantFault(t, err, lti.ErrKeyUnknown)
	before := g.fetched()
	g.clock.add(59 * time.Second)
	wantFault(t, g.signedBy(stranger), lti.ErrLaunchKey)
	if got := g.fetched() - before; got != 0 {
		t.Errorf("got %d fetches within the minute, want 0", got)
	}
	g.clock.add(time.Second)
	wantFault(t, g.signedBy(stranger), lti.ErrLaunchKey)
	if got := g.fetched() - before; got != 1 {
		t.Errorf("got %d fetches after the minute, want 1", got)
	}
}

func TestNewKeyIsFoundWhenThePlatformRotates(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	_, evil := testKeys()
	next := signer{kid: "next", key: evil.key}
	g.serveKeys(next.jwk())
	wantFault(t, g.signedBy(next), lti.ErrLaunchKey) // within ten seconds of the last fetch
	g.clock.add(10 * time.Second)
	wantFault(t, g.signedBy(next), nil)
	wantFault(t, g.signedBy(good()), lti.ErrLaunchKey) // withdrawn
}

func TestKnownKeysServeForADayWhileTheServerIsDown(t *testing.T) {
	g := newRig(t)
	wantFault(t, g.signedBy(good()), nil)
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	g.clock.add(23 * time.Hour)
	wantFault(t, g.signedBy(good()), nil)
	stranger := good()
	stranger.kid = "stranger"
	wantFault(t, g.signedBy(stranger), lti.ErrKeySetUnavailable)
	g.clock.add(time.Hour)
	wantFault(t, g.signedBy(good()), lti.ErrKeySetUnavailable)
	g.serveKeys(good().jwk())
	g.clock.add(10 * time.Second)
	wantFault(t, g.signedBy(good()), nil)
}

func TestUnfitKeySaysSo(t *testing.T) {
	g := newRig(t)
	g.serveKeys(weakKey().jwk())
	wantFault(t, g.signedBy(weakKey()), lti.ErrKeyUnfit)
}

func TestManyLaunchesAtOnceShareOneFetch(t *testing.T) {
	g := newRig(t)
	release := make(chan struct{})
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(mustJSON(m{"keys": []m{good().jwk()}}))
	})
	ctx := context.Background()
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = good().sign(g.assertionClaims(fmt.Sprint("id-", i)))
	}
	errs := make([]error, len(tokens))
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { _, errs[i] = g.tool.VerifyAssertion(ctx, tokens[i]) })
	}
	for g.fetched() == 0 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("got %v, want none", err)
	}
	if got := g.fetched(); got != 1 {
		t.Errorf("got %d fetches, want 1", got)
	}
}

// Whoever waits for somebody else's fetch can give up.
func TestWaitingForAKeySetEndsWithTheRequest(t *testing.T) {
	g := newRig(t)
	release := make(chan struct{})
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(mustJSON(m{"keys": []m{good().jwk()}}))
	})
	first := make(chan error)
	go func() {
		_, err := g.tool.VerifyAssertion(context.Background(), good().sign(g.assertionClaims("a")))
		first <- err
	}()
	for g.fetched() == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := g.tool.VerifyAssertion(ctx, good().sign(g.assertionClaims("b")))
	wantFault(t, err, lti.ErrKeySetUnavailable)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the one who fetched: got %v, want none", err)
	}
}

func TestPublicPlatformsMayNotLieOnThisMachine(t *testing.T) {
	g := newRig(t)
	g.update(func(p *vigil.Platform) { p.Private = false })
	wantFault(t, g.signedBy(good()), lti.ErrKeySetUnavailable)
	g.update(func(p *vigil.Platform) { p.KeySetURL = strings.Replace(p.KeySetURL, "http:", "https:", 1) })
	wantFault(t, g.signedBy(good()), lti.ErrKeySetUnavailable)
	if got := g.fetched(); got != 0 {
		t.Errorf("got %d fetches, want 0", got)
	}
}
