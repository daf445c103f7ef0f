package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"vigil"

	"vigil/lti/ltitest"
	"vigil/realtime/protocol"
)

// asking signs a question for what is kept of an attempt.
func (l *lms) asking(a ltitest.Attempt) string {
	l.SetMischief(ltitest.Mischief{Assertion: func(_, c map[string]any) {
		delete(c, "attempt_end")
		c["token_use"] = "export"
	}})
	defer l.SetMischief(ltitest.Mischief{})
	return `{"assertion":"` + l.Assertion(a) + `"}`
}

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

func TestThePlatformReportsThatItHoldsAnAttempt(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"unwatched":"hold"}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	a, ok := l.FindAttempt(student, quiz, 1)
	if !ok {
		t.Fatal("got no attempt in the LMS, want one")
	}
	r.want("policy", r.exam(r.session(id).ExamID).Policy.Unwatched, vigil.UnwatchedHold)
	post := func(token string) answer {
		return r.call(stranger(), "POST", "/api/v1/attempts/standing", `{"assertion":"`+token+`"}`)
	}
	r.want("status", r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`).status, http.StatusOK)
	a.Status, a.Held, a.PausedAt = ltitest.Paused, true, r.now()
	token := l.Standing(a)
	got := post(token)
	r.want("status", got.status, http.StatusOK)
	r.want("state told", got.json(r)["state"], "paused")
	r.want("state", r.session(id).State, vigil.StatePaused)
	r.want("status of a replay", post(token).status, http.StatusUnauthorized)
	r.want("status of an assertion", post(l.Assertion(a)).status, http.StatusUnauthorized)
	a.Number = 7
	r.want("status of an unknown attempt", post(l.Standing(a)).status, http.StatusNotFound)
}

// TestAHeldAttemptOfWhichNothingCameIsPaused: the browser never connected, and the report of the
// opening has not come.
func TestAHeldAttemptOfWhichNothingCameIsPaused(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"unwatched":"hold"}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	s := r.session(id)
	r.want("before", s.Started.IsZero(), true)
	_, err := r.hub.Sessions().Command(r.Context(), s.ExamID, proctor, vigil.FullAccess, protocol.CommandUp{
		T: protocol.TypeCommand, ID: "command-1", Kind: vigil.CommandExtend, Targets: []string{id}, Seconds: 300,
	})
	r.ok(err)
	a, ok := l.FindAttempt(student, quiz, 1)
	r.want("an attempt in the LMS", ok, true)
	a.Status, a.Held, a.PausedAt = ltitest.Paused, true, r.now()
	got := r.call(stranger(), "POST", "/api/v1/attempts/standing", `{"assertion":"`+l.Standing(a)+`"}`)
	r.want("status", got.status, http.StatusOK)
	s = r.session(id)
	r.want("state", s.State, vigil.StatePaused)
	r.want("a reason", s.Reason != "", true)
	r.want("the grant of before is asked for", len(s.Grants) == 1 && s.Grants[0].ID != "", true)
}

// TestANumberThatIsUsedAgainWhileItsAttemptRuns: an attempt is deleted in the platform and
// begun anew before the report of that comes.
func TestANumberThatIsUsedAgainWhileItsAttemptRuns(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	checkin := p.attempt(1)
	first := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	a, _ := l.FindAttempt(student, quiz, 1)
	r.want("status", r.call(stranger(), "POST", "/api/v1/socket/token", `{"assertion":"`+l.Assertion(a)+`"}`).status, http.StatusOK)
	r.later(10 * time.Minute)
	deleted := r.now()
	r.ok(l.Delete(a.ID))
	r.later(20 * time.Second)
	second := last(p.attempt(1))
	if got := r.session(second); second == first || got.Previous != first || got.State != vigil.StateCreated {
		t.Fatalf("launched anew: got %s of %s, %s, want a new one of %s, created", second, got.Previous, got.State, first)
	}
	r.want("the one before", r.session(first).State, vigil.StateSubmitted)
	r.later(20 * time.Second)
	r.ok(l.SendReports(r.Context(), 0))
	r.want("the new one, after the report", r.session(second).State, vigil.StateCreated)
	if got := r.session(first).Ended.Sub(deleted).Abs(); got > time.Second {
		t.Errorf("the one before ended %v beside when it was deleted, want within a second", got)
	}
}

// TestThePlatformExportsAndErasesAnAttempt: what is kept is given to the platform once per
// question and without the proctors' names; an erasure leaves nothing, of this attempt only.
func TestThePlatformExportsAndErasesAnAttempt(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, other := l.person(student), l.person(another)
	checkin := p.attempt(1)
	id, others := last(checkin), last(other.attempt(1))
	r.status(p.start(checkin), http.StatusOK)
	a, ok := l.FindAttempt(student, quiz, 1)
	if !ok {
		t.Fatal("got no attempt in the LMS, want one")
	}
	now := r.now()
	signal := vigil.Signal{SessionID: id, Stream: "0123456789abcdef", Seq: 1, Kind: vigil.KindCopy, At: now, Received: now}
	_, err := r.store.AppendSignals(t.Context(), []vigil.Signal{signal})
	r.ok(err)
	r.ok(r.store.AddChat(t.Context(), vigil.ChatLine{
		ID: "line-0001", ExamID: r.session(id).ExamID, SessionID: id, Text: "Hello", At: now,
		From: vigil.Actor{Role: vigil.RoleProctor, ID: "x|1", Name: "Prof. Secret"},
	}))

	post := func(path, body string) answer { return r.call(stranger(), "POST", "/api/v1/attempts/"+path, body) }
	question := l.asking(a)
	got := post("export", question)
	r.want("status", got.status, http.StatusOK)
	kinds := map[string]bool{}
	for _, e := range got.json(r)["entries"].([]any) {
		kinds[e.(map[string]any)["type"].(string)] = true
	}
	for _, kind := range []string{"signal", "chat", "state"} {
		if !kinds[kind] {
			t.Errorf("got kinds %v, want %s among them", kinds, kind)
		}
	}
	if strings.Contains(got.text, "Prof. Secret") {
		t.Error("got a proctor's name in the student's export")
	}
	r.want("attempt", got.json(r)["attempt"], 1.0)
	if c, _ := got.json(r)["consents"].([]any); len(c) != 1 || c[0].(map[string]any)["notice"] != r.session(id).Consents[0].Notice {
		t.Errorf("got consents %v, want what the student agreed to", c)
	}
	r.want("status of a replay", post("export", question).status, http.StatusUnauthorized)
	r.want("status of a report in its place", post("export", l.reported(a, "submitted", r.now())).status, http.StatusUnauthorized)

	r.want("status", post("ended", l.reported(a, "erased", r.now())).status, http.StatusOK)
	_, err = r.store.Session(t.Context(), id)
	r.want("code", vigil.CodeOf(err), vigil.CodeNotFound)
	signals, _, err := r.store.SignalsOfSession(t.Context(), id, vigil.Page{})
	if len(signals) != 0 {
		t.Errorf("got %d signals (%v), want none", len(signals), err)
	}
	r.want("another student's state", r.session(others).State, vigil.StateCreated)
	r.want("status after it", post("export", l.asking(a)).status, http.StatusNotFound)
	r.want("status of the same again", post("ended", l.reported(a, "erased", r.now())).status, http.StatusNotFound)
}
