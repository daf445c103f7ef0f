package lti_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/lti"
)

func TestLaunchRefusesWhatIsWrongInOneThing(t *testing.T) {
	for _, row := range hostileLaunches {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			if row.rig != nil {
				row.rig(g)
			}
			q := g.loginParams()
			if row.login != nil {
				row.login(q)
			}
			l := g.beginWith(q)
			if row.after != nil {
				row.after(g)
			}
			kind := row.kind
			if kind == "" {
				kind = lti.MessageResourceLink
			}
			c := g.claims(kind, l)
			if row.claims != nil {
				row.claims(g, c)
			}
			good, _ := testKeys()
			token := good.sign(c)
			if row.token != nil {
				token = row.token(g, c)
			}
			f := url.Values{"state": {l.state}, "id_token": {token}}
			if row.form != nil {
				row.form(g, &l, f)
			}
			got, res, err := g.post(f, l.cookie)
			wantFault(t, err, row.want)
			if row.want == nil && got.Subject != "u1" {
				t.Errorf("got subject %q, want u1", got.Subject)
			}
			if err != nil && strings.Contains(err.Error(), "Amara") {
				t.Errorf("the error holds personal data: %v", err)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
			// The login is spent, good or bad.
			if f.Get("state") == l.state && l.cookie != nil && !errors.Is(err, lti.ErrLaunchForm) && !errors.Is(err, lti.ErrLaunchParameter) {
				f.Set("id_token", good.sign(g.claims(kind, l)))
				f.Del("error")
				if _, _, err := g.post(f, l.cookie); !errors.Is(err, lti.ErrLaunchState) {
					t.Errorf("second launch of the login: got %v, want %v", err, lti.ErrLaunchState)
				}
			}
		})
	}
}

func good() signer { s, _ := testKeys(); return s }

// weakKey is a 512-bit RSA key made elsewhere: crypto/rsa refuses to make one.
func weakKey() signer {
	block, _ := pem.Decode([]byte(weakPEM))
	k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return signer{kid: "good", key: k}
}

func keyWith(name string, value any) func(*rig) {
	return func(g *rig) {
		k := good().jwk()
		k[name] = value
		g.serveKeys(k)
	}
}

// hs256 signs with HMAC under the public key's PEM, the classic confusion.
func hs256(_ *rig, c m) string {
	der, err := x509.MarshalPKIXPublicKey(&good().key.PublicKey)
	if err != nil {
		panic(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	input := b64(mustJSON(m{"alg": "HS256", "typ": "JWT", "kid": "good"})) + "." + b64(mustJSON(c))
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(input))
	return input + "." + b64(h.Sum(nil))
}

func TestLaunchNeedsAFormPost(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	f := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}
	for _, row := range []struct {
		name, method, path, media, body string
		want                            *lti.Fault
	}{
		{"GET", http.MethodGet, "/lti/launch?" + f.Encode(), "", "", lti.ErrLaunchMethod},
		{"PUT", http.MethodPut, "/lti/launch", "application/x-www-form-urlencoded", f.Encode(), lti.ErrLaunchMethod},
		{"JSON", http.MethodPost, "/lti/launch", "application/json", "{}", lti.ErrLaunchForm},
		{"multipart", http.MethodPost, "/lti/launch", "multipart/form-data; boundary=x", "--x--", lti.ErrLaunchForm},
		{"no media type", http.MethodPost, "/lti/launch", "", f.Encode(), lti.ErrLaunchForm},
		{"bad escape", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", "state=%zz", lti.ErrLaunchForm},
		{"semicolon", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", f.Encode() + ";x=1", lti.ErrLaunchForm},
		{"state in the query", http.MethodPost, "/lti/launch?state=x", "application/x-www-form-urlencoded", f.Encode(), lti.ErrLaunchForm},
		{"65 parameters", http.MethodPost, "/lti/launch", "application/x-www-form-urlencoded", f.Encode() + many(65), lti.ErrLaunchForm},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, publicURL+row.path, strings.NewReader(row.body))
			if row.media != "" {
				r.Header.Set("Content-Type", row.media)
			}
			r.AddCookie(l.cookie)
			_, _, err := g.send(r)
			wantFault(t, err, row.want)
		})
	}
	if _, _, err := g.post(f, l.cookie); err != nil {
		t.Errorf("the honest launch after them: got %v, want none", err)
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&p" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "=1")
	}
	return b.String()
}

func TestLaunchTellsWhatThePlatformSaid(t *testing.T) {
	g := newRig(t)
	g.clock.add(time.Minute)
	begun := g.clock.now()
	got, err := g.launch(lti.MessageStartProctoring, func(c m) { c["locale"] = "id" })
	if err != nil {
		t.Fatal(err)
	}
	if got.Platform.ID != "p1" || got.Deployment != "1" || got.Message != start || got.Subject != "u1" || got.Name != "Amara Okafor" ||
		got.Locale != "id" || got.Resource != (lti.ResourceLink{ID: "quiz-2", Title: "Quiz"}) || got.Context.Label != "BIO" ||
		got.Target != "/lti/launch" || got.Custom["exam"] != "e1" || got.ReturnURL != g.p.Issuer+"/return.php?x=1" ||
		got.Window != "window" || !got.Started.Equal(begun) || got.MembersURL != g.p.Issuer+"/members" || got.Reference == "" {
		t.Errorf("got %+v", got)
	}
	if p := got.Proctoring; p == nil || p.Attempt != 1 || p.SessionData != "opaque" || p.StartURL != g.p.Issuer+"/start.php" ||
		p.Settings != "{}" || strings.Join(p.Actions, " ") != "pause terminate" || p.ControlURL != g.p.Issuer+"/acs" {
		t.Errorf("got proctoring %+v", p)
	}
	if got.Role != lti.RoleLearner {
		t.Errorf("a proctoring launch with an instructor's role: got %s, want learner", got.Role)
	}

	got, err = g.launch(lti.MessageEndAssessment, func(c m) { c[claimAP+"errormsg "] = "The quiz broke"; c[claimAP+"errorlog"] = "trace" })
	if err != nil {
		t.Fatal(err)
	}
	if got.End == nil || *got.End != (lti.EndAssessment{Attempt: 1, ErrorMsg: "The quiz broke", ErrorLog: "trace"}) || got.Proctoring != nil {
		t.Errorf("got end %+v", got.End)
	}

	got, err = g.launch(lti.MessageDeepLinking, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := got.DeepLinking; d == nil || d.ReturnURL != g.p.Issuer+"/return" || !d.AcceptMultiple || d.Data != "d1" || got.Role != lti.RoleProctor {
		t.Errorf("got deep linking %+v, role %s", d, got.Role)
	}
}

func TestLaunchLeavesOutAReturnURLElsewhere(t *testing.T) {
	g := newRig(t)
	got, err := g.launch(lti.MessageResourceLink, func(c m) {
		c[claimLTI+"launch_presentation"] = m{"return_url": "https://elsewhere.example/"}
	})
	if err != nil || got.ReturnURL != "" {
		t.Errorf("got %q, %v, want none", got.ReturnURL, err)
	}
}

func TestRolesCountByTheirWholeURI(t *testing.T) {
	const sub = "http://purl.imsglobal.org/vocab/lis/v2/membership/"
	const inst = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
	for _, row := range []struct {
		roles []any
		want  lti.Role
	}{
		{[]any{mRole + "Instructor"}, lti.RoleProctor},
		{[]any{mRole + "Learner", mRole + "Instructor"}, lti.RoleProctor},
		{[]any{sub + "Instructor#TeachingAssistant"}, lti.RoleProctor},
		{[]any{mRole + "Administrator"}, lti.RoleProctor},
		{[]any{"http://purl.imsglobal.org/vocab/lis/v2/system/person#Administrator"}, lti.RoleProctor},
		{[]any{}, lti.RoleLearner},
		{[]any{mRole + "Learner"}, lti.RoleLearner},
		{[]any{sub + "Learner#Instructor"}, lti.RoleLearner},
		{[]any{"Instructor"}, lti.RoleLearner},
		{[]any{mRole + "instructor"}, lti.RoleLearner},
		{[]any{inst + "Instructor"}, lti.RoleLearner},
		{[]any{inst + "Administrator"}, lti.RoleLearner},
		{[]any{mRole + "Instructor#x"}, lti.RoleLearner},
		{[]any{mRole + "Mentor"}, lti.RoleLearner},
		{[]any{"https://evil.example/membership#Instructor"}, lti.RoleLearner},
	} {
		g := newRig(t)
		got, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"roles"] = row.roles })
		if err != nil || got.Role != row.want {
			t.Errorf("roles %v: got %s, %v, want %s", row.roles, got.Role, err, row.want)
		}
	}
}

// One issuer may have several clients: a token of one must not pass for the other.
func TestLaunchRefusesAnotherClientsTokenUnderOurState(t *testing.T) {
	g := newRig(t)
	second := g.addPlatform("p2", "client-2")
	l := g.begin()
	c := g.claims(lti.MessageResourceLink, l)
	c["aud"] = second.ClientID
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {good().sign(c)}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchAudience)
}

// Another platform's key must not pass under this platform's login, though its key set
// is in the cache.
func TestLaunchRefusesAnotherPlatformsTokenUnderOurState(t *testing.T) {
	g, other := newRig(t), newRig(t)
	_, evil := testKeys()
	other.serveKeys(evil.jwk())
	ctx := context.Background()
	p := other.p
	p.ID = "p2"
	if err := errors.Join(g.store.CreatePlatform(ctx, p), g.store.SaveDeployment(ctx, vigil.Deployment{PlatformID: "p2", ID: "1", State: vigil.DeploymentActive})); err != nil {
		t.Fatal(err)
	}
	honest := g.p
	g.p = p
	l := g.begin()
	if _, _, err := g.post(url.Values{"state": {l.state}, "id_token": {evil.sign(g.claims(lti.MessageResourceLink, l))}}, l.cookie); err != nil {
		t.Fatalf("the other platform's own launch: got %v, want none", err)
	}
	g.p = honest
	l = g.begin()
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {evil.sign(g.claims(lti.MessageResourceLink, l))}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchKey)
}

func TestOneLaunchPostedTwentyTimesWinsOnce(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	body := url.Values{"state": {l.state}, "id_token": {good().sign(g.claims(lti.MessageResourceLink, l))}}.Encode()
	var won, lost int
	var mu sync.Mutex
	var wg sync.WaitGroup
	tool, err := lti.New(lti.Config{
		PublicURL: publicURL, Store: g.store, Sealer: noSealer{}, Now: g.clock.now, Log: slog.New(slog.DiscardHandler),
		OnError: func(_ http.ResponseWriter, _ *http.Request, e *lti.LaunchError) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(e, lti.ErrLaunchState) {
				lost++
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		wg.Go(func() {
			r := httptest.NewRequest(http.MethodPost, publicURL+"/lti/launch", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.AddCookie(l.cookie)
			tool.ServeLaunch(httptest.NewRecorder(), r, func(http.ResponseWriter, *http.Request, lti.Launch) {
				mu.Lock()
				defer mu.Unlock()
				won++
			})
		})
	}
	wg.Wait()
	if won != 1 || lost != 19 {
		t.Errorf("got %d won and %d lost, want 1 and 19", won, lost)
	}
}

type noSealer struct{}

func (noSealer) Seal(b []byte) ([]byte, error) { return b, nil }
func (noSealer) Open(b []byte) ([]byte, error) { return b, nil }

func TestLaunchIsRefusedWhenTheStoreFails(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	g.store.setFail(vigil.Errorf(vigil.CodeUnavailable, "the disk is full"))
	_, _, err := g.post(url.Values{"state": {l.state}, "id_token": {"a.b.c"}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchStore)
	if g.last.Status != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", g.last.Status)
	}
	g.get(g.loginParams().Encode())
	wantFault(t, g.last, lti.ErrLoginStore)
}

func TestLaunchShowsThePlatformsErrorAsText(t *testing.T) {
	g := newRig(t)
	l := g.begin()
	_, _, err := g.post(url.Values{"state": {l.state}, "error": {"login_required"}, "error_description": {"Please <b>sign in</b>"}}, l.cookie)
	wantFault(t, err, lti.ErrLaunchPlatformError)
	if got, want := g.last.PlatformText, "login_required: Please <b>sign in</b>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownDeploymentWaitsForTheOperator(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "9" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	d, err := g.store.Deployment(ctx, "p1", "9")
	if err != nil || d.State != vigil.DeploymentPending {
		t.Fatalf("got %+v, %v, want a pending deployment", d, err)
	}
	// A login that names it is refused at once.
	q := g.loginParams()
	q.Set("lti_deployment_id", "9")
	g.get(q.Encode())
	wantFault(t, g.last, lti.ErrLoginDeployment)
	// Accepted by the operator, it launches.
	d.State = vigil.DeploymentActive
	if err := g.store.SaveDeployment(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "9" }); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestOnlyTheFirstDeploymentOfANewPlatformIsAccepted(t *testing.T) {
	for _, row := range []struct {
		name string
		rig  func(*rig)
		want *lti.Fault
	}{
		{"fresh platform without deployments", func(*rig) {}, nil},
		{"registered long ago", func(g *rig) { g.clock.add(8 * 24 * time.Hour) }, lti.ErrLaunchDeploymentNew},
		{"an issuer of many customers", func(g *rig) { g.update(func(p *vigil.Platform) { p.Issuer = "https://canvas.instructure.com" }) }, lti.ErrLaunchDeploymentNew},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := newRig(t)
			delete(g.store.deployments, [2]string{"p1", "1"})
			row.rig(g)
			g.p, _ = g.store.Platform(context.Background(), "p1")
			_, err := g.launch(lti.MessageResourceLink, func(c m) {
				for _, claim := range []string{claimNR, claimLTI + "launch_presentation"} {
					delete(c, claim)
				}
			})
			wantFault(t, err, row.want)
			if row.want == nil {
				_, err = g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "2" })
				wantFault(t, err, lti.ErrLaunchDeploymentNew)
			}
		})
	}
}

func TestOfTwoFirstDeploymentsAtOnceOneIsAccepted(t *testing.T) {
	g := newRig(t)
	delete(g.store.deployments, [2]string{"p1", "1"})
	if _, err := g.launch(lti.MessageResourceLink, nil); err != nil {
		t.Fatal(err)
	}
	// The other launch looked for deployments before the first was saved.
	delete(g.store.deployments, [2]string{"p1", "1"})
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "2" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	delete(g.store.deployments, [2]string{"p1", "2"})
	if _, err := g.launch(lti.MessageResourceLink, nil); err != nil {
		t.Errorf("the first one again: got %v, want none", err)
	}
}

func TestLaunchesDoNotFillTheStoreWithDeployments(t *testing.T) {
	g := newRig(t)
	ctx := context.Background()
	for i := range 500 {
		if err := g.store.SaveDeployment(ctx, vigil.Deployment{PlatformID: "p1", ID: "d" + time.Duration(i).String()}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := g.launch(lti.MessageResourceLink, func(c m) { c[claimLTI+"deployment_id"] = "one too many" })
	wantFault(t, err, lti.ErrLaunchDeploymentNew)
	if _, err := g.store.Deployment(ctx, "p1", "one too many"); !errors.Is(err, vigil.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}
