package lti_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

func TestSocketTokenComesBack(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	g.ensureKeys()
	until := g.clock.now().Add(2 * time.Minute)
	in := vigil.SocketClaims{Subject: "p1|u1", Session: "s1", Role: "student", Name: "Amara", Until: until, Guest: "other"}
	token, expires, err := g.tool.MintSocket(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if !expires.Equal(until) {
		t.Errorf("got the end %s, want Until", expires)
	}
	got, err := g.tool.VerifySocket(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != in.Subject || got.Session != "s1" || got.Exam != "" || got.Role != "student" || got.Name != "Amara" || got.Guest != "other" || got.ID == "" ||
		!got.Until.Equal(until) || !got.Issued.Equal(g.clock.now()) || !got.Expires.Equal(until) {
		t.Errorf("got %+v, want it to end with Until", got)
	}
	in.Until = time.Time{}
	g.clock.add(300 * time.Millisecond)
	token, expires, _ = g.tool.MintSocket(ctx, in)
	if got, err := g.tool.VerifySocket(ctx, token); err != nil || !got.Expires.Equal(expires) {
		t.Errorf("got the end %s, %v, want that of the token: %s", expires, err, got.Expires)
	}
	if got, err := g.tool.VerifySocket(ctx, token); err != nil || got.Expires.Sub(got.Issued) != 5*time.Minute || !got.Until.IsZero() {
		t.Errorf("got %+v, %v, want five minutes", got, err)
	}
	g.clock.add(5 * time.Minute)
	_, err = g.tool.VerifySocket(ctx, token)
	wantFault(t, err, lti.ErrSocketExpired)
}

func TestSocketTokenOutlivesARotationAndIsKnownToEveryNode(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	k := g.tool.Keys()
	if err := k.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	other, err := lti.New(lti.Config{PublicURL: publicURL, Store: g.store, Sealer: mustSealer(), Now: g.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	g.clock.add(6 * time.Minute)
	token, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "a", Exam: "e1", Role: "proctor"})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(ctx, vigil.KeySocket); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []*lti.Tool{g.tool, other} {
		if _, err := tool.VerifySocket(ctx, token); err != nil {
			t.Errorf("a token of the retired key: got %v, want none", err)
		}
	}
	token, _, err = g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "a", Exam: "e1", Role: "proctor"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.VerifySocket(ctx, token); err != nil {
		t.Errorf("a token of another node's new key: got %v, want none", err)
	}
}

func mustSealer() lti.Sealer {
	s, err := lti.NewSealer(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	return s
}

func TestSocketTokensThatAreRefused(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	g.ensureKeys()
	honest, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "a", Session: "s", Role: "student"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(honest, ".")
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	sign := func(header m, claims m) string {
		input := b64(mustJSON(header)) + "." + b64(mustJSON(claims))
		return input + "." + b64(ed25519.Sign(stranger, []byte(input)))
	}
	now := g.clock.now().Unix()
	claims := m{"aud": "vigil.realtime", "sub": "a", "session": "s", "role": "student", "jti": "x", "iat": now, "exp": now + 60}
	kid := states(t, g.tool.Keys(), vigil.KeySocket)[vigil.KeyActive][0]
	ltiKid := states(t, g.tool.Keys(), vigil.KeyLTI)[vigil.KeyActive][0]
	for _, row := range []struct {
		name, token string
		want        *lti.Fault
	}{
		{"empty", "", lti.ErrSocketToken},
		{"two parts", parts[0] + "." + parts[1], lti.ErrSocketToken},
		{"signature cut", honest[:len(honest)-2], lti.ErrSocketSignature},
		{"alg none", b64(mustJSON(m{"alg": "none", "typ": "vigil-socket+jwt", "kid": kid})) + "." + parts[1] + ".AA", lti.ErrSocketToken},
		{"no typ", sign(m{"alg": "EdDSA", "kid": kid}, claims), lti.ErrSocketToken},
		{"typ JWT", sign(m{"alg": "EdDSA", "typ": "JWT", "kid": kid}, claims), lti.ErrSocketToken},
		{"no kid", sign(m{"alg": "EdDSA", "typ": "vigil-socket+jwt"}, claims), lti.ErrSocketToken},
		{"unknown kid", sign(m{"alg": "EdDSA", "typ": "vigil-socket+jwt", "kid": "x"}, claims), lti.ErrSocketSignature},
		{"kid of an LTI key", sign(m{"alg": "EdDSA", "typ": "vigil-socket+jwt", "kid": ltiKid}, claims), lti.ErrSocketSignature},
		{"a stranger's key under our kid", sign(m{"alg": "EdDSA", "typ": "vigil-socket+jwt", "kid": kid}, claims), lti.ErrSocketSignature},
		{"a platform's id_token", good().sign(claims), lti.ErrSocketToken},
		{"payload changed", parts[0] + "." + b64(mustJSON(claims)) + "." + parts[2], lti.ErrSocketSignature},
	} {
		_, err := g.tool.VerifySocket(ctx, row.token)
		if err == nil {
			t.Errorf("%s: accepted", row.name)
			continue
		}
		wantFault(t, err, row.want)
	}
	for _, row := range []struct {
		name   string
		change func(m)
		want   *lti.Fault
	}{
		{"audience of another kind of token", func(c m) { c["aud"] = "client-1" }, lti.ErrSocketAudience},
		{"several audiences", func(c m) { c["aud"] = []any{"vigil.realtime", "x"} }, lti.ErrSocketAudience},
		{"no exp", func(c m) { delete(c, "exp") }, lti.ErrSocketClaims},
		{"an hour long", func(c m) { c["exp"] = now + 3600 }, lti.ErrSocketClaims},
		{"iat is a string", func(c m) { c["iat"] = "1" }, lti.ErrSocketClaims},
		{"session and exam", func(c m) { c["exam"] = "e" }, lti.ErrSocketClaims},
		{"neither session nor exam", func(c m) { delete(c, "session") }, lti.ErrSocketClaims},
		{"no subject", func(c m) { delete(c, "sub") }, lti.ErrSocketClaims},
		{"until is a string", func(c m) { c["until"] = "x" }, lti.ErrSocketClaims},
	} {
		c := m{}
		for k, v := range claims {
			c[k] = v
		}
		row.change(c)
		token, err := g.tool.Sign(ctx, vigil.KeySocket, "vigil-socket+jwt", c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.tool.VerifySocket(ctx, token)
		if err == nil {
			t.Errorf("%s: accepted", row.name)
			continue
		}
		wantFault(t, err, row.want)
	}
	g.clock.add(-16 * time.Second)
	_, err = g.tool.VerifySocket(ctx, honest)
	wantFault(t, err, lti.ErrSocketExpired)
}

func TestSocketTokensThatAreNotMinted(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	g.ensureKeys()
	for _, c := range []vigil.SocketClaims{
		{},
		{Subject: "a", Role: "student"},
		{Subject: "a", Role: "student", Session: "s", Exam: "e"},
		{Session: "s", Role: "student"},
		{Subject: "a", Session: "s"},
		{Subject: "a", Session: "s", Role: "student", Expires: g.clock.now().Add(time.Hour)},
	} {
		if _, _, err := g.tool.MintSocket(ctx, c); vigil.CodeOf(err) != vigil.CodeInternal {
			t.Errorf("%+v: got %v, want internal", c, err)
		}
	}
}
