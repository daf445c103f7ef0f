package lti

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"vigil"
)

const (
	mediaMembers     = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
	maxMembersAnswer = 4 << 20
	maxMemberPages   = 200
	maxMembers       = 20_000
)

// MembersRequest narrows a roster. The zero value asks for everybody in the context.
type MembersRequest struct {
	Role         string // a role URI; only its holders, where the platform can filter
	ResourceLink string // only who can reach this resource link, where the platform can tell
}

// Member is one entry of a roster.
type Member struct {
	Subject    string
	Name       string
	GivenName  string
	FamilyName string
	Active     bool
	Role       Role
	Roles      []string
}

// Why there is no roster.
var (
	ErrMembersURL    = &Fault{"members_url", vigil.CodeForbidden, "The learning platform's roster address is not on one of its own origins."}
	ErrMembersAnswer = &Fault{"members_answer", vigil.CodeUnavailable, "The learning platform's roster could not be read."}
	ErrMembersBounds = &Fault{"members_bounds", vigil.CodeTooMany, "The learning platform's roster is too long."}
)

// Members reads a context's roster (Names and Roles Provisioning Services 2.0), following
// its pages. Every page must lie on an origin of the platform. When a page fails nothing
// is returned: half a roster would look like a whole one.
func (t *Tool) Members(ctx context.Context, p vigil.Platform, membersURL string, r MembersRequest) ([]Member, error) {
	next, err := membersPage(membersURL, r)
	if err != nil {
		return nil, err
	}
	var out []Member
	seen := map[string]bool{}
	for range maxMemberPages {
		if _, err := platformURL(p, next); err != nil {
			return nil, ErrMembersURL.because("%w", err)
		}
		if seen[next] {
			return nil, ErrMembersAnswer.because("the pages go round in a circle")
		}
		seen[next] = true
		page := next
		res, err := t.callService(ctx, p, ScopeMembers, maxMembersAnswer, func() (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
			if err == nil {
				req.Header.Set("Accept", mediaMembers)
			}
			return req, err
		})
		if err != nil {
			if FaultOf(err) != nil {
				return nil, err
			}
			return nil, ErrMembersAnswer.because("%w", err)
		}
		if res.status != http.StatusOK {
			return nil, ErrMembersAnswer.because("status %d", res.status)
		}
		members, err := readMembers(res.body)
		if err != nil {
			return nil, err
		}
		if out = append(out, members...); len(out) > maxMembers {
			return nil, ErrMembersBounds.because("more than %d members", maxMembers)
		}
		if next = nextPage(page, res.header.Values("Link")); next == "" {
			return out, nil
		}
	}
	return nil, ErrMembersBounds.because("more than %d pages", maxMemberPages)
}

// membersPage adds a request's filters to the service's URL, whose own query stays.
func membersPage(raw string, r MembersRequest) (string, error) {
	u, err := parseWebURL(raw)
	if err != nil {
		return "", ErrMembersURL.because("%w", err)
	}
	add := url.Values{}
	if r.Role != "" {
		add.Set("role", r.Role)
	}
	if r.ResourceLink != "" {
		add.Set("rlid", r.ResourceLink)
	}
	if len(add) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += add.Encode()
	}
	return u.String(), nil
}

// readMembers reads one page. An entry without a usable user_id is left out; roles may be
// written short ("Learner", "Instructor"), which this service allows.
func readMembers(body []byte) ([]Member, error) {
	doc, err := parseObject(body)
	if err != nil {
		return nil, ErrMembersAnswer.because("%w", err)
	}
	list, ok := doc.array("members")
	if !ok {
		return nil, ErrMembersAnswer.because("no members")
	}
	if len(list) > maxMembers {
		return nil, ErrMembersBounds.because("one page")
	}
	out := make([]Member, 0, len(list))
	for _, item := range list {
		m, ok := item.(object)
		if !ok {
			return nil, ErrMembersAnswer.because("a member is not an object")
		}
		sub, _ := m.str("user_id")
		if checkWord(sub) != nil {
			continue
		}
		member := Member{Subject: sub, Active: true, Name: m.text("name"), GivenName: m.text("given_name"), FamilyName: m.text("family_name")}
		if status, ok := m.str("status"); ok {
			member.Active = strings.EqualFold(status, "Active")
		}
		roles, _ := m.strings("roles")
		for _, role := range roles {
			if !strings.Contains(role, ":") {
				role = membershipRole + role
			}
			member.Roles = append(member.Roles, role)
		}
		member.Role = roleOf(member.Roles)
		out = append(out, member)
	}
	return out, nil
}

// nextPage finds the URL of rel="next" in Link headers (RFC 8288), resolved against the
// page it came with; "" when there is none.
func nextPage(page string, headers []string) string {
	base, err := url.Parse(page)
	if err != nil {
		return ""
	}
	for _, h := range headers {
		for h != "" {
			open := strings.IndexByte(h, '<')
			end := strings.IndexByte(h, '>')
			if open < 0 || end < open {
				break
			}
			target := h[open+1 : end]
			h = h[end+1:]
			params := h
			if i := strings.IndexByte(h, '<'); i >= 0 {
				params = h[:i]
			}
			for _, param := range strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ',' }) {
				name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
				if !strings.EqualFold(strings.TrimSpace(name), "rel") {
					continue
				}
				for _, rel := range strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)) {
					if !strings.EqualFold(rel, "next") {
						continue
					}
					if u, err := base.Parse(target); err == nil {
						return u.String()
					}
				}
			}
		}
	}
	return ""
}
