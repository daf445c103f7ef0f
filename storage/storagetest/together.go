package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

// newGap is one that is not stored yet.
func (s *suite) newGap(v vigil.Session, minutes int) vigil.Gap {
	return vigil.Gap{
		ID: id(), SessionID: v.ID, ExamID: v.ExamID, Start: s.now.Add(time.Duration(minutes) * time.Minute), Cause: vigil.CauseServer, Version: 1,
	}
}

// changed is a gap with every field that a change writes filled anew.
func changed(s *suite, g vigil.Gap) vigil.Gap {
	next := fill[vigil.Gap](s)
	next.ID, next.SessionID, next.ExamID, next.Version = g.ID, g.SessionID, g.ExamID, g.Version
	return next
}

// stands is all that is stored of a session.
type stands struct {
	Session    vigil.Session
	Gaps       []vigil.Gap
	Commands   []vigil.Command
	Deliveries []vigil.Delivery
}

func (s *suite) stands(v vigil.Session) (out stands) {
	s.Helper()
	out.Session = s.read(v.ID)
	out.Gaps = must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), v.ID))
	out.Commands = pages(s, 10, func(p storage.Page) ([]vigil.Command, string, error) {
		return s.CommandsOfSession(s.Context(), v.ID, p)
	})
	lister, ok := s.Store.(storage.DeliveryLister)
	if !ok {
		s.Fatal("the store cannot list deliveries")
	}
	out.Deliveries = must[[]vigil.Delivery](s)(lister.DeliveriesOfSession(s.Context(), v.ID))
	return out
}

// step is a whole transition of a session: its fields, a command, deliveries, gaps.
func (s *suite) step(v vigil.Session, deliveries int, gaps, fresh []vigil.Gap) vigil.Transition {
	next, c := v, s.command(v, vigil.CommandResume)
	next.Version, next.Reason, next.DueAt = v.Version+1, "step "+c.ID, s.now.Add(time.Hour)
	t := vigil.Transition{Session: next, From: v.Version, Command: &c, Gaps: gaps, NewGaps: fresh}
	for i := range deliveries {
		d := s.delivery(v, c)
		d.Version, d.ExtraMinutes = next.Version, i
		t.Deliveries = append(t.Deliveries, d)
	}
	return t
}

var together = []behaviour{
	{"a transition stores the session, its command, its deliveries and its gaps", func(s *suite) {
		v := s.session(s.exam())
		a, b := s.gap(v, 1), s.gap(v, 2)
		a, b = changed(s, a), changed(s, b)
		c, d := fill[vigil.Gap](s), fill[vigil.Gap](s)
		for _, g := range []*vigil.Gap{&a, &b, &c, &d} {
			g.SessionID, g.ExamID = v.ID, v.ExamID
		}
		t := s.step(v, 3, []vigil.Gap{a, b}, []vigil.Gap{c, d})
		s.ok(s.Transition(s.Context(), t))
		a.Version, b.Version = a.Version+1, b.Version+1
		slices.SortFunc(t.Deliveries, func(a, b vigil.Delivery) int { return strings.Compare(a.ID, b.ID) })
		same(s, "what is stored", s.stands(v), stands{t.Session, []vigil.Gap{a, b, c, d}, []vigil.Command{*t.Command}, t.Deliveries})
		listed := pages(s, 10, func(p storage.Page) ([]vigil.Gap, string, error) { return s.GapsOfExam(s.Context(), v.ExamID, p) })
		same(s, "the exam's gaps, by creation", listed, []vigil.Gap{a, b, c, d})
	}},
	{"a transition of gaps alone leaves the session", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(time.Hour))
		old := s.gap(v, 1)
		stale := v
		stale.Reason, stale.DueAt = "must not be written", s.now
		g, fresh := changed(s, old), s.newGap(v, 200)
		g.Start = old.Start
		for range 2 {
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: stale, From: v.Version, Gaps: []vigil.Gap{g}, NewGaps: []vigil.Gap{fresh}}))
			g.Version++
			same(s, "what is stored", s.stands(v).Session, v)
			if got := must[[]vigil.Gap](s)(s.GapsOfSession(s.Context(), v.ID)); len(got) < 2 || got[0].Version != g.Version {
				s.Errorf("got gaps %+v, want the first of version %d", got, g.Version)
			}
			fresh = s.newGap(v, 300)
		}
		stale.Version = 99
		s.code("of another version", s.Transition(s.Context(), vigil.Transition{Session: stale, From: 99, Gaps: []vigil.Gap{g}}), vigil.CodeConflict)
		same(s, "gaps", s.stands(v).Gaps[0], g)
		unknown := s.newSession(s.exam())
		s.code("of an unknown session", s.Transition(s.Context(), vigil.Transition{
			Session: unknown, From: unknown.Version, NewGaps: []vigil.Gap{s.newGap(unknown, 1)},
		}), vigil.CodeNotFound)
	}},
	{"what belongs to a transition is its session's, whatever it names", func(s *suite) {
		e := s.exam()
		v, other := s.session(e), s.session(e)
		g, theirs := s.gap(v, 1), s.gap(other, 1)
		g.SessionID, g.Cause = other.ID, vigil.CauseLMS
		fresh := s.newGap(other, 2)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Gaps: []vigil.Gap{g}, NewGaps: []vigil.Gap{fresh}}))
		g.SessionID, g.Version, fresh.SessionID = v.ID, g.Version+1, v.ID
		same(s, "gaps", s.stands(v).Gaps, []vigil.Gap{g, fresh})
		same(s, "the other's", s.stands(other).Gaps, []vigil.Gap{theirs})
	}},
	{"a transition that is refused for one of its parts changes nothing at all", func(s *suite) {
		for _, row := range []struct {
			name string
			want vigil.Code
			with func(t *vigil.Transition, v vigil.Session, g vigil.Gap, d vigil.Delivery)
		}{
			{"a gap of a later version", vigil.CodeConflict, func(t *vigil.Transition, _ vigil.Session, g vigil.Gap, _ vigil.Delivery) {
				g.Version++
				t.Gaps = append(t.Gaps, g)
			}},
			{"a gap of an earlier version", vigil.CodeConflict, func(t *vigil.Transition, _ vigil.Session, g vigil.Gap, _ vigil.Delivery) {
				g.Version--
				t.Gaps = append(t.Gaps, g)
			}},
			{"a gap that is not there", vigil.CodeNotFound, func(t *vigil.Transition, v vigil.Session, _ vigil.Gap, _ vigil.Delivery) {
				t.Gaps = append(t.Gaps, s.newGap(v, 9))
			}},
			{"a new gap that is there", vigil.CodeExists, func(t *vigil.Transition, _ vigil.Session, g vigil.Gap, _ vigil.Delivery) {
				t.NewGaps = append(t.NewGaps, g)
			}},
			{"a delivery that is there", vigil.CodeExists, func(t *vigil.Transition, _ vigil.Session, _ vigil.Gap, d vigil.Delivery) {
				t.Deliveries = append(t.Deliveries, d)
			}},
			{"another version of the session", vigil.CodeConflict, func(t *vigil.Transition, _ vigil.Session, _ vigil.Gap, _ vigil.Delivery) {
				t.From, t.Session.Version = t.From+1, t.Session.Version+1
			}},
			{"a gap twice", vigil.CodeInvalid, func(t *vigil.Transition, _ vigil.Session, _ vigil.Gap, _ vigil.Delivery) {
				t.Gaps = append(t.Gaps, t.Gaps[0])
			}},
			{"a gap that is new and is not", vigil.CodeInvalid, func(t *vigil.Transition, _ vigil.Session, _ vigil.Gap, _ vigil.Delivery) {
				t.NewGaps = append(t.NewGaps, t.Gaps[0])
			}},
			{"a delivery twice", vigil.CodeInvalid, func(t *vigil.Transition, _ vigil.Session, _ vigil.Gap, _ vigil.Delivery) {
				t.Deliveries = append(t.Deliveries, t.Deliveries[0])
			}},
		} {
			for _, changes := range []bool{true, false} {
				v := s.session(s.exam(), s.dueAfter(24*time.Hour))
				mine, other := s.gap(v, 1), s.gap(v, 2)
				d := s.give(v, s.command(v, vigil.CommandPause))
				before := s.stands(v)
				t := s.step(v, 2, []vigil.Gap{changed(s, mine)}, []vigil.Gap{s.newGap(v, 3)})
				if !changes {
					t.Session.Version = v.Version
				}
				row.with(&t, v, other, d)
				s.code(row.name, s.Transition(s.Context(), t), row.want)
				same(s, row.name, s.stands(v), before)
				// Without what was refused it goes through.
				good := s.step(v, 2, []vigil.Gap{changed(s, mine)}, []vigil.Gap{s.newGap(v, 3)})
				s.ok(s.Transition(s.Context(), good))
			}
		}
		s.looked("due", s.look(time.Minute, 10), 0)
	}},
	{"a repeated command counts more than a gap that has changed since", func(s *suite) {
		v := s.session(s.exam())
		t := s.step(v, 1, []vigil.Gap{s.gap(v, 1)}, []vigil.Gap{s.newGap(v, 2)})
		s.ok(s.Transition(s.Context(), t))
		before := s.stands(v)
		s.code("the same again", s.Transition(s.Context(), t), vigil.CodeExists)
		t.Session.Version, t.From = t.Session.Version+1, t.From+1
		s.code("from the new version", s.Transition(s.Context(), t), vigil.CodeExists)
		same(s, "what is stored", s.stands(v), before)
	}},
	{"of many transitions over one gap one is stored, also where the session stays", func(s *suite) {
		v := s.session(s.exam())
		g := s.gap(v, 1)
		decided := make([]vigil.Gap, 20)
		fresh := make([]vigil.Gap, 20)
		winner := s.oneWins(race(20, func(i int) error {
			decided[i], fresh[i] = g, s.newGap(v, 2)
			decided[i].Decision, decided[i].CommandID = vigil.GapGranted, fmt.Sprint("command-", i)
			return s.Transition(s.Context(), vigil.Transition{
				Session: v, From: v.Version, Gaps: decided[i : i+1], NewGaps: fresh[i : i+1],
			})
		}), vigil.CodeConflict)
		decided[winner].Version++
		same(s, "gaps", s.stands(v).Gaps, []vigil.Gap{decided[winner], fresh[winner]})
	}},
	{"of a transition that is made many times at once one is stored", func(s *suite) {
		v := s.session(s.exam())
		t := s.step(v, 2, []vigil.Gap{s.gap(v, 1)}, []vigil.Gap{s.newGap(v, 2)})
		s.oneWins(race(20, func(int) error { return s.Transition(s.Context(), t) }), vigil.CodeExists)
		got := s.stands(v)
		if len(got.Gaps) != 2 || len(got.Commands) != 1 || len(got.Deliveries) != 2 || got.Session.Version != v.Version+1 {
			s.Errorf("got %d gaps, %d commands, %d deliveries and version %d, want 2, 1, 2 and %d",
				len(got.Gaps), len(got.Commands), len(got.Deliveries), got.Session.Version, v.Version+1)
		}
	}},
	{"an update of a gap and a transition of it exclude each other", func(s *suite) {
		v := s.session(s.exam())
		for range 5 {
			g := s.gap(v, 1)
			s.oneWins(race(8, func(i int) error {
				if i%2 == 0 {
					return s.UpdateGap(s.Context(), g)
				}
				return s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Gaps: []vigil.Gap{g}})
			}), vigil.CodeConflict)
		}
		for _, g := range s.stands(v).Gaps {
			if g.Version != 2 {
				s.Errorf("got a gap of version %d, want 2", g.Version)
			}
		}
	}},
	{"so many deliveries and gaps go together, and no more", func(s *suite) {
		v := s.session(s.exam())
		whole := func(deliveries, gaps, fresh int) vigil.Transition {
			var old, added []vigil.Gap
			for i := range gaps {
				old = append(old, s.gap(v, i))
			}
			for i := range fresh {
				added = append(added, s.newGap(v, 1000+i))
			}
			return s.step(v, deliveries, old, added)
		}
		const most = vigil.MaxTogether
		for _, t := range []vigil.Transition{whole(most+1, 0, 0), whole(0, most+1, 0), whole(0, 0, most+1), whole(most/2, most/4, most/4+1)} {
			before := s.stands(v)
			s.code(fmt.Sprint(len(t.Deliveries), len(t.Gaps), len(t.NewGaps)), s.Transition(s.Context(), t), vigil.CodeInvalid)
			same(s, "what is stored", s.stands(v), before)
		}
		for _, n := range [][3]int{{most, 0, 0}, {0, most, 0}, {0, 0, most}, {most / 2, most / 4, most / 4}} {
			t := whole(n[0], n[1], n[2])
			s.ok(s.Transition(s.Context(), t))
			v = s.read(v.ID)
		}
		if got := s.stands(v); len(got.Deliveries) != most+most/2 {
			s.Errorf("got %d deliveries, want %d", len(got.Deliveries), most+most/2)
		}
	}},
}
