package web

import (
	"crypto/rand"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
)

// deepLinkStart shows an instructor the course's exams to pick from.
func (s *Server) deepLinkStart(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	if l.Role != lti.RoleProctor {
		return vigil.Errorf(vigil.CodeForbidden, "Only those who teach a course can add activities to it.")
	}
	p := s.passOf(l, passLink, rand.Text()) // one for each request: several may be open in one browser
	p.Link = &linkPass{
		Deployment: l.Deployment, Issuer: l.Platform.Issuer, ContextID: l.Context.ID,
		Course: tidy(firstOf(l.Context.Title, l.Context.Label)), ReturnURL: l.DeepLinking.ReturnURL, Data: l.DeepLinking.Data,
	}
	if err := s.admit(r.Context(), p); err != nil {
		return err
	}
	return s.goOn(w, r, p, "/lti/deeplink/"+p.ID)
}

func (s *Server) deepLinkPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, err := s.need(ctx, passLink, chi.URLParam(r, "request"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.allowFrame(w, p.Frame)
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
		Data: map[string]any{"Exams": exams, "Course": p.Link.Course, "Path": "/lti/deeplink/" + p.ID},
	})
}

// deepLink answers the LMS with what was chosen: an exam of this course, a new one, or
// nothing.
func (s *Server) deepLink(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, err := s.need(ctx, passLink, chi.URLParam(r, "request"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.allowFrame(w, p.Frame)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, vigil.Wrap(err, vigil.CodeInvalid, "The form cannot be read."))
		return
	}
	answer := lti.DeepLinkAnswer{PlatformID: p.PlatformID, Deployment: p.Link.Deployment, ReturnURL: p.Link.ReturnURL, Data: p.Link.Data}
	if choice := r.PostForm.Get("exam"); choice != "" {
		item, err := s.chosen(r, p, choice)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		answer.Items = []lti.Item{item}
	}
	post, err := s.tool.DeepLink(ctx, answer)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.visits.Remove(ctx, passKey(passLink, p.ID))
	s.tool.WritePost(w, r, post)
}

// chosen makes the link to the exam that was picked, or to a new one. Where the platform
// does not say which course it is, no exam can be pointed at (vigil.Exam.CanAlias): the
// new activity gets its exam at its first launch.
func (s *Server) chosen(r *http.Request, p pass, choice string) (lti.Item, error) {
	ctx := r.Context()
	if choice != "new" {
		exam, err := s.store.Exam(ctx, choice)
		if err == nil {
			err = exam.CanAlias(p.Link.Issuer, p.Link.ContextID)
		}
		return itemOf(exam), err
	}
	title, err := vigil.CleanText("title", r.PostForm.Get("title"), maxTitle)
	if err != nil {
		return lti.Item{}, err
	}
	title = tidy(title)
	if p.Link.ContextID == "" {
		return lti.Item{Title: title}, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return lti.Item{}, err
	}
	exam := s.newExam(id.String(), title, lti.Launch{
		Platform: vigil.Platform{Issuer: p.Link.Issuer},
		Context:  lti.Context{ID: p.Link.ContextID, Title: p.Link.Course},
	})
	return itemOf(exam), s.store.CreateExam(ctx, exam)
}

func itemOf(exam vigil.Exam) lti.Item {
	return lti.Item{Title: exam.Title, Custom: map[string]string{customExam: exam.ID}}
}
