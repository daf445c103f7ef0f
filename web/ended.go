package web

import (
	"errors"
	"net/http"
	"time"

	"vigil"
	"vigil/lti"
)

// endedSlack is how far the clocks of a platform and of ours may differ.
const endedSlack = time.Minute

// attemptEnded takes a platform's report, from server to server, that an attempt has
// ended (docs/assertion.md). Reporting the same end again changes nothing, and one of an
// attempt that began anew since then does not end the new one. A platform that hears
// not_found need not ask again.
func (s *Server) attemptEnded(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var in struct {
		Assertion string `json:"assertion"`
	}
	if err := readJSON(w, r, &in); err != nil {
		s.problem(w, r, err)
		return
	}
	e, err := s.tool.VerifyEnded(ctx, in.Assertion)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	unknown := vigil.Errorf(vigil.CodeNotFound, "Vigil knows no such attempt.")
	link, err := s.store.Link(ctx, e.Platform.ID, e.Deployment, e.ResourceLink)
	if errors.Is(err, vigil.ErrNotFound) {
		s.problem(w, r, unknown)
		return
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	session, err := s.store.SessionOfAttempt(ctx, link.ExamID, e.Subject, e.Attempt)
	if errors.Is(err, vigil.ErrNotFound) {
		s.problem(w, r, unknown)
		return
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if e.At.Before(session.Created.Add(-endedSlack)) {
		writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
		return
	}
	end := s.hub.Ended
	if e.Outcome == lti.OutcomeDeleted {
		end = s.hub.Deleted
	}
	session, err = end(ctx, session.ID, vigil.Actor{Role: vigil.RoleLMS, ID: e.Platform.ID}, s.now())
	if err != nil {
		s.problem(w, r, err)
		return
	}
	s.audit(ctx, session.ExamID, session.ID, "session.ended", vigil.Actor{Role: vigil.RoleLMS, ID: e.Platform.ID}, e.Outcome)
	writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
}
