package storagetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
	{"many entries are stored at once, and again without a change", func(s *suite) {
		e := s.exam()
		var head vigil.AuditHead
		var entries, newest []vigil.Audit
		for i := range 70 {
			a := vigil.Audit{ID: id(), ExamID: e.ID, Action: "step", By: vigil.Actor{Role: vigil.RoleStudent, ID: "p|1", Name: "N"}, At: s.now}.
				After("writer", head, []byte{byte(i)})
			head = a.Head()
			entries, newest = append(entries, a), append([]vigil.Audit{a}, newest...)
		}
		s.ok(s.AppendAudit(s.Context(), entries[:40]...))
		s.ok(s.AppendAudit(s.Context(), entries...))
		changed := entries[3]
		changed.Detail = "something else"
		s.ok(s.AppendAudit(s.Context(), changed))
		paging(s, "entries", newest, func(p storage.Page) ([]vigil.Audit, string, error) { return s.AuditOfExam(s.Context(), e.ID, p) })
		_, faults := vigil.VerifyAuditChain(pages(s, 10, func(p storage.Page) ([]vigil.Audit, string, error) {
			return s.AuditOfExam(s.Context(), e.ID, p)
		}), nil, time.Time{})
		if len(faults) != 0 {
			s.Errorf("got faults %v, want none", faults)
		}
	}},
	{"a checkpoint is replaced by a later one only", func(s *suite) {
		a, other := fill[vigil.AuditCheckpoint](s), fill[vigil.AuditCheckpoint](s)
		other.ExamID = a.ExamID
		elsewhere := fill[vigil.AuditCheckpoint](s)
		later := a
		later.Head.Seq, later.Head.Hash, later.Signature = a.Head.Seq+100, "later", "later"
		for _, c := range []vigil.AuditCheckpoint{a, other, elsewhere, later, a} {
			s.ok(s.PutAuditCheckpoint(s.Context(), c))
		}
		same := cmpopts.SortSlices(func(a, b vigil.AuditCheckpoint) bool { return a.Chain < b.Chain })
		if d := cmp.Diff([]vigil.AuditCheckpoint{later, other}, must[[]vigil.AuditCheckpoint](s)(s.AuditCheckpoints(s.Context(), a.ExamID)), same); d != "" {
			s.Errorf("checkpoints: got (+) is not what was wanted (-):\n%s", d)
		}
		if got := must[[]vigil.AuditCheckpoint](s)(s.AuditCheckpoints(s.Context(), "nothing")); len(got) != 0 {
			s.Errorf("got checkpoints %v of no exam, want none", got)
		}
	}},
}
