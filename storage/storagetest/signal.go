package storagetest

import (
	"fmt"
	"time"

	"vigil"
	"vigil/storage"
)

func (s *suite) append(signals ...vigil.Signal) []storage.Appended {
	s.Helper()
	got, err := s.AppendSignals(s.Context(), signals)
	s.ok(err)
	if len(got) != len(signals) {
		s.Fatalf("got %d answers, want %d", len(got), len(signals))
	}
	return got
}

func (s *suite) signalsOf(v vigil.Session) []vigil.Signal {
	s.Helper()
	return pages(s, 100, func(p storage.Page) ([]vigil.Signal, string, error) { return s.SignalsOfSession(s.Context(), v.ID, p) })
}

var signals = []behaviour{
	{"every field of a signal comes back", func(s *suite) {
		v := s.session(s.exam())
		g := fill[vigil.Signal](s)
		g.SessionID, g.ExamID = v.ID, v.ExamID
		same(s, "answer", s.append(g), []storage.Appended{storage.Stored})
		same(s, "signals", s.signalsOf(v), []vigil.Signal{g})
	}},
	{"a signal without a number or a time of arrival is refused, and so is what comes with it", func(s *suite) {
		v := s.session(s.exam())
		for _, broken := range []vigil.Signal{
			s.signal(v, 0), s.signal(v, -1), s.signal(v, 2, func(g *vigil.Signal) { g.Received = time.Time{} }),
		} {
			_, err := s.AppendSignals(s.Context(), []vigil.Signal{s.signal(v, 1), broken})
			s.code("append", err, vigil.CodeInvalid)
		}
		same(s, "signals", s.signalsOf(v), nil)
	}},
	{"a signal without data comes back so", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, vigil.MaxSeq, func(g *vigil.Signal) { g.Data, g.Duration = nil, 0 })
		s.append(g)
		same(s, "signals", s.signalsOf(v), []vigil.Signal{g})
		same(s, "again", s.append(g), []storage.Appended{storage.Repeated})
	}},
	{"no signals are no error", func(s *suite) { s.append() }},
	{"storing again changes nothing", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, serious(0.6, vigil.KindHidden))
		s.append(g)
		before := s.read(v.ID)
		again := g
		again.Received, again.Severity = g.Received.Add(time.Minute), 0.9 // ours, not the browser's
		same(s, "again", s.append(again), []storage.Appended{storage.Repeated})
		same(s, "session", s.read(v.ID), before)
		same(s, "signals", s.signalsOf(v), []vigil.Signal{g})
	}},
	{"a number used again for something else is told and changes nothing", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, func(g *vigil.Signal) { g.Kind = vigil.KindCopy })
		s.append(g)
		for what, edit := range map[string]func(g *vigil.Signal){
			"kind":     func(g *vigil.Signal) { g.Kind = vigil.KindPaste },
			"time":     func(g *vigil.Signal) { g.At = g.At.Add(time.Millisecond) },
			"duration": func(g *vigil.Signal) { g.Duration += time.Millisecond },
			"data":     func(g *vigil.Signal) { g.Data = []byte(`{"length":2}`) },
			"no data":  func(g *vigil.Signal) { g.Data = nil },
		} {
			other := g
			edit(&other)
			if got := s.append(other); got[0] != storage.Differs {
				s.Errorf("another %s: got %d, want Differs", what, got[0])
			}
		}
		same(s, "signals", s.signalsOf(v), []vigil.Signal{g})
		if got := s.read(v.ID).Tally.Signals; got != 1 {
			s.Errorf("got a tally of %d, want 1", got)
		}
	}},
	{"a signal that was stored with more data than is kept now is the same without it", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, func(g *vigil.Signal) {
			g.Kind, g.Data = vigil.KindPaste, []byte(`{"length":3,"hash":"ba7816bf8f01cfea"}`)
		})
		s.append(g)
		same(s, "again", s.append(g.Kept()), []storage.Appended{storage.Repeated})
		same(s, "signals", s.signalsOf(v), []vigil.Signal{g})
	}},
	{"the same number of another stream or session is another signal", func(s *suite) {
		e := s.exam()
		a, b := s.session(e), s.session(e)
		got := s.append(s.signal(a, 1), s.signal(b, 1), s.signal(a, 1, func(g *vigil.Signal) { g.Stream = "another-0123456789" }))
		same(s, "answers", got, []storage.Appended{storage.Stored, storage.Stored, storage.Stored})
	}},
	{"one call answers for each in order", func(s *suite) {
		v := s.session(s.exam())
		s.append(s.signal(v, 2), s.signal(v, 3))
		other := s.signal(v, 3, func(g *vigil.Signal) { g.Kind = vigil.KindPaste })
		twice := s.signal(v, 4, func(g *vigil.Signal) { g.Kind = vigil.KindPaste })
		got := s.append(s.signal(v, 1), s.signal(v, 2), other, s.signal(v, 4), s.signal(v, 4), twice, s.signal(v, 5))
		same(s, "answers", got, []storage.Appended{
			storage.Stored, storage.Repeated, storage.Differs, storage.Stored, storage.Repeated, storage.Differs, storage.Stored,
		})
		if got := s.read(v.ID).Tally.Signals; got != 5 {
			s.Errorf("got a tally of %d, want 5", got)
		}
	}},
	{"a large call with repeats far apart is counted right", func(s *suite) {
		v := s.session(s.exam())
		var all []vigil.Signal
		var want []storage.Appended
		for i := range 700 {
			all, want = append(all, s.signal(v, int64(i%300+1))), append(want, storage.Stored)
			if i >= 300 {
				want[i] = storage.Repeated
			}
		}
		same(s, "answers", s.append(all...), want)
		if got := s.read(v.ID).Tally.Signals; got != 300 {
			s.Errorf("got a tally of %d, want 300", got)
		}
	}},
	{"signals are listed in the order in which they came", func(s *suite) {
		e := s.exam()
		v, other := s.session(e), s.session(e)
		var want []vigil.Signal
		for i, seq := range []int64{5, 1, 9, 2, 7} {
			g := s.signal(v, seq, func(g *vigil.Signal) { g.Received = s.now.Add(time.Duration(i) * time.Millisecond) })
			s.append(g, s.signal(other, seq))
			want = append(want, g)
		}
		paging(s, "signals", want, func(p storage.Page) ([]vigil.Signal, string, error) { return s.SignalsOfSession(s.Context(), v.ID, p) })
	}},
	{"of one signal sent by many at once one is stored", func(s *suite) {
		v := s.session(s.exam())
		answers := make([]storage.Appended, 50)
		for _, err := range race(50, func(i int) error {
			got, err := s.AppendSignals(s.Context(), []vigil.Signal{s.signal(v, 1, serious(0.3, vigil.KindBlur))})
			if err == nil {
				answers[i] = got[0]
			}
			return err
		}) {
			s.ok(err)
		}
		stored := 0
		for _, a := range answers {
			if a == storage.Stored {
				stored++
			} else if a != storage.Repeated {
				s.Errorf("got answer %d, want Repeated", a)
			}
		}
		tally := s.read(v.ID).Tally
		if stored != 1 || tally.Signals != 1 || tally.Incidents != 1 || len(s.signalsOf(v)) != 1 {
			s.Errorf("got %d stored and tally %+v, want 1", stored, tally)
		}
	}},
	{"many writers lose nothing and count everything", func(s *suite) {
		e := s.exam()
		var all []vigil.Session
		for range 5 {
			all = append(all, s.session(e))
		}
		for _, err := range race(50, func(i int) error {
			for n := range 4 {
				v := all[(i+n)%5]
				g := s.signal(v, int64(i*4+n+1), func(g *vigil.Signal) { g.Severity = float64(i) / 100 })
				got, err := s.AppendSignals(s.Context(), []vigil.Signal{g, s.signal(all[i%5], int64(i+1000))})
				if err != nil {
					return err
				}
				if got[0] != storage.Stored || (got[1] == storage.Stored) != (n == 0) {
					return fmt.Errorf("got answers %v in round %d", got, n)
				}
			}
			return nil
		}) {
			s.ok(err)
		}
		sum := 0
		for _, v := range all {
			tally := s.read(v.ID).Tally
			if got := len(s.signalsOf(v)); got != tally.Signals {
				s.Errorf("got %d signals and a tally of %d", got, tally.Signals)
			}
			sum += tally.Signals
		}
		if sum != 50*5 {
			s.Errorf("got %d signals, want %d", sum, 50*5)
		}
	}},
	{"a signal of an unknown session is not stored", func(s *suite) {
		v := s.newSession(s.exam())
		_, err := s.AppendSignals(s.Context(), []vigil.Signal{s.signal(v, 1)})
		s.code("append", err, vigil.CodeNotFound)
		s.ok(s.CreateSession(s.Context(), v))
		if got := s.signalsOf(v); len(got) != 0 {
			s.Errorf("got %d signals, want 0", len(got))
		}
	}},
	{"one caller's unknown session does not disturb the others", func(s *suite) {
		e := s.exam()
		v, nobody := s.session(e), s.newSession(e)
		for i, err := range race(40, func(i int) error {
			g := s.signal(v, int64(i+1))
			if i%4 == 0 {
				g = s.signal(nobody, int64(i+1))
			}
			_, err := s.AppendSignals(s.Context(), []vigil.Signal{g})
			return err
		}) {
			if i%4 == 0 {
				s.code("unknown session", err, vigil.CodeNotFound)
			} else {
				s.ok(err)
			}
		}
		if got := s.read(v.ID).Tally.Signals; got != 30 {
			s.Errorf("got a tally of %d, want 30", got)
		}
	}},
	{"a stream's state tells how many numbers are there and the highest", func(s *suite) {
		v := s.session(s.exam())
		s.append(s.signal(v, 1), s.signal(v, 2), s.signal(v, 9), s.signal(v, 4, func(g *vigil.Signal) { g.Stream = "another-0123456789" }))
		for _, want := range []struct {
			session, stream string
			count, highest  int64
		}{{v.ID, stream, 3, 9}, {v.ID, "another-0123456789", 1, 4}, {v.ID, "none", 0, 0}, {"nobody", stream, 0, 0}} {
			count, highest, err := s.StreamState(s.Context(), want.session, want.stream)
			s.ok(err)
			if count != want.count || highest != want.highest {
				s.Errorf("stream %q: got %d, %d, want %d, %d", want.stream, count, highest, want.count, want.highest)
			}
		}
	}},
}

var incidents = []behaviour{
	{"the tally follows signals and incidents", func(s *suite) {
		v := s.session(s.exam())
		want := vigil.Tally{}
		check := func(what string) {
			s.Helper()
			same(s, what, s.read(v.ID).Tally, want)
		}
		s.append(s.signal(v, 1), s.signal(v, 2, func(g *vigil.Signal) { g.Severity = 0.2 }))
		want.Signals, want.Severity = 2, 0.2
		check("signals without incidents")
		s.append(s.signal(v, 3, serious(0.6, vigil.KindHidden)), s.signal(v, 4, serious(0.3, vigil.KindPrint)), s.signal(v, 5))
		want = vigil.Tally{Signals: 5, Incidents: 2, Open: 2, Severity: 0.6, LastKind: vigil.KindPrint, LastAt: s.now.Add(4 * time.Millisecond)}
		check("two incidents")
		s.append(s.signal(v, 6, func(g *vigil.Signal) { g.Severity = 0.2 }))
		want.Signals++
		check("a milder signal later")
	}},
	{"an incident is its signal, under review", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, serious(0.6, vigil.KindHidden))
		s.append(g, s.signal(v, 2))
		want := vigil.IncidentOf(g)
		same(s, "incident", must[vigil.Incident](s)(s.Incident(s.Context(), v.ID, g.ID())), want)
		same(s, "incidents", pages(s, 10, func(p storage.Page) ([]vigil.Incident, string, error) {
			return s.IncidentsOfSession(s.Context(), v.ID, p)
		}), []vigil.Incident{want})
		_, err := s.Incident(s.Context(), v.ID, "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
		_, err = s.Incident(s.Context(), "nobody", g.ID())
		s.code("of an unknown session", err, vigil.CodeNotFound)
	}},
	{"incidents are listed by exam and by session in the order in which they came", func(s *suite) {
		e, other := s.exam(), s.exam()
		a, b, c := s.session(e), s.session(e), s.session(other)
		var ofExam, ofA []vigil.Incident
		for i := range 6 {
			v := a
			if i%2 == 1 {
				v = b
			}
			g := s.signal(v, int64(i+1), serious(0.3, vigil.KindPrint))
			s.append(g, s.signal(c, int64(i+1), serious(0.3, vigil.KindPrint)))
			ofExam = append(ofExam, vigil.IncidentOf(g))
			if i%2 == 0 {
				ofA = append(ofA, vigil.IncidentOf(g))
			}
		}
		paging(s, "of exam", ofExam, func(p storage.Page) ([]vigil.Incident, string, error) { return s.IncidentsOfExam(s.Context(), e.ID, p) })
		paging(s, "of session", ofA, func(p storage.Page) ([]vigil.Incident, string, error) {
			return s.IncidentsOfSession(s.Context(), a.ID, p)
		})
	}},
	{"a review is conditional on the version and the open count follows it", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, serious(0.6, vigil.KindHidden))
		s.append(g, s.signal(v, 2, serious(0.6, vigil.KindHidden)))
		i := vigil.IncidentOf(g)
		for _, step := range []struct {
			to   vigil.ReviewState
			open int
		}{
			{vigil.ReviewPending, 2}, {vigil.ReviewUpheld, 1}, {vigil.ReviewAppealed, 2}, {vigil.ReviewOverturned, 1}, {vigil.ReviewCleared, 1}, {vigil.ReviewPending, 2},
		} {
			i.Review, i.Reviewer, i.Note, i.Reviewed = step.to, fill[vigil.Actor](s), "note", s.now
			s.ok(s.UpdateIncident(s.Context(), i))
			s.code("the old version", s.UpdateIncident(s.Context(), i), vigil.CodeConflict)
			i.Version++
			same(s, "incident", must[vigil.Incident](s)(s.Incident(s.Context(), v.ID, i.ID)), i)
			if got := s.read(v.ID).Tally; got.Open != step.open || got.Incidents != 2 {
				s.Errorf("%s: got %d open of %d, want %d of 2", step.to, got.Open, got.Incidents, step.open)
			}
		}
		i.ID = "nobody"
		s.code("unknown", s.UpdateIncident(s.Context(), i), vigil.CodeNotFound)
	}},
	{"of many reviews from one version one wins and counts once", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, serious(0.6, vigil.KindHidden))
		s.append(g)
		s.oneWins(race(30, func(int) error {
			i := vigil.IncidentOf(g)
			i.Review = vigil.ReviewCleared
			return s.UpdateIncident(s.Context(), i)
		}), vigil.CodeConflict)
		if got := s.read(v.ID).Tally.Open; got != 0 {
			s.Errorf("got %d open, want 0", got)
		}
	}},
	{"an incident that is sent again stays as it was reviewed", func(s *suite) {
		v := s.session(s.exam())
		g := s.signal(v, 1, serious(0.6, vigil.KindHidden))
		s.append(g)
		i := vigil.IncidentOf(g)
		i.Review = vigil.ReviewCleared
		s.ok(s.UpdateIncident(s.Context(), i))
		s.append(g)
		if got := must[vigil.Incident](s)(s.Incident(s.Context(), v.ID, g.ID())); got.Review != vigil.ReviewCleared {
			s.Errorf("got review %q, want cleared", got.Review)
		}
		if got := s.read(v.ID).Tally.Open; got != 0 {
			s.Errorf("got %d open, want 0", got)
		}
	}},
}
