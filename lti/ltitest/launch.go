package ltitest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vigil"
)

// launch is one that was begun: auth.php finds it by its id and spends it.
type launch struct {
	Launch
	id      string
	session string // session_data of a StartProctoring
	expires time.Time
}

// session is what the platform remembers of a StartProctoring until the tool answers:
// the row that Moodle's plugin keeps.
type session struct {
	ClientID string    `json:"clientID"`
	UserID   string    `json:"userID"`
	LinkID   string    `json:"linkID"`
	Attempt  int       `json:"attempt"`
	Expires  time.Time `json:"expires"`
}

// Begin starts a launch and returns the page to open in the user's browser. An
// unknown client or link shows as an error there.
func (p *Platform) Begin(l Launch) string {
	id := rand.Text()
	p.begin(id, l)
	return p.cfg.Issuer + p.path(AtLaunch) + "?" + url.Values{"id": {id}}.Encode()
}

// LoginRequest starts a launch and returns the parameters of the third-party login.
func (p *Platform) LoginRequest(l Launch) (url.Values, error) {
	id := rand.Text()
	p.begin(id, l)
	q, _, err := p.loginRequest(id)
	return q, err
}

func (p *Platform) begin(id string, l Launch) {
	now := p.cfg.Now()
	p.mu.Lock()
	p.sweepLocked(now)
	if l.LinkID == "" && l.Message != DeepLinking {
		first, _ := p.linkLocked("")
		l.LinkID = first.ID
	}
	row := launch{Launch: l, id: id, expires: now.Add(600 * time.Second)}
	if l.Message == StartProctoring {
		row.session = rand.Text()
		if p.cfg.Like == OpenEdX { // the same for every attempt
			sum := sha256.Sum256([]byte(l.UserID + "\x00" + l.LinkID + "\x00" + string(p.secret)))
			row.session = hex.EncodeToString(sum[:16])
		}
		p.sessions[row.session] = session{
			ClientID: l.ClientID, UserID: l.UserID, LinkID: l.LinkID, Attempt: l.Attempt,
			Expires: now.Add(p.cfg.SessionLife),
		}
	}
	p.launches[id] = row
	p.mu.Unlock()
	if l.Message == StartProctoring {
		p.changed()
	}
}

// loginRequest makes the parameters of the third-party login (LTI 1.3 security, 5.1.1.1).
func (p *Platform) loginRequest(id string) (url.Values, Tool, error) {
	p.mu.Lock()
	row, ok := p.launches[id]
	tool, known := p.tools[row.ClientID]
	link, there := p.linkLocked(row.LinkID)
	f := p.mischief.Login
	p.mu.Unlock()
	switch {
	case !ok:
		return nil, tool, vigil.Errorf(vigil.CodeNotFound, "This launch was used already or took too long. Start again from your course.")
	case !known:
		return nil, tool, vigil.Errorf(vigil.CodeNotFound, "No tool is registered for this launch.")
	case row.LinkID != "" && !there:
		return nil, tool, vigil.Errorf(vigil.CodeNotFound, "The activity of this launch does not exist.")
	}
	q := url.Values{
		"iss":               {p.cfg.Issuer},
		"login_hint":        {row.UserID},
		"target_link_uri":   {p.target(row.Launch, tool, link)},
		"lti_message_hint":  {id},
		"client_id":         {tool.ClientID},
		"lti_deployment_id": {tool.DeploymentID},
	}
	if p.cfg.Like == OpenEdX { // a chosen deep link: another target than in the id_token
		q.Set("target_link_uri", tool.TargetLinkURI)
		delete(q, "lti_deployment_id")
	}
	if f != nil {
		f(q)
	}
	return q, tool, nil
}

func (p *Platform) target(l Launch, t Tool, link Link) string {
	switch {
	case l.Target != "":
		return l.Target
	case l.Message == DeepLinking:
		return t.DeepLinkURI
	case link.URL != "":
		return link.URL
	}
	return t.TargetLinkURI
}

var autoForm = template.Must(template.New("form").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One moment</title></head>
<body><form action="{{.Action}}" method="post" name="ltiLaunchForm" id="ltiLaunchForm">
{{range $name, $values := .Fields}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<noscript><button type="submit">Continue</button></noscript></form>
<script>document.ltiLaunchForm.submit();</script></body></html>
`))

// postForm writes a page that posts itself.
func postForm(w http.ResponseWriter, action string, fields url.Values) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	return autoForm.Execute(w, struct {
		Action string
		Fields url.Values
	}{action, fields})
}

// serveLaunch sends the browser to the tool's login: Moodle by a form, Open edX by a redirect.
func (p *Platform) serveLaunch(w http.ResponseWriter, r *http.Request) {
	u, err := p.requireUser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	q, tool, err := p.loginRequest(r.URL.Query().Get("id"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if hint := q.Get("login_hint"); hint != u.ID && p.mischiefNow().Login == nil {
		p.fail(w, r, vigil.Errorf(vigil.CodeForbidden, "This launch belongs to someone else."))
		return
	}
	if p.cfg.Like == OpenEdX {
		http.Redirect(w, r, p.appendQuery(tool.LoginURL, q), http.StatusFound)
		return
	}
	if err := postForm(w, tool.LoginURL, q); err != nil {
		p.cfg.Log.Info("write the login form", "error", err)
	}
}

// claims are what an honest id_token says, in Moodle's way.
func (p *Platform) claims(row launch, tool Tool, user User, link Link, nonce string) map[string]any {
	now := p.cfg.Now().Unix()
	c := map[string]any{
		"iss": p.cfg.Issuer, "aud": tool.ClientID, "sub": user.ID, "nonce": nonce, "iat": now, "exp": now + 60,
		"given_name": user.Given, "family_name": user.Family, "name": user.Name(), "email": user.Email,
		ClaimLTI + "deployment_id":   tool.DeploymentID,
		ClaimLTI + "version":         "1.3.0",
		ClaimLTI + "message_type":    string(row.Message),
		ClaimLTI + "target_link_uri": p.target(row.Launch, tool, link),
		ClaimLTI + "roles":           user.Role.URIs(),
		ClaimLTI + "context":         p.cfg.Course,
		ClaimLTI + "launch_presentation": map[string]any{
			"locale": "en", "document_target": "window", "return_url": p.returnURL(row),
		},
		ClaimLTI + "tool_platform": map[string]any{
			"product_family_code": "moodle", "version": "2025100603", "guid": "ltitest", "name": "Demo LMS", "description": "Demo LMS",
		},
		ClaimLTI + "lis": map[string]any{"person_sourcedid": "", "course_section_sourcedid": ""},
		ClaimLTI + "ext": map[string]any{"lms": "moodle-2", "user_username": user.Email},
	}
	if len(row.Roles) > 0 {
		c[ClaimLTI+"roles"] = row.Roles
	}
	if row.Message != DeepLinking {
		c[ClaimLTI+"resource_link"] = map[string]any{"id": link.ID, "title": link.Title, "description": link.Text}
	}
	custom := map[string]string{}
	for _, m := range []map[string]string{tool.Custom, link.Custom, row.Custom} {
		for k, v := range m {
			custom[k] = v
		}
	}
	p.addProctorSettings(custom, row, user, link)
	if len(custom) > 0 {
		c[ClaimLTI+"custom"] = custom
	}
	e := p.Endpoints(tool.ClientID)
	if granted(tool, ScopeMembers) {
		c[ClaimNRPS+"namesroleservice"] = map[string]any{"context_memberships_url": e.Members, "service_versions": []string{"1.0", "2.0"}}
	}
	switch row.Message {
	case DeepLinking:
		c[ClaimDL+"deep_linking_settings"] = map[string]any{
			"accept_types": []string{"ltiResourceLink"}, "accept_presentation_document_targets": []string{"frame", "iframe", "window"},
			"accept_copy_advice": false, "accept_multiple": true, "accept_unsigned": false, "auto_create": false,
			"can_confirm": false, "deep_link_return_url": p.cfg.Issuer + p.path(AtDeepLinkReturn) + "?course=" + p.cfg.Course.ID + "&id=" + tool.DeploymentID,
			"title": "", "text": "", "data": row.id + "." + p.mac("deeplink "+row.id+" "+tool.ClientID),
		}
	case StartProctoring:
		c[ClaimAP+"attempt_number"] = row.Attempt
		c[ClaimAP+"session_data"] = row.session
		c[ClaimAP+"start_assessment_url"] = p.cfg.Issuer + p.path(AtStartAssessment)
		c[ClaimAP+"acs"] = map[string]any{
			"actions":                []string{"flag", "pause", "resume", "terminate", "update"},
			"assessment_control_url": e.Control,
		}
		if link.Settings != "" {
			c[ClaimAP+"proctoring_settings"] = map[string]any{"data": p.settings(row, link)}
		}
	case EndAssessment:
		c[ClaimAP+"attempt_number"] = row.Attempt
		if row.ErrorMessage != "" {
			c[ClaimAP+"errormsg"] = row.ErrorMessage
		}
		if row.ErrorLog != "" {
			c[ClaimAP+"errorlog"] = row.ErrorLog
		}
	}
	if p.cfg.Like == OpenEdX {
		openEdXClaims(c, row, tool, now)
	}
	return c
}

// settings is proctoring_settings.data of a launch. What is not our plugin's goes out as it
// is.
func (p *Platform) settings(row launch, link Link) string {
	var data map[string]json.RawMessage
	if p.Plugin() == 0 || json.Unmarshal([]byte(link.Settings), &data) != nil || data["vigil"] == nil {
		return link.Settings
	}
	data["vigil"] = raw(p.Plugin())
	if p.Plugin() >= 2 {
		started := int64(0)
		if a, ok := p.FindAttempt(row.UserID, row.LinkID, row.Attempt); ok {
			started = a.Started.Unix()
		}
		data["attempt_started"] = raw(started)
	}
	if p.tells(link) {
		p.mu.Lock()
		data["access_url"], data["access"] = raw(strconv.Quote(p.AccessURL(link.ID))), raw(p.recordLocked(row.UserID))
		p.mu.Unlock()
	}
	return string(raw(data))
}

// openEdXClaims makes the claims what Open edX sends.
func openEdXClaims(c map[string]any, row launch, tool Tool, now int64) {
	c["exp"] = now + 3600
	c["azp"] = tool.ClientID
	for _, name := range []string{"name", "given_name", "family_name", "email", ClaimLTI + "lis", ClaimLTI + "ext", ClaimLTI + "tool_platform"} {
		delete(c, name)
	}
	c[ClaimLTI+"context"] = map[string]any{"id": nil}
	c[ClaimLTI+"launch_presentation"] = map[string]any{}
	if l, ok := c[ClaimLTI+"resource_link"].(map[string]any); ok {
		delete(l, "title")
		delete(l, "description")
	}
	if row.Message == StartProctoring || row.Message == EndAssessment {
		if row.Roles == nil {
			c[ClaimLTI+"roles"] = nil
		}
		c[ClaimAP+"session_data"] = row.session
	}
	if row.Message == EndAssessment {
		c[ClaimAP+"session_data"] = nil
	}
	if acs, ok := c[ClaimAP+"acs"].(map[string]any); ok {
		acs["actions"] = []string{"terminate"}
	}
}

func (p *Platform) returnURL(row launch) string {
	if row.Return != "" {
		return row.Return
	}
	if p.cfg.AttemptReturnURL != nil && row.Attempt > 0 {
		a := Attempt{ClientID: row.ClientID, UserID: row.UserID, LinkID: row.LinkID, Number: row.Attempt}
		if known, ok := p.FindAttempt(row.UserID, row.LinkID, row.Attempt); ok {
			a = known
		}
		return p.cfg.AttemptReturnURL(a)
	}
	return p.cfg.Issuer + "/returned?attempt=" + strconv.Itoa(row.Attempt)
}

// Claims are what an honest id_token of a launch says; a StartProctoring gets fresh
// session data that StartAssessment may answer.
func (p *Platform) Claims(l Launch, nonce string) map[string]any {
	id := rand.Text()
	p.begin(id, l)
	p.mu.Lock()
	row := p.launches[id]
	tool := p.tools[l.ClientID]
	link, _ := p.linkLocked(row.LinkID)
	p.mu.Unlock()
	user, _ := p.User(l.UserID)
	return plain(p.claims(row, tool, user, link, nonce))
}
