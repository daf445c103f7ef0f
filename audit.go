package vigil

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"time"
)

// Audit is an entry of the record of who did what to whom, when and from where: commands,
// reviews, looking at reports, changes of policy and of platforms, operators' commands.
// Entries are only ever added. What says who it was (By.ID, By.Name, From) can be erased later.
type Audit struct {
	ID       string   // UUIDv7
	ExamID   string   // empty: not about an exam
	Sessions []string // ids of the attempts that it was done to, at most MaxTargets; empty: not about an attempt
	Action   string   // "command.pause", "incident.review", "report.view", ...
	By       Actor
	From     string // the network address, or the machine of an operator's command; may be empty
	Detail   string // for people; no secrets, no chat text, nothing about a person
	At       time.Time
	Chain    AuditChain // zero: written before entries were chained
}

// AuditChain is an entry's place in its chain. Each process that writes entries has a chain
// of its own in each exam, so that no two must agree on a head. An entry holds the hash of
// the one before it; who it was goes into the hash only as a commitment with a random salt.
// Without the salt nobody can find the person from the commitment, so that erasing person and
// salt leaves the chain valid.
type AuditChain struct {
	ID     string    // of the process that wrote it
	Seq    int64     // from 1 on
	Prev   string    // Hash of the entry before it; empty for the first
	PrevAt time.Time // its time, by which a reader knows whether it may have expired; zero for the first
	Who    string    // commitment to By.ID, By.Name and From: SHA-256 in hex
	Salt   string    // of the commitment, 32 hex digits; empty: the person was erased
}

// AuditHead is the last entry of a chain.
type AuditHead struct {
	Seq  int64
	Hash string
	At   time.Time
}

// AuditCheckpoint is a signed statement of where a chain was at a moment. It outlives the
// entries, names no person, and is replaced by the chain's next one.
type AuditCheckpoint struct {
	ExamID    string // empty: the chain of entries about no exam
	Chain     string
	Head      AuditHead
	Signature string // compact JWS (EdDSA) by a key of use evidence, over the fields above
}

// Erased tells whether an entry's person was erased.
func (a Audit) Erased() bool { return a.Chain.Seq > 0 && a.Chain.Salt == "" }

// WithoutPerson is the entry after its person was erased: the role stays.
func (a Audit) WithoutPerson() Audit {
	a.By, a.From, a.Chain.Salt = Actor{Role: a.By.Role}, "", ""
	return a
}

// After makes the entry the next one of a chain. A time before the head's becomes the head's,
// so that entries expire in their order. The salt is 16 random bytes.
func (a Audit) After(chain string, head AuditHead, salt []byte) Audit {
	a.At = a.At.Truncate(time.Millisecond).UTC() // as it is stored
	if a.At.Before(head.At) {
		a.At = head.At
	}
	a.Chain = AuditChain{ID: chain, Seq: head.Seq + 1, Prev: head.Hash, PrevAt: head.At, Salt: hex.EncodeToString(salt)}
	a.Chain.Who = a.who()
	return a
}

// Head is the entry as the head of its chain.
func (a Audit) Head() AuditHead { return AuditHead{Seq: a.Chain.Seq, Hash: a.Hash(), At: a.At} }

// The hashes are over these tags and the parts, each with its length before it (8 bytes, big
// endian). Numbers and times (Unix milliseconds) are 8 bytes.
const (
	auditTag = "vigil-audit-1"
	whoTag   = "vigil-audit-who-1"
)

type parts struct{ hash.Hash }

func newParts(tag string) parts {
	p := parts{sha256.New()}
	p.text(tag)
	return p
}

func (p parts) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	p.Write(b[:])
}

func (p parts) text(s string) {
	p.number(int64(len(s)))
	p.Write([]byte(s))
}

func (p parts) time(t time.Time) {
	if t.IsZero() {
		p.number(0)
		return
	}
	p.number(t.UnixMilli())
}

func (p parts) sum() string { return hex.EncodeToString(p.Sum(nil)) }

// who is the commitment to the person.
func (a Audit) who() string {
	p := newParts(whoTag)
	for _, s := range []string{a.Chain.Salt, a.By.ID, a.By.Name, a.From} {
		p.text(s)
	}
	return p.sum()
}

// Hash is what the next entry of the chain holds of this one: SHA-256 in hex over all of it
// but the person, for whom the commitment stands.
func (a Audit) Hash() string {
	p := newParts(auditTag)
	p.text(a.Chain.ID)
	p.number(a.Chain.Seq)
	p.text(a.Chain.Prev)
	p.time(a.Chain.PrevAt)
	p.text(a.ID)
	p.text(a.ExamID)
	p.number(int64(len(a.Sessions)))
	for _, s := range a.Sessions {
		p.text(s)
	}
	p.text(a.Action)
	p.text(string(a.By.Role))
	p.text(a.Detail)
	p.time(a.At)
	p.text(a.Chain.Who)
	return p.sum()
}

// AuditFault is something in a chain that cannot be if nobody changed it.
type AuditFault struct {
	ExamID  string
	Chain   string
	Seq     int64 // of the entry at which it shows
	Problem string
}

func (f AuditFault) String() string {
	return fmt.Sprintf("exam %s, chain %s, entry %d: %s", orNone(f.ExamID), f.Chain, f.Seq, f.Problem)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// VerifyAuditChain checks the entries of one chain, in any order, against each other and
// against checkpoints of it whose signatures the caller has checked. Entries that are older than
// expired may be missing at the beginning. It returns the number of the last entry that a
// checkpoint vouches for: what comes after it could have been changed by who can write to the store.
func VerifyAuditChain(entries []Audit, checkpoints []AuditCheckpoint, expired time.Time) (vouched int64, faults []AuditFault) {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Audit) int { return int(a.Chain.Seq - b.Chain.Seq) })
	fault := func(exam, chain string, seq int64, format string, args ...any) {
		faults = append(faults, AuditFault{exam, chain, seq, fmt.Sprintf(format, args...)})
	}
	var before *Audit
	hashes := map[int64]string{}
	for i := range entries {
		a := &entries[i]
		c := a.Chain
		bad := func(format string, args ...any) { fault(a.ExamID, c.ID, c.Seq, format, args...) }
		switch {
		case before == nil && c.Seq == 1 && (c.Prev != "" || !c.PrevAt.IsZero()):
			bad("is the first, and names one before it")
		case before == nil && c.Seq > 1 && c.PrevAt.After(expired):
			bad("the %d before it are missing, the last of them of %s, which has not expired", c.Seq-1, c.PrevAt.Format(time.RFC3339))
		case before != nil && c.Seq == before.Chain.Seq:
			bad("is there twice")
		case before != nil && c.Seq > before.Chain.Seq+1:
			bad("%d before it are missing", c.Seq-before.Chain.Seq-1)
		case before != nil && (!same(c.Prev, before.Hash()) || !c.PrevAt.Equal(before.At)):
			bad("the one before it was changed")
		case before != nil && a.At.Before(before.At):
			bad("is older than the one before it")
		}
		switch {
		case c.Salt != "" && !same(a.who(), c.Who):
			bad("who it was, or from where, was changed")
		case c.Salt == "" && (a.By.ID != "" || a.By.Name != "" || a.From != ""):
			bad("a person is named whom nothing proves")
		}
		hashes[c.Seq] = a.Hash()
		before = a
	}
	for _, p := range checkpoints {
		h, there := hashes[p.Head.Seq]
		switch {
		case there && !same(h, p.Head.Hash):
			fault(p.ExamID, p.Chain, p.Head.Seq, "is not what the checkpoint says")
		case there:
			vouched = max(vouched, p.Head.Seq)
		case p.Head.At.After(expired) && (before == nil || before.Chain.Seq < p.Head.Seq):
			fault(p.ExamID, p.Chain, p.Head.Seq, "is missing, with all after it: a checkpoint vouches for it, and it has not expired")
		}
	}
	return vouched, faults
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
