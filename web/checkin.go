package web

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"vigil"
	"vigil/lti"
)

// student returns what a student's page is about: the visit's pass, the session as it
// counts now, and its exam.
func (s *Server) student(ctx context.Context, id string) (pass, vigil.Session, vigil.Exam, error) {
	p, err := s.need(ctx, passStudent, id)
	if err != nil {
		return pass{}, vigil.Session{}, vigil.Exam{}, err
	}
	session, err := s.store.Session(ctx, id)
	if err != nil {
		return pass{}, vigil.Session{}, vigil.Exam{}, err
	}
	exam, err := s.store.Exam(ctx, session.ExamID)
	if err != nil {
		return pass{}, vigil.Session{}, vigil.Exam{}, err
	}
	return p, session.Settled(exam.Policy, s.now()), exam, nil
}

// checkinPage says what is watched, asks for consent and checks the system. A student who
// was here before (another browser, a crash) passes it again, and is asked again only if the
// notice has changed since.
func (s *Server) checkinPage(w http.ResponseWriter, r *http.Request) {
	p, session, exam, err := s.student(r.Context(), chi.URLParam(r, "session"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	// Where the attempt is in another window, this one is its connection: it stays.
	stays := session.State.Started() && !session.Plugin
	s.showCheckin(w, r, p, session, exam, s.left(p, session) <= 0 && !stays)
}

func (s *Server) showCheckin(w http.ResponseWriter, r *http.Request, p pass, session vigil.Session, exam vigil.Exam, late bool) {
	lang := pickLang(p.Lang, r)
	s.allowFrame(w, p.Frame)
	if session.State.Ended() {
		title, stopped := catalogue[lang].text("end.title"), ""
		if session.State == vigil.StateStopped { // the attempt goes on
			title, stopped = catalogue[lang].text("end.stopped.title"), "yes"
		}
		s.show(w, r, http.StatusOK, "end.html", view{
			Title: title, Lang: lang, Page: "end",
			Data: map[string]string{"ErrorMsg": "", "ReturnURL": p.ReturnURL, "Stopped": stopped},
		})
		return
	}
	// The attempt opens in a window of its own, which does not get the cookie of a frame.
	ticket := ""
	if framed(r) && !session.Plugin {
		var err error
		if ticket, err = s.keepOpened(r.Context(), opened{Pass: p}, checkinTime(false)); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	n := s.noticeOf(session, exam.Policy)
	watch := exam.Policy.Watch
	if !session.Plugin { // nothing of ours is in the quiz page
		watch = nil
	}
	agreed := session.State != vigil.StateCreated && session.AgreedTo(n.Version())
	s.show(w, r, http.StatusOK, "checkin.html", view{
		Title: exam.Title, Lang: lang, Page: "checkin",
		Config: map[string]any{
			"lang": lang, "page": "checkin", "now": s.now().UnixMilli(), "session": session.ID, "state": session.State,
			"tokenEndpoint": "/api/v1/socket/page-token", "left": max(0, s.left(p, session).Milliseconds()), "courseURL": p.ReturnURL,
			"watch": watch, "fullscreen": exam.Policy.Fullscreen, "admission": exam.Policy.Admission, "plugin": session.Plugin,
			"agreed": agreed,
		},
		Data: map[string]any{
			"Exam": exam, "Session": session, "ReturnURL": p.ReturnURL, "Notice": n, "Agreed": agreed,
			"Changed": !agreed && session.State != vigil.StateCreated, "Awaiting": agreed && session.State == vigil.StateAwaiting, "Late": late, "NewWindow": !session.Plugin, "Ticket": ticket,
		},
	})
}

// checkinStart records the consent and sends the student back to the LMS with
// StartAssessment, or leaves them waiting where the exam wants admission first.
func (s *Server) checkinStart(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := chi.URLParam(r, "session")
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form cannot be read."))
		return
	}
	if err := s.useTicket(ctx, id, r.PostForm.Get("ticket")); err != nil {
		s.refuse(w, r, err)
		return
	}
	p, session, exam, err := s.student(ctx, id)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.allowFrame(w, p.Frame)
	late := s.left(p, session) <= 0 // the platform would refuse the return
	stays := session.State.Started() && !session.Plugin
	n := s.noticeOf(session, exam.Policy)
	by := actorOf(p)
	switch agreed := session.State != vigil.StateCreated && session.AgreedTo(n.Version()); {
	case late && (agreed || !stays):
		s.showCheckin(w, r, p, session, exam, true)
		return
	case agreed || session.State.Ended():
	case r.PostForm.Get("consent") != "yes" && session.State == vigil.StateCreated:
		s.refuse(w, r, vigil.Invalid("consent", "The exam can start only after you have agreed to what is watched. Go back and tick the box."))
		return
	case r.PostForm.Get("consent") != "yes" || r.PostForm.Get("notice") != n.Version(): // the notice has changed since the page was shown
		http.Redirect(w, r, "/checkin/"+session.ID, http.StatusSeeOther)
		return
	default:
		if session, err = s.agree(ctx, session, n, by, pickLang(p.Lang, r)); err != nil {
			s.refuse(w, r, err)
			return
		}
		if late { // the attempt is open in another window, and this one is its connection
			http.Redirect(w, r, "/checkin/"+session.ID, http.StatusSeeOther)
			return
		}
	}
	if session.State == vigil.StateReady && exam.Policy.Admission {
		if session, err = s.step(ctx, session, vigil.EventAwait, by); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	if session.State == vigil.StateAwaiting || session.State.Ended() {
		http.Redirect(w, r, "/checkin/"+session.ID, http.StatusSeeOther)
		return
	}
	post, err := s.tool.StartAssessment(ctx, lti.StartRequest{
		PlatformID: p.PlatformID, Deployment: p.Start.Deployment, ResourceLink: p.Start.ResourceLink, Attempt: p.Start.Attempt,
		SessionData: p.Start.SessionData, StartURL: p.Start.StartURL, EndReturn: exam.Policy.EndMessage,
	})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.beganHere(ctx, session.ID)
	// Without our plugin nobody will ever say that the attempt begins: it does now.
	if _, err = s.sessions.SentBack(ctx, session.ID, by); err != nil {
		s.refuse(w, r, err)
		return
	}
	s.tool.WritePost(w, r, post)
}

// useTicket lets a window without the frame's cookie in, by the ticket that the frame's
// form carries. A window that has the pass needs none.
func (s *Server) useTicket(ctx context.Context, session, ticket string) error {
	if _, has := s.pass(ctx, passKey(passStudent, session)); has || ticket == "" {
		return nil
	}
	o, err := s.takeOpened(ctx, ticket)
	if err != nil {
		return err
	}
	return s.admit(ctx, o.Pass)
}

// agree records the consent. One that another window of the student gave is as good.
func (s *Server) agree(ctx context.Context, session vigil.Session, n notice, by vigil.Actor, lang string) (vigil.Session, error) {
	next, err := s.sessions.Agreed(ctx, session.ID, vigil.Consent{Notice: n.Version(), At: s.now()}, by)
	if err != nil {
		return session, err
	}
	s.audit(ctx, session.ExamID, session.ID, "session.consent", by, n.summary(lang))
	return next, nil
}

// left is the time until the platform would refuse the return.
func (s *Server) left(p pass, session vigil.Session) time.Duration {
	return checkinTime(session.Plugin) - s.now().Sub(p.Start.Started)
}

// step takes one step of the session's life through the hub, so that dashboards hear it.
// A step that another window of the student took already is as good.
func (s *Server) step(ctx context.Context, session vigil.Session, event vigil.Event, by vigil.Actor) (vigil.Session, error) {
	next, err := s.sessions.Apply(ctx, session.ID, vigil.Change{Event: event, At: s.now(), By: by})
	if vigil.CodeOf(err) == vigil.CodeIllegal {
		now, readErr := s.store.Session(ctx, session.ID)
		if readErr == nil && now.State != session.State && !now.State.Ended() {
			return now, nil
		}
	}
	return next, err
}

// statusPage shows a student who opened the activity where their attempts stand.
func (s *Server) statusPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := chi.URLParam(r, "exam")
	p, err := s.need(ctx, passStatus, id)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	exam, err := s.store.Exam(ctx, id)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	list, err := s.store.SessionsOfUser(ctx, exam.Issuer, p.UserID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	var own []vigil.Session
	for _, session := range list {
		if session.ExamID == exam.ID {
			own = append(own, session.Settled(exam.Policy, s.now()))
		}
	}
	lang := pickLang(p.Lang, r)
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "status.html", view{
		Title: exam.Title, Lang: lang, Page: "status",
		Config: map[string]any{"lang": lang, "page": "status", "now": s.now().UnixMilli()},
		Data:   map[string]any{"Exam": exam, "Sessions": own, "ReturnURL": p.ReturnURL},
	})
}
