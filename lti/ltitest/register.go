package ltitest

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigil"
)

const (
	claimPlatformConfiguration = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	claimToolConfiguration     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	maxRegistration            = 256 << 10
)

// RegistrationURL starts a Dynamic Registration: the tool's registration page with the
// address of our configuration and a token that registers one tool, for an hour.
func (p *Platform) RegistrationURL(toolURL string) string {
	token := rand.Text()
	p.mu.Lock()
	p.regTokens[token] = p.cfg.Now().Add(time.Hour)
	p.mu.Unlock()
	return p.appendQuery(toolURL, url.Values{
		"openid_configuration": {p.cfg.Issuer + p.path(AtConfiguration)}, "registration_token": {token},
	})
}

// serveConfiguration is the OpenID configuration (LTI Dynamic Registration, 2.1), as
// Moodle words it: proctoring messages are never listed, only the scope tells.
func (p *Platform) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	e := p.Endpoints("")
	c := map[string]any{
		"issuer": p.cfg.Issuer, "token_endpoint": e.Token,
		"token_endpoint_auth_methods_supported":            []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256"},
		"jwks_uri": e.KeySet, "authorization_endpoint": e.Authorization, "registration_endpoint": e.Registration,
		"scopes_supported": append(p.scopes(), "openid"), "response_types_supported": []string{"id_token"},
		"subject_types_supported":               []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"claims_supported":                      []string{"sub", "iss", "name", "given_name", "family_name", "email"},
		claimPlatformConfiguration: map[string]any{
			"product_family_code": "moodle", "version": "2025100603",
			"messages_supported": []any{
				map[string]any{"type": "LtiResourceLinkRequest"},
				map[string]any{"type": "LtiDeepLinkingRequest", "placements": []string{"ContentArea"}},
			},
			"variables": []string{"basic-lti-launch-request", "CourseSection.title", "ResourceLink.title", "User.id"},
		},
	}
	if f := p.mischiefNow().Configuration; f != nil {
		f(c)
	}
	writeJSON(w, http.StatusOK, "application/json; charset=utf-8", c)
}

// serveRegistration takes a tool's registration. The tool is pending until Activate.
// Like Moodle it forgets scopes and messages that it does not know.
func (p *Platform) serveRegistration(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	now := p.cfg.Now()
	p.sweepLocked(now)
	until, ok := p.regTokens[token]
	ok = ok && until.After(now)
	p.mu.Unlock()
	if !ok {
		http.Error(w, "Missing or used registration token", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if err != nil {
		http.Error(w, "The request is too long", http.StatusRequestEntityTooLarge)
		return
	}
	tool, answer, err := p.parseRegistration(body)
	if err != nil {
		http.Error(w, messageOf(err), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	_, ok = p.regTokens[token]
	delete(p.regTokens, token)
	p.mu.Unlock()
	if !ok {
		http.Error(w, "Missing or used registration token", http.StatusUnauthorized)
		return
	}
	tool.Pending = true
	tool = p.Register(tool)
	answer["client_id"] = tool.ClientID
	objectOf(answer, claimToolConfiguration)["deployment_id"] = tool.DeploymentID
	if f := p.mischiefNow().Registration; f != nil {
		f(answer)
	}
	writeJSON(w, http.StatusOK, "application/json; charset=utf-8", answer)
}

// parseRegistration reads a registration request (LTI Dynamic Registration, 3.5) into a
// tool and the answer that lacks only the ids.
func (p *Platform) parseRegistration(body []byte) (Tool, map[string]any, error) {
	var t Tool
	m, err := decodeObject(body)
	if err != nil {
		return t, nil, vigil.Wrap(err, vigil.CodeInvalid, "The registration is not a JSON object.")
	}
	c := objectOf(m, claimToolConfiguration)
	if c == nil {
		return t, nil, vigil.Invalid("lti-tool-configuration", "There is no LTI tool configuration.")
	}
	strs := func(m map[string]any, name string) []string {
		list, _ := m[name].([]any)
		var out []string
		for _, v := range list {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	t = Tool{
		Name: stringOf(m, "client_name"), LoginURL: stringOf(m, "initiate_login_uri"), KeySetURL: stringOf(m, "jwks_uri"),
		RedirectURIs: strs(m, "redirect_uris"), TargetLinkURI: stringOf(c, "target_link_uri"), Custom: map[string]string{},
	}
	for field, raw := range map[string]string{
		"initiate_login_uri": t.LoginURL, "jwks_uri": t.KeySetURL, "target_link_uri": t.TargetLinkURI,
	} {
		if vigil.Origin(raw) == "" {
			return t, nil, vigil.Invalid(field, "%s is not an absolute URL.", field)
		}
	}
	switch {
	case len(t.RedirectURIs) == 0:
		return t, nil, vigil.Invalid("redirect_uris", "There is no redirect URI.")
	case !slices.Contains(strs(m, "response_types"), "id_token"):
		return t, nil, vigil.Invalid("response_types", "The response type must be id_token.")
	case stringOf(m, "token_endpoint_auth_method") != "private_key_jwt":
		return t, nil, vigil.Invalid("token_endpoint_auth_method", "The authentication method must be private_key_jwt.")
	case stringOf(m, "application_type") != "web":
		return t, nil, vigil.Invalid("application_type", "The application type must be web.")
	case !slices.Contains(hostsOf(t.TargetLinkURI), stringOf(c, "domain")):
		return t, nil, vigil.Invalid("domain", "The domain is not the target link's.")
	}
	for _, s := range strings.Fields(stringOf(m, "scope")) {
		if slices.Contains(p.scopes(), s) {
			t.Scopes = append(t.Scopes, s)
		}
	}
	if !p.cfg.NoProctoring && !slices.Contains(t.Scopes, ScopeControl) {
		t.Scopes = append(t.Scopes, ScopeControl) // the plugin grants it to the tool chosen in its settings
	}
	for k, v := range objectOf(c, "custom_parameters") {
		if s, ok := v.(string); ok {
			t.Custom[k] = s
		}
	}
	messages := []any{}
	list, _ := c["messages"].([]any)
	for _, v := range list {
		if msg, ok := v.(map[string]any); ok && stringOf(msg, "type") == string(DeepLinking) {
			messages = append(messages, msg)
			t.DeepLinkURI = stringOf(msg, "target_link_uri")
		}
	}
	echoed := slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return s == ScopeControl })
	return t, map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "response_types": []string{"id_token"}, "application_type": "web",
		"grant_types": []string{"client_credentials", "implicit"}, "jwks_uri": t.KeySetURL, "initiate_login_uri": t.LoginURL,
		"redirect_uris": t.RedirectURIs, "client_name": t.Name, "logo_uri": stringOf(m, "logo_uri"), "scope": strings.Join(echoed, " "),
		claimToolConfiguration: map[string]any{
			"version": "1.3.0", "target_link_uri": t.TargetLinkURI, "domain": stringOf(c, "domain"),
			"description": stringOf(c, "description"), "messages": messages, "claims": strs(c, "claims"), "custom_parameters": t.Custom,
		},
	}, nil
}

// hostsOf are the host of a URL with and without its port; Moodle compares without.
func hostsOf(raw string) []string {
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	return []string{u.Host, u.Hostname()}
}
