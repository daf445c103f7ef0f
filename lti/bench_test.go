package lti_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vigil"
	"vigil/lti"
)

// BenchmarkLaunch is a launch through the complete check list, the key set cached.
func BenchmarkLaunch(b *testing.B) {
	g := newRig(b)
	if _, err := g.launch(lti.MessageStartProctoring, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		l := g.begin()
		body := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageStartProctoring, l))}}.Encode()
		r := httptest.NewRequest(http.MethodPost, publicURL+"/lti/launch", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(l.cookie)
		w := httptest.NewRecorder()
		b.StartTimer()
		g.tool.ServeLaunch(w, r, func(http.ResponseWriter, *http.Request, lti.Launch) {})
		if g.last != nil {
			b.Fatal(g.last)
		}
	}
}

// BenchmarkServeKeys is what every message costs us when a platform fetches our keys.
func BenchmarkServeKeys(b *testing.B) {
	g := newRig(b)
	g.ensureKeys()
	r := httptest.NewRequest(http.MethodGet, publicURL+"/lti/keys", nil)
	b.ReportAllocs()
	for b.Loop() {
		g.tool.ServeKeys(httptest.NewRecorder(), r)
	}
}

// BenchmarkAssertion is what a page turn costs at the token endpoint.
func BenchmarkAssertion(b *testing.B) {
	g := newRig(b)
	g.ensureKeys()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		token := good().sign(g.assertionClaims(rand.Text()))
		b.StartTimer()
		if _, err := g.tool.VerifyAssertion(ctx, token); err != nil {
			b.Fatal(err)
		}
		if _, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "p|u", Session: "s", Role: "student"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifySocket is what opening a socket costs.
func BenchmarkVerifySocket(b *testing.B) {
	g := newRig(b)
	g.ensureKeys()
	ctx := context.Background()
	token, _, err := g.tool.MintSocket(ctx, vigil.SocketClaims{Subject: "p|u", Session: "s", Role: "student"})
	if err != nil {
		b.Fatal(err)
	}
	if k := len(states(b, g.tool.Keys(), vigil.KeySocket)); k == 0 {
		b.Fatal("no keys")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.tool.VerifySocket(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLogin is the redirect that begins a launch.
func BenchmarkLogin(b *testing.B) {
	g := newRig(b)
	q := g.loginParams().Encode()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		g.tool.ServeLogin(w, httptest.NewRequest(http.MethodGet, publicURL+"/lti/login?"+q, nil))
		if w.Code/100 != 3 {
			b.Fatalf("got %d, want a redirect", w.Code)
		}
	}
}

// BenchmarkStartAssessment signs the message that sends a student back to the quiz.
func BenchmarkStartAssessment(b *testing.B) {
	g := newServices(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.tool.StartAssessment(context.Background(), g.startRequest()); err != nil {
			b.Fatal(err)
		}
	}
}
