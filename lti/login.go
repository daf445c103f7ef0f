package lti

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigil"
)

// loginLife is how long a login may take until its launch comes back.
const loginLife = 10 * time.Minute

// kindLogin is the Record kind of a login under way; the key is the digest of its state.
const kindLogin = "lti.login"

// loginRecord is all that a launch is judged against. Nothing of a launch's own choosing
// picks the platform or the key set.
type loginRecord struct {
	Nonce      string `json:"nonce"`
	Binding    string `json:"binding"`         // digest of the browser's cookie
	Storage    string `json:"storage"`         // digest of the value kept in platform storage
	Frame      string `json:"frame,omitempty"` // lti_storage_target
	Target     string `json:"target"`          // path of the login's target_link_uri: a hint
	Platform   string `json:"platform"`
	Issuer     string `json:"issuer"`
	ClientID   string `json:"client_id"`
	KeySetURL  string `json:"key_set_url"`
	Deployment string `json:"deployment,omitempty"` // as the login named it
	Started    int64  `json:"started"`              // milliseconds
}

// Why a login was refused.
var (
	ErrLoginMethod     = &Fault{"login_method", vigil.CodeInvalid, "A login is a GET or a POST of a form. Start again from your course."}
	ErrLoginForm       = &Fault{"login_form", vigil.CodeInvalid, "The learning platform's login request is not well-formed. Start again from your course."}
	ErrLoginParameter  = &Fault{"login_parameter", vigil.CodeInvalid, "The learning platform's login request is not complete. Start again from your course."}
	ErrLoginPlatform   = &Fault{"login_platform", vigil.CodeForbidden, "This learning platform is not registered with Vigil. Its administrator can register it."}
	ErrLoginClient     = &Fault{"login_client", vigil.CodeInvalid, "This learning platform is registered more than once and did not say which registration it means (client_id)."}
	ErrLoginState      = &Fault{"login_platform_state", vigil.CodeForbidden, "This learning platform's registration is not active. Ask Vigil's operator to activate it."}
	ErrLoginDeployment = &Fault{"login_deployment", vigil.CodeForbidden, "This placement of Vigil in the learning platform waits for the approval of Vigil's operator."}
	ErrLoginEndpoint   = &Fault{"login_endpoint", vigil.CodeForbidden, "This learning platform's registered login address cannot be used. Ask Vigil's operator to correct it."}
	ErrLoginTarget     = &Fault{"login_target", vigil.CodeInvalid, "The learning platform asked for a page that is not Vigil's. Its administrator should check the tool's URL."}
	ErrLoginStore      = &Fault{"login_store", vigil.CodeUnavailable, "Vigil cannot begin the login at the moment. Try again in a minute."}
)

// loginRequest is what a platform sends to begin a launch (OpenID Connect third-party
// initiated login, LTI core section 5.1.1).
type loginRequest struct {
	issuer, clientID, deployment string
	loginHint, messageHint       string
	target, frame                string
}

// ServeLogin answers a platform's request to begin a launch, by GET or POST: it notes
// the login and sends the browser to the platform's registered authorization endpoint.
func (t *Tool) ServeLogin(w http.ResponseWriter, r *http.Request) {
	noStore(w)
	req, err := t.readLogin(w, r)
	if err != nil {
		t.refuse(w, r, "login", claimedPlatform(req.issuer, req.clientID), err)
		return
	}
	p, err := t.loginPlatform(r.Context(), req)
	if err != nil {
		if p.ID == "" {
			p = claimedPlatform(req.issuer, req.clientID)
		}
		t.refuse(w, r, "login", p, err)
		return
	}
	binding := t.binding(r)
	if binding == "" {
		binding = newSecret()
	}
	state, storage, nonce := newSecret(), newSecret(), rand.Text()
	value, err := json.Marshal(loginRecord{
		Nonce: nonce, Binding: digest(binding), Storage: digest(storage), Frame: req.frame, Target: req.target,
		Platform: p.ID, Issuer: p.Issuer, ClientID: p.ClientID, KeySetURL: p.KeySetURL, Deployment: req.deployment,
		Started: t.cfg.Now().UnixMilli(),
	})
	if err == nil {
		err = t.cfg.Store.CreateRecord(r.Context(), vigil.Record{
			Kind: kindLogin, Key: digest(state), Value: value, Expires: t.cfg.Now().Add(loginLife),
		}, t.cfg.Now())
	}
	if err != nil {
		t.refuse(w, r, "login", p, ErrLoginStore.because("%w", err))
		return
	}
	t.bind(w, binding)
	to, err := t.authorizationURL(p, req, state, nonce)
	if err != nil {
		t.refuse(w, r, "login", p, ErrLoginEndpoint.because("%w", err))
		return
	}
	// In a frame the cookie may be refused: leave the binding with the platform as well.
	if req.frame != "" && r.Header.Get("Sec-Fetch-Dest") != "document" {
		t.writeStorePage(w, r, p, storePage{
			URL: to, Frame: req.frame, Origin: vigil.Origin(p.AuthorizationEndpoint), Key: storageKey(state), Value: storage,
		})
		return
	}
	http.Redirect(w, r, to, http.StatusFound)
}

// readLogin reads the parameters of a login. Those of a POST may not come in its query
// too: each is there once or not at all.
func (t *Tool) readLogin(w http.ResponseWriter, r *http.Request) (loginRequest, error) {
	var body string
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		var err error
		if body, err = readForm(w, r); err != nil {
			return loginRequest{}, ErrLoginForm.because("%w", err)
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		return loginRequest{}, ErrLoginMethod.because("%s", truncate(r.Method, 16))
	}
	params, err := parseParams(r.URL.RawQuery, body)
	if err != nil {
		return loginRequest{}, ErrLoginForm.because("%w", err)
	}
	req := loginRequest{
		issuer: params["iss"], clientID: params["client_id"], deployment: params["lti_deployment_id"],
		loginHint: params["login_hint"], messageHint: params["lti_message_hint"], frame: params["lti_storage_target"],
	}
	switch {
	case req.issuer == "" || len(req.issuer) > maxURL:
		return req, ErrLoginParameter.because("iss")
	case req.loginHint == "" || len(req.loginHint) > maxHint:
		return req, ErrLoginParameter.because("login_hint")
	case len(req.messageHint) > maxHint:
		return req, ErrLoginParameter.because("lti_message_hint")
	case len(req.clientID) > maxSubject:
		return req, ErrLoginParameter.because("client_id")
	case len(req.deployment) > maxSubject*4:
		return req, ErrLoginParameter.because("lti_deployment_id")
	case params["target_link_uri"] == "":
		return req, ErrLoginParameter.because("target_link_uri")
	case req.frame != "" && !frameName(req.frame):
		return req, ErrLoginParameter.because("lti_storage_target")
	}
	if req.target, err = t.ownTarget(params["target_link_uri"]); err != nil {
		return req, ErrLoginTarget.because("%w", err)
	}
	return req, nil
}

// frameName tells whether a string can name a frame: it goes into a page's script data.
func frameName(s string) bool {
	if len(s) > 128 {
		return false
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-.:", c)) {
			return false
		}
	}
	return true
}

// loginPlatform finds the active platform that a login speaks for. Without a client id
// the issuer must have exactly one active platform.
//
// A deployment that the login names must not be a pending one. One that is not known yet
// passes: a login proves nothing, so only the signed launch records it, and refuses.
func (t *Tool) loginPlatform(ctx context.Context, req loginRequest) (vigil.Platform, error) {
	p, err := t.platformOf(ctx, req)
	if err != nil {
		return p, err
	}
	if p.State != vigil.PlatformActive {
		return p, ErrLoginState.because("%s", p.State)
	}
	if req.deployment != "" {
		d, err := t.cfg.Store.Deployment(ctx, p.ID, req.deployment)
		switch {
		case errors.Is(err, vigil.ErrNotFound):
		case err != nil:
			return p, ErrLoginStore.because("%w", err)
		case d.State != vigil.DeploymentActive:
			return p, ErrLoginDeployment.because("%s", d.State)
		}
	}
	return p, nil
}

func (t *Tool) platformOf(ctx context.Context, req loginRequest) (vigil.Platform, error) {
	if req.clientID != "" {
		p, err := t.cfg.Store.PlatformByClient(ctx, req.issuer, req.clientID)
		if errors.Is(err, vigil.ErrNotFound) {
			return p, ErrLoginPlatform.because("issuer and client id are not known together")
		}
		if err != nil {
			return p, ErrLoginStore.because("%w", err)
		}
		return p, nil
	}
	all, err := t.cfg.Store.Platforms(ctx)
	if err != nil {
		return vigil.Platform{}, ErrLoginStore.because("%w", err)
	}
	var active, other []vigil.Platform
	for _, p := range all {
		if p.Issuer != req.issuer {
			continue
		}
		if p.State == vigil.PlatformActive {
			active = append(active, p)
		} else {
			other = append(other, p)
		}
	}
	switch {
	case len(active) == 1:
		return active[0], nil
	case len(active) > 1:
		return vigil.Platform{}, ErrLoginClient.because("%d active platforms", len(active))
	case len(other) > 0:
		return other[0], nil // refused by its state
	}
	return vigil.Platform{}, ErrLoginPlatform.because("issuer not known")
}

// authorizationURL is where the browser goes: the registered endpoint with its own query
// kept, and the parameters of the request (OpenID Connect core 3.1.2.1, LTI security
// framework 5.1.1.2).
func (t *Tool) authorizationURL(p vigil.Platform, req loginRequest, state, nonce string) (string, error) {
	u, err := parseWebURL(p.AuthorizationEndpoint)
	if err != nil {
		return "", err
	}
	q := url.Values{
		"scope":         {"openid"},
		"response_type": {"id_token"},
		"response_mode": {"form_post"},
		"prompt":        {"none"},
		"client_id":     {p.ClientID},
		"redirect_uri":  {t.url(LaunchPath)},
		"login_hint":    {req.loginHint},
		"state":         {state},
		"nonce":         {nonce},
	}
	if req.messageHint != "" {
		q.Set("lti_message_hint", req.messageHint)
	}
	// The endpoint's own query stays first and unchanged, but may not decide ours.
	own, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errors.New("the endpoint's query is not well encoded")
	}
	for name := range own {
		if q.Has(name) {
			return "", errors.New("the endpoint's query holds a parameter of the request")
		}
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	return u.String(), nil
}

// storageKey names a login's entry in the platform's storage.
func storageKey(state string) string { return "vigil-" + digest(state)[:32] }

// noStore keeps pages with tokens and states out of caches.
func noStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
