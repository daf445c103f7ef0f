package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
)

// customQuizzes is the custom parameter by which our plugin tells an instructor's quizzes
// in the course: a JSON array of resource link ids and titles. Moodle's own code builds
// it; teachers cannot edit the parameters of this message as they can those of an activity.
const customQuizzes = "vigil_quizzes"

// maxQuizzes bounds how many a platform may offer.
const maxQuizzes = 100

// quizChoice is a quiz whose exam may not have been made yet.
type quizChoice struct {
	ID    string `json:"id"` // of its resource link
	Title string `json:"title"`
}

// choiceQuiz begins the form's value of a quiz.
const choiceQuiz = "quiz:"

// readQuizzes reads the offered quizzes.
func readQuizzes(custom string) ([]quizChoice, error) {
	if custom == "" {
		return nil, nil
	}
	var list []quizChoice
	if err := json.Unmarshal([]byte(custom), &list); err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The learning platform's list of quizzes cannot be read.")
	}
	list = list[:min(len(list), maxQuizzes)]
	for i, q := range list {
		if q.ID == "" || len(q.ID) > 255 {
			return nil, vigil.Invalid(customQuizzes, "A quiz in the learning platform's list has no proper id.")
		}
		list[i].Title = cmp.Or(tidy(q.Title), "Exam")
	}
	return list, nil
}

// deepLinkStart shows an instructor the course's exams to pick from.
func (s *Server) deepLinkStart(w http.ResponseWriter, r *http.Request, l lti.Launch) error {
	if l.Role != lti.RoleProctor {
		return vigil.Errorf(vigil.CodeForbidden, "Only those who teach a course can add activities to it.")
	}
	quizzes, err := readQuizzes(l.Custom[customQuizzes])
	if err != nil {
		return err
	}
	p := s.passOf(l, passLink, rand.Text()) // one for each request: several may be open in one browser
	p.Link = &linkPass{
		Deployment: l.Deployment, Issuer: l.Platform.Issuer, ContextID: l.Context.ID,
		Course: tidy(cmp.Or(l.Context.Title, l.Context.Label)), ReturnURL: l.DeepLinking.ReturnURL, Data: l.DeepLinking.Data,
		Quizzes: quizzes,
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
	quizzes, err := s.unopened(ctx, p)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	lang := pickLang(p.Lang, r)
	s.show(w, r, http.StatusOK, "deeplink.html", view{
		Title: catalogue[lang].text("deeplink.title"), Lang: lang, Page: "deeplink",
		Data: map[string]any{"Exams": exams, "Quizzes": quizzes, "Course": p.Link.Course, "Path": "/lti/deeplink/" + p.ID},
	})
}

// unopened are the offered quizzes that have no exam yet; the others are in the list of
// exams.
func (s *Server) unopened(ctx context.Context, p pass) ([]quizChoice, error) {
	var out []quizChoice
	for _, q := range p.Link.Quizzes {
		link, err := s.store.Link(ctx, p.PlatformID, p.Link.Deployment, q.ID)
		if err == nil {
			_, err = s.store.Exam(ctx, link.ExamID)
		}
		switch {
		case errors.Is(err, vigil.ErrNotFound):
			out = append(out, q)
		case err != nil:
			return nil, err
		}
	}
	return out, nil
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
	if id, ok := strings.CutPrefix(choice, choiceQuiz); ok {
		i := slices.IndexFunc(p.Link.Quizzes, func(q quizChoice) bool { return q.ID == id })
		if i < 0 {
			return lti.Item{}, vigil.Errorf(vigil.CodeNotFound, "This quiz is not among those that the learning platform offered.")
		}
		// As if the quiz itself had been opened: the exam is the same, whoever comes first.
		exam, err := s.examOf(ctx, lti.Launch{
			Message:  lti.MessageResourceLink,
			Platform: vigil.Platform{ID: p.PlatformID, Issuer: p.Link.Issuer}, Deployment: p.Link.Deployment,
			Resource: lti.ResourceLink{ID: id, Title: p.Link.Quizzes[i].Title},
			Context:  lti.Context{ID: p.Link.ContextID, Title: p.Link.Course},
		}, vigil.Settings{})
		if err == nil {
			err = exam.CanAlias(p.Link.Issuer, p.Link.ContextID)
		}
		return itemOf(exam), err
	}
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
