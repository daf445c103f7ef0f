package storagetest

import (
	"time"

	"vigil"
)

// raw is the store's search through everything.
func (s *suite) raw() Raw {
	s.Helper()
	r, ok := s.Store.(Raw)
	if !ok {
		s.Fatalf("got a store %T, want one that can be searched", s.Store)
	}
	return r
}

// platform stores an active platform.
func (s *suite) platform() vigil.Platform {
	s.Helper()
	p := vigil.Platform{
		ID: id(), Issuer: "https://lms.example", ClientID: id(), Name: "LMS", State: vigil.PlatformActive,
		Created: s.now, Updated: s.now, Version: 1,
	}
	s.ok(s.CreatePlatform(s.Context(), p))
	return p
}

// exam stores an exam with the default policy, changed by edits.
func (s *suite) exam(edits ...func(e *vigil.Exam)) vigil.Exam {
	s.Helper()
	e := vigil.Exam{
		ID: id(), Title: "Quiz", Issuer: "https://lms.example", ContextID: "course-1", Course: "Course",
		Policy: vigil.DefaultPolicy(), Created: s.now, Version: 1,
	}
	for _, edit := range edits {
		edit(&e)
	}
	s.ok(s.CreateExam(s.Context(), e))
	return e
}

// newSession is a session that is not stored yet.
func (s *suite) newSession(e vigil.Exam, edits ...func(v *vigil.Session)) vigil.Session {
	v := vigil.Session{
		ID: id(), ExamID: e.ID, UserID: "user-" + id(), Attempt: 1, Generation: 1, State: vigil.StateCreated, Version: 1,
		Created: s.now, Changed: s.now, Presence: vigil.Presence{Connection: vigil.ConnNever},
	}
	for _, edit := range edits {
		edit(&v)
	}
	return v
}

// session stores one.
func (s *suite) session(e vigil.Exam, edits ...func(v *vigil.Session)) vigil.Session {
	s.Helper()
	v := s.newSession(e, edits...)
	s.ok(s.CreateSession(s.Context(), v))
	return v
}

// read reads a session.
func (s *suite) read(id string) vigil.Session {
	s.Helper()
	v, err := s.Session(s.Context(), id)
	s.ok(err)
	return v
}

const stream = "stream-0123456789"

// signal is one of a session that is not stored yet; it came i milliseconds after the start.
func (s *suite) signal(v vigil.Session, seq int64, edits ...func(g *vigil.Signal)) vigil.Signal {
	g := vigil.Signal{
		SessionID: v.ID, ExamID: v.ExamID, Stream: stream, Seq: seq, Kind: vigil.KindBlur, Severity: 0.1,
		At: s.now.Add(-time.Second), Duration: 3 * time.Second, Received: s.now.Add(time.Duration(seq%100_000) * time.Millisecond),
		Data: []byte(`{"length":1}`),
	}
	for _, edit := range edits {
		edit(&g)
	}
	return g
}

// serious makes a signal an incident.
func serious(severity float64, k vigil.Kind) func(g *vigil.Signal) {
	return func(g *vigil.Signal) { g.Severity, g.Kind, g.Incident = severity, k, true }
}

// command is one of a session that is not stored yet.
func (s *suite) command(v vigil.Session, kind vigil.CommandKind) vigil.Command {
	return vigil.Command{
		ID: id(), SessionID: v.ID, ExamID: v.ExamID, Kind: kind, Text: "why", By: vigil.Actor{Role: vigil.RoleProctor, ID: "p|1", Name: "Pat"},
		At: s.now, Stage: vigil.StageQueued, LMS: vigil.LMSAnswer{State: vigil.LMSNone},
	}
}

// give stores a command with a delivery, without changing the session.
func (s *suite) give(v vigil.Session, c vigil.Command) vigil.Delivery {
	s.Helper()
	d := s.delivery(v, c)
	s.ok(s.Transition(s.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
	return d
}

func (s *suite) delivery(v vigil.Session, c vigil.Command) vigil.Delivery {
	return vigil.Delivery{
		ID: id(), SessionID: v.ID, ExamID: v.ExamID, CommandID: c.ID, Action: vigil.ActionPause, IncidentTime: s.now,
		State: vigil.DeliveryWaiting, Created: s.now, NextTry: s.now,
	}
}

// line is a chat line that is not stored yet.
func (s *suite) line(v vigil.Session, role vigil.Role, at time.Time) vigil.ChatLine {
	return vigil.ChatLine{ID: id(), SessionID: v.ID, ExamID: v.ExamID, From: vigil.Actor{Role: role, ID: "p|2"}, Text: "hello", At: at}
}
