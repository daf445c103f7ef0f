package web

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"vigil"
)

// proctor returns what a proctor's page is about.
func (s *Server) proctor(r *http.Request) (pass, vigil.Exam, error) {
	id := chi.URLParam(r, "exam")
	p, err := s.need(r.Context(), passProctor, id)
	if err != nil {
		return pass{}, vigil.Exam{}, err
	}
	exam, err := s.store.Exam(r.Context(), id)
	return p, exam, err
}

// sessionOfExam returns a session that belongs to the exam; one of another exam does not
// exist for this proctor.
func (s *Server) sessionOfExam(ctx context.Context, exam vigil.Exam, id string) (vigil.Session, error) {
	session, err := s.store.Session(ctx, id)
	if err == nil && session.ExamID != exam.ID {
		err = vigil.Errorf(vigil.CodeNotFound, "There is no such attempt at this exam.")
	}
	return session.Settled(exam.Policy, s.now()), err
}

func (s *Server) dashboardPage(w http.ResponseWriter, r *http.Request) {
	p, exam, err := s.proctor(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	lang := pickLang(p.Lang, r)
	base := "/dashboard/" + exam.ID
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "dashboard.html", view{
		Title: exam.Title, Lang: lang, Page: "dashboard", Wide: true,
		Config: map[string]any{
			"lang": lang, "page": "dashboard", "now": s.now().UnixMilli(),
			"exam":          map[string]any{"id": exam.ID, "title": exam.Title, "course": exam.Course, "managed": exam.Managed},
			"you":           map[string]string{"name": p.Name},
			"tokenEndpoint": "/api/v1/socket/page-token",
			"api":           "/api/v1/exams/" + exam.ID,
			"links":         map[string]string{"report": base + "/report", "settings": base + "/settings"},
			"framed":        framed(r),
			"members":       p.MembersURL != "",
		},
		Data: map[string]any{"Exam": exam},
	})
}

// settingsPage shows the exam's policy, to be changed where the LMS does not set it.
func (s *Server) settingsPage(w http.ResponseWriter, r *http.Request) {
	p, exam, err := s.proctor(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.showSettings(w, r, http.StatusOK, p, exam, exam.Policy, nil)
}

func (s *Server) showSettings(w http.ResponseWriter, r *http.Request, status int, p pass, exam vigil.Exam, policy vigil.Policy, problem *vigil.Error) {
	lang := pickLang(p.Lang, r)
	s.allowFrame(w, p.Frame)
	watches := make([]map[string]any, len(vigil.AllWatches))
	for i, watch := range vigil.AllWatches {
		watches[i] = map[string]any{"Name": watch, "On": policy.Watches(watch)}
	}
	s.show(w, r, status, "settings.html", view{
		Title: exam.Title, Lang: lang, Page: "settings",
		Config: map[string]any{"lang": lang, "page": "settings", "now": s.now().UnixMilli()},
		Data: map[string]any{
			"Exam": exam, "Policy": policy, "Watches": watches, "Problem": problem, "Saved": r.URL.Query().Has("saved"),
		},
	})
}

// settingsSave stores the form.
func (s *Server) settingsSave(w http.ResponseWriter, r *http.Request) {
	p, exam, err := s.proctor(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form cannot be read."))
		return
	}
	if exam.Managed { // what the form sends is not read: it is disabled
		s.refuse(w, r, errManaged)
		return
	}
	policy, err := policyOf(r)
	if err == nil {
		err = s.savePolicy(r.Context(), exam, policy, p)
	}
	if err != nil {
		if vigil.CodeOf(err) == vigil.CodeInvalid {
			problem, _ := err.(*vigil.Error) //nolint:errorlint // our own rules return it unwrapped
			s.showSettings(w, r, http.StatusBadRequest, p, exam, policy, problem)
			return
		}
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/dashboard/"+exam.ID+"/settings?saved", http.StatusSeeOther)
}

// policyOf reads the settings form. What cannot be read as a number is CodeInvalid with
// the field's name; the policy holds everything else that was read.
func policyOf(r *http.Request) (vigil.Policy, error) {
	f := r.PostForm
	p := vigil.DefaultPolicy()
	p.Admission, p.Pause, p.Fullscreen, p.EndMessage = f.Has("admission"), f.Has("pause"), f.Has("fullscreen"), f.Has("end_message")
	p.LinkLoss = vigil.LinkLoss(f.Get("link_loss"))
	p.Watch = nil
	for _, w := range f["watch"] {
		p.Watch = append(p.Watch, vigil.Watch(w))
	}
	var bad error
	whole := func(field string, into *int) {
		n, err := strconv.Atoi(f.Get(field))
		if err != nil && bad == nil {
			bad = vigil.Invalid(field, "This must be a whole number.")
		}
		*into = n
	}
	attention, err := strconv.ParseFloat(f.Get("attention"), 64)
	if err != nil {
		bad = vigil.Invalid("attention", "This must be a number between 0.1 and 1.")
	}
	p.Attention = attention
	whole("lost_time_cap", &p.LostTimeCap)
	whole("duration_minutes", &p.DurationMinutes)
	whole("retention.signals", &p.Retention.Signals)
	whole("retention.chat", &p.Retention.Chat)
	whole("retention.sessions", &p.Retention.Sessions)
	whole("retention.audit", &p.Retention.Audit)
	return p, bad
}

// errManaged answers an attempt to set here what the quiz sets at each launch.
var errManaged = vigil.Errorf(vigil.CodeIllegal, "These settings belong to the quiz: change them in the quiz's own settings, in your course.")

// savePolicy stores an exam's policy. One that a quiz manages is CodeIllegal.
func (s *Server) savePolicy(ctx context.Context, exam vigil.Exam, policy vigil.Policy, p pass) error {
	if exam.Managed {
		return errManaged
	}
	if err := policy.Validate(); err != nil {
		return err
	}
	if samePolicy(policy, exam.Policy) {
		return nil
	}
	exam.Policy = policy
	if err := s.store.UpdateExam(ctx, exam); err != nil {
		if vigil.CodeOf(err) == vigil.CodeConflict {
			return vigil.Wrap(err, vigil.CodeConflict, "Someone else changed these settings at the same moment. Look at them again.")
		}
		return err
	}
	exam.Version++
	s.hub.ExamChanged(ctx, exam)
	s.audit(ctx, exam.ID, "", "exam.policy", actorOf(p), "")
	return nil
}
