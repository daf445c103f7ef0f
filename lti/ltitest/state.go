package ltitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// state is what outlives a restart.
type state struct {
	Secret   string             `json:"secret"`
	Keys     map[string]string  `json:"keys"`
	Tools    []Tool             `json:"tools"`
	Users    []User             `json:"users"`
	Links    []Link             `json:"links"`
	Attempts []Attempt          `json:"attempts"`
	Deleted  []Attempt          `json:"deleted,omitempty"`
	Owed     []*Report          `json:"owed,omitempty"`
	Told     map[string]told    `json:"told,omitempty"`
	Untold   []string           `json:"untold,omitempty"`
	Sessions map[string]session `json:"sessions"`
	Number   int                `json:"number"`
}

// Export is what a platform must remember over a restart: keys, tools, activities,
// attempts and launches that wait for StartAssessment. It holds private keys.
func (p *Platform) Export() (json.RawMessage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keyLocked("")
	p.sweepLocked(p.cfg.Now())
	s := state{
		Secret: base64.StdEncoding.EncodeToString(p.secret), Keys: map[string]string{}, Users: p.users, Links: p.links,
		Sessions: p.sessions, Number: p.number, Owed: p.owed, Told: p.told, Untold: p.untold,
	}
	for id, k := range p.keys {
		s.Keys[id] = k.marshal()
	}
	for _, id := range p.order {
		s.Tools = append(s.Tools, p.tools[id])
	}
	for _, a := range p.attempts {
		s.Attempts = append(s.Attempts, a.clone())
	}
	for _, a := range p.deleted {
		s.Deleted = append(s.Deleted, a.clone())
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("export the platform: %w", err)
	}
	return b, nil
}

// Import takes what Export gave, before the platform is used.
func (p *Platform) Import(b json.RawMessage) error {
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("import the platform: %w", err)
	}
	secret, err := base64.StdEncoding.DecodeString(s.Secret)
	if err != nil || len(secret) == 0 {
		return fmt.Errorf("import the platform: its secret is unreadable")
	}
	keys := map[string]Key{}
	for id, text := range s.Keys {
		if keys[id], err = unmarshalKey(text); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secret, p.keys, p.number = secret, keys, s.Number
	if s.Links != nil {
		p.links = s.Links
	}
	if s.Users != nil {
		p.users = s.Users
	}
	if s.Sessions != nil {
		p.sessions = s.Sessions
	}
	p.order = nil
	for _, t := range s.Tools {
		p.tools[t.ClientID] = t
		p.order = append(p.order, t.ClientID)
	}
	for _, a := range s.Attempts {
		p.attempts[a.ID] = &a
	}
	for _, a := range s.Deleted {
		p.deleted[attemptKey{a.ClientID, a.UserID, a.LinkID, a.Number}] = &a
	}
	p.owed, p.untold = s.Owed, s.Untold
	if s.Told != nil {
		p.told = s.Told
	}
	return nil
}
