package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Store is what dashboards need of the storage; package storage states the contract of each method. All of
// it may be slow or fail: no lock is held while it is asked.
type Store interface {
	Exam(ctx context.Context, id string) (vigil.Exam, error)
	Session(ctx context.Context, id string) (vigil.Session, error)
	SessionsOfExam(ctx context.Context, examID string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	Access(ctx context.Context, examID, userID string) (vigil.Access, error)
	AccessOfExam(ctx context.Context, examID string, page vigil.Page) (records []vigil.Access, next string, err error)
	CommandsOfExam(ctx context.Context, examID string, since time.Time, page vigil.Page) (commands []vigil.Command, next string, err error)
	GapsOfExam(ctx context.Context, examID string, page vigil.Page) (gaps []vigil.Gap, next string, err error)
	AddChat(ctx context.Context, l vigil.ChatLine) error
	ReadChat(ctx context.Context, sessionID string) error
	SetHand(ctx context.Context, sessionID string, at time.Time) error
}

// UseCases change sessions for proctors; session.Service is it.
type UseCases interface {
	Command(ctx context.Context, examID string, by vigil.Actor, access func() vigil.Access, c protocol.CommandUp) ([]protocol.Progress, error)
	LostTime(ctx context.Context, examID string, by vigil.Actor, access func() vigil.Access, l protocol.LostTimeUp) ([]protocol.Progress, error)
}

// Live is what dashboards ask of the students' side.
type Live interface {
	// Overlay puts what this node knows better than the store into a session that was read, and tells
	// the page that its student is on; 0: that is not known.
	Overlay(s *vigil.Session) (page int)
	// ToStudent gives frames to a session's student, on whatever node it is.
	ToStudent(exam, session string, frames []json.RawMessage)
	// StoredLine reads a line of a session's chat.
	StoredLine(ctx context.Context, session, id string) (protocol.ChatDown, error)
	// Recount reads a session's counts and tells them; RetellLater tells all of a session when the
	// store answers.
	Recount(ctx context.Context, session string) error
	RetellLater(session string)
	// Saving tells whether signals can be stored, as far as is known.
	Saving() bool
}

// Env is what the boards of a node share. All of it must be given, but for Allow and Send.
type Env struct {
	Store    Store
	UseCases UseCases
	Live     Live
	Now      func() time.Time // in UTC and whole milliseconds
	Log      *slog.Logger
	Tasks    *tasks.Group
	Counters *socket.Counters
	Liveness vigil.Liveness

	// Allow is asked before each renewal of a token; nil: nothing more is asked.
	Allow func(ctx context.Context, c vigil.SocketClaims, origin string) error
	// Noted is told what became of reading what a proctor may see and do.
	Noted func(began time.Time, err error)
	// Send gives a payload to the other nodes; nil: there are none.
	Send func(exam string, payload []byte)

	RetryMost time.Duration // until a snapshot that failed is tried again
	Proctors  int           // dashboards of an exam on this node at most
	Rows      int           // of a snapshot's page

	Behind    atomic.Int64 // times that a proctor was too slow and got a fresh snapshot
	snapshots atomic.Int64
}

// Relay gives a delta to the exam's dashboards on the other nodes.
func (e *Env) Relay(exam string, d Delta) {
	if e.Send != nil {
		e.Send(exam, AppendDelta(make([]byte, 0, d.size()+1), d))
	}
}
