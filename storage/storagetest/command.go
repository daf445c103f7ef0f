package storagetest

import (
	"time"

	"vigil"
	"vigil/storage"
)

// store stores a command, without changing the session.
func (s *suite) store(v vigil.Session, c vigil.Command) vigil.Command {
	s.Helper()
	s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c}))
	return c
}

var commands = []behaviour{
	{"every field of a command comes back", func(s *suite) {
		v := s.session(s.exam())
		c := fill[vigil.Command](s)
		c.SessionID, c.ExamID = v.ID, v.ExamID
		s.store(v, c)
		same(s, "command", must[vigil.Command](s)(s.Command(s.Context(), v.ID, c.ID)), c)
		_, err := s.Command(s.Context(), v.ID, "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
		_, err = s.Command(s.Context(), "nobody", c.ID)
		s.code("of an unknown session", err, vigil.CodeNotFound)
	}},
	{"an update writes stage, problem, times and the platform's answer, and nothing else", func(s *suite) {
		v := s.session(s.exam())
		c := s.store(v, s.command(v, vigil.CommandMessage))
		next := fill[vigil.Command](s)
		next.ID, next.SessionID, next.Stage = c.ID, v.ID, vigil.StageDelivered
		s.ok(s.UpdateCommand(s.Context(), next))
		c.Stage, c.Problem, c.Delivered, c.Seen, c.LMS = next.Stage, next.Problem, next.Delivered, next.Seen, next.LMS
		same(s, "command", must[vigil.Command](s)(s.Command(s.Context(), v.ID, c.ID)), c)
		next.ID = "nobody"
		s.code("unknown", s.UpdateCommand(s.Context(), next), vigil.CodeNotFound)
	}},
	{"a stage never goes back, a refusal may follow any, and the rest is written", func(s *suite) {
		v := s.session(s.exam())
		c := s.store(v, s.command(v, vigil.CommandWarn))
		for _, step := range []struct{ to, want vigil.Stage }{
			{vigil.StageQueued, vigil.StageQueued},
			{vigil.StageDelivered, vigil.StageDelivered},
			{vigil.StageQueued, vigil.StageDelivered},
			{vigil.StageSeen, vigil.StageSeen},
			{vigil.StageDelivered, vigil.StageSeen},
			{vigil.StageDone, vigil.StageSeen},
			{vigil.StageRefused, vigil.StageRefused},
			{vigil.StageSeen, vigil.StageRefused},
		} {
			c.Stage, c.LMS.State, c.LMS.Status = step.to, vigil.LMSAccepted, string(step.to)
			s.ok(s.UpdateCommand(s.Context(), c))
			got := must[vigil.Command](s)(s.Command(s.Context(), v.ID, c.ID))
			if got.Stage != step.want || got.LMS.Status != string(step.to) {
				s.Errorf("to %s: got stage %q status %q, want %q and the rest written", step.to, got.Stage, got.LMS.Status, step.want)
			}
		}
	}},
	{"what an update does not know is left as it is", func(s *suite) {
		v := s.session(s.exam())
		c := s.store(v, s.command(v, vigil.CommandExtend))
		full := fill[vigil.Command](s)
		full.ID, full.SessionID, full.Stage, full.LMS.State = c.ID, v.ID, vigil.StageDelivered, vigil.LMSRefused
		s.ok(s.UpdateCommand(s.Context(), full))
		for _, state := range []vigil.LMSState{"", vigil.LMSNone, vigil.LMSWaiting} {
			less := vigil.Command{ID: c.ID, SessionID: v.ID, Stage: vigil.StageSeen, LMS: vigil.LMSAnswer{State: state}}
			s.ok(s.UpdateCommand(s.Context(), less))
		}
		c.Stage, c.Problem, c.Delivered, c.Seen, c.LMS = vigil.StageSeen, full.Problem, full.Delivered, full.Seen, full.LMS
		same(s, "command", must[vigil.Command](s)(s.Command(s.Context(), v.ID, c.ID)), c)
	}},
	{"of updates at once the furthest stage is left", func(s *suite) {
		v := s.session(s.exam())
		c := s.store(v, s.command(v, vigil.CommandWarn))
		for _, err := range race(40, func(i int) error {
			u := c
			u.Stage = []vigil.Stage{vigil.StageQueued, vigil.StageDelivered, vigil.StageSeen, vigil.StageDelivered}[i%4]
			return s.UpdateCommand(s.Context(), u)
		}) {
			s.ok(err)
		}
		if got := must[vigil.Command](s)(s.Command(s.Context(), v.ID, c.ID)); got.Stage != vigil.StageSeen {
			s.Errorf("got stage %q, want seen", got.Stage)
		}
	}},
	{"commands are listed by session, and by exam from a time on", func(s *suite) {
		e, other := s.exam(), s.exam()
		a, b, c := s.session(e), s.session(e), s.session(other)
		var ofExam, ofA []vigil.Command
		for i := range 6 {
			v := a
			if i%2 == 1 {
				v = b
			}
			cmd := s.command(v, vigil.CommandNote)
			cmd.At = s.now.Add(time.Duration(i/2) * time.Second) // two at each time
			s.store(v, cmd)
			s.store(c, s.command(c, vigil.CommandNote))
			ofExam = append(ofExam, cmd)
			if v.ID == a.ID {
				ofA = append(ofA, cmd)
			}
		}
		paging(s, "of session", ofA, func(p storage.Page) ([]vigil.Command, string, error) {
			return s.CommandsOfSession(s.Context(), a.ID, p)
		})
		for n, since := range []time.Time{{}, s.now.Add(time.Second), s.now.Add(2 * time.Second), s.now.Add(time.Hour)} {
			want := [][]vigil.Command{ofExam, ofExam[2:], ofExam[4:], nil}[n]
			paging(s, "of exam", want, func(p storage.Page) ([]vigil.Command, string, error) {
				return s.CommandsOfExam(s.Context(), e.ID, since, p)
			})
		}
	}},
}

// lease leases what is due after some time.
func (s *suite) lease(owner string, after time.Duration, n int) []vigil.Delivery {
	s.Helper()
	out, err := s.LeaseDeliveries(s.Context(), owner, s.now.Add(after), n)
	s.ok(err)
	return out
}

// leased checks which entries a lease gave, and that they are the owner's.
func (s *suite) leased(what string, got []vigil.Delivery, owner string, want ...vigil.Delivery) {
	s.Helper()
	names := map[string]bool{}
	for _, d := range got {
		names[d.ID] = true
		if d.LeaseOwner != owner || d.LeaseEnds.IsZero() {
			s.Errorf("%s: got owner %q until %v, want %q", what, d.LeaseOwner, d.LeaseEnds, owner)
		}
	}
	for _, d := range want {
		if !names[d.ID] {
			s.Errorf("%s: a delivery is missing", what)
		}
	}
	if len(got) != len(want) {
		s.Fatalf("%s: got %d deliveries, want %d", what, len(got), len(want))
	}
}

var deliveries = []behaviour{
	{"every field of a delivery comes back", func(s *suite) {
		v := s.session(s.exam())
		c := s.command(v, vigil.CommandPause)
		d := fill[vigil.Delivery](s)
		d.SessionID, d.ExamID, d.State, d.LeaseOwner, d.LeaseEnds = v.ID, v.ExamID, vigil.DeliveryWaiting, "", time.Time{}
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
		now := d.NextTry
		got := must[[]vigil.Delivery](s)(s.LeaseDeliveries(s.Context(), "n", now, 10))
		d.LeaseOwner, d.LeaseEnds = "n", now.Add(vigil.DeliveryLease)
		same(s, "delivery", got, []vigil.Delivery{d})
	}},
	{"nothing is due before its time", func(s *suite) {
		v := s.session(s.exam())
		d := s.give(v, s.command(v, vigil.CommandPause))
		s.leased("before", s.lease("n", -time.Millisecond, 10), "n")
		s.leased("none wanted", s.lease("n", 0, 0), "n")
		s.leased("in time", s.lease("n", 0, 10), "n", d)
		_, err := s.LeaseDeliveries(s.Context(), "", s.now, 10)
		s.code("no owner", err, vigil.CodeInvalid)
	}},
	{"of many callers one leases an entry", func(s *suite) {
		e := s.exam()
		want := map[string]bool{}
		for range 20 {
			v := s.session(e)
			want[s.give(v, s.command(v, vigil.CommandPause)).ID] = true
		}
		got := make([][]vigil.Delivery, 50)
		for _, err := range race(50, func(i int) (err error) {
			got[i], err = s.LeaseDeliveries(s.Context(), id(), s.now, 3)
			return err
		}) {
			s.ok(err)
		}
		seen := map[string]int{}
		for _, part := range got {
			if len(part) > 3 {
				s.Errorf("got %d, want at most 3", len(part))
			}
			for _, d := range part {
				seen[d.ID]++
			}
		}
		for d := range want {
			if seen[d] != 1 {
				s.Errorf("got an entry leased %d times, want once", seen[d])
			}
		}
	}},
	{"a session's entries are sent one after the other", func(s *suite) {
		e := s.exam()
		v, other := s.session(e), s.session(e)
		first := s.give(v, s.command(v, vigil.CommandPause))
		second := s.give(v, s.command(v, vigil.CommandResume))
		elsewhere := s.give(other, s.command(other, vigil.CommandPause))
		got := s.lease("n", 0, 10)
		s.leased("the oldest of each", got, "n", first, elsewhere)
		s.leased("while it is leased", s.lease("m", 0, 10), "m")
		for _, d := range got {
			if d.ID == first.ID {
				first = d
			}
		}
		settled, answer := first.Settle(vigil.Result{State: vigil.LMSFailed, Retry: true}, true, s.now)
		if answer.State != vigil.LMSWaiting {
			s.Fatalf("got answer %q, want waiting", answer.State)
		}
		s.ok(s.SaveDelivery(s.Context(), settled, "n"))
		s.leased("while it waits for another try", s.lease("m", 0, 10), "m")
		again := s.lease("m", vigil.FirstRetry, 10)
		s.leased("another try", again, "m", first)
		if again[0].Tries != 1 || again[0].Sent {
			s.Errorf("got %d tries, sent %v, want 1 and not", again[0].Tries, again[0].Sent)
		}
		done, _ := again[0].Settle(vigil.Result{State: vigil.LMSAccepted}, true, s.now)
		s.ok(s.SaveDelivery(s.Context(), done, "m"))
		s.leased("the next", s.lease("m", 0, 10), "m", second)
	}},
	{"a session's entries go by the version that queued them, whatever clocks made their ids", func(s *suite) {
		v := s.session(s.exam())
		queue := func(at time.Duration, action string) vigil.Delivery {
			s.Helper()
			c := s.command(v, vigil.CommandFlag)
			d := s.delivery(v, c)
			d.ID, d.Action, d.Version = idAt(s.now.Add(at)), action, v.Version+1
			next := v
			next.Version++
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: next, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
			v = next
			return d
		}
		want := []vigil.Delivery{
			queue(3*time.Second, vigil.ActionPause), // by a node whose clock is ahead
			queue(time.Second, vigil.ActionResume),
			queue(-time.Second, vigil.ActionTerminate),
		}
		// Two of one step go by their ids.
		c := s.command(v, vigil.CommandNote)
		late, early := s.delivery(v, c), s.delivery(v, c)
		late.ID, early.ID, late.Version, early.Version = idAt(s.now.Add(2*time.Second)), idAt(s.now), v.Version+1, v.Version+1
		s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{late, early}}))
		want = append(want, early, late)
		same(s, "waiting", s.stands(v).Deliveries, want)
		for _, d := range want {
			got := s.lease("n", 0, 10)
			s.leased(d.Action, got, "n", d)
			done, _ := got[0].Settle(vigil.Result{State: vigil.LMSAccepted}, true, s.now)
			s.ok(s.SaveDelivery(s.Context(), done, "n"))
		}
		s.leased("no more", s.lease("n", time.Hour, 10), "n")
	}},
	{"an entry whose lease ended without a result comes marked as sent", func(s *suite) {
		v := s.session(s.exam())
		d := s.give(v, s.command(v, vigil.CommandPause))
		s.leased("first", s.lease("dead", 0, 10), "dead", d)
		s.leased("before the lease's end", s.lease("n", vigil.DeliveryLease-time.Millisecond, 10), "n")
		got := s.lease("n", vigil.DeliveryLease, 10)
		s.leased("after it", got, "n", d)
		if !got[0].Sent {
			s.Error("got an abandoned entry that is not marked as sent")
		}
		late, _ := got[0].Settle(vigil.Result{State: vigil.LMSAccepted}, true, s.now)
		s.code("the dead one's result", s.SaveDelivery(s.Context(), late, "dead"), vigil.CodeConflict)
		s.ok(s.SaveDelivery(s.Context(), late, "n"))
		s.leased("answered", s.lease("n", time.Hour, 10), "n")
	}},
	{"an entry saved with its lease keeps it, and the minutes that it is sent with", func(s *suite) {
		v := s.session(s.exam())
		s.give(v, s.command(v, vigil.CommandPause))
		got := s.lease("n", 0, 10)
		got[0].ExtraMinutes = 7
		s.ok(s.SaveDelivery(s.Context(), got[0], "n"))
		s.leased("while the lease lasts", s.lease("m", vigil.DeliveryLease-time.Millisecond, 10), "m")
		again := s.lease("m", vigil.DeliveryLease, 10)
		if len(again) != 1 || again[0].ExtraMinutes != 7 || !again[0].Sent {
			s.Errorf("got %+v, want 7 minutes, marked as sent", again)
		}
	}},
	{"a result is saved once, and late if nobody else has taken the entry", func(s *suite) {
		v := s.session(s.exam())
		s.give(v, s.command(v, vigil.CommandPause))
		got := s.lease("n", 0, 10)
		done, _ := got[0].Settle(vigil.Result{State: vigil.LMSAccepted}, true, s.now.Add(time.Hour))
		s.code("not the owner", s.SaveDelivery(s.Context(), done, "m"), vigil.CodeConflict)
		s.code("nobody", s.SaveDelivery(s.Context(), done, ""), vigil.CodeConflict)
		s.ok(s.SaveDelivery(s.Context(), done, "n"))
		s.code("again", s.SaveDelivery(s.Context(), done, "n"), vigil.CodeConflict)
		done.ID = "nobody"
		s.code("unknown", s.SaveDelivery(s.Context(), done, "n"), vigil.CodeNotFound)
	}},
	{"how many entries wait, and since when, counts what is leased and what waits for another try", func(s *suite) {
		e := s.exam()
		waits := func(want int, since time.Time) {
			s.Helper()
			n, oldest, err := s.WaitingDeliveries(s.Context())
			s.ok(err)
			if n != want || !oldest.Equal(since) {
				s.Errorf("got %d since %v, want %d since %v", n, oldest, want, since)
			}
		}
		waits(0, time.Time{})
		var all []vigil.Delivery
		for i := range 3 {
			v := s.session(e)
			c := s.command(v, vigil.CommandPause)
			d := s.delivery(v, c)
			d.Created = s.now.Add(time.Duration(i) * time.Second)
			d.ID = idAt(d.Created)
			s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
			all = append(all, d)
		}
		waits(3, s.now)
		got := s.lease("n", time.Minute, 10)
		waits(3, s.now)
		for i, state := range []vigil.LMSState{vigil.LMSAccepted, vigil.LMSFailed, vigil.LMSFailed} {
			settled, _ := got[i].Settle(vigil.Result{State: state, Retry: true}, true, s.now)
			s.ok(s.SaveDelivery(s.Context(), settled, "n"))
		}
		waits(2, all[1].Created)
	}},
}
