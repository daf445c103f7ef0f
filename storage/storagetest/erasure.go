package storagetest

import (
	"time"

	"vigil"
	"vigil/storage"
)

// erased is the whole list.
func (s *suite) erased() []vigil.Erasure {
	s.Helper()
	return pages(s, 2, func(p storage.Page) ([]vigil.Erasure, string, error) { return s.Erasures(s.Context(), p) })
}

// erasure is an entry that is not stored yet.
func (s *suite) erasure(at time.Time) vigil.Erasure {
	return storage.NewErasure("https://lms.example", "user-"+id(), "", 0, at)
}

var erasures = []behaviour{
	{"each erasure is listed with what it removes, and names nobody", func(s *suite) {
		e := s.exam()
		v := s.session(e, func(v *vigil.Session) { v.UserID = "me" })
		s.session(e, func(v *vigil.Session) { v.UserID, v.Attempt = "me", 2 })
		must[int](s)(s.EraseAttempt(s.Context(), e.Issuer, "me", e.ID, 1))
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, "me"))
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, "nobody here")) // but maybe in an older backup
		got := s.erased()
		if len(got) != 3 {
			s.Fatalf("got %d entries, want 3", len(got))
		}
		users := map[string]int{}
		for _, x := range got {
			s.ok(x.Validate())
			for _, user := range []string{"me", "nobody here"} {
				if x.Is(e.Issuer, user) {
					users[user]++
				}
			}
			if x.Is("https://another.example", "me") {
				s.Error("got an entry of another issuer's user")
			}
			if (x.ExamID != "") != (x.Attempt == 1) || x.ExamID != "" && !x.Covers(v) {
				s.Errorf("got entry of exam %q, attempt %d, want those of the attempt or neither", x.ExamID, x.Attempt)
			}
			if off := x.At.Sub(s.now); off < -time.Second || off > time.Minute {
				s.Errorf("got an entry of %v, want of now", x.At)
			}
		}
		if users["me"] != 2 || users["nobody here"] != 1 {
			s.Errorf("got entries %v, want two and one", users)
		}
	}},
	{"an entry that was made elsewhere is added once", func(s *suite) {
		a, b := s.erasure(s.now.Add(-time.Hour)), s.erasure(s.now.Add(-2*time.Hour))
		c := storage.NewErasure("https://lms.example", "u", "exam", 3, s.now)
		for range 2 {
			for _, e := range []vigil.Erasure{a, b, c} {
				s.ok(s.AddErasure(s.Context(), e))
			}
		}
		paging(s, "erasures", []vigil.Erasure{b, a, c}, func(p storage.Page) ([]vigil.Erasure, string, error) {
			return s.Erasures(s.Context(), p)
		})
		s.code("an empty entry", s.AddErasure(s.Context(), vigil.Erasure{}), vigil.CodeInvalid)
	}},
	{"entries are kept as long as backups may be", func(s *suite) {
		old, recent := s.erasure(s.now.Add(-vigil.KeepErasures-time.Hour)), s.erasure(s.now.Add(time.Hour-vigil.KeepErasures))
		s.ok(s.AddErasure(s.Context(), old))
		s.ok(s.AddErasure(s.Context(), recent))
		for range 2 {
			same(s, "erasures", s.erased(), []vigil.Erasure{recent})
			s.sweep(s.now, 1)
		}
	}},
}
