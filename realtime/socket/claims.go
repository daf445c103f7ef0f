package socket

import (
	"context"
	"errors"
	"strings"
	"time"

	"vigil"
)

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
	VerifySocket(ctx context.Context, token string) (vigil.SocketClaims, error)
}

// Signer makes socket tokens. ID, Issued and Expires of the claims are the signer's to
// choose where they are zero; it must not let a token live past Until.
type Signer interface {
	MintSocket(ctx context.Context, c vigil.SocketClaims) (token string, expires time.Time, err error)
}

// ForbidMissing makes "not found" of a session or exam a refusal that fits a token for it.
func ForbidMissing(err error) error {
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Wrap(err, vigil.CodeForbidden, "The attempt or exam of this connection does not exist any more.")
	}
	return err
}
