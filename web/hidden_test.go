package web_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

func TestALaunchMovesAllAttemptsOfItsStudent(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	first := last(l.person(student).attempt(1)) // in group A
	r.later(time.Second)
	l.SetGroups(student, groupB) // the report of it gets lost, or is on its way
	second := last(l.person(student).attempt(2))
	if !reflect.DeepEqual(r.session(second).Groups, []vigil.Group{groupB}) {
		t.Fatal("the launch did not tell")
	}
	p := l.person(tutor) // sees A
	exam := p.dashboard()
	if got := p.get("/dashboard/" + exam + "/sessions/" + first); got.Status != http.StatusNotFound {
		t.Errorf("the tutor of A reads (%d) an attempt of a student of whom Vigil knows that they are in B: groups %v of version %d, the newest version is %d",
			got.Status, r.session(first).Groups, r.session(first).GroupsVersion, r.session(second).GroupsVersion)
	}
}

func TestAReportThatOvertakesALaunchCounts(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.person(another).attempt(1) // so that the exam is known
	done := false
	l.SetMischief(ltitest.Mischief{Form: func(url.Values) { // the id_token is signed
		if done {
			return
		}
		done = true
		r.later(time.Second)
		l.SetGroups(student, groupB)
		r.ok(l.SendAccess(r.Context()))
	}})
	id := last(l.person(student).attempt(1))
	if !done {
		t.Fatal("the report was not sent")
	}
	if got := r.session(id); !reflect.DeepEqual(got.Groups, []vigil.Group{groupB}) {
		t.Errorf("got %v of version %d after a report of B was taken with 200, want B", got.Groups, got.GroupsVersion)
	}
}

func TestWhoIsMissingFollowsAReport(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	p := l.person(tutor)
	exam := p.dashboard()
	names := func() string { return p.call("GET", "/api/v1/exams/"+exam+"/members", "").text }
	if !strings.Contains(names(), `"user":"`+student+`"`) {
		t.Fatal("the student of A is not listed")
	}
	l.SetGroups(student, groupB)
	l.report()
	r.later(6 * time.Second)
	if got := names(); strings.Contains(got, `"user":"`+student+`"`) {
		t.Errorf("6 s after the report the tutor of A still reads of the student of B: %s", got)
	}
}

func TestAVersionOfAnotherCenturyIsRefused(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(tutor).dashboard()
	session := last(l.person(student).attempt(1))
	l.SetMischief(ltitest.Mischief{AccessReport: func(_, c map[string]any) {
		for _, list := range []string{"staff", "students"} {
			for _, a := range c[list].([]any) {
				a.(map[string]any)["version"] = int64(math.MaxInt64)
			}
		}
	}})
	got := r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+l.AccessToken(l.client, quiz, tutor, student)+`"}`)
	l.SetMischief(ltitest.Mischief{})
	if got.status != http.StatusOK {
		return // refused: good
	}
	r.later(24 * time.Hour)
	l.SetAccess(tutor, ltitest.Access{})
	l.SetGroups(student, groupB)
	l.report()
	a, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	if a.May(vigil.RightWatch) || !reflect.DeepEqual(r.session(session).Groups, []vigil.Group{groupB}) {
		t.Errorf("a day later nothing counts: tutor may watch %v, student in %v of version %d",
			a.May(vigil.RightWatch), r.session(session).Groups, r.session(session).GroupsVersion)
	}
}

func TestAPlatformsNoIsNotReplacedByAnOldRecord(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(tutor).dashboard()
	alias := l.activity(exam, nil)
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden} {
		l.unanswered(status)
		page := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
		if page.Status == http.StatusOK {
			t.Errorf("a question that was answered %d lets in by what was said before", status)
		}
	}
}

func TestRightsTakenBeforeTheExamIsKnownAreTaken(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	done, status := false, 0
	l.SetMischief(ltitest.Mischief{Form: func(url.Values) {
		if done {
			return
		}
		done = true
		r.later(time.Second)
		l.SetAccess(tutor, ltitest.Access{})
		status = r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+l.AccessToken(l.client, quiz, tutor)+`"}`).status
	}})
	page := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	if page.Status == http.StatusOK {
		t.Errorf("the report was answered %d, and then the launch let in who may do nothing", status)
	}
}

func TestARefusedRelaunchMovesItsStudent(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	id := last(l.person(student).attempt(1))
	for _, e := range []vigil.Event{vigil.EventConsent, vigil.EventActivate, vigil.EventTerminate} {
		_, err := r.hub.Sessions().Apply(t.Context(), id, vigil.Change{Event: e, At: r.now(), By: proctor})
		r.ok(err)
	}
	r.later(time.Second)
	l.SetGroups(student, groupB)
	page := l.person(student).attempt(1)
	if got := r.session(id); page.Status == http.StatusForbidden && !reflect.DeepEqual(got.Groups, []vigil.Group{groupB}) {
		t.Errorf("launch refused (%d), and groups are still %v", page.Status, got.Groups)
	}
}

func TestOthersIncidentsDoNotCountInALimitedReport(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	foreign := r.session(last(l.person(another).attempt(1)))
	own := r.session(last(l.person(student).attempt(1)))
	p := l.person(tutor)
	exam := p.dashboard()
	report := func() string { return p.get("/dashboard/" + exam + "/report").Body }
	put := func(s vigil.Session, from, n int) {
		at := r.now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
		list := make([]vigil.Signal, n)
		for i := range list {
			list[i] = vigil.Signal{SessionID: s.ID, ExamID: s.ExamID, Stream: "stream-0123456789", Seq: int64(from + i + 1), Kind: "paste", At: at, Received: at, Severity: 0.9, Incident: true}
		}
		_, err := r.store.AppendSignals(t.Context(), list)
		r.ok(err)
	}
	for from := 0; from < 20_001; from += 200 {
		put(foreign, from, 200)
	}
	before := report()
	put(own, 0, 3)
	after := report()
	more := strings.Contains(before, "note-warn")
	if more || !strings.Contains(after, "Pasted") {
		t.Errorf("A's report says that more was kept than it shows: %v (A has 0 incidents); A's own incidents named: %v", more, strings.Contains(after, "Pasted"))
	}
}

func TestPagesHaveThePlatformAskedAgain(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.person(student).attempt(1)
	p := l.person(tutor)
	exam := p.dashboard()
	l.SetAccess(tutor, ltitest.Access{}) // told to nobody
	asked := l.Count(ltitest.AtAccess)
	for range 11 {
		r.later(time.Hour)
		p.get("/dashboard/" + exam + "/report")
	}
	if page := p.get("/dashboard/" + exam + "/report"); page.Status == http.StatusOK {
		t.Errorf("11 hours later the report is still open; questions to the platform: %d", l.Count(ltitest.AtAccess)-asked)
	}
}

func TestExportsAreRefusedHoweverTheyAreSpelled(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	id := last(l.person(student).attempt(1))
	p := l.person(tutor)
	base := "/dashboard/" + p.dashboard()
	for _, path := range []string{base + "/report", base + "/sessions/" + id} {
		for _, q := range []string{"format=csv", "format=csv&format=html", "format=html&format=csv", "FORMAT=csv", "format=CSV", "format=c%73v", "%66ormat=csv", "format=csv;x", "x;format=csv", "format=csv%00", "format=+csv", "format[]=csv", "format=csv#", "a=%zz&format=csv"} {
			for _, m := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
				a := p.call(m, path+"?"+q, "")
				if strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") || a.header.Get("Content-Disposition") != "" {
					t.Errorf("%s %s?%s: got a file (%d)", m, path, q, a.status)
				}
			}
		}
		for _, end := range []string{"/", "//", ".csv", "%2f", "/../report?format=csv", ";format=csv"} {
			if a := p.call("GET", path+end, ""); strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") {
				t.Errorf("GET %s%s: got a file", path, end)
			}
		}
	}
}

func TestAnswersAboutHiddenAttemptsAreAsOfNone(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	foreign := last(l.person(another).attempt(1))
	l.SetAccess(tutor, ltitest.Access{Groups: []vigil.Group{groupA}, Rights: vigil.Rights})
	p := l.person(tutor)
	exam := p.dashboard()
	none := "01a22c33-0000-7000-8000-000000000000"
	for _, c := range [][3]string{
		{"GET", "/dashboard/" + exam + "/sessions/%s", ""},
		{"HEAD", "/dashboard/" + exam + "/sessions/%s", ""},
		{"GET", "/dashboard/" + exam + "/sessions/%s?format=csv", ""},
		{"GET", "/api/v1/exams/" + exam + "/sessions/%s/timeline", ""},
		{"GET", "/api/v1/exams/" + exam + "/sessions/%s/timeline?after=x", ""},
		{"POST", "/api/v1/exams/" + exam + "/sessions/%s/incidents/review", `{"id":"x","review":"cleared","version":1}`},
		{"POST", "/api/v1/exams/" + exam + "/sessions/%s/incidents/review", `x`},
		{"POST", "/api/v1/socket/page-token", `{"session":"%s"}`},
		{"GET", "/checkin/%s", ""},
		{"POST", "/checkin/%s/start", ""},
		{"GET", "/status/%s", ""},
	} {
		ask := func(id string) string {
			fill := func(s string) string { return strings.ReplaceAll(s, "%s", id) }
			a := p.call(c[0], fill(c[1]), fill(c[2]))
			text := strings.ReplaceAll(a.text, id, "ID")
			for {
				i := strings.Index(text, "<code>")
				if i < 0 {
					break
				}
				j := strings.Index(text[i:], "</code>")
				text = text[:i] + text[i+j+7:]
			}
			a.header.Del("Date")
			a.header.Del("Set-Cookie")
			a.header.Del("Content-Length")
			h := fmt.Sprint(a.header)
			if i := strings.Index(h, "nonce-"); i >= 0 {
				h = ""
			}
			return fmt.Sprint(a.status, h, text)
		}
		if a, b := ask(foreign), ask(none); a != b {
			t.Errorf("%s %s: differs:\n%.600s\n%.600s", c[0], c[1], a, b)
		}
	}
}

func TestALaunchByTheNewRegistrationIsAskedThere(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(instructor).dashboard()
	two := l.register("second")
	_, err := r.store.MoveLinks(t.Context(), l.platform.ID, two.platform.ID)
	r.ok(err)
	old, err := r.store.Platform(t.Context(), l.platform.ID)
	r.ok(err)
	old.State = vigil.PlatformDisabled
	r.ok(r.store.UpdatePlatform(t.Context(), old))
	alias := l.activity(exam, nil)
	page := two.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
	if page.Status != http.StatusOK {
		t.Errorf("got %d, and the source is still %s (disabled), not %s", page.Status, r.exam(exam).Access.PlatformID, two.platform.ID)
	}
}
