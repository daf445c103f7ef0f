package ltitest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"vigil"
)

// Platform is the LMS. It is an http.Handler and safe for use by several goroutines.
type Platform struct {
	cfg    Config
	mux    *http.ServeMux
	stop   chan struct{} // closed by Close
	server *http.Server  // when made by Serve
	served chan struct{}
	once   sync.Once

	mu        sync.Mutex
	mischief  Mischief
	secret    []byte         // signs the session cookies
	keys      map[string]Key // by client id; "" for Moodle's one
	tools     map[string]Tool
	order     []string // client ids as they were registered
	users     []User
	links     []Link
	attempts  map[string]*Attempt
	deleted   map[attemptKey]*Attempt // until the number is used again
	owed      []*Report               // what tools have not heard yet
	told      map[string]told         // by user: groups and rights
	untold    []string                // users whose groups and rights tools have not heard yet
	sessions  map[string]session      // by session_data
	launches  map[string]launch       // by launch id, until auth.php spends it
	codes     map[string]code
	regTokens map[string]time.Time
	tokens    map[string]accessToken
	seen      map[string]time.Time // jti and nonces of tools, until they expire
	cached    map[string]map[string]Key
	fetches   map[string]int
	counts    map[Endpoint]int
	controls  []Control
	starts    []Start
	deepLinks []DeepLink
	number    int // the last id given out
	swept     time.Time
}

// New makes a platform. Close stops what it may be holding open.
func New(cfg Config) *Platform {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{
			Timeout:       5 * time.Second,
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if cfg.KeyBits == 0 {
		cfg.KeyBits = 2048
	}
	if cfg.Users == nil {
		cfg.Users = DefaultUsers()
	}
	if cfg.Course.ID == "" {
		cfg.Course = Context{ID: "2", Label: "BIO-101", Title: "Introduction to Biology", Type: []string{"CourseSection"}}
	}
	if cfg.Links == nil {
		cfg.Links = []Link{{ID: "quiz-2", Title: "Midterm: The living cell", TimeLimit: 30 * time.Minute}}
	}
	if cfg.SessionLife == 0 {
		cfg.SessionLife = time.Hour
		if cfg.Like == OpenEdX {
			cfg.SessionLife = 300 * time.Second
		}
	}
	cfg.Plugin = pluginVersion(cfg.Plugin)
	cfg.Issuer = strings.TrimSuffix(cfg.Issuer, "/")
	p := &Platform{
		cfg: cfg, stop: make(chan struct{}), mischief: cfg.Mischief, secret: []byte(rand.Text()),
		keys: map[string]Key{}, tools: map[string]Tool{}, attempts: map[string]*Attempt{}, deleted: map[attemptKey]*Attempt{}, told: map[string]told{},
		sessions: map[string]session{}, launches: map[string]launch{}, codes: map[string]code{},
		regTokens: map[string]time.Time{}, tokens: map[string]accessToken{}, seen: map[string]time.Time{},
		cached: map[string]map[string]Key{}, fetches: map[string]int{}, counts: map[Endpoint]int{},
		number: 1,
	}
	p.links = slices.Clone(cfg.Links)
	p.users = slices.Clone(cfg.Users)
	p.routes()
	return p
}

// Serve makes a platform that listens on a free port of 127.0.0.1; its issuer is that
// address. Close ends it.
func Serve(cfg Config) (*Platform, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if cfg.Issuer == "" {
		cfg.Issuer = "http://" + l.Addr().String()
	}
	p := New(cfg)
	p.served = make(chan struct{})
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(p.served)
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.cfg.Log.Error("test platform stopped", "error", err)
		}
	}()
	return p, nil
}

// Close releases requests that mischief holds and, after Serve, ends the server and
// waits for it.
func (p *Platform) Close() {
	p.once.Do(func() {
		close(p.stop)
		if p.server != nil {
			if err := p.server.Close(); err != nil {
				p.cfg.Log.Error("close the test platform", "error", err)
			}
			<-p.served
		}
		p.cfg.Client.CloseIdleConnections()
	})
}

// Issuer is the platform's issuer and base URL.
func (p *Platform) Issuer() string { return p.cfg.Issuer }

// ServeHTTP answers for the platform.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// routes says where everything is.
func (p *Platform) routes() {
	p.mux = http.NewServeMux()
	at := func(e Endpoint, pattern string, h http.HandlerFunc) {
		p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.counts[e]++
			f := p.mischief.HTTP
			p.mu.Unlock()
			if f != nil && f(e, w, r) {
				return
			}
			h(w, r)
		})
	}
	for _, m := range []string{"GET", "POST"} {
		at(AtAuthorization, m+" "+p.path(AtAuthorization), p.serveAuthorization)
	}
	at(AtLaunch, "GET "+p.path(AtLaunch), p.serveLaunch)
	at(AtKeySet, "GET "+p.path(AtKeySet), p.serveKeySet)
	at(AtToken, p.path(AtToken), p.serveToken)
	at(AtMembers, "GET "+p.path(AtMembers), p.serveMembers)
	at(AtDeepLinkReturn, "POST "+p.path(AtDeepLinkReturn), p.serveDeepLinkReturn)
	p.mux.HandleFunc("GET /returned", func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, "Back in the LMS", "The tool has sent you back.")
	})
	if p.cfg.Like == Moodle {
		at(AtConfiguration, "GET "+p.path(AtConfiguration), p.serveConfiguration)
		at(AtConfiguration, "GET /.well-known/openid-configuration", p.serveConfiguration)
		at(AtRegistration, "POST "+p.path(AtRegistration), p.serveRegistration)
	}
	if !p.cfg.NoProctoring {
		at(AtControl, p.path(AtControl), p.serveControl)
		at(AtStartAssessment, "POST "+p.path(AtStartAssessment), p.serveStart)
		at(AtContinue, "GET "+p.path(AtContinue), p.serveContinue)
		at(AtAssertion, "GET "+p.path(AtAssertion), p.serveAssertion)
		if p.Plugin() >= 3 {
			at(AtAccess, "POST "+p.path(AtAccess), p.serveAccess)
		}
	}
}

// path is where an endpoint lies; {client} and {course} are path values.
func (p *Platform) path(e Endpoint) string {
	moodle := map[Endpoint]string{
		AtConfiguration:   "/mod/lti/openid-configuration.php",
		AtRegistration:    "/mod/lti/openid-registration.php",
		AtLaunch:          "/mod/lti/launch.php",
		AtAuthorization:   "/mod/lti/auth.php",
		AtKeySet:          "/mod/lti/certs.php",
		AtToken:           "/mod/lti/token.php",
		AtMembers:         "/mod/lti/services.php/CourseSection/{course}/bindings/{deployment}/memberships",
		AtControl:         "/mod/lti/services.php/assessmentcontrol",
		AtStartAssessment: "/mod/quiz/accessrule/vigil/start.php",
		AtContinue:        "/mod/quiz/accessrule/vigil/continue.php",
		AtDeepLinkReturn:  "/mod/lti/contentitem_return.php",
		AtAssertion:       "/vigil/assertion",
		AtAccess:          "/mod/lti/services.php/access",
	}
	edx := map[Endpoint]string{
		AtLaunch:          "/api/lti_consumer/v1/login",
		AtAuthorization:   "/api/lti_consumer/v1/launch/",
		AtKeySet:          "/api/lti_consumer/v1/public_keysets/{client}",
		AtToken:           "/api/lti_consumer/v1/token/{client}",
		AtMembers:         "/api/lti_consumer/v1/lti/{client}/memberships",
		AtControl:         "/lti/acs",
		AtStartAssessment: "/lti/start_assessment",
		AtContinue:        "/lti/continue",
		AtDeepLinkReturn:  "/api/lti_consumer/v1/lti/lti-dl/response",
		AtAssertion:       "/vigil/assertion",
	}
	if p.cfg.Like == OpenEdX {
		return edx[e]
	}
	return moodle[e]
}

// Count is how often an endpoint was asked.
func (p *Platform) Count(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[e]
}

// Fetches is how often the platform fetched a tool's key set from a URL.
func (p *Platform) Fetches(url string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches[url]
}

func (p *Platform) changed() {
	if p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

// sweepEvery bounds how often all that may have expired is looked through: thousands of
// students would make each launch slow.
const sweepEvery = time.Second

// sweepLocked forgets what has expired, now and then: whoever looks something up judges
// its expiry, too.
func (p *Platform) sweepLocked(now time.Time) {
	if since := now.Sub(p.swept); since >= 0 && since < sweepEvery {
		return
	}
	p.swept = now
	for k, l := range p.launches {
		if !l.expires.After(now) {
			delete(p.launches, k)
		}
	}
	for k, c := range p.codes {
		if !c.expires.After(now) {
			delete(p.codes, k)
		}
	}
	for k, t := range p.tokens {
		if !t.expires.After(now) {
			delete(p.tokens, k)
		}
	}
	for _, m := range []map[string]time.Time{p.seen, p.regTokens} {
		for k, t := range m {
			if !t.After(now) {
				delete(m, k)
			}
		}
	}
	for k, s := range p.sessions {
		if !s.Expires.After(now) {
			delete(p.sessions, k)
		}
	}
}

// once remembers a token's id until it expires; it says false for a repeat.
func (p *Platform) firstTime(id string, expires time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	p.sweepLocked(now)
	if until, known := p.seen[id]; known && until.After(now) {
		return false
	}
	p.seen[id] = expires
	return true
}

// messageOf is what a person may read of an error.
func messageOf(err error) string {
	var e *vigil.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "Something went wrong in the LMS."
}

// fail shows an error page.
func (p *Platform) fail(w http.ResponseWriter, r *http.Request, err error) {
	p.failWith(w, r, vigil.CodeOf(err).Status(), err)
}

func (p *Platform) failWith(w http.ResponseWriter, r *http.Request, status int, err error) {
	p.cfg.Log.Info("test platform refuses", "path", r.URL.Path, "status", status, "error", err)
	if p.cfg.Failed != nil {
		p.cfg.Failed(w, r, status, messageOf(err))
		return
	}
	http.Error(w, messageOf(err), status)
}

func writeJSON(w http.ResponseWriter, status int, media string, v any) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader has gone
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8">` +
	`<meta name="viewport" content="width=device-width"><title>{{.Title}}</title><h1>{{.Title}}</h1><p>{{.Text}}</p></html>`))

func writePage(w io.Writer, title, text string) {
	_ = pageTemplate.Execute(w, struct{ Title, Text string }{title, text}) // the reader has gone
}

// Course is the course of all launches.
func (p *Platform) Course() Context { return p.cfg.Course }
