// Package faketool is the smallest LTI tool: it proves to the tests of ltitest what
// the platform sends, with the standard library and without package lti.
package faketool

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil/lti/ltitest"
)

// Tool is the fake tool. Its hooks are set before it is used.
type Tool struct {
	URL      string
	Key      ltitest.Key
	Now      func() time.Time
	Manual   bool                      // wait at check-in for the form "start"
	Start    func(h, c map[string]any) // changes StartAssessment before it is signed
	DeepLink func(c map[string]any)
	Ended    func() int // the status that answers a report of an end; 200 when nil
	Access   func() int // the status that answers a report of groups and rights; 200 when nil

	tb testing.TB
	p  *ltitest.Platform
	id ltitest.Tool

	mu       sync.Mutex
	states   map[string]string // state → nonce
	launches []map[string]any  // verified claims
	reports  []map[string]any  // verified claims of reports of ends
	opened   []map[string]any  // verified claims of reports of openings
	told     []map[string]any  // verified claims of reports of groups and rights
}

// New starts a tool on localhost, which is another site than 127.0.0.1.
func New(tb testing.TB) *Tool {
	t := &Tool{tb: tb, Key: ltitest.NewKey(2048), Now: time.Now, states: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", t.login)
	mux.HandleFunc("POST /launch", t.launch)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{t.Key.JWK()}})
	})
	mux.HandleFunc("GET /register", t.register)
	mux.HandleFunc("POST /api/v1/attempts/ended", func(w http.ResponseWriter, r *http.Request) { t.take(w, r, "ended", t.Ended, &t.reports) })
	mux.HandleFunc("POST /api/v1/attempts/opened", func(w http.ResponseWriter, r *http.Request) { t.take(w, r, "opened", t.Ended, &t.opened) })
	mux.HandleFunc("POST /api/v1/access", func(w http.ResponseWriter, r *http.Request) { t.take(w, r, "access", t.Access, &t.told) })
	s := httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	t.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	return t
}

// Connect registers the tool by hand.
func (t *Tool) Connect(p *ltitest.Platform) ltitest.Tool {
	t.p = p
	t.id = p.Register(ltitest.Tool{
		Name: "Fake", LoginURL: t.URL + "/login", RedirectURIs: []string{t.URL + "/launch"},
		TargetLinkURI: t.URL + "/target", KeySetURL: t.URL + "/keys",
	})
	return t.id
}

// Launches are the claims of the launches that were verified.
func (t *Tool) Launches() []map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]map[string]any(nil), t.launches...)
}

// Reports are the claims of the reports of ends that were verified and taken.
func (t *Tool) Reports() []map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]map[string]any(nil), t.reports...)
}

// Opened are the claims of the reports of openings that were verified and taken.
func (t *Tool) Opened() []map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]map[string]any(nil), t.opened...)
}

// Told are the claims of the reports of groups and rights that were verified and taken.
func (t *Tool) Told() []map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]map[string]any(nil), t.told...)
}

// take verifies a report and keeps it, unless the hook answers it with another status than 200.
func (t *Tool) take(w http.ResponseWriter, r *http.Request, use string, hook func() int, into *[]map[string]any) {
	var in struct {
		Assertion string `json:"assertion"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	c, err := t.verify(r.Context(), in.Assertion)
	if err != nil || c["token_use"] != use {
		http.Error(w, "bad report", http.StatusUnauthorized)
		return
	}
	if hook != nil {
		if status := hook(); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	*into = append(*into, c)
}

func (t *Tool) login(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	state, nonce := rand.Text(), rand.Text()
	t.mu.Lock()
	t.states[state] = nonce
	t.mu.Unlock()
	q := url.Values{
		"scope": {"openid"}, "response_type": {"id_token"}, "response_mode": {"form_post"}, "prompt": {"none"},
		"client_id": {r.Form.Get("client_id")}, "redirect_uri": {t.URL + "/launch"}, "login_hint": {r.Form.Get("login_hint")},
		"lti_message_hint": {r.Form.Get("lti_message_hint")}, "state": {state}, "nonce": {nonce},
	}
	http.Redirect(w, r, t.p.Endpoints(t.id.ClientID).Authorization+"?"+q.Encode(), http.StatusFound)
}

// verify checks an id_token against the platform's key set, as it is served.
func (t *Tool) verify(ctx context.Context, raw string) (map[string]any, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	var h, c map[string]any
	for i, v := range []*map[string]any{&h, &c} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, v); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.p.Endpoints(t.id.ClientID).KeySet, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var set struct {
		Keys []struct{ KID, N, E string } `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, err
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range set.Keys {
		n, _ := base64.RawURLEncoding.DecodeString(k.N)
		e, _ := base64.RawURLEncoding.DecodeString(k.E)
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if k.KID == h["kid"] && rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig) == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no key verifies it")
}

var checkin = template.Must(template.New("").Parse(`<!doctype html><title>{{.Title}}</title><h1>{{.Title}}</h1>
<form id="start" method="post" action="{{.Action}}" {{if .Auto}}data-autosubmit{{end}}><input type=hidden name=JWT value="{{.JWT}}"></form>
{{if .Auto}}<script>document.getElementById("start").submit()</script>{{else}}<button form=start>Start</button>{{end}}`))

func (t *Tool) launch(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if e := r.PostForm.Get("error"); e != "" {
		http.Error(w, "platform says "+e+": "+r.PostForm.Get("error_description"), http.StatusBadRequest)
		return
	}
	state := r.PostForm.Get("state")
	t.mu.Lock()
	nonce := t.states[state]
	delete(t.states, state)
	t.mu.Unlock()
	c, err := t.verify(r.Context(), r.PostForm.Get("id_token"))
	if err != nil || nonce == "" || c["nonce"] != nonce || c["iss"] != t.p.Issuer() || c["aud"] != t.id.ClientID {
		http.Error(w, fmt.Sprintf("bad launch: %v", err), http.StatusUnauthorized)
		return
	}
	t.mu.Lock()
	t.launches = append(t.launches, c)
	t.mu.Unlock()
	switch ltitest.Message(fmt.Sprint(c[ltitest.ClaimLTI+"message_type"])) {
	case ltitest.StartProctoring:
		url, jwt := t.StartJWT(c)
		_ = checkin.Execute(w, map[string]any{"Title": "Check-in", "Action": url, "JWT": jwt, "Auto": !t.Manual})
	case ltitest.EndAssessment:
		back, _ := c[ltitest.ClaimLTI+"launch_presentation"].(map[string]any)["return_url"].(string)
		if back == "" {
			_, _ = io.WriteString(w, "<h1>Ended</h1>")
			return
		}
		http.Redirect(w, r, back, http.StatusFound)
	case ltitest.DeepLinking:
		url, jwt := t.deepLinkJWT(c)
		_ = checkin.Execute(w, map[string]any{"Title": "Pick", "Action": url, "JWT": jwt, "Auto": !t.Manual})
	default:
		_, _ = fmt.Fprintf(w, "<h1>Launched</h1><p>%v</p>", c[ltitest.ClaimLTI+"roles"])
	}
}

func (t *Tool) message(kind ltitest.Message) map[string]any {
	now := t.Now().Unix() - 5
	return map[string]any{
		"iss": t.id.ClientID, "aud": t.p.Issuer(), "iat": now, "exp": now + 60, "nonce": rand.Text(),
		ltitest.ClaimLTI + "message_type": string(kind), ltitest.ClaimLTI + "version": "1.3.0",
		ltitest.ClaimLTI + "deployment_id": t.id.DeploymentID,
	}
}

// StartJWT answers a StartProctoring: where to post, and the JWT.
func (t *Tool) StartJWT(c map[string]any) (string, string) {
	m := t.message(ltitest.StartAssessment)
	for _, name := range []string{"session_data", "attempt_number"} {
		m[ltitest.ClaimAP+name] = c[ltitest.ClaimAP+name]
	}
	m[ltitest.ClaimLTI+"resource_link"] = c[ltitest.ClaimLTI+"resource_link"]
	m[ltitest.ClaimAP+"end_assessment_return"] = true
	h := map[string]any{"alg": "RS256", "kid": t.Key.ID}
	if t.Start != nil {
		t.Start(h, m)
	}
	url, _ := c[ltitest.ClaimAP+"start_assessment_url"].(string)
	return url, ltitest.Sign(h, m, t.Key.Private)
}

func (t *Tool) deepLinkJWT(c map[string]any) (string, string) {
	s, _ := c[ltitest.ClaimDL+"deep_linking_settings"].(map[string]any)
	m := t.message(ltitest.DeepLinkResponse)
	m[ltitest.ClaimDL+"data"] = s["data"]
	m[ltitest.ClaimDL+"content_items"] = []any{map[string]any{
		"type": "ltiResourceLink", "title": "Live proctoring", "url": t.URL + "/target", "custom": map[string]any{"exam": "e-1"},
	}}
	if t.DeepLink != nil {
		t.DeepLink(m)
	}
	url, _ := s["deep_link_return_url"].(string)
	return url, ltitest.Sign(map[string]any{"alg": "RS256", "kid": t.Key.ID}, m, t.Key.Private)
}

// Token asks for an access token; change may alter the assertion and the form.
func (t *Tool) Token(ctx context.Context, scope string, change func(h, c map[string]any, f url.Values)) (int, map[string]any, http.Header) {
	now := t.Now().Unix() - 5
	e := t.p.Endpoints(t.id.ClientID)
	h := map[string]any{"alg": "RS256", "kid": t.Key.ID}
	c := map[string]any{"iss": t.id.ClientID, "sub": t.id.ClientID, "aud": e.TokenAudience, "iat": now, "exp": now + 60, "jti": rand.Text()}
	f := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	if change != nil {
		change(h, c, f)
	}
	if !f.Has("client_assertion") {
		f.Set("client_assertion", ltitest.Sign(h, c, t.Key.Private))
	}
	status, body, header := t.Do(ctx, http.MethodPost, e.Token, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, f.Encode())
	var m map[string]any
	_ = json.Unmarshal([]byte(body), &m)
	return status, m, header
}

// Do sends any request. Status 0 means that there was no answer.
func (t *Tool) Do(ctx context.Context, method, url string, header map[string]string, body string) (int, string, http.Header) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.tb.Errorf("request: %v", err)
		return 0, "", nil
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return res.StatusCode, string(b), res.Header
}

// Control asks for a token and sends a control request.
func (t *Tool) Control(ctx context.Context, media, body string) (int, map[string]any, http.Header) {
	_, tok, _ := t.Token(ctx, ltitest.ScopeControl, nil)
	status, text, header := t.Do(ctx, http.MethodPost, t.p.Endpoints(t.id.ClientID).Control, map[string]string{
		"Content-Type": media, "Authorization": fmt.Sprint("Bearer ", tok["access_token"]),
	}, body)
	var m map[string]any
	_ = json.Unmarshal([]byte(text), &m)
	return status, m, header
}

// register does Dynamic Registration as a tool's page would.
func (t *Tool) register(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	_, text, _ := t.Do(r.Context(), http.MethodGet, q.Get("openid_configuration"), nil, "")
	var conf map[string]any
	_ = json.Unmarshal([]byte(text), &conf)
	u, _ := url.Parse(t.URL)
	body, _ := json.Marshal(map[string]any{
		"application_type": "web", "response_types": []string{"id_token"}, "grant_types": []string{"implicit", "client_credentials"},
		"initiate_login_uri": t.URL + "/login", "redirect_uris": []string{t.URL + "/launch"}, "client_name": "Fake", "jwks_uri": t.URL + "/keys",
		"token_endpoint_auth_method": "private_key_jwt", "scope": ltitest.ScopeMembers + " " + ltitest.ScopeControl + " https://unknown.example/scope",
		"https://purl.imsglobal.org/spec/lti-tool-configuration": map[string]any{
			"domain": u.Hostname(), "target_link_uri": t.URL + "/target", "claims": []string{"sub", "name"},
			"messages": []any{
				map[string]any{"type": "LtiDeepLinkingRequest", "target_link_uri": t.URL + "/deeplink"},
				map[string]any{"type": "LtiStartProctoring"},
			},
		},
	})
	status, answer, _ := t.Do(r.Context(), http.MethodPost, fmt.Sprint(conf["registration_endpoint"]), map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer " + q.Get("registration_token"),
	}, string(body))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// Adopt makes the tool the one that registered itself.
func (t *Tool) Adopt(p *ltitest.Platform, id ltitest.Tool) { t.p, t.id = p, id }
