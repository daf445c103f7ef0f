package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/web"
)

// TestEveryRouteAsksWhoIsThere sends every visitor to every route.
func TestEveryRouteAsksWhoIsThere(t *testing.T) {
	r := newRig(t)
	cfg := pluginQuiz(`{}`)
	cfg.Links = append(cfg.Links, ltitest.Link{ID: "quiz-3", Title: "Another"})
	l := r.lms(cfg)
	amara, budi := l.person(student), l.person(another)
	own := last(amara.attempt(1))
	others := last(budi.attempt(1))
	teacher, foreign := l.person(instructor), l.person(instructor)
	exam := teacher.dashboard()
	otherExam := last(foreign.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: "quiz-3"}))
	elsewhere := l.person("5")
	foreignSession := last(elsewhere.launch(ltitest.Launch{Message: ltitest.StartProctoring, LinkID: "quiz-3", Attempt: 1}))
	reader := l.person(student)
	reader.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	picker := l.person(instructor)
	pick := picker.launch(ltitest.Launch{Message: ltitest.DeepLinking})

	visitors := map[string]*http.Client{
		"nobody": stranger(), "student": amara.Client, "other student": budi.Client, "status": reader.Client,
		"proctor": teacher.Client, "other proctor": foreign.Client, "picker": picker.Client,
	}
	const form = "application/x-www-form-urlencoded"
	policy := "attention=0.3&link_loss=ask&lost_time_cap=15&duration_minutes=0&retention.signals=90&retention.chat=90&retention.sessions=400&retention.audit=400"
	routes := []struct {
		method, path, body, media string
		admits                    []string // who passes; everyone else gets 403
		status                    int      // for them
	}{
		{"GET", "/checkin/" + own, "", "", []string{"student"}, 200},
		{"POST", "/checkin/" + own + "/start", "", form, []string{"student"}, 400},
		{"GET", "/checkin/" + others, "", "", []string{"other student"}, 200},
		{"GET", "/checkin/" + foreignSession, "", "", nil, 0},
		{"GET", "/status/" + exam, "", "", []string{"status"}, 200},
		{"GET", "/status/" + otherExam, "", "", nil, 0},
		{"GET", "/resume", "", "", []string{"student", "other student", "status", "proctor", "other proctor", "picker"}, 303},
		{"GET", "/dashboard/" + exam, "", "", []string{"proctor"}, 200},
		{"GET", "/dashboard/" + otherExam, "", "", []string{"other proctor"}, 200},
		{"GET", "/dashboard/" + exam + "/report", "", "", []string{"proctor"}, 200},
		{"GET", "/dashboard/" + exam + "/report?format=csv", "", "", []string{"proctor"}, 200},
		{"GET", "/dashboard/" + exam + "/settings", "", "", []string{"proctor"}, 200},
		{"POST", "/dashboard/" + exam + "/settings", policy, form, []string{"proctor"}, 409},
		{"POST", "/dashboard/" + otherExam + "/settings", policy, form, []string{"other proctor"}, 303},
		{"GET", "/dashboard/" + exam + "/sessions/" + own, "", "", []string{"proctor"}, 200},
		{"GET", "/dashboard/" + exam + "/sessions/" + own + "?format=csv", "", "", []string{"proctor"}, 200},
		{"GET", "/dashboard/" + exam + "/sessions/" + foreignSession, "", "", []string{"proctor"}, 404},
		{"GET", "/api/v1/exams/" + exam, "", "", []string{"proctor"}, 200},
		{"PUT", "/api/v1/exams/" + exam + "/policy", `{}`, "", []string{"proctor"}, 409},
		{"PUT", "/api/v1/exams/" + otherExam + "/policy", `{"attention":0.5}`, "", []string{"other proctor"}, 200},
		{"GET", "/api/v1/exams/" + exam + "/members", "", "", []string{"proctor"}, 200},
		{"POST", "/api/v1/exams/" + exam + "/open", `{}`, "", []string{"proctor"}, 200},
		{"POST", "/api/v1/exams/" + exam + "/open", `{"path":"/dashboard/` + otherExam + `"}`, "", []string{"proctor"}, 400},
		{"GET", "/api/v1/exams/" + exam + "/sessions/" + own + "/timeline", "", "", []string{"proctor"}, 200},
		{"GET", "/api/v1/exams/" + exam + "/sessions/" + foreignSession + "/timeline", "", "", []string{"proctor"}, 404},
		{"POST", "/api/v1/exams/" + exam + "/sessions/" + own + "/incidents/review", `{"id":"none"}`, "", []string{"proctor"}, 404},
		{"POST", "/api/v1/exams/" + exam + "/sessions/" + foreignSession + "/incidents/review", `{"id":"none"}`, "", []string{"proctor"}, 404},
		{"POST", "/api/v1/socket/page-token", `{"session":"` + own + `"}`, "", []string{"student"}, 200},
		{"POST", "/api/v1/socket/page-token", `{"exam":"` + exam + `"}`, "", []string{"proctor"}, 200},
		{"POST", "/api/v1/socket/page-token", `{"session":"` + foreignSession + `"}`, "", nil, 0},
		{"GET", pick.URL.Path, "", "", []string{"picker"}, 200},
		{"POST", pick.URL.Path, "exam=" + otherExam, form, []string{"picker"}, 200},
	}
	seen := map[string]bool{}
	for _, route := range routes {
		for name, c := range visitors {
			want := http.StatusForbidden
			if slices.Contains(route.admits, name) {
				want = route.status
			}
			headers := []string{}
			if route.media != "" {
				headers = []string{"Content-Type", route.media, "Origin", r.origin}
			}
			got := r.call(c, route.method, route.path, route.body, headers...)
			if got.status != want {
				t.Errorf("%s %s by %s: got %d %s, want %d", route.method, route.path, name, got.status, got.text, want)
			}
			if !strings.Contains(got.header.Get("Cache-Control"), "no-store") {
				t.Errorf("%s %s by %s: got Cache-Control %q, want no-store", route.method, route.path, name, got.header.Get("Cache-Control"))
			}
		}
		seen[route.method+" "+strings.NewReplacer(exam, "{exam}", otherExam, "{exam}", own, "{session}", others, "{session}", foreignSession, "{session}",
			pick.URL.Path, "/lti/deeplink/{request}").Replace(strings.Split(route.path, "?")[0])] = true
	}

	// Routes with proofs of their own, or nothing to prove.
	open := []string{
		"GET /", "GET /favicon.ico", "GET /assets/*", "GET /open/{code}", "POST /open", "GET /lti/register/{invitation}", "POST /lti/register/{invitation}",
		"GET /lti/keys", "POST /lti/launch", "POST /api/v1/socket/token", "OPTIONS /api/v1/socket/token",
		"POST /api/v1/attempts/opened", "POST /api/v1/attempts/ended", "POST /api/v1/attempts/export", "POST /api/v1/attempts/standing", "POST /api/v1/access", "GET /api/v1/about",
		"GET /api/v1/receipts/keys",
	}
	err := chi.Walk(r.web.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + strings.TrimSuffix(route, "/")
		if route == "/" {
			name = method + " /"
		}
		if route != "/socket" && route != "/lti/login" && !seen[name] && !slices.Contains(open, name) {
			t.Errorf("no row for %s", name)
		}
		return nil
	})
	r.ok(err)
}

// TestEveryRouteOfAnExamAsksForItsRight asks for everything of an exam with every right, with
// each right missing, and for the attempt of a group that the person does not see.
func TestEveryRouteOfAnExamAsksForItsRight(t *testing.T) {
	r := newRig(t)
	l := r.groups()
	own, foreign := last(l.person(student).attempt(1)), last(l.person(another).attempt(1))
	p := l.person(tutor)
	exam := p.dashboard()
	version := r.now().UnixMilli()
	entitle := func(user string, all bool, rights ...vigil.Right) {
		t.Helper()
		version++
		r.ok(r.store.PutAccess(t.Context(), vigil.Access{
			ExamID: exam, UserID: user, Version: version, At: r.now(), All: all, Groups: []vigil.Group{groupA}, Rights: rights,
		}))
	}
	const form = "application/x-www-form-urlencoded"
	everything := vigil.Rights
	watch := []vigil.Right{vigil.RightWatch}
	export := []vigil.Right{vigil.RightWatch, vigil.RightExport}
	review := []vigil.Right{vigil.RightWatch, vigil.RightReview}
	routes := []struct {
		method, path, body, media string
		needs                     []vigil.Right
		status                    int
	}{
		{"GET", "/dashboard/{exam}", "", "", watch, 200},
		{"GET", "/dashboard/{exam}/report", "", "", watch, 200},
		{"GET", "/dashboard/{exam}/report?format=csv", "", "", export, 200},
		{"GET", "/dashboard/{exam}/settings", "", "", everything, 200},
		{"POST", "/dashboard/{exam}/settings", "", form, everything, 409},
		{"GET", "/dashboard/{exam}/sessions/{session}", "", "", watch, 200},
		{"GET", "/dashboard/{exam}/sessions/{session}?format=csv", "", "", export, 200},
		{"GET", "/api/v1/exams/{exam}", "", "", watch, 200},
		{"PUT", "/api/v1/exams/{exam}/policy", `{}`, "", everything, 409},
		{"GET", "/api/v1/exams/{exam}/members", "", "", watch, 200},
		{"POST", "/api/v1/exams/{exam}/open", `{}`, "", watch, 200},
		{"GET", "/api/v1/exams/{exam}/sessions/{session}/timeline", "", "", watch, 200},
		{"POST", "/api/v1/exams/{exam}/sessions/{session}/incidents/review", `{"id":"none"}`, "", review, 404},
		{"POST", "/api/v1/socket/page-token", `{"exam":"{exam}"}`, "", watch, 200},
	}
	seen := map[string]bool{}
	for _, route := range routes {
		call := func(session string) answer {
			fill := strings.NewReplacer("{exam}", exam, "{session}", session)
			headers := []string{}
			if route.media != "" {
				headers = []string{"Content-Type", route.media, "Origin", r.origin}
			}
			return p.call(route.method, fill.Replace(route.path), fill.Replace(route.body), headers...)
		}
		name := route.method + " " + route.path
		whole := len(route.needs) == len(everything)
		entitle(tutor, whole, everything...)
		r.want("status of "+name+" with every right", call(own).status, route.status)
		if whole {
			entitle(tutor, false, everything...)
			r.want("status of "+name+" for one group", call(own).status, http.StatusForbidden)
		}
		for _, missing := range everything {
			entitle(tutor, whole, slices.DeleteFunc(slices.Clone(everything), func(right vigil.Right) bool { return right == missing })...)
			want := route.status
			if slices.Contains(route.needs, missing) {
				want = http.StatusForbidden
			}
			r.want("status of "+name+" without "+string(missing), call(own).status, want)
		}
		entitle(tutor, true)
		r.want("status of "+name+" without any right", call(own).status, http.StatusForbidden)
		entitle(tutor, true, route.needs...)
		r.want("status of "+name+" with no right more than it needs", call(own).status, route.status)
		if strings.Contains(route.path, "{session}") {
			entitle(tutor, false, everything...)
			got := call(foreign)
			r.want("status of "+name+" of another group", got.status, http.StatusNotFound)
			if route.status != http.StatusNotFound && got.text != call("none").text {
				t.Errorf("%s of another group: got %s, want what is said of an attempt that is not there", name, got.text)
			}
		}
		seen[strings.Split(name, "?")[0]] = true
	}
	err := chi.Walk(r.web.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + strings.TrimSuffix(route, "/")
		if ofExam := strings.HasPrefix(route, "/dashboard/") || strings.HasPrefix(route, "/api/v1/exams/"); ofExam && !seen[name] {
			t.Errorf("no row for %s", name)
		}
		return nil
	})
	r.ok(err)
}

func TestAPassEnds(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	teacher := l.person(instructor)
	exam := teacher.dashboard()
	r.status(teacher.get("/dashboard/"+exam), http.StatusOK)

	platform := l.platform
	platform.State = vigil.PlatformDisabled
	r.ok(r.store.UpdatePlatform(t.Context(), platform))
	page := teacher.get("/dashboard/" + exam)
	r.status(page, http.StatusForbidden)
	r.contains(page, "may not use Vigil")
	r.want("token status", teacher.call("POST", "/api/v1/socket/page-token", `{"exam":"`+exam+`"}`).status, http.StatusForbidden)
	platform.State, platform.Version = vigil.PlatformActive, platform.Version+1
	r.ok(r.store.UpdatePlatform(t.Context(), platform))

	r.later(12*time.Hour - 30*time.Second)
	r.status(teacher.get("/dashboard/"+exam), http.StatusOK)
	token := teacher.call("POST", "/api/v1/socket/page-token", `{"exam":"`+exam+`"}`).json(r)
	if left := int64(token["expires"].(float64)) - r.now().UnixMilli(); left > 31_000 {
		t.Errorf("got a token for %d ms, want no longer than the pass", left)
	}
	r.later(time.Minute)
	r.status(teacher.get("/dashboard/"+exam), http.StatusForbidden)
}

// TestALaunchChangesTheCookie is against session fixation and inherited rights: another
// person's launch in the same browser leaves nothing of the one before.
func TestALaunchChangesTheCookie(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(instructor)
	exam := p.dashboard()
	cookie := func() string {
		for _, c := range p.Cookies(r.origin) {
			if c.Name == "vigil-visit" {
				return c.Value
			}
		}
		return ""
	}
	before := cookie()
	p.SignIn(l.Platform, student)
	p.id = student
	p.attempt(1)
	if after := cookie(); before == "" || after == "" || before == after {
		t.Errorf("got cookies %q and %q, want another one after a launch", before, after)
	}
	r.status(p.get("/dashboard/"+exam), http.StatusForbidden)
	stale := r.call(stranger(), "GET", "/dashboard/"+exam, "", "Cookie", "vigil-visit="+before)
	r.want("status with the old cookie", stale.status, http.StatusForbidden)

	shared := newRig(t, func(c *web.Config) { c.KeepOtherUsersSignedIn = true })
	l = shared.lms(ltitest.Config{})
	p = l.person(instructor)
	exam = p.dashboard()
	p.SignIn(l.Platform, student)
	p.id = student
	p.attempt(1)
	shared.status(p.get("/dashboard/"+exam), http.StatusOK)
}

func TestTheCookieFitsAFrame(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(student)
	p.KeepForms = true
	page, err := p.Open(t.Context(), l.Begin(ltitest.Launch{ClientID: l.client, UserID: student, Message: ltitest.StartProctoring, LinkID: quiz, Attempt: 1}))
	r.ok(err)
	for range 2 { // the platform's login form, its answer to the tool
		page, err = p.Submit(t.Context(), page.Forms[0], nil)
		r.ok(err)
		if page.URL.Path == "/checkin/"+last(page) {
			break
		}
	}
	r.status(page, http.StatusOK)
	var set string
	res := r.call(p.Client, "GET", "/checkin/"+last(page), "")
	r.want("cookies without a change", len(res.header.Values("Set-Cookie")), 0)
	answer := r.call(p.Client, "POST", "/open", url.Values{"code": {"x"}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	r.want("status of a wrong code", answer.status, http.StatusNotFound)

	exam := l.person(instructor)
	id := exam.dashboard()
	opened := exam.call("POST", "/api/v1/exams/"+id+"/open", `{}`).json(r)["url"].(string)
	set = r.call(stranger(), "GET", opened, "").header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/"} {
		if !strings.Contains(set, part) {
			t.Errorf("got cookie %q, want %s", set, part)
		}
	}
	if strings.Contains(set, "Domain") || strings.Contains(set, "Max-Age") {
		t.Errorf("got cookie %q, want one of this host and this browser session", set)
	}
}

// TestAFrameWithoutCookiesOpensAWindow launches into a frame whose browser keeps nothing;
// the platform's storage binds it.
func TestAFrameWithoutCookiesOpensAWindow(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p := l.person(instructor)
	p.KeepForms = true
	q, err := l.LoginRequest(ltitest.Launch{ClientID: l.client, UserID: instructor, Message: ltitest.ResourceLink, LinkID: quiz})
	r.ok(err)
	q.Set("lti_storage_target", "_parent")
	frame := func(method, to string, form url.Values) answer {
		return r.call(stranger(), method, to, form.Encode(), "Content-Type", "application/x-www-form-urlencoded",
			"Origin", l.Issuer(), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "iframe")
	}
	login := frame("POST", "/lti/login", q)
	r.want("status of the login", login.status, http.StatusOK)
	binding := between(t, login.text, `data-value="`, `"`)
	to, err := url.Parse(strings.ReplaceAll(between(t, login.text, ` href="`, `"`), "&amp;", "&"))
	r.ok(err)
	form, err := l.Authorize(to.Query(), instructor)
	r.ok(err)
	form.Set("vigil_again", "1")
	form.Set("vigil_binding", binding)
	page := frame("POST", "/lti/launch", form)
	r.want("status of the launch", page.status, http.StatusOK)
	if !strings.Contains(page.text, "in its own window") {
		t.Fatalf("got %s, want the page that opens a window", page.text)
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, l.Issuer()) {
		t.Errorf("got policy %q, want the platform to frame it", csp)
	}
	code := url.Values{"code": {between(t, page.text, `name="code" value="`, `"`)}}.Encode()
	window := stranger()
	opened := r.call(window, "POST", "/open", code, "Content-Type", "application/x-www-form-urlencoded")
	r.want("status of the window", opened.status, http.StatusSeeOther)
	r.want("status of its page", r.call(window, "GET", opened.header.Get("Location"), "").status, http.StatusOK)
	r.want("status of a second window", r.call(stranger(), "POST", "/open", code, "Content-Type", "application/x-www-form-urlencoded").status, http.StatusNotFound)
}

func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, from)
	out, _, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("got no %q in:\n%s", from, text)
	}
	return out
}

// TestAWindowOfItsOwnOpensOnce follows the one-use link out of a frame.
func TestAWindowOfItsOwnOpensOnce(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	teacher := l.person(instructor)
	exam := teacher.dashboard()
	link := func() string {
		return teacher.call("POST", "/api/v1/exams/"+exam+"/open", `{"path":"/dashboard/`+exam+`/report"}`).json(r)["url"].(string)
	}
	once := link()
	r.want("status of a HEAD", r.call(stranger(), "HEAD", once, "").status, http.StatusForbidden)
	r.want("status from another site", r.call(stranger(), "GET", once, "", "Sec-Fetch-Site", "cross-site").status, http.StatusForbidden)
	window := stranger()
	got := r.call(window, "GET", once, "")
	r.want("status", got.status, http.StatusSeeOther)
	r.want("page", got.header.Get("Location"), "/dashboard/"+exam+"/report")
	r.want("status of the page", r.call(window, "GET", "/dashboard/"+exam+"/report", "").status, http.StatusOK)
	r.want("status of a second use", r.call(stranger(), "GET", once, "").status, http.StatusNotFound)
	late := link()
	r.later(31 * time.Second)
	r.want("status after half a minute", r.call(stranger(), "GET", late, "").status, http.StatusNotFound)
	for _, path := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "/status/x", "/dashboard/" + exam + "x", "/dashboard/" + exam + "/\r\nX: y", "javascript:alert(1)", "/dashboard/" + exam + "/../" + exam + "x", "/dashboard/" + exam + "/%2e%2e/x"} {
		body := `{"path":` + quoted(path) + `}`
		r.want("status for "+path, teacher.call("POST", "/api/v1/exams/"+exam+"/open", body).status, http.StatusBadRequest)
	}
}

// TestOnlyOurOwnPagesChangeThings sends what a page of another site could.
func TestOnlyOurOwnPagesChangeThings(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p, teacher := l.person(student), l.person(instructor)
	session, exam := last(p.attempt(1)), teacher.dashboard()
	for _, row := range []struct {
		who          *person
		method, path string
	}{
		{p, "POST", "/checkin/" + session + "/start"},
		{p, "POST", "/api/v1/socket/page-token"},
		{teacher, "POST", "/dashboard/" + exam + "/settings"},
		{teacher, "PUT", "/api/v1/exams/" + exam + "/policy"},
		{teacher, "POST", "/api/v1/exams/" + exam + "/open"},
		{teacher, "POST", "/lti/register/x"},
	} {
		for name, headers := range map[string][]string{
			"another site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			"a neighbour":  {"Sec-Fetch-Site", "same-site", "Origin", l.Issuer()},
			"old browser":  {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
			"sandbox":      {"Sec-Fetch-Site", "", "Origin", "null"},
		} {
			got := row.who.call(row.method, row.path, `{}`, headers...)
			r.want("status of "+row.method+" "+row.path+" from "+name, got.status, http.StatusForbidden)
		}
	}
	got := p.call("POST", "/api/v1/socket/page-token", `{"session":"`+session+`"}`, "Sec-Fetch-Site", "", "Origin", r.origin)
	r.want("status from our own page in an old browser", got.status, http.StatusOK)
}
