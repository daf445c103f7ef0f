package web_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

const tutor = "20" // a second instructor

var (
	groupA = vigil.Group{ID: "12", Name: "Group A"}
	groupB = vigil.Group{ID: "13", Name: "Group <B>"}
)

// watcher is what non-editing teachers of a group may do.
func watcher(groups ...vigil.Group) ltitest.Access {
	return ltitest.Access{Groups: groups, Rights: []vigil.Right{vigil.RightWatch, vigil.RightTalk, vigil.RightTime}}
}

// groups is a Moodle whose quiz has groups: the student is in A, another in B, the tutor sees A.
func (r *rig) groups() *lms {
	r.Helper()
	cfg := pluginQuiz(`{}`)
	cfg.Users = append(ltitest.DefaultUsers(), ltitest.User{ID: tutor, Given: "Tove", Family: "Lind", Role: ltitest.Instructor})
	l := r.lms(cfg)
	l.SetGroups(student, groupA)
	l.SetGroups(another, groupB)
	l.SetAccess(tutor, watcher(groupA))
	return l
}

// report has the platform report what has changed.
func (l *lms) report() {
	l.rig.Helper()
	l.rig.ok(l.SendAccess(l.rig.Context()))
}

func (r *rig) exam(id string) vigil.Exam {
	r.Helper()
	e, err := r.store.Exam(r.Context(), id)
	r.ok(err)
	return e
}

func TestLaunchesTellWhoMaySeeAndDoWhat(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	session := r.session(last(l.person(student).attempt(1)))
	if !reflect.DeepEqual(session.Groups, []vigil.Group{groupA}) || session.GroupsVersion == 0 {
		t.Errorf("got groups %v of version %d, want those of the launch", session.Groups, session.GroupsVersion)
	}
	exam := l.person(tutor).dashboard()
	r.want("exam", exam, session.ExamID)
	r.want("source", r.exam(exam).Access, vigil.AccessSource{PlatformID: l.platform.ID, URL: l.AccessURL(quiz)})
	a, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	if want := watcher(groupA); a.All || !reflect.DeepEqual(a.Groups, want.Groups) || !reflect.DeepEqual(a.Rights, want.Rights) || r.now().Sub(a.At) > time.Minute {
		t.Errorf("got %+v, want %+v, told now", a, want)
	}

	// The next launches bring what has changed since.
	r.later(time.Second)
	l.SetGroups(student, groupB)
	l.person(student).attempt(1)
	if got := r.session(session.ID); !reflect.DeepEqual(got.Groups, []vigil.Group{groupB}) || got.GroupsVersion <= session.GroupsVersion {
		t.Errorf("got groups %v of version %d, want the new ones", got.Groups, got.GroupsVersion)
	}
	l.SetAccess(tutor, ltitest.Access{Rights: []vigil.Right{vigil.RightExport}})
	refused := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	r.status(refused, http.StatusForbidden)
	r.contains(refused, "Ask a teacher who may change roles there.")
}

// What was told later counts, whatever a launch that was under way says.
func TestALaunchDoesNotUndoALaterReport(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(tutor).dashboard()
	r.ok(r.store.PutAccess(t.Context(), vigil.Access{ExamID: exam, UserID: tutor, Version: r.now().Add(time.Hour).UnixMilli(), At: r.now()}))
	r.status(l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz}), http.StatusForbidden)

	session := r.session(last(l.person(student).attempt(1)))
	later := r.now().Add(time.Hour).UnixMilli()
	r.ok(r.store.SetGroups(t.Context(), session.ID, nil, later))
	l.person(student).attempt(1)
	r.want("version", r.session(session.ID).GroupsVersion, later)
}

// activity is a Vigil activity beside the quiz, as an instructor makes it.
func (l *lms) activity(exam string, custom map[string]string) string {
	l.rig.Helper()
	link := ltitest.Link{ID: "77", Title: "Vigil", Custom: map[string]string{"vigil_exam": exam}}
	for k, v := range custom {
		link.Custom[k] = v
	}
	l.SetLink(link)
	return link.ID
}

// unanswered makes the platform answer no question of groups and rights; 0: it does again.
func (l *lms) unanswered(status int) {
	l.SetMischief(ltitest.Mischief{HTTP: func(at ltitest.Endpoint, w http.ResponseWriter, _ *http.Request) bool {
		if at != ltitest.AtAccess || status == 0 {
			return false
		}
		w.WriteHeader(status)
		return true
	}})
}

// TestNobodyGetsInAroundTheRecord launches where nothing is told of groups and rights, to an exam
// whose platform does tell: a Vigil activity, an older plugin.
func TestNobodyGetsInAroundTheRecord(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(instructor).dashboard()
	alias := l.activity(exam, nil)
	open := func(user, link string, custom map[string]string) *ltitest.Page {
		return l.person(user).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: link, Custom: custom})
	}
	older := map[string]string{"vigil_settings": `{"vigil":2,"policy":{}}`}
	stored := func() (vigil.Access, bool) {
		a, err := r.store.Access(t.Context(), exam, tutor)
		return a, err == nil
	}

	l.unanswered(http.StatusBadGateway)
	page := open(tutor, alias, nil)
	r.status(page, http.StatusServiceUnavailable)
	r.contains(page, "Try again in a minute")
	l.unanswered(http.StatusNotFound)
	page = open(tutor, quiz, older)
	r.status(page, http.StatusForbidden)
	r.contains(page, "Open Vigil from the quiz itself.")
	if a, ok := stored(); ok {
		t.Fatalf("got %+v kept of an answer that never came", a)
	}

	l.unanswered(0)
	asked := l.Count(ltitest.AtAccess)
	r.status(open(tutor, alias, nil), http.StatusOK)
	r.want("questions", l.Count(ltitest.AtAccess)-asked, 1)
	if a, ok := stored(); !ok || a.All || !reflect.DeepEqual(a.Groups, []vigil.Group{groupA}) {
		t.Errorf("got %+v, want what the platform answered", a)
	}
	r.want("source after another way in", r.exam(exam).Access.URL, l.AccessURL(quiz))

	// What was told before counts while the platform does not answer.
	l.unanswered(http.StatusBadGateway)
	r.status(open(tutor, quiz, older), http.StatusOK)
	r.ok(r.store.PutAccess(t.Context(), vigil.Access{ExamID: exam, UserID: tutor, Version: r.now().Add(time.Hour).UnixMilli(), At: r.now()}))
	r.status(open(tutor, quiz, older), http.StatusForbidden)

	l.unanswered(0)
	l.SetMischief(ltitest.Mischief{Access: func(answer map[string]any) { answer["staff"] = []any{} }})
	r.status(open(instructor, alias, nil), http.StatusForbidden)
}

// Whoever makes an activity writes its parameters: they give nobody rights, and do not change
// whom we ask.
func TestAnActivityTellsNothingOfRights(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(instructor).dashboard()
	alias := l.activity(exam, map[string]string{"vigil_settings": fmt.Sprintf(
		`{"vigil":3,"policy":{"attention":0.9},"access_url":%q,"access":{"version":9000000000000000,"all":true,"rights":["watch","end"]}}`, l.AccessURL("77"))})
	before := r.exam(exam)
	page := l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
	r.status(page, http.StatusOK)
	a, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	if a.All || a.May(vigil.RightEnd) || a.Version > r.now().Add(time.Minute).UnixMilli() {
		t.Errorf("got %+v, want what the platform answers", a)
	}
	if after := r.exam(exam); !reflect.DeepEqual(after, before) {
		t.Errorf("got %+v, want the exam as it was: %+v", after, before)
	}
}

// An address that is not the platform's is no answer to whom to ask.
func TestALaunchWithAForeignAddressIsRefused(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.SetMischief(ltitest.Mischief{Claims: func(c map[string]any) {
		for _, name := range []string{ltitest.ClaimAP + "proctoring_settings", ltitest.ClaimLTI + "custom"} {
			if m, ok := c[name].(map[string]any); ok {
				for k, v := range m {
					m[k] = strings.ReplaceAll(fmt.Sprint(v), l.Issuer(), "https://evil.example")
				}
			}
		}
	}})
	for _, page := range []*ltitest.Page{
		l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz}), l.person(student).attempt(1),
	} {
		r.status(page, http.StatusBadRequest)
		r.contains(page, "address for groups and rights is not on one of its own origins")
	}
}

// TestAnExamThatIsToldOfLaterIsGuarded opens an exam by a Vigil activity first: everyone who
// teaches may do everything, until the plugin tells otherwise.
func TestAnExamThatIsToldOfLaterIsGuarded(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	early := l.person(tutor)
	page := early.launch(ltitest.Launch{Message: ltitest.DeepLinking, Custom: map[string]string{"vigil_quizzes": `[{"id":"` + quiz + `","title":"Midterm"}]`}})
	r.status(early.submit(page, page.URL.Path, url.Values{"exam": {"quiz:" + quiz}}), http.StatusOK)
	alias := l.DeepLinks()[0].Links[0].ID
	exam := last(early.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias}))
	r.want("told", r.exam(exam).Access.Told(), false)
	r.status(early.get("/dashboard/"+exam+"/settings"), http.StatusOK)

	r.want("exam of the quiz", r.session(last(l.person(another).attempt(1))).ExamID, exam)
	r.want("told", r.exam(exam).Access.Told(), true)
	page = early.get("/dashboard/" + exam)
	r.status(page, http.StatusForbidden)
	r.contains(page, "Open it again from your course.")
	r.want("status of a token", early.call("POST", "/api/v1/socket/page-token", `{"exam":"`+exam+`"}`).status, http.StatusForbidden)
	r.status(early.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias}), http.StatusOK)
	r.status(early.get("/dashboard/"+exam), http.StatusOK)
	r.status(early.get("/dashboard/"+exam+"/settings"), http.StatusForbidden)
}

// A launch that names another group's attempt says no more than one that names none.
func TestALaunchToAnotherGroupsAttempt(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	own := last(l.person(student).attempt(1))
	l.person(another).attempt(1)
	open := func(user, attempt string) *ltitest.Page {
		return l.person(tutor).launch(ltitest.Launch{
			Message: ltitest.ResourceLink, LinkID: quiz, Custom: map[string]string{"vigil_user": user, "vigil_attempt": attempt},
		})
	}
	r.want("own group's attempt", last(open(student, "1")), own)
	foreign, none := open(another, "1"), open("6", "1")
	r.status(foreign, http.StatusNotFound)
	if strip := func(p *ltitest.Page) string {
		return strings.ReplaceAll(p.Body, between(t, p.Body, "<code>", "</code>"), "")
	}; strip(foreign) != strip(none) {
		t.Errorf("got %s, want what is said of an attempt that is not there: %s", foreign.Body, none.Body)
	}
}

// TestAReportCountsAtOnce takes rights away, and moves a student, while the pages are open.
func TestAReportCountsAtOnce(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	session := last(l.person(student).attempt(1))
	second := last(l.person(student).attempt(2))
	p := l.person(tutor)
	exam := p.dashboard()
	page := "/dashboard/" + exam
	timeline := page + "/sessions/" + session
	r.status(p.get(timeline), http.StatusOK)

	l.SetGroups(student, groupB)
	l.report()
	for _, id := range []string{session, second} {
		if got := r.session(id).Groups; !reflect.DeepEqual(got, []vigil.Group{groupB}) {
			t.Errorf("got groups %v, want all of the student's attempts in %v", got, groupB)
		}
	}
	r.status(p.get(timeline), http.StatusNotFound)
	r.want("status of the timeline", p.call("GET", "/api/v1/exams/"+exam+"/sessions/"+session+"/timeline", "").status, http.StatusNotFound)

	l.SetAccess(tutor, ltitest.Access{})
	l.report()
	for _, path := range []string{page, page + "/report", timeline, "/api/v1/exams/" + exam} {
		r.want("status of "+path, p.call("GET", path, "").status, http.StatusForbidden)
	}
	r.want("status of a token", p.call("POST", "/api/v1/socket/page-token", `{"exam":"`+exam+`"}`).status, http.StatusForbidden)

	// What was told before the present state changes nothing, and the same again neither.
	before, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	l.SetMischief(ltitest.Mischief{AccessReport: func(_, c map[string]any) {
		for _, list := range []string{"staff", "students"} {
			for _, a := range c[list].([]any) {
				m := a.(map[string]any)
				m["version"], m["all"], m["rights"], m["groups"] = 1, true, vigil.Rights, []vigil.Group{groupA}
			}
		}
	}})
	old := r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+l.AccessToken(l.client, quiz, tutor, student)+`"}`)
	r.want("status of an old report", old.status, http.StatusOK)
	r.want("people taken", old.json(r)["taken"], 2.0)
	after, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	r.want("version", after.Version, before.Version)
	r.want("groups after an old report", fmt.Sprint(r.session(session).Groups), fmt.Sprint([]vigil.Group{groupB}))
	l.SetMischief(ltitest.Mischief{})

	l.SetAccess(tutor, watcher(groupB))
	l.report()
	r.status(p.get(timeline), http.StatusOK)

	entries, _, err := r.store.AuditOfExam(t.Context(), exam, vigil.Page{})
	r.ok(err)
	var details []string
	for _, e := range entries {
		if e.Action == "access.changed" {
			r.want("who changed it", e.By, vigil.Actor{Role: vigil.RoleLMS, ID: l.platform.ID})
			details = append(details, e.Detail)
		}
	}
	slices.Reverse(details) // the newest is the first
	// The first report holds what was set before anybody came, too.
	if want := []string{"staff 1, students 2", "staff 1, students 0", "staff 1, students 1", "staff 1, students 0"}; !slices.Equal(details, want) {
		t.Errorf("got entries %v, want %v", details, want)
	}
}

func TestAReportThatIsNotTaken(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	post := func(token string) answer {
		return r.call(stranger(), "POST", "/api/v1/access", `{"assertion":"`+token+`"}`)
	}
	unknown := post(l.AccessToken(l.client, quiz, tutor))
	r.want("status before anybody came", unknown.status, http.StatusNotFound)
	r.want("code", unknown.json(r)["code"], "not_found")
	exam := l.person(tutor).dashboard()
	token := l.AccessToken(l.client, quiz, tutor)
	r.want("status", post(token).status, http.StatusOK)
	r.want("status of a replay", post(token).status, http.StatusUnauthorized)
	r.want("status of another quiz", post(l.AccessToken(l.client, "quiz-99", tutor)).status, http.StatusNotFound)
	r.want("status of nonsense", post("a.b.c").status, http.StatusBadRequest)
	r.want("status of no JSON", r.call(stranger(), "POST", "/api/v1/access", "x").status, http.StatusBadRequest)
	l.person(student).attempt(1)
	a, _ := l.FindAttempt(student, quiz, 1)
	r.want("status of an assertion", post(l.Assertion(a)).status, http.StatusUnauthorized)

	stranger := r.groups() // another platform, with a quiz of the same name
	stranger.SetAccess(tutor, ltitest.Access{})
	r.want("status of another platform's", post(stranger.AccessToken(stranger.client, quiz, tutor)).status, http.StatusNotFound)
	kept, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	r.want("may watch after another platform's report", kept.May(vigil.RightWatch), true)
}

func TestReportsOfHundredsOfPeopleAreTakenAtOnce(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(instructor).dashboard()
	users := make([]string, 400)
	for i := range users {
		users[i] = fmt.Sprint("u", i)
		l.AddUser(ltitest.User{ID: users[i], Given: "A", Family: "B"})
		r.ok(r.store.CreateSession(t.Context(), vigil.Session{
			ID: fmt.Sprint("session-", i), ExamID: exam, UserID: users[i], Name: "A B", Attempt: 1, Generation: 1, PlatformID: l.platform.ID,
			State: vigil.StateActive, Version: 1, Created: r.now(), Changed: r.now(), Presence: vigil.Presence{Connection: vigil.ConnNever, Since: r.now()},
		}))
		l.SetGroups(users[i], groupA)
	}
	began := time.Now()
	l.report()
	t.Logf("400 people in %s", time.Since(began))
	for i := range users {
		if got := r.session(fmt.Sprint("session-", i)).Groups; !reflect.DeepEqual(got, []vigil.Group{groupA}) {
			t.Fatalf("got groups %v of %s, want %v", got, users[i], groupA)
		}
	}
}

// TestAGroupsProctorReadsOfTheGroupOnly compares what the tutor and the instructor read.
func TestAGroupsProctorReadsOfTheGroupOnly(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.SetGroups(student, groupA, groupB)
	l.SetAccess(tutor, ltitest.Access{Groups: []vigil.Group{groupA}, Rights: []vigil.Right{vigil.RightWatch, vigil.RightExport}})
	own, foreign := r.session(last(l.person(student).attempt(1))), r.session(last(l.person(another).attempt(1)))
	none := r.session(last(l.person("6").attempt(1))) // in no group: seen by those who see all
	for _, s := range []vigil.Session{own, foreign} {
		_, err := r.hub.Sessions().Apply(t.Context(), s.ID, vigil.Change{Event: vigil.EventActivate, At: r.now(), By: proctor})
		if err == nil {
			continue
		}
		for _, e := range []vigil.Event{vigil.EventConsent, vigil.EventActivate} {
			_, err := r.hub.Sessions().Apply(t.Context(), s.ID, vigil.Change{Event: e, At: r.now(), By: proctor})
			r.ok(err)
		}
	}
	r.fill(foreign, 45)
	all, some := l.person(instructor), l.person(tutor)
	exam := all.dashboard()
	r.want("exam", some.dashboard(), exam)

	page := some.get("/dashboard/" + exam + "/report")
	r.status(page, http.StatusOK)
	for _, text := range []string{"Amara Okafor", "Group A", "<dt>Attempts</dt><dd>1</dd>", "<dt>Incidents</dt><dd>0</dd>"} {
		r.contains(page, text)
	}
	for _, text := range []string{"Budi Santoso", foreign.ID, "Group &lt;B&gt;", none.ID, "Pasted"} {
		if strings.Contains(page.Body, text) {
			t.Errorf("got %q in the report of a proctor of group A", text)
		}
	}
	whole := all.get("/dashboard/" + exam + "/report")
	for _, text := range []string{"Amara Okafor", "Budi Santoso", "Group &lt;B&gt;", "<dt>Attempts</dt><dd>3</dd>", "<dt>Incidents</dt><dd>10</dd>"} {
		r.contains(whole, text)
	}

	file := func(p *person) [][]string {
		_, text, _ := strings.Cut(p.call("GET", "/dashboard/"+exam+"/report?format=csv", "").text, "\uFEFF")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		r.ok(err)
		return rows
	}
	rows := file(some)
	at := slices.Index(rows[0], "groups")
	if len(rows) != 2 || at < 0 || rows[1][at] != "Group A" || rows[1][1] != student {
		t.Errorf("got %v, want the group's student only", rows)
	}
	got := map[string]string{}
	for _, row := range file(all)[1:] {
		got[row[1]] = row[at]
	}
	if want := map[string]string{student: "Group A; Group <B>", another: "Group <B>", "6": ""}; !reflect.DeepEqual(got, want) {
		t.Errorf("got groups %v, want %v", got, want)
	}

	timeline := some.get("/dashboard/" + exam + "/sessions/" + own.ID)
	r.status(timeline, http.StatusOK)
	r.contains(timeline, "Groups: <bdi>Group A</bdi>")
	if strings.Contains(timeline.Body, "Group &lt;B&gt;") {
		t.Error("got a group that the proctor knows nothing of")
	}
	r.contains(all.get("/dashboard/"+exam+"/sessions/"+own.ID), "<bdi>Group A</bdi>, <bdi>Group &lt;B&gt;</bdi>")
	r.status(some.get("/dashboard/"+exam+"/sessions/"+none.ID), http.StatusNotFound)

	asked := l.Count(ltitest.AtAccess)
	for range 3 { // the platform is asked once
		var users []string
		for _, m := range some.call("GET", "/api/v1/exams/"+exam+"/members", "").json(r)["members"].([]any) {
			users = append(users, m.(map[string]any)["user"].(string))
		}
		if !slices.Equal(users, []string{student}) {
			t.Errorf("got members %v, want the group's student", users)
		}
	}
	r.want("questions", l.Count(ltitest.AtAccess)-asked, 1)
	r.want("members of all", len(all.call("GET", "/api/v1/exams/"+exam+"/members", "").json(r)["members"].([]any)), 6)
	l.SetGroups("5", groupA)
	r.later(31 * time.Second)
	r.want("members later", len(some.call("GET", "/api/v1/exams/"+exam+"/members", "").json(r)["members"].([]any)), 2)
	r.later(31 * time.Second)
	l.unanswered(http.StatusBadGateway)
	r.want("status of members without an answer", some.call("GET", "/api/v1/exams/"+exam+"/members", "").status, http.StatusServiceUnavailable)
}

// Pages offer what the person may do, and tell their scripts of it.
func TestPagesOfferWhatOneMayDo(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	session := last(l.person(student).attempt(1))
	all, some := l.person(instructor), l.person(tutor)
	exam := all.dashboard()
	some.dashboard()
	base := "/dashboard/" + exam
	for _, row := range []struct {
		who    *person
		rights string
		offers bool
	}{
		{all, "[watch talk time end reopen review export]", true},
		{some, "[watch talk time]", false},
	} {
		for _, path := range []string{base, base + "/report", base + "/sessions/" + session} {
			page := row.who.get(path)
			r.status(page, http.StatusOK)
			r.want("rights at "+path, fmt.Sprint(r.config(page)["rights"]), row.rights)
			if path != base {
				r.want("download at "+path, strings.Contains(page.Body, "format=csv"), row.offers)
			}
		}
		links := r.config(row.who.get(base))["links"].(map[string]any)
		r.want("link to the settings", links["settings"] != nil, row.offers)
		r.want("link to the report", links["report"], base+"/report")
	}
}

// The socket's token names the record's version; where the platform tells of none it names none.
func TestATokenNamesTheRecord(t *testing.T) {
	r := newRig(t)
	version := func(p *person, exam string) int64 {
		token := p.call("POST", "/api/v1/socket/page-token", `{"exam":"`+exam+`"}`).json(r)["token"].(string)
		c, err := r.tool.VerifySocket(t.Context(), token)
		r.ok(err)
		return c.Access
	}
	p := r.groups().person(tutor)
	exam := p.dashboard()
	a, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	r.want("version", version(p, exam), a.Version)
	p = r.lms(ltitest.Config{}).person(instructor)
	r.want("version without records", version(p, p.dashboard()), int64(0))
}

// By a roster of Moodle a non-editing teacher is a learner.
func TestOnlyWhoMayAttemptTheQuizIsMissing(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	p := l.person(instructor)
	exam := p.dashboard()
	l.SetMischief(ltitest.Mischief{Access: func(answer map[string]any) {
		answer["students"] = slices.DeleteFunc(answer["students"].([]any), func(v any) bool { return v.(map[string]any)["user"] == another })
	}})
	got := p.call("GET", "/api/v1/exams/"+exam+"/members", "").text
	if !strings.Contains(got, `"user":"`+student+`"`) || strings.Contains(got, `"user":"`+another+`"`) {
		t.Errorf("got %s, want those who may attempt the quiz", got)
	}
	r.later(10 * time.Second)
	l.SetMischief(ltitest.Mischief{})
	l.unanswered(http.StatusInternalServerError)
	got = p.call("GET", "/api/v1/exams/"+exam+"/members", "").text
	if !strings.Contains(got, `"user":"`+another+`"`) {
		t.Errorf("got %s, want the roster while the platform does not answer", got)
	}
}

// memberNames are those who are listed as missing, by user.
func (p *person) memberNames(exam string) map[string]string {
	p.lms.rig.Helper()
	got := p.call("GET", "/api/v1/exams/"+exam+"/members", "")
	p.lms.rig.want("status of members", got.status, http.StatusOK)
	names := map[string]string{}
	for _, m := range got.json(p.lms.rig)["members"].([]any) {
		name, _ := m.(map[string]any)["name"].(string)
		names[m.(map[string]any)["user"].(string)] = name
	}
	return names
}

// withoutRoster has launches offer no Names and Roles service, as those of a quiz.
func withoutRoster(c map[string]any) { delete(c, ltitest.ClaimNRPS+"namesroleservice") }

// TestAQuizsDashboardNamesWhoIsMissing has no roster: the plugin's answer gives the names, of whom
// that proctor sees.
func TestAQuizsDashboardNamesWhoIsMissing(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.SetMischief(ltitest.Mischief{Claims: withoutRoster})
	some, all := l.person(tutor), l.person(instructor)
	exam := some.dashboard()
	all.dashboard()
	r.want("offered", r.config(some.get("/dashboard/" + exam))["members"], true)
	rosters := l.Count(ltitest.AtMembers)
	want := map[string]string{student: "Amara Okafor"}
	for range 2 { // one proctor's names are not kept for the other
		if got := some.memberNames(exam); !reflect.DeepEqual(got, want) {
			t.Errorf("got %q for one group, want %q", got, want)
		}
		if got := all.memberNames(exam); len(got) != 6 || got[another] != "Budi Santoso" || slices.Contains(slices.Collect(maps.Values(got)), "") {
			t.Errorf("got %q for everyone, want all by name", got)
		}
	}
	r.want("rosters read", l.Count(ltitest.AtMembers)-rosters, 0)

	// Who sees more from now on has the names of these, too.
	l.SetAccess(tutor, watcher(groupA, groupB))
	l.report()
	if got := some.memberNames(exam); !reflect.DeepEqual(got, map[string]string{student: "Amara Okafor", another: "Budi Santoso"}) {
		t.Errorf("got %q for two groups, want both by name", got)
	}
	l.SetAccess(tutor, watcher(groupA))
	l.report()

	// A platform that answers more than it should, and one that shares no names.
	r.later(time.Minute)
	l.SetMischief(ltitest.Mischief{Claims: withoutRoster, Access: func(answer map[string]any) {
		for _, s := range answer["students"].([]any) {
			s.(map[string]any)["name"] = "Somebody"
		}
	}})
	if got := some.memberNames(exam); !reflect.DeepEqual(got, map[string]string{student: "Somebody"}) {
		t.Errorf("got %q, want nobody of another group", got)
	}
	r.later(time.Minute)
	nameless := func(answer map[string]any) {
		for _, s := range answer["students"].([]any) {
			delete(s.(map[string]any), "name")
		}
	}
	l.SetMischief(ltitest.Mischief{Claims: withoutRoster, Access: nameless})
	if got := some.memberNames(exam); !reflect.DeepEqual(got, map[string]string{student: ""}) {
		t.Errorf("got %q, want the student without a name", got)
	}
	r.later(time.Minute)
	l.unanswered(http.StatusBadGateway)
	r.want("status without an answer", all.call("GET", "/api/v1/exams/"+exam+"/members", "").status, http.StatusServiceUnavailable)

	// An older plugin gives no names: where there is a roster, it does.
	l.SetMischief(ltitest.Mischief{Access: nameless})
	some.dashboard()
	if got := some.memberNames(exam); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q with a roster, want %q", got, want)
	}
}

// TestWhoIsMissingIsByWhatIsKnownWhenItIsTold has groups and rights change while the platform is
// asked who may attempt the quiz: it may take long to answer, and many proctors ask in turn.
func TestWhoIsMissingIsByWhatIsKnownWhenItIsTold(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	l.person(student).attempt(1)
	l.SetMischief(ltitest.Mischief{Claims: withoutRoster})
	p := l.person(tutor)
	exam := p.dashboard()
	meanwhile := func(change func()) {
		r.later(time.Minute)
		l.SetMischief(ltitest.Mischief{Claims: withoutRoster, Access: func(map[string]any) {
			change()
			r.ok(l.SendAccess(t.Context()))
		}})
	}
	r.want("members", len(p.memberNames(exam)), 1)

	meanwhile(func() { l.SetGroups(student, groupB) })
	if got := p.memberNames(exam); len(got) > 0 {
		t.Errorf("got %q, want nobody: the student was moved before the answer came", got)
	}
	if got := p.memberNames(exam); len(got) > 0 { // from what is kept of that answer
		t.Errorf("got %q a moment later, want nobody", got)
	}
	l.SetGroups(student, groupA)
	l.report()
	meanwhile(func() { l.SetAccess(tutor, watcher(groupB)) })
	if got := p.memberNames(exam); len(got) > 0 {
		t.Errorf("got %q, want nobody of the group that the proctor had", got)
	}
	if got := p.memberNames(exam); !reflect.DeepEqual(slices.Sorted(maps.Keys(got)), []string{another}) { // the page asks again when it hears of it
		t.Errorf("got %q, want the student of the group that the proctor has now", got)
	}
	meanwhile(func() { l.SetAccess(tutor, ltitest.Access{}) })
	r.want("status for who may nothing any more", p.call("GET", "/api/v1/exams/"+exam+"/members", "").status, http.StatusForbidden)
}

// TestAnActivityOfOnesOwnIsNoWayToTheRoster has a teacher of one group, who may write activities,
// make one that no quiz guards.
func TestAnActivityOfOnesOwnIsNoWayToTheRoster(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	own := func(l *lms) (*person, string) {
		l.SetLink(ltitest.Link{ID: "78", Title: "Mine"})
		p := l.person(tutor)
		page := p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: "78"})
		r.status(page, http.StatusOK)
		return p, last(page)
	}
	p, exam := own(l)
	if got := p.memberNames(exam); len(got) != 6 {
		t.Errorf("got %q before any quiz was opened, want the roster: nothing tells this platform from one without groups", got)
	}
	l.person(student).attempt(1)
	refused := func(p *person, exam string) {
		t.Helper()
		got := p.call("GET", "/api/v1/exams/"+exam+"/members", "")
		if got.status != http.StatusForbidden || strings.Contains(got.text, "Budi") || !strings.Contains(got.text, "Open Vigil from the quiz") {
			t.Errorf("got %d %s, want it refused, with the way to a list", got.status, got.text)
		}
		r.want("offered", r.config(p.get("/dashboard/" + exam))["members"], false)
	}
	refused(p, exam)

	// The same Moodle under another registration, whose own quizzes were never opened.
	again := l.register("another-client")
	p, exam = own(again)
	refused(p, exam)
}

// TestWhoLeavesDoesNotMakeTheQuestionFail closes a page while the platform is asked for it.
func TestWhoLeavesDoesNotMakeTheQuestionFail(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	p := l.person(tutor)
	exam := p.dashboard()
	l.SetAccess(tutor, ltitest.Access{Groups: []vigil.Group{groupB}, Rights: []vigil.Right{vigil.RightWatch}})
	r.later(10 * time.Minute) // what was told is old

	ctx, leave := context.WithCancel(t.Context())
	l.SetMischief(ltitest.Mischief{HTTP: func(at ltitest.Endpoint, _ http.ResponseWriter, _ *http.Request) bool {
		if at == ltitest.AtAccess {
			leave()
		}
		return false
	}})
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, r.origin+"/dashboard/"+exam, nil)
	for _, c := range p.Client.Jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	r.web.ServeHTTP(httptest.NewRecorder(), req)
	if ctx.Err() == nil {
		t.Fatal("the platform was not asked")
	}
	a, err := r.store.Access(t.Context(), exam, tutor)
	r.ok(err)
	if !reflect.DeepEqual(a.Groups, []vigil.Group{groupB}) || r.now().Sub(a.At) > time.Minute {
		t.Errorf("got %+v, want what the platform answered", a)
	}
}

// TestWhoIsErasedHasNoRecordAgain erases a proctor while the platform is asked of them for a page,
// and then has the platform report of them.
func TestWhoIsErasedHasNoRecordAgain(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	p := l.person(tutor)
	exam := p.dashboard()
	r.later(10 * time.Minute)
	erase := func(map[string]any) {
		_, err := r.store.EraseUser(t.Context(), l.Issuer(), tutor)
		r.ok(err)
	}
	l.SetMischief(ltitest.Mischief{Access: erase})
	r.status(p.get("/dashboard/"+exam), http.StatusForbidden)
	gone := func(after string) {
		t.Helper()
		if a, err := r.store.Access(t.Context(), exam, tutor); !errors.Is(err, vigil.ErrNotFound) {
			t.Errorf("got %+v, %v after %s, want no record of somebody who was erased", a, err, after)
		}
	}
	gone("the answer")
	l.SetMischief(ltitest.Mischief{})
	l.SetAccess(tutor, watcher(groupB))
	l.report()
	gone("a report")
	p.dashboard() // back by the course
	if a, err := r.store.Access(t.Context(), exam, tutor); err != nil || !reflect.DeepEqual(a.Groups, []vigil.Group{groupB}) {
		t.Errorf("got %+v, %v after a launch, want what it told", a, err)
	}
}

// TestAReportOvertakesALaunchThatAsked takes everything from a proctor who comes by an activity,
// after the platform has answered and before that is kept.
func TestAReportOvertakesALaunchThatAsked(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	exam := l.person(instructor).dashboard()
	alias := l.activity(exam, nil)
	l.SetMischief(ltitest.Mischief{Access: func(map[string]any) {
		r.later(time.Second)
		l.SetAccess(tutor, ltitest.Access{})
		r.ok(l.SendAccess(t.Context()))
	}})
	l.person(tutor).launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: alias})
	if a, err := r.store.Access(t.Context(), exam, tutor); err != nil || len(a.Rights) > 0 {
		t.Errorf("got %+v, %v, want what the report said", a, err)
	}
}
