package ltitest

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// serveMembers is Names and Role Provisioning (LTI NRPS 2.0). Only its own media type
// is taken: Moodle answers 400 to another, Open edX 406.
func (p *Platform) serveMembers(w http.ResponseWriter, r *http.Request) {
	if accept, _, _ := strings.Cut(r.Header.Get("Accept"), ";"); strings.TrimSpace(accept) != MediaMembers {
		status := http.StatusBadRequest
		if p.cfg.Like == OpenEdX {
			status = http.StatusNotAcceptable
		}
		http.Error(w, "wrong media type", status)
		return
	}
	tool, ok := p.bearer(w, r, ScopeMembers)
	if !ok {
		return
	}
	if c := r.PathValue("course"); c != "" && c != p.cfg.Course.ID {
		http.Error(w, "no such course", http.StatusNotFound)
		return
	}
	self := p.Endpoints(tool.ClientID).Members
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("limitfrom"))
	size, _ := strconv.Atoi(q.Get("limitnum"))
	if limit, err := strconv.Atoi(q.Get("limit")); err == nil {
		size = limit
	}
	if p.cfg.PageSize > 0 && (size <= 0 || size > p.cfg.PageSize) {
		size = p.cfg.PageSize
	}
	var users []User
	for _, u := range p.Users() {
		if role := q.Get("role"); role == "" || role == string(u.Role) || role == u.Role.URIs()[0] {
			users = append(users, u)
		}
	}
	from = min(max(from, 0), len(users))
	to := len(users)
	if size > 0 {
		to = min(from+size, len(users))
	}
	members := []any{}
	for _, u := range users[from:to] {
		members = append(members, map[string]any{
			"status": "Active", "user_id": u.ID, "roles": u.Role.URIs(), "name": u.Name(), "given_name": u.Given,
			"family_name": u.Family, "email": u.Email, "lis_person_sourcedid": "",
		})
	}
	if to < len(users) {
		next := url.Values{"limitfrom": {strconv.Itoa(to)}, "limitnum": {strconv.Itoa(size)}}
		if role := q.Get("role"); role != "" {
			next.Set("role", role)
		}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, self, next.Encode()))
	}
	answer := map[string]any{"id": self, "context": p.cfg.Course, "members": members}
	if f := p.mischiefNow().Members; f != nil {
		answer = plain(answer)
		f(answer)
	}
	writeJSON(w, http.StatusOK, MediaMembers, answer)
}
