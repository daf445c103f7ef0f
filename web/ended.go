package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vigil"
	"vigil/lti"
)

// endedSlack is by how much a moment may seem too early because a platform tells it in whole
// seconds.
const endedSlack = 2 * time.Second

// attemptEnded takes a platform's report, from server to server, that an attempt has
// ended (docs/assertion.md). Reporting the same end again changes nothing, and one of an
// attempt that began anew since then ends the old one, not the new. A platform that hears
// not_found need not ask again.
func (s *Server) attemptEnded(w http.ResponseWriter, r *http.Request) {
	e, ok := reported(s, w, r, s.tool.VerifyEnded)
	if !ok {
		return
	}
	ctx := r.Context()
	newest, err := s.attemptOf(ctx, e.Assertion)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	session, known, err := s.generationOf(ctx, newest, e.Assertion, e.At)
	if err == nil && e.Outcome == lti.OutcomeErased && session.ID != newest.ID && !newest.State.Ended() { // it would take that, too
		err = vigil.Errorf(vigil.CodeUnavailable, "The number of this attempt is another one's by now, which goes on. Ask again when that has ended.")
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if !known {
		writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
		return
	}
	if e.Outcome == lti.OutcomeSubmitted && session.Started.IsZero() { // a platform that does not report openings: who hands in has begun
		if _, err := s.sessions.Opened(ctx, session.ID, vigil.Actor{Role: vigil.RoleLMS, ID: e.Platform.ID}, time.Time{}); err != nil {
			s.problem(w, r, err)
			return
		}
	}
	end := s.sessions.Ended
	switch e.Outcome {
	case lti.OutcomeDeleted:
		end = s.sessions.Deleted
	case lti.OutcomeSwitchedOff:
		end = s.sessions.Stopped
	}
	session, err = end(ctx, session.ID, vigil.Actor{Role: vigil.RoleLMS, ID: e.Platform.ID}, e.At)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	if e.Outcome == lti.OutcomeErased {
		if _, err := s.store.EraseAttempt(ctx, e.Platform.Issuer, e.Subject, session.ExamID, e.Attempt); err != nil {
			s.problem(w, r, err)
			return
		}
	}
	s.audit(ctx, session.ExamID, session.ID, "session.ended", vigil.Actor{Role: vigil.RoleLMS, ID: e.Platform.ID}, e.Outcome)
	writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
}

// attemptStanding takes a platform's report, from server to server, of how an attempt stands.
// Reporting it again changes nothing.
func (s *Server) attemptStanding(w http.ResponseWriter, r *http.Request) {
	a, ok := reported(s, w, r, s.tool.VerifyStanding)
	if !ok {
		return
	}
	ctx := r.Context()
	session, err := s.attemptOf(ctx, a)
	if err == nil {
		session, err = s.sessions.ReportEnd(ctx, session.ID, a.Report)
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
}

// attemptOpened takes a platform's report, from server to server, that an attempt was opened
// (docs/assertion.md), whenever it comes. Reporting it again changes nothing.
func (s *Server) attemptOpened(w http.ResponseWriter, r *http.Request) {
	o, ok := reported(s, w, r, s.tool.VerifyOpened)
	if !ok {
		return
	}
	ctx := r.Context()
	session, err := s.attemptOf(ctx, o.Assertion)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	session, known, err := s.generationOf(ctx, session, o.Assertion, o.At)
	if err == nil && known {
		session, err = s.sessions.Opened(ctx, session.ID, vigil.Actor{Role: vigil.RoleLMS, ID: o.Platform.ID}, s.ours(o.Assertion, o.At))
	}
	if err != nil {
		s.problem(w, r, err)
		return
	}
	writeJSON(w, map[string]string{"session": session.ID, "state": string(session.State)})
}

// ours is a moment of a platform's clock by ours: the token that tells it was made just now.
func (s *Server) ours(a lti.Assertion, at time.Time) time.Time { return at.Add(s.now().Sub(a.Issued)) }

// generationOf finds the session that a report is of, which tells of a moment: the newest one of the
// attempt's number that was there by then. known is false where that is before the oldest one.
func (s *Server) generationOf(ctx context.Context, newest vigil.Session, a lti.Assertion, at time.Time) (session vigil.Session, known bool, err error) {
	at = s.ours(a, at)
	session = newest
	for at.Before(session.Created.Add(-endedSlack)) {
		if session.Previous == "" {
			return newest, false, nil
		}
		previous, err := s.store.Session(ctx, session.Previous)
		if errors.Is(err, vigil.ErrNotFound) {
			return newest, false, nil
		}
		if err != nil {
			return newest, false, err
		}
		session = previous
	}
	return session, true, nil
}

// attemptOf finds the session of the attempt that a platform speaks of.
func (s *Server) attemptOf(ctx context.Context, a lti.Assertion) (vigil.Session, error) {
	link, err := s.store.Link(ctx, a.Platform.ID, a.Deployment, a.ResourceLink)
	if err != nil {
		return vigil.Session{}, unknownAttempt(err)
	}
	session, err := s.store.SessionOfAttempt(ctx, link.ExamID, a.Subject, a.Attempt)
	return session, unknownAttempt(err)
}

func unknownAttempt(err error) error {
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Errorf(vigil.CodeNotFound, "Vigil knows no such attempt.")
	}
	return err
}

// exported is what is kept of an attempt, for the person whose attempt it was. Who the
// proctors were is left out: that is their affair.
type exported struct {
	Exam    string `json:"exam"`
	Name    string `json:"name"`
	Attempt int    `json:"attempt"`
	State   string `json:"state"`
	// Groups are the names of the student's groups in the course.
	Groups []string `json:"groups,omitempty"`

	Consents []consented `json:"consents,omitempty"`
	Entries  []entry     `json:"entries"`
	More     bool        `json:"more,omitempty"`
}

// consented is a consent: the version of the notice, and when.
type consented struct {
	Notice string `json:"notice"`
	At     int64  `json:"at"`
}

// attemptExport answers a platform's question, from server to server, for all that is kept
// of an attempt (docs/assertion.md).
func (s *Server) attemptExport(w http.ResponseWriter, r *http.Request) {
	a, ok := reported(s, w, r, s.tool.VerifyExport)
	if !ok {
		return
	}
	ctx := r.Context()
	session, err := s.attemptOf(ctx, a)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	exam, err := s.store.Exam(ctx, session.ExamID)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	entries, more, err := s.timeline(ctx, session, exam.Policy)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	for i := range entries {
		entries[i].By = ""
		if entries[i].From == vigil.RoleProctor {
			entries[i].Name = ""
		}
		if entries[i].Review != nil {
			entries[i].Review.By = ""
		}
	}
	s.audit(ctx, session.ExamID, session.ID, "session.exported", vigil.Actor{Role: vigil.RoleLMS, ID: a.Platform.ID}, "")
	out := exported{
		Exam: exam.Title, Name: session.Name, Attempt: session.Attempt, State: string(session.State), Entries: entries, More: more,
		Groups: groupNames(session.Groups),
	}
	for _, c := range session.Consents {
		out.Consents = append(out.Consents, consented{c.Notice, ms(c.At)})
	}
	writeJSON(w, out)
}
