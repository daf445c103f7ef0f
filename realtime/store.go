package realtime

import (
	"context"
	"time"

	"vigil"
)

// Store is what the hub needs of the storage; package storage states the contract of
// each method. All of it may be slow or fail: the hub never holds a lock while it waits.
type Store interface {
	ExamStore
	SessionStore
	SignalStore
	GapStore
	CommandStore
	ChatStore
	NodeStore
	RecordStore
	AccessStore

	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
}

// ExamStore reads exams.
type ExamStore interface {
	Exam(ctx context.Context, id string) (vigil.Exam, error)
}

// SessionStore reads and moves sessions.
type SessionStore interface {
	Session(ctx context.Context, id string) (vigil.Session, error)
	SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error)
	SessionsOfExam(ctx context.Context, examID string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	Transition(ctx context.Context, t vigil.Transition) error
	SetPresence(ctx context.Context, sessionID string, p vigil.Presence) error
	NextEpoch(ctx context.Context, sessionID string) (int64, error)
	Connected(ctx context.Context, node string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	SetMonitor(ctx context.Context, sessionID string, m vigil.Monitor) error
	SetHand(ctx context.Context, sessionID string, at time.Time) error
	LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error)
	SetDue(ctx context.Context, sessionID string, version int64, at time.Time) error
	SetGroups(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error
}

// AccessStore reads what proctors may see and do.
type AccessStore interface {
	Access(ctx context.Context, examID, userID string) (vigil.Access, error)
	AccessOfExam(ctx context.Context, examID string, page vigil.Page) (records []vigil.Access, next string, err error)
}

// SignalStore keeps signals.
type SignalStore interface {
	AppendSignals(ctx context.Context, signals []vigil.Signal) ([]vigil.Appended, error)
	StreamState(ctx context.Context, sessionID, stream string) (count, highest int64, err error)
	Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error)
	UpdateIncident(ctx context.Context, i vigil.Incident) error
}

// GapStore keeps the ledger of lost time.
type GapStore interface {
	CreateGap(ctx context.Context, g vigil.Gap) error
	UpdateGap(ctx context.Context, g vigil.Gap) error
	GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error)
	GapsOfExam(ctx context.Context, examID string, page vigil.Page) (gaps []vigil.Gap, next string, err error)
}

// CommandStore keeps commands and the queue to the platforms.
type CommandStore interface {
	Command(ctx context.Context, sessionID, id string) (vigil.Command, error)
	UpdateCommand(ctx context.Context, c vigil.Command) error
	CommandsOfSession(ctx context.Context, sessionID string, page vigil.Page) (commands []vigil.Command, next string, err error)
	CommandsOfExam(ctx context.Context, examID string, since time.Time, page vigil.Page) (commands []vigil.Command, next string, err error)
	LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error)
	SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error
}

// ChatStore keeps chat.
type ChatStore interface {
	AddChat(ctx context.Context, l vigil.ChatLine) error
	ChatOfSession(ctx context.Context, sessionID string, page vigil.Page) (lines []vigil.ChatLine, next string, err error)
	ReadChat(ctx context.Context, sessionID string) error
}

// NodeStore keeps which processes live.
type NodeStore interface {
	RenewNode(ctx context.Context, n vigil.Node) error
	Nodes(ctx context.Context) ([]vigil.Node, error)
	DeleteNode(ctx context.Context, id string) error
}

// RecordStore keeps who takes over from whom.
type RecordStore interface {
	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
}
