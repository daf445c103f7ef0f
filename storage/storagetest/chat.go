package storagetest

import (
	"time"

	"vigil"
	"vigil/storage"
)

var chat = []behaviour{
	{"every field of a chat line comes back", func(s *suite) {
		v := s.session(s.exam())
		l := fill[vigil.ChatLine](s)
		l.SessionID, l.ExamID = v.ID, v.ExamID
		s.ok(s.AddChat(s.Context(), l))
		same(s, "lines", pages(s, 10, func(p storage.Page) ([]vigil.ChatLine, string, error) {
			return s.ChatOfSession(s.Context(), v.ID, p)
		}), []vigil.ChatLine{l})
	}},
	{"lines are listed oldest first", func(s *suite) {
		e := s.exam()
		v, other := s.session(e), s.session(e)
		var want []vigil.ChatLine
		for i := range 5 {
			l := s.line(v, vigil.RoleProctor, s.now.Add(time.Duration(i)*time.Millisecond))
			s.ok(s.AddChat(s.Context(), l))
			s.ok(s.AddChat(s.Context(), s.line(other, vigil.RoleProctor, s.now)))
			want = append(want, l)
		}
		paging(s, "lines", want, func(p storage.Page) ([]vigil.ChatLine, string, error) { return s.ChatOfSession(s.Context(), v.ID, p) })
	}},
	{"a student's lines are unread until they are read", func(s *suite) {
		v := s.session(s.exam())
		first := s.line(v, vigil.RoleStudent, s.now)
		for _, l := range []vigil.ChatLine{first, s.line(v, vigil.RoleProctor, s.now), s.line(v, vigil.RoleStudent, s.now)} {
			s.ok(s.AddChat(s.Context(), l))
		}
		s.code("again", s.AddChat(s.Context(), first), vigil.CodeExists)
		if got := s.read(v.ID).Tally.Unread; got != 2 {
			s.Errorf("got %d unread, want 2", got)
		}
		s.ok(s.ReadChat(s.Context(), v.ID))
		if got := s.read(v.ID).Tally.Unread; got != 0 {
			s.Errorf("got %d unread, want 0", got)
		}
		s.code("unknown", s.ReadChat(s.Context(), "nobody"), vigil.CodeNotFound)
	}},
	{"of one line sent by many at once one is stored and counted", func(s *suite) {
		v := s.session(s.exam())
		l := s.line(v, vigil.RoleStudent, s.now)
		s.oneWins(race(50, func(int) error { return s.AddChat(s.Context(), l) }), vigil.CodeExists)
		if got := s.read(v.ID).Tally.Unread; got != 1 {
			s.Errorf("got %d unread, want 1", got)
		}
	}},
	{"a line needs its time", func(s *suite) {
		v := s.session(s.exam())
		s.code("zero time", s.AddChat(s.Context(), s.line(v, vigil.RoleStudent, time.Time{})), vigil.CodeInvalid)
	}},
}

var audits = []behaviour{
	{"entries of an exam are listed newest first", func(s *suite) {
		e, other := s.exam(), s.exam()
		var want []vigil.Audit
		for i := range 6 {
			a := fill[vigil.Audit](s)
			a.ID, a.ExamID, a.At = id(), e.ID, s.now.Add(time.Duration(i/2)*time.Second)
			s.ok(s.AppendAudit(s.Context(), a))
			want = append([]vigil.Audit{a}, want...)
			a.ID, a.ExamID = id(), other.ID
			s.ok(s.AppendAudit(s.Context(), a))
			a.ID, a.ExamID = id(), ""
			s.ok(s.AppendAudit(s.Context(), a))
		}
		paging(s, "entries", want, func(p storage.Page) ([]vigil.Audit, string, error) { return s.AuditOfExam(s.Context(), e.ID, p) })
		s.code("no time", s.AppendAudit(s.Context(), vigil.Audit{ID: id(), ExamID: e.ID}), vigil.CodeInvalid)
	}},
}
