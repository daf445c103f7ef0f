// Package auditlog writes the record of who did what: it chains the entries of a process,
// keeps them while the store does not answer, and signs where the chains stand.
package auditlog

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"vigil"
)

// Store is where entries go; package storage states the contract.
type Store interface {
	AppendAudit(ctx context.Context, entries ...vigil.Audit) error
	PutAuditCheckpoint(ctx context.Context, c vigil.AuditCheckpoint) error
}

// Signer signs claims with the server's evidence key, as a compact JWS.
type Signer interface {
	SignEvidence(ctx context.Context, claims any) (string, error)
}

// Config says where a Log writes. Store, Signer and Chain are required.
type Config struct {
	Store  Store
	Signer Signer
	Chain  string       // of this process and of no other, ever
	Log    *slog.Logger // slog.Default
}

const (
	// maxWaiting is how many entries of an exam wait for the store. What comes then is refused.
	maxWaiting = 1000
	// maxAtOnce is how many are stored by one call.
	maxAtOnce = 100
	saltBytes = 16
)

// Log chains entries and stores them, in order. All methods may be called at the same time.
// Entries that the store did not take are tried again with the next one of their exam and by
// Seal; they are lost if the process dies before.
type Log struct {
	store  Store
	signer Signer
	id     string
	log    *slog.Logger

	mu     sync.Mutex // guards what follows, and the chains' fields; a leaf
	chains map[string]*chain
	lost   int64
}

// chain is this process's chain in one exam. There is one for each exam in which this process
// wrote an entry: they are few, and small.
type chain struct {
	turn    chan struct{}   // holds one token: whoever has it writes
	head    vigil.AuditHead // of the last entry, stored or not
	waiting []vigil.Audit   // not stored yet, oldest first
	stored  vigil.AuditHead // of the last stored entry
	sealed  int64           // the number that the stored checkpoint is about
}

// New makes a Log. It does no I/O.
func New(c Config) *Log {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Log{store: c.Store, signer: c.Signer, id: c.Chain, log: c.Log, chains: map[string]*chain{}}
}

// AppendAudit chains entries and stores them. It returns when they are stored. After an error
// they are kept and tried again, so that the caller need not; only where too many wait already,
// as CodeUnavailable, they are not kept.
func (l *Log) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	var errs []error
	var touched []*chain
	for _, a := range entries {
		c, err := l.link(a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(touched) == 0 || touched[len(touched)-1] != c {
			touched = append(touched, c)
		}
	}
	for _, c := range touched {
		errs = append(errs, l.flush(ctx, c))
	}
	return errors.Join(errs...)
}

// link gives an entry its place in its chain.
func (l *Log) link(a vigil.Audit) (*chain, error) {
	if a.At.IsZero() {
		return nil, vigil.Invalid("at", "An audit entry needs its time.")
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.chains[a.ExamID]
	if c == nil {
		c = &chain{turn: make(chan struct{}, 1)}
		c.turn <- struct{}{}
		l.chains[a.ExamID] = c
	}
	if len(c.waiting) >= maxWaiting {
		l.lost++
		return nil, vigil.Errorf(vigil.CodeUnavailable, "%d audit entries wait for the store already; this one is not kept.", len(c.waiting))
	}
	a = a.After(l.id, c.head, salt)
	c.head = a.Head()
	c.waiting = append(c.waiting, a)
	return c, nil
}

// flush stores what waits in a chain. Of many callers one writes, and the others find theirs
// stored when it is their turn.
func (l *Log) flush(ctx context.Context, c *chain) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The audit entry waits for the store.")
	}
	defer func() { c.turn <- struct{}{} }()
	for {
		l.mu.Lock()
		some := c.waiting[:min(len(c.waiting), maxAtOnce):min(len(c.waiting), maxAtOnce)]
		l.mu.Unlock()
		if len(some) == 0 {
			return nil
		}
		if err := l.store.AppendAudit(ctx, some...); err != nil {
			return err
		}
		l.mu.Lock()
		c.stored = some[len(some)-1].Head()
		c.waiting = c.waiting[len(some):]
		if len(c.waiting) == 0 {
			c.waiting = nil
		}
		l.mu.Unlock()
	}
}

// checkpoint is what is signed.
type checkpoint struct {
	Exam  string `json:"exam"`
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
	At    int64  `json:"at"` // of the entry, Unix milliseconds
}

func claimsOf(c vigil.AuditCheckpoint) checkpoint {
	return checkpoint{c.ExamID, c.Chain, c.Head.Seq, c.Head.Hash, c.Head.At.UnixMilli()}
}

// Seal stores what still waits, and a signed checkpoint of each chain that has grown since its
// last one. Call it every now and then, and at the end. What fails is tried by the next call.
func (l *Log) Seal(ctx context.Context) error {
	l.mu.Lock()
	all := make(map[string]*chain, len(l.chains))
	for exam, c := range l.chains {
		if len(c.waiting) > 0 || c.sealed < c.stored.Seq {
			all[exam] = c
		}
	}
	l.mu.Unlock()
	var errs []error
	for exam, c := range all {
		errs = append(errs, l.flush(ctx, c))
		l.mu.Lock()
		head, sealed := c.stored, c.sealed
		l.mu.Unlock()
		if head.Seq == sealed {
			continue
		}
		if err := l.seal(ctx, vigil.AuditCheckpoint{ExamID: exam, Chain: l.id, Head: head}); err != nil {
			errs = append(errs, err)
			continue
		}
		l.mu.Lock()
		c.sealed = max(c.sealed, head.Seq)
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (l *Log) seal(ctx context.Context, c vigil.AuditCheckpoint) (err error) {
	if c.Signature, err = l.signer.SignEvidence(ctx, claimsOf(c)); err != nil {
		return err
	}
	return l.store.PutAuditCheckpoint(ctx, c)
}

// Stats are counts of a Log.
type Stats struct {
	Waiting int   // entries that wait for the store
	Lost    int64 // entries that were not kept, because too many waited
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Lost: l.lost}
	for _, c := range l.chains {
		s.Waiting += len(c.waiting)
	}
	return s
}

// sealTime bounds the last Seal of a process.
const sealTime = 5 * time.Second

// Close seals for the last time, also where ctx has ended, and says what was not stored.
func (l *Log) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealTime)
	defer cancel()
	err := l.Seal(ctx)
	if n := l.Stats().Waiting; n > 0 {
		return vigil.Wrap(err, vigil.CodeUnavailable, "%d audit entries could not be stored, and are lost.", n)
	}
	return err
}
