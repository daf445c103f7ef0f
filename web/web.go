// Package web is what browsers see of Vigil beside the sockets: the pages of students,
// proctors, instructors and LMS admins, and the JSON API of docs/api.md.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"vigil"
	"vigil/lti"
)

// Sessions are the use cases that the pages call: each changes a session in the one way there is, so
// that everyone who is connected hears of it at once.
type Sessions interface {
	// Apply takes one step of a session's life, whatever version it is at.
	Apply(ctx context.Context, sessionID string, c vigil.Change) (vigil.Session, error)
	// Agreed records the student's consent, and makes a session that was only created ready.
	// One that has ended is CodeIllegal.
	Agreed(ctx context.Context, sessionID string, c vigil.Consent, by vigil.Actor) (vigil.Session, error)
	// SentBack records that the student was sent to the platform to begin.
	SentBack(ctx context.Context, sessionID string, by vigil.Actor) (vigil.Session, error)
	// Opened records the platform's word that the attempt was opened, whenever it comes; a zero
	// time: that it has begun, and not when.
	Opened(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error)
	// ReportEnd takes in what the platform says of the attempt's end.
	ReportEnd(ctx context.Context, sessionID string, r vigil.Report) (vigil.Session, error)
	// Relaunched takes over what a further launch of an attempt says, and lets a session go on
	// that we had concluded to be over.
	Relaunched(ctx context.Context, sessionID string, edit func(s vigil.Session) (vigil.Session, bool)) (vigil.Session, error)
	// Ended ends the session because the platform said so, and closes the student's
	// socket. The platform's word counts over our own conclusions; an end by a proctor stays.
	Ended(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error)
	// Stopped ends the watching because proctoring was switched off; the attempt goes on.
	Stopped(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error)
	Deleted(ctx context.Context, sessionID string, by vigil.Actor, at time.Time) (vigil.Session, error)
}

// Hub is what the pages need of the sockets and of who is connected.
type Hub interface {
	http.Handler // upgrades sockets

	// SessionCreated shows a new session on the exam's dashboards.
	SessionCreated(ctx context.Context, s vigil.Session)
	// Regrouped stores a student's groups, unless what is stored was told later, and shows the
	// session to those who see it now, and to nobody else.
	Regrouped(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error
	// ReviewChanged shows a session's counts anew after a review.
	ReviewChanged(ctx context.Context, sessionID string)
	// ExamChanged makes new settings count for those who are connected.
	ExamChanged(ctx context.Context, e vigil.Exam)
	// Live returns the session with the presence and the counts that the hub knows better
	// than the store.
	Live(s vigil.Session) vigil.Session
}

// Config is what New needs. Tool, Hub, Sessions and Store must be given.
type Config struct {
	Tool     *lti.Tool
	Hub      Hub
	Sessions Sessions
	Store    Store

	// TrustedProxies are the networks whose X-Forwarded-For counts (chi's
	// ClientIPFromXFF). Without any, the connection's own address is the client's.
	TrustedProxies []netip.Prefix
	// KeepOtherUsersSignedIn lets several people of one platform use one browser at the
	// same time, as in the demo. On a shared computer a student would inherit what a
	// proctor may do, so it is off.
	KeepOtherUsersSignedIn bool
	// Privacy is what the pages say of the school where its students' data is spoken of.
	Privacy Privacy
	// Launched is told what became of a launch that passed the LTI tool's checks; nil: nobody is.
	Launched func(message lti.MessageType, err error)
	// Version is the program's, as GET /api/v1/about tells it. Default "dev".
	Version string

	Now func() time.Time // time.Now
	Log *slog.Logger     // slog.Default()
}

// Server is the web part. It starts no goroutine.
type Server struct {
	tool     *lti.Tool
	hub      Hub
	sessions Sessions
	store    Store
	visits   *scs.SessionManager
	now      func() time.Time
	log      *slog.Logger
	keep     bool
	privacy  Privacy
	version  string
	outcome  func(message lti.MessageType, err error) // of a launch
	handler  chi.Router

	students students
}

// New makes the web part. Configuration errors name the field.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Tool == nil:
		return nil, vigil.Invalid("tool", "The pages need the LTI tool.")
	case cfg.Sessions == nil:
		return nil, vigil.Invalid("sessions", "Config.Sessions is required.")
	case cfg.Hub == nil:
		return nil, vigil.Invalid("hub", "The pages need the sockets' hub.")
	case cfg.Store == nil:
		return nil, vigil.Invalid("store", "The pages need a store.")
	}
	s := &Server{
		tool: cfg.Tool, hub: cfg.Hub, sessions: cfg.Sessions, store: cfg.Store, now: cfg.Now, log: cfg.Log, keep: cfg.KeepOtherUsersSignedIn,
		privacy: cfg.Privacy, version: cfg.Version, outcome: cfg.Launched,
		students: students{exams: map[studentsKey]*toldStudents{}},
	}
	if s.version == "" {
		s.version = "dev"
	}
	if s.outcome == nil {
		s.outcome = func(lti.MessageType, error) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.visits = s.newVisits()
	var err error
	s.handler, err = s.routes(cfg)
	return s, err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Routes are the addresses that it serves.
func (s *Server) Routes() chi.Routes { return s.handler }

// maxBody bounds what a request of our own pages may send.
const maxBody = 64 << 10

func (s *Server) routes(cfg Config) (chi.Router, error) {
	r := chi.NewRouter()
	if len(cfg.TrustedProxies) > 0 {
		networks := make([]string, len(cfg.TrustedProxies))
		for i, p := range cfg.TrustedProxies {
			networks[i] = p.String()
		}
		r.Use(middleware.ClientIPFromXFF(networks...))
	} else {
		r.Use(middleware.ClientIPFromRemoteAddr)
	}
	r.Use(s.recoverer, s.secure, headAsGet)

	// The socket's handler hijacks the connection; nothing may wrap the writer.
	r.Handle("/socket", s.hub)

	r.Get("/assets/*", serveAssets)
	r.Get("/favicon.ico", serveIcon)
	r.HandleFunc(lti.LoginPath, s.tool.ServeLogin)
	r.Get(lti.KeysPath, s.tool.ServeKeys)
	r.Get(lti.ReceiptsPath, s.tool.ServeReceiptKeys)
	r.Get("/api/v1/about", s.about)
	r.Post("/api/v1/socket/token", s.exchange)
	r.Options("/api/v1/socket/token", s.preflight)
	r.Post("/api/v1/attempts/opened", s.attemptOpened)
	r.Post("/api/v1/attempts/ended", s.attemptEnded)
	r.Post("/api/v1/attempts/export", s.attemptExport)
	r.Post("/api/v1/attempts/standing", s.attemptStanding)
	r.Post("/api/v1/access", s.accessChanged)

	r.Group(func(r chi.Router) {
		r.Use(s.visits.LoadAndSave)
		r.Post(lti.LaunchPath, func(w http.ResponseWriter, r *http.Request) { s.tool.ServeLaunch(w, r, s.launched) })
	})

	// Launch, login and the token exchange are other sites' requests by nature and have
	// proofs of their own; everything else that changes something must come from our pages.
	crossOrigin := http.NewCrossOriginProtection()
	if err := crossOrigin.AddTrustedOrigin(s.tool.Origin()); err != nil { // behind a proxy, Host may be another name
		return nil, err
	}
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, vigil.Errorf(vigil.CodeForbidden, "This request did not come from one of Vigil's own pages."))
	}))
	r.Group(func(r chi.Router) {
		r.Use(crossOrigin.Handler, limitBody, s.visits.LoadAndSave)
		r.Get("/", s.home)
		r.Get(lti.RegisterPath+"/{invitation}", s.registerPage)
		r.Post(lti.RegisterPath+"/{invitation}", s.register)
		r.Get("/lti/deeplink/{request}", s.deepLinkPage)
		r.Post("/lti/deeplink/{request}", s.deepLink)
		r.Get("/open/{code}", s.open)
		r.Post("/open", s.open)
		r.Get("/resume", s.goOnAgain)

		r.Get("/checkin/{session}", s.checkinPage)
		r.Post("/checkin/{session}/start", s.checkinStart)
		r.Get("/status/{exam}", s.statusPage)

		r.Route("/dashboard/{exam}", func(r chi.Router) {
			r.Get("/", s.staffed(mayWatch, s.dashboardPage))
			r.Get("/report", s.staffed(mayRead, s.reportPage))
			r.Get("/settings", s.staffed(mayRule, s.settingsPage))
			r.Post("/settings", s.staffed(mayRule, s.settingsSave))
			r.Get("/sessions/{session}", s.staffed(mayRead, s.timelinePage))
		})
		r.Route("/api/v1", func(r chi.Router) {
			r.Post("/socket/page-token", s.pageToken)
			r.Route("/exams/{exam}", func(r chi.Router) {
				r.Get("/", s.staffed(mayWatch, s.apiExam))
				r.Put("/policy", s.staffed(mayRule, s.apiPolicy))
				r.Get("/members", s.staffed(mayWatch, s.apiMembers))
				r.Post("/open", s.staffed(mayWatch, s.apiOpen))
				r.Get("/sessions/{session}/timeline", s.staffed(mayWatch, s.apiTimeline))
				r.Post("/sessions/{session}/incidents/review", s.staffed(mayReview, s.apiReview))
			})
		})
	})
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, vigil.Errorf(vigil.CodeNotFound, "There is no such page."))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		s.refuseWith(w, r, http.StatusMethodNotAllowed, vigil.Errorf(vigil.CodeInvalid, "This address does not take this kind of request."))
	})
	return r, nil
}

// headAsGet routes a HEAD as the GET whose headers it asks for; the server leaves out the
// body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rc := chi.RouteContext(r.Context()); rc != nil && r.Method == http.MethodHead {
			rc.RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}
