package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

// newAccess is a record that is not stored yet.
func (s *suite) newAccess(e vigil.Exam, user string, version int64) vigil.Access {
	return vigil.Access{
		ExamID: e.ID, UserID: user, Version: version, At: s.now, Groups: []vigil.Group{{ID: "12", Name: "Group A"}, {ID: "13", Name: "Group B", Hidden: true}},
		Rights: []vigil.Right{vigil.RightWatch, vigil.RightTalk},
	}
}

// access stores one.
func (s *suite) access(e vigil.Exam, user string, version int64, edits ...func(a *vigil.Access)) vigil.Access {
	s.Helper()
	a := s.newAccess(e, user, version)
	for _, edit := range edits {
		edit(&a)
	}
	s.ok(s.PutAccess(s.Context(), a))
	return a
}

// told makes a record that was told so long ago.
func (s *suite) told(ago time.Duration) func(a *vigil.Access) {
	return func(a *vigil.Access) { a.At = s.now.Add(-ago) }
}

func (s *suite) readAccess(e vigil.Exam, user string) vigil.Access {
	s.Helper()
	return must[vigil.Access](s)(s.Access(s.Context(), e.ID, user))
}

func (s *suite) accessOfExam(e vigil.Exam) []vigil.Access {
	s.Helper()
	return pages(s, 2, func(p storage.Page) ([]vigil.Access, string, error) { return s.AccessOfExam(s.Context(), e.ID, p) })
}

var accesses = []behaviour{
	{"every field of an access record comes back", func(s *suite) {
		e := s.exam()
		a := fill[vigil.Access](s)
		a.ExamID = e.ID
		s.ok(s.PutAccess(s.Context(), a))
		same(s, "record", s.readAccess(e, a.UserID), a)
		same(s, "of the exam", s.accessOfExam(e), []vigil.Access{a})
		same(s, "of the user", must[[]vigil.Access](s)(s.AccessOfUser(s.Context(), e.Issuer, a.UserID)), []vigil.Access{a})
		none := vigil.Access{ExamID: e.ID, UserID: "nothing", Version: 1, At: s.now} // everything is taken away
		s.ok(s.PutAccess(s.Context(), none))
		same(s, "one without rights", s.readAccess(e, "nothing"), none)
	}},
	{"an access record that is not there is not found", func(s *suite) {
		e := s.exam()
		s.access(e, "5", 1)
		_, err := s.Access(s.Context(), e.ID, "nobody")
		s.code("of nobody", err, vigil.CodeNotFound)
		_, err = s.Access(s.Context(), "no exam", "5")
		s.code("at no exam", err, vigil.CodeNotFound)
		_, err = s.Access(s.Context(), s.exam().ID, "5")
		s.code("at another exam", err, vigil.CodeNotFound)
		list, next, err := s.AccessOfExam(s.Context(), "no exam", storage.Page{})
		s.ok(err)
		if len(list) != 0 || next != "" {
			s.Errorf("got %d records of no exam and next %q, want none", len(list), next)
		}
		if list := must[[]vigil.Access](s)(s.AccessOfUser(s.Context(), e.Issuer, "nobody")); len(list) != 0 {
			s.Errorf("got %d records of nobody, want none", len(list))
		}
	}},
	{"an access record needs an exam that is there, a user, a version and a time", func(s *suite) {
		e := s.exam()
		for name, edit := range map[string]func(a *vigil.Access){
			"exam":    func(a *vigil.Access) { a.ExamID = "" },
			"user":    func(a *vigil.Access) { a.UserID = "" },
			"version": func(a *vigil.Access) { a.Version = 0 },
			"time":    func(a *vigil.Access) { a.At = time.Time{} },
		} {
			a := s.newAccess(e, "5", 1)
			edit(&a)
			s.code("without "+name, s.PutAccess(s.Context(), a), vigil.CodeInvalid)
		}
		a := s.newAccess(e, "5", 1)
		a.ExamID = "no exam"
		s.code("of no exam", s.PutAccess(s.Context(), a), vigil.CodeNotFound)
	}},
	{"of two access records of one person the higher version is kept, whichever comes first", func(s *suite) {
		e := s.exam()
		s.access(e, "5", 7)
		newer := s.access(e, "5", 8, func(a *vigil.Access) { a.All, a.Groups, a.Rights = true, nil, vigil.Rights })
		same(s, "the newer one", s.readAccess(e, "5"), newer)
		older := s.newAccess(e, "5", 7)
		older.At = s.now.Add(time.Hour)
		s.code("the older one again", s.PutAccess(s.Context(), older), vigil.CodeConflict)
		same(s, "the newer one", s.readAccess(e, "5"), newer)
		less := s.access(e, "5", 9, s.told(time.Hour), func(a *vigil.Access) { a.Rights = nil }) // by a clock behind
		same(s, "one that takes rights away", s.readAccess(e, "5"), less)
		same(s, "of the exam", s.accessOfExam(e), []vigil.Access{less})
	}},
	{"of an access record that is told again only the time is written, if it is later", func(s *suite) {
		e := s.exam()
		want := s.access(e, "5", 7, s.told(time.Hour))
		again := s.newAccess(e, "5", 7)
		again.All, again.Groups, again.Rights = true, nil, vigil.Rights // no version says so
		for _, at := range []time.Time{want.At, want.At.Add(-time.Minute)} {
			again.At = at
			s.ok(s.PutAccess(s.Context(), again))
			same(s, "told again not later", s.readAccess(e, "5"), want)
		}
		again.At, want.At = s.now, s.now
		s.ok(s.PutAccess(s.Context(), again))
		same(s, "told again later", s.readAccess(e, "5"), want)
	}},
	{"of many access records of one person at once the highest version is left", func(s *suite) {
		e := s.exam()
		for i, err := range race(50, func(i int) error {
			a := s.newAccess(e, "5", int64(i/2+1)) // each twice
			a.At = s.now.Add(time.Duration(i) * time.Millisecond)
			a.Groups = []vigil.Group{{ID: fmt.Sprint(i/2 + 1)}}
			return s.PutAccess(s.Context(), a)
		}) {
			if err != nil {
				s.code(fmt.Sprint("version ", i/2+1), err, vigil.CodeConflict)
			}
		}
		want := s.newAccess(e, "5", 25)
		want.At, want.Groups = s.now.Add(49*time.Millisecond), []vigil.Group{{ID: "25"}}
		same(s, "record", s.readAccess(e, "5"), want)
		same(s, "of the exam", s.accessOfExam(e), []vigil.Access{want})
	}},
	{"of one access record that is told many times at once the latest time is left", func(s *suite) {
		e := s.exam()
		for _, err := range race(30, func(i int) error {
			a := s.newAccess(e, "5", 3)
			a.At = s.now.Add(time.Duration(i) * time.Millisecond)
			return s.PutAccess(s.Context(), a)
		}) {
			s.ok(err)
		}
		if got, want := s.readAccess(e, "5").At, s.now.Add(29*time.Millisecond); !got.Equal(want) {
			s.Errorf("got told at %v, want %v", got, want)
		}
	}},
	{"an exam's access records are listed in pages", func(s *suite) {
		e, other := s.exam(), s.exam()
		var want []vigil.Access
		for i := range 7 {
			want = append(want, s.access(e, fmt.Sprint("user-", i), 1))
			s.access(other, fmt.Sprint("user-", i), 1)
		}
		want[3] = s.access(e, "user-3", 2) // which moves nothing
		paging(s, "records", want, func(p storage.Page) ([]vigil.Access, string, error) { return s.AccessOfExam(s.Context(), e.ID, p) })
	}},
	{"a user's access records are those of all exams of the issuer", func(s *suite) {
		here, again, there := s.exam(), s.exam(), s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		want := []vigil.Access{s.access(here, "5", 1), s.access(again, "5", 2)}
		s.access(there, "5", 3)
		s.access(here, "6", 4)
		got := must[[]vigil.Access](s)(s.AccessOfUser(s.Context(), here.Issuer, "5"))
		slices.SortFunc(got, func(a, b vigil.Access) int { return int(a.Version - b.Version) })
		same(s, "records", got, want)
	}},
	{"an access record has expired two days after it was told, before it is swept and after", func(s *suite) {
		e := s.exam()
		s.access(e, "old", 9, s.told(vigil.AccessKept+time.Minute))
		recent := s.access(e, "recent", 9, s.told(vigil.AccessKept-time.Hour))
		for range 2 {
			_, err := s.Access(s.Context(), e.ID, "old")
			s.code("the old one", err, vigil.CodeNotFound)
			if list := must[[]vigil.Access](s)(s.AccessOfUser(s.Context(), e.Issuer, "old")); len(list) != 0 {
				s.Errorf("got %d records of the user, want none", len(list))
			}
			same(s, "of the exam", s.accessOfExam(e), []vigil.Access{recent})
			same(s, "the recent one", s.readAccess(e, "recent"), recent)
			s.sweep(s.now, 1)
		}
	}},
	{"an access record that has expired is not in the way of one of any version", func(s *suite) {
		e := s.exam()
		for user, version := range map[string]int64{"lower": 8, "same": 9, "higher": 10} {
			s.access(e, user, 9, s.told(vigil.AccessKept+time.Minute), func(a *vigil.Access) { a.All = true })
			want := s.access(e, user, version)
			same(s, user, s.readAccess(e, user), want)
		}
	}},
	{"an access record that is told again lives on", func(s *suite) {
		e := s.exam()
		s.access(e, "5", 9, s.told(vigil.AccessKept-time.Minute))
		want := s.access(e, "5", 9)
		s.sweep(s.now.Add(time.Hour), 10)
		same(s, "record", s.readAccess(e, "5"), want)
	}},
	{"nothing of a user's access records is left after the erasure, and those of others stay", func(s *suite) {
		const user = "erased-teacher-7c11"
		raw := s.raw()
		e, second, elsewhere := s.exam(), s.exam(), s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		named := func(a *vigil.Access) { a.Groups = []vigil.Group{{ID: "4", Name: "Tutorial of " + user}} }
		s.access(e, user, 1, named)
		s.access(second, user, 1, named)
		s.access(second, user, 2, named)
		old := "expired-" + user
		s.access(e, old, 1, s.told(vigil.AccessKept+time.Minute))
		s.session(e, func(v *vigil.Session) { v.UserID = user }) // a teacher who tried the quiz
		other, there := s.access(e, "6", 1), s.access(elsewhere, "6", 1)
		if len(raw.Holds(s.T, user)) == 0 {
			s.Fatal("got the user nowhere before the erasure, want it to be found: the search does not work")
		}
		if got := must[int](s)(s.EraseUser(s.Context(), e.Issuer, user)); got != 1 {
			s.Errorf("got %d sessions erased, want 1", got)
		}
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, old))
		if where := raw.Holds(s.T, user); len(where) != 0 {
			s.Errorf("got the user in %v after the erasure, want it nowhere", where)
		}
		for _, exam := range []vigil.Exam{e, second} {
			_, err := s.Access(s.Context(), exam.ID, user)
			s.code("the record", err, vigil.CodeNotFound)
		}
		must[int](s)(s.EraseUser(s.Context(), "https://another.example", "6"))
		same(s, "of the exam", s.accessOfExam(e), []vigil.Access{other})
		_, err := s.Access(s.Context(), there.ExamID, "6")
		s.code("the other issuer's", err, vigil.CodeNotFound)
		s.access(e, user, 1) // told anew, it begins anew
		same(s, "records", len(s.accessOfExam(e)), 2)
	}},
	{"an access record is renewed where there is one, and none is made where it is gone", func(s *suite) {
		e := s.exam()
		s.access(e, "5", 7, s.told(time.Hour))
		want := s.newAccess(e, "5", 8)
		want.All, want.Groups, want.Rights = true, nil, vigil.Rights
		s.ok(s.RenewAccess(s.Context(), want))
		same(s, "of a higher version", s.readAccess(e, "5"), want)
		again := want
		again.At, again.All = s.now.Add(time.Minute), false
		s.ok(s.RenewAccess(s.Context(), again))
		want.At = again.At
		same(s, "of the same version", s.readAccess(e, "5"), want)
		older := s.newAccess(e, "5", 7)
		s.code("of a lower version", s.RenewAccess(s.Context(), older), vigil.CodeConflict)
		none := s.newAccess(e, "", 9)
		s.code("without user", s.RenewAccess(s.Context(), none), vigil.CodeInvalid)

		s.access(e, "old", 7, s.told(vigil.AccessKept+time.Minute))
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, "5")) // while the question was under way
		nowhere := s.newAccess(e, "5", 9)
		nowhere.ExamID = "no exam"
		for name, a := range map[string]vigil.Access{
			"of the erased user":                s.newAccess(e, "5", 9),
			"of the erased user, known version": want,
			"of the erased user, lower version": older,
			"of nobody":                         s.newAccess(e, "nobody", 9),
			"that has expired":                  s.newAccess(e, "old", 9),
			"that has expired, known version":   s.newAccess(e, "old", 7),
			"that has expired, lower version":   s.newAccess(e, "old", 6),
			"at no exam":                        nowhere,
		} {
			s.code(name, s.RenewAccess(s.Context(), a), vigil.CodeNotFound)
		}
		same(s, "records", len(s.accessOfExam(e)), 0)
	}},
	{"of an erasure and many renewals at once nothing is left", func(s *suite) {
		e := s.exam()
		s.access(e, "5", 1)
		for i, err := range race(20, func(i int) error {
			if i == 10 {
				_, err := s.EraseUser(s.Context(), e.Issuer, "5")
				return err
			}
			return s.RenewAccess(s.Context(), s.newAccess(e, "5", int64(i+2)))
		}) {
			if err != nil && (i == 10 || vigil.CodeOf(err) != vigil.CodeNotFound && vigil.CodeOf(err) != vigil.CodeConflict) {
				s.Errorf("call %d: got %v, want it done, not found or too old", i, err)
			}
		}
		same(s, "records", len(s.accessOfExam(e)), 0)
	}},
	{"a user's access records stay when an attempt of theirs is erased", func(s *suite) {
		e := s.exam()
		want := s.access(e, "5", 1)
		s.session(e, func(v *vigil.Session) { v.UserID = "5" })
		if got := must[int](s)(s.EraseAttempt(s.Context(), e.Issuer, "5", e.ID, 1)); got != 1 {
			s.Errorf("got %d sessions erased, want 1", got)
		}
		same(s, "record", s.readAccess(e, "5"), want)
	}},
	{"an access record of as much as may be told comes back", func(s *suite) {
		e := s.exam()
		a := s.newAccess(e, "5", 1)
		a.Groups = nil
		for i := range vigil.MaxGroups {
			a.Groups = append(a.Groups, vigil.Group{
				ID: fmt.Sprintf("%0*d", vigil.MaxGroupID, i), Name: strings.Repeat("n", vigil.MaxGroupNames/vigil.MaxGroups),
			})
		}
		s.ok(s.PutAccess(s.Context(), a))
		same(s, "record", s.readAccess(e, "5"), a)
		v := s.session(e, func(v *vigil.Session) { v.Groups, v.GroupsVersion = a.Groups, 1 })
		same(s, "session", s.read(v.ID), v)
	}},
}

var groups = []behaviour{
	{"a session's groups change without a new version of the session", func(s *suite) {
		e := s.exam()
		v := s.session(e, func(v *vigil.Session) { v.Groups, v.GroupsVersion = []vigil.Group{{ID: "1", Name: "A"}}, 4 })
		for _, groups := range [][]vigil.Group{{{ID: "2", Name: "B"}, {ID: "3"}}, nil, {{ID: "1", Name: "A"}}} {
			v.Groups, v.GroupsVersion = groups, v.GroupsVersion+1
			s.ok(s.SetGroups(s.Context(), v.ID, v.Groups, v.GroupsVersion))
			same(s, "by id", s.read(v.ID), v)
			same(s, "by attempt", must[vigil.Session](s)(s.SessionOfAttempt(s.Context(), e.ID, v.UserID, 1)), v)
			same(s, "of the exam", pages(s, 2, func(p storage.Page) ([]vigil.Session, string, error) { return s.SessionsOfExam(s.Context(), e.ID, p) }), []vigil.Session{v})
			same(s, "of the user", must[[]vigil.Session](s)(s.SessionsOfUser(s.Context(), e.Issuer, v.UserID)), []vigil.Session{v})
		}
		s.code("unknown", s.SetGroups(s.Context(), "nobody", nil, 1), vigil.CodeNotFound)
	}},
	{"groups of the same or a lower version change nothing", func(s *suite) {
		v := s.session(s.exam())
		s.code("of no version", s.SetGroups(s.Context(), v.ID, []vigil.Group{{ID: "9"}}, 0), vigil.CodeConflict)
		v.Groups, v.GroupsVersion = []vigil.Group{{ID: "1", Name: "A"}}, 7
		s.ok(s.SetGroups(s.Context(), v.ID, v.Groups, 7))
		for _, version := range []int64{7, 6, 0} {
			s.code(fmt.Sprint("version ", version), s.SetGroups(s.Context(), v.ID, []vigil.Group{{ID: "9"}}, version), vigil.CodeConflict)
		}
		same(s, "session", s.read(v.ID), v)
	}},
	{"of many changes of groups at once that of the highest version is left", func(s *suite) {
		v := s.session(s.exam())
		for i, err := range race(50, func(i int) error {
			return s.SetGroups(s.Context(), v.ID, []vigil.Group{{ID: fmt.Sprint(i + 1)}}, int64(i+1))
		}) {
			if err != nil {
				s.code(fmt.Sprint("version ", i+1), err, vigil.CodeConflict)
			}
		}
		v.Groups, v.GroupsVersion = []vigil.Group{{ID: "50"}}, 50
		same(s, "session", s.read(v.ID), v)
	}},
	{"groups and transitions do not disturb each other", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(time.Hour))
		next := v // read before the groups changed
		v.Groups, v.GroupsVersion = []vigil.Group{{ID: "1", Name: "A"}}, 3
		s.ok(s.SetGroups(s.Context(), v.ID, v.Groups, v.GroupsVersion))
		for _, t := range []vigil.Transition{{Session: next, From: next.Version}, s.step(next, 1, nil, []vigil.Gap{s.newGap(v, 1)})} {
			t.Session.Version, t.Session.Reason, t.From = v.Version+1, "changed", v.Version
			s.ok(s.Transition(s.Context(), t))
			v.Version, v.Reason, v.DueAt = t.Session.Version, t.Session.Reason, t.Session.DueAt
			same(s, "session", s.read(v.ID), v)
		}
		s.ok(s.SetPresence(s.Context(), v.ID, vigil.Presence{Connection: vigil.ConnOnline, Heard: s.now, Epoch: 3, Node: "n"}))
		got := must[[]vigil.Session](s)(s.LeaseDue(s.Context(), s.now.Add(2*time.Hour), s.now.Add(3*time.Hour), 1))
		if len(got) != 1 {
			s.Fatalf("got %d sessions due, want 1", len(got))
		}
		same(s, "groups of one that is due", got[0].Groups, v.Groups)
	}},
	{"an erased session takes its groups with it", func(s *suite) {
		raw, e := s.raw(), s.exam()
		v := s.session(e)
		s.ok(s.SetGroups(s.Context(), v.ID, []vigil.Group{{ID: "1", Name: "Group Only-One-5e1"}}, 1))
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, v.UserID))
		if where := raw.Holds(s.T, "Only-One-5e1"); len(where) != 0 {
			s.Errorf("got the group in %v, want it nowhere", where)
		}
	}},
}
