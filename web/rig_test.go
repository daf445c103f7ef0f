package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti"
	"vigil/lti/ltitest"
	"vigil/realtime"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
	"vigil/web"
)

// rig is the tool as it runs, on a loopback host: pages, launches, sockets and a store.
type rig struct {
	*testing.T
	store  *faulty
	tool   *lti.Tool
	hub    *realtime.Hub
	web    *web.Server
	origin string
	offset atomic.Int64 // of the tool's clock
	logs   logs
}

// faulty is the store, until it is told to fail.
type faulty struct {
	*sqlite.Store
	fail   atomic.Bool // sessions and exams cannot be read
	visits atomic.Bool // web sessions cannot be read
	writes atomic.Bool // platforms cannot be written
}

var errDisk = errors.New("disk I/O error at /var/lib/secret")

func (f *faulty) Session(ctx context.Context, id string) (vigil.Session, error) {
	if f.fail.Load() {
		return vigil.Session{}, errDisk
	}
	return f.Store.Session(ctx, id)
}

func (f *faulty) UpdatePlatform(ctx context.Context, p vigil.Platform) error {
	if f.writes.Load() {
		return errDisk
	}
	return f.Store.UpdatePlatform(ctx, p)
}

func (f *faulty) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	if f.fail.Load() {
		return vigil.Exam{}, vigil.Wrap(errDisk, vigil.CodeUnavailable, "Vigil cannot reach its store at the moment.")
	}
	if id == "panic" {
		panic("at the disco")
	}
	return f.Store.Exam(ctx, id)
}

func (f *faulty) GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	if f.visits.Load() && kind == "web.visit" {
		return vigil.Record{}, errDisk
	}
	return f.Store.GetRecord(ctx, kind, key, now)
}

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) }

func (r *rig) later(d time.Duration) { r.offset.Add(int64(d)) }

// tokens carries package lti's socket tokens over to package realtime, as cmd does.
type tokens struct{ tool *lti.Tool }

func (t tokens) VerifySocket(ctx context.Context, token string) (vigil.SocketClaims, error) {
	return t.tool.VerifySocket(ctx, token)
}

func (t tokens) MintSocket(context.Context, vigil.SocketClaims) (string, time.Time, error) {
	return "", time.Time{}, errors.New("no renewals in these tests")
}

func newRig(t *testing.T, change ...func(*web.Config)) *rig {
	t.Helper()
	r := &rig{T: t}
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, Now: r.now})
	r.ok(err)
	t.Cleanup(func() { r.ok(store.Close()) })
	r.store = &faulty{Store: store}

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.web.ServeHTTP(w, q) }))
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	r.origin = "http://localhost:" + port // the test platforms are at 127.0.0.1: another site
	log := slog.New(slog.NewJSONHandler(&r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sealer, err := lti.NewSealer(make([]byte, 32))
	r.ok(err)
	r.tool, err = lti.New(lti.Config{
		PublicURL: r.origin, Store: r.store, Sealer: sealer, Log: log, Now: r.now,
		OnError: func(w http.ResponseWriter, q *http.Request, e *lti.LaunchError) { r.web.LaunchRefused(w, q, e) },
	})
	r.ok(err)
	r.ok(r.tool.Keys().Ensure(ctx))
	r.hub, err = realtime.New(realtime.Config{
		Store: r.store, Verifier: tokens{r.tool}, Signer: tokens{r.tool}, Origin: r.origin, Now: r.now,
		AllowOrigin: func(ctx context.Context, origin string) (bool, error) { return r.web.ActiveOrigin(ctx, origin) },
	})
	r.ok(err)
	t.Cleanup(r.hub.Close)
	cfg := web.Config{Tool: r.tool, Hub: r.hub, Sessions: r.hub.Sessions(), Store: r.store, Now: r.now, Log: log}
	for _, f := range change {
		f(&cfg)
	}
	r.web, err = web.New(cfg)
	r.ok(err)
	server.Start()
	t.Cleanup(server.Close)
	return r
}

func (r *rig) ok(err error) {
	r.Helper()
	testutil.OK(r, err)
}

// lms is a platform that the tool knows.
type lms struct {
	*ltitest.Platform
	rig      *rig
	client   string
	platform vigil.Platform
}

func (r *rig) serve(cfg ltitest.Config) *ltitest.Platform {
	r.Helper()
	cfg.Now = r.now
	p, err := ltitest.Serve(cfg)
	r.ok(err)
	r.Cleanup(p.Close)
	return p
}

// lms makes a platform that is registered by hand.
func (r *rig) lms(cfg ltitest.Config) *lms {
	r.Helper()
	p := r.serve(cfg)
	return (&lms{Platform: p, rig: r}).register("")
}

// register registers the tool under a client id, and the platform at the tool.
func (l *lms) register(client string) *lms {
	r, v := l.rig, l.rig.tool.Values()
	t := l.Register(ltitest.Tool{
		ClientID: client, Name: "Vigil", LoginURL: v.LoginURL, RedirectURIs: []string{v.LaunchURL}, TargetLinkURI: v.LaunchURL, KeySetURL: v.KeySetURL,
	})
	e := l.Endpoints(t.ClientID)
	id, err := uuid.NewV7()
	r.ok(err)
	p := vigil.Platform{
		ID: id.String(), Issuer: e.Issuer, ClientID: t.ClientID, Name: "Demo LMS", AuthorizationEndpoint: e.Authorization,
		TokenEndpoint: e.Token, TokenAudience: e.TokenAudience, KeySetURL: e.KeySet, Private: true,
		State: vigil.PlatformActive, Created: r.now(), Updated: r.now(), Version: 1,
	}
	r.ok(r.store.CreatePlatform(r.Context(), p))
	r.ok(r.store.SaveDeployment(r.Context(), vigil.Deployment{PlatformID: p.ID, ID: t.DeploymentID, State: vigil.DeploymentActive, Created: r.now()}))
	return &lms{Platform: l.Platform, rig: r, client: t.ClientID, platform: p}
}

// person is one browser, signed in at the platform.
type person struct {
	*ltitest.Browser
	lms *lms
	id  string
}

func (l *lms) person(id string) *person {
	b := ltitest.NewBrowser(nil)
	b.SignIn(l.Platform, id)
	return &person{Browser: b, lms: l, id: id}
}

const (
	instructor = "2"
	student    = "3"
	another    = "4"
	quiz       = "quiz-2"
)

// launch launches and returns the page where it ends.
func (p *person) launch(l ltitest.Launch) *ltitest.Page {
	p.lms.rig.Helper()
	if l.ClientID == "" {
		l.ClientID = p.lms.client
	}
	if l.UserID == "" {
		l.UserID = p.id
	}
	page, err := p.Open(p.lms.rig.Context(), p.lms.Begin(l))
	p.lms.rig.ok(err)
	return page
}

// attempt launches an attempt as far as the check-in.
func (p *person) attempt(n int) *ltitest.Page {
	p.lms.rig.Helper()
	return p.launch(ltitest.Launch{Message: ltitest.StartProctoring, LinkID: quiz, Attempt: n})
}

func (p *person) get(path string) *ltitest.Page {
	p.lms.rig.Helper()
	page, err := p.Open(p.lms.rig.Context(), p.lms.rig.origin+path)
	p.lms.rig.ok(err)
	return page
}

func (p *person) submit(page *ltitest.Page, action string, values url.Values) *ltitest.Page {
	r := p.lms.rig
	r.Helper()
	form, ok := page.Form(action)
	if !ok {
		r.Fatalf("no form %q in %s:\n%s", action, page.URL, page.Body)
	}
	out, err := p.Submit(r.Context(), form, values)
	r.ok(err)
	return out
}

// start agrees and goes on to the quiz.
func (p *person) start(checkin *ltitest.Page) *ltitest.Page {
	p.lms.rig.Helper()
	return p.submit(checkin, "checkin-form", url.Values{"consent": {"yes"}})
}

// answer is what an API route said.
type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) json(t *rig) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.text), &out); err != nil {
		t.Fatalf("got %d %q, want JSON: %v", a.status, a.text, err)
	}
	return out
}

// call sends a request as a page of ours would; headers may be replaced.
func (r *rig) call(c *http.Client, method, path, body string, headers ...string) answer {
	r.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.origin + path
	}
	req, err := http.NewRequestWithContext(r.Context(), method, path, strings.NewReader(body))
	r.ok(err)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", r.origin)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := c.Do(req)
	r.ok(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	r.ok(err)
	return answer{res.StatusCode, res.Header, string(text)}
}

func (p *person) call(method, path, body string, headers ...string) answer {
	p.lms.rig.Helper()
	return p.lms.rig.call(p.Client, method, path, body, headers...)
}

// stranger is a browser without any cookie.
func stranger() *http.Client { return ltitest.NewBrowser(nil).Client }

// config is the page's configuration.
func (r *rig) config(page *ltitest.Page) map[string]any {
	r.Helper()
	text, ok := page.Element("vigil-config")
	if !ok {
		r.Fatalf("got no configuration in %s (%d), want one:\n%s", page.URL, page.Status, page.Body)
	}
	var out map[string]any
	r.ok(json.Unmarshal([]byte(text), &out))
	return out
}

// last is the last part of a page's path.
func last(page *ltitest.Page) string {
	return page.URL.Path[strings.LastIndex(page.URL.Path, "/")+1:]
}

func (r *rig) want(what string, got, want any) {
	r.Helper()
	if got != want {
		r.Errorf("got %s %v, want %v", what, got, want)
	}
}

func (r *rig) status(page *ltitest.Page, want int) {
	r.Helper()
	if page.Status != want {
		r.Fatalf("got %d at %s, want %d:\n%s", page.Status, page.URL, want, page.Body)
	}
}

func (r *rig) contains(page *ltitest.Page, text string) {
	r.Helper()
	if !strings.Contains(page.Body, text) {
		r.Errorf("got a page without %q:\n%s", text, page.Body)
	}
}

func (r *rig) session(id string) vigil.Session {
	r.Helper()
	s, err := r.store.Session(r.Context(), id)
	r.ok(err)
	return s
}

// dashboard launches the instructor and returns the exam's id.
func (p *person) dashboard() string {
	p.lms.rig.Helper()
	page := p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	p.lms.rig.status(page, http.StatusOK)
	return last(page)
}

// pluginQuiz is a quiz with our plugin and a policy of its own.
func pluginQuiz(policy string) ltitest.Config {
	return ltitest.Config{Links: []ltitest.Link{{ID: quiz, Title: "Cells & <b>tissue</b>", TimeLimit: time.Hour, Settings: `{"vigil":1,"policy":` + policy + `}`}}}
}
