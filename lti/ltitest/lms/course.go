package lms

import (
	"fmt"
	"net/http"
	"net/url"

	"vigil"
	"vigil/lti/ltitest"
)

// courseBody is the course page.
type courseBody struct {
	Course     ltitest.Context
	Quiz       ltitest.Link
	Instructor bool
	Mine       *ltitest.Attempt // a student's last attempt
	Activities []ltitest.Link   // made by deep linking
	Attempts   []row            // for the instructor
	Notice     string
	Error      string
	ViewPath   string
}

// row is one attempt in the instructor's list.
type row struct {
	User ltitest.User
	ltitest.Attempt
	EndsNow int64 // unix ms, 0 without a limit
}

func (l *LMS) getCourse(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	q := r.URL.Query()
	b := courseBody{
		Course: l.p.Course(), Instructor: u.Role == ltitest.Instructor, ViewPath: viewPath,
		Error: firstOf(q, "lti_errormsg"), Notice: firstOf(q, "lti_msg", "notice"),
	}
	for _, k := range l.p.Links() {
		if k.ID == LinkID {
			b.Quiz = k
		} else {
			b.Activities = append(b.Activities, k)
		}
	}
	if b.Instructor {
		for _, a := range l.p.Attempts("", LinkID) {
			who, _ := l.p.User(a.UserID)
			b.Attempts = append(b.Attempts, row{User: who, Attempt: a, EndsNow: millis(a.EndsAt(l.now()))})
		}
	} else if mine := l.p.Attempts(u.ID, LinkID); len(mine) > 0 {
		b.Mine = &mine[len(mine)-1]
	}
	l.show(w, r, http.StatusOK, "course", page{Title: b.Course.Title, Body: b})
}

// firstOf is the first of these parameters that says something, cut to what fits.
func firstOf(q url.Values, names ...string) string {
	for _, n := range names {
		if v := q.Get(n); v != "" {
			if runes := []rune(v); len(runes) > 500 {
				v = string(runes[:500]) + "…"
			}
			return v
		}
	}
	return ""
}

// postProctor is the button "Live proctoring": a resource-link launch as Instructor.
func (l *LMS) postProctor(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	l.launchAs(w, r, u, ltitest.Launch{Message: ltitest.ResourceLink, LinkID: LinkID}, true)
}

// postDeepLink is "Add Vigil activity".
func (l *LMS) postDeepLink(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	l.launchAs(w, r, u, ltitest.Launch{Message: ltitest.DeepLinking}, true)
}

// postOpen opens an activity that deep linking made.
func (l *LMS) postOpen(w http.ResponseWriter, r *http.Request, u ltitest.User) {
	k, ok := l.p.Link(r.PostForm.Get("link"))
	if !ok || r.PostForm.Get("link") == "" {
		l.fail(w, r, vigil.Errorf(vigil.CodeNotFound, "There is no such activity."))
		return
	}
	l.launchAs(w, r, u, ltitest.Launch{Message: ltitest.ResourceLink, LinkID: k.ID}, false)
}

func (l *LMS) launchAs(w http.ResponseWriter, r *http.Request, u ltitest.User, launch ltitest.Launch, instructor bool) {
	if instructor && u.Role != ltitest.Instructor {
		l.fail(w, r, vigil.Errorf(vigil.CodeForbidden, "This is for the instructor."))
		return
	}
	t, err := l.tool()
	if err != nil {
		l.fail(w, r, err)
		return
	}
	launch.ClientID, launch.UserID, launch.Return = t.ClientID, u.ID, l.p.Issuer()+"/course"
	http.Redirect(w, r, l.p.Begin(launch), http.StatusSeeOther)
}

// deepLinked shows what deep linking brought.
func (l *LMS) deepLinked(w http.ResponseWriter, r *http.Request, d ltitest.DeepLink) {
	q := url.Values{}
	switch {
	case d.Error != "":
		q.Set("lti_errormsg", d.Error)
	case len(d.Links) == 0:
		q.Set("notice", "Nothing was added.")
	default:
		q.Set("notice", fmt.Sprintf("Added to the course: %s", d.Links[0].Title))
	}
	http.Redirect(w, r, l.p.Issuer()+"/course?"+q.Encode(), http.StatusSeeOther)
}
