package vigil

import "time"

// KeyUse says what one of our signing keys is for. The uses are published in
// separate key sets: an EdDSA key in the LTI set confuses platforms that try every
// key.
type KeyUse string

// The uses.
const (
	KeyLTI    KeyUse = "lti"    // RS256: messages to platforms and client assertions
	KeySocket KeyUse = "socket" // EdDSA: socket tokens
	// EdDSA: checkpoints of the record of who did what. What they signed is kept for years: a
	// retired one stays for good, without its private half, and none is replaced by age.
	KeyEvidence KeyUse = "evidence"
	// EdDSA: receipts, by which platforms see that a quiz page was watched. Platforms fetch its set
	// rarely, so a next one is published for a day before it signs.
	KeyReceipt KeyUse = "receipt"
)

// KeyUses are all uses.
var KeyUses = []KeyUse{KeyLTI, KeySocket, KeyEvidence, KeyReceipt}

// KeyState is where a key stands in its rotation.
type KeyState string

// A key is published as next before it signs anything, signs while it is active, and
// stays published as retired until nothing that it signed is valid any more.
const (
	KeyNext    KeyState = "next"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
)

// Key is one of our own signing keys.
type Key struct {
	ID      string // the kid
	Use     KeyUse
	State   KeyState
	Sealed  []byte // the private key (JWK), encrypted by the operator's key; never logged; nil once it can sign no more
	Public  []byte // the public key as JWK JSON
	Created time.Time
	Since   time.Time // when it took its present state
	Version int64
}

// Record is a small value that expires and belongs to whoever wrote it: a login's
// state and nonce, a one-use code, a web session, the id of an assertion that was
// seen. Kind and Key together name it.
type Record struct {
	Kind    string
	Key     string
	Value   []byte
	Expires time.Time
}
