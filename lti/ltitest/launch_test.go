package ltitest_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil/lti/ltitest"
	"vigil/lti/ltitest/internal/faketool"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// setup serves a platform with a fake tool.
func setup(t *testing.T, cfg ltitest.Config) (*ltitest.Platform, *faketool.Tool, ltitest.Tool, *clock) {
	t.Helper()
	clk := newClock()
	cfg.Now = clk.Now
	p, err := ltitest.Serve(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	tool := faketool.New(t)
	tool.Now = clk.Now
	return p, tool, tool.Connect(p), clk
}

func signedIn(p *ltitest.Platform, user string) *ltitest.Browser {
	b := ltitest.NewBrowser(nil)
	b.SignIn(p, user)
	return b
}

func open(t *testing.T, b *ltitest.Browser, url string) *ltitest.Page {
	t.Helper()
	page, err := b.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestLaunchesOfEveryMessageReachTheTool(t *testing.T) {
	for _, like := range []ltitest.Like{ltitest.Moodle, ltitest.OpenEdX} {
		for _, m := range []ltitest.Message{ltitest.ResourceLink, ltitest.DeepLinking, ltitest.StartProctoring, ltitest.EndAssessment} {
			p, tool, id, _ := setup(t, ltitest.Config{Like: like})
			tool.Manual = true
			page := open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: m, ClientID: id.ClientID, UserID: "3", Attempt: 2}))
			if page.Status != http.StatusOK {
				t.Errorf("like %d, %s: got status %d at %s: %s", like, m, page.Status, page.URL, page.Body)
				continue
			}
			got := tool.Launches()
			if len(got) != 1 || got[0][ltitest.ClaimLTI+"message_type"] != string(m) {
				t.Errorf("like %d, %s: got launches %v", like, m, got)
			}
		}
	}
}

func TestStartProctoringSaysWhatMoodleSays(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{Plugin: 2, Links: []ltitest.Link{{ID: "quiz-7", Title: "Quiz", Settings: `{"vigil":1,"policy":{}}`}}})
	tool.Manual = true
	open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: 1}))
	c := tool.Launches()[0]
	acs, _ := c[ltitest.ClaimAP+"acs"].(map[string]any)
	settings, _ := c[ltitest.ClaimAP+"proctoring_settings"].(map[string]any)
	link, _ := c[ltitest.ClaimLTI+"resource_link"].(map[string]any)
	for name, pair := range map[string][2]any{
		"attempt":  {c[ltitest.ClaimAP+"attempt_number"], 1.0},
		"sub":      {c["sub"], "3"},
		"exp":      {c["exp"].(float64) - c["iat"].(float64), 60.0},
		"link":     {link["id"], "quiz-7"},
		"control":  {acs["assessment_control_url"], p.Issuer() + "/mod/lti/services.php/assessmentcontrol"},
		"start":    {c[ltitest.ClaimAP+"start_assessment_url"], p.Issuer() + "/mod/quiz/accessrule/vigil/start.php"},
		"settings": {settings["data"], `{"attempt_started":0,"policy":{},"vigil":2}`},
		"version":  {c[ltitest.ClaimLTI+"version"], "1.3.0"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if s, _ := c[ltitest.ClaimAP+"session_data"].(string); s == "" {
		t.Error("got no session_data")
	}
	if got, want := len(acs["actions"].([]any)), 5; got != want {
		t.Errorf("actions: got %d, want %d", got, want)
	}
}

func TestOpenEdXHasItsOwnManners(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{Like: ltitest.OpenEdX})
	tool.Manual = true
	other := p.Register(ltitest.Tool{LoginURL: tool.URL + "/login?x=1", TargetLinkURI: tool.URL + "/course"})
	b := signedIn(p, "3")
	for n := 1; n <= 2; n++ {
		open(t, b, p.Begin(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "3", Attempt: n}))
	}
	c, second := tool.Launches()[0], tool.Launches()[1]
	if c[ltitest.ClaimAP+"session_data"] != second[ltitest.ClaimAP+"session_data"] {
		t.Error("got different session data for two attempts, want the same")
	}
	ctx, _ := c[ltitest.ClaimLTI+"context"].(map[string]any)
	acs, _ := c[ltitest.ClaimAP+"acs"].(map[string]any)
	for name, pair := range map[string][2]any{
		"azp": {c["azp"], id.ClientID}, "deployment": {c[ltitest.ClaimLTI+"deployment_id"], "1"}, "context id": {ctx["id"], nil},
		"roles": {c[ltitest.ClaimLTI+"roles"], nil}, "life": {c["exp"].(float64) - c["iat"].(float64), 3600.0},
		"actions": {len(acs["actions"].([]any)), 1},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	e1, e2 := p.Endpoints(id.ClientID), p.Endpoints(other.ClientID)
	if e1.KeySet == e2.KeySet || e1.Token == e2.Token || p.Key(id.ClientID).ID == p.Key(other.ClientID).ID {
		t.Error("two registrations share key set, token URL or key, want their own")
	}
	if e1.Configuration != "" || e1.Registration != "" {
		t.Errorf("got registration endpoints %q %q, want none", e1.Configuration, e1.Registration)
	}
	_, body, _ := tool.Do(t.Context(), http.MethodGet, e1.KeySet, nil, "")
	if strings.Contains(body, `"alg"`) || strings.Contains(body, `"use"`) || !strings.Contains(body, `"key_ops":["verify"]`) {
		t.Errorf("key set: got %s", body)
	}
	b.KeepForms = true
	page := open(t, b, p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: other.ClientID, UserID: "3"}))
	if got := strings.Count(page.Trail[1], "?"); got != 2 {
		t.Errorf("login URL %s: got %d question marks, want 2", page.Trail[1], got)
	}
}

func TestAuthorizationRefuses(t *testing.T) {
	p, tool, id, clk := setup(t, ltitest.Config{})
	good := func() url.Values {
		q, err := p.LoginRequest(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "3"})
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{
			"scope": {"openid"}, "response_type": {"id_token"}, "response_mode": {"form_post"}, "prompt": {"none"}, "nonce": {"n"}, "state": {"s"},
			"client_id": {id.ClientID}, "redirect_uri": {tool.URL + "/launch"}, "login_hint": {"3"}, "lti_message_hint": {q.Get("lti_message_hint")},
		}
	}
	if f, err := p.Authorize(good(), "3"); err != nil || f.Get("id_token") == "" || f.Get("state") != "s" {
		t.Fatalf("honest request: got %v, %v", f, err)
	}
	rows := []struct {
		name   string
		change func(q url.Values)
		user   string
		want   string // OAuth error; "" means no answer to the tool
	}{
		{"unknown client", func(q url.Values) { q.Set("client_id", "x") }, "3", ""},
		{"foreign redirect", func(q url.Values) { q.Set("redirect_uri", "https://evil.example/") }, "3", ""},
		{"scope", func(q url.Values) { q.Set("scope", "openid email") }, "3", "invalid_scope"},
		{"response type", func(q url.Values) { q.Set("response_type", "code") }, "3", "unsupported_response_type"},
		{"response mode", func(q url.Values) { q.Set("response_mode", "query") }, "3", "invalid_request"},
		{"prompt", func(q url.Values) { q.Del("prompt") }, "3", "invalid_request"},
		{"nonce", func(q url.Values) { q.Del("nonce") }, "3", "invalid_request"},
		{"login hint", func(q url.Values) { q.Set("login_hint", "4") }, "3", "access_denied"},
		{"another user's browser", func(url.Values) {}, "4", "access_denied"},
		{"another user's launch", func(q url.Values) { q.Set("login_hint", "4") }, "4", "access_denied"},
		{"message hint", func(q url.Values) { q.Set("lti_message_hint", "x") }, "3", "invalid_request"},
		{"late", func(url.Values) { clk.Add(11 * time.Minute) }, "3", "invalid_request"},
	}
	for _, row := range rows {
		q := good()
		row.change(q)
		f, err := p.Authorize(q, row.user)
		if row.want == "" && err == nil || row.want != "" && (err != nil || f.Get("error") != row.want) || f.Has("id_token") {
			t.Errorf("%s: got %v, %v, want error %q", row.name, f, err, row.want)
		}
	}
	q := good()
	_, _ = p.Authorize(q, "3")
	if f, _ := p.Authorize(q, "3"); f.Get("error") == "" {
		t.Error("a launch was answered twice")
	}
}

func TestMischiefReachesTheToken(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	launch := func() *ltitest.Page {
		return open(t, signedIn(p, "3"), p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "3"}))
	}
	if got := launch().Status; got != http.StatusOK {
		t.Fatalf("honest launch: got %d, want 200", got)
	}
	evil := ltitest.NewKey(2048)
	for name, m := range map[string]ltitest.Mischief{
		"claims": {Claims: func(c map[string]any) { c["aud"] = "someone else" }},
		"nonce":  {Claims: func(c map[string]any) { c["nonce"] = "old" }},
		"header": {Header: func(h map[string]any) { h["kid"] = "unknown" }},
		"token":  {IDToken: func(raw string) string { return raw[:len(raw)-8] }},
		"form":   {Form: func(f url.Values) { f.Del("state") }},
		"keys":   {KeySet: func(s map[string]any) { s["keys"] = []any{evil.JWK()} }},
		"key":    {Key: func() *rsa.PrivateKey { return evil.Private }},
		"http": {HTTP: func(at ltitest.Endpoint, w http.ResponseWriter, _ *http.Request) bool {
			if at == ltitest.AtKeySet {
				http.Error(w, "down", http.StatusBadGateway)
			}
			return at == ltitest.AtKeySet
		}},
	} {
		p.SetMischief(m)
		if got := launch().Status; got != http.StatusUnauthorized {
			t.Errorf("%s: the tool answers %d, want 401", name, got)
		}
	}
	p.SetMischief(ltitest.Mischief{Login: func(q url.Values) { q.Set("login_hint", "4") }})
	if got := launch().Status; got != http.StatusBadRequest {
		t.Errorf("login: the tool answers %d, want 400", got)
	}
	if got := p.Count(ltitest.AtKeySet); got < 8 {
		t.Errorf("key set fetches: got %d, want at least 8", got)
	}
	if got := len(tool.Launches()); got != 1 {
		t.Errorf("launches taken: got %d, want 1", got)
	}
}

func TestOnlyTheSignedInUserLaunches(t *testing.T) {
	p, _, id, _ := setup(t, ltitest.Config{})
	u := p.Begin(ltitest.Launch{Message: ltitest.ResourceLink, ClientID: id.ClientID, UserID: "3"})
	if got := open(t, ltitest.NewBrowser(nil), u).Status; got != http.StatusUnauthorized {
		t.Errorf("nobody: got %d, want 401", got)
	}
	if got := open(t, signedIn(p, "4"), u).Status; got != http.StatusForbidden {
		t.Errorf("someone else: got %d, want 403", got)
	}
	forged := p.Cookie("3")
	forged.Value = "4" + forged.Value[1:]
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Issuer(), nil)
	req.AddCookie(forged)
	if u, ok := p.SignedIn(req); ok {
		t.Errorf("forged cookie: got user %s, want none", u.ID)
	}
}

func TestSignMakesAnyToken(t *testing.T) {
	weak := ltitest.WeakKey(512)
	for name, key := range map[string]any{"none": nil, "HS256": []byte("secret"), "RS256": weak, "PS256": ltitest.NewKey(2048).Private} {
		raw := ltitest.Sign(map[string]any{"alg": name}, map[string]any{"sub": "1"}, key)
		parts := strings.Split(raw, ".")
		b, err := base64.RawURLEncoding.DecodeString(parts[0])
		var h map[string]any
		if err != nil || json.Unmarshal(b, &h) != nil || h["alg"] != name || (parts[2] == "") != (key == nil) {
			t.Errorf("%s: got %s", name, raw)
		}
	}
	if got, want := ltitest.Sign(`{"a":1,"a":2}`, `[]`, nil), base64.RawURLEncoding.EncodeToString([]byte(`{"a":1,"a":2}`))+"."; !strings.HasPrefix(got, want) {
		t.Errorf("raw header: got %s", got)
	}
}

func TestClaimsCanBeAnswered(t *testing.T) {
	p, tool, id, _ := setup(t, ltitest.Config{})
	c := p.Claims(ltitest.Launch{Message: ltitest.StartProctoring, ClientID: id.ClientID, UserID: "5", Attempt: 3}, "nonce")
	_, jwt := tool.StartJWT(c)
	s, err := p.VerifyStart(t.Context(), jwt)
	if err != nil || s.UserID != "5" || s.Attempt != 3 || !s.EndReturn {
		t.Errorf("got %+v, %v", s, err)
	}
}
