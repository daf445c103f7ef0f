package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

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

// member is somebody who may attempt the exam.
type member struct {
	User    string `json:"user"`
	Name    string `json:"name,omitempty"`
	Session string `json:"session,omitempty"`

	groups  []vigil.Group // as of version; of a quiz that tells them
	version int64
}

var errNoMembers = vigil.Errorf(vigil.CodeNotFound, "This learning platform does not tell who is enrolled.")

// apiMembers lists who may attempt the exam and is seen by who asks, with the session of those
// who came.
func (s *Server) apiMembers(w http.ResponseWriter, r *http.Request, v staff) {
	ctx := r.Context()
	exam := v.exam
	members, err := s.membersOf(ctx, v)
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
	if exam.Access.Told() { // a platform may take long to answer, and the answer is kept for a moment
		if v.access, err = s.told(ctx, exam, v.pass.UserID); err == nil {
			err = mayWatch(v.access, r)
		}
		if err != nil {
			s.problem(w, r, err)
			return
		}
	}
	came := map[string]vigil.Session{}
	for _, session := range sessions {
		if session.GroupsVersion < came[session.UserID].GroupsVersion {
			session.Groups, session.GroupsVersion = came[session.UserID].Groups, came[session.UserID].GroupsVersion
		}
		came[session.UserID] = session
	}
	seen := []member{}
	for _, m := range members {
		session := came[m.User]
		if session.GroupsVersion > m.version {
			m.groups = session.Groups
		}
		if m.Session = session.ID; v.access.Sees(m.groups) {
			seen = append(seen, m)
		}
	}
	writeJSON(w, map[string]any{"members": seen})
}

// membersOf is who may attempt the exam: of a quiz that tells groups and rights those whom the
// platform, asked now, says to be theirs (by its roster a non-editing teacher is a learner, too),
// else the learners of the course's roster.
func (s *Server) membersOf(ctx context.Context, v staff) ([]member, error) {
	exam, p := v.exam, v.pass
	if !exam.Access.Told() {
		if err := s.wholeRoster(ctx, v); err != nil {
			return nil, err
		}
		return s.rosterOf(ctx, p)
	}
	students, err := s.studentsOf(ctx, v)
	if err != nil {
		if !v.access.All || p.MembersURL == "" {
			return nil, err
		}
		s.log.WarnContext(ctx, "the learning platform did not say who may attempt a quiz; its roster counts", "exam", exam.ID, "error", err)
		return s.rosterOf(ctx, p)
	}
	members, nameless := []member{}, false
	for user, told := range students {
		if v.access.Sees(told.groups) {
			members = append(members, member{User: user, Name: told.name, groups: told.groups, version: told.version})
			nameless = nameless || told.name == ""
		}
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.User, b.User) })
	if !nameless || p.MembersURL == "" {
		return members, nil
	}
	roster, err := s.rosterOf(ctx, p) // of an older plugin, or of more students than one answer names
	if err != nil {
		s.log.WarnContext(ctx, "the learning platform's roster gives no names of who may attempt a quiz", "exam", exam.ID, "error", err)
		return members, nil
	}
	names := make(map[string]string, len(roster))
	for _, m := range roster {
		names[m.User] = m.Name
	}
	for i, m := range members {
		members[i].Name = cmp.Or(m.Name, names[m.User])
	}
	return members, nil
}

// rosterOf is the learners of the course, from the platform's Names and Roles service.
func (s *Server) rosterOf(ctx context.Context, p pass) ([]member, error) {
	platform, err := s.store.Platform(ctx, p.PlatformID)
	if err != nil {
		return nil, err
	}
	list, err := s.tool.Members(ctx, platform, p.MembersURL, lti.MembersRequest{})
	if err != nil {
		return nil, err
	}
	members := []member{}
	for _, m := range list {
		if m.Active && m.Role == lti.RoleLearner {
			members = append(members, member{User: m.Subject, Name: m.Name})
		}
	}
	return members, nil
}

// wholeRoster tells whether somebody may have the course's whole roster at an exam whose platform
// says nothing of groups and rights there. Not where it does at its quizzes: whoever may write an
// activity of the course would read by an exam of their own whom they must not see.
func (s *Server) wholeRoster(ctx context.Context, v staff) error {
	if v.pass.MembersURL == "" {
		return errNoMembers
	}
	platforms, err := s.store.Platforms(ctx) // it may be registered more than once
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if p.Issuer == v.exam.Issuer && p.TellsAccess() {
			return vigil.Errorf(vigil.CodeForbidden, "Who is missing is told of proctored quizzes only. Open Vigil from the quiz.")
		}
	}
	return nil
}

// listsMissing tells whether the dashboard offers the list of who is missing.
func (s *Server) listsMissing(ctx context.Context, v staff) bool {
	return v.exam.Access.Told() || s.wholeRoster(ctx, v) == nil
}
