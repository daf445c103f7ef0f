package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
	"vigil/realtime/protocol"
)

func commandUp(session string) protocol.CommandUp {
	return protocol.CommandUp{T: protocol.TypeCommand, ID: "command-1", Kind: vigil.CommandWarn, Targets: []string{session}, Text: "Look at your own screen"}
}

// TestDeepLinking picks an exam of the course, makes one, and cancels; the new activity is
// a second way to the same exam.
func TestDeepLinking(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	teacher := l.person(instructor)
	l.person(student).attempt(1)
	exam := teacher.dashboard()

	page := teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking})
	r.status(page, http.StatusOK)
	second := teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking}) // another tab
	done := teacher.submit(page, page.URL.Path, url.Values{"exam": {exam}})
	r.status(done, http.StatusOK)
	links := l.DeepLinks()
	if len(links) != 1 || len(links[0].Links) != 1 || links[0].Links[0].Custom["vigil_exam"] != exam {
		t.Fatalf("got %+v, want one link to %s", links, exam)
	}
	alias := links[0].Links[0].ID
	dash := teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
	r.want("exam of the activity", last(dash), exam)
	r.status(teacher.get(page.URL.Path), http.StatusForbidden) // answered once

	done = teacher.submit(second, second.URL.Path, url.Values{"exam": {"new"}, "title": {"A new <one>"}})
	r.status(done, http.StatusOK)
	made := l.DeepLinks()[1].Links[0]
	r.want("title", made.Title, "A new <one>")
	dash = teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: made.ID})
	r.want("exam of the new activity", last(dash), made.Custom["vigil_exam"])

	page = teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking})
	r.status(teacher.submit(page, page.URL.Path, url.Values{"exam": {"new"}, "title": {"  "}}), http.StatusBadRequest)
	r.status(teacher.submit(page, page.URL.Path, url.Values{"exam": {"nobody"}}), http.StatusNotFound)
	done = teacher.submit(page, page.URL.Path, url.Values{"exam": nil, "title": nil})
	r.status(done, http.StatusOK)
	if cancel := l.DeepLinks()[2]; len(cancel.Links) != 0 {
		t.Errorf("got %+v, want nothing chosen", cancel)
	}
	r.status(l.person(student).launch(ltitest.Launch{Message: ltitest.DeepLinking}), http.StatusForbidden)
}

// TestAQuizIsPickedBeforeAnybodyOpenedIt: our plugin tells the course's quizzes, and the
// activity and the quiz have one exam, whichever comes first.
func TestAQuizIsPickedBeforeAnybodyOpenedIt(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	teacher := l.person(instructor)
	offer := func(list string) *ltitest.Page {
		return teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking, Custom: map[string]string{"vigil_quizzes": list}})
	}
	page := offer(`[{"id":"` + quiz + `","title":"Mid <term>"},{"id":"quiz-99","title":"Final"}]`)
	r.status(page, http.StatusOK)
	r.contains(page, "Mid &lt;term&gt;")
	r.contains(page, "not opened yet")
	r.status(teacher.submit(page, page.URL.Path, url.Values{"exam": {"quiz:quiz-7"}}), http.StatusNotFound)
	r.status(teacher.submit(page, page.URL.Path, url.Values{"exam": {"quiz:" + quiz}}), http.StatusOK)
	made := l.DeepLinks()[0].Links[0]
	r.want("title", made.Title, "Mid <term>")
	exam := made.Custom["vigil_exam"]
	r.want("exam of the activity", last(teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: made.ID})), exam)
	r.want("exam of the quiz", r.session(last(l.person(student).attempt(1))).ExamID, exam)

	page = offer(`[{"id":"` + quiz + `","title":"Mid <term>"}]`)
	if strings.Contains(page.Body, "quiz:"+quiz) {
		t.Error("got the quiz offered beside its exam, want it once")
	}
	r.contains(page, `value="`+exam+`"`)
	for _, bad := range []string{`{}`, `[{"title":"x"}]`, `[1]`, `[`} {
		r.status(offer(bad), http.StatusBadRequest)
	}
}

// TestTheDashboardOpensAtAnAttempt as our plugin's links do.
func TestTheDashboardOpensAtAnAttempt(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	session := last(l.person(student).attempt(1))
	open := func(who, user, attempt string) *ltitest.Page {
		return l.person(who).launch(ltitest.Launch{
			Message: ltitest.ResourceLink, LinkID: quiz, Custom: map[string]string{"vigil_user": user, "vigil_attempt": attempt},
		})
	}
	page := open(instructor, student, "1")
	r.status(page, http.StatusOK)
	r.want("page", page.URL.Path, "/dashboard/"+r.session(session).ExamID+"/sessions/"+session)
	r.status(open(instructor, student, "2"), http.StatusNotFound)
	r.status(open(instructor, student, "x"), http.StatusBadRequest)
	r.want("page without an attempt", last(open(instructor, student, "")), r.session(session).ExamID)
	page = open(another, student, "1")
	r.want("page of another student", page.URL.Path, "/status/"+r.session(session).ExamID)
}

// TestAnActivityReachesItsOwnCoursesExamsOnly edits the custom parameter, as a teacher of
// another course could.
func TestAnActivityReachesItsOwnCoursesExamsOnly(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	exam := l.person(instructor).dashboard()
	other := r.lms(ltitest.Config{Course: ltitest.Context{ID: "99", Title: "Elsewhere"}})
	foreign := other.person(instructor)
	steal := foreign.launch(ltitest.Launch{Message: ltitest.ResourceLink, Custom: map[string]string{"vigil_exam": exam}})
	r.status(steal, http.StatusForbidden)
	gone := foreign.launch(ltitest.Launch{Message: ltitest.ResourceLink, Custom: map[string]string{"vigil_exam": "nobody"}})
	r.status(gone, http.StatusNotFound)

	page := foreign.launch(ltitest.Launch{Message: ltitest.DeepLinking})
	r.status(foreign.submit(page, page.URL.Path, url.Values{"exam": {exam}}), http.StatusForbidden)

	// The same issuer, another course; and a course without an id.
	for _, context := range []map[string]any{{"id": "77"}, {"id": nil}} {
		l.SetMischief(ltitest.Mischief{Claims: func(c map[string]any) { c["https://purl.imsglobal.org/spec/lti/claim/context"] = context }})
		l.SetLink(ltitest.Link{ID: "alias", Title: "Alias", Custom: map[string]string{"vigil_exam": exam}})
		r.status(l.person(instructor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: "alias"}), http.StatusForbidden)
	}
	// Without a course's id a new activity points at nothing, and gets its exam when it is opened.
	teacher := l.person(instructor)
	page = teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking})
	r.status(teacher.submit(page, page.URL.Path, url.Values{"exam": {"new"}, "title": {"Lonely"}}), http.StatusOK)
	links := l.DeepLinks()
	made := links[len(links)-1].Links[0]
	r.want("custom parameter", made.Custom["vigil_exam"], "")
	dash := teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: made.ID})
	r.status(dash, http.StatusOK)
	r.contains(dash, "Lonely")
}

func TestAPlatformRegistersItselfByInvitation(t *testing.T) {
	r := newRig(t)
	p := r.serve(ltitest.Config{})
	secret, err := r.tool.Invite(t.Context(), lti.Invitation{Private: true})
	r.ok(err)
	b := ltitest.NewBrowser(nil)
	link := r.tool.RegisterURL(secret)
	how, err := b.Open(t.Context(), link)
	r.ok(err)
	r.contains(how, link)
	ask, err := b.Open(t.Context(), p.RegistrationURL(link))
	r.ok(err)
	r.status(ask, http.StatusOK)
	r.contains(ask, strings.TrimPrefix(p.Issuer(), "http://"))
	done, err := b.Submit(t.Context(), ask.Forms[0], nil)
	r.ok(err)
	r.status(done, http.StatusOK)
	r.contains(done, "org.imsglobal.lti.close")
	csp := done.Header.Get("Content-Security-Policy")
	nonce := between(t, done.Body, `<script nonce="`, `"`)
	if !strings.Contains(csp, "'nonce-"+nonce+"'") || !strings.Contains(csp, p.Issuer()) {
		t.Errorf("got policy %q, want the script's nonce %q and the platform as a frame", csp, nonce)
	}
	platforms, err := r.store.Platforms(t.Context())
	r.ok(err)
	if len(platforms) != 1 || platforms[0].State != vigil.PlatformActive {
		t.Fatalf("got %+v, want one active platform", platforms)
	}
	r.ok(p.Activate(p.Tools()[0].ClientID))
	l := &lms{Platform: p, rig: r, client: p.Tools()[0].ClientID, platform: platforms[0]}
	l.person(instructor).dashboard()

	again, err := b.Submit(t.Context(), ask.Forms[0], nil)
	r.ok(err)
	r.status(again, http.StatusNotFound)
	reference := between(t, again.Body, "<code>", "</code>")
	if !strings.Contains(r.logs.String(), reference) {
		t.Errorf("got reference %q, want one that the log knows", reference)
	}
	if strings.Contains(r.logs.String(), secret) {
		t.Error("got the invitation's secret in the log")
	}

	late, err := b.Open(t.Context(), p.RegistrationURL(link))
	r.ok(err)
	r.status(late, http.StatusNotFound)
	r.contains(late, "used already")

	secret, err = r.tool.Invite(t.Context(), lti.Invitation{Private: true, Review: true})
	r.ok(err)
	q := r.serve(ltitest.Config{})
	ask, err = b.Open(t.Context(), q.RegistrationURL(r.tool.RegisterURL(secret)))
	r.ok(err)
	done, err = b.Submit(t.Context(), ask.Forms[0], nil)
	r.ok(err)
	r.contains(done, "has to activate this platform")
	r.contains(done, `addEventListener("click", () => { (window.opener || window.parent).postMessage({subject: "org.imsglobal.lti.close"}, "*"); })`)
}

// A browser that posts the launch's form twice shows the answer to the second.
func TestALaunchThatIsPostedTwiceShowsTheWayOn(t *testing.T) {
	r := newRig(t)
	p := r.lms(pluginQuiz(`{}`)).person(student)
	page := p.attempt(1)
	again := r.call(p.Client, "POST", lti.LaunchPath, url.Values{"state": {strings.Repeat("A", 43)}, "id_token": {"a.b.c"}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
	if again.status != http.StatusForbidden || !strings.Contains(again.text, `href="/resume"`) {
		t.Fatalf("got %d, %s, want 403 and the way on", again.status, again.text)
	}
	if on := p.get("/resume"); on.URL.Path != page.URL.Path {
		t.Errorf("got %s, want %s", on.URL.Path, page.URL.Path)
	}
	if got := r.call(stranger(), "GET", "/resume", ""); got.status != http.StatusForbidden {
		t.Errorf("without a launch: got %d, want 403", got.status)
	}
}
