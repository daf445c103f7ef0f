package lti_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigil"
	"vigil/lti"
)

// TestMain checks, when the whole suite ran, that every fault of the package was seen to
// refuse something.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left:", err)
			code = 1
		}
	}
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" && !testing.Short()
	if code == 0 && whole {
		for _, name := range faultNames() {
			if _, ok := seenFaults.Load(name); !ok {
				fmt.Fprintln(os.Stderr, "no test saw the fault", name)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// seenFaults are the names of the faults that tests saw.
var seenFaults sync.Map

// wantFault checks that an error comes of a fault; a nil fault means no error.
func wantFault(t testing.TB, err error, want *lti.Fault) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Fatalf("got error %v, want none", err)
		}
		return
	}
	seenFaults.Store(want.Name, true)
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want fault %s", err, want.Name)
	}
	if vigil.CodeOf(err) == vigil.CodeInternal {
		t.Errorf("got code internal for %s", want.Name)
	}
}

// faultNames reads the names of all faults from the package's source.
func faultNames() []string {
	var out []string
	files, _ := os.ReadDir(".")
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			panic(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) == 0 {
				return true
			}
			if id, ok := lit.Type.(*ast.Ident); !ok || id.Name != "Fault" {
				return true
			}
			if s, ok := lit.Elts[0].(*ast.BasicLit); ok {
				name, _ := strconv.Unquote(s.Value)
				out = append(out, name)
			}
			return true
		})
	}
	return out
}

// signer is a platform's key, made and used with the standard library only.
type signer struct {
	kid string
	key *rsa.PrivateKey
}

var (
	keyOnce          sync.Once
	goodKey, evilKey signer
)

// testKeys are generated once: RSA keys are slow to make.
func testKeys() (good, evil signer) {
	keyOnce.Do(func() {
		for _, s := range []*signer{&goodKey, &evilKey} {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			s.key = k
		}
		goodKey.kid, evilKey.kid = "good", "evil"
	})
	return goodKey, evilKey
}

type m = map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// signRaw makes an RS256 compact JWS of raw header and payload bytes.
func signRaw(key *rsa.PrivateKey, header, payload []byte) string {
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

func (s signer) sign(claims m) string {
	return signRaw(s.key, mustJSON(m{"alg": "RS256", "typ": "JWT", "kid": s.kid}), mustJSON(claims))
}

// jwk is the public key as a JWKS member.
func (s signer) jwk() m {
	return m{
		"kty": "RSA", "kid": s.kid, "alg": "RS256", "use": "sig",
		"n": b64(s.key.N.Bytes()), "e": b64(big.NewInt(int64(s.key.E)).Bytes()),
	}
}

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

var (
	ownKeysOnce sync.Once
	ownKeys     map[string]vigil.Key
)

// ensureKeys gives the tool its own keys: those of the first test that needed some, since
// RSA keys are slow to make.
func (g *rig) ensureKeys() {
	g.t.Helper()
	ownKeysOnce.Do(func() {
		if err := g.tool.Keys().Ensure(context.Background()); err != nil {
			g.t.Fatal(err)
		}
		ownKeys = maps.Clone(g.store.keys)
	})
	maps.Copy(g.store.keys, ownKeys)
	if err := g.tool.Keys().Ensure(context.Background()); err != nil {
		g.t.Fatal(err)
	}
}

// rig is a tool with one platform, whose server is on this machine.
type rig struct {
	t      testing.TB
	clock  *clock
	store  *memory
	tool   *lti.Tool
	server *httptest.Server // the platform's
	mux    *http.ServeMux
	p      vigil.Platform
	last   *lti.LaunchError // given to OnError

	mu      sync.Mutex
	keySet  func(w http.ResponseWriter, r *http.Request)
	fetches int
}

const publicURL = "https://vigil.example"

type rigOption func(*lti.Config)

func newRig(t testing.TB, options ...rigOption) *rig {
	t.Helper()
	good, _ := testKeys()
	g := &rig{t: t, clock: &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}, mux: http.NewServeMux()}
	g.store = newMemory(g.clock.now)
	g.server = httptest.NewServer(g.mux)
	t.Cleanup(g.server.Close)
	g.serveKeys(good.jwk())
	g.mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.fetches++
		f := g.keySet
		g.mu.Unlock()
		f(w, r)
	})
	sealer, err := lti.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	cfg := lti.Config{
		PublicURL: publicURL, Store: g.store, Sealer: sealer, Now: g.clock.now,
		Log: slog.New(slog.DiscardHandler),
		OnError: func(w http.ResponseWriter, _ *http.Request, e *lti.LaunchError) {
			g.last = e
			w.WriteHeader(e.Status)
		},
	}
	for _, o := range options {
		o(&cfg)
	}
	if g.tool, err = lti.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.tool.Close)
	g.p = g.addPlatform("p1", "client-1")
	return g
}

// addPlatform adds an active platform on the rig's server with deployment "1".
func (g *rig) addPlatform(id, clientID string) vigil.Platform {
	g.t.Helper()
	p := vigil.Platform{
		ID: id, Issuer: g.server.URL, ClientID: clientID, Name: "Test LMS", Family: "moodle",
		AuthorizationEndpoint: g.server.URL + "/auth.php?own=1", TokenEndpoint: g.server.URL + "/token.php",
		KeySetURL: g.server.URL + "/jwks", Private: true, State: vigil.PlatformActive,
		Created: g.clock.now(), Updated: g.clock.now(),
	}
	ctx := context.Background()
	if err := g.store.CreatePlatform(ctx, p); err != nil {
		g.t.Fatal(err)
	}
	if err := g.store.SaveDeployment(ctx, vigil.Deployment{PlatformID: id, ID: "1", State: vigil.DeploymentActive}); err != nil {
		g.t.Fatal(err)
	}
	p.Version = 1
	return p
}

// update changes a platform in the store.
func (g *rig) update(f func(*vigil.Platform)) {
	g.t.Helper()
	p, err := g.store.Platform(context.Background(), g.p.ID)
	if err != nil {
		g.t.Fatal(err)
	}
	f(&p)
	if err := g.store.UpdatePlatform(context.Background(), p); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) serveKeys(keys ...m) {
	body := mustJSON(m{"keys": keys})
	g.setKeySet(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func (g *rig) setKeySet(f func(http.ResponseWriter, *http.Request)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keySet = f
}

func (g *rig) fetched() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fetches
}

// login is a login under way as a browser sees it.
type login struct {
	state, nonce string
	cookie       *http.Cookie
}

func (g *rig) loginParams() url.Values {
	return url.Values{
		"iss": {g.p.Issuer}, "client_id": {g.p.ClientID}, "login_hint": {"u1"},
		"target_link_uri": {publicURL + "/lti/launch"}, "lti_message_hint": {"hint"},
	}
}

// get sends a login by GET.
func (g *rig) get(rawQuery string, cookies ...*http.Cookie) *http.Response {
	r := httptest.NewRequest(http.MethodGet, publicURL+"/lti/login?"+rawQuery, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	g.last = nil
	g.tool.ServeLogin(w, r)
	return w.Result()
}

// begin makes an honest login.
func (g *rig) begin() login {
	g.t.Helper()
	return g.beginWith(g.loginParams())
}

func (g *rig) beginWith(q url.Values) login {
	g.t.Helper()
	res := g.get(q.Encode())
	if res.StatusCode != http.StatusFound {
		g.t.Fatalf("login: got status %d (%v), want 302", res.StatusCode, g.last)
	}
	to, err := res.Location()
	if err != nil {
		g.t.Fatal(err)
	}
	return login{state: to.Query().Get("state"), nonce: to.Query().Get("nonce"), cookie: res.Cookies()[0]}
}

// post sends a launch form and returns what the tool made of it.
func (g *rig) post(form url.Values, cookie *http.Cookie) (lti.Launch, *http.Response, error) {
	return g.postTo("/lti/launch", form.Encode(), cookie)
}

func (g *rig) postTo(path, body string, cookie *http.Cookie) (lti.Launch, *http.Response, error) {
	r := httptest.NewRequest(http.MethodPost, publicURL+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != nil {
		r.AddCookie(cookie)
	}
	return g.send(r)
}

func (g *rig) send(r *http.Request) (lti.Launch, *http.Response, error) {
	w := httptest.NewRecorder()
	var got lti.Launch
	called := false
	g.last = nil
	g.tool.ServeLaunch(w, r, func(w http.ResponseWriter, _ *http.Request, l lti.Launch) {
		got, called = l, true
		w.WriteHeader(http.StatusOK)
	})
	res := w.Result()
	if g.last != nil {
		if called {
			g.t.Error("a refused launch was given to the callback")
		}
		if g.last.Status < 400 || g.last.Status >= 500 && g.last.Status != 503 || g.last.Reference == "" || g.last.Message == "" {
			g.t.Errorf("got status %d, reference %q, message %q", g.last.Status, g.last.Reference, g.last.Message)
		}
		return got, res, g.last
	}
	if !called {
		return got, res, nil
	}
	return got, res, nil
}

const (
	claimLTI = "https://purl.imsglobal.org/spec/lti/claim/"
	claimAP  = "https://purl.imsglobal.org/spec/lti-ap/claim/"
	claimDL  = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	claimNR  = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
	mRole    = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
)

// claims are those of an honest launch of a message type.
func (g *rig) claims(kind lti.MessageType, l login) m {
	now := g.clock.now().Unix()
	c := m{
		"iss": g.p.Issuer, "aud": g.p.ClientID, "sub": "u1", "iat": now, "exp": now + 60, "nonce": l.nonce,
		"name": "Amara Okafor", "given_name": "Amara", "family_name": "Okafor",
		claimLTI + "message_type":        string(kind),
		claimLTI + "version":             "1.3.0",
		claimLTI + "deployment_id":       "1",
		claimLTI + "target_link_uri":     publicURL + "/lti/launch",
		claimLTI + "roles":               []any{mRole + "Instructor"},
		claimLTI + "context":             m{"id": "2", "label": "BIO", "title": "Biology", "type": []any{"CourseSection"}},
		claimLTI + "custom":              m{"exam": "e1"},
		claimLTI + "launch_presentation": m{"locale": "en", "document_target": "window", "return_url": g.p.Issuer + "/return.php?x=1"},
		claimNR:                          m{"context_memberships_url": g.p.Issuer + "/members", "service_versions": []any{"2.0"}},
	}
	if kind != lti.MessageDeepLinking {
		c[claimLTI+"resource_link"] = m{"id": "quiz-2", "title": "Quiz"}
	}
	switch kind {
	case lti.MessageStartProctoring:
		c[claimAP+"attempt_number"] = 1
		c[claimAP+"session_data"] = "opaque"
		c[claimAP+"start_assessment_url"] = g.p.Issuer + "/start.php"
		c[claimAP+"proctoring_settings"] = m{"data": "{}"}
		c[claimAP+"acs"] = m{"actions": []any{"pause", "terminate", "dance"}, "assessment_control_url": g.p.Issuer + "/acs"}
	case lti.MessageEndAssessment:
		c[claimAP+"attempt_number"] = 1
		c[claimAP+"session_data"] = nil
	case lti.MessageDeepLinking:
		c[claimDL+"deep_linking_settings"] = m{
			"deep_link_return_url": g.p.Issuer + "/return", "accept_types": []any{"link", "ltiResourceLink"},
			"accept_presentation_document_targets": []any{"iframe"}, "accept_multiple": true, "data": "d1",
		}
	}
	return c
}

// launch logs in and posts an honest launch.
func (g *rig) launch(kind lti.MessageType, change func(m)) (lti.Launch, error) {
	g.t.Helper()
	good, _ := testKeys()
	l := g.begin()
	c := g.claims(kind, l)
	if change != nil {
		change(c)
	}
	got, _, err := g.post(url.Values{"state": {l.state}, "id_token": {good.sign(c)}}, l.cookie)
	return got, err
}

// without returns a copy of claims without one.
func without(c m, name string) m {
	out := maps.Clone(c)
	delete(out, name)
	return out
}
