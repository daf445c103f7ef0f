package web

import (
	"net/http"

	"vigil"
	"vigil/lti"
)

const deepLinkID = "deeplink"

// deepLinkStart shows an instructor the course's exams to pick from.
func (s *Server) deepLinkStart(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	if l.Role != lti.RoleProctor {
		return vigil.Errorf(vigil.CodeForbidden, "Only those who teach a course can add activities to it.")
	}
	p := s.passOf(l, passLink, deepLinkID)
	p.Link = &linkPass{
		Deployment: l.Deployment, Issuer: l.Platform.Issuer, ContextID: l.Context.ID,
		Course: firstOf(l.Context.Title, l.Context.Label), ReturnURL: l.DeepLinking.ReturnURL, Data: l.DeepLinking.Data,
	}
	if err := s.admit(r.Context(), p); err != nil {
		return err
	}
	http.Redirect(w, r, "/lti/deeplink", http.StatusSeeOther)
	return nil
}

func (s *Server) deepLinkPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, err := s.need(ctx, passLink, deepLinkID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	allowFrame(w, p.Frame)
	var exams []vigil.Exam
	if p.Link.ContextID != "" {
		exams, _, err = s.store.ExamsOfContext(ctx, p.Link.Issuer, p.Link.ContextID, vigil.Page{Limit: 200})
		if err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	lang := pickLang(p.Lang, r)
	s.show(w, r, http.StatusOK, "deeplink.html", view{
		Title: catalogue[lang].text("deeplink.title"), Lang: lang, Page: "deeplink",
		Data: map[string]any{"Exams": exams, "Course": p.Link.Course},
	})
}

// deepLink answers the LMS with what was chosen: an exam of this course, a new one, or
// nothing.
func (s *Server) deepLink(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, err := s.need(ctx, passLink, deepLinkID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	allowFrame(w, p.Frame)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form cannot be read."))
		return
	}
	answer := lti.DeepLinkAnswer{PlatformID: p.PlatformID, Deployment: p.Link.Deployment, ReturnURL: p.Link.ReturnURL, Data: p.Link.Data}
	if choice := r.PostForm.Get("exam"); choice != "" {
		exam, err := s.chosen(r, p, choice)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		answer.Items = []lti.Item{{Title: exam.Title, Custom: map[string]string{customExam: exam.ID}}}
	}
	post, err := s.tool.DeepLink(ctx, answer)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.visits.Remove(ctx, passKey(passLink, deepLinkID))
	s.tool.WritePost(w, r, post)
}

// chosen returns the exam that was picked, or makes the new one.
func (s *Server) chosen(r *http.Request, p pass, choice string) (vigil.Exam, error) {
	ctx := r.Context()
	if choice != "new" {
		exam, err := s.store.Exam(ctx, choice)
		if err != nil {
			return vigil.Exam{}, err
		}
		return exam, exam.CanAlias(p.Link.Issuer, p.Link.ContextID)
	}
	title, err := vigil.CleanText("title", r.PostForm.Get("title"), 200)
	if err != nil {
		return vigil.Exam{}, err
	}
	exam, err := s.newExam(title, lti.Launch{
		Platform: vigil.Platform{Issuer: p.Link.Issuer},
		Context:  lti.Context{ID: p.Link.ContextID, Title: p.Link.Course},
	})
	if err != nil {
		return vigil.Exam{}, err
	}
	return exam, s.store.CreateExam(ctx, exam)
}
