package storagetest

import (
	"time"

	"vigil"
	"vigil/storage"
)

const day = 24 * time.Hour

// keep makes an exam that keeps its data for so many days each.
func keep(signals, chat, sessions, audit int) func(e *vigil.Exam) {
	return func(e *vigil.Exam) {
		e.Policy.Retention = vigil.Retention{Signals: signals, Chat: chat, Sessions: sessions, Audit: audit}
	}
}

// before makes a session that was last heard of so long ago.
func (s *suite) before(d time.Duration) func(v *vigil.Session) {
	return func(v *vigil.Session) { v.Created, v.Changed = s.now.Add(-d), s.now.Add(-d) }
}

// sweep removes all that expired by a time and returns how much that was.
func (s *suite) sweep(now time.Time, n int) int {
	s.Helper()
	sum := 0
	for range 1000 {
		k, err := s.Sweep(s.Context(), now, n)
		s.ok(err)
		if k > n {
			s.Fatalf("got %d removed in one call, want at most %d", k, n)
		}
		sum += k
		if k == 0 {
			return sum
		}
	}
	s.Fatal("sweeping has no end")
	return 0
}

var retention = []behaviour{
	{"signals are gone after their days, before they are swept and after", func(s *suite) {
		v := s.session(s.exam(keep(2, 90, 400, 400)), s.before(5*day))
		came := func(ago time.Duration) func(g *vigil.Signal) {
			return func(g *vigil.Signal) { g.Received = s.now.Add(-ago) }
		}
		old := s.signal(v, 1, came(3*day), serious(0.6, vigil.KindHidden))
		recent := s.signal(v, 2, came(day))
		s.append(old, recent)
		s.append(s.signal(v, 3, came(2*day+time.Minute)))
		same(s, "before sweeping", s.signalsOf(v), []vigil.Signal{recent})
		s.sweep(s.now, 1)
		same(s, "after sweeping", s.signalsOf(v), []vigil.Signal{recent})
		must[vigil.Incident](s)(s.Incident(s.Context(), v.ID, old.ID())) // stays as long as its session
		if got := s.read(v.ID).Tally.Signals; got != 3 {
			s.Errorf("got a tally of %d, want 3: it counts what came", got)
		}
		if got := s.sweep(s.now, 10); got != 0 {
			s.Errorf("got %d removed by a second sweep, want 0", got)
		}
	}},
	{"chat is gone after its days", func(s *suite) {
		v := s.session(s.exam(keep(90, 2, 400, 400)), s.before(5*day))
		recent := s.line(v, vigil.RoleStudent, s.now.Add(-day))
		s.ok(s.AddChat(s.Context(), s.line(v, vigil.RoleStudent, s.now.Add(-3*day))))
		s.ok(s.AddChat(s.Context(), recent))
		for range 2 {
			same(s, "lines", pages(s, 10, func(p storage.Page) ([]vigil.ChatLine, string, error) {
				return s.ChatOfSession(s.Context(), v.ID, p)
			}), []vigil.ChatLine{recent})
			s.sweep(s.now, 10)
		}
	}},
	{"a session is gone after its days, with all that is its own", func(s *suite) {
		e := s.exam(keep(90, 90, 2, 400))
		old, recent := s.session(e, s.before(3*day), func(v *vigil.Session) { v.UserID = "old" }), s.session(e, s.before(day))
		for _, v := range []vigil.Session{old, recent} {
			s.append(s.signal(v, 1, serious(0.6, vigil.KindHidden)))
			s.gap(v, 0)
			s.store(v, s.command(v, vigil.CommandNote))
			s.ok(s.AddChat(s.Context(), s.line(v, vigil.RoleProctor, s.now)))
		}
		for range 2 {
			_, err := s.Session(s.Context(), old.ID)
			s.code("session", err, vigil.CodeNotFound)
			_, err = s.SessionOfAttempt(s.Context(), e.ID, "old", 1)
			s.code("session of attempt", err, vigil.CodeNotFound)
			s.read(recent.ID)
			s.only(e, recent)
			s.sweep(s.now, 1)
		}
	}},
	{"a session that is heard of lives on", func(s *suite) {
		e := s.exam(keep(90, 90, 2, 400))
		changed := s.session(e, func(v *vigil.Session) { v.Created, v.Changed = s.now.Add(-3*day), s.now })
		heard := s.session(e, s.before(3*day), func(v *vigil.Session) { v.Presence.Heard = s.now })
		s.sweep(s.now, 10)
		s.read(changed.ID)
		s.read(heard.ID)
	}},
	{"an expired session is not in the way of a new one", func(s *suite) {
		e := s.exam(keep(90, 90, 2, 400))
		old := s.session(e, s.before(3*day))
		fresh := s.session(e, func(v *vigil.Session) { v.UserID = old.UserID })
		same(s, "session", must[vigil.Session](s)(s.SessionOfAttempt(s.Context(), e.ID, old.UserID, 1)), fresh)
	}},
	{"audit entries are gone after their days, those of no exam after the default's", func(s *suite) {
		e := s.exam(keep(90, 90, 400, 2))
		recent := vigil.Audit{ID: id(), ExamID: e.ID, At: s.now.Add(-day)}
		s.ok(s.AppendAudit(s.Context(), vigil.Audit{ID: id(), ExamID: e.ID, At: s.now.Add(-3 * day)}))
		s.ok(s.AppendAudit(s.Context(), recent))
		s.ok(s.AppendAudit(s.Context(), vigil.Audit{ID: id(), At: s.now.Add(-401 * day)}))
		s.ok(s.AppendAudit(s.Context(), vigil.Audit{ID: id(), At: s.now.Add(-399 * day)}))
		for range 2 {
			same(s, "entries", pages(s, 10, func(p storage.Page) ([]vigil.Audit, string, error) {
				return s.AuditOfExam(s.Context(), e.ID, p)
			}), []vigil.Audit{recent})
			s.sweep(s.now, 1)
		}
	}},
	{"a new policy counts at once", func(s *suite) {
		e := s.exam(keep(90, 90, 400, 400))
		v := s.session(e, s.before(3*day))
		s.append(s.signal(v, 1, func(g *vigil.Signal) { g.Received = s.now.Add(-2 * day) }))
		if got := len(s.signalsOf(v)); got != 1 {
			s.Fatalf("got %d signals, want 1", got)
		}
		e.Policy.Retention.Signals = 1
		s.ok(s.UpdateExam(s.Context(), e))
		if got := len(s.signalsOf(v)); got != 0 {
			s.Errorf("got %d signals, want 0", got)
		}
	}},
	{"sweeping removes expired records and invitations and keeps the others", func(s *suite) {
		for key, expires := range map[string]time.Time{"old": s.now.Add(-time.Minute), "live": s.now.Add(time.Minute), "endless": {}} {
			s.ok(s.PutRecord(s.Context(), vigil.Record{Kind: "k", Key: key, Expires: expires}))
		}
		i := s.invitation()
		s.sweep(s.now, 1)
		long := s.now.Add(-time.Hour)
		must[vigil.Record](s)(s.GetRecord(s.Context(), "k", "live", long))
		must[vigil.Record](s)(s.GetRecord(s.Context(), "k", "endless", long))
		must[vigil.Invitation](s)(s.Invitation(s.Context(), i.Hash))
	}},
}

// only checks that of an exam's two sessions one is seen in all lists.
func (s *suite) only(e vigil.Exam, v vigil.Session) {
	s.Helper()
	ctx := s.Context()
	var seen []string
	for _, w := range pages(s, 10, func(p storage.Page) ([]vigil.Session, string, error) { return s.SessionsOfExam(ctx, e.ID, p) }) {
		seen = append(seen, w.ID)
	}
	for _, i := range pages(s, 10, func(p storage.Page) ([]vigil.Incident, string, error) { return s.IncidentsOfExam(ctx, e.ID, p) }) {
		seen = append(seen, i.SessionID)
	}
	for _, g := range pages(s, 10, func(p storage.Page) ([]vigil.Gap, string, error) { return s.GapsOfExam(ctx, e.ID, p) }) {
		seen = append(seen, g.SessionID)
	}
	for _, c := range pages(s, 10, func(p storage.Page) ([]vigil.Command, string, error) {
		return s.CommandsOfExam(ctx, e.ID, time.Time{}, p)
	}) {
		seen = append(seen, c.SessionID)
	}
	same(s, "sessions, incidents, gaps, commands", seen, []string{v.ID, v.ID, v.ID, v.ID})
}

var people = []behaviour{
	{"a user's sessions are those of all exams of the issuer", func(s *suite) {
		here, there := s.exam(), s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		again := s.exam()
		mine := func(v *vigil.Session) { v.UserID = "me" }
		want := []vigil.Session{s.session(here, mine), s.session(again, mine)}
		s.session(there, mine)
		s.session(here)
		same(s, "sessions", must[[]vigil.Session](s)(s.SessionsOfUser(s.Context(), here.Issuer, "me")), want)
		if got := must[[]vigil.Session](s)(s.SessionsOfUser(s.Context(), here.Issuer, "nobody")); len(got) != 0 {
			s.Errorf("got %d sessions of nobody, want 0", len(got))
		}
	}},
	{"nothing names a user after the erasure", func(s *suite) {
		const user, name, address = "erased-user-41c7", "Ada Erased-Lovelace", "192.0.2.77"
		raw := s.raw()
		platform, e := s.platform(), s.exam()
		elsewhere := s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		who := vigil.Actor{Role: vigil.RoleStudent, ID: platform.ID + "|" + user, Name: name}
		mine := s.session(e, func(v *vigil.Session) { v.UserID, v.Name, v.By = user, name, who })
		another := s.session(e)
		entry := func(v vigil.Session, by vigil.Actor) vigil.Audit {
			return vigil.Audit{ID: id(), ExamID: v.ExamID, Sessions: []string{v.ID}, Action: "a", By: by, From: address, At: s.now}.
				After("writer-"+v.ID, vigil.AuditHead{}, []byte{1})
		}
		s.append(s.signal(mine, 1, serious(0.6, vigil.KindHidden)), s.signal(another, 1, serious(0.6, vigil.KindHidden)))
		as := who // the same person proctors, too
		as.Role = vigil.RoleProctor
		for _, v := range []vigil.Session{mine, another} {
			c := s.command(v, vigil.CommandPause)
			c.By = as
			s.give(v, c)
			l := s.line(v, vigil.RoleProctor, s.now)
			l.From = as
			s.ok(s.AddChat(s.Context(), l))
			incidents := pages(s, 10, func(p storage.Page) ([]vigil.Incident, string, error) {
				return s.IncidentsOfSession(s.Context(), v.ID, p)
			})
			decided := incidents[0]
			decided.Review, decided.Reviewer = vigil.ReviewCleared, as
			s.ok(s.UpdateIncident(s.Context(), decided))
			next := s.read(v.ID)
			next.Version, next.By = next.Version+1, as
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: next.Version - 1}))
			s.ok(s.AppendAudit(s.Context(), entry(v, as)))
		}
		s.ok(s.AppendAudit(s.Context(), entry(mine, who), vigil.Audit{ID: id(), ExamID: e.ID, Action: "of before there were chains", By: who, At: s.now}))
		// Who has the same id on another platform, or one that ends alike, stays.
		there := s.session(elsewhere)
		s.ok(s.AppendAudit(s.Context(), entry(there, vigil.Actor{Role: vigil.RoleStudent, ID: "x|" + "another", Name: "Grace Kept"})))
		alike := s.session(e)
		s.ok(s.AppendAudit(s.Context(), entry(alike, vigil.Actor{Role: vigil.RoleStudent, ID: platform.ID + "|1" + "another", Name: "Alan Kept"})))

		for _, text := range []string{user, name} {
			if len(raw.Holds(s.T, text)) == 0 {
				s.Fatalf("got %q nowhere before the erasure, want it to be found: the search does not work", text)
			}
		}
		if got := must[int](s)(s.EraseUser(s.Context(), e.Issuer, user)); got != 1 {
			s.Errorf("got %d sessions erased, want 1", got)
		}
		for _, text := range []string{user, name} {
			if where := raw.Holds(s.T, text); len(where) != 0 {
				s.Errorf("got %q in %v after the erasure, want it nowhere", text, where)
			}
		}
		for _, text := range []string{"Grace Kept", "Alan Kept", address} { // the address is those others', too
			if len(raw.Holds(s.T, text)) == 0 {
				s.Errorf("got %q nowhere, want it kept", text)
			}
		}
		entries := pages(s, 10, func(p storage.Page) ([]vigil.Audit, string, error) { return s.AuditOfExam(s.Context(), e.ID, p) })
		chains := map[string][]vigil.Audit{}
		erased := 0
		for _, a := range entries {
			chains[a.Chain.ID] = append(chains[a.Chain.ID], a)
			if a.Erased() {
				erased++
			}
		}
		if erased != 3 {
			s.Errorf("got %d entries without their person, want 3", erased)
		}
		delete(chains, "")
		// mine's two entries are each the first of a chain of one name.
		if _, faults := vigil.VerifyAuditChain(chains["writer-"+another.ID], nil, time.Time{}); len(faults) != 0 {
			s.Errorf("got faults %v, want a valid chain", faults)
		}
		v := s.read(another.ID)
		if v.By != (vigil.Actor{Role: vigil.RoleProctor}) {
			s.Errorf("got the last change by %+v, want the role only", v.By)
		}
		// A second time finds nothing, and is no error.
		if got := must[int](s)(s.EraseUser(s.Context(), e.Issuer, user)); got != 0 {
			s.Errorf("got %d sessions erased, want 0", got)
		}
	}},
	{"nothing of an erased attempt names its user, and the other attempts stay", func(s *suite) {
		const user, name = "erased-user-98d2", "Ada Attempt-Lovelace"
		raw := s.raw()
		platform, e := s.platform(), s.exam()
		who := vigil.Actor{Role: vigil.RoleStudent, ID: platform.ID + "|" + user, Name: name}
		first := s.session(e, func(v *vigil.Session) { v.UserID, v.Name = user, name })
		second := s.session(e, func(v *vigil.Session) { v.UserID, v.Attempt = user, 2 })
		kept := vigil.Audit{ID: id(), ExamID: e.ID, Sessions: []string{second.ID}, Action: "a", By: vigil.Actor{Role: vigil.RoleStudent, ID: who.ID}, At: s.now}
		s.ok(s.AppendAudit(s.Context(), kept,
			vigil.Audit{ID: id(), ExamID: e.ID, Sessions: []string{first.ID}, Action: "a", By: who, At: s.now}.After("w", vigil.AuditHead{}, []byte{1})))
		if got := must[int](s)(s.EraseAttempt(s.Context(), e.Issuer, user, e.ID, 1)); got != 1 {
			s.Errorf("got %d sessions erased, want 1", got)
		}
		if where := raw.Holds(s.T, name); len(where) != 0 {
			s.Errorf("got the name in %v, want it nowhere", where)
		}
		entries := pages(s, 10, func(p storage.Page) ([]vigil.Audit, string, error) { return s.AuditOfExam(s.Context(), e.ID, p) })
		for _, a := range entries {
			if got, want := a.By.IsUser(user), a.ID == kept.ID; got != want {
				s.Errorf("entry of %v: got a person %v, want %v", a.Sessions, got, want)
			}
		}
		s.read(second.ID)
	}},
	{"erasing a user removes all that is theirs and nobody else's", func(s *suite) {
		e, there := s.exam(), s.exam(func(e *vigil.Exam) { e.Issuer = "https://another.example" })
		mine := func(v *vigil.Session) { v.UserID = "me" }
		me, other, elsewhere := s.session(e, mine), s.session(e), s.session(there, mine)
		second := s.session(e, mine, func(v *vigil.Session) { v.Attempt = 2 })
		g := s.signal(me, 1, serious(0.6, vigil.KindHidden))
		for _, v := range []vigil.Session{me, other, elsewhere} {
			s.append(s.signal(v, 1, serious(0.6, vigil.KindHidden)))
			s.gap(v, 0)
			s.give(v, s.command(v, vigil.CommandPause))
			s.ok(s.AddChat(s.Context(), s.line(v, vigil.RoleStudent, s.now)))
			s.ok(s.AppendAudit(s.Context(), vigil.Audit{ID: id(), ExamID: v.ExamID, Sessions: []string{v.ID}, At: s.now}))
		}
		if got := must[int](s)(s.EraseUser(s.Context(), e.Issuer, "me")); got != 2 {
			s.Errorf("got %d sessions erased, want 2", got)
		}
		for _, gone := range []string{me.ID, second.ID} {
			_, err := s.Session(s.Context(), gone)
			s.code("session", err, vigil.CodeNotFound)
		}
		s.only(e, other)
		s.read(elsewhere.ID)
		due := must[[]vigil.Delivery](s)(s.LeaseDeliveries(s.Context(), "n", s.now, 10))
		for _, d := range due {
			if d.SessionID == me.ID {
				s.Error("got a delivery of an erased session")
			}
		}
		if len(due) != 2 {
			s.Errorf("got %d deliveries, want 2", len(due))
		}
		if got := len(pages(s, 10, func(p storage.Page) ([]vigil.Audit, string, error) { return s.AuditOfExam(s.Context(), e.ID, p) })); got != 2 {
			s.Errorf("got %d audit entries, want 2: they stay", got)
		}
		// The same attempt may begin again, and finds nothing of the old one.
		s.ok(s.CreateSession(s.Context(), me))
		if got := len(s.signalsOf(me)); got != 0 {
			s.Errorf("got %d signals, want 0", got)
		}
		_, err := s.Incident(s.Context(), me.ID, g.ID())
		s.code("incident", err, vigil.CodeNotFound)
		if got := must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), me.ID)); len(got) != 0 {
			s.Errorf("got %d gaps, want 0", len(got))
		}
		if got, _, err := s.ChatOfSession(s.Context(), me.ID, storage.Page{}); err != nil || len(got) != 0 {
			s.Errorf("got %d lines (%v), want 0", len(got), err)
		}
		if got, _, err := s.CommandsOfSession(s.Context(), me.ID, storage.Page{}); err != nil || len(got) != 0 {
			s.Errorf("got %d commands (%v), want 0", len(got), err)
		}
	}},
	{"an attempt is erased and the user's others stay", func(s *suite) {
		e, there := s.exam(), s.exam()
		mine := func(v *vigil.Session) { v.UserID = "me" }
		first, other, elsewhere := s.session(e, mine), s.session(e), s.session(there, mine)
		second := s.session(e, mine, func(v *vigil.Session) { v.Attempt = 2 })
		twelfth := s.session(e, mine, func(v *vigil.Session) { v.Attempt = 12 })
		for _, v := range []vigil.Session{first, second} {
			s.append(s.signal(v, 1, serious(0.6, vigil.KindHidden)))
		}
		if got := must[int](s)(s.EraseAttempt(s.Context(), "https://another.example", "me", e.ID, 1)); got != 0 {
			s.Errorf("got %d sessions of another issuer erased, want 0", got)
		}
		if got := must[int](s)(s.EraseAttempt(s.Context(), e.Issuer, "me", e.ID, 1)); got != 1 {
			s.Errorf("got %d sessions erased, want 1", got)
		}
		_, err := s.Session(s.Context(), first.ID)
		s.code("session", err, vigil.CodeNotFound)
		for _, stays := range []vigil.Session{other, elsewhere, second, twelfth} {
			s.read(stays.ID)
		}
		if got := len(s.signalsOf(second)); got != 1 {
			s.Errorf("got %d signals of the second attempt, want 1", got)
		}
		if got := must[int](s)(s.EraseAttempt(s.Context(), e.Issuer, "me", e.ID, 1)); got != 0 {
			s.Errorf("got %d at the second time, want 0", got)
		}
	}},
	{"erasing nobody is no error", func(s *suite) {
		if got := must[int](s)(s.EraseUser(s.Context(), "https://lms.example", "nobody")); got != 0 {
			s.Errorf("got %d, want 0", got)
		}
	}},
}
