package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/lti"
)

// The answer to a token request.
type tokenAnswer struct {
	Token   string `json:"token"`
	Expires int64  `json:"expires"` // ms
	URL     string `json:"url"`     // of the socket: the cell that holds the exam
	Session string `json:"session,omitempty"`
	Now     int64  `json:"now"`
}

// socketURL is the address of our socket.
func (s *Server) socketURL() string {
	return "ws" + strings.TrimPrefix(s.tool.Origin(), "http") + "/socket"
}

func (s *Server) answerToken(w http.ResponseWriter, r *http.Request, c vigil.SocketClaims) {
	token, expires, err := s.tool.MintSocket(r.Context(), c)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, tokenAnswer{Token: token, Expires: expires.UnixMilli(), URL: s.socketURL(), Session: c.Session, Now: s.now().UnixMilli()})
}

// preflight answers the browser's question whether a quiz page may post its assertion to
// us. It does not know whose assertion it will be, so it says yes to the origins of all
// active platforms; the answer itself is readable by the assertion's own platform only.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	ok, err := s.ActiveOrigin(r.Context(), origin)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if ok {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// ActiveOrigin tells whether a web origin is the tool's own or an active platform's.
func (s *Server) ActiveOrigin(ctx context.Context, origin string) (bool, error) {
	if origin == "" || vigil.Origin(origin) != origin {
		return false, nil
	}
	if origin == s.tool.Origin() {
		return true, nil
	}
	platforms, err := s.store.Platforms(ctx)
	if err != nil {
		return false, err
	}
	for _, p := range platforms {
		if p.State == vigil.PlatformActive && slices.Contains(p.Origins(), origin) {
			return true, nil
		}
	}
	return false, nil
}

// exchange turns a platform's assertion into a socket token (docs/protocol.md). The first
// one of an attempt makes the session active.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	var in struct {
		Assertion string `json:"assertion"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.exposeTo(ctx, w, origin, nil)
		s.problem(w, r, err)
		return
	}
	a, err := s.tool.VerifyAssertion(ctx, in.Assertion)
	if err != nil {
		s.exposeTo(ctx, w, origin, nil)
		s.problem(w, r, err)
		return
	}
	// Server-to-server callers send no Origin; a browser's page of another platform must
	// not read the answer.
	if origin != "" && !slices.Contains(a.Platform.Origins(), origin) && origin != s.tool.Origin() {
		s.problem(w, r, vigil.Errorf(vigil.CodeForbidden, "This page does not belong to the learning platform that made the assertion."))
		return
	}
	s.exposeTo(ctx, w, origin, a.Platform.Origins())
	session, err := s.attend(ctx, a)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	s.answerToken(w, r, vigil.SocketClaims{
		Subject: a.Platform.ID + "|" + a.Subject, Session: session.ID, Role: vigil.RoleStudent,
	})
}

// exposeTo lets a browser page of an origin read the answer: one of the given origins, or
// for a refusal (nil) of any active platform, so that its script learns what to do.
func (s *Server) exposeTo(ctx context.Context, w http.ResponseWriter, origin string, allowed []string) {
	ok := slices.Contains(allowed, origin) || origin == s.tool.Origin()
	if !ok && allowed == nil {
		var err error
		if ok, err = s.ActiveOrigin(ctx, origin); err != nil {
			s.log.WarnContext(ctx, "origin not looked up", "error", err)
		}
	}
	if ok {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
}

// attend finds the session of an assertion and makes it active.
func (s *Server) attend(ctx context.Context, a lti.Assertion) (vigil.Session, error) {
	notLaunched := vigil.Errorf(vigil.CodeForbidden, "This attempt did not begin through Vigil's check-in. Start it again from your course.")
	link, err := s.store.Link(ctx, a.Platform.ID, a.Deployment, a.ResourceLink)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Session{}, notLaunched
	}
	if err != nil {
		return vigil.Session{}, err
	}
	session, err := s.store.SessionOfAttempt(ctx, link.ExamID, a.Subject, a.Attempt)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Session{}, notLaunched
	}
	if err != nil {
		return vigil.Session{}, err
	}
	// The report comes first: it may move the end of a session that would else count as
	// over, and let one go on that was called over.
	if !session.State.Ended() || session.State == vigil.StateExpired {
		if session, err = s.sessions.ReportEnd(ctx, session.ID, a.Report); err != nil {
			return vigil.Session{}, err
		}
	}
	exam, err := s.store.Exam(ctx, session.ExamID)
	if err != nil {
		return vigil.Session{}, err
	}
	session = session.Settled(exam.Policy, s.now())
	switch session.State {
	case vigil.StateReady, vigil.StateAuthorized:
		if session.State == vigil.StateReady && exam.Policy.Admission {
			return vigil.Session{}, vigil.Errorf(vigil.CodeForbidden, "A proctor has not admitted you yet. Go back to the check-in.")
		}
		return s.activate(ctx, session)
	case vigil.StateActive, vigil.StatePaused, vigil.StateTimeUp:
		if session.Ready.IsZero() { // the platform opened it, and nobody has agreed to be watched
			return vigil.Session{}, notLaunched
		}
		return session, nil
	case vigil.StateStopped:
		return vigil.Session{}, vigil.Errorf(vigil.CodeForbidden, "Proctoring of this quiz was switched off. Go on with your attempt.")
	case vigil.StateTerminated:
		return vigil.Session{}, vigil.Errorf(vigil.CodeForbidden, "A proctor ended this attempt.")
	case vigil.StateSubmitted, vigil.StateExpired, vigil.StateCanceled:
		return vigil.Session{}, vigil.Errorf(vigil.CodeForbidden, "This attempt is over.")
	}
	return vigil.Session{}, notLaunched
}

// activate begins the attempt; that another page of the same attempt did it at the same
// moment is as good.
func (s *Server) activate(ctx context.Context, session vigil.Session) (vigil.Session, error) {
	next, err := s.sessions.Apply(ctx, session.ID, vigil.Change{
		Event: vigil.EventActivate, At: s.now(), By: vigil.Actor{Role: vigil.RoleLMS, ID: session.PlatformID},
	})
	if errors.Is(err, vigil.ErrIllegal) {
		now, readErr := s.store.Session(ctx, session.ID)
		if readErr == nil && now.State.Started() {
			return now, nil
		}
	}
	return next, err
}

// pageToken gives our own pages a socket token, by what the visit allows.
func (s *Server) pageToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Exam    string `json:"exam"`
		Session string `json:"session"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.problem(w, r, err)
		return
	}
	ctx := r.Context()
	switch {
	case in.Exam != "" && in.Session == "":
		v, err := s.staff(r, in.Exam, mayWatch)
		if err != nil {
			s.problem(w, r, err)
			return
		}
		s.answerToken(w, r, vigil.SocketClaims{
			Subject: v.pass.PlatformID + "|" + v.pass.UserID, Exam: in.Exam, Role: vigil.RoleProctor, Name: v.pass.Name, Until: v.pass.Until,
			Access: v.access.Version,
		})
	case in.Session != "" && in.Exam == "":
		p, err := s.need(ctx, passStudent, in.Session)
		if err != nil {
			s.problem(w, r, err)
			return
		}
		session, err := s.store.Session(ctx, in.Session)
		if err != nil {
			s.problem(w, r, err)
			return
		}
		s.answerToken(w, r, vigil.SocketClaims{
			Subject: p.PlatformID + "|" + p.UserID, Session: in.Session, Role: vigil.RoleStudent, Until: p.Until,
			Guest: s.guest(ctx, session),
		})
	default:
		s.problem(w, r, vigil.Invalid("exam", "Name either an exam or a session."))
	}
}

// reported reads the assertion that a platform's server sends and verifies it; where that fails it answers.
func reported[T any](s *Server, w http.ResponseWriter, r *http.Request, verify func(ctx context.Context, assertion string) (T, error)) (v T, ok bool) {
	var in struct {
		Assertion string `json:"assertion"`
	}
	err := readJSON(w, r, &in)
	if err == nil {
		v, err = verify(r.Context(), in.Assertion)
	}
	if err != nil {
		s.problem(w, r, err)
	}
	return v, err == nil
}

// readJSON reads one JSON object of a request.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return vigil.Wrap(err, vigil.CodeInvalid, "The request is too large, or broke off.")
	}
	return decodeObject(body, into)
}

// decodeObject reads exactly one JSON object.
func decodeObject(body []byte, into any) error {
	if body = bytes.TrimSpace(body); !bytes.HasPrefix(body, []byte("{")) {
		return vigil.Errorf(vigil.CodeInvalid, "The request must be one JSON object.")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return vigil.Wrap(err, vigil.CodeInvalid, "The request is not the JSON object that it should be.")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own types always marshal
		writeProblem(w, http.StatusInternalServerError, Problem{Code: vigil.CodeInternal, Detail: "The answer could not be written."})
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b)
}

// ms is a moment as JSON has it: 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
