package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

// TestAnAttemptGoesFromLaunchToEnd walks what a student of a quiz with our plugin does.
func TestAnAttemptGoesFromLaunchToEnd(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"attention":0.6,"watch":["focus","display"]}`))
	p := l.person(student)
	checkin := p.attempt(1)
	r.status(checkin, http.StatusOK)
	id := last(checkin)
	r.contains(checkin, "Cells &amp; &lt;b&gt;tissue&lt;/b&gt;")
	r.contains(checkin, "whether more than one screen is connected")
	if strings.Contains(checkin.Body, "how much, not what") {
		t.Error("got the clipboard in the notice, want only what is watched")
	}
	c := r.config(checkin)
	r.want("page", c["page"], "checkin")
	r.want("session", c["session"], id)
	r.want("plugin", c["plugin"], true)
	r.want("state", c["state"], "created")

	noConsent := p.submit(checkin, "checkin-form", url.Values{})
	r.status(noConsent, http.StatusBadRequest)
	r.want("state", r.session(id).State, vigil.StateCreated)
	if n := len(l.Starts()); n != 0 {
		t.Fatalf("got %d starts without consent, want none", n)
	}

	quizPage := p.start(checkin)
	r.status(quizPage, http.StatusOK)
	r.contains(quizPage, "The attempt has begun.")
	starts := l.Starts()
	if len(starts) != 1 || starts[0].Attempt != 1 || !starts[0].EndReturn || starts[0].UserID != student {
		t.Fatalf("got starts %+v, want the student's first, with the end reported", starts)
	}
	r.want("state", r.session(id).State, vigil.StateReady)

	a, ok := l.FindAttempt(student, quiz, 1)
	if !ok {
		t.Fatal("got no attempt in the LMS, want one")
	}
	raw := l.Assertion(a)
	got := r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+raw+`"}`, "Origin", l.Issuer(), "Sec-Fetch-Site", "cross-site")
	r.want("status", got.status, http.StatusOK)
	r.want("allowed origin", got.header.Get("Access-Control-Allow-Origin"), l.Issuer())
	r.want("credentials", got.header.Get("Access-Control-Allow-Credentials"), "")
	token := got.json(r)
	r.want("session", token["session"], id)
	r.want("socket", token["url"], "ws"+strings.TrimPrefix(r.origin, "http")+"/socket")
	claims, err := r.tool.VerifySocket(t.Context(), token["token"].(string))
	r.ok(err)
	if claims.Session != id || claims.Role != "student" || claims.Subject != l.platform.ID+"|"+student {
		t.Errorf("got claims %+v, want the student's", claims)
	}
	s := r.session(id)
	r.want("state", s.State, vigil.StateActive)
	if s.End.IsZero() || !s.Plugin || s.Name != "Amara Okafor" {
		t.Errorf("got session %+v, want the attempt's end and name", s)
	}

	again := r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+raw+`"}`, "Origin", l.Issuer(), "Sec-Fetch-Site", "cross-site")
	r.want("status of a replay", again.status, http.StatusUnauthorized)
	problem := again.json(r)
	r.want("duty", problem["duty"], "renew")
	r.want("allowed origin", again.header.Get("Access-Control-Allow-Origin"), l.Issuer())

	end := p.launch(ltitest.Launch{Message: ltitest.EndAssessment, LinkID: quiz, Attempt: 1})
	r.contains(end, "The tool has sent you back.")
	r.want("state", r.session(id).State, vigil.StateSubmitted)

	over := r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`)
	r.want("status after the end", over.status, http.StatusForbidden)
	r.want("duty", over.json(r)["duty"], "stop")
	r.contains(p.get("/checkin/"+id), "Your attempt has ended")
}

func TestTheEndShowsWhatThePlatformSays(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	id := last(p.attempt(1))
	end := p.launch(ltitest.Launch{Message: ltitest.EndAssessment, LinkID: quiz, Attempt: 1, ErrorMessage: "<script>alert(1)</script>"})
	r.status(end, http.StatusOK)
	r.contains(end, "&lt;script&gt;alert(1)")
	r.want("state", r.session(id).State, vigil.StateCanceled)
	unknown := p.launch(ltitest.Launch{Message: ltitest.EndAssessment, LinkID: quiz, Attempt: 7})
	r.status(unknown, http.StatusNotFound)
}

func TestALaunchThatIsRefusedHasAReferenceThatTheLogKnows(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	l.SetMischief(ltitest.Mischief{Claims: func(c map[string]any) { c["exp"] = 1 }})
	page := l.person(student).attempt(1)
	r.status(page, http.StatusUnauthorized)
	_, rest, ok := strings.Cut(page.Body, "<code>")
	reference, _, _ := strings.Cut(rest, "</code>")
	if !ok || len(reference) != 10 || !strings.Contains(r.logs.String(), reference) {
		t.Errorf("got reference %q, want one that the log knows", reference)
	}
	csp := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors 'self' *") {
		t.Errorf("got policy %q, want an error page that shows in any frame", csp)
	}

	l.SetMischief(ltitest.Mischief{Form: func(f url.Values) {
		f.Del("id_token")
		f.Set("error", "<img src=x>")
	}})
	page = l.person(student).attempt(1)
	r.contains(page, "&lt;img src=x&gt;")
}

func TestAProctorAdmitsFirst(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"admission":true}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	waiting := p.start(checkin)
	r.status(waiting, http.StatusOK)
	r.contains(waiting, "a proctor will admit you")
	r.want("state", r.session(id).State, vigil.StateAwaiting)
	waiting = p.start(waiting)
	r.contains(waiting, "a proctor will admit you")
	if n := len(l.Starts()); n != 0 {
		t.Fatalf("got %d starts before admission, want none", n)
	}
	_, err := r.hub.Sessions().Apply(t.Context(), id, vigil.Change{Event: vigil.EventAdmit, At: r.now(), By: vigil.Actor{Role: vigil.RoleProctor}})
	r.ok(err)
	r.contains(p.start(p.get("/checkin/"+id)), "The attempt has begun.")
	a, _ := l.FindAttempt(student, quiz, 1)
	got := r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`)
	r.want("status", got.status, http.StatusOK)
	r.want("state", r.session(id).State, vigil.StateActive)
}

// TestAnAssertionDoesNotSkipTheCheckIn has a quiz page ask before the student consented,
// and before a proctor admitted.
func TestAnAssertionDoesNotSkipTheCheckIn(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"admission":true}`))
	p := l.person(student)
	ask := func(attempt int) answer {
		return r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(ltitest.Attempt{ClientID: l.client, UserID: student, LinkID: quiz, Number: attempt})+`"}`)
	}
	r.want("status without a launch", ask(1).status, http.StatusForbidden)
	checkin := p.attempt(1)
	r.want("status before consent", ask(1).status, http.StatusForbidden)
	r.want("status of another attempt", ask(2).status, http.StatusForbidden)
	p.start(checkin)
	r.want("status before admission", ask(1).status, http.StatusForbidden)
	r.want("state", r.session(last(checkin)).State, vigil.StateAwaiting)
}

// TestWithoutThePluginTheReturnBeginsTheAttempt is any other platform: the quiz opens in
// a window of its own and no assertion ever comes.
func TestWithoutThePluginTheReturnBeginsTheAttempt(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.contains(checkin, `target="_blank"`)
	r.contains(checkin, "Leave this window open")
	r.contains(p.start(checkin), "The attempt has begun.")
	s := r.session(id)
	r.want("state", s.State, vigil.StateActive)
	r.want("plugin", s.Plugin, false)
	token := p.call("POST", "/api/v1/socket/page-token", `{"session":"`+id+`"}`)
	r.want("status", token.status, http.StatusOK)
}

// TestAWindowFromAFrameNeedsNoCookie starts the attempt from a framed check-in, whose
// cookie the new window does not get.
func TestAWindowFromAFrameNeedsNoCookie(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(student)
	id := last(p.attempt(1))
	framed := p.call("GET", "/checkin/"+id, "", "Sec-Fetch-Dest", "iframe")
	_, rest, ok := strings.Cut(framed.text, `name="ticket" value="`)
	ticket, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("got no ticket in the framed check-in, want one:\n%s", framed.text)
	}
	_, rest, _ = strings.Cut(framed.text, `name="notice" value="`)
	notice, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"consent": {"yes"}, "ticket": {ticket}, "notice": {notice}}.Encode()
	window := stranger()
	post := func(c *http.Client, form string) answer {
		return r.call(c, "POST", "/checkin/"+id+"/start", form, "Content-Type", "application/x-www-form-urlencoded")
	}
	r.want("status without a ticket", post(stranger(), "consent=yes").status, http.StatusForbidden)
	got := post(window, form)
	r.want("status", got.status, http.StatusOK)
	if !strings.Contains(got.text, "JWT") {
		t.Errorf("got %s, want the form that carries StartAssessment", got.text)
	}
	r.want("status of a second use", post(stranger(), form).status, http.StatusNotFound)
	r.want("status in the window that has it", post(window, form).status, http.StatusOK)
}

func TestALateCheckInSendsBackToTheCourse(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.later(5 * time.Minute)
	late := p.start(checkin)
	r.status(late, http.StatusOK)
	r.contains(late, "Too much time has passed")
	r.contains(late, l.Issuer()+"/returned")
	r.want("state", r.session(id).State, vigil.StateCreated)
	again := p.attempt(1)
	r.want("session", last(again), id)
	r.contains(p.start(again), "The attempt has begun.")

	// The window that stays open as the connection can be loaded again, but not begin anew.
	r.later(5 * time.Minute)
	stays := p.get("/checkin/" + id)
	if strings.Contains(stays.Body, "Too much time") {
		t.Errorf("got %s, want the page that holds the connection", stays.Body)
	}
	r.contains(p.start(stays), "Too much time has passed")
}

// TestManyFirstLaunchesMakeOneSession opens one attempt fifty times at the same moment.
func TestManyFirstLaunchesMakeOneSession(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	const many = 50
	ids := make([]string, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			page, err := l.person(student).Open(t.Context(), l.Begin(ltitest.Launch{ClientID: l.client, UserID: student, Message: ltitest.StartProctoring, LinkID: quiz, Attempt: 1}))
			if err != nil || page.Status != http.StatusOK {
				t.Errorf("got %v %v, want a check-in", page, err)
				return
			}
			ids[i] = last(page)
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("got sessions %v, want one", ids)
		}
	}
	exams, _, err := r.store.ExamsOfContext(t.Context(), l.Issuer(), l.Course().ID, vigil.Page{})
	r.ok(err)
	if len(exams) != 1 {
		t.Errorf("got %d exams, want one and no leftovers", len(exams))
	}
	list, _, err := r.store.SessionsOfExam(t.Context(), exams[0].ID, vigil.Page{})
	r.ok(err)
	if len(list) != 1 {
		t.Errorf("got %d sessions, want one", len(list))
	}
}

func TestAnEndedAttemptBeginsANewGenerationAndATerminatedOneDoesNot(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	first := last(p.attempt(1))
	r.want("session while it runs", last(p.attempt(1)), first)
	p.launch(ltitest.Launch{Message: ltitest.EndAssessment, LinkID: quiz, Attempt: 1})
	checkin := p.attempt(1)
	second := r.session(last(checkin))
	if second.ID == first || second.Generation != 2 || second.Previous != first {
		t.Fatalf("got %+v, want generation 2 after %s", second, first)
	}
	p.start(checkin)
	by := vigil.Actor{Role: vigil.RoleProctor}
	for _, e := range []vigil.Event{vigil.EventActivate, vigil.EventTerminate} {
		_, err := r.hub.Sessions().Apply(t.Context(), second.ID, vigil.Change{Event: e, At: r.now(), By: by})
		r.ok(err)
	}
	refused := p.attempt(1)
	r.status(refused, http.StatusForbidden)
	r.contains(refused, "an instructor has reactivated it")
	r.contains(refused, l.Issuer()+"/returned")
	_, err := r.hub.Sessions().Apply(t.Context(), second.ID, vigil.Change{Event: vigil.EventReactivate, At: r.now(), By: by})
	r.ok(err)
	r.want("session after reactivation", last(p.attempt(1)), second.ID)

	// Ended once more; then the platform deletes the attempt, and its number is used again.
	_, err = r.hub.Sessions().Apply(t.Context(), second.ID, vigil.Change{Event: vigil.EventTerminate, At: r.now(), By: by, Reason: "Left"})
	r.ok(err)
	r.status(p.attempt(1), http.StatusForbidden)
	a, ok := l.FindAttempt(student, quiz, 1)
	if !ok {
		t.Fatal("got no attempt in the LMS, want one")
	}
	for range 2 { // a repeat changes nothing
		report := l.reported(a, "deleted", r.now())
		r.want("status", r.call(stranger(), "POST", "/api/v1/attempts/ended", report).status, http.StatusOK)
	}
	r.want("state", r.session(second.ID).State, vigil.StateTerminated)
	r.want("reason", r.session(second.ID).Reason, "Left")
	third := r.session(last(p.attempt(1)))
	if third.Generation != 3 || third.Previous != second.ID {
		t.Errorf("got %+v, want generation 3 after %s", third, second.ID)
	}
}

// TestTheOtherPlatformsWays launches as Open edX does: two clients on one issuer, no
// names, no titles, a null context.
func TestTheOtherPlatformsWays(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{Like: ltitest.OpenEdX})
	course := l.register("course-links")
	p := l.person(student)
	checkin := p.attempt(1)
	r.status(checkin, http.StatusOK)
	id := last(checkin)
	if left := r.config(checkin)["left"].(float64); left > 290_000 || left < 200_000 {
		t.Errorf("got %v ms left, want less than Open edX's 300 s", left)
	}
	r.contains(p.start(checkin), "The attempt has begun.")
	s := r.session(id)
	r.want("name", s.Name, "")
	r.want("state", s.State, vigil.StateActive)
	r.want("actions", fmt.Sprint(s.ControlActions), "[terminate]")
	r.want("second attempt", last(p.attempt(2)) == id, false)

	teacher := course.person(instructor)
	page := teacher.launch(ltitest.Launch{Message: ltitest.DeepLinking})
	r.status(page, http.StatusOK)
	page = teacher.submit(page, page.URL.Path, url.Values{"exam": {"new"}, "title": {"My activity"}})
	// Open edX takes no link to a host without a dot; ours is localhost here.
	r.status(page, http.StatusInternalServerError)
	dash := teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink})
	r.status(dash, http.StatusOK)
	r.contains(dash, "/assets/base.css")
	exam, err := r.store.Exam(t.Context(), last(dash))
	r.ok(err)
	r.want("title of a link without one", exam.Title, "Exam")
}

func TestATokenIsForThePlatformsOwnPagesOnly(t *testing.T) {
	r := newRig(t)
	l, other := r.lms(pluginQuiz(`{}`)), r.lms(ltitest.Config{})
	p := l.person(student)
	p.start(p.attempt(1))
	a, _ := l.FindAttempt(student, quiz, 1)
	for _, row := range []struct {
		name, origin, allowed string
		status                int
	}{
		{"another platform's page", other.Issuer(), "", http.StatusForbidden},
		{"a stranger's page", "https://evil.example", "", http.StatusForbidden},
		{"an opaque origin", "null", "", http.StatusForbidden},
		{"the platform's page", l.Issuer(), l.Issuer(), http.StatusOK},
		{"a program", "", "", http.StatusOK},
	} {
		got := r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`, "Origin", row.origin, "Sec-Fetch-Site", "cross-site")
		r.want("status for "+row.name, got.status, row.status)
		r.want("allowed origin for "+row.name, got.header.Get("Access-Control-Allow-Origin"), row.allowed)
		if !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin") {
			t.Errorf("got Vary %q for %s, want Origin", got.header.Values("Vary"), row.name)
		}
	}
	for origin, want := range map[string]string{l.Issuer(): l.Issuer(), "https://evil.example": "", "null": "", "*": ""} {
		got := r.call(stranger(), "OPTIONS", "/api/v1/socket/token", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		r.want("allowed origin of the preflight from "+origin, got.header.Get("Access-Control-Allow-Origin"), want)
	}
	for name, body := range map[string]string{
		"no JSON": "hello", "an array": `[]`, "null": `null`, "two objects": `{"assertion":"x"}{}`, "a stray brace": `{"assertion":"x"}}`,
		"nonsense": `{"assertion":"a.b.c"}`, "another type": `{"assertion":1}`, "too long": `{"assertion":"` + strings.Repeat("a", 70_000) + `"}`,
	} {
		got := r.call(stranger(), "POST", "/api/v1/socket/token", body, "Origin", l.Issuer(), "Sec-Fetch-Site", "cross-site")
		r.want("status for "+name, got.status, http.StatusBadRequest)
		r.want("allowed origin for "+name, got.header.Get("Access-Control-Allow-Origin"), l.Issuer())
		r.want("duty for "+name, got.json(r)["duty"], "stop")
	}
	platform, err := r.store.Platform(t.Context(), l.platform.ID)
	r.ok(err)
	platform.State = vigil.PlatformDisabled
	r.ok(r.store.UpdatePlatform(t.Context(), platform))
	got := r.call(stranger(), "OPTIONS", "/api/v1/socket/token", "", "Origin", l.Issuer(), "Access-Control-Request-Method", "POST")
	r.want("allowed origin of a disabled platform", got.header.Get("Access-Control-Allow-Origin"), "")
}

// TestNamesAreText launches people and courses whose names are made to do harm.
func TestNamesAreText(t *testing.T) {
	r := newRig(t)
	hostile := "</script><script>alert(1)</script>\u202Egnp\n{{.}} " + strings.Repeat("x", 3000)
	cfg := pluginQuiz(`{}`)
	cfg.Links[0].Title = hostile
	cfg.Course = ltitest.Context{ID: "9", Title: hostile, Label: "L"}
	cfg.Users = []ltitest.User{{ID: student, Given: hostile, Family: "=HYPERLINK()", Role: ltitest.Learner}, {ID: instructor, Given: hostile, Role: ltitest.Instructor}}
	l := r.lms(cfg)
	p, teacher := l.person(student), l.person(instructor)
	pages := []*ltitest.Page{p.attempt(1)}
	exam := teacher.dashboard()
	pages = append(pages, teacher.get("/dashboard/"+exam), teacher.get("/dashboard/"+exam+"/report"), teacher.get("/dashboard/"+exam+"/settings"),
		teacher.get("/dashboard/"+exam+"/sessions/"+last(pages[0])), p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz}))
	for _, page := range pages {
		r.status(page, http.StatusOK)
		for _, bad := range []string{"<script>alert", "\u202E", strings.Repeat("x", 500)} {
			if strings.Contains(page.Body, bad) {
				t.Errorf("got %.20q in %s, want it made harmless", bad, page.URL.Path)
			}
		}
		if text, ok := page.Element("vigil-config"); ok && !json.Valid([]byte(text)) {
			t.Errorf("got configuration %s in %s, want JSON", text, page.URL.Path)
		}
	}
}
