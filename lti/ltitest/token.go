package ltitest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigil"
)

// accessToken is one that the token endpoint gave out.
type accessToken struct {
	clientID string
	scopes   []string
	expires  time.Time
}

func granted(t Tool, scope string) bool { return slices.Contains(t.Scopes, scope) }

// serveToken is the token endpoint: client_credentials with private_key_jwt (RFC 7523,
// LTI 1.3 security 4.1.1). Moodle answers JSON as text/html.
func (p *Platform) serveToken(w http.ResponseWriter, r *http.Request) {
	media := "text/html; charset=utf-8"
	if p.cfg.Like == OpenEdX {
		media = "application/json"
	}
	refuse := func(status int, code, text string) {
		p.cfg.Log.Info("test platform gives no token", "code", code, "reason", text)
		writeJSON(w, status, media, map[string]any{"error": code, "error_description": text})
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxJWT+4096)
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		refuse(http.StatusBadRequest, "invalid_request", "a form is posted here")
		return
	}
	f := r.PostForm
	switch {
	case f.Get("grant_type") != "client_credentials":
		refuse(http.StatusBadRequest, "unsupported_grant_type", "the grant type must be client_credentials")
		return
	case f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		refuse(http.StatusBadRequest, "invalid_request", "the assertion type must be jwt-bearer")
		return
	}
	j, err := parseJWS(f.Get("client_assertion"))
	if err != nil {
		refuse(http.StatusBadRequest, "invalid_request", messageOf(err))
		return
	}
	tool, ok := p.Tool(stringOf(j.claims, "sub"))
	if c := r.PathValue("client"); !ok || c != "" && c != tool.ClientID {
		refuse(http.StatusUnauthorized, "invalid_client", "no tool has this client id")
		return
	}
	err = p.checkTool(r.Context(), tool, j, toolJWT{
		name: "client assertion", issuer: tool.ClientID, subject: tool.ClientID,
		audience: p.Endpoints(tool.ClientID).TokenAudience, unique: "jti", longest: time.Hour,
	})
	if err != nil {
		if vigil.CodeOf(err) == vigil.CodeUnavailable && p.cfg.Like == Moodle {
			p.failWith(w, r, http.StatusNotFound, err) // a TypeError escapes in Moodle: an HTML page
			return
		}
		refuse(http.StatusUnauthorized, "invalid_client", messageOf(err))
		return
	}
	var scopes []string
	for _, s := range strings.Fields(f.Get("scope")) {
		if granted(tool, s) && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	if len(scopes) == 0 && p.cfg.Like == Moodle {
		refuse(http.StatusBadRequest, "invalid_scope", "none of these scopes is granted")
		return
	}
	t := rand.Text()
	p.mu.Lock()
	p.sweepLocked(p.cfg.Now())
	p.tokens[t] = accessToken{clientID: tool.ClientID, scopes: scopes, expires: p.cfg.Now().Add(time.Hour)}
	p.mu.Unlock()
	answer := map[string]any{"access_token": t, "token_type": "Bearer", "expires_in": 3600, "scope": strings.Join(scopes, " ")}
	if f := p.mischiefNow().Token; f != nil {
		f(answer)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, media, answer)
}

// RevokeTokens makes every access token unknown, as a platform's restart may.
func (p *Platform) RevokeTokens() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.tokens)
}

// bearer finds the tool of a service request, or answers: Moodle 401, Open edX 403
// without WWW-Authenticate.
func (p *Platform) bearer(w http.ResponseWriter, r *http.Request, scope string) (Tool, bool) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	now := p.cfg.Now()
	p.sweepLocked(now)
	a, ok := p.tokens[token]
	ok = ok && a.expires.After(now)
	tool, known := p.tools[a.clientID]
	p.mu.Unlock()
	if ok && known && slices.Contains(a.scopes, scope) && granted(tool, scope) {
		return tool, true
	}
	if p.cfg.Like == OpenEdX {
		w.WriteHeader(http.StatusForbidden)
		return tool, false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="lti"`)
	writeJSON(w, http.StatusUnauthorized, "application/json", map[string]any{"status": 401, "reason": "Unauthorized"})
	return tool, false
}
