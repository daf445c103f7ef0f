package storagetest

import (
	"fmt"

	"vigil"
	"vigil/storage"
)

var transitions = []behaviour{
	{"a transition writes every field but names, creation, groups, presence, tally and monitor", func(s *suite) {
		v := s.session(s.exam())
		next := fill[vigil.Session](s)
		next.ID, next.Version = v.ID, v.Version+2
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version}))
		next.ExamID, next.UserID, next.Attempt, next.Generation, next.Previous = v.ExamID, v.UserID, v.Attempt, v.Generation, v.Previous
		next.Created, next.Presence, next.Tally, next.Monitor = v.Created, v.Presence, v.Tally, v.Monitor
		next.Groups, next.GroupsVersion = v.Groups, v.GroupsVersion
		same(s, "session", s.read(v.ID), next)
	}},
	{"presence and tally do not disturb a transition", func(s *suite) {
		v := s.session(s.exam())
		s.ok(s.SetPresence(s.Context(), v.ID, vigil.Presence{Connection: vigil.ConnOnline, Heard: s.now, Epoch: 3, Node: "n"}))
		must[[]storage.Appended](s)(s.AppendSignals(s.Context(), []vigil.Signal{s.signal(v, 1)}))
		next, err := v.Apply(vigil.Change{Event: vigil.EventConsent, At: s.now})
		s.ok(err)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version}))
		got := s.read(v.ID)
		if got.State != vigil.StateReady || got.Presence.Epoch != 3 || got.Tally.Signals != 1 {
			s.Errorf("got state %q epoch %d signals %d, want ready, 3, 1", got.State, got.Presence.Epoch, got.Tally.Signals)
		}
	}},
	{"of many transitions from one version one wins, with its command and delivery only", func(s *suite) {
		v := s.session(s.exam())
		commands := make([]vigil.Command, 50)
		winner := s.oneWins(race(50, func(i int) error {
			next := v
			next.Version, next.Reason = v.Version+1, fmt.Sprint(i)
			commands[i] = s.command(v, vigil.CommandPause)
			d := s.delivery(v, commands[i])
			return s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version, Command: &commands[i], Deliveries: []vigil.Delivery{d}})
		}), vigil.CodeConflict)
		if got := s.read(v.ID); got.Reason != fmt.Sprint(winner) || got.Version != v.Version+1 {
			s.Errorf("got reason %q version %d, want the winner's", got.Reason, got.Version)
		}
		got := pages(s, 10, func(p storage.Page) ([]vigil.Command, string, error) {
			return s.CommandsOfSession(s.Context(), v.ID, p)
		})
		same(s, "commands", got, commands[winner:winner+1])
		due := must[[]vigil.Delivery](s)(s.LeaseDeliveries(s.Context(), "n", s.now, 100))
		if len(due) != 1 || due[0].CommandID != commands[winner].ID {
			s.Errorf("got %d deliveries, want the winner's", len(due))
		}
	}},
	{"a lost race leaves nothing behind", func(s *suite) {
		v := s.session(s.exam())
		c := s.command(v, vigil.CommandPause)
		d := s.delivery(v, c)
		next := v
		next.Version = v.Version + 5
		s.code("transition", s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version + 4, Command: &c, Deliveries: []vigil.Delivery{d}}), vigil.CodeConflict)
		same(s, "session", s.read(v.ID), v)
		_, err := s.Command(s.Context(), v.ID, c.ID)
		s.code("command", err, vigil.CodeNotFound)
		if due := must[[]vigil.Delivery](s)(s.LeaseDeliveries(s.Context(), "n", s.now, 100)); len(due) != 0 {
			s.Errorf("got %d deliveries, want 0", len(due))
		}
	}},
	{"a repeated command changes nothing, whatever the version", func(s *suite) {
		v := s.session(s.exam())
		c := s.command(v, vigil.CommandPause)
		next := v
		next.Version, next.Reason = v.Version+1, "first"
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version, Command: &c}))
		for _, from := range []int64{v.Version, next.Version} {
			again := next
			again.Version, again.Reason = from+1, "again"
			d := s.delivery(v, c)
			s.code("again", s.Transition(s.Context(), vigil.Transition{Session: again, From: from, Command: &c, Deliveries: []vigil.Delivery{d}}), vigil.CodeExists)
		}
		same(s, "session", s.read(v.ID), next)
		if due := must[[]vigil.Delivery](s)(s.LeaseDeliveries(s.Context(), "n", s.now, 100)); len(due) != 0 {
			s.Errorf("got %d deliveries, want 0", len(due))
		}
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: s.read(v.ID), From: next.Version, Command: ptr(s.command(v, vigil.CommandNote))}))
	}},
	{"one command id may be given to two sessions", func(s *suite) {
		e := s.exam()
		a, b := s.session(e), s.session(e)
		c := s.command(a, vigil.CommandMessage)
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: a, From: a.Version, Command: &c}))
		c.SessionID = b.ID
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: b, From: b.Version, Command: &c}))
	}},
	{"of a command that is given many times at once one is stored", func(s *suite) {
		v := s.session(s.exam())
		c := s.command(v, vigil.CommandMessage)
		s.oneWins(race(50, func(int) error {
			return s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c})
		}), vigil.CodeExists)
	}},
	{"a command that does not change the session is still conditional", func(s *suite) {
		v := s.session(s.exam())
		c := s.command(v, vigil.CommandMessage)
		stale := v
		stale.Reason = "must not be written"
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: stale, From: v.Version, Command: &c}))
		same(s, "session", s.read(v.ID), v)
		c = s.command(v, vigil.CommandMessage)
		stale.Version = 99
		s.code("another version", s.Transition(s.Context(), vigil.Transition{Session: stale, From: 99, Command: &c}), vigil.CodeConflict)
	}},
	{"a transition of an unknown session is not found", func(s *suite) {
		v := s.newSession(s.exam())
		next := v
		next.Version++
		s.code("unknown", s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version}), vigil.CodeNotFound)
	}},
	{"a session's grants and pauses come back as often as they change", func(s *suite) {
		v := s.session(s.exam())
		for range 3 {
			from := v.Version
			v.Version, v.Grants, v.Pauses = from+1, fill[vigil.Session](s).Grants, append(v.Pauses, fill[vigil.Pause](s))
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: from}))
			same(s, "session", s.read(v.ID), v)
		}
		from := v.Version
		v.Version, v.Grants, v.Pauses = from+1, nil, nil
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: from}))
		same(s, "none", s.read(v.ID), v)
	}},
	{"a version never goes back", func(s *suite) {
		v := s.session(s.exam(), func(v *vigil.Session) { v.Version = 5 })
		back := v
		back.Version = 4
		s.code("back", s.Transition(s.Context(), vigil.Transition{Session: back, From: 5}), vigil.CodeInvalid)
		same(s, "session", s.read(v.ID), v)
	}},
}

func ptr[T any](v T) *T { return &v }
