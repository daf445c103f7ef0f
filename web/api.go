package web

import (
	"net/http"
	"slices"

	"vigil"
	"vigil/lti"
)

func (s *Server) apiExam(w http.ResponseWriter, _ *http.Request, v staff) {
	exam := v.exam
	writeJSON(w, map[string]any{
		"id": exam.ID, "title": exam.Title, "course": exam.Course, "policy": exam.Policy, "managed": exam.Managed, "now": s.now().UnixMilli(),
	})
}

func (s *Server) apiPolicy(w http.ResponseWriter, r *http.Request, v staff) {
	policy := v.exam.Policy
	policy.Watch = slices.Clone(policy.Watch) // the decoder writes into it
	if err := readJSON(w, r, &policy); err != nil {
		s.problem(w, r, err)
		return
	}
	if err := s.savePolicy(r.Context(), v.exam, policy, v.pass); err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, policy)
}

// apiMembers lists who is enrolled, from the platform's Names and Roles service, with the
// session of those who came. One who does not see all students gets those whom the platform, asked
// now, says to be theirs.
func (s *Server) apiMembers(w http.ResponseWriter, r *http.Request, v staff) {
	ctx := r.Context()
	p, exam := v.pass, v.exam
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
	theirs := func(string) bool { return true }
	if exam.Access.Told() { // who may attempt the quiz: by the roster a non-editing teacher is a learner, too
		groups, err := s.studentsOf(ctx, exam)
		switch {
		case err == nil:
			theirs = func(user string) bool {
				g, may := groups[user]
				return may && v.access.Sees(g)
			}
		case !v.access.All:
			s.problem(w, r, err)
			return
		default:
			s.log.WarnContext(ctx, "the learning platform did not say who may attempt a quiz; its roster counts", "exam", exam.ID, "error", err)
		}
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
		if m.Active && m.Role == lti.RoleLearner && theirs(m.Subject) {
			members = append(members, member{User: m.Subject, Name: m.Name, Session: came[m.Subject]})
		}
	}
	writeJSON(w, map[string]any{"members": members})
}
