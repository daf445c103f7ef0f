package ltitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"vigil"
)

// accessPath is where Vigil takes reports of groups and rights.
const accessPath = "/api/v1/access"

// Bounds of a report and of a question (docs/assertion.md).
const (
	maxAccessReport = 60_000 // bytes of the token
	maxAccessTold   = 200
	maxAccessAsked  = 500
)

// Access is what an instructor sees of a quiz and may do there. The zero value is nothing.
type Access struct {
	All    bool          `json:"all"`
	Groups []vigil.Group `json:"groups"`
	Rights []vigil.Right `json:"rights"`
}

// told is what the platform tells of a person from some version on.
type told struct {
	Version int64  `json:"version"` // 0: nobody asked yet
	Access  Access `json:"access"`
}

// SetAccess says what an instructor sees and may do from now on. One of whom nothing was said
// sees everyone and may do everything.
func (p *Platform) SetAccess(userID string, a Access) { p.setTold(userID, a) }

// SetGroups puts a student into these groups, and out of all others.
func (p *Platform) SetGroups(userID string, groups ...vigil.Group) {
	p.setTold(userID, Access{Groups: groups})
}

func (p *Platform) setTold(userID string, a Access) {
	p.mu.Lock()
	before := p.toldLocked(userID)
	p.told[userID] = told{Version: max(before.Version+1, p.cfg.Now().UnixMilli()), Access: a}
	if !slices.Contains(p.untold, userID) {
		p.untold = append(p.untold, userID)
	}
	p.mu.Unlock()
	p.changed()
}

// toldLocked is what is told of a person now. Its version stays until that changes.
func (p *Platform) toldLocked(userID string) told {
	t, ok := p.told[userID]
	if ok {
		return t
	}
	t = told{Version: p.cfg.Now().UnixMilli()}
	if p.instructorLocked(userID) {
		t.Access = Access{All: true, Rights: vigil.Rights}
	}
	p.told[userID] = t
	return t
}

func (p *Platform) instructorLocked(userID string) bool {
	return slices.ContainsFunc(p.users, func(u User) bool { return u.ID == userID && u.Role == Instructor })
}

// recordLocked is a person's record as launches have it; those of students have groups only.
func (p *Platform) recordLocked(userID string) map[string]any {
	t := p.toldLocked(userID)
	r := map[string]any{"version": t.Version, "groups": append([]vigil.Group{}, t.Access.Groups...)}
	if p.instructorLocked(userID) {
		r["all"], r["rights"] = t.Access.All, append([]vigil.Right{}, t.Access.Rights...)
	}
	return r
}

// namedLocked is a person's record as reports and answers have it. Of somebody who does not
// teach here it is, as staff, that of one who may do nothing.
func (p *Platform) namedLocked(userID string, staff bool) map[string]any {
	r := p.recordLocked(userID)
	r["user"] = userID
	if staff && !p.instructorLocked(userID) {
		r["all"], r["groups"], r["rights"] = false, []vigil.Group{}, []vigil.Right{}
	}
	return r
}

// tells says whether the platform's plugin tells of groups and rights at an activity: at a
// quiz of its own, from version 3 on.
func (p *Platform) tells(l Link) bool {
	var data map[string]json.RawMessage
	return p.Plugin() >= 3 && json.Unmarshal([]byte(l.Settings), &data) == nil && data["vigil"] != nil
}

// AccessURL is where the platform answers who may see and do what at an activity.
func (p *Platform) AccessURL(linkID string) string {
	return p.cfg.Issuer + p.path(AtAccess) + "?" + url.Values{"resource_link": {linkID}}.Encode()
}

// serveAccess is the plugin's answer to who may see and do what at a quiz.
func (p *Platform) serveAccess(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != MediaAccess || r.Header.Get("Accept") != MediaAccess {
		http.Error(w, "wrong media type", http.StatusBadRequest)
		return
	}
	if _, ok := p.bearer(w, r, ScopeControl); !ok {
		return
	}
	link, ok := p.Link(r.URL.Query().Get("resource_link"))
	if !ok || r.URL.Query().Get("resource_link") == "" || link.Unproctored || !p.tells(link) {
		http.Error(w, "no such proctored quiz", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJWT))
	var in struct {
		Users    []string `json:"users"`
		NamesFor string   `json:"names_for"`
	}
	if err != nil || json.Unmarshal(body, &in) != nil || in.Users == nil || len(in.Users) > maxAccessAsked {
		http.Error(w, "users is not a list of names", http.StatusBadRequest)
		return
	}
	staff, students := []any{}, []any{}
	p.mu.Lock()
	names := in.NamesFor != "" && p.instructorLocked(in.NamesFor)
	var proctor vigil.Access
	if names {
		a := p.toldLocked(in.NamesFor).Access
		proctor = vigil.Access{All: a.All, Groups: a.Groups, Rights: a.Rights}
	}
	for _, id := range in.Users {
		staff = append(staff, p.namedLocked(id, true))
	}
	for _, u := range p.users {
		if u.Role == Learner {
			record := p.namedLocked(u.ID, false)
			if names && proctor.Sees(p.toldLocked(u.ID).Access.Groups) {
				record["name"] = u.Name()
			}
			students = append(students, record)
		}
	}
	f := p.mischief.Access
	p.mu.Unlock()
	answer := map[string]any{"staff": staff, "students": students}
	if f != nil {
		answer = plain(answer)
		f(answer)
	}
	writeJSON(w, http.StatusOK, MediaAccess, answer)
}

// AccessToken signs a report of what people see and may do at a quiz, and of the groups of
// students.
func (p *Platform) AccessToken(clientID, linkID string, users ...string) string {
	now := p.cfg.Now()
	tool, _ := p.Tool(clientID)
	staff, students := []any{}, []any{}
	p.mu.Lock()
	for _, id := range users {
		if p.instructorLocked(id) {
			staff = append(staff, p.namedLocked(id, true))
		} else {
			students = append(students, p.namedLocked(id, false))
		}
	}
	f := p.mischief.AccessReport
	p.mu.Unlock()
	return p.signAbout(clientID, map[string]any{
		"iss": p.cfg.Issuer, "aud": tool.ClientID, "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
		"jti": rand.Text(), "token_use": "access", "vigil": p.Plugin(),
		ClaimLTI + "deployment_id": tool.DeploymentID,
		ClaimLTI + "resource_link": map[string]any{"id": linkID},
		"staff":                    staff, "students": students,
	}, f)
}

// SendAccess reports to every tool what has changed of groups and rights since it was last
// reported, as our plugin does at the end of a request. What a tool did not take is reported
// again the next time.
func (p *Platform) SendAccess(ctx context.Context) error {
	p.mu.Lock()
	due := make(map[string]int64, len(p.untold)) // the version that is reported
	for _, id := range p.untold {
		due[id] = p.toldLocked(id).Version
	}
	users := slices.Clone(p.untold)
	p.mu.Unlock()
	if len(users) == 0 {
		return nil
	}
	var errs []error
	for _, tool := range p.Tools() {
		for _, link := range p.Links() {
			if p.tells(link) && !link.Unproctored {
				errs = append(errs, p.sendAccess(ctx, tool, link.ID, users))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.mu.Lock()
	p.untold = slices.DeleteFunc(p.untold, func(id string) bool { return p.told[id].Version == due[id] })
	p.mu.Unlock()
	p.changed()
	return nil
}

// sendAccess reports people in as many reports as their number and the size of a token ask for.
func (p *Platform) sendAccess(ctx context.Context, tool Tool, linkID string, users []string) error {
	for len(users) > 0 {
		n := min(len(users), maxAccessTold)
		token := p.AccessToken(tool.ClientID, linkID, users[:n]...)
		for len(token) > maxAccessReport && n > 1 {
			n = (n + 1) / 2
			token = p.AccessToken(tool.ClientID, linkID, users[:n]...)
		}
		status, err := p.post(ctx, tool, accessPath, token)
		if err != nil {
			return err
		}
		if status == http.StatusNotFound { // it knows no such quiz: there is nobody to be kept from it
			return nil
		}
		if status/100 != 2 {
			return vigil.Errorf(vigil.CodeUnavailable, "The tool answered the report of groups and rights with status %d.", status)
		}
		users = users[n:]
	}
	return nil
}

// post sends a signed report to a tool.
func (p *Platform) post(ctx context.Context, tool Tool, path, token string) (status int, err error) {
	body, err := json.Marshal(map[string]string{"assertion": token})
	if err != nil {
		return 0, fmt.Errorf("report: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, vigil.Origin(tool.LoginURL)+path, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("report: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := p.cfg.Client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("report: %w", err)
	}
	if err := res.Body.Close(); err != nil {
		return 0, fmt.Errorf("report: %w", err)
	}
	return res.StatusCode, nil
}

// proctorSettings is the custom parameter by which the plugin sends with a launch of staff what
// it sends with a student's.
const proctorSettings = "vigil_settings"

// addProctorSettings gives a launch of staff what the plugin of version 3 sends with it.
func (p *Platform) addProctorSettings(custom map[string]string, row launch, user User, link Link) {
	if _, given := custom[proctorSettings]; given || row.Message != ResourceLink || user.Role != Instructor || !p.tells(link) {
		return
	}
	custom[proctorSettings] = p.settings(row, link)
}
