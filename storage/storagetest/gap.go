package storagetest

import (
	"time"

	"vigil"
	"vigil/storage"
)

// gap stores one that began some minutes after the start.
func (s *suite) gap(v vigil.Session, minutes int, edits ...func(g *vigil.Gap)) vigil.Gap {
	s.Helper()
	g := vigil.Gap{
		ID: id(), SessionID: v.ID, ExamID: v.ExamID, Start: s.now.Add(time.Duration(minutes) * time.Minute),
		Cause: vigil.CauseStudent, Version: 1,
	}
	for _, edit := range edits {
		edit(&g)
	}
	s.ok(s.CreateGap(s.Context(), g))
	return g
}

func closed(g *vigil.Gap) { g.End = g.Start.Add(time.Minute) }

var gaps = []behaviour{
	{"every field of a gap comes back", func(s *suite) {
		v := s.session(s.exam())
		g := fill[vigil.Gap](s)
		g.SessionID, g.ExamID = v.ID, v.ExamID
		s.ok(s.CreateGap(s.Context(), g))
		same(s, "gaps", must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), v.ID)), []vigil.Gap{g})
		s.code("again", s.CreateGap(s.Context(), g), vigil.CodeExists)
	}},
	{"an update writes every field, conditional on the version", func(s *suite) {
		v := s.session(s.exam())
		g := s.gap(v, 0)
		next := fill[vigil.Gap](s)
		next.ID, next.SessionID, next.ExamID, next.Version = g.ID, v.ID, v.ExamID, g.Version
		s.oneWins(race(20, func(int) error { return s.UpdateGap(s.Context(), next) }), vigil.CodeConflict)
		next.Version++
		same(s, "gaps", must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), v.ID)), []vigil.Gap{next})
		next.ID = "nobody"
		s.code("unknown", s.UpdateGap(s.Context(), next), vigil.CodeNotFound)
	}},
	{"a session's gaps are listed by their start", func(s *suite) {
		e := s.exam()
		v := s.session(e)
		c, a, b := s.gap(v, 3, closed), s.gap(v, 1, closed), s.gap(v, 2, closed)
		s.gap(s.session(e), 0)
		same(s, "gaps", must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), v.ID)), []vigil.Gap{a, b, c})
		if got := must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), "nobody")); len(got) != 0 {
			s.Errorf("got %d gaps of no session, want 0", len(got))
		}
	}},
	{"an exam's gaps are listed in pages", func(s *suite) {
		e, other := s.exam(), s.exam()
		a, b, c := s.session(e), s.session(e), s.session(other)
		want := []vigil.Gap{s.gap(a, 1), s.gap(b, 1), s.gap(a, 2), s.gap(b, 3), s.gap(a, 4)}
		s.gap(c, 1)
		paging(s, "gaps", want, func(p storage.Page) ([]vigil.Gap, string, error) { return s.GapsOfExam(s.Context(), e.ID, p) })
	}},
	{"one gap id may belong to two sessions", func(s *suite) {
		e := s.exam()
		g := s.gap(s.session(e), 1)
		g.SessionID = s.session(e).ID
		s.ok(s.CreateGap(s.Context(), g))
	}},
}
