package storagetest

import (
	"fmt"
	"slices"
	"time"

	"vigil"
	"vigil/storage"
)

// filledSession has every field set but the tally, which begins at zero.
func filledSession(s *suite, e vigil.Exam) vigil.Session {
	v := fill[vigil.Session](s)
	v.ExamID, v.Tally = e.ID, vigil.Tally{}
	return v
}

var sessions = []behaviour{
	{"every field of a session comes back", func(s *suite) {
		v := filledSession(s, s.exam())
		s.ok(s.CreateSession(s.Context(), v))
		same(s, "by id", s.read(v.ID), v)
		same(s, "by attempt", must[vigil.Session](s)(s.SessionOfAttempt(s.Context(), v.ExamID, v.UserID, v.Attempt)), v)
	}},
	{"a session with nothing but its names comes back", func(s *suite) {
		v := vigil.Session{ID: id(), ExamID: s.exam().ID, UserID: "u", Attempt: 1, Generation: 1, Created: s.now}
		s.ok(s.CreateSession(s.Context(), v))
		same(s, "session", s.read(v.ID), v)
	}},
	{"the tally begins at zero", func(s *suite) {
		v := s.session(s.exam(), func(v *vigil.Session) { v.Tally = vigil.Tally{Signals: 5, Unread: 3} })
		same(s, "tally", s.read(v.ID).Tally, vigil.Tally{})
	}},
	{"a session needs the time of its creation", func(s *suite) {
		e := s.exam()
		s.code("zero time", s.CreateSession(s.Context(), s.newSession(e, func(v *vigil.Session) { v.Created = time.Time{} })), vigil.CodeInvalid)
	}},
	{"an unknown session is not found", func(s *suite) {
		e := s.exam()
		_, err := s.Session(s.Context(), "nobody")
		s.code("by id", err, vigil.CodeNotFound)
		_, err = s.SessionOfAttempt(s.Context(), e.ID, "nobody", 1)
		s.code("by attempt", err, vigil.CodeNotFound)
		s.code("hand", s.SetHand(s.Context(), "nobody", s.now), vigil.CodeNotFound)
		list, next, err := s.SessionsOfExam(s.Context(), "nobody", storage.Page{})
		s.ok(err)
		if len(list) != 0 || next != "" {
			s.Errorf("got %d sessions of no exam, want 0", len(list))
		}
	}},
	{"of fifty first launches of one attempt one creates it", func(s *suite) {
		e := s.exam()
		ids := make([]string, 50)
		winner := s.oneWins(race(50, func(i int) error {
			v := s.newSession(e, func(v *vigil.Session) { v.UserID = "one" })
			ids[i] = v.ID
			return s.CreateSession(s.Context(), v)
		}), vigil.CodeExists)
		if got := must[vigil.Session](s)(s.SessionOfAttempt(s.Context(), e.ID, "one", 1)); got.ID != ids[winner] {
			s.Errorf("got session %q, want the winner's %q", got.ID, ids[winner])
		}
		for i, lost := range ids {
			if _, err := s.Session(s.Context(), lost); i != winner {
				s.code("a loser's session", err, vigil.CodeNotFound)
			}
		}
	}},
	{"an id is taken once", func(s *suite) {
		e := s.exam()
		v := s.session(e)
		s.code("same id", s.CreateSession(s.Context(), s.newSession(e, func(w *vigil.Session) { w.ID = v.ID })), vigil.CodeExists)
		same(s, "the first", s.read(v.ID), v)
	}},
	{"exam, user, attempt and generation each make another session", func(s *suite) {
		e, other := s.exam(), s.exam()
		v := s.session(e)
		for _, edit := range []func(w *vigil.Session){
			func(w *vigil.Session) { w.ExamID = other.ID },
			func(w *vigil.Session) { w.UserID = "another" },
			func(w *vigil.Session) { w.Attempt = 2 },
			func(w *vigil.Session) { w.Generation = 2 },
		} {
			w := v
			w.ID = id()
			edit(&w)
			s.ok(s.CreateSession(s.Context(), w))
		}
	}},
	{"an attempt's session is that of its newest generation", func(s *suite) {
		e := s.exam()
		first := s.session(e)
		second := first.NextGeneration(s.newSession(e, func(v *vigil.Session) { v.UserID = first.UserID }))
		s.ok(s.CreateSession(s.Context(), second))
		same(s, "newest", must[vigil.Session](s)(s.SessionOfAttempt(s.Context(), e.ID, first.UserID, 1)), second)
		if second.Previous != first.ID || second.Generation != 2 {
			s.Errorf("got previous %q generation %d", second.Previous, second.Generation)
		}
		_, err := s.SessionOfAttempt(s.Context(), e.ID, first.UserID, 2)
		s.code("another attempt", err, vigil.CodeNotFound)
		all := pages(s, 10, func(p storage.Page) ([]vigil.Session, string, error) { return s.SessionsOfExam(s.Context(), e.ID, p) })
		same(s, "all generations", all, []vigil.Session{first, second})
	}},
	{"an exam's sessions are listed in order of creation", func(s *suite) {
		e, other := s.exam(), s.exam()
		var want []vigil.Session
		for i := range 7 {
			want = append(want, s.session(e, func(v *vigil.Session) { v.Created = s.now.Add(time.Duration(i) * time.Millisecond) }))
			s.session(other)
		}
		paging(s, "sessions", want, func(p storage.Page) ([]vigil.Session, string, error) { return s.SessionsOfExam(s.Context(), e.ID, p) })
	}},
	{"no page is larger than the largest", func(s *suite) {
		e := s.exam()
		errs := race(storage.MaxPage+1, func(int) error { return s.CreateSession(s.Context(), s.newSession(e)) })
		for _, err := range errs {
			s.ok(err)
		}
		list, next, err := s.SessionsOfExam(s.Context(), e.ID, storage.Page{Limit: 100000})
		s.ok(err)
		if len(list) != storage.MaxPage || next == "" {
			s.Errorf("got a page of %d and next %q, want %d and one", len(list), next, storage.MaxPage)
		}
		list, next, err = s.SessionsOfExam(s.Context(), e.ID, storage.Page{After: next})
		s.ok(err)
		if len(list) != 1 || next != "" {
			s.Errorf("got a last page of %d and next %q, want 1 and none", len(list), next)
		}
	}},
	{"pages neither repeat nor skip what was there when a list is read while it grows", func(s *suite) {
		e := s.exam()
		var want []string
		for range 6 {
			want = append(want, s.session(e).ID)
		}
		var got []string
		calls := 0
		for _, v := range pages(s, 2, func(p storage.Page) ([]vigil.Session, string, error) {
			if calls++; calls == 2 {
				s.session(e)
			}
			return s.SessionsOfExam(s.Context(), e.ID, p)
		}) {
			if slices.Contains(got, v.ID) {
				s.Errorf("got session %q twice", v.ID)
			}
			got = append(got, v.ID)
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				s.Errorf("got no session %q", w)
			}
		}
	}},
	{"a hand is raised and lowered without a new version", func(s *suite) {
		v := s.session(s.exam())
		s.ok(s.SetHand(s.Context(), v.ID, s.now))
		want := v
		want.Tally.Hand = s.now
		same(s, "raised", s.read(v.ID), want)
		s.ok(s.SetHand(s.Context(), v.ID, time.Time{}))
		same(s, "lowered", s.read(v.ID), v)
	}},
	{"a monitor is stored without a new version, and a transition leaves it", func(s *suite) {
		v := s.session(s.exam())
		v.Monitor = fill[vigil.Monitor](s)
		s.ok(s.SetMonitor(s.Context(), v.ID, v.Monitor))
		same(s, "session", s.read(v.ID), v)
		next, err := v.Apply(vigil.Change{Event: vigil.EventConsent, At: s.now})
		s.ok(err)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version}))
		same(s, "monitor after a transition", s.read(v.ID).Monitor, v.Monitor)
		v.Monitor = vigil.Monitor{}
		s.ok(s.SetMonitor(s.Context(), v.ID, v.Monitor))
		same(s, "none", s.read(v.ID).Monitor, v.Monitor)
		s.code("unknown", s.SetMonitor(s.Context(), "nobody", v.Monitor), vigil.CodeNotFound)
	}},
	{"what is written is read at once, by everybody", func(s *suite) {
		e := s.exam()
		for _, err := range race(20, func(i int) error {
			v := s.newSession(e)
			if err := s.CreateSession(s.Context(), v); err != nil {
				return err
			}
			for n := range 5 {
				at := s.now.Add(time.Duration(i*10+n+1) * time.Second)
				if err := s.SetHand(s.Context(), v.ID, at); err != nil {
					return err
				}
				got, err := s.Session(s.Context(), v.ID)
				if err != nil {
					return err
				}
				if !got.Tally.Hand.Equal(at) {
					return fmt.Errorf("got hand %v, want %v", got.Tally.Hand, at)
				}
			}
			return nil
		}) {
			s.ok(err)
		}
	}},
}

var presence = []behaviour{
	{"every field of a presence comes back and the version stays", func(s *suite) {
		v := s.session(s.exam())
		v.Presence = fill[vigil.Presence](s)
		s.ok(s.SetPresence(s.Context(), v.ID, v.Presence))
		same(s, "session", s.read(v.ID), v)
		s.code("unknown", s.SetPresence(s.Context(), "nobody", v.Presence), vigil.CodeNotFound)
	}},
	{"the highest epoch owns the session", func(s *suite) {
		v := s.session(s.exam())
		newer := vigil.Presence{Connection: vigil.ConnOnline, Since: s.now, Heard: s.now, Epoch: 2, Node: "b"}
		s.ok(s.SetPresence(s.Context(), v.ID, newer))
		s.code("an older one", s.SetPresence(s.Context(), v.ID, vigil.Presence{Connection: vigil.ConnClosed, Epoch: 1}), vigil.CodeConflict)
		same(s, "presence", s.read(v.ID).Presence, newer)
		newer.Connection = vigil.ConnLost
		s.ok(s.SetPresence(s.Context(), v.ID, newer)) // the same epoch
		same(s, "presence", s.read(v.ID).Presence, newer)
	}},
	{"within an epoch the later presence is kept", func(s *suite) {
		v := s.session(s.exam())
		late := vigil.Presence{Connection: vigil.ConnLost, Since: s.now, Heard: s.now, Epoch: 2, Node: "a"}
		s.ok(s.SetPresence(s.Context(), v.ID, late))
		newer := late
		newer.Connection, newer.Since = vigil.ConnOnline, late.Since.Add(time.Millisecond)
		s.ok(s.SetPresence(s.Context(), v.ID, newer))
		s.code("one that comes late", s.SetPresence(s.Context(), v.ID, late), vigil.CodeConflict)
		same(s, "presence", s.read(v.ID).Presence, newer)
		s.ok(s.SetPresence(s.Context(), v.ID, newer)) // once more
		same(s, "presence", s.read(v.ID).Presence, newer)
		next := vigil.Presence{Connection: vigil.ConnOnline, Since: late.Since.Add(-time.Minute), Epoch: 3, Node: "b"} // by a clock behind
		s.ok(s.SetPresence(s.Context(), v.ID, next))
		same(s, "presence", s.read(v.ID).Presence, next)
	}},
	{"of many presences at once the highest epoch is left", func(s *suite) {
		v := s.session(s.exam())
		for i, err := range race(50, func(i int) error {
			return s.SetPresence(s.Context(), v.ID, vigil.Presence{Connection: vigil.ConnOnline, Epoch: int64(i + 1)})
		}) {
			if err != nil {
				s.code(fmt.Sprint("epoch ", i+1), err, vigil.CodeConflict)
			}
		}
		if got := s.read(v.ID).Presence.Epoch; got != 50 {
			s.Errorf("got epoch %d, want 50", got)
		}
	}},
	{"an epoch is given out once", func(s *suite) {
		v := s.session(s.exam())
		epochs := make([]int64, 50)
		for _, err := range race(50, func(i int) (err error) { epochs[i], err = s.NextEpoch(s.Context(), v.ID); return err }) {
			s.ok(err)
		}
		slices.Sort(epochs)
		if len(slices.Compact(epochs)) != 50 || epochs[0] < 1 {
			s.Errorf("got epochs %v, want 50 different ones from 1", epochs)
		}
		_, err := s.NextEpoch(s.Context(), "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
	}},
	{"an epoch is above all that were stored", func(s *suite) {
		v := s.session(s.exam())
		s.ok(s.SetPresence(s.Context(), v.ID, vigil.Presence{Epoch: 40}))
		if got := must[int64](s)(s.NextEpoch(s.Context(), v.ID)); got <= 40 {
			s.Errorf("got epoch %d, want more than 40", got)
		}
	}},
	{"a node's connected sessions are those that are online, degraded or navigating there", func(s *suite) {
		e := s.exam()
		var want []vigil.Session
		for _, c := range []vigil.Connection{
			vigil.ConnNever, vigil.ConnOnline, vigil.ConnNavigating, vigil.ConnDegraded, vigil.ConnLost, vigil.ConnSuperseded, vigil.ConnClosed, vigil.ConnOnline,
		} {
			v := s.session(e)
			v.Presence = vigil.Presence{Connection: c, Since: s.now, Heard: s.now, Epoch: 1, Node: "here"}
			s.ok(s.SetPresence(s.Context(), v.ID, v.Presence))
			if c == vigil.ConnOnline || c == vigil.ConnNavigating || c == vigil.ConnDegraded {
				want = append(want, v)
			}
			other := s.session(e)
			s.ok(s.SetPresence(s.Context(), other.ID, vigil.Presence{Connection: c, Epoch: 1, Node: "there"}))
		}
		paging(s, "connected", want, func(p storage.Page) ([]vigil.Session, string, error) { return s.Connected(s.Context(), "here", p) })
		if got, _, err := s.Connected(s.Context(), "nowhere", storage.Page{}); err != nil || len(got) != 0 {
			s.Errorf("got %d sessions on no node (%v), want 0", len(got), err)
		}
	}},
}
