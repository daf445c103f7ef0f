package web_test

import (
	"encoding/csv"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
)

// TestWhoBlocksTheMonitorHasBegunAndWasNotWatched: the LMS says that the attempt was opened, and
// nothing else of it ever comes here.
func TestWhoBlocksTheMonitorHasBegunAndWasNotWatched(t *testing.T) {
	for _, order := range []string{"at once", "late"} {
		t.Run("told "+order, func(t *testing.T) {
			r := newRig(t)
			l := r.lms(pluginQuiz(`{}`))
			teacher := l.person(instructor)
			exam := teacher.dashboard()
			p := l.person(student)
			checkin := p.attempt(1)
			id := last(checkin)
			r.status(p.start(checkin), http.StatusOK)
			a, _ := l.FindAttempt(student, quiz, 1)
			if s := r.session(id); s.State != vigil.StateReady || s.Sent.IsZero() {
				t.Fatalf("got %s, sent %v, want ready, and when the student was sent back", s.State, s.Sent)
			}
			if !l.Served(a.ID) || l.Served(a.ID) {
				t.Fatal("the first page is owed once")
			}
			opened := r.now()
			if order == "at once" {
				r.ok(l.SendNow(r.Context(), a.ID))
				if s := r.session(id); s.State != vigil.StateActive || s.Opened.Sub(opened).Abs() > 2*time.Second || !s.Started.Equal(s.Opened) {
					t.Fatalf("got %s, opened %v, started %v, want it to have begun now", s.State, s.Opened, s.Started)
				}
			}
			r.later(42 * time.Minute)
			_, err := l.HandIn(a.ID)
			r.ok(err)
			owed := l.Owed()
			if order == "late" {
				for _, o := range slices.Backward(owed) {
					path := "ended"
					if o.Outcome == ltitest.OutcomeOpened {
						path = "opened"
					}
					got := r.call(stranger(), "POST", "/api/v1/attempts/"+path, `{"assertion":"`+l.ReportToken(o)+`"}`)
					r.want("status of "+path, got.status, http.StatusOK)
				}
			}
			r.ok(l.SendReports(r.Context(), 0)) // and again: saying it twice changes nothing
			s := r.session(id)
			if s.State != vigil.StateSubmitted || s.Opened.IsZero() || s.UnwatchedFor(r.now()) < 41*time.Minute || s.WatchedFor(r.now()) != 0 {
				t.Errorf("got %s, opened %v, not watched for %v", s.State, s.Opened, s.UnwatchedFor(r.now()))
			}
			testutil.Until(t, "an incident", func() bool { return r.session(id).Tally.Open == 1 })

			page := teacher.get("/dashboard/" + exam + "/report").Body
			for _, words := range []string{"submitted", `not watched for 4[12] min`, `watched 0 s of 4[12] min`, "Not watched"} {
				if !regexp.MustCompile(words).MatchString(page) {
					t.Errorf("got a report without %q", words)
				}
			}
			if strings.Contains(page, "not begun") {
				t.Error("the report says that it has not begun")
			}
			rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(teacher.call("GET", "/dashboard/"+exam+"/report?format=csv", "").text, "\uFEFF"))).ReadAll()
			r.ok(err)
			at := func(column string) string { return rows[1][slices.Index(rows[0], column)] }
			if at("state") != "submitted" || at("started") == "" || at("opened") == "" || at("watched_minutes") != "0.0" || !strings.HasPrefix(at("open_minutes"), "4") || at("not_watched_seconds") < "2500" {
				t.Errorf("got %v", rows)
			}
			timeline := teacher.get("/dashboard/" + exam + "/sessions/" + id).Body
			for _, words := range []string{`watched 0 s of 4[12] min`, `not watched for 4[12] min`, "Not watched"} {
				if !regexp.MustCompile(words).MatchString(timeline) {
					t.Errorf("got a timeline without %q", words)
				}
			}
		})
	}
}

// TestWhoHandsInHasBegun: an older plugin says nothing of openings.
func TestWhoHandsInHasBegun(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	a, _ := l.FindAttempt(student, quiz, 1)
	r.later(10 * time.Minute)
	post := func(outcome string) {
		r.want("status", r.call(stranger(), "POST", "/api/v1/attempts/ended", l.reported(a, outcome, r.now())).status, http.StatusOK)
	}
	post("submitted")
	if s := r.session(id); s.State != vigil.StateSubmitted || s.Started.IsZero() || s.UnwatchedFor(r.now()) < 9*time.Minute {
		t.Errorf("got %s, started %v, not watched for %v, want handed in, and all of it not watched", s.State, s.Started, s.UnwatchedFor(r.now()))
	}
}

// TestAReportOfAnOpeningIsChecked: it is no other report, and finds the attempt that it is of.
func TestAReportOfAnOpeningIsChecked(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p := l.person(student)
	checkin := p.attempt(1)
	id := last(checkin)
	r.status(p.start(checkin), http.StatusOK)
	a, _ := l.FindAttempt(student, quiz, 1)
	post := func(body string) answer { return r.call(stranger(), "POST", "/api/v1/attempts/opened", body) }
	report := func(at time.Time, edit func(a *ltitest.Attempt)) string {
		of := a
		edit(&of)
		return `{"assertion":"` + l.ReportToken(ltitest.Report{Attempt: of, Outcome: ltitest.OutcomeOpened, At: at}) + `"}`
	}
	same := func(*ltitest.Attempt) {}
	r.want("an end", post(l.reported(a, "submitted", r.now())).status, http.StatusUnauthorized)
	r.want("an assertion", post(`{"assertion":"`+l.Assertion(a)+`"}`).status, http.StatusUnauthorized)
	r.want("no JSON", post(`x`).status, http.StatusBadRequest)
	r.want("another attempt", post(report(r.now(), func(a *ltitest.Attempt) { a.Number = 7 })).status, http.StatusNotFound)
	r.want("an attempt of before", post(report(r.session(id).Created.Add(-time.Hour), same)).status, http.StatusOK)
	if s := r.session(id); s.State != vigil.StateReady || !s.Opened.IsZero() {
		t.Errorf("got %s, opened %v, want ready still", s.State, s.Opened)
	}
	good := report(r.now(), same)
	r.want("the opening", post(good).json(r)["state"], "active")
	r.want("a replay", post(good).status, http.StatusUnauthorized)
	r.want("said again", post(report(r.now(), same)).status, http.StatusOK)
}
