package lti_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

func TestEvidenceIsReadByItsOwnKeysOnly(t *testing.T) {
	g := newRig(t)
	ctx := t.Context()
	keys := g.tool.Keys()
	if err := keys.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	public := func(use vigil.KeyUse) []vigil.Key {
		list, err := keys.List(ctx, use)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	signed, err := keys.SignEvidence(ctx, map[string]any{"seq": 7})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := lti.VerifyEvidence(public(vigil.KeyEvidence), signed)
	if err != nil || string(payload) != `{"seq":7}` {
		t.Fatalf("got %s, %v, want what was signed", payload, err)
	}
	sign := func(use vigil.KeyUse, typ string) string {
		s, err := g.tool.Sign(ctx, use, typ, map[string]any{"seq": 7})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	parts := strings.Split(signed, ".")
	another, err := json.Marshal(map[string]any{"seq": 8})
	if err != nil {
		t.Fatal(err)
	}
	asEvidence := public(vigil.KeySocket) // a socket key that is passed off
	for i := range asEvidence {
		asEvidence[i].Use = vigil.KeyEvidence
	}
	mixed := public(vigil.KeyEvidence)
	mixed[0].Public, mixed[1].Public = mixed[1].Public, mixed[0].Public
	for _, row := range []struct {
		name string
		keys []vigil.Key
		text string
		want *lti.Fault
	}{
		{"no token", public(vigil.KeyEvidence), "x", lti.ErrEvidenceForm},
		{"empty", public(vigil.KeyEvidence), "", lti.ErrEvidenceForm},
		{"a token of another kind", public(vigil.KeyEvidence), sign(vigil.KeyEvidence, "vigil-socket+jwt"), lti.ErrEvidenceForm},
		{"RS256", append(public(vigil.KeyLTI), public(vigil.KeyEvidence)...), sign(vigil.KeyLTI, "vigil-evidence+jwt"), lti.ErrEvidenceForm},
		{"a socket key", append(public(vigil.KeySocket), public(vigil.KeyEvidence)...), sign(vigil.KeySocket, "vigil-evidence+jwt"), lti.ErrEvidenceKey},
		{"no keys", nil, signed, lti.ErrEvidenceKey},
		{"keys that are not what they say", mixed, signed, lti.ErrEvidenceKey},
		{"other keys", asEvidence, signed, lti.ErrEvidenceKey},
		{"another payload", public(vigil.KeyEvidence), parts[0] + "." + b64(another) + "." + parts[2], lti.ErrEvidenceSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := lti.VerifyEvidence(row.keys, row.text)
			if err == nil {
				t.Fatalf("got %s, want it refused", got)
			}
			wantFault(t, err, row.want)
		})
	}
}

func TestARetiredEvidenceKeyStaysWithoutItsPrivateHalf(t *testing.T) {
	k, store, c := keyring(t)
	ctx := t.Context()
	if err := k.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	signed, err := k.SignEvidence(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	first := states(t, k, vigil.KeyEvidence)[vigil.KeyActive][0]
	c.add(1000 * 24 * time.Hour)
	if err := k.Tend(ctx); err != nil {
		t.Fatal(err)
	}
	if got := states(t, k, vigil.KeyEvidence)[vigil.KeyActive][0]; got != first {
		t.Error("the evidence key was replaced by age")
	}
	if err := k.Rotate(ctx, vigil.KeyEvidence); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c.add(1000 * 24 * time.Hour)
		if err := k.Tend(ctx); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := store.Keys(ctx, vigil.KeyEvidence)
	if err != nil {
		t.Fatal(err)
	}
	kept := false
	for _, key := range keys {
		if key.ID == first {
			kept = true
			if len(key.Sealed) != 0 || key.State != vigil.KeyRetired {
				t.Errorf("got state %s and %d bytes of a private half, want retired without", key.State, len(key.Sealed))
			}
		}
	}
	if !kept {
		t.Error("the retired key is gone, want it kept")
	}
	if _, err := lti.VerifyEvidence(keys, signed); err != nil {
		t.Errorf("what it signed: got %v, want it valid", err)
	}
}

func FuzzVerifyEvidence(f *testing.F) {
	k, store, _ := keyring(f)
	if err := k.Ensure(f.Context()); err != nil {
		f.Fatal(err)
	}
	signed, err := k.SignEvidence(f.Context(), map[string]any{"seq": 7})
	if err != nil {
		f.Fatal(err)
	}
	keys, err := store.Keys(f.Context(), vigil.KeyEvidence)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if payload, err := lti.VerifyEvidence(keys, text); err == nil && string(payload) != `{"seq":7}` {
			t.Fatalf("got %q, which nobody signed", payload)
		}
	})
}
