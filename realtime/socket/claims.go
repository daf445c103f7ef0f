package socket

import (
	"context"
	"errors"
	"strings"
	"time"

	"vigil"
)

// Claims is what a socket token says: who may connect, and to what. What they may do is
// checked against the session and the exam on every message.
type Claims struct {
	Subject string // Subject(platform, user)
	Session string // a student's session
	Exam    string // a proctor's exam
	Role    vigil.Role
	Name    string // a proctor's name, as others see it; may be empty
	ID      string // of the token; another one for each token
	Issued  time.Time
	Expires time.Time
	Until   time.Time // no renewal reaches past it; zero: no such end
	// Access is the version of the proctor's access record when the token was made; 0: the
	// platform told of none. The record itself is the store's.
	Access int64
	// Guest: a student's token was made for a page of ours, by the visit's cookie, while the
	// learning platform's quiz page is what reports of the attempt. "": it was not.
	Guest vigil.Guest
}

// Actor is who the claims speak of.
func (c Claims) Actor() vigil.Actor {
	return vigil.Actor{Role: c.Role, ID: c.Subject, Name: c.Name}
}

// Subject names a person in tokens: the platform and its user.
func Subject(platformID, userID string) string { return platformID + "|" + userID }

// SubjectUser is the user's part of a subject. Platform ids hold no bar.
func SubjectUser(subject string) string {
	_, user, _ := strings.Cut(subject, "|")
	return user
}

// Verifier checks socket tokens. An error of CodeUnavailable means that it could not be
// told now; every other one refuses the token.
type Verifier interface {
	VerifySocket(ctx context.Context, token string) (Claims, error)
}

// Signer makes socket tokens. ID, Issued and Expires of the claims are the signer's to
// choose where they are zero; it must not let a token live past Until.
type Signer interface {
	MintSocket(ctx context.Context, c Claims) (token string, expires time.Time, err error)
}

// ForbidMissing makes "not found" of a session or exam a refusal that fits a token for it.
func ForbidMissing(err error) error {
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Wrap(err, vigil.CodeForbidden, "The attempt or exam of this connection does not exist any more.")
	}
	return err
}
