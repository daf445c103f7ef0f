package lti_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

func TestLoginRefusesWhatIsWrongInOneThing(t *testing.T) {
	param := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	gone := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	for _, row := range []struct {
		name   string
		rig    func(*rig)
		change func(url.Values)
		want   *lti.Fault
	}{
		{"honest", nil, nil, nil},
		{"unknown parameter", nil, param("ui_locales", "id"), nil},
		{"no message hint", nil, gone("lti_message_hint"), nil},
		{"known deployment", nil, param("lti_deployment_id", "1"), nil},
		{"deployment not known yet", nil, param("lti_deployment_id", "7"), nil},
		{"no client id, one platform", nil, gone("client_id"), nil},
		{"no client id, one of two platforms active", func(g *rig) {
			g.addPlatform("p2", "client-2")
			g.update(func(p *vigil.Platform) { p.State = vigil.PlatformDisabled })
		}, gone("client_id"), nil},
		{"no client id, two platforms", func(g *rig) { g.addPlatform("p2", "client-2") }, gone("client_id"), lti.ErrLoginClient},
		{"no client id, platform pending", func(g *rig) {
			g.update(func(p *vigil.Platform) { p.State = vigil.PlatformPending })
		}, gone("client_id"), lti.ErrLoginState},
		{"no client id, unknown issuer", nil, func(q url.Values) { q.Del("client_id"); q.Set("iss", "https://evil.example") }, lti.ErrLoginPlatform},
		{"no iss", nil, gone("iss"), lti.ErrLoginParameter},
		{"unknown iss", nil, param("iss", "https://evil.example"), lti.ErrLoginPlatform},
		{"iss with a slash at the end", nil, func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }, lti.ErrLoginPlatform},
		{"unknown client id", nil, param("client_id", "client-9"), lti.ErrLoginPlatform},
		{"client id too long", nil, param("client_id", strings.Repeat("x", 256)), lti.ErrLoginParameter},
		{"platform pending", func(g *rig) {
			g.update(func(p *vigil.Platform) { p.State = vigil.PlatformPending })
		}, nil, lti.ErrLoginState},
		{"platform disabled", func(g *rig) {
			g.update(func(p *vigil.Platform) { p.State = vigil.PlatformDisabled })
		}, nil, lti.ErrLoginState},
		{"deployment pending", func(g *rig) {
			_ = g.store.SaveDeployment(context.Background(), vigil.Deployment{PlatformID: "p1", ID: "2", State: vigil.DeploymentPending})
		}, param("lti_deployment_id", "2"), lti.ErrLoginDeployment},
		{"deployment too long", nil, param("lti_deployment_id", strings.Repeat("x", 1021)), lti.ErrLoginParameter},
		{"no login hint", nil, gone("login_hint"), lti.ErrLoginParameter},
		{"login hint too long", nil, param("login_hint", strings.Repeat("x", 8<<10+1)), lti.ErrLoginParameter},
		{"message hint too long", nil, param("lti_message_hint", strings.Repeat("x", 8<<10+1)), lti.ErrLoginParameter},
		{"no target", nil, gone("target_link_uri"), lti.ErrLoginParameter},
		{"target elsewhere", nil, param("target_link_uri", "https://evil.example/lti/launch"), lti.ErrLoginTarget},
		{"target is javascript", nil, param("target_link_uri", "javascript:alert(1)"), lti.ErrLoginTarget},
		{"storage target with markup", nil, param("lti_storage_target", `"><script>`), lti.ErrLoginParameter},
		{"iss twice", nil, func(q url.Values) { q.Add("iss", q.Get("iss")) }, lti.ErrLoginForm},
		{"unknown parameter twice", nil, func(q url.Values) { q["x"] = []string{"1", "1"} }, lti.ErrLoginForm},
		{"control character", nil, param("login_hint", "u\r\n1"), lti.ErrLoginForm},
		{"C1 control character", nil, param("login_hint", "u\u0085"), lti.ErrLoginForm},
		{"not UTF-8", nil, param("login_hint", "\xff"), lti.ErrLoginForm},
		{"endpoint's query decides our parameter", func(g *rig) {
			g.update(func(p *vigil.Platform) { p.AuthorizationEndpoint += "&redirect_uri=https://evil.example" })
		}, nil, lti.ErrLoginEndpoint},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			if row.rig != nil {
				row.rig(g)
			}
			q := g.loginParams()
			if row.change != nil {
				row.change(q)
			}
			res := g.get(q.Encode())
			var err error
			if g.last != nil {
				err = g.last
			}
			wantFault(t, err, row.want)
			if row.want == nil && res.StatusCode != http.StatusFound {
				t.Errorf("got status %d, want 302", res.StatusCode)
			}
			if row.want != nil {
				if res.Header.Get("Location") != "" || res.StatusCode < 400 {
					t.Errorf("got status %d, location %q", res.StatusCode, res.Header.Get("Location"))
				}
			}
		})
	}
}

func TestLoginGoesToTheRegisteredEndpointAndKeepsItsQuery(t *testing.T) {
	g := newRig(t)
	q := g.loginParams()
	q.Set("redirect_uri", "https://evil.example")
	res := g.get(q.Encode())
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := to.Scheme+"://"+to.Host+to.Path, g.server.URL+"/auth.php"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := to.Query()
	for name, want := range map[string]string{
		"own": "1", "scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
		"client_id": "client-1", "redirect_uri": publicURL + "/lti/launch", "login_hint": "u1", "lti_message_hint": "hint",
	} {
		if got.Get(name) != want || len(got[name]) != 1 {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if len(got.Get("state")) != 43 || len(got.Get("nonce")) < 20 {
		t.Errorf("got state %q, nonce %q", got.Get("state"), got.Get("nonce"))
	}
	p, err := g.store.Platform(context.Background(), "p1")
	if err != nil || p.AuthorizationEndpoint != g.p.AuthorizationEndpoint {
		t.Errorf("the stored endpoint changed: %q", p.AuthorizationEndpoint)
	}
}

func TestLoginByPost(t *testing.T) {
	g := newRig(t)
	send := func(method, path, media, body string) int {
		r := httptest.NewRequest(method, publicURL+path, strings.NewReader(body))
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		w := httptest.NewRecorder()
		g.last = nil
		g.tool.ServeLogin(w, r)
		return w.Code
	}
	const form = "application/x-www-form-urlencoded"
	if got := send(http.MethodPost, "/lti/login", form, g.loginParams().Encode()); got != http.StatusFound {
		t.Fatalf("got %d, want 302", got)
	}
	for _, row := range []struct {
		name, method, path, media, body string
		want                            *lti.Fault
	}{
		{"JSON", http.MethodPost, "/lti/login", "application/json", "{}", lti.ErrLoginForm},
		{"parameter in query and body", http.MethodPost, "/lti/login?iss=x", form, g.loginParams().Encode(), lti.ErrLoginForm},
		{"body over 256 KB", http.MethodPost, "/lti/login", form, "x=" + strings.Repeat("a", 256<<10), lti.ErrLoginForm},
		{"DELETE", http.MethodDelete, "/lti/login", "", "", lti.ErrLoginMethod},
		{"HEAD", http.MethodHead, "/lti/login?" + g.loginParams().Encode(), "", "", lti.ErrLoginMethod},
	} {
		send(row.method, row.path, row.media, row.body)
		wantFault(t, g.last, row.want)
	}
}

func TestOneCookieServesAllLoginsOfABrowser(t *testing.T) {
	g := newRig(t)
	first := g.get(g.loginParams().Encode())
	c := first.Cookies()
	if len(c) != 1 {
		t.Fatalf("got %d cookies, want 1", len(c))
	}
	if c[0].Name != "__Host-vigil-lti" || !c[0].Secure || !c[0].HttpOnly || !c[0].Partitioned || c[0].SameSite != http.SameSiteNoneMode || c[0].Path != "/" || c[0].Domain != "" {
		t.Errorf("got cookie %+v", c[0])
	}
	size := 0
	for range 300 {
		res := g.get(g.loginParams().Encode(), c[0])
		if got := res.Cookies(); len(got) != 1 || got[0].Value != c[0].Value {
			t.Fatalf("got %v, want the same cookie", got)
		}
		size = len(res.Header.Get("Set-Cookie"))
	}
	if size > 200 {
		t.Errorf("got a cookie of %d bytes after 300 logins", size)
	}
	// A value that we cannot have made is replaced.
	planted := *c[0]
	planted.Value = "planted"
	if got := g.get(g.loginParams().Encode(), &planted).Cookies(); len(got) != 1 || got[0].Value == "planted" {
		t.Errorf("got %v, want a new cookie", got)
	}
	// Of two nobody knows which is ours.
	other := *c[0]
	other.Value = strings.Repeat("A", 43)
	if got := g.get(g.loginParams().Encode(), c[0], &other).Cookies(); got[0].Value == c[0].Value || got[0].Value == other.Value {
		t.Errorf("got %v, want a new cookie", got)
	}
}

func TestPlainHTTPOnLoopbackHasACookieToo(t *testing.T) {
	for _, host := range []string{"http://localhost:8080", "http://127.0.0.1:8080"} {
		g := newRig(t, func(c *lti.Config) { c.PublicURL = host })
		q := g.loginParams()
		q.Set("target_link_uri", host+"/lti/launch")
		res := g.get(q.Encode())
		if c := res.Cookies(); len(c) != 1 || c[0].Name != "vigil-lti" || !c[0].Secure || c[0].SameSite != http.SameSiteNoneMode {
			t.Errorf("%s: got %v (%v)", host, c, g.last)
		}
	}
}

func TestToolNeedsAUsableConfiguration(t *testing.T) {
	store := newMemory(time.Now)
	for _, row := range []struct {
		field string
		cfg   lti.Config
	}{
		{"PublicURL", lti.Config{Store: store, Sealer: noSealer{}}},
		{"PublicURL", lti.Config{PublicURL: "http://vigil.example", Store: store, Sealer: noSealer{}}},
		{"PublicURL", lti.Config{PublicURL: "https://vigil.example/path", Store: store, Sealer: noSealer{}}},
		{"PublicURL", lti.Config{PublicURL: "ftp://vigil.example", Store: store, Sealer: noSealer{}}},
		{"PublicURL", lti.Config{PublicURL: "https://a@vigil.example", Store: store, Sealer: noSealer{}}},
		{"Store", lti.Config{PublicURL: publicURL, Sealer: noSealer{}}},
		{"Sealer", lti.Config{PublicURL: publicURL, Store: store}},
	} {
		_, err := lti.New(row.cfg)
		if got, ok := errors.AsType[*vigil.Error](err); !ok || got.Field != row.field {
			t.Errorf("got %v, want field %s", err, row.field)
		}
	}
}

var nonceRE = regexp.MustCompile(`script-src 'nonce-([A-Z2-7]+)'`)

// page reads one of the tool's own pages and checks what all of them promise.
func page(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	csp := res.Header.Get("Content-Security-Policy")
	nonce := nonceRE.FindStringSubmatch(csp)
	if nonce == nil || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "base-uri 'none'") || !strings.Contains(csp, "frame-ancestors 'self'") {
		t.Fatalf("got policy %q", csp)
	}
	if strings.Count(string(body), "<script") != 1 || !strings.Contains(string(body), `<script nonce="`+nonce[1]+`">`) {
		t.Errorf("the page's script does not fit its policy: %s", body)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("got headers %v", res.Header)
	}
	return string(body)
}

func hidden(t *testing.T, body, name string) string {
	t.Helper()
	got := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if got == nil {
		t.Fatalf("no field %s in %s", name, body)
	}
	return got[1]
}

func TestLaunchWithoutItsCookiePostsItselfAgainOnce(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	f := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}
	_, res, err := g.post(f, nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %v, status %d", err, res.StatusCode)
	}
	body := page(t, res)
	f = url.Values{}
	for _, name := range []string{"state", "id_token", "vigil_again", "vigil_binding"} {
		f.Set(name, hidden(t, body, name))
	}
	if got, _, err := g.post(f, l.cookie); err != nil || got.Subject != "u1" {
		t.Errorf("got %v, %v, want the launch", got.Subject, err)
	}
	// Once: without the cookie the second time it is refused, and spent.
	l = g.begin()
	f.Set("state", l.state)
	f.Set("id_token", good().sign(g.claims(lti.MessageResourceLink, l)))
	_, _, err = g.post(f, nil)
	wantFault(t, err, lti.ErrLaunchBinding)
	_, _, err = g.post(f, l.cookie)
	wantFault(t, err, lti.ErrLaunchState)
}

func TestLaunchInAFrameIsBoundByThePlatformsStorage(t *testing.T) {
	g := newRig(t)
	q := g.loginParams()
	q.Set("lti_storage_target", "_parent")
	res := g.get(q.Encode())
	body := page(t, res)
	attr := func(body, name string) string {
		got := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(body)
		if got == nil {
			t.Fatalf("no %s in %s", name, body)
		}
		return strings.ReplaceAll(got[1], "&amp;", "&")
	}
	if got := attr(body, "data-origin"); got != g.server.URL {
		t.Errorf("got origin %q, want the authorization endpoint's", got)
	}
	key, value := attr(body, "data-key"), attr(body, "data-value")
	to, err := url.Parse(attr(body, "href"))
	if err != nil {
		t.Fatal(err)
	}
	l := login{state: to.Query().Get("state"), nonce: to.Query().Get("nonce")}
	f := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}
	_, res, err = g.post(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	body = page(t, res)
	if got := attr(body, "data-key"); got != key || attr(body, "data-frame") != "_parent" {
		t.Errorf("the launch asks for %q, the login left %q", got, key)
	}
	f.Set("vigil_again", "1")
	f.Set("vigil_binding", value)
	if _, _, err := g.post(f, nil); err != nil {
		t.Errorf("got %v, want the launch", err)
	}
}

// In a window of its own the cookie is enough.
func TestLoginInAWindowNeedsNoStorage(t *testing.T) {
	g := newRig(t)
	q := g.loginParams()
	q.Set("lti_storage_target", "_parent")
	r := httptest.NewRequest(http.MethodGet, publicURL+"/lti/login?"+q.Encode(), nil)
	r.Header.Set("Sec-Fetch-Dest", "document")
	w := httptest.NewRecorder()
	g.tool.ServeLogin(w, r)
	if w.Code != http.StatusFound {
		t.Errorf("got %d, want 302", w.Code)
	}
}

func TestPagesSpeakTheBrowsersLanguage(t *testing.T) {
	g := newRig(t)
	for accept, want := range map[string]string{"": "en", "id-ID,id;q=0.9": "id", "fr, en;q=0.5": "en", "xx": "en"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, publicURL, nil)
		r.Header.Set("Accept-Language", accept)
		g.tool.WritePost(w, r, lti.Post{URL: "https://lms.example/x", Field: "JWT", JWT: "a.b.c"})
		if got := w.Body.String(); !strings.Contains(got, `<html lang="`+want+`">`) {
			t.Errorf("%q: got %.60s, want %s", accept, got, want)
		}
	}
}

func TestErrorPageByDefaultIsText(t *testing.T) {
	g := newRig(t, func(c *lti.Config) { c.OnError = nil })
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, publicURL+"/lti/launch", strings.NewReader("error=%3Cscript%3E&state="+strings.Repeat("A", 43)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	g.tool.ServeLaunch(w, r, func(http.ResponseWriter, *http.Request, lti.Launch) { t.Error("launched") })
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" || w.Code != http.StatusForbidden {
		t.Errorf("got %s, %d", got, w.Code)
	}
}
