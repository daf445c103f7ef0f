package ltitest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"vigil/lti/ltitest"
)

func TestDynamicRegistrationMakesAPendingTool(t *testing.T) {
	p, tool, first, _ := setup(t, ltitest.Config{})
	u := p.RegistrationURL(tool.URL + "/register")
	page := open(t, ltitest.NewBrowser(nil), u)
	var answer map[string]any
	if err := json.Unmarshal([]byte(page.Body), &answer); err != nil || page.Status != http.StatusOK {
		t.Fatalf("got %d %s", page.Status, page.Body)
	}
	tools := p.Tools()
	if len(tools) != 2 || !tools[1].Pending || tools[1].ClientID != answer["client_id"] || tools[0].ClientID != first.ClientID {
		t.Fatalf("got tools %+v", tools)
	}
	if got := answer["scope"]; got != ltitest.ScopeMembers {
		t.Errorf("scope: got %v, want Moodle's known ones only", got)
	}
	conf := answer["https://purl.imsglobal.org/spec/lti-tool-configuration"].(map[string]any)
	if got := len(conf["messages"].([]any)); got != 1 {
		t.Errorf("messages: got %d, want deep linking only", got)
	}
	if conf["deployment_id"] != tools[1].DeploymentID {
		t.Errorf("deployment: got %v, want %s", conf["deployment_id"], tools[1].DeploymentID)
	}
	if err := p.Activate(tools[1].ClientID); err != nil || p.Tools()[1].Pending {
		t.Errorf("activate: got %v, pending %v", err, p.Tools()[1].Pending)
	}
	if got := open(t, ltitest.NewBrowser(nil), u).Status; got != http.StatusUnauthorized {
		t.Errorf("the same link again: got %d, want 401", got)
	}
	tool.Adopt(p, tools[1])
	if page := open(t, signedIn(p, "2"), p.Begin(ltitest.Launch{Message: ltitest.DeepLinking, ClientID: tools[1].ClientID, UserID: "2"})); page.Status != http.StatusOK {
		t.Errorf("launch after it: got %d %s", page.Status, page.Body)
	}
	if p.Activate("nobody") == nil {
		t.Error("activating an unknown tool: got no error")
	}
}

func TestRegistrationRefuses(t *testing.T) {
	p, tool, _, _ := setup(t, ltitest.Config{})
	good := func() map[string]any {
		return map[string]any{
			"application_type": "web", "response_types": []string{"id_token"}, "initiate_login_uri": tool.URL + "/login",
			"redirect_uris": []string{tool.URL + "/launch"}, "jwks_uri": tool.URL + "/keys", "token_endpoint_auth_method": "private_key_jwt",
			"https://purl.imsglobal.org/spec/lti-tool-configuration": map[string]any{"domain": "localhost", "target_link_uri": tool.URL + "/t"},
		}
	}
	post := func(token, body string) int {
		status, _, _ := tool.Do(t.Context(), http.MethodPost, p.Endpoints("").Registration, map[string]string{"Authorization": "Bearer " + token}, body)
		return status
	}
	token := func() string {
		u, _ := url.Parse(p.RegistrationURL("http://x/"))
		return u.Query().Get("registration_token")
	}
	if got := post("wrong", "{}"); got != http.StatusUnauthorized {
		t.Errorf("wrong token: got %d, want 401", got)
	}
	for name, change := range map[string]func(m map[string]any){
		"login":    func(m map[string]any) { m["initiate_login_uri"] = "/login" },
		"redirect": func(m map[string]any) { delete(m, "redirect_uris") },
		"keys":     func(m map[string]any) { m["jwks_uri"] = "javascript:1" },
		"method":   func(m map[string]any) { m["token_endpoint_auth_method"] = "none" },
		"type":     func(m map[string]any) { m["application_type"] = "native" },
		"response": func(m map[string]any) { m["response_types"] = []string{"code"} },
		"no tool":  func(m map[string]any) { delete(m, "https://purl.imsglobal.org/spec/lti-tool-configuration") },
		"domain": func(m map[string]any) {
			m["https://purl.imsglobal.org/spec/lti-tool-configuration"].(map[string]any)["domain"] = "evil.example"
		},
	} {
		m := good()
		change(m)
		b, _ := json.Marshal(m)
		if got := post(token(), string(b)); got != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, got)
		}
	}
	b, _ := json.Marshal(good())
	if got := post(token(), string(b)); got != http.StatusOK {
		t.Errorf("honest: got %d, want 200", got)
	}
}

func TestTokenEndpointVerifiesTheAssertion(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{})
	status, m, header := tool.Token(t.Context(), ltitest.ScopeControl+" x", nil)
	if status != http.StatusOK || m["scope"] != ltitest.ScopeControl || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
		t.Fatalf("honest: got %d %v %v", status, m, header)
	}
	stranger := ltitest.NewKey(2048)
	now := clk.Now().Unix()
	type change = func(h, c map[string]any, f url.Values)
	rows := map[string]change{
		"grant type":     func(_, _ map[string]any, f url.Values) { f.Set("grant_type", "password") },
		"assertion type": func(_, _ map[string]any, f url.Values) { f.Del("client_assertion_type") },
		"no assertion":   func(_, _ map[string]any, f url.Values) { f.Set("client_assertion", "") },
		"iss":            func(_, c map[string]any, _ url.Values) { c["iss"] = "x" },
		"sub":            func(_, c map[string]any, _ url.Values) { c["sub"] = "x" },
		"aud":            func(_, c map[string]any, _ url.Values) { c["aud"] = "https://other.example/token" },
		"two aud":        func(_, c map[string]any, _ url.Values) { c["aud"] = []string{fmt.Sprint(c["aud"]), "x"} },
		"no exp":         func(_, c map[string]any, _ url.Values) { delete(c, "exp") },
		"expired":        func(_, c map[string]any, _ url.Values) { c["exp"] = now - 1 },
		"far exp":        func(_, c map[string]any, _ url.Values) { c["exp"] = now + 100_000 },
		"exp a string":   func(_, c map[string]any, _ url.Values) { c["exp"] = fmt.Sprint(now + 60) },
		"no iat":         func(_, c map[string]any, _ url.Values) { delete(c, "iat") },
		"future iat":     func(_, c map[string]any, _ url.Values) { c["iat"] = now + 2 },
		"future nbf":     func(_, c map[string]any, _ url.Values) { c["nbf"] = now + 2 },
		"no jti":         func(_, c map[string]any, _ url.Values) { delete(c, "jti") },
		"unknown kid":    func(h, _ map[string]any, _ url.Values) { h["kid"] = "x" },
		"no kid":         func(h, _ map[string]any, _ url.Values) { delete(h, "kid") },
		"alg":            func(h, _ map[string]any, _ url.Values) { h["alg"] = "RS512" },
		"alg none": func(h, c map[string]any, f url.Values) {
			h["alg"] = "none"
			f.Set("client_assertion", ltitest.Sign(h, c, nil))
		},
		"stranger's key": func(h, c map[string]any, f url.Values) {
			f.Set("client_assertion", ltitest.Sign(h, c, stranger.Private))
		},
		"no scope of ours": func(_, _ map[string]any, f url.Values) { f.Set("scope", "x") },
	}
	for name, change := range rows {
		if status, m, _ := tool.Token(t.Context(), ltitest.ScopeControl, change); status < 400 || m["access_token"] != nil {
			t.Errorf("%s: got %d %v, want a refusal", name, status, m)
		}
	}
	same := func(_, c map[string]any, _ url.Values) { c["jti"] = "once" }
	if status, _, _ := tool.Token(t.Context(), ltitest.ScopeControl, same); status != http.StatusOK {
		t.Errorf("first use of a jti: got %d, want 200", status)
	}
	if status, _, _ := tool.Token(t.Context(), ltitest.ScopeControl, same); status != http.StatusUnauthorized {
		t.Errorf("second use of a jti: got %d, want 401", status)
	}
	id.KeySetURL = "http://127.0.0.1:1/keys"
	p.Register(id)
	if status, m, _ := tool.Token(t.Context(), ltitest.ScopeControl, nil); status != http.StatusNotFound || m != nil {
		t.Errorf("keys unreachable: got %d %v, want Moodle's 404 page", status, m)
	}
}

func TestOpenEdXGrantsAnEmptyScope(t *testing.T) {
	_, tool, _, _ := setup(t, ltitest.Config{Like: ltitest.OpenEdX})
	status, m, _ := tool.Token(t.Context(), "unknown", nil)
	if status != http.StatusOK || m["scope"] != "" {
		t.Errorf("got %d %v, want 200 with an empty scope", status, m)
	}
}

func TestMembersArePaged(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{PageSize: 3})
	_, tok, _ := tool.Token(t.Context(), ltitest.ScopeMembers, nil)
	get := func(u, media string) (int, map[string]any, string) {
		status, body, h := tool.Do(t.Context(), http.MethodGet, u, map[string]string{"Accept": media, "Authorization": fmt.Sprint("Bearer ", tok["access_token"])}, "")
		var m map[string]any
		_ = json.Unmarshal([]byte(body), &m)
		next := ""
		if h != nil {
			next = strings.TrimSuffix(strings.TrimPrefix(h.Get("Link"), "<"), `>; rel="next"`)
			if status == http.StatusOK && h.Get("Content-Type") != ltitest.MediaMembers {
				t.Errorf("media type: got %s", h.Get("Content-Type"))
			}
		}
		return status, m, next
	}
	seen, pages := map[any]bool{}, 0
	for u := p.Endpoints(id.ClientID).Members; u != "" && pages < 9; pages++ {
		status, m, next := get(u, ltitest.MediaMembers)
		if status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
		for _, v := range m["members"].([]any) {
			seen[v.(map[string]any)["user_id"]] = true
		}
		u = next
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("got %d members on %d pages, want 7 on 3", len(seen), pages)
	}
	if status, _, _ := get(p.Endpoints(id.ClientID).Members, "application/json"); status != http.StatusBadRequest {
		t.Errorf("wrong media type: got %d, want 400", status)
	}
	p.RevokeTokens()
	if status, _, _ := get(p.Endpoints(id.ClientID).Members, ltitest.MediaMembers); status != http.StatusUnauthorized {
		t.Errorf("revoked token: got %d, want 401", status)
	}
	ed, tool2, id2, _ := setup(t, ltitest.Config{Like: ltitest.OpenEdX})
	status, _, _ := tool2.Do(t.Context(), http.MethodGet, ed.Endpoints(id2.ClientID).Members, map[string]string{"Accept": "application/json"}, "")
	if status != http.StatusNotAcceptable {
		t.Errorf("Open edX, wrong media type: got %d, want 406", status)
	}
	status, _, h := tool2.Do(t.Context(), http.MethodGet, ed.Endpoints(id2.ClientID).Members, map[string]string{"Accept": ltitest.MediaMembers}, "")
	if status != http.StatusForbidden || h.Get("WWW-Authenticate") != "" {
		t.Errorf("Open edX, no token: got %d %v, want a bare 403", status, h)
	}
}

func TestDeepLinkingMakesAnActivity(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	launch := func() *ltitest.Page {
		return open(t, signedIn(p, "2"), p.Begin(ltitest.Launch{Message: ltitest.DeepLinking, ClientID: id.ClientID, UserID: "2"}))
	}
	page := launch()
	if page.Status != http.StatusOK || len(p.DeepLinks()) != 1 {
		t.Fatalf("got %d %s, answers %v", page.Status, page.Body, p.DeepLinks())
	}
	l := p.DeepLinks()[0].Links[0]
	if l.Title != "Live proctoring" || l.Custom["exam"] != "e-1" {
		t.Errorf("got %+v", l)
	}
	if page := open(t, signedIn(p, "2"), p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "2", LinkID: l.ID})); page.Status != http.StatusOK {
		t.Errorf("launching it: got %d %s", page.Status, page.Body)
	}
	custom, _ := tool.Launches()[1][ltitest.ClaimLTI+"custom"].(map[string]any)
	if custom["exam"] != "e-1" {
		t.Errorf("custom: got %v", custom)
	}
	for name, change := range map[string]func(c map[string]any){
		"data":       func(c map[string]any) { c[ltitest.ClaimDL+"data"] = "x" },
		"message":    func(c map[string]any) { c[ltitest.ClaimLTI+"message_type"] = "LtiStartAssessment" },
		"deployment": func(c map[string]any) { c[ltitest.ClaimLTI+"deployment_id"] = "99" },
		"issuer":     func(c map[string]any) { c["iss"] = p.Issuer() },
		"audience":   func(c map[string]any) { c["aud"] = "x" },
		"item":       func(c map[string]any) { c[ltitest.ClaimDL+"content_items"] = []any{"x"} },
	} {
		tool.DeepLink = change
		if got := launch().Status; got < 400 {
			t.Errorf("%s: got %d, want a refusal", name, got)
		}
	}
}

// begun starts an attempt of user 3 and returns it.
func begun(t *testing.T, p *ltitest.Platform, id ltitest.Tool) ltitest.Attempt {
	t.Helper()
	page := open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}))
	a, ok := p.FindAttempt("3", "quiz-2", 1)
	if !ok {
		t.Fatalf("no attempt: %d %s", page.Status, page.Body)
	}
	return a
}

func order(action string, more string) string {
	return `{"user":{"iss":"","sub":"3"},"resource_link":{"id":"quiz-2"},"attempt_number":1,"action":"` + action +
		`","incident_time":"2026-03-02T09:05:00Z","incident_severity":0.1,"reason_code":"proctor"` + more + `}`
}

func TestControlDoesEachAction(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{})
	a := begun(t, p, id)
	end := a.Ends
	do := func(body, status string, extra float64) {
		t.Helper()
		got, m, h := tool.Control(t.Context(), ltitest.MediaControl, body)
		if got != http.StatusOK || m["status"] != status || m["extra_time"] != extra || h.Get("Content-Type") != ltitest.MediaControl {
			t.Errorf("%s: got %d %v %s, want %s, %v", body, got, m, h.Get("Content-Type"), status, extra)
		}
	}
	do(order("flag", `,"reason_msg":"look"`), "running", 0)
	do(order("update", `,"extra_time":5`), "running", 5)
	do(order("update", `,"extra_time":5`), "running", 5) // the same incident_time: a repeat
	do(strings.Replace(order("update", `,"extra_time":5`), "09:05:00Z", "09:06:00Z", 1), "running", 10)
	do(order("pause", `,"reason_msg":"fire alarm"`), "paused", 10)
	clk.Add(7 * time.Minute)
	if got, _ := p.AttemptByID(a.ID); !got.EndsAt(clk.Now()).Equal(end.Add(17*time.Minute)) || got.Reason != "fire alarm" {
		t.Errorf("paused: got end %s reason %q, want %s", got.EndsAt(clk.Now()), got.Reason, end.Add(17*time.Minute))
	}
	do(order("resume", ""), "running", 10)
	do(order("resume", ""), "running", 10)
	if got, _ := p.AttemptByID(a.ID); !got.Ends.Equal(end.Add(17*time.Minute)) || len(got.Flags) != 1 || got.Flags[0].Message != "look" {
		t.Errorf("resumed: got end %s flags %v, want %s and one flag", got.Ends, got.Flags, end.Add(17*time.Minute))
	}
	do(order("terminate", ""), "terminated", 10)
	do(order("resume", ""), "terminated", 10)
	do(strings.Replace(order("update", `,"extra_time":5`), "09:05", "09:09", 1), "terminated", 10)
	if got := len(p.Controls()); got != 10 {
		t.Errorf("requests kept: got %d, want 10", got)
	}
	if got := tool.Launches(); len(got) != 1 {
		t.Errorf("launches: got %d, want 1", len(got))
	}
}

func TestControlRefuses(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	begun(t, p, id)
	ok := order("pause", "")
	for name, row := range map[string]struct {
		media, body string
		want        int
	}{
		"media type":     {"text/plain", ok, 400},
		"not JSON":       {ltitest.MediaControl, "{", 400},
		"twice":          {ltitest.MediaControl, `{"action":"flag",` + ok[1:], 400},
		"case":           {ltitest.MediaControl, strings.Replace(ok, `"action"`, `"Action"`, 1), 400},
		"action":         {ltitest.MediaControl, order("explode", ""), 400},
		"no user":        {ltitest.MediaControl, strings.Replace(ok, `"sub":"3"`, `"sub":""`, 1), 400},
		"other user":     {ltitest.MediaControl, strings.Replace(ok, `"sub":"3"`, `"sub":"4"`, 1), 404},
		"other issuer":   {ltitest.MediaControl, strings.Replace(ok, `"iss":""`, `"iss":"https://other.example"`, 1), 400},
		"attempt string": {ltitest.MediaControl, strings.Replace(ok, `number":1`, `number":"1"`, 1), 400},
		"attempt float":  {ltitest.MediaControl, strings.Replace(ok, `number":1`, `number":1.5`, 1), 400},
		"time":           {ltitest.MediaControl, strings.Replace(ok, "2026-03-02T", "yesterday ", 1), 400},
		"severity":       {ltitest.MediaControl, strings.Replace(ok, "0.1", "1.1", 1), 400},
		"severity words": {ltitest.MediaControl, strings.Replace(ok, "0.1", `"NaN"`, 1), 400},
		"extra":          {ltitest.MediaControl, order("update", `,"extra_time":-1`), 400},
		"severity text":  {ltitest.MediaControl, strings.Replace(ok, "0.1", `"0.1"`, 1), 200},
		"plain JSON":     {"application/json", ok, 200},
	} {
		if got, m, _ := tool.Control(t.Context(), row.media, row.body); got != row.want {
			t.Errorf("%s: got %d %v, want %d", name, got, m, row.want)
		}
	}
	u := p.Endpoints(id.ClientID).Control
	if got, _, _ := tool.Do(t.Context(), http.MethodGet, u, nil, ""); got != http.StatusMethodNotAllowed {
		t.Errorf("GET: got %d, want 405", got)
	}
	_, tok, _ := tool.Token(t.Context(), ltitest.ScopeMembers, nil)
	for _, bearer := range []string{"", "x", fmt.Sprint(tok["access_token"])} {
		got, _, h := tool.Do(t.Context(), http.MethodPost, u, map[string]string{"Content-Type": ltitest.MediaControl, "Authorization": "Bearer " + bearer}, ok)
		if got != http.StatusUnauthorized || h.Get("WWW-Authenticate") == "" {
			t.Errorf("token %q: got %d, want 401", bearer, got)
		}
	}
}

func TestControlOfOpenEdX(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{Like: ltitest.OpenEdX})
	begun(t, p, id)
	strict := strings.Replace(order("terminate", ""), "0.1", `"0.1"`, 1)
	if got, _, _ := tool.Control(t.Context(), ltitest.MediaControl, strict); got != http.StatusUnsupportedMediaType {
		t.Errorf("the spec's media type: got %d, want 415", got)
	}
	if got, _, _ := tool.Control(t.Context(), "application/json", order("terminate", "")); got != http.StatusBadRequest {
		t.Errorf("a number as severity: got %d, want 400", got)
	}
	if got, _, _ := tool.Control(t.Context(), "application/json", strings.Replace(strict, "terminate", "pause", 1)); got != http.StatusBadRequest {
		t.Errorf("pause: got %d, want 400", got)
	}
	got, m, _ := tool.Control(t.Context(), "application/json", strict)
	if _, has := m["status"]; got != http.StatusOK || has {
		t.Errorf("terminate: got %d %v, want 200 without a status", got, m)
	}
	if a, _ := p.FindAttempt("3", "quiz-2", 1); a.Status != ltitest.Terminated {
		t.Errorf("got %s, want terminated", a.Status)
	}
}

func TestControlFaults(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	a := begun(t, p, id)
	at := 0
	extend := func() int {
		at++
		got, _, _ := tool.Control(t.Context(), ltitest.MediaControl, strings.Replace(order("update", `,"extra_time":5`), "09:05", fmt.Sprintf("09:%02d", at), 1))
		return got
	}
	gate := make(chan struct{})
	for name, row := range map[string]struct {
		fault  ltitest.Fault
		status int
		extra  int
	}{
		"5xx":            {ltitest.Fault{Status: 503}, 503, 0},
		"lost request":   {ltitest.Fault{Drop: true}, 0, 0},
		"lost answer":    {ltitest.Fault{Drop: true, Apply: true}, 0, 5},
		"done, then 500": {ltitest.Fault{Status: 500, Apply: true}, 500, 5},
		"honest":         {ltitest.Fault{}, 200, 5},
		"slow":           {ltitest.Fault{Wait: gate}, 200, 5},
	} {
		before, _ := p.AttemptByID(a.ID)
		p.SetMischief(ltitest.Mischief{Control: func(ltitest.Control) ltitest.Fault { return row.fault }})
		if row.fault.Wait != nil {
			seen := len(p.Controls())
			go func() {
				for len(p.Controls()) == seen { // applied before it waits
					runtime.Gosched()
				}
				close(gate)
			}()
		}
		if got := extend(); got != row.status {
			t.Errorf("%s: got %d, want %d", name, got, row.status)
		}
		if after, _ := p.AttemptByID(a.ID); after.Extra-before.Extra != row.extra {
			t.Errorf("%s: got %d minutes, want %d", name, after.Extra-before.Extra, row.extra)
		}
	}
	p.SetMischief(ltitest.Mischief{ControlAnswer: func(m map[string]any) { delete(m, "status") }})
	if _, m, _ := tool.Control(t.Context(), ltitest.MediaControl, order("flag", "")); m["status"] != nil {
		t.Errorf("changed answer: got %v", m)
	}
}

func TestControlBeforeTheAttemptSaysNone(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}, "n")
	if got, m, _ := tool.Control(t.Context(), ltitest.MediaControl, order("terminate", "")); got != http.StatusOK || m["status"] != "none" {
		t.Errorf("got %d %v, want none", got, m)
	}
}
