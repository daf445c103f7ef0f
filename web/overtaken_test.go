package web_test

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/web"
)

func TestAReportThatOvertakesTheLaunchOfAFurtherAttemptCounts(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	first := last(l.person(student).attempt(1))
	done := false
	l.SetMischief(ltitest.Mischief{Form: func(url.Values) {
		if done {
			return
		}
		done = true
		r.later(time.Second)
		l.SetGroups(student, groupB)
		r.ok(l.SendAccess(r.Context()))
	}})
	id := last(l.person(student).attempt(2))
	l.SetMischief(ltitest.Mischief{})
	p := l.person(tutor)
	exam := p.dashboard()
	got := p.get("/dashboard/" + exam + "/sessions/" + id)
	t.Logf("first %v v%d, second %v v%d, tutor of A reads the second: %d", r.session(first).Groups, r.session(first).GroupsVersion, r.session(id).Groups, r.session(id).GroupsVersion, got.Status)
	if got.Status != http.StatusNotFound {
		t.Errorf("the tutor of A reads the attempt of a student of B")
	}
}

func TestWhatAPageIsToldOfStudentsCounts(t *testing.T) {
	for _, by := range []string{"members", "report page", "activity"} {
		t.Run(by, func(t *testing.T) {
			r := newRig(t)
			l := r.groups()
			id := last(l.person(student).attempt(1))
			p := l.person(tutor)
			exam := p.dashboard()
			alias := l.activity(exam, nil)
			r.later(10 * time.Minute)
			l.SetGroups(student, groupB) // by cron: the report is yet to come
			asked := l.Count(ltitest.AtAccess)
			switch by {
			case "members":
				if got := p.call("GET", "/api/v1/exams/"+exam+"/members", ""); strings.Contains(got.text, `"user":"`+student+`"`) {
					t.Fatal("members: old answer")
				}
			case "report page":
				p.get("/dashboard/" + exam + "/report")
			case "activity":
				p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
			}
			n := l.Count(ltitest.AtAccess) - asked
			r.later(11 * time.Hour)
			page := p.get("/dashboard/" + exam + "/sessions/" + id)
			t.Logf("questions %d, then %d more; the session is in %v; tutor of A reads: %d", n, l.Count(ltitest.AtAccess)-asked-n, r.session(id).Groups, page.Status)
			if n > 0 && page.Status == http.StatusOK {
				t.Errorf("the platform answered (and the plugin noted as told) that the student is in B; Vigil did not keep it")
			}
		})
	}
}

// early runs something before a session is made, or before web.told is written.
type early struct {
	web.Store
	mu      sync.Mutex
	session func()
	told    func()
}

func (e *early) take(f *func()) {
	e.mu.Lock()
	g := *f
	*f = nil
	e.mu.Unlock()
	if g != nil {
		g()
	}
}

func (e *early) CreateSession(ctx context.Context, s vigil.Session) error {
	e.take(&e.session)
	return e.Store.CreateSession(ctx, s)
}

func (e *early) PutRecord(ctx context.Context, r vigil.Record) error {
	if r.Kind == "web.told" {
		e.take(&e.told)
	}
	return e.Store.PutRecord(ctx, r)
}

func TestAReportWhileASessionIsMadeCounts(t *testing.T) {
	var e *early
	r := newRig(t, func(c *web.Config) { e = &early{Store: c.Store}; c.Store = e })
	l := r.groups()
	p := l.person(tutor)
	exam := p.dashboard()
	e.session = func() {
		r.later(time.Second)
		l.SetGroups(student, groupB)
		r.ok(l.SendAccess(r.Context()))
	}
	id := last(l.person(student).attempt(1))
	got := r.session(id)
	page := p.get("/dashboard/" + exam + "/sessions/" + id)
	if page.Status == http.StatusOK {
		t.Errorf("after a report of B was taken with 200: groups %v v%d, the tutor of A reads", got.Groups, got.GroupsVersion)
	}
}

func TestRightsTakenWhileTheExamIsMadeAreTaken(t *testing.T) {
	var e *early
	r := newRig(t, func(c *web.Config) { e = &early{Store: c.Store}; c.Store = e })
	l := r.groups()
	reached, goOn := make(chan struct{}), make(chan struct{})
	e.told = func() { close(reached); <-goOn }
	status := make(chan int, 1)
	done := false
	l.SetMischief(ltitest.Mischief{Form: func(url.Values) {
		if done {
			return
		}
		done = true
		r.later(time.Second)
		l.SetAccess(tutor, ltitest.Access{})
		token := l.AccessToken(l.client, quiz, tutor)
		go func() { status <- r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+token+`"}`).status }()
		<-reached
	}})
	p := l.person(tutor)
	page := p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	close(goOn)
	st := <-status
	l.SetMischief(ltitest.Mischief{})
	again := p.get("/dashboard/" + last(page) + "/report")
	if again.Status == http.StatusOK {
		t.Errorf("the report was answered %d, and who may do nothing reads the report", st)
	}
}

func TestOfTwoLaunchesAtOnceTheNewerWordCounts(t *testing.T) {
	var e *early
	r := newRig(t, func(c *web.Config) { e = &early{Store: c.Store}; c.Store = e })
	l := r.groups()
	p := l.person(tutor)
	exam := p.dashboard()
	// The first (older, A) is made by the store while the second (newer, B) is about to make its own.
	s := vigil.Session{}
	e.session = func() {
		now := r.now()
		s = vigil.Session{
			ID: "01a22c33-0000-7000-8000-0000000000aa", ExamID: exam, UserID: student, Name: "Amara", Attempt: 1, Generation: 1, PlatformID: l.platform.ID,
			State: vigil.StateCreated, Version: 1, Created: now, Changed: now, Presence: vigil.Presence{Connection: vigil.ConnNever, Since: now},
			Groups: []vigil.Group{groupA}, GroupsVersion: now.Add(-time.Hour).UnixMilli(),
		}
		r.ok(r.store.CreateSession(t.Context(), s))
	}
	r.later(time.Second)
	l.SetGroups(student, groupB)
	id := last(l.person(student).attempt(1))
	got := r.session(id)
	if !reflect.DeepEqual(got.Groups, []vigil.Group{groupB}) {
		t.Errorf("the newer launch told B and its session is in %v (v%d); tutor of A: %d", got.Groups, got.GroupsVersion, p.get("/dashboard/"+exam+"/sessions/"+id).Status)
	}
}

func TestAnOlderReportReplacesNoNewerOne(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	done := false
	l.SetMischief(ltitest.Mischief{Form: func(url.Values) {
		if done {
			return
		}
		done = true
		r.later(time.Second)
		l.SetAccess(tutor, watcher(groupA, groupB))
		older := l.AccessToken(l.client, quiz, tutor)
		r.later(time.Second)
		l.SetAccess(tutor, ltitest.Access{})
		newer := l.AccessToken(l.client, quiz, tutor)
		for _, token := range []string{newer, older} {
			t.Log(r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+token+`"}`).status)
		}
	}})
	page := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	if page.Status == http.StatusOK {
		t.Errorf("let in though the newest word takes everything away")
	}
}

func TestAPersonMayBeStaffAndStudent(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.SetMischief(ltitest.Mischief{AccessReport: func(_, c map[string]any) {
		staff := c["staff"].([]any)[0].(map[string]any)
		t.Logf("%T", staff["version"])
		c["students"] = []any{map[string]any{"user": tutor, "version": r.now().UnixMilli() + 5, "groups": []any{}}}
	}})
	st := r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+l.AccessToken(l.client, quiz, tutor)+`"}`).status
	l.SetMischief(ltitest.Mischief{})
	page := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	if page.Status != http.StatusOK {
		t.Errorf("report %d; the tutor is refused (%d) by what was told of them as a student", st, page.Status)
	}
}

func TestAPlatformsNoEndsPages(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.person(student).attempt(1)
	p := l.person(tutor)
	exam := p.dashboard()
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden} {
		l.unanswered(status)
		r.later(5 * time.Hour)
		if page := p.get("/dashboard/" + exam + "/report"); page.Status == http.StatusOK {
			t.Errorf("the platform answers %d for hours, and the report is open", status)
		}
	}
}
