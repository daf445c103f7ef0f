package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"vigil"
)

// sessionFor returns the session that a request of an exam names; one of another exam, or of a student
// whom the person does not see, does not exist for them.
func (s *Server) sessionFor(r *http.Request, v staff) (vigil.Session, error) {
	none := vigil.Errorf(vigil.CodeNotFound, "There is no such attempt at this exam.")
	session, err := s.store.Session(r.Context(), chi.URLParam(r, "session"))
	switch {
	case errors.Is(err, vigil.ErrNotFound): // no answer tells whether there is such an attempt
		return vigil.Session{}, none
	case err != nil:
		return vigil.Session{}, err
	case session.ExamID != v.exam.ID || !v.access.Sees(session.Groups):
		return vigil.Session{}, none
	}
	return session.Settled(v.exam.Policy, s.now()), nil
}

func (s *Server) dashboardPage(w http.ResponseWriter, r *http.Request, v staff) {
	p, exam := v.pass, v.exam
	lang := pickLang(p.Lang, r)
	base := "/dashboard/" + exam.ID
	links := map[string]string{"report": base + "/report"}
	if v.rules() {
		links["settings"] = base + "/settings"
	}
	s.allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "dashboard.html", view{
		Title: exam.Title, Lang: lang, Page: "dashboard", Wide: true,
		Config: map[string]any{
			"lang": lang, "page": "dashboard", "now": s.now().UnixMilli(),
			"exam":          map[string]any{"id": exam.ID, "title": exam.Title, "course": exam.Course, "managed": exam.Managed},
			"you":           map[string]string{"name": p.Name},
			"tokenEndpoint": "/api/v1/socket/page-token",
			"api":           "/api/v1/exams/" + exam.ID,
			"links":         links,
			"rights":        v.rights(),
			"framed":        framed(r),
			"members":       s.listsMissing(r.Context(), v),
		},
		Data: map[string]any{"Exam": exam},
	})
}

// settingsPage shows the exam's policy, to be changed where the LMS does not set it.
func (s *Server) settingsPage(w http.ResponseWriter, r *http.Request, v staff) {
	s.showSettings(w, r, http.StatusOK, v.pass, v.exam, v.exam.Policy, nil)
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
func (s *Server) settingsSave(w http.ResponseWriter, r *http.Request, v staff) {
	p, exam := v.pass, v.exam
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
