package lti_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

// registrar is a platform's registration endpoints on a rig's server.
type registrar struct {
	*rig
	config     m
	answer     m
	rawConfig  []byte // instead of config
	rawAnswer  []byte // instead of answer
	configCode int
	answerCode int

	mu    sync.Mutex
	posts []m
	auth  string
}

func newRegistrar(t testing.TB) *registrar {
	g := &registrar{rig: newRig(t), configCode: http.StatusOK, answerCode: http.StatusOK}
	u := g.server.URL
	g.config = m{
		"issuer": u, "authorization_endpoint": u + "/auth.php", "token_endpoint": u + "/token.php", "jwks_uri": u + "/certs.php",
		"registration_endpoint":                 u + "/register.php",
		"token_endpoint_auth_methods_supported": []any{"private_key_jwt"},
		"id_token_signing_alg_values_supported": []any{"RS256"},
		"scopes_supported":                      []any{"openid", lti.ScopeMembers},
		"https://purl.imsglobal.org/spec/lti-platform-configuration": m{
			"product_family_code": "moodle",
			"messages_supported":  []any{m{"type": "LtiResourceLinkRequest"}, m{"type": "LtiDeepLinkingRequest"}},
		},
	}
	g.answer = m{
		"client_id": "new-client",
		"https://purl.imsglobal.org/spec/lti-tool-configuration": m{"deployment_id": "7"},
	}
	g.mux.HandleFunc("GET /mod/lti/openid-configuration.php", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(g.configCode)
		if g.rawConfig != nil {
			_, _ = w.Write(g.rawConfig)
			return
		}
		_, _ = w.Write(mustJSON(g.config))
	})
	g.mux.HandleFunc("POST /register.php", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var post m
		if err := json.Unmarshal(body, &post); err != nil {
			t.Errorf("the registration is not JSON: %v", err)
		}
		g.mu.Lock()
		g.posts, g.auth = append(g.posts, post), r.Header.Get("Authorization")
		g.mu.Unlock()
		w.WriteHeader(g.answerCode)
		if g.rawAnswer != nil {
			_, _ = w.Write(g.rawAnswer)
			return
		}
		_, _ = w.Write(mustJSON(g.answer))
	})
	return g
}

func (g *registrar) url() string { return g.server.URL + "/mod/lti/openid-configuration.php" }

func (g *registrar) invite(i lti.Invitation) string {
	g.t.Helper()
	secret, err := g.tool.Invite(context.Background(), i)
	if err != nil {
		g.t.Fatal(err)
	}
	return secret
}

func TestRegistrationRefusesWhatIsWrongInOneThing(t *testing.T) {
	cfg := func(name string, value any) func(*registrar) { return func(g *registrar) { g.config[name] = value } }
	for _, row := range []struct {
		name   string
		change func(*registrar)
		url    func(string) string
		token  string
		want   *lti.Fault
	}{
		{name: "honest"},
		{name: "status 201", change: func(g *registrar) { g.answerCode = http.StatusCreated }},
		{name: "no deployment in the answer", change: func(g *registrar) {
			delete(g.answer, "https://purl.imsglobal.org/spec/lti-tool-configuration")
		}},
		{name: "scopes, methods and algorithms not listed", change: func(g *registrar) {
			for _, n := range []string{"scopes_supported", "token_endpoint_auth_methods_supported", "id_token_signing_alg_values_supported"} {
				delete(g.config, n)
			}
		}},
		{name: "issuer below a path", change: func(g *registrar) { g.config["issuer"] = g.server.URL + "/moodle" }},
		{name: "configuration is javascript", url: func(string) string { return "javascript:alert(1)" }, want: lti.ErrRegistrationURL},
		{name: "configuration is a file", url: func(string) string { return "file:///etc/passwd" }, want: lti.ErrRegistrationURL},
		{name: "configuration with user info", url: func(u string) string { return strings.Replace(u, "//", "//a:b@", 1) }, want: lti.ErrRegistrationURL},
		{name: "configuration with a fragment", url: func(u string) string { return u + "#x" }, want: lti.ErrRegistrationURL},
		{name: "configuration with a line break", url: func(u string) string { return u + "\r\nx: y" }, want: lti.ErrRegistrationURL},
		{name: "configuration too long", url: func(u string) string { return u + "?" + strings.Repeat("x", 4<<10) }, want: lti.ErrRegistrationURL},
		{name: "no configuration", url: func(string) string { return "" }, want: lti.ErrRegistrationURL},
		{name: "cloud metadata", url: func(string) string { return "http://169.254.169.254/latest/meta-data" }, want: lti.ErrRegistrationFetch},
		{name: "configuration not found", change: func(g *registrar) { g.configCode = http.StatusNotFound }, want: lti.ErrRegistrationFetch},
		{name: "configuration redirects", change: func(g *registrar) { g.configCode = http.StatusFound }, want: lti.ErrRegistrationFetch},
		{name: "token with a line break", token: "a\r\nb", want: lti.ErrRegistrationToken},
		{name: "token too long", token: strings.Repeat("x", 16<<10+1), want: lti.ErrRegistrationToken},
		{name: "configuration is a page", change: func(g *registrar) { g.rawConfig = []byte("<html>") }, want: lti.ErrRegistrationConfig},
		{name: "configuration with issuer twice", change: func(g *registrar) {
			g.rawConfig = []byte(`{"issuer":"https://evil.example",` + string(mustJSON(g.config))[1:])
		}, want: lti.ErrRegistrationConfig},
		{name: "configuration too big", change: func(g *registrar) {
			g.config["x"] = strings.Repeat("x", 256<<10)
		}, want: lti.ErrRegistrationFetch},
		{name: "no issuer", change: func(g *registrar) { delete(g.config, "issuer") }, want: lti.ErrRegistrationConfig},
		{name: "Issuer instead of issuer", change: func(g *registrar) {
			delete(g.config, "issuer")
			g.config["Issuer"] = g.server.URL
		}, want: lti.ErrRegistrationConfig},
		{name: "no key set", change: func(g *registrar) { delete(g.config, "jwks_uri") }, want: lti.ErrRegistrationConfig},
		{name: "token endpoint is a number", change: cfg("token_endpoint", 1), want: lti.ErrRegistrationConfig},
		{name: "scopes are a string", change: cfg("scopes_supported", "openid"), want: lti.ErrRegistrationConfig},
		{name: "audience is an array", change: cfg("authorization_server", []any{}), want: lti.ErrRegistrationConfig},
		{name: "issuer of somebody else", change: cfg("issuer", "https://lms.example"), want: lti.ErrRegistrationIssuer},
		{name: "issuer on another port", change: cfg("issuer", "http://127.0.0.1:1"), want: lti.ErrRegistrationIssuer},
		{name: "issuer with a query", change: func(g *registrar) { g.config["issuer"] = g.server.URL + "?x" }, want: lti.ErrRegistrationIssuer},
		{name: "issuer of Canvas's cloud from elsewhere", change: func(g *registrar) {
			g.config["issuer"] = "https://canvas.instructure.com"
			g.config["https://purl.imsglobal.org/spec/lti-platform-configuration"] = m{"product_family_code": "canvas"}
		}, want: lti.ErrRegistrationIssuer},
		{name: "authorization endpoint elsewhere", change: cfg("authorization_endpoint", "https://evil.example/auth"), want: lti.ErrRegistrationEndpoint},
		{name: "authorization endpoint is javascript", change: cfg("authorization_endpoint", "javascript:alert(1)"), want: lti.ErrRegistrationEndpoint},
		{name: "key set elsewhere", change: cfg("jwks_uri", "https://evil.example/jwks"), want: lti.ErrRegistrationEndpoint},
		{name: "token endpoint at the metadata service", change: cfg("token_endpoint", "http://169.254.169.254/"), want: lti.ErrRegistrationEndpoint},
		{name: "registration endpoint elsewhere", change: cfg("registration_endpoint", "https://evil.example/register"), want: lti.ErrRegistrationEndpoint},
		{name: "only HS256", change: cfg("id_token_signing_alg_values_supported", []any{"HS256"}), want: lti.ErrRegistrationSupport},
		{name: "only client secrets", change: cfg("token_endpoint_auth_methods_supported", []any{"client_secret_basic"}), want: lti.ErrRegistrationSupport},
		{name: "refused by the platform", change: func(g *registrar) { g.answerCode = http.StatusUnauthorized }, want: lti.ErrRegistrationRefused},
		{name: "registration redirects", change: func(g *registrar) { g.answerCode = http.StatusTemporaryRedirect }, want: lti.ErrRegistrationRefused},
		{name: "answer is a page", change: func(g *registrar) { g.rawAnswer = []byte("<html>") }, want: lti.ErrRegistrationAnswer},
		{name: "answer without a client id", change: func(g *registrar) { delete(g.answer, "client_id") }, want: lti.ErrRegistrationAnswer},
		{name: "client id of spaces", change: func(g *registrar) { g.answer["client_id"] = "  " }, want: lti.ErrRegistrationAnswer},
		{name: "client id that nobody can see", change: func(g *registrar) { g.answer["client_id"] = "\u200b" }, want: lti.ErrRegistrationAnswer},
		{name: "client id is a number", change: func(g *registrar) { g.answer["client_id"] = 5 }, want: lti.ErrRegistrationAnswer},
		{name: "client id too long", change: func(g *registrar) { g.answer["client_id"] = strings.Repeat("x", 256) }, want: lti.ErrRegistrationAnswer},
		{name: "deployment is a number", change: func(g *registrar) {
			g.answer["https://purl.imsglobal.org/spec/lti-tool-configuration"] = m{"deployment_id": 7}
		}, want: lti.ErrRegistrationAnswer},
		{name: "client id of an active platform", change: func(g *registrar) { g.answer["client_id"] = "client-1" }, want: lti.ErrRegistrationExists},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRegistrar(t)
			before, _ := g.store.Platform(context.Background(), "p1")
			if row.change != nil {
				row.change(g)
			}
			u := g.url()
			if row.url != nil {
				u = row.url(u)
			}
			secret := g.invite(lti.Invitation{Private: true})
			got, err := g.tool.Register(context.Background(), secret, u, row.token)
			wantFault(t, err, row.want)
			all, _ := g.store.Platforms(context.Background())
			after, _ := g.store.Platform(context.Background(), "p1")
			if len(after.Scopes) != len(before.Scopes) || after.Version != before.Version {
				t.Error("a registration changed an active platform")
			}
			if row.want == nil {
				if got.State != vigil.PlatformActive || len(all) != 2 || got.ClientID != "new-client" || !got.Private {
					t.Errorf("got %+v of %d platforms", got, len(all))
				}
				_, err := g.tool.Register(context.Background(), secret, u, row.token)
				wantFault(t, err, lti.ErrRegistrationUsed)
				wantFault(t, g.tool.Invited(context.Background(), secret), lti.ErrRegistrationUsed)
				return
			}
			if len(all) != 1 {
				t.Errorf("got %d platforms after a failure, want 1", len(all))
			}
			// A failed try does not spend the invitation.
			g2 := newRegistrar(t)
			g.config, g.answer, g.rawConfig, g.rawAnswer, g.configCode, g.answerCode = g2.config, g2.answer, nil, nil, 200, 200
			for _, n := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint"} {
				g.config[n] = strings.Replace(g.config[n].(string), g2.server.URL, g.server.URL, 1)
			}
			if _, err := g.tool.Register(context.Background(), secret, g.url(), ""); err != nil {
				t.Errorf("an honest try after it: got %v, want none", err)
			}
		})
	}
}

func TestInvitationAllowsTenTries(t *testing.T) {
	g := newRegistrar(t)
	g.configCode = http.StatusNotFound
	secret := g.invite(lti.Invitation{Private: true})
	for range 10 {
		_, err := g.tool.Register(context.Background(), secret, g.url(), "")
		wantFault(t, err, lti.ErrRegistrationFetch)
	}
	g.configCode = http.StatusOK
	_, err := g.tool.Register(context.Background(), secret, g.url(), "")
	wantFault(t, err, lti.ErrRegistrationTries)
	wantFault(t, g.tool.Invited(context.Background(), secret), lti.ErrRegistrationTries)
}

func TestInvitationExpires(t *testing.T) {
	g := newRegistrar(t)
	secret := g.invite(lti.Invitation{Private: true, TTL: time.Hour})
	for range 20 { // looking counts no try
		if err := g.tool.Invited(context.Background(), secret); err != nil {
			t.Fatalf("got %v for a good invitation, want none", err)
		}
	}
	g.clock.add(time.Hour)
	_, err := g.tool.Register(context.Background(), secret, g.url(), "")
	wantFault(t, err, lti.ErrRegistrationExpired)
	wantFault(t, g.tool.Invited(context.Background(), secret), lti.ErrRegistrationExpired)
	wantFault(t, g.tool.Invited(context.Background(), "guessed"), lti.ErrRegistrationInvitation)
	_, err = g.tool.Register(context.Background(), "guessed", g.url(), "")
	wantFault(t, err, lti.ErrRegistrationInvitation)
	if _, err := g.tool.Invite(context.Background(), lti.Invitation{TTL: 91 * 24 * time.Hour}); !errors.Is(err, &vigil.Error{Code: vigil.CodeInvalid}) && vigil.CodeOf(err) != vigil.CodeInvalid {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestPublicInvitationDoesNotReachThisMachine(t *testing.T) {
	g := newRegistrar(t)
	secret := g.invite(lti.Invitation{})
	_, err := g.tool.Register(context.Background(), secret, g.url(), "")
	wantFault(t, err, lti.ErrRegistrationPlain)
	_, err = g.tool.Register(context.Background(), secret, strings.Replace(g.url(), "http:", "https:", 1), "")
	wantFault(t, err, lti.ErrRegistrationFetch)
}

func TestReviewedInvitationLeavesThePlatformPending(t *testing.T) {
	g := newRegistrar(t)
	p, err := g.tool.Register(context.Background(), g.invite(lti.Invitation{Private: true, Review: true}), g.url(), "")
	if err != nil || p.State != vigil.PlatformPending {
		t.Fatalf("got %s, %v, want pending", p.State, err)
	}
}

func TestRegistrationTellsThePlatformAboutUs(t *testing.T) {
	g := newRegistrar(t)
	p, err := g.tool.Register(context.Background(), g.invite(lti.Invitation{Private: true}), g.url(), "tok-1")
	if err != nil {
		t.Fatal(err)
	}
	if p.Issuer != g.server.URL || p.KeySetURL != g.server.URL+"/certs.php" || p.Family != "moodle" || p.Name == "" ||
		len(p.Scopes) != 1 || p.Scopes[0] != lti.ScopeMembers {
		t.Errorf("got %+v", p)
	}
	d, err := g.store.Deployment(context.Background(), p.ID, "7")
	if err != nil || d.State != vigil.DeploymentActive {
		t.Errorf("got deployment %+v, %v, want 7 active", d, err)
	}
	if g.auth != "Bearer tok-1" {
		t.Errorf("got authorization %q", g.auth)
	}
	post := g.posts[0]
	for name, want := range map[string]string{
		"initiate_login_uri": publicURL + "/lti/login", "jwks_uri": publicURL + "/lti/keys", "application_type": "web",
		"token_endpoint_auth_method": "private_key_jwt", "scope": lti.ScopeMembers,
	} {
		if post[name] != want {
			t.Errorf("%s: got %v, want %s", name, post[name], want)
		}
	}
	tool := post["https://purl.imsglobal.org/spec/lti-tool-configuration"].(m)
	if tool["domain"] != "vigil.example" || tool["target_link_uri"] != publicURL+"/lti/launch" {
		t.Errorf("got tool configuration %v", tool)
	}
	var messages []string
	for _, msg := range tool["messages"].([]any) {
		messages = append(messages, msg.(m)["type"].(string))
	}
	if got, want := strings.Join(messages, " "), "LtiDeepLinkingRequest LtiStartProctoring LtiEndAssessment"; got != want {
		t.Errorf("got messages %s, want %s", got, want)
	}
}

func TestProctoringScopeIsAskedForWhereItIsOffered(t *testing.T) {
	g := newRegistrar(t)
	g.config["scopes_supported"] = []any{"openid", lti.ScopeControl}
	p, err := g.tool.Register(context.Background(), g.invite(lti.Invitation{Private: true}), g.url(), "")
	if err != nil || len(p.Scopes) != 1 || p.Scopes[0] != lti.ScopeControl || g.posts[0]["scope"] != lti.ScopeControl {
		t.Errorf("got %v, %v, want the control scope", p.Scopes, err)
	}
}

func TestOfTenRegistrationsAtOnceOneAsksThePlatform(t *testing.T) {
	g := newRegistrar(t)
	secret := g.invite(lti.Invitation{Private: true})
	asked, others := make(chan struct{}, 10), make(chan struct{})
	g.mux.HandleFunc("POST /register2.php", func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-others // all have come before the first is through
		_, _ = w.Write(mustJSON(m{"client_id": "client-at-once"}))
	})
	g.config["registration_endpoint"] = g.server.URL + "/register2.php"
	register := func() error {
		_, err := g.tool.Register(context.Background(), secret, g.url(), "")
		return err
	}
	first := make(chan error)
	go func() { first <- register() }()
	<-asked
	beside := make([]error, 9)
	var wg sync.WaitGroup
	for i := range beside {
		wg.Go(func() { beside[i] = register() })
	}
	wg.Wait()
	for _, err := range beside {
		wantFault(t, err, lti.ErrRegistrationBusy)
	}
	close(others)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	wantFault(t, register(), lti.ErrRegistrationUsed)
	if len(asked) != 0 {
		t.Errorf("the platform was asked %d times more, want once", len(asked))
	}
	if all, err := g.store.Platforms(context.Background()); err != nil || len(all) != 2 {
		t.Errorf("got %d platforms, %v, want the rig's and the new one", len(all), err)
	}
}

func TestPlatformsAddedByHandAreChecked(t *testing.T) {
	honest := vigil.Platform{
		Issuer: "https://lms.example", ClientID: "c", AuthorizationEndpoint: "https://lms.example/auth",
		TokenEndpoint: "https://lms.example/token", KeySetURL: "https://keys.lms.example/jwks",
	}
	for _, row := range []struct {
		field  string
		change func(*vigil.Platform)
	}{
		{"", func(*vigil.Platform) {}},
		{"", func(p *vigil.Platform) {
			p.Private = true
			p.Issuer, p.AuthorizationEndpoint, p.TokenEndpoint, p.KeySetURL = "http://lms.local", "http://lms.local/a", "http://lms.local/t", "http://lms.local/k"
		}},
		{"client_id", func(p *vigil.Platform) { p.ClientID = "" }},
		{"client_id", func(p *vigil.Platform) { p.ClientID = " \u200b" }},
		{"client_id", func(p *vigil.Platform) { p.ClientID = "a\nb" }},
		{"issuer", func(p *vigil.Platform) { p.Issuer = "lms.example" }},
		{"issuer", func(p *vigil.Platform) { p.Issuer = "http://lms.example" }},
		{"issuer", func(p *vigil.Platform) { p.Issuer = "https://lms.example/?a=1" }},
		{"authorization_endpoint", func(p *vigil.Platform) { p.AuthorizationEndpoint = "javascript:alert(1)" }},
		{"token_endpoint", func(p *vigil.Platform) { p.TokenEndpoint = "http://lms.example/token" }},
		{"key_set_url", func(p *vigil.Platform) { p.KeySetURL = "https://a:b@lms.example/jwks" }},
		{"key_set_url", func(p *vigil.Platform) { p.Private = true; p.KeySetURL = "http://lms.example/jwks" }},
		{"token_audience", func(p *vigil.Platform) { p.TokenAudience = "a\x00" }},
	} {
		p := honest
		row.change(&p)
		err := lti.CheckPlatform(p)
		got := ""
		if e, ok := errors.AsType[*vigil.Error](err); ok {
			got = e.Field
		}
		if got != row.field {
			t.Errorf("got %v, want field %q", err, row.field)
		}
	}
}

func TestConfigurationOrigin(t *testing.T) {
	if got, err := lti.ConfigurationOrigin("https://lms.example/mod/lti/openid-configuration.php"); got != "https://lms.example" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_, err := lti.ConfigurationOrigin("javascript:alert(1)")
	wantFault(t, err, lti.ErrRegistrationURL)
}
