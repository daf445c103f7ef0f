// Package lms is the demo LMS: the test platform behind pages. One picks a person from
// a list, a student takes a quiz of three pages that reload as Moodle's do, an
// instructor opens the live dashboard. There are no passwords: it is for one's own
// computer.
package lms

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

// Config is how the demo LMS is made.
type Config struct {
	// Platform is the platform beneath; Issuer is needed. Its hooks (Started, Failed,
	// DeepLinked, Changed, AttemptReturnURL) are the LMS's own.
	Platform ltitest.Config
	// Tool is Vigil's public URL without a trailing slash: pages load its monitor.
	Tool string
	// ClientID is the tool to launch; default: the one registered first.
	ClientID string
	// StateFile keeps people, attempts, answers and keys; empty: memory only.
	StateFile string
	// Settings is proctoring_settings.data of the quiz; default {"vigil":2,"policy":{}}.
	Settings string
	// AddSimulated adds n simulated students to the exam and returns when they are on
	// their way; they may go on until ctx ends. NewStudents enrols people for it. Nil
	// hides the button.
	AddSimulated func(ctx context.Context, n int) error
	Log          *slog.Logger // default discards
}

// LMS is the demo LMS, an http.Handler.
type LMS struct {
	cfg   Config
	p     *ltitest.Platform
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
	pages map[string]*template.Template

	stop context.CancelFunc
	ctx  context.Context
	work sync.WaitGroup

	mu      sync.Mutex
	slow    func(r *http.Request)
	answers map[string]answers // by attempt id
	ended   map[string]bool    // attempts whose LtiEndAssessment was sent
	sim     simulation

	saving sync.Mutex // one writer of the state file; taken before mu and the platform's
	ready  bool       // the state was read: from now on changes are saved
}

// LinkID is the resource link of the demo's quiz.
const LinkID = "quiz-2"

// TimeLimit is how long an attempt at the demo's quiz may take.
const TimeLimit = 30 * time.Minute

//go:embed pages/*.html assets/*
var files embed.FS

// New makes the LMS and reads its state file, if there is one.
func New(cfg Config) (*LMS, error) {
	if vigil.Origin(cfg.Platform.Issuer) == "" {
		return nil, vigil.Invalid("Platform.Issuer", "The demo LMS needs its own URL.")
	}
	if vigil.Origin(cfg.Tool) == "" {
		return nil, vigil.Invalid("Tool", "The demo LMS needs the URL of the tool.")
	}
	cfg.Tool = strings.TrimSuffix(cfg.Tool, "/")
	if cfg.Settings == "" {
		cfg.Settings = `{"vigil":2,"policy":{}}`
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Platform.Now == nil {
		cfg.Platform.Now = time.Now
	}
	l := &LMS{cfg: cfg, log: cfg.Log, now: cfg.Platform.Now, answers: map[string]answers{}, ended: map[string]bool{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	pc := cfg.Platform
	pc.Log = cfg.Log
	pc.Started, pc.Failed, pc.DeepLinked, pc.Changed = l.started, l.failed, l.deepLinked, l.save
	pc.AttemptReturnURL = nil
	quiz := ltitest.Link{ID: LinkID, Title: quizTitle, Text: quizIntro, TimeLimit: TimeLimit, Settings: cfg.Settings}
	pc.Links = []ltitest.Link{quiz}
	l.p = ltitest.New(pc)
	if err := l.parse(); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	if old, _ := l.p.Link(LinkID); old.ID == LinkID {
		quiz.Unproctored = old.Unproctored
	}
	l.p.SetLink(quiz) // the settings may have changed since the state was kept
	l.ready = true
	l.save()
	l.routes()
	l.work.Add(1)
	go l.cron()
	return l, nil
}

// Platform is the platform beneath.
func (l *LMS) Platform() *ltitest.Platform { return l.p }

// Close ends simulated students and the reports of ends, and waits for them.
func (l *LMS) Close() {
	l.stop()
	l.work.Wait()
	l.p.Close()
}

// Moodle's cron comes a while after an attempt has ended: Vigil has the answer to its own
// requests by then.
const (
	cronEvery = time.Second
	cronAge   = 2 * time.Second
)

// cron ends attempts whose time is up, and reports ends to Vigil, until Close.
func (l *LMS) cron() {
	defer l.work.Done()
	every := time.NewTicker(cronEvery)
	defer every.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-every.C:
		}
		if err := l.p.SendReports(l.ctx, cronAge); err != nil && l.ctx.Err() == nil {
			l.log.Info("ends not reported", "error", err)
		}
	}
}

// ServeHTTP answers for the pages and for the platform.
func (l *LMS) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r) }

func (l *LMS) parse() error {
	l.pages = map[string]*template.Template{}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return vigil.Wrap(err, vigil.CodeInternal, "The pages of the demo LMS are missing.")
	}
	for _, name := range names {
		if strings.HasSuffix(name, "layout.html") {
			continue
		}
		t, err := template.New("layout.html").Funcs(functions).ParseFS(files, "pages/layout.html", name)
		if err != nil {
			return vigil.Wrap(err, vigil.CodeInternal, "A page of the demo LMS is broken.")
		}
		l.pages[strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html")] = t
	}
	return nil
}

func (l *LMS) routes() {
	l.mux = http.NewServeMux()
	own := http.NewCrossOriginProtection() // our forms; the tool's posts go to the platform
	page := func(pattern string, h http.HandlerFunc) {
		l.mux.Handle(pattern, own.Handler(h))
	}
	page("GET /{$}", l.getStart)
	page("POST /signin", l.postSignIn)
	page("POST /signout", l.postSignOut)
	page("POST /simulate", l.postSimulate)
	page("GET /simulate", l.getSimulate)
	page("GET /course", l.user(l.getCourse))
	page("POST /proctor", l.user(l.postProctor))
	page("POST /deeplink", l.user(l.postDeepLink))
	page("POST /open", l.user(l.postOpen))
	page("GET "+viewPath, l.user(l.getView))
	page("POST "+startPath, l.user(l.postStart))
	page("GET "+attemptPath, l.user(l.getAttempt))
	page("POST "+processPath, l.user(l.postProcess))
	page("POST "+autosavePath, l.user(l.postAutosave))
	page("GET "+statusPath, l.user(l.getStatus))
	page("GET "+summaryPath, l.user(l.getSummary))
	page("GET "+reviewPath, l.user(l.getReview))
	page("GET "+pausedPath, l.user(l.getPaused))
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic("lms: " + err.Error()) // the embedded tree lacks a folder: cannot happen in a build that runs
	}
	l.mux.Handle("GET /lms/", http.StripPrefix("/lms/", cacheBriefly(http.FileServerFS(assets))))
	l.mux.Handle("/", l.p)
}

// cacheBriefly keeps embedded files, which have no time, out of long caches.
func cacheBriefly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		h.ServeHTTP(w, r)
	})
}

// tool is the registered tool to launch.
func (l *LMS) tool() (ltitest.Tool, error) {
	if l.cfg.ClientID != "" {
		if t, ok := l.p.Tool(l.cfg.ClientID); ok {
			return t, nil
		}
	} else if all := l.p.Tools(); len(all) > 0 {
		return all[0], nil
	}
	return ltitest.Tool{}, vigil.Errorf(vigil.CodeUnavailable, "Vigil is not registered with this LMS yet. Start the demo again.")
}

// Proctored is the launch that starts or resumes a student's attempt at the quiz:
// what the button "Attempt quiz" does. Simulated students open Platform().Begin of it.
func (l *LMS) Proctored(userID string) (ltitest.Launch, error) {
	t, err := l.tool()
	if err != nil {
		return ltitest.Launch{}, err
	}
	return ltitest.Launch{
		Message: ltitest.StartProctoring, ClientID: t.ClientID, UserID: userID, LinkID: LinkID,
		Attempt: l.p.NextAttempt(userID, LinkID), Return: l.p.Issuer() + viewPath,
	}, nil
}

// page is what every page's template gets.
type page struct {
	Title string
	User  *ltitest.User // signed in
	Body  any
	Wide  bool
}

// show writes a page.
func (l *LMS) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	if u, ok := l.p.SignedIn(r); ok {
		p.User = &u
	}
	var b strings.Builder
	if err := l.pages[name].Execute(&b, p); err != nil {
		l.log.Error("demo page", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "SAMEORIGIN") // as Moodle
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // the reader has gone
}

// failed is the platform's error page too.
func (l *LMS) failed(w http.ResponseWriter, r *http.Request, status int, message string) {
	l.show(w, r, status, "error", page{Title: "That did not work", Body: message})
}

func (l *LMS) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *vigil.Error
	status, message := http.StatusInternalServerError, "Something went wrong in the LMS."
	if errors.As(err, &e) {
		message = e.Message
		switch e.Code {
		case vigil.CodeNotFound:
			status = http.StatusNotFound
		case vigil.CodeForbidden:
			status = http.StatusForbidden
		case vigil.CodeUnavailable:
			status = http.StatusServiceUnavailable
		default:
			status = http.StatusBadRequest
		}
	}
	l.log.Info("demo LMS refuses", "path", r.URL.Path, "status", status, "error", err)
	l.failed(w, r, status, message)
}

// user lets signed-in people pass and sends others to the start page.
func (l *LMS) user(h func(http.ResponseWriter, *http.Request, ltitest.User)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, ok := l.p.SignedIn(r)
		if !ok {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			l.fail(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form is too long or cannot be read."))
			return
		}
		h(w, r, u)
	}
}

// maxForm bounds what a quiz page may send.
const maxForm = 256 << 10

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader has gone
}
