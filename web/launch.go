package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
)

// customExam is the custom parameter by which a deep-linked Vigil activity names its
// exam.
const customExam = "vigil_exam"

// customUser and customAttempt are the custom parameters by which our plugin opens the
// dashboard at one attempt's timeline.
const (
	customUser    = "vigil_user"
	customAttempt = "vigil_attempt"
)

// customSettings is the custom parameter by which our plugin sends with a proctor's launch
// what it sends with a student's, so that a quiz that a proctor opens first has its policy.
const customSettings = "vigil_settings"

// launched goes on from a launch that passed every check.
func (s *Server) launched(w http.ResponseWriter, r *http.Request, l lti.Launch) {
	var err error
	switch l.Message {
	case lti.MessageResourceLink:
		err = s.resourceLink(w, r, l)
	case lti.MessageDeepLinking:
		err = s.deepLinkStart(w, r, l)
	case lti.MessageStartProctoring:
		err = s.startProctoring(w, r, l)
	case lti.MessageEndAssessment:
		err = s.endAssessment(w, r, l)
	default:
		err = vigil.Errorf(vigil.CodeInvalid, "Vigil does not know what to do with this kind of launch.")
	}
	s.outcome(l.Message, err)
	if err != nil {
		status := vigil.CodeOf(err).Status()
		detail, _, reference := s.describe(r, status, err, l.Reference)
		s.anyFrame(w)
		s.showError(w, r, status, errorView{
			Title: "error.launch", Lang: l.Locale, Code: vigil.CodeOf(err), Detail: detail, Reference: reference, ReturnURL: l.ReturnURL,
		})
	}
}

// passOf begins a pass for the person who launched.
func (s *Server) passOf(l lti.Launch, kind passKind, id string) pass {
	return pass{
		Kind: kind, ID: id, PlatformID: l.Platform.ID, UserID: l.Subject, Name: nameOf(l),
		Until: s.now().Add(proctorLife), Frame: l.Platform.Origins(), ReturnURL: l.ReturnURL, Lang: l.Locale,
	}
}

// resourceLink opens the dashboard for those who teach and one's own status for others.
func (s *Server) resourceLink(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	ctx := r.Context()
	var settings vigil.Settings
	if l.Role == lti.RoleProctor {
		var err error
		if settings, err = proctorSettings(l); err != nil {
			return err
		}
		s.recordPlugin(ctx, l.Platform, settings.Plugin)
	}
	exam, err := s.examOf(ctx, l, settings)
	if err != nil {
		return err
	}
	kind, to := passStatus, "/status/"+exam.ID
	if l.Role == lti.RoleProctor {
		kind, to = passProctor, "/dashboard/"+exam.ID
		access, err := s.entitle(ctx, exam, l, settings)
		if err != nil {
			return err
		}
		if err := access.Allow(vigil.RightWatch); err != nil {
			return err
		}
		session, err := s.namedAttempt(ctx, exam, access, l)
		if err != nil {
			return err
		}
		if session != "" {
			to += "/sessions/" + session
		}
	}
	p := s.passOf(l, kind, exam.ID)
	p.MembersURL = l.MembersURL
	if err := s.admit(ctx, p); err != nil {
		return err
	}
	if kind == passProctor {
		s.audit(ctx, exam.ID, "", "dashboard.open", actorOf(p), "")
	}
	return s.goOn(w, r, p, to)
}

// recordPlugin notes which version of our plugin a platform was seen to speak, for vigil
// doctor. No launch fails for it: of many at once one notes it, and the next one does where
// none could.
func (s *Server) recordPlugin(ctx context.Context, p vigil.Platform, version int) {
	if version == 0 || version == p.Plugin {
		return
	}
	p.Plugin = version
	if err := s.store.UpdatePlatform(ctx, p); err != nil && !errors.Is(err, vigil.ErrConflict) {
		s.log.WarnContext(ctx, "plugin version not recorded", "platform", p.ID, "version", version, "error", err)
	}
}

// namedAttempt is the session of the attempt that a launch of a proctor names, or "". The
// page asks again whether it is the exam's, and theirs to see.
func (s *Server) namedAttempt(ctx context.Context, exam vigil.Exam, access vigil.Access, l lti.Launch) (string, error) {
	user, number := l.Custom[customUser], l.Custom[customAttempt]
	if user == "" || number == "" {
		return "", nil
	}
	attempt, err := strconv.Atoi(number)
	if err != nil {
		return "", vigil.Wrap(err, vigil.CodeInvalid, "The learning platform names an attempt that has no number.")
	}
	session, err := s.store.SessionOfAttempt(ctx, exam.ID, user, attempt)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && !access.Sees(session.Groups) {
		return "", vigil.Errorf(vigil.CodeNotFound, "Vigil keeps nothing of this attempt any more, or the student never came to the check-in.")
	}
	return session.ID, err
}

// startProctoring finds or makes the session of the attempt and goes on to the check-in.
func (s *Server) startProctoring(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	ctx := r.Context()
	settings, err := lti.ReadSettings(l.Platform, l.Proctoring.Settings)
	if err != nil {
		return err
	}
	s.recordPlugin(ctx, l.Platform, settings.Plugin)
	exam, err := s.examOf(ctx, l, settings)
	if err != nil {
		return err
	}
	told := toldKey(toldStudent, l.Platform.ID, l.Deployment, l.Resource.ID, l.Subject)
	if settings.Access != nil {
		a, err := s.newestTold(ctx, told, *settings.Access)
		if err != nil {
			return err
		}
		settings.Access = &a
	}
	session, err := s.sessionOf(ctx, exam, l, settings)
	if settings.Access != nil { // behind it, so that a report or a launch at the same moment sees the session, or this sees what it told
		a, toldErr := s.newestTold(ctx, told, *settings.Access)
		if toldErr == nil {
			a.UserID = l.Subject
			toldErr = s.regroup(ctx, exam, a) // all of the student's attempts
		}
		err = cmp.Or(err, toldErr)
	}
	if err != nil {
		return err
	}
	p := s.passOf(l, passStudent, session.ID)
	p.Start = &startPass{
		Deployment: l.Deployment, ResourceLink: l.Resource.ID, Attempt: l.Proctoring.Attempt,
		SessionData: l.Proctoring.SessionData, StartURL: l.Proctoring.StartURL, Started: l.Started,
	}
	if err := s.admit(ctx, p); err != nil {
		return err
	}
	return s.goOn(w, r, p, "/checkin/"+session.ID)
}

// endAssessment is the end of an attempt as the student's browser carries it. The
// platform's errors are shown to the student; the session ends all the same.
func (s *Server) endAssessment(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	ctx := r.Context()
	link, err := s.store.Link(ctx, l.Platform.ID, l.Deployment, l.Resource.ID)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Errorf(vigil.CodeNotFound, "Vigil knows no exam for this activity.")
	}
	if err != nil {
		return err
	}
	session, err := s.store.SessionOfAttempt(ctx, link.ExamID, l.Subject, l.End.Attempt)
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Errorf(vigil.CodeNotFound, "Vigil knows no such attempt of yours.")
	}
	if err != nil {
		return err
	}
	if _, err := s.sessions.Ended(ctx, session.ID, vigil.Actor{Role: vigil.RoleLMS, ID: l.Platform.ID}, s.now()); err != nil {
		return err
	}
	if l.End.ErrorMsg == "" && l.ReturnURL != "" {
		back, err := s.tool.EndURL(l.Platform, l.ReturnURL, "", "")
		if err == nil {
			http.Redirect(w, r, back, http.StatusSeeOther)
			return nil
		}
		s.log.WarnContext(ctx, "end of the attempt cannot return", "reference", l.Reference, "error", err)
	}
	s.endPage(w, r, l)
	return nil
}

// examOf returns the exam that the launched resource link is tied to. A link that is not
// tied yet is tied now: to the exam that a deep link named, if it belongs to this course,
// or to a new one. settings, where the platform's side is our plugin, is what the quiz
// says. Of many first launches at once one ties the link and one makes the exam; the
// others find them.
func (s *Server) examOf(ctx context.Context, l lti.Launch, settings vigil.Settings) (vigil.Exam, error) {
	for range 5 {
		link, err := s.store.Link(ctx, l.Platform.ID, l.Deployment, l.Resource.ID)
		if errors.Is(err, vigil.ErrNotFound) {
			if link, err = s.tie(ctx, l); errors.Is(err, vigil.ErrExists) {
				continue
			}
		}
		if err != nil {
			return vigil.Exam{}, err
		}
		exam, err := s.store.Exam(ctx, link.ExamID)
		if errors.Is(err, vigil.ErrNotFound) {
			exam = s.newExam(link.ExamID, cmp.Or(l.Resource.Title, l.Context.Title, l.Context.Label), l)
			if settings.Policy != nil {
				exam.Policy, exam.Managed = *settings.Policy, true
			}
			exam.Access = sourceOf(exam, l, settings)
			err = s.store.CreateExam(ctx, exam)
		} else if err == nil {
			exam, err = s.refresh(ctx, exam, l, settings)
		}
		if errors.Is(err, vigil.ErrExists) || errors.Is(err, vigil.ErrConflict) {
			continue
		}
		return exam, err
	}
	return vigil.Exam{}, vigil.Errorf(vigil.CodeUnavailable, "Many people opened this at the same moment. Try again.")
}

// tie makes the link of a resource link that has none. The exam of a new link is made
// after it, so that nothing is left over by those who lose the race.
func (s *Server) tie(ctx context.Context, l lti.Launch) (vigil.Link, error) {
	link := vigil.Link{
		PlatformID: l.Platform.ID, DeploymentID: l.Deployment, ResourceLinkID: l.Resource.ID, Created: s.now(),
	}
	if id := l.Custom[customExam]; id != "" {
		exam, err := s.store.Exam(ctx, id)
		if errors.Is(err, vigil.ErrNotFound) {
			return link, vigil.Errorf(vigil.CodeNotFound, "The exam that this activity points at is gone. Add the activity again.")
		}
		if err != nil {
			return link, err
		}
		if err := exam.CanAlias(l.Platform.Issuer, l.Context.ID); err != nil {
			return link, err
		}
		link.ExamID = exam.ID
		return link, s.store.CreateLink(ctx, link)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return link, err
	}
	link.ExamID = id.String()
	return link, s.store.CreateLink(ctx, link)
}

func (s *Server) newExam(id, title string, l lti.Launch) vigil.Exam {
	return vigil.Exam{
		ID: id, Title: cmp.Or(tidy(title), "Exam"), Issuer: l.Platform.Issuer, ContextID: l.Context.ID,
		Course: tidy(cmp.Or(l.Context.Title, l.Context.Label)), Policy: vigil.DefaultPolicy(), Created: s.now(), Version: 1,
	}
}

// refresh takes over what the quiz says now: its policy, its title and where to ask who may see and
// do what, from a proctoring launch or one of our plugin's (a Vigil activity's own title is another one). A quiz that stopped to send a
// policy leaves the last one, which can be changed here from then on.
func (s *Server) refresh(ctx context.Context, exam vigil.Exam, l lti.Launch, settings vigil.Settings) (vigil.Exam, error) {
	if l.Message != lti.MessageStartProctoring && settings.Plugin == 0 {
		return exam, nil
	}
	next := exam
	next.Managed = settings.Policy != nil
	if next.Managed {
		next.Policy = *settings.Policy
	}
	next.Title = cmp.Or(tidy(l.Resource.Title), exam.Title)
	next.Access = sourceOf(exam, l, settings)
	if next.Title == exam.Title && next.Access == exam.Access && next.Managed == exam.Managed && samePolicy(next.Policy, exam.Policy) {
		return exam, nil
	}
	if err := s.store.UpdateExam(ctx, next); err != nil {
		return vigil.Exam{}, err
	}
	next.Version++
	s.hub.ExamChanged(ctx, next)
	return next, nil
}

// sessionOf finds the session of the launched attempt, or makes it: of many launches at
// once exactly one creates it and the others find it.
func (s *Server) sessionOf(ctx context.Context, exam vigil.Exam, l lti.Launch, settings vigil.Settings) (vigil.Session, error) {
	for range 5 {
		fresh, err := s.newSession(exam, l, settings)
		if err != nil {
			return vigil.Session{}, err
		}
		old, err := s.store.SessionOfAttempt(ctx, exam.ID, l.Subject, l.Proctoring.Attempt)
		switch {
		case errors.Is(err, vigil.ErrNotFound):
		case err != nil:
			return vigil.Session{}, err
		default:
			old = old.Settled(exam.Policy, s.now())
			begun := settings.Started
			if begun.IsZero() && settings.Plugin >= 2 { // it has yet to begin
				begun = s.now()
			}
			switch old.Relaunch(begun) {
			case vigil.RelaunchRefused:
				return vigil.Session{}, vigil.Errorf(vigil.CodeForbidden,
					"A proctor ended this attempt. It can go on only after an instructor has reactivated it: ask your teacher.")
			case vigil.RelaunchResume:
				return s.resume(ctx, old, fresh)
			}
			if !old.State.Ended() { // the platform's report of it is on its way, and says when
				if old, err = s.sessions.Deleted(ctx, old.ID, vigil.Actor{Role: vigil.RoleLMS, ID: l.Platform.ID}, s.now()); err != nil {
					return vigil.Session{}, err
				}
			}
			fresh = old.NextGeneration(fresh)
		}
		err = s.store.CreateSession(ctx, fresh)
		if errors.Is(err, vigil.ErrExists) {
			continue
		}
		if err != nil {
			return vigil.Session{}, err
		}
		s.hub.SessionCreated(ctx, fresh)
		return fresh, nil
	}
	return vigil.Session{}, vigil.Errorf(vigil.CodeUnavailable, "This attempt was opened many times at the same moment. Try again.")
}

func (s *Server) newSession(exam vigil.Exam, l lti.Launch, settings vigil.Settings) (vigil.Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return vigil.Session{}, err
	}
	now := s.now()
	session := vigil.Session{
		ID: id.String(), ExamID: exam.ID, UserID: l.Subject, Name: nameOf(l), Attempt: l.Proctoring.Attempt, Generation: 1,
		PlatformID: l.Platform.ID, DeploymentID: l.Deployment, ResourceLinkID: l.Resource.ID, Plugin: settings.Plugin > 0,
		Locale: l.Locale, ControlURL: l.Proctoring.ControlURL, ControlActions: l.Proctoring.Actions, ReturnURL: l.ReturnURL,
		State: vigil.StateCreated, Version: 1, Created: now, Changed: now,
		By:       vigil.Actor{Role: vigil.RoleStudent, ID: l.Platform.ID + "|" + l.Subject},
		Presence: vigil.Presence{Connection: vigil.ConnNever, Since: now},
	}
	if settings.Access != nil {
		session.Groups, session.GroupsVersion = settings.Access.Groups, settings.Access.Version
	}
	session.DueAt = session.NextDue(exam.Policy)
	return session, nil
}

// resume takes over what a further launch of the same attempt says: the platform may have
// been registered anew, or may offer other actions.
func (s *Server) resume(ctx context.Context, old, fresh vigil.Session) (vigil.Session, error) {
	return s.sessions.Relaunched(ctx, old.ID, func(old vigil.Session) (vigil.Session, bool) {
		next := old
		next.Name = cmp.Or(fresh.Name, old.Name)
		next.PlatformID, next.DeploymentID, next.ResourceLinkID = fresh.PlatformID, fresh.DeploymentID, fresh.ResourceLinkID
		next.Plugin, next.Locale, next.ReturnURL = fresh.Plugin, fresh.Locale, fresh.ReturnURL
		next.ControlURL, next.ControlActions = fresh.ControlURL, fresh.ControlActions
		return next, !sameLaunch(next, old)
	})
}

// audit records who did what. A store that fails does not undo what was done: it is
// logged.
func (s *Server) audit(ctx context.Context, examID, sessionID, action string, by vigil.Actor, detail string) {
	var sessions []string
	if sessionID != "" {
		sessions = []string{sessionID}
	}
	id, err := uuid.NewV7()
	if err == nil {
		err = s.store.AppendAudit(ctx, vigil.Audit{
			ID: id.String(), ExamID: examID, Sessions: sessions, Action: action, By: by, From: middleware.GetClientIP(ctx), Detail: detail, At: s.now(),
		})
	}
	if err != nil {
		s.log.ErrorContext(ctx, "audit entry not stored", "action", action, "exam", examID, "error", err)
	}
}

func actorOf(p pass) vigil.Actor {
	role := vigil.RoleStudent
	if p.Kind == passProctor {
		role = vigil.RoleProctor
	}
	return vigil.Actor{Role: role, ID: p.PlatformID + "|" + p.UserID, Name: p.Name}
}

// checkinTime is how long after the login a platform takes the return. Open edX forgets
// the launch after 300 s; our plugin keeps it for as long as Moodle keeps the visit.
func checkinTime(plugin bool) time.Duration {
	if plugin {
		return 30 * time.Minute
	}
	return 290 * time.Second
}
