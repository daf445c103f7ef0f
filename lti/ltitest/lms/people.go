package lms

import (
	"net/http"

	"vigil"
	"vigil/lti/ltitest"
)

// startBody is the page where one chooses who to be.
type startBody struct {
	Students    []ltitest.User
	Instructors []ltitest.User
	Crowd       int // simulated students
	CanAdd      bool
	Simulation  simulation
	AtOnce      int
	Tool        string
}

func (l *LMS) getStart(w http.ResponseWriter, r *http.Request) {
	b := startBody{CanAdd: l.cfg.AddSimulated != nil, AtOnce: atOnce, Tool: l.cfg.Tool}
	for _, u := range l.p.Users() {
		switch {
		case u.Simulated:
			b.Crowd++
		case u.Role == ltitest.Instructor:
			b.Instructors = append(b.Instructors, u)
		default:
			b.Students = append(b.Students, u)
		}
	}
	l.mu.Lock()
	b.Simulation = l.sim
	l.mu.Unlock()
	l.show(w, r, http.StatusOK, "start", page{Title: "Who are you?", Body: b})
}

func (l *LMS) postSignIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	u, ok := l.p.User(r.FormValue("user"))
	if !ok {
		l.fail(w, r, vigil.Errorf(vigil.CodeInvalid, "There is no such person in this LMS."))
		return
	}
	http.SetCookie(w, l.p.Cookie(u.ID))
	http.Redirect(w, r, "/course", http.StatusSeeOther)
}

func (l *LMS) postSignOut(w http.ResponseWriter, r *http.Request) {
	c := l.p.Cookie("")
	c.Value, c.MaxAge = "", -1
	http.SetCookie(w, c)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
