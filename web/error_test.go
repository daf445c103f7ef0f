package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vigil/lti"
	"vigil/lti/ltitest"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestErrorsAreForPeopleAndTheLogKnowsMore(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p, teacher := l.person(student), l.person(instructor)
	session, exam := last(p.attempt(1)), teacher.dashboard()
	secret := []string{"disk I/O", "disco", "goroutine", ".go:"}
	harmless := func(name string, got answer) {
		for _, s := range secret {
			if strings.Contains(got.text, s) {
				t.Errorf("got %q in the answer to %s, want it in the log only:\n%s", s, name, got.text)
			}
		}
	}

	for _, path := range []string{"/nothing", "/api/v1/nothing", "/dashboard", "/%3Cscript%3Ealert(1)%3C/script%3E"} {
		got := r.call(stranger(), "GET", path, "")
		r.want("status of "+path, got.status, http.StatusNotFound)
		if strings.Contains(got.text, "<script>alert") {
			t.Errorf("got the path in the page:\n%s", got.text)
		}
		if api := strings.HasPrefix(path, "/api/"); api != (got.header.Get("Content-Type") == "application/problem+json") {
			t.Errorf("got %s as %s", path, got.header.Get("Content-Type"))
		}
	}
	indonesian := r.call(stranger(), "GET", "/nothing", "", "Accept-Language", "id-ID,id;q=0.9,en;q=0.8")
	if !strings.Contains(indonesian.text, "Yang Anda cari tidak ada") || !strings.Contains(indonesian.text, `<html lang="id">`) {
		t.Errorf("got %s, want Indonesian", indonesian.text)
	}
	for _, row := range [][2]string{{"DELETE", "/"}, {"GET", "/lti/launch"}, {"PUT", "/api/v1/socket/token"}, {"POST", "/checkin/" + session}} {
		r.want("status of "+row[0]+" "+row[1], r.call(stranger(), row[0], row[1], "").status, http.StatusMethodNotAllowed)
	}
	for _, path := range []string{"/", "/lti/keys", "/dashboard/" + exam, "/assets/base.css", "/api/v1/exams/" + exam} {
		head, get := teacher.call("HEAD", path, ""), teacher.call("GET", path, "")
		if head.status != http.StatusOK || head.text != "" || get.status != http.StatusOK {
			t.Errorf("got HEAD %d %q and GET %d of %s, want 200 both and no body", head.status, head.text, get.status, path)
		}
	}

	problem := teacher.call("POST", "/api/v1/exams/"+exam+"/open", `{"path":"//x"}`)
	var got map[string]any
	r.ok(json.Unmarshal([]byte(problem.text), &got))
	want := map[string]any{
		"type": "about:blank", "title": "Bad Request", "status": 400.0, "detail": "The page must be one of this exam's.",
		"code": "invalid", "duty": "stop", "field": "path",
	}
	if len(got) != len(want) {
		t.Errorf("got problem %v, want %v", got, want)
	}
	for k, v := range want {
		r.want(k, got[k], v)
	}
	r.want("media type", problem.header.Get("Content-Type"), "application/problem+json")

	r.store.fail.Store(true)
	page := teacher.call("GET", "/dashboard/"+exam, "")
	r.want("status without a store", page.status, http.StatusServiceUnavailable)
	harmless("a page", page)
	reference := between(t, page.text, "<code>", "</code>")
	if !strings.Contains(r.logs.String(), reference) || !strings.Contains(r.logs.String(), "disk I/O") {
		t.Errorf("got no log line of %s with the cause", reference)
	}
	page = p.call("GET", "/checkin/"+session, "")
	r.want("status of an unknown error", page.status, http.StatusInternalServerError)
	harmless("a page", page)
	api := teacher.call("GET", "/api/v1/exams/"+exam, "")
	r.want("status without a store", api.status, http.StatusServiceUnavailable)
	r.want("duty", api.json(r)["duty"], "retry")
	if ref, _ := api.json(r)["reference"].(string); ref == "" || !strings.Contains(r.logs.String(), ref) {
		t.Errorf("got reference %q, want one that the log knows", ref)
	}
	launch := l.person(student).attempt(1)
	r.want("status of a launch without a store", launch.Status, http.StatusServiceUnavailable)
	reference = between(t, launch.Body, "<code>", "</code>")
	if !strings.Contains(r.logs.String(), `"request failed","reference":"`+reference) {
		t.Errorf("got no failed request with the launch's reference %s in the log", reference)
	}
	r.store.fail.Store(false)

	r.store.visits.Store(true)
	page = teacher.call("GET", "/dashboard/"+exam, "")
	r.want("status without visits", page.status, http.StatusServiceUnavailable)
	r.want("media type", page.header.Get("Content-Type"), "text/html; charset=utf-8")
	api = teacher.call("GET", "/api/v1/exams/"+exam, "")
	r.want("media type", api.header.Get("Content-Type"), "application/problem+json")
	harmless("a visit", api)
	r.store.visits.Store(false)

	l.SetLink(ltitest.Link{ID: "boom", Title: "Boom", Custom: map[string]string{"vigil_exam": "panic"}})
	boom := teacher.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: "boom"})
	r.want("status of a panic", boom.Status, http.StatusInternalServerError)
	harmless("a panic", answer{text: boom.Body})
	if !strings.Contains(r.logs.String(), "at the disco") {
		t.Error("got no log line of the panic")
	}
	if strings.Contains(r.logs.String(), "Amara") || strings.Contains(r.logs.String(), "ingrid@") {
		t.Error("got a name in the log, want no personal data there")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p, teacher := l.person(student), l.person(instructor)
	session, exam := last(p.attempt(1)), teacher.dashboard()
	const form = "application/x-www-form-urlencoded"
	long := strings.Repeat("x", 70<<10)
	for _, row := range []struct {
		who                 *person
		method, path, media string
		body                string
	}{
		{p, "POST", "/checkin/" + session + "/start", form, "consent=yes&x=" + long},
		{teacher, "POST", "/dashboard/" + exam + "/settings", form, "x=" + long},
		{teacher, "PUT", "/api/v1/exams/" + exam + "/policy", "application/json", `{"x":"` + long + `"}`},
		{teacher, "POST", "/lti/register/x", form, "x=" + long},
		{p, "POST", "/open", form, "x=" + long},
	} {
		got := row.who.call(row.method, row.path, row.body, "Content-Type", row.media)
		if got.status < 400 || got.status >= 500 {
			t.Errorf("got %d for a long body at %s, want a refusal", got.status, row.path)
		}
	}
}

// TestEveryAnswerHasItsHeaders looks at the security headers, and who may frame what.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	r := newRig(t)
	l, other := r.lms(ltitest.Config{}), r.lms(ltitest.Config{})
	p, teacher := l.person(student), l.person(instructor)
	session, exam := last(p.attempt(1)), teacher.dashboard()
	none := "frame-ancestors 'self'"
	platform := none + " " + l.Issuer()
	secret, err := r.tool.Invite(t.Context(), lti.Invitation{})
	r.ok(err)
	invitation := lti.RegisterPath + "/" + secret
	for _, row := range []struct {
		c         *http.Client
		path      string
		ancestors string
	}{
		{stranger(), "/", none},
		{stranger(), "/lti/keys", none},
		{stranger(), "/assets/base.css", none},
		{stranger(), "/nothing", none + " *"},
		{stranger(), invitation, none},
		{stranger(), invitation + "?openid_configuration=" + l.Issuer() + "/conf", platform},
		{stranger(), invitation + "?openid_configuration=javascript:alert(1)", none + " *"},
		{stranger(), "/lti/register/x?openid_configuration=" + l.Issuer() + "/conf", none + " *"},
		{p.Client, "/checkin/" + session, platform},
		{teacher.Client, "/dashboard/" + exam, platform},
		{teacher.Client, "/dashboard/" + exam + "/report", platform},
		{teacher.Client, "/dashboard/" + exam + "/settings", platform},
		{teacher.Client, "/dashboard/" + exam + "/sessions/" + session, platform},
		{teacher.Client, "/api/v1/exams/" + exam, none},
	} {
		got := r.call(row.c, "GET", row.path, "")
		policy := strings.Split(got.header.Get("Content-Security-Policy"), "; ")
		for _, part := range []string{"default-src 'none'", "form-action 'self'", "base-uri 'none'", row.ancestors} {
			if !slices.Contains(policy, part) {
				t.Errorf("got policy %q for %s, want %q in it", policy, row.path, part)
			}
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			r.want(name+" of "+row.path, got.header.Get(name), want)
		}
		if strings.Contains(got.header.Get("Content-Security-Policy"), other.Issuer()) {
			t.Errorf("got another platform in the policy of %s", row.path)
		}
	}
	asset := r.call(stranger(), "GET", "/assets/monitor.js", "")
	r.want("origin for the monitor", asset.header.Get("Access-Control-Allow-Origin"), "*")
	r.want("resource policy of the monitor", asset.header.Get("Cross-Origin-Resource-Policy"), "cross-origin")
	again := r.call(stranger(), "GET", "/assets/monitor.js", "", "If-None-Match", asset.header.Get("ETag"))
	r.want("status of what one has", again.status, http.StatusNotModified)
	for _, path := range []string{"/assets/../web.go", "/assets/%2e%2e/web.go", "/assets/", "/assets"} {
		if got := r.call(stranger(), "GET", path, ""); got.status != http.StatusNotFound {
			t.Errorf("got %d for %s, want 404", got.status, path)
		}
	}
}
