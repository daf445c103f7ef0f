package web

import (
	"net/http"
	"slices"

	"vigil"
	"vigil/lti"
)

func (s *Server) apiExam(w http.ResponseWriter, r *http.Request) {
	_, exam, err := s.proctor(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, map[string]any{
		"id": exam.ID, "title": exam.Title, "course": exam.Course, "policy": exam.Policy, "managed": exam.Managed, "now": s.now().UnixMilli(),
	})
}

func (s *Server) apiPolicy(w http.ResponseWriter, r *http.Request) {
	p, exam, err := s.proctor(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	policy := exam.Policy
	policy.Watch = slices.Clone(policy.Watch) // the decoder writes into it
	if err := readJSON(w, r, &policy); err != nil {
		s.problem(w, r, err)
		return
	}
	if err := s.savePolicy(r.Context(), exam, policy, p); err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, policy)
}

// apiMembers lists who is enrolled, from the platform's Names and Roles service, with the
// session of those who came.
func (s *Server) apiMembers(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, exam, err := s.proctor(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if p.MembersURL == "" {
		s.problem(w, r, vigil.Errorf(vigil.CodeNotFound, "This learning platform does not tell who is enrolled."))
		return
	}
	platform, err := s.store.Platform(ctx, p.PlatformID)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	list, err := s.tool.Members(ctx, platform, p.MembersURL, lti.MembersRequest{})
	if err != nil {
		s.problem(w, r, err)
		return
	}
	sessions, _, err := all(maxEntries, func(page vigil.Page) ([]vigil.Session, string, error) {
		return s.store.SessionsOfExam(ctx, exam.ID, page)
	})
	if err != nil {
		s.problem(w, r, err)
		return
	}
	came := map[string]string{}
	for _, session := range sessions {
		came[session.UserID] = session.ID
	}
	type member struct {
		User    string `json:"user"`
		Name    string `json:"name,omitempty"`
		Session string `json:"session,omitempty"`
	}
	members := []member{}
	for _, m := range list {
		if m.Active && m.Role == lti.RoleLearner {
			members = append(members, member{User: m.Subject, Name: m.Name, Session: came[m.Subject]})
		}
	}
	writeJSON(w, map[string]any{"members": members})
}
