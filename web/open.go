package web

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"vigil"
)

// A window that is opened from a frame of the LMS does not get the frame's partitioned
// cookie. It is opened with a code that is good once, for a few seconds, and carries the
// pass over.
const (
	openKind = "web.open" // Record kind
	openLife = 30 * time.Second
)

// apiOpen makes the link.
func (s *Server) apiOpen(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	exam := chi.URLParam(r, "exam")
	p, err := s.need(ctx, passProctor, exam)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	var in struct {
		Path string `json:"path"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.problem(w, r, err)
		return
	}
	base := "/dashboard/" + exam
	path, ok := localPath(firstOf(in.Path, base))
	if !ok || path != base && !strings.HasPrefix(path, base+"/") && !strings.HasPrefix(path, base+"?") {
		s.problem(w, r, vigil.Invalid("path", "The page must be one of this exam's."))
		return
	}
	value, err := json.Marshal(opened{Path: path, Pass: p})
	if err != nil {
		s.problem(w, r, err)
		return
	}
	code := rand.Text()
	now := s.now()
	err = s.store.CreateRecord(ctx, vigil.Record{Kind: openKind, Key: hashed(code), Value: value, Expires: now.Add(openLife)}, now)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, map[string]string{"url": s.tool.Origin() + "/open/" + code})
}

// open spends the code and goes on to the page.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	record, err := s.store.TakeRecord(ctx, openKind, hashed(chi.URLParam(r, "code")), s.now())
	if errors.Is(err, vigil.ErrNotFound) {
		s.refuse(w, r, &vigil.Error{
			Code: vigil.CodeNotFound, Err: errOpened,
			Message: "This link works once and for half a minute. Go back to your course and open it again.",
		})
		return
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	var o opened
	if err := json.Unmarshal(record.Value, &o); err != nil {
		s.refuse(w, r, err)
		return
	}
	if err := s.admit(ctx, o.Pass); err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, o.Path, http.StatusSeeOther)
}
