package web

import (
	"context"
	"slices"
	"time"

	"vigil"
)

// Store is what the pages need of the storage; package storage states the contract of
// each method.
type Store interface {
	Platform(ctx context.Context, id string) (vigil.Platform, error)
	Platforms(ctx context.Context) ([]vigil.Platform, error)
	UpdatePlatform(ctx context.Context, p vigil.Platform) error

	CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error
	PutRecord(ctx context.Context, r vigil.Record) error
	GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
	TakeRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error)
	DeleteRecord(ctx context.Context, kind, key string) error

	Exam(ctx context.Context, id string) (vigil.Exam, error)
	CreateExam(ctx context.Context, e vigil.Exam) error
	UpdateExam(ctx context.Context, e vigil.Exam) error
	ExamsOfContext(ctx context.Context, issuer, contextID string, page vigil.Page) (exams []vigil.Exam, next string, err error)
	Link(ctx context.Context, platformID, deploymentID, resourceLinkID string) (vigil.Link, error)
	CreateLink(ctx context.Context, l vigil.Link) error

	CreateSession(ctx context.Context, s vigil.Session) error
	Session(ctx context.Context, id string) (vigil.Session, error)
	SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error)
	SessionsOfExam(ctx context.Context, examID string, page vigil.Page) (sessions []vigil.Session, next string, err error)
	SessionsOfUser(ctx context.Context, issuer, userID string) ([]vigil.Session, error)
	EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error)

	PutAccess(ctx context.Context, a vigil.Access) error
	RenewAccess(ctx context.Context, a vigil.Access) error
	Access(ctx context.Context, examID, userID string) (vigil.Access, error)

	SignalsOfSession(ctx context.Context, sessionID string, page vigil.Page) (signals []vigil.Signal, next string, err error)
	IncidentsOfSession(ctx context.Context, sessionID string, page vigil.Page) (incidents []vigil.Incident, next string, err error)
	IncidentsOfExam(ctx context.Context, examID string, page vigil.Page) (incidents []vigil.Incident, next string, err error)
	Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error)
	UpdateIncident(ctx context.Context, i vigil.Incident) error
	GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error)
	GapsOfExam(ctx context.Context, examID string, page vigil.Page) (gaps []vigil.Gap, next string, err error)
	CommandsOfSession(ctx context.Context, sessionID string, page vigil.Page) (commands []vigil.Command, next string, err error)
	CommandsOfExam(ctx context.Context, examID string, since time.Time, page vigil.Page) (commands []vigil.Command, next string, err error)
	ChatOfSession(ctx context.Context, sessionID string, page vigil.Page) (lines []vigil.ChatLine, next string, err error)
	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
}

// only reads a list without what is not to be kept, so that it does not count against a limit.
func only[T any](keep func(T) bool, read func(vigil.Page) ([]T, string, error)) func(vigil.Page) ([]T, string, error) {
	return func(p vigil.Page) ([]T, string, error) {
		list, next, err := read(p)
		return slices.DeleteFunc(list, func(v T) bool { return !keep(v) }), next, err
	}
}

// all reads every page of a list, up to limit things; the second result is true where
// there are more.
func all[T any](limit int, read func(vigil.Page) ([]T, string, error)) ([]T, bool, error) {
	var out []T
	for v, err := range vigil.Each(read) {
		if err != nil {
			return nil, false, err
		}
		if len(out) == limit {
			return out, true, nil
		}
		out = append(out, v)
	}
	return out, false, nil
}
