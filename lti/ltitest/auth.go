package ltitest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"vigil"
)

// plain turns claims into the maps, slices and numbers that JSON has, so that mischief
// can reach into all of it.
func plain(c map[string]any) map[string]any {
	d := json.NewDecoder(bytes.NewReader(raw(c)))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		panic("ltitest: " + err.Error())
	}
	return out
}

// serveAuthorization is auth.php: it checks what the tool asks and posts the id_token
// to the tool by the browser (OpenID Connect core, 3.2.2).
func (p *Platform) serveAuthorization(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The request cannot be read."))
		return
	}
	u, err := p.requireUser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	fields, err := p.Authorize(r.Form, u.ID)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if err := postForm(w, r.Form.Get("redirect_uri"), fields); err != nil {
		p.cfg.Log.Info("write the launch form", "error", err)
	}
}

// Authorize is the authorization endpoint without HTTP: the parameters of the tool's
// redirect and the user of the browser go in, the fields for the tool's redirect URI
// come out, which are an OAuth error where the request is wrong. The error is for
// requests that must not be answered to the tool at all. A launch is spent by it.
func (p *Platform) Authorize(q url.Values, userID string) (url.Values, error) {
	p.mu.Lock()
	now := p.cfg.Now()
	p.sweepLocked(now)
	tool, known := p.tools[q.Get("client_id")]
	row, begun := p.launches[q.Get("lti_message_hint")]
	begun = begun && row.expires.After(now)
	link, _ := p.linkLocked(row.LinkID)
	m := p.mischief
	p.mu.Unlock()
	user, _ := p.User(userID)

	if !known {
		return nil, vigil.Errorf(vigil.CodeInvalid, "No tool has this client id.")
	}
	if !slices.Contains(tool.RedirectURIs, q.Get("redirect_uri")) {
		return nil, vigil.Errorf(vigil.CodeInvalid, "The redirect URI is not one of the tool's.")
	}
	refuse := func(code, text string) (url.Values, error) {
		f := url.Values{"error": {code}, "error_description": {text}}
		if s := q.Get("state"); s != "" {
			f.Set("state", s)
		}
		return f, nil
	}
	switch {
	case q.Get("scope") != "openid":
		return refuse("invalid_scope", "The scope must be openid.")
	case q.Get("response_type") != "id_token":
		return refuse("unsupported_response_type", "The response type must be id_token.")
	case q.Get("response_mode") != "form_post":
		return refuse("invalid_request", "The response mode must be form_post.")
	case q.Get("prompt") != "none":
		return refuse("invalid_request", "The prompt must be none.")
	case q.Get("nonce") == "":
		return refuse("invalid_request", "There is no nonce.")
	case !begun || row.ClientID != tool.ClientID:
		return refuse("invalid_request", "The message hint is not of a launch of this tool.")
	case user.ID == "" || q.Get("login_hint") != user.ID || row.UserID != user.ID:
		return refuse("access_denied", "The login hint is not the signed-in user.")
	}
	p.mu.Lock()
	_, mine := p.launches[row.id]
	delete(p.launches, row.id)
	p.mu.Unlock()
	if !mine {
		return refuse("invalid_request", "The launch was answered already.")
	}
	fields := url.Values{"id_token": {p.idToken(row, tool, user, link, q.Get("nonce"), m)}}
	if s := q.Get("state"); s != "" {
		fields.Set("state", s)
	}
	if m.Form != nil {
		m.Form(fields)
	}
	return fields, nil
}

func (p *Platform) idToken(row launch, tool Tool, user User, link Link, nonce string, m Mischief) string {
	key := p.Key(tool.ClientID)
	header := map[string]any{"typ": "JWT", "alg": "RS256", "kid": key.ID}
	claims := plain(p.claims(row, tool, user, link, nonce))
	if m.Header != nil {
		m.Header(header)
	}
	if m.Claims != nil {
		m.Claims(claims)
	}
	private := key.Private
	if m.Key != nil {
		private = m.Key()
	}
	token := Sign(header, claims, private)
	if m.IDToken != nil {
		token = m.IDToken(token)
	}
	return token
}
