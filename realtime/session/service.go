package session

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/internal/tasks"
)

// Store is what the use cases need of the storage; package storage states the contract of each
// method. All of it may be slow or fail.
type Store interface {
	Session(ctx context.Context, id string) (vigil.Session, error)
	SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error)
	SessionsOfExam(ctx context.Context, examID string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	Transition(ctx context.Context, t vigil.Transition) error
	LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error)
	SetDue(ctx context.Context, sessionID string, version int64, at time.Time) error
	AppendSignals(ctx context.Context, signals []vigil.Signal) ([]vigil.Appended, error)
	Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error)
	UpdateIncident(ctx context.Context, i vigil.Incident) error
	GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error)
	Command(ctx context.Context, sessionID, id string) (vigil.Command, error)
	UpdateCommand(ctx context.Context, c vigil.Command) error
	LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error)
	SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error
	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
}

// Notifier tells everyone connected what changed. It does not wait, but for the methods that return an
// error: these read the store first. Being told again of what is known harms nobody.
type Notifier interface {
	// SessionChanged tells of a session that was stored in another version, and its student of a
	// command if there is one (told).
	SessionChanged(e vigil.Exam, old, s vigil.Session, told *vigil.Command)
	// CommandRepeated tells of a command that came again, and of its session: it may be that nobody was told.
	CommandRepeated(e vigil.Exam, s vigil.Session, c vigil.Command)
	ProgressChanged(c vigil.Command)
	GapChanged(g vigil.Gap)
	// LostTimeChanged tells the sums of a session's ledger: later, if it cannot be read now.
	LostTimeChanged(ctx context.Context, exam, session string)
	SignalStored(s vigil.Signal)
	// Recount reads a session's counts and tells them.
	Recount(ctx context.Context, session string) error
	// Retell reads a session and tells all of it; RetellLater does so when the store answers.
	Retell(ctx context.Context, session string) error
	RetellLater(session string)
}

// View is what the node knows better than the store.
type View interface {
	Exam(ctx context.Context, id string) (vigil.Exam, error)
	// Live is a session with the presence and the counts as they are here.
	Live(s vigil.Session) vigil.Session
	// NoteLost makes the incident of the student's part of a gap, if the student is here and it was not
	// noted when it happened.
	NoteLost(ctx context.Context, g vigil.Gap) error
}

// Faults is what the node knows of whose fault it is that somebody is away.
type Faults interface {
	// Faults are the stretches in which others than the student kept the session's student away.
	Faults(s vigil.Session) []vigil.Fault
	// SlowNow tells whether a session's platform is slow for several students at once.
	SlowNow(platform, session string) bool
	// OutageUntil is to when a loss by our fault, which began at a time and is explained to another, is
	// explained where outages follow upon it.
	OutageUntil(began, until time.Time) time.Time
	// Refusals are the stretches in which servers refused a session's student.
	Refusals(ctx context.Context, session string) ([]vigil.Fault, error)
	// Refused notes that a request for a session, begun at a time, was answered with an error.
	Refused(ctx context.Context, session string, began time.Time, err error)
	// Alive tells whether another node was seen to live lately.
	Alive(node string) bool
}

// Limits bound what is done at once.
type Limits struct {
	Deliveries int // requests to platforms
	Due        int // sessions that are due taken together
	Commands   int // sessions of one bulk command
}

// Config is what a Service needs. All of it must be given, but for the Controller, the Observer and the Tracer.
type Config struct {
	Store      Store
	Controller Controller // sends commands to platforms; nil: the queue stays as it is
	Observer   Observer   // nil: Unobserved
	Tracer     Tracer     // nil: Untraced
	Node       string     // this process's id
	Shared     bool       // other nodes live on the same store
	Tasks      *tasks.Group
	Log        *slog.Logger
	Now        func() time.Time // in UTC and whole milliseconds
	NewID      func() string
	Liveness   vigil.Liveness
	Limits     Limits
	Drop       time.Duration // how long somebody may be away without a gap
	QueueEvery time.Duration // the queue to the platforms is looked at
	DueEvery   time.Duration // sessions whose time is over are looked for

	Draining func() bool
	// Retry calls f until it succeeds or fails with something that trying again does not change.
	// Reread is Retry for what only reads. Noted is told what became of a write that is not retried.
	Retry, Reread func(ctx context.Context, what string, f func(ctx context.Context) error) error
	Noted         func(began time.Time, err error)
}

// Service has the use cases of a node. All methods may be called at the same time.
type Service struct {
	cfg    Config
	notify Notifier
	view   View
	faults Faults

	queueWake    chan struct{}
	requests     atomic.Int64 // to platforms, under way
	deliveries   atomic.Int64 // tries of requests to platforms, ever
	commandLocks commandLocks
}

// New makes the service; Run begins its background work.
func New(cfg Config, notify Notifier, view View, faults Faults) *Service {
	if cfg.Observer == nil {
		cfg.Observer = Unobserved{}
	}
	if cfg.Tracer == nil {
		cfg.Tracer = Untraced{}
	}
	return &Service{cfg: cfg, notify: notify, view: view, faults: faults, queueWake: make(chan struct{}, 1), commandLocks: newCommandLocks()}
}

// Requests tells how many requests to platforms are under way, Deliveries how many were ever tried.
func (u *Service) Requests() int64 { return u.requests.Load() }

// Deliveries counts the tries of requests to platforms.
func (u *Service) Deliveries() int64 { return u.deliveries.Load() }

func (u *Service) now() time.Time { return u.cfg.Now() }

// system is the actor of what a node does by itself.
var system = vigil.Actor{Role: vigil.RoleSystem}

// Over is when a session ended, or its time was up; zero: it goes on. Where nobody reports ends
// the grace of the end is not held against anybody either.
func Over(p vigil.Policy, s vigil.Session) time.Time {
	switch d := s.Deadline(p); {
	case s.State == vigil.StateTimeUp:
		return s.Changed
	case s.State == vigil.StateExpired && !d.IsZero() && d.Before(s.Ended):
		return d
	}
	return s.Ended
}

// IgnoreNewer lets a conflict pass: the session has a newer connection, which is fine.
func IgnoreNewer(err error) error {
	if vigil.CodeOf(err) == vigil.CodeConflict {
		return nil
	}
	return err
}

// wakeQueue says that there is something to send.
func (u *Service) wakeQueue() {
	select {
	case u.queueWake <- struct{}{}:
	default:
	}
}

// Controller sends one request to a session's platform (Assessment Control) and says what
// came of it. It must end with its context, and well within vigil.DeliveryLease.
type Controller interface {
	Control(ctx context.Context, s vigil.Session, d vigil.Delivery) vigil.Result
}
