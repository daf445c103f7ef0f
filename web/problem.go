package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"vigil"
	"vigil/lti"
)

// Problem is a JSON problem (RFC 9457) with what a client needs to go on.
type Problem struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Detail    string     `json:"detail"`
	Code      vigil.Code `json:"code"`
	Duty      string     `json:"duty,omitempty"`      // retry, renew or stop: for the token exchange
	Field     string     `json:"field,omitempty"`     // of the input that is at fault
	Reference string     `json:"reference,omitempty"` // also in the log
	Wait      int64      `json:"wait,omitempty"`      // ms
}

func writeProblem(w http.ResponseWriter, status int, p Problem) {
	p.Type, p.Status = "about:blank", status
	if p.Title == "" {
		p.Title = http.StatusText(status)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

// dutyOf tells a client of the token exchange what to do: try again later, come with a
// fresh proof, or stop.
func dutyOf(code vigil.Code) string {
	switch code {
	case vigil.CodeUnauthorized:
		return "renew"
	case vigil.CodeUnavailable, vigil.CodeInternal, vigil.CodeTooMany, vigil.CodeConflict:
		return "retry"
	}
	return "stop"
}

// describe words an error for the person who sees it, and logs what they must not see. The
// reference joins the two: the given one, or for our own faults a new one; refusals that
// need nobody's help have none.
func (s *Server) describe(r *http.Request, status int, err error, given string) (detail, field, reference string) {
	var e *vigil.Error
	reference = given
	detail = "Something went wrong on our side. Try again; if it stays, tell your administrator the reference."
	if errors.As(err, &e) && e.Message != "" {
		detail, field = e.Message, e.Field
	}
	level, what := slog.LevelInfo, "request refused"
	if status >= http.StatusInternalServerError {
		level, what = slog.LevelError, "request failed"
		reference = cmp.Or(reference, lti.NewReference())
	}
	args := []any{"reference", reference, "method", r.Method, "route", routeOf(r), "status", status, "error", err}
	if p, ok := errors.AsType[panicked](err); ok {
		args = append(args, "stack", p.stack)
	}
	s.log.Log(r.Context(), level, what, args...) //nolint:sloglint // one of the two above
	return detail, field, reference
}

// problem answers a request for data.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	code := vigil.CodeOf(err)
	if errors.As(err, new(*http.MaxBytesError)) {
		err, code = vigil.Wrap(err, vigil.CodeInvalid, "The request is too large."), vigil.CodeInvalid
	}
	status := code.Status()
	detail, field, reference := s.describe(r, status, err, "")
	writeProblem(w, status, Problem{Detail: detail, Code: code, Duty: dutyOf(code), Field: field, Reference: reference})
}

// refuse answers a request for a page, or for data under /api/.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.refuseWith(w, r, vigil.CodeOf(err).Status(), err)
}

func (s *Server) refuseWith(w http.ResponseWriter, r *http.Request, status int, err error) {
	detail, field, reference := s.describe(r, status, err, "")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		code := vigil.CodeOf(err)
		writeProblem(w, status, Problem{Detail: detail, Code: code, Duty: dutyOf(code), Field: field, Reference: reference})
		return
	}
	s.anyFrame(w)
	s.showError(w, r, status, errorView{Code: vigil.CodeOf(err), Detail: detail, Reference: reference})
}
