package storage

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/google/uuid"

	"vigil"
)

// Erasures keeps a list of what was erased, which names nobody. EraseUser and EraseAttempt
// add to it with what they remove: never without an entry, even where nothing was there, for
// an older backup may have it. Entries are kept for vigil.KeepErasures.
type Erasures interface {
	// Erasures lists them, by time.
	Erasures(ctx context.Context, page Page) (entries []vigil.Erasure, next string, err error)
	// AddErasure adds an entry that was made elsewhere; one that is there already changes nothing.
	AddErasure(ctx context.Context, e vigil.Erasure) error
}

// ErasureMaker makes the entry of an erasure that is about to be done: of a user, or, with an
// exam, of one attempt. After an error nothing is erased. A backend takes one in its
// Config, so that the entry can be kept elsewhere, too.
type ErasureMaker func(ctx context.Context, issuer, userID, examID string, attempt int) (vigil.Erasure, error)

// NewErasure makes an entry.
func NewErasure(issuer, userID, examID string, attempt int, now time.Time) vigil.Erasure {
	salt := make([]byte, 16)
	rand.Read(salt) // it never fails
	e := vigil.Erasure{ID: uuid.NewString(), Salt: salt, ExamID: examID, Attempt: attempt, At: now.UTC().Truncate(time.Millisecond)}
	return e.Of(issuer, userID)
}
