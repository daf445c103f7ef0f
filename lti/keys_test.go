package lti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

func sealer(t testing.TB, b byte) lti.Sealer {
	t.Helper()
	s, err := lti.NewSealer(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyring is Keys over a memory store with a clock.
func keyring(t testing.TB) (*lti.Keys, *memory, *clock) {
	t.Helper()
	c := &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	store := newMemory(c.now)
	return lti.NewKeys(store, sealer(t, 1), lti.KeyOptions{Now: c.now}), store, c
}

func states(t testing.TB, k *lti.Keys, use vigil.KeyUse) map[vigil.KeyState][]string {
	t.Helper()
	keys, err := k.List(context.Background(), use)
	if err != nil {
		t.Fatal(err)
	}
	out := map[vigil.KeyState][]string{}
	for _, key := range keys {
		out[key.State] = append(out[key.State], key.ID)
	}
	return out
}

func TestKeysBeginWithAnActiveAndANextKey(t *testing.T) {
	k, store, _ := keyring(t)
	ctx := context.Background()
	for range 2 {
		if err := k.Ensure(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, use := range vigil.KeyUses {
		got := states(t, k, use)
		if len(got[vigil.KeyActive]) != 1 || len(got[vigil.KeyNext]) != 1 || len(got[vigil.KeyRetired]) != 0 {
			t.Errorf("%s: got %v, want one active and one next", use, got)
		}
	}
	for _, key := range store.keys {
		if bytes.Contains(key.Sealed, []byte(`"d"`)) || bytes.Contains(key.Public, []byte(`"d"`)) {
			t.Errorf("key %s holds its private half in the open", key.ID)
		}
	}
}

func TestKeySetHoldsRS256KeysOnly(t *testing.T) {
	k, _, _ := keyring(t)
	if err := k.Ensure(context.Background()); err != nil {
		t.Fatal(err)
	}
	set, err := k.Set(context.Background(), vigil.KeyLTI)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(set, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Keys) != 2 {
		t.Fatalf("got %d keys, want active and next", len(doc.Keys))
	}
	for _, key := range doc.Keys {
		if key["kty"] != "RSA" || key["alg"] != "RS256" || key["use"] != "sig" || key["kid"] == "" || key["d"] != "" || key["p"] != "" {
			t.Errorf("got key %v", key)
		}
	}
}

func TestRotationPublishesBeforeUseAndKeepsTheOld(t *testing.T) {
	k, _, c := keyring(t)
	ctx := context.Background()
	if err := k.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	before := states(t, k, vigil.KeyLTI)
	if err := k.Rotate(ctx, vigil.KeyLTI); vigil.CodeOf(err) != vigil.CodeIllegal {
		t.Fatalf("rotating at once: got %v, want %s", err, vigil.CodeIllegal)
	}
	c.add(5 * time.Minute)
	if err := k.Rotate(ctx, vigil.KeyLTI); err != nil {
		t.Fatal(err)
	}
	after := states(t, k, vigil.KeyLTI)
	if after[vigil.KeyActive][0] != before[vigil.KeyNext][0] || after[vigil.KeyRetired][0] != before[vigil.KeyActive][0] || len(after[vigil.KeyNext]) != 1 {
		t.Errorf("got %v after %v", after, before)
	}
	set, err := k.Set(ctx, vigil.KeyLTI)
	if err != nil || !bytes.Contains(set, []byte(before[vigil.KeyActive][0])) {
		t.Errorf("the retired key is not published: %v", err)
	}
	c.add(59 * time.Minute)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(t, k, vigil.KeyLTI)[vigil.KeyRetired]; len(got) != 1 {
		t.Errorf("got %d retired keys after 59 minutes, want 1", len(got))
	}
	c.add(2 * time.Minute)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(t, k, vigil.KeyLTI)[vigil.KeyRetired]; len(got) != 0 {
		t.Errorf("got %d retired keys after 61 minutes, want 0", len(got))
	}
}

func TestKeysRotateByAge(t *testing.T) {
	k, _, c := keyring(t)
	ctx := context.Background()
	if err := k.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	first := states(t, k, vigil.KeySocket)[vigil.KeyActive][0]
	c.add(30 * 24 * time.Hour)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(t, k, vigil.KeySocket)[vigil.KeyActive][0]; got != first {
		t.Error("rotated on the thirtieth day, want after it")
	}
	c.add(time.Hour)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(t, k, vigil.KeySocket)[vigil.KeyActive][0]; got == first {
		t.Error("not rotated by age")
	}
	if got := states(t, k, vigil.KeyLTI); len(got[vigil.KeyRetired]) != 0 {
		t.Errorf("the LTI key rotated too: %v", got)
	}
}

func TestManyNodesStartAndRotateAtOnce(t *testing.T) {
	k, store, c := keyring(t)
	ctx := context.Background()
	nodes := make([]*lti.Keys, 4)
	for i := range nodes {
		nodes[i] = lti.NewKeys(store, sealer(t, 1), lti.KeyOptions{Now: c.now})
	}
	all := func(f func(*lti.Keys) error) {
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if err := f(n); err != nil && vigil.CodeOf(err) != vigil.CodeConflict && vigil.CodeOf(err) != vigil.CodeIllegal {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	}
	all(func(n *lti.Keys) error { return n.Ensure(ctx) })
	c.add(10 * time.Minute)
	all(func(n *lti.Keys) error { return n.Tend(ctx) })
	all(func(n *lti.Keys) error { return n.Rotate(ctx, vigil.KeyLTI) })
	c.add(time.Minute)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	got := states(t, k, vigil.KeyLTI)
	if len(got[vigil.KeyActive]) != 1 || len(got[vigil.KeyNext]) < 1 {
		t.Errorf("got %v, want one active key", got)
	}
}

func TestKeySetCostsNoReadsMostTimes(t *testing.T) {
	g := newRig(t)
	if err := g.tool.Keys().Ensure(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := g.store.keyReads
	for range 1000 {
		w := httptest.NewRecorder()
		g.tool.ServeKeys(w, httptest.NewRequest(http.MethodGet, publicURL+"/lti/keys", nil))
		if w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("got %d, %v", w.Code, w.Header())
		}
	}
	if got := g.store.keyReads - before; got != 0 {
		t.Errorf("got %d reads for 1000 key sets, want 0", got)
	}
	g.clock.add(3 * time.Second)
	g.tool.ServeKeys(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, publicURL+"/lti/keys", nil))
	if got := g.store.keyReads - before; got != 1 {
		t.Errorf("got %d reads after three seconds, want 1", got)
	}
	// A store that fails does not take the key set away.
	g.store.setFail(vigil.Errorf(vigil.CodeUnavailable, "down"))
	g.clock.add(time.Minute)
	w := httptest.NewRecorder()
	g.tool.ServeKeys(w, httptest.NewRequest(http.MethodGet, publicURL+"/lti/keys", nil))
	if w.Code != http.StatusOK {
		t.Errorf("got %d while the store is down, want 200", w.Code)
	}
	g.clock.add(2 * time.Hour)
	w = httptest.NewRecorder()
	g.tool.ServeKeys(w, httptest.NewRequest(http.MethodGet, publicURL+"/lti/keys", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d after two hours, want 503", w.Code)
	}
	w = httptest.NewRecorder()
	g.tool.ServeKeys(w, httptest.NewRequest(http.MethodPost, publicURL+"/lti/keys", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d, want 405", w.Code)
	}
}

func TestWrongSealingSecretIsNoticedAtStart(t *testing.T) {
	k, store, c := keyring(t)
	if err := k.Ensure(context.Background()); err != nil {
		t.Fatal(err)
	}
	other := lti.NewKeys(store, sealer(t, 2), lti.KeyOptions{Now: c.now})
	if err := other.Ensure(context.Background()); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestKeysThatWereExchangedInTheStoreAreRefused(t *testing.T) {
	k, store, c := keyring(t)
	if err := k.Ensure(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := states(t, k, vigil.KeyLTI)
	active, next := store.keys[got[vigil.KeyActive][0]], store.keys[got[vigil.KeyNext][0]]
	active.Sealed = next.Sealed
	store.keys[active.ID] = active
	other := lti.NewKeys(store, sealer(t, 1), lti.KeyOptions{Now: c.now})
	if err := other.Ensure(context.Background()); err == nil {
		t.Error("got no error for a sealed half of another key")
	}
	active.Public = next.Public
	store.keys[active.ID] = active
	if err := other.Ensure(context.Background()); err == nil {
		t.Error("got no error for a public half of another key")
	}
}

func TestSealerThatDoesNotSealIsRefused(t *testing.T) {
	store := newMemory(time.Now)
	if err := lti.NewKeys(store, noSealer{}, lti.KeyOptions{}).Ensure(context.Background()); err == nil {
		t.Error("got no error")
	}
}

func TestSealer(t *testing.T) {
	s := sealer(t, 1)
	a, err := s.Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.Seal([]byte("secret"))
	if bytes.Equal(a, b) || bytes.Contains(a, []byte("secret")) {
		t.Error("sealing twice gives the same, or the text")
	}
	if got, err := s.Open(a); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	for i := range a {
		broken := bytes.Clone(a)
		broken[i] ^= 1
		if _, err := s.Open(broken); err == nil {
			t.Errorf("byte %d changed: got no error", i)
		}
	}
	for _, short := range [][]byte{nil, {1}, a[:12], a[:len(a)-1]} {
		if _, err := s.Open(short); err == nil {
			t.Errorf("%d bytes: got no error", len(short))
		}
	}
	if _, err := lti.NewSealer(make([]byte, 16)); err == nil {
		t.Error("got a sealer from 16 bytes")
	}
}
