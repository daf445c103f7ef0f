package vigil

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"
)

// KeepErasures is how long entries of the list of erasures are kept: backups must not be
// kept for longer.
const KeepErasures = 400 * 24 * time.Hour

// Erasure is an entry of the list of what was erased, by which a restored backup is made to
// forget it, too. It holds neither a name nor a user id: who restores compares the users of
// the backup with it (Is). Who knows a user's id can do the same, so the list is kept as
// carefully as a backup.
type Erasure struct {
	ID      string    `json:"id"`
	Salt    []byte    `json:"salt"` // random, so that the entries of one user have nothing in common
	Hash    []byte    `json:"hash"`
	ExamID  string    `json:"exam,omitempty"` // empty: all that is the user's
	Attempt int       `json:"attempt,omitempty"`
	At      time.Time `json:"at"`
}

// Of fills in whose erasure e is; its salt must be set.
func (e Erasure) Of(issuer, userID string) Erasure {
	e.Hash = e.hash(issuer, userID)
	return e
}

// Is tells whether e is an erasure of a user of an issuer.
func (e Erasure) Is(issuer, userID string) bool {
	return subtle.ConstantTimeCompare(e.Hash, e.hash(issuer, userID)) == 1
}

// Covers tells whether a session of the erased user was there when e was made. What the user
// began after it is not erased.
func (e Erasure) Covers(s Session) bool {
	return !s.Created.After(e.At) && (e.ExamID == "" || e.ExamID == s.ExamID && e.Attempt == s.Attempt)
}

// hash is SHA-256 over the salt, the length of the issuer, the issuer and the user id.
func (e Erasure) hash(issuer, userID string) []byte {
	h := sha256.New()
	h.Write(e.Salt)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(issuer))))
	h.Write([]byte(issuer + userID))
	return h.Sum(nil)
}

// Validate reports an entry that is none, as CodeInvalid.
func (e Erasure) Validate() error {
	if e.ID == "" || len(e.Salt) < 16 || len(e.Hash) != sha256.Size || e.At.IsZero() || (e.ExamID == "") != (e.Attempt == 0) {
		return Invalid("erasure", "An erasure has an id, a salt, a hash and a time, and an exam and an attempt or neither.")
	}
	return nil
}
