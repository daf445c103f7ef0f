package ltitest

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vigil"
)

// Register adds a tool by hand, as an admin who copies the values in; a client id and
// a deployment id are made where they are empty. Registering a client id again
// replaces what was there.
func (p *Platform) Register(t Tool) Tool {
	p.mu.Lock()
	if t.ClientID == "" {
		t.ClientID = rand.Text()[:15]
	}
	if t.DeploymentID == "" {
		t.DeploymentID = "1"
		if p.cfg.Like == Moodle {
			t.DeploymentID = strconv.Itoa(p.nextLocked())
		}
	}
	if t.Scopes == nil {
		t.Scopes = p.scopes()
	}
	if t.DeepLinkURI == "" {
		t.DeepLinkURI = t.TargetLinkURI
	}
	if _, known := p.tools[t.ClientID]; !known {
		p.order = append(p.order, t.ClientID)
	}
	p.tools[t.ClientID] = t
	delete(p.cached, t.ClientID)
	p.keyLocked(t.ClientID)
	p.mu.Unlock()
	p.changed()
	return t
}

func (p *Platform) nextLocked() int {
	p.number++
	return p.number
}

// scopes are those that the platform offers.
func (p *Platform) scopes() []string {
	if p.cfg.NoProctoring {
		return []string{ScopeMembers}
	}
	return []string{ScopeMembers, ScopeControl}
}

// Tool finds a registered tool.
func (p *Platform) Tool(clientID string) (Tool, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tools[clientID]
	return t, ok
}

// Tools are the registered tools in the order of their registration.
func (p *Platform) Tools() []Tool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Tool, 0, len(p.order))
	for _, id := range p.order {
		out = append(out, p.tools[id])
	}
	return out
}

// Activate ends the pending state of a tool that registered itself.
func (p *Platform) Activate(clientID string) error {
	p.mu.Lock()
	t, ok := p.tools[clientID]
	if ok {
		t.Pending = false
		p.tools[clientID] = t
	}
	p.mu.Unlock()
	if !ok {
		return vigil.Errorf(vigil.CodeNotFound, "No tool has the client id %q.", clientID)
	}
	p.changed()
	return nil
}

// Endpoints are the values to copy into the tool for one of its registrations.
func (p *Platform) Endpoints(clientID string) Endpoints {
	t, _ := p.Tool(clientID)
	at := func(e Endpoint) string {
		path := p.path(e)
		if path == "" {
			return ""
		}
		r := strings.NewReplacer("{client}", clientID, "{course}", p.cfg.Course.ID, "{deployment}", t.DeploymentID)
		return p.cfg.Issuer + r.Replace(path)
	}
	e := Endpoints{
		Issuer: p.cfg.Issuer, Configuration: at(AtConfiguration), Registration: at(AtRegistration),
		Authorization: at(AtAuthorization), Token: at(AtToken), TokenAudience: at(AtToken), KeySet: at(AtKeySet),
		Control: at(AtControl), Members: at(AtMembers),
	}
	if p.cfg.NoProctoring {
		e.Control = ""
	}
	return e
}

// Links are the activities of the course.
func (p *Platform) Links() []Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.links)
}

// Link finds an activity; the empty id is the first one.
func (p *Platform) Link(id string) (Link, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.linkLocked(id)
}

func (p *Platform) linkLocked(id string) (Link, bool) {
	for _, l := range p.links {
		if l.ID == id || id == "" {
			return l, true
		}
	}
	return Link{}, false
}

// SetLink adds or replaces an activity.
func (p *Platform) SetLink(l Link) {
	p.mu.Lock()
	i := slices.IndexFunc(p.links, func(o Link) bool { return o.ID == l.ID })
	if i >= 0 {
		p.links[i] = l
	} else {
		p.links = append(p.links, l)
	}
	p.mu.Unlock()
	p.changed()
}

// appendQuery adds parameters to a URL. Open edX puts a "?" even where there is one.
func (p *Platform) appendQuery(raw string, q url.Values) string {
	sep := "?"
	if p.cfg.Like == Moodle && strings.Contains(raw, "?") {
		sep = "&"
	}
	return raw + sep + q.Encode()
}
