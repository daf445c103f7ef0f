package web

import (
	"cmp"
	"context"
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
// cookie, and in some browsers the frame has none either. Such a window is opened with a
// code that is good once, and carries the pass over.
const (
	openKind = "web.open" // Record kind, sealed under the code
	openLife = 30 * time.Second
	// A person must find and press the button first; the code is in a form, not in a URL.
	openFormLife = 10 * time.Minute
)

// opened is what a one-use code leads to.
type opened struct {
	Path string `json:"path"`
	Pass pass   `json:"pass"`
}

var errOpened = errors.New("one-use code unknown, spent or expired")

// keepOpened makes a one-use code.
func (s *Server) keepOpened(ctx context.Context, o opened, life time.Duration) (string, error) {
	value, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	code := rand.Text()
	return code, s.sealed(openKind).create(ctx, code, value, s.now().Add(life))
}

// takeOpened spends a code: of many who come with it one gets what it leads to.
func (s *Server) takeOpened(ctx context.Context, code string) (opened, error) {
	value, err := s.sealed(openKind).take(ctx, code)
	if errors.Is(err, vigil.ErrNotFound) {
		return opened{}, &vigil.Error{
			Code: vigil.CodeNotFound, Err: errOpened,
			Message: "This link works once and for a short time. Go back to your course and open it again.",
		}
	}
	if err != nil {
		return opened{}, err
	}
	var o opened
	return o, json.Unmarshal(value, &o)
}

// apiOpen makes the link.
func (s *Server) apiOpen(w http.ResponseWriter, r *http.Request, v staff) {
	var in struct {
		Path string `json:"path"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.problem(w, r, err)
		return
	}
	base := "/dashboard/" + v.exam.ID
	path, ok := localPath(cmp.Or(in.Path, base))
	if !ok || path != base && !strings.HasPrefix(path, base+"/") && !strings.HasPrefix(path, base+"?") {
		s.problem(w, r, vigil.Invalid("path", "The page must be one of this exam's."))
		return
	}
	code, err := s.keepOpened(r.Context(), opened{Path: path, Pass: v.pass}, openLife)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, map[string]string{"url": s.tool.Origin() + "/open/" + code})
}

// open spends the code and goes on to the page: GET with the code in the path, which our
// own page opened a moment ago, or POST with it in a form of ours. A link on another
// site's page is refused: it would sign the person in as someone else.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	code := chi.URLParam(r, "code")
	if r.Method == http.MethodPost {
		code = r.PostFormValue("code")
	}
	if r.Method == http.MethodHead || fromElsewhere(r) {
		s.refuse(w, r, vigil.Errorf(vigil.CodeForbidden, "This link works only from Vigil's own pages. Open Vigil from your course."))
		return
	}
	o, err := s.takeOpened(ctx, code)
	if err == nil {
		err = s.admit(ctx, o.Pass)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, o.Path, http.StatusSeeOther)
}

// goOn leads a launch to its page. A frame in which the browser keeps no cookie of ours
// (the launch was bound through the platform's storage) cannot show it: there the person
// opens it in a window of its own.
func (s *Server) goOn(w http.ResponseWriter, r *http.Request, p pass, to string) error {
	if !framed(r) || len(r.Cookies()) > 0 {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	code, err := s.keepOpened(r.Context(), opened{Path: to, Pass: p}, openFormLife)
	if err != nil {
		return err
	}
	lang := pickLang(p.Lang, r)
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "window.html", view{
		Title: catalogue[lang].text("window.title"), Lang: lang, Page: "window", Data: map[string]string{"Code": code},
	})
	return nil
}

// goOnAgain leads to the page of the visit's newest launch. A launch form that a browser posts twice
// (a double click, Back) is refused the second time, and that answer is the one that is shown:
// it offers this way on, because the first one was taken.
func (s *Server) goOnAgain(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var newest pass
	for _, key := range s.visits.Keys(ctx) {
		if p, ok := s.pass(ctx, key); ok && p.Until.After(newest.Until) {
			newest = p
		}
	}
	to := map[passKind]string{
		passProctor: "/dashboard/" + newest.ID, passStudent: "/checkin/" + newest.ID, passStatus: "/status/" + newest.ID, passLink: "/lti/deeplink/" + newest.ID,
	}[newest.Kind]
	if to == "" {
		s.refuse(w, r, vigil.Errorf(vigil.CodeForbidden, "This page is not open to you, or your visit is over. Open it again from your course."))
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
