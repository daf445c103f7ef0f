package web_test

import (
	"net/http"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

// reported signs a report that an attempt has ended.
func (l *lms) reported(a ltitest.Attempt, outcome string, at time.Time) string {
	l.SetMischief(ltitest.Mischief{Assertion: func(_, c map[string]any) {
		delete(c, "attempt_end")
		c["token_use"], c["outcome"], c["ended_at"] = "ended", outcome, at.Unix()
	}})
	defer l.SetMischief(ltitest.Mischief{})
	return `{"assertion":"` + l.Assertion(a) + `"}`
}

func TestThePlatformReportsAnEnd(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	a, ok := l.FindAttempt(student, quiz, 1)
	if !ok {
		t.Fatal("got no attempt in the LMS, want one")
	}
	post := func(body string) answer { return r.call(stranger(), "POST", "/api/v1/attempts/ended", body) }
	r.want("status", r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`).status, http.StatusOK)
	r.want("state", r.session(id).State, vigil.StateActive)

	// An end from before the session began is another attempt's, whose number was used again.
	r.want("status", post(l.reported(a, "deleted", r.session(id).Created.Add(-time.Hour))).status, http.StatusOK)
	r.want("state after an old report", r.session(id).State, vigil.StateActive)

	body := l.reported(a, "submitted", r.now())
	r.want("status", post(body).status, http.StatusOK)
	r.want("state", r.session(id).State, vigil.StateSubmitted)
	r.want("status of a replay", post(body).status, http.StatusUnauthorized)
	again := post(l.reported(a, "submitted", r.now()))
	r.want("status", again.status, http.StatusOK)
	r.want("state told", again.json(r)["state"], "submitted")

	r.want("status of an assertion", post(`{"assertion":"`+l.Assertion(a)+`"}`).status, http.StatusUnauthorized)
	a.Number = 7
	unknown := post(l.reported(a, "submitted", r.now()))
	r.want("status of an unknown attempt", unknown.status, http.StatusNotFound)
	r.want("code", unknown.json(r)["code"], "not_found")
	a.LinkID = "elsewhere"
	r.want("status of an unknown quiz", post(l.reported(a, "submitted", r.now())).status, http.StatusNotFound)
}
