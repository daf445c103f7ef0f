package storagetest

import (
	"fmt"
	"time"

	"vigil"
	"vigil/storage"
)

// filledExam has every field set; its retention is long enough to be read back.
func filledExam(s *suite) vigil.Exam {
	e := fill[vigil.Exam](s)
	e.Policy.Retention = vigil.Retention{Signals: 11, Chat: 12, Sessions: 13, Audit: 14}
	return e
}

var exams = []behaviour{
	{"every field of an exam comes back", func(s *suite) {
		e := filledExam(s)
		s.ok(s.CreateExam(s.Context(), e))
		same(s, "exam", must[vigil.Exam](s)(s.Exam(s.Context(), e.ID)), e)
		s.code("again", s.CreateExam(s.Context(), e), vigil.CodeExists)
		_, err := s.Exam(s.Context(), "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
	}},
	{"an update writes every field, conditional on the version", func(s *suite) {
		e := s.exam()
		next := filledExam(s)
		next.ID, next.Version = e.ID, e.Version
		s.ok(s.UpdateExam(s.Context(), next))
		next.Version++
		same(s, "exam", must[vigil.Exam](s)(s.Exam(s.Context(), e.ID)), next)
		s.oneWins(race(20, func(int) error { return s.UpdateExam(s.Context(), next) }), vigil.CodeConflict)
		s.code("unknown", s.UpdateExam(s.Context(), vigil.Exam{ID: "nobody"}), vigil.CodeNotFound)
	}},
	{"a course's exams are listed newest first", func(s *suite) {
		var want []vigil.Exam
		for i := range 5 {
			e := s.exam(func(e *vigil.Exam) { e.Created = s.now.Add(time.Duration(i) * time.Second) })
			want = append([]vigil.Exam{e}, want...)
		}
		s.exam(func(e *vigil.Exam) { e.ContextID = "course-2" })
		s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		paging(s, "exams", want, func(p storage.Page) ([]vigil.Exam, string, error) {
			return s.ExamsOfContext(s.Context(), want[0].Issuer, "course-1", p)
		})
	}},
	{"a resource link is tied once", func(s *suite) {
		p, e := s.platform(), s.exam()
		l := fill[vigil.Link](s)
		l.PlatformID, l.ExamID = p.ID, e.ID
		s.oneWins(race(50, func(int) error { return s.CreateLink(s.Context(), l) }), vigil.CodeExists)
		same(s, "link", must[vigil.Link](s)(s.Link(s.Context(), l.PlatformID, l.DeploymentID, l.ResourceLinkID)), l)
		_, err := s.Link(s.Context(), l.PlatformID, l.DeploymentID, "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
		l.DeploymentID = "another"
		s.ok(s.CreateLink(s.Context(), l))
	}},
	{"a link may come before its exam, and not before its platform", func(s *suite) {
		p := s.platform()
		l := vigil.Link{PlatformID: p.ID, DeploymentID: "1", ResourceLinkID: "r", ExamID: id(), Created: s.now}
		s.ok(s.CreateLink(s.Context(), l))
		l.PlatformID = "nobody"
		s.code("of no platform", s.CreateLink(s.Context(), l), vigil.CodeNotFound)
	}},
	{"links move to another platform, which keeps its own", func(s *suite) {
		from, to, e, own := s.platform(), s.platform(), s.exam(), s.exam()
		for i := range 4 {
			s.ok(s.CreateLink(s.Context(), vigil.Link{PlatformID: from.ID, DeploymentID: "1", ResourceLinkID: fmt.Sprint(i), ExamID: e.ID, Created: s.now}))
		}
		s.ok(s.CreateLink(s.Context(), vigil.Link{PlatformID: to.ID, DeploymentID: "1", ResourceLinkID: "0", ExamID: own.ID, Created: s.now}))
		if got := must[int](s)(s.MoveLinks(s.Context(), from.ID, to.ID)); got != 3 {
			s.Errorf("got %d links moved, want 3", got)
		}
		if got := must[vigil.Link](s)(s.Link(s.Context(), to.ID, "1", "0")); got.ExamID != own.ID {
			s.Error("got the other platform's own link replaced, want it kept")
		}
		if got := must[vigil.Link](s)(s.Link(s.Context(), to.ID, "1", "3")); got.ExamID != e.ID {
			s.Errorf("got exam %q, want %q", got.ExamID, e.ID)
		}
		_, err := s.Link(s.Context(), from.ID, "1", "3")
		s.code("the old place", err, vigil.CodeNotFound)
		if got := must[int](s)(s.MoveLinks(s.Context(), "nobody", to.ID)); got != 0 {
			s.Errorf("got %d links moved from no platform, want 0", got)
		}
	}},
	{"links that move take the only deployment of the other platform", func(s *suite) {
		for _, row := range []struct {
			name     string
			from, to []string // deployments with links, deployments of the other platform
			want     string   // deployment of the first link afterwards
		}{
			{"one to one", []string{"4"}, []string{"5"}, "5"},
			{"the same id", []string{"4"}, []string{"4"}, "4"},
			{"none known yet", []string{"4"}, nil, "4"},
			{"one of several", []string{"4"}, []string{"4", "5"}, "4"},
			{"several to one", []string{"4", "6"}, []string{"5"}, "4"},
		} {
			from, to, e := s.platform(), s.platform(), s.exam()
			for _, d := range row.from {
				s.ok(s.CreateLink(s.Context(), vigil.Link{PlatformID: from.ID, DeploymentID: d, ResourceLinkID: "quiz-1", ExamID: e.ID, Created: s.now}))
			}
			for _, d := range row.to {
				s.ok(s.SaveDeployment(s.Context(), vigil.Deployment{PlatformID: to.ID, ID: d, State: vigil.DeploymentActive, Created: s.now}))
			}
			if got := must[int](s)(s.MoveLinks(s.Context(), from.ID, to.ID)); got != len(row.from) {
				s.Errorf("%s: got %d links moved, want %d", row.name, got, len(row.from))
			}
			if got, err := s.Link(s.Context(), to.ID, row.want, "quiz-1"); err != nil || got.ExamID != e.ID {
				s.Errorf("%s: got exam %q, %v at deployment %s, want %q", row.name, got.ExamID, err, row.want, e.ID)
			}
		}
	}},
}
