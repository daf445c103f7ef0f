package lti_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"vigil/lti"
)

// refusal is a line of the log about a refused login or launch.
type refusal struct {
	Stage, Reference, Check, Platform, Issuer, Error string
	ClientID                                         string `json:"client_id"`
}

func TestARefusalNamesIssuerAndClientID(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	g := newRig(t, func(c *lti.Config) { c.Log = slog.New(slog.NewJSONHandler(&b, nil)) })
	last := func() (r refusal) {
		t.Helper()
		if n := strings.Count(b.String(), "\n"); n != 1 {
			t.Errorf("got %d lines, want one: %s", n, b.String())
		}
		if err := json.Unmarshal(b.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		return r
	}
	good, _ := testKeys()
	forged := func(iss string) url.Values {
		l := g.begin()
		c := g.claims(lti.MessageResourceLink, l)
		c["iss"], c["aud"] = iss, []any{"client-9"}
		return url.Values{"state": {strings.Repeat("A", 43)}, "id_token": {good.sign(c)}}
	}
	const evil = `https://evil.example/"} {"level":"ERROR"}`
	long := "https://" + strings.Repeat("long.", 200) + "example"
	for _, row := range []struct {
		name   string
		do     func()
		issuer string
		client string
	}{
		{"login of an unknown platform", func() {
			q := g.loginParams()
			q.Set("iss", evil)
			q.Set("client_id", "client-9")
			g.get(q.Encode())
		}, evil, "client-9"},
		{"login with a parameter too few", func() {
			q := g.loginParams()
			q.Del("login_hint")
			g.get(q.Encode())
		}, g.p.Issuer, g.p.ClientID},
		{"login of a long issuer", func() {
			q := g.loginParams()
			q.Set("iss", long)
			g.get(q.Encode())
		}, long[:200], g.p.ClientID},
		{"launch without a login", func() { _, _, _ = g.post(forged("https://evil.example"), g.begin().cookie) }, "https://evil.example", "client-9"},
		{"launch without a login and a cookie", func() { _, _, _ = g.post(forged("https://evil.example"), nil) }, "https://evil.example", "client-9"},
		{"launch that fails a check", func() {
			_, _ = g.launch(lti.MessageResourceLink, func(c m) { c["exp"] = g.clock.now().Unix() - 3600 })
		}, g.p.Issuer, g.p.ClientID},
	} {
		row.do()
		got := last()
		if got.Issuer != row.issuer || got.ClientID != row.client {
			t.Errorf("%s: got issuer %q and client id %q, want %q and %q", row.name, got.Issuer, got.ClientID, row.issuer, row.client)
		}
		if got.Reference == "" || got.Check == "" || got.Error == "" {
			t.Errorf("%s: got %+v, want reference, check and error", row.name, got)
		}
		for _, person := range []string{"u1", "Okafor"} {
			if strings.Contains(got.Error, person) {
				t.Errorf("%s: the log names a person: %+v", row.name, got)
			}
		}
	}
	if _, err := g.launch(lti.MessageResourceLink, func(c m) { c["exp"] = g.clock.now().Unix() - 5400 }); err == nil {
		t.Error("got a launch with an old token, want it refused")
	}
	if got := last(); !strings.Contains(got.Error, "1h30m ago") {
		t.Errorf("got %q, want the time as it is written everywhere", got.Error)
	}
}
