package storagetest

import (
	"fmt"
	"slices"
	"time"

	"vigil"
)

// dueAfter makes a session due some time after the start.
func (s *suite) dueAfter(d time.Duration) func(v *vigil.Session) {
	return func(v *vigil.Session) { v.DueAt = s.now.Add(d) }
}

// leaseTime is how long the leases of these tests last.
const leaseTime = time.Minute

// look leases what is due after some time.
func (s *suite) look(after time.Duration, n int) []vigil.Session {
	s.Helper()
	now := s.now.Add(after)
	return must[[]vigil.Session](s)(s.LeaseDue(s.Context(), now, now.Add(leaseTime), n))
}

// looked checks which sessions a lease gave, and that they are leased.
func (s *suite) looked(what string, got []vigil.Session, until time.Duration, want ...vigil.Session) {
	s.Helper()
	want = slices.Clone(want)
	for i := range want {
		want[i].DueAt = s.now.Add(until)
	}
	same(s, what, got, want)
}

var due = []behaviour{
	{"a session is due from its time on, and comes with all its fields", func(s *suite) {
		v := filledSession(s, s.exam())
		v.DueAt = s.now.Add(time.Second)
		s.ok(s.CreateSession(s.Context(), v))
		s.looked("before", s.look(time.Second-time.Millisecond, 10), 0)
		s.looked("none wanted", s.look(time.Second, 0), 0)
		s.looked("in time", s.look(time.Second, 10), time.Second+leaseTime, v)
		v.DueAt = s.now.Add(time.Second + leaseTime)
		same(s, "read", s.read(v.ID), v)
	}},
	{"a session without a time is never due", func(s *suite) {
		e := s.exam()
		s.session(e)
		v := s.session(e, s.dueAfter(0))
		s.looked("long after", s.look(1000*time.Hour, 10), 1000*time.Hour+leaseTime, v)
	}},
	{"what has been due for longest comes first, and no more than is wanted", func(s *suite) {
		e, other := s.exam(), s.exam()
		var want []vigil.Session
		for i := range 30 {
			of := e
			if i%3 == 0 {
				of = other
			}
			want = append(want, s.session(of, s.dueAfter(time.Duration((i*7)%30)*time.Second)))
		}
		s.session(e, s.dueAfter(time.Hour))
		slices.SortFunc(want, func(a, b vigil.Session) int { return a.DueAt.Compare(b.DueAt) })
		const now = 30 * time.Second
		for _, part := range []struct{ n, from, to int }{{1, 0, 1}, {4, 1, 5}, {20, 5, 25}, {100, 25, 30}, {100, 30, 30}} {
			s.looked(fmt.Sprint("from ", part.from), s.look(now, part.n), now+leaseTime, want[part.from:part.to]...)
		}
	}},
	{"of many callers one gets a session, and nobody else before the lease ends", func(s *suite) {
		e := s.exam()
		want := map[string]bool{}
		for range 20 {
			want[s.session(e, s.dueAfter(0)).ID] = true
		}
		got := make([][]vigil.Session, 50)
		for _, err := range race(50, func(i int) (err error) {
			got[i], err = s.LeaseDue(s.Context(), s.now, s.now.Add(leaseTime), 3)
			return err
		}) {
			s.ok(err)
		}
		seen := map[string]int{}
		for _, part := range got {
			if len(part) > 3 {
				s.Errorf("got %d, want at most 3", len(part))
			}
			for _, v := range part {
				seen[v.ID]++
			}
		}
		for id := range want {
			if seen[id] != 1 {
				s.Errorf("got a session leased %d times, want once", seen[id])
			}
		}
		s.looked("before the leases' end", s.look(leaseTime-time.Millisecond, 100), 0)
		if again := s.look(leaseTime, 100); len(again) != len(want) {
			s.Errorf("got %d sessions after the leases' end, want %d", len(again), len(want))
		}
	}},
	{"a session whose lease ended comes after those that are due for longer", func(s *suite) {
		e := s.exam()
		first, second := s.session(e, s.dueAfter(0)), s.session(e, s.dueAfter(leaseTime/2))
		s.looked("leased", s.look(0, 10), leaseTime, first)
		s.looked("one of both", s.look(leaseTime, 1), 2*leaseTime, second)
		s.looked("the other", s.look(leaseTime, 1), 2*leaseTime, first)
	}},
	{"a lease leaves the version, the presence and the tally", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(0))
		v.Presence = vigil.Presence{Connection: vigil.ConnOnline, Since: s.now, Heard: s.now, Epoch: 1, Node: "n"}
		s.ok(s.SetPresence(s.Context(), v.ID, v.Presence))
		s.ok(s.SetHand(s.Context(), v.ID, s.now))
		v.Tally.Hand = s.now
		s.looked("leased", s.look(0, 10), leaseTime, v)
		next := v
		next.Version, next.DueAt = v.Version+1, s.now.Add(time.Hour)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version}))
	}},
	{"a lease that does not last is refused", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(0))
		for _, until := range []time.Time{{}, s.now.Add(-time.Hour), s.now} {
			_, err := s.LeaseDue(s.Context(), s.now, until, 10)
			s.code("until "+until.String(), err, vigil.CodeInvalid)
		}
		same(s, "session", s.read(v.ID), v)
	}},
	{"a transition gives a session a new time, earlier or later, also while it is leased", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(0))
		step := func(after time.Duration) {
			s.Helper()
			from := v.Version
			v.Version, v.DueAt = from+1, s.now.Add(after)
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: from}))
			same(s, "read", s.read(v.ID), v)
		}
		step(time.Second)
		s.looked("before the later time", s.look(0, 10), 0)
		s.looked("leased", s.look(time.Second, 10), time.Second+leaseTime, v)
		step(2 * time.Second)
		s.looked("sooner than the lease ends", s.look(2*time.Second, 10), 2*time.Second+leaseTime, v)
		step(time.Hour)
		s.looked("when the lease would have ended", s.look(2*time.Second+leaseTime, 10), 0)
		s.looked("at the new time", s.look(time.Hour, 10), time.Hour+leaseTime, v)
	}},
	{"what does not change the session leaves its time", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(0))
		stale := v
		stale.DueAt = s.now.Add(time.Hour)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: stale, From: v.Version, Command: ptr(s.command(v, vigil.CommandNote))}))
		stale.Version += 7
		s.code("a lost race", s.Transition(s.Context(), vigil.Transition{Session: stale, From: v.Version + 6}), vigil.CodeConflict)
		s.ok(s.SetPresence(s.Context(), v.ID, v.Presence))
		s.looked("leased", s.look(0, 10), leaseTime, v)
	}},
	{"a session that has ended is never due again", func(s *suite) {
		v := s.session(s.exam(), s.dueAfter(0))
		step := v
		step.Version, step.State, step.DueAt = v.Version+1, vigil.StateSubmitted, time.Time{}
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: step, From: v.Version, Command: ptr(s.command(v, vigil.CommandNote))}))
		s.looked("long after", s.look(1000*time.Hour, 10), 0)
		step.Version, step.State, step.DueAt = step.Version+1, vigil.StateActive, s.now // and one that is reopened is
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: step, From: step.Version - 1}))
		s.looked("reopened", s.look(0, 10), leaseTime, step)
	}},
	{"a session that has expired or was erased is not due", func(s *suite) {
		e := s.exam(keep(90, 90, 2, 400))
		s.session(e, s.before(3*day), s.dueAfter(-3*day))
		gone := s.session(e, s.dueAfter(-time.Hour))
		v := s.session(e, s.dueAfter(0))
		must[int](s)(s.EraseUser(s.Context(), e.Issuer, gone.UserID))
		s.looked("leased", s.look(0, 10), leaseTime, v)
	}},
	{"the time is set, moved and taken away, conditional on the version", func(s *suite) {
		v := s.session(s.exam())
		set := func(version int64, at time.Time) error { return s.SetDue(s.Context(), v.ID, version, at) }
		s.code("another version", set(v.Version+1, s.now), vigil.CodeConflict)
		s.code("an unknown session", s.SetDue(s.Context(), "nobody", v.Version, s.now), vigil.CodeNotFound)
		same(s, "session", s.read(v.ID), v)
		s.looked("after a refusal", s.look(time.Hour, 10), 0)

		s.ok(set(v.Version, s.now.Add(time.Second)))
		v.DueAt = s.now.Add(time.Second)
		same(s, "session", s.read(v.ID), v)
		s.looked("before", s.look(0, 10), 0)
		s.looked("leased", s.look(time.Second, 10), time.Second+leaseTime, v)

		s.ok(set(v.Version, s.now.Add(2*time.Second))) // over the lease
		s.looked("sooner than the lease ends", s.look(2*time.Second, 10), 2*time.Second+leaseTime, v)

		s.ok(set(v.Version, time.Time{}))
		v.DueAt = time.Time{}
		same(s, "session", s.read(v.ID), v)
		s.looked("never", s.look(1000*time.Hour, 10), 0)
	}},
}
