package lti

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"vigil"
)

// Times of our keys' lives.
const (
	keySnapshotAge = 3 * time.Second // how old a node's view of the keys may be
	keyMissAge     = time.Second     // how old it may be when a key id is not in it
	keyRetry       = time.Second     // after a read that failed, the store is not asked again sooner
	keyPatience    = time.Second     // how long a caller waits for another's read who has an older view to go by
	keyReadTimeout = 5 * time.Second // of one read
	// nextKeyAge is how long a next key must have been published before it may sign:
	// platforms cache key sets.
	nextKeyAge = 5 * time.Minute
	// nextReceiptKeyAge is the same of receipt keys: our plugin fetches their set at launches and
	// by a scheduled task, not for every message.
	nextReceiptKeyAge = 24 * time.Hour
	// retiredKeyAge is how long a retired key stays published. Nothing that we sign is
	// valid for longer than maxSigned, and nodes may sign with it for keySnapshotAge more.
	retiredKeyAge = time.Hour
	maxSigned     = 10 * time.Minute

	defaultLTIKeyAge    = 90 * 24 * time.Hour
	defaultSocketKeyAge = 30 * 24 * time.Hour
	receiptKeyAge       = 30 * 24 * time.Hour
	// retiredReceiptKeyAge is longer than retiredKeyAge: a receipt may reach its platform with a
	// page that was open, offline, for hours.
	retiredReceiptKeyAge = 24 * time.Hour
)

// KeyOptions are the settings of Keys; the zero value takes the defaults.
type KeyOptions struct {
	LTIAge    time.Duration    // how long an LTI key signs; default 90 days
	SocketAge time.Duration    // how long a socket key signs; default 30 days
	Now       func() time.Time // default time.Now
}

// Keys are our own signing keys, one set for each vigil.KeyUse: RS256 for platforms,
// EdDSA for sockets, evidence and receipts. The store is shared by all nodes; each holds a snapshot that is at
// most a few seconds old, so that serving the key set costs no I/O most times. All
// changes are conditional writes: when two nodes act at once the worst that comes of it
// is one key more than needed, which Tend removes.
type Keys struct {
	store  KeyStore
	sealer Sealer
	opt    KeyOptions

	mu     sync.Mutex // guards what the caches hold; a leaf: nothing is called with it held
	caches map[vigil.KeyUse]*keyCache
}

// keyCache is what a node knows of the keys of one use. At most one read is under way.
type keyCache struct {
	view    *keyView
	reading chan struct{} // closed when the read under way is over; nil: there is none
	err     error         // of the last read
	failed  time.Time     // when it failed, if it did
}

// keyView is an immutable snapshot of the keys of one use.
type keyView struct {
	at     time.Time // when the read of it began
	keys   []vigil.Key
	public map[string]verifyKey
	set    []byte // the JWKS document
	kid    string // of the signing key; empty when there is none
	alg    string
	signer crypto.Signer
}

// NewKeys makes Keys over a store. It does no I/O.
func NewKeys(store KeyStore, sealer Sealer, opt KeyOptions) *Keys {
	if opt.LTIAge <= 0 {
		opt.LTIAge = defaultLTIKeyAge
	}
	if opt.SocketAge <= 0 {
		opt.SocketAge = defaultSocketKeyAge
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	k := &Keys{store: store, sealer: sealer, opt: opt, caches: map[vigil.KeyUse]*keyCache{}}
	for _, use := range vigil.KeyUses {
		k.caches[use] = &keyCache{}
	}
	return k
}

// nextAge is how long a next key of a use must have been published before it may sign.
func nextAge(use vigil.KeyUse) time.Duration {
	if use == vigil.KeyReceipt {
		return nextReceiptKeyAge
	}
	return nextKeyAge
}

// retiredAge is how long a retired key of a use stays published.
func retiredAge(use vigil.KeyUse) time.Duration {
	if use == vigil.KeyReceipt {
		return retiredReceiptKeyAge
	}
	return retiredKeyAge
}

func algOf(use vigil.KeyUse) string {
	if use == vigil.KeyLTI {
		return algRS256
	}
	return algEdDSA
}

// Ensure makes sure that each use has an active key and a next one, and that the sealer
// opens the active one. Call it before serving. The very first key signs without having
// been published before: no platform knows us yet.
func (k *Keys) Ensure(ctx context.Context) error {
	for _, use := range vigil.KeyUses {
		if err := k.ensure(ctx, use); err != nil {
			return vigil.Wrap(err, vigil.CodeOf(err), "The signing keys (%s) are not usable.", use)
		}
	}
	return nil
}

func (k *Keys) ensure(ctx context.Context, use vigil.KeyUse) error {
	keys, err := k.store.Keys(ctx, use)
	if err != nil {
		return err
	}
	if newestOf(keys, vigil.KeyActive) == nil {
		if newestOf(keys, vigil.KeyNext) == nil {
			if err := k.create(ctx, use); err != nil {
				return err
			}
			if keys, err = k.store.Keys(ctx, use); err != nil {
				return err
			}
		}
		next := newestOf(keys, vigil.KeyNext)
		if next == nil {
			if newestOf(keys, vigil.KeyActive) == nil {
				return errors.New("the key just made is gone")
			}
		} else if err := k.move(ctx, *next, vigil.KeyActive); err != nil && !errors.Is(err, vigil.ErrConflict) {
			return err
		}
		if keys, err = k.store.Keys(ctx, use); err != nil {
			return err
		}
	}
	if newestOf(keys, vigil.KeyNext) == nil {
		if err := k.create(ctx, use); err != nil {
			return err
		}
	}
	view, err := k.reload(ctx, use)
	if err != nil {
		return err
	}
	if view.signer == nil {
		return errors.New("no active key")
	}
	return nil
}

// Tend is the housekeeping of a node's every few minutes: replaces an active key that is
// too old by the next one, keeps a next key at hand, retires all but the newest active
// key and deletes what has been retired long enough (of evidence keys the private half).
func (k *Keys) Tend(ctx context.Context) error {
	var errs []error
	for _, use := range vigil.KeyUses {
		errs = append(errs, k.tend(ctx, use))
	}
	return errors.Join(errs...)
}

func (k *Keys) tend(ctx context.Context, use vigil.KeyUse) error {
	keys, err := k.store.Keys(ctx, use)
	if err != nil {
		return err
	}
	now := k.opt.Now()
	age := map[vigil.KeyUse]time.Duration{
		vigil.KeyLTI: k.opt.LTIAge, vigil.KeySocket: k.opt.SocketAge, vigil.KeyReceipt: receiptKeyAge,
	}[use] // 0: for good
	active := newestOf(keys, vigil.KeyActive)
	for _, key := range keys {
		switch {
		case key.State == vigil.KeyActive && key.ID != active.ID:
			if err := k.move(ctx, key, vigil.KeyRetired); err != nil && !errors.Is(err, vigil.ErrConflict) {
				return err
			}
		case key.State == vigil.KeyRetired && use == vigil.KeyEvidence:
			if len(key.Sealed) == 0 || now.Sub(key.Since) <= retiredKeyAge {
				continue
			}
			key.Sealed = nil
			if err := k.store.UpdateKey(ctx, key); err != nil && !errors.Is(err, vigil.ErrConflict) {
				return err
			}
		case key.State == vigil.KeyRetired && now.Sub(key.Since) > retiredAge(use):
			if err := k.store.DeleteKey(ctx, key.ID); err != nil && !errors.Is(err, vigil.ErrNotFound) {
				return err
			}
		}
	}
	if active != nil && age > 0 && now.Sub(active.Since) > age {
		if next := newestOf(keys, vigil.KeyNext); next != nil && now.Sub(next.Created) >= nextAge(use) {
			return k.Rotate(ctx, use)
		}
	}
	return k.ensure(ctx, use)
}

// Rotate makes the next key sign, retires the one that signed, and creates the key after
// it. It refuses with CodeIllegal while the next key has been published for less than
// five minutes (of receipts: a day), because platforms may not have seen it; with CodeConflict when another
// node rotates at the same time.
func (k *Keys) Rotate(ctx context.Context, use vigil.KeyUse) error {
	keys, err := k.store.Keys(ctx, use)
	if err != nil {
		return err
	}
	next := newestOf(keys, vigil.KeyNext)
	if next == nil {
		return k.ensure(ctx, use)
	}
	if wait := nextAge(use) - k.opt.Now().Sub(next.Created); wait > 0 {
		return vigil.Errorf(vigil.CodeIllegal,
			"The next key was published a moment ago and platforms may not have seen it: rotate again in %s.", vigil.Span(wait))
	}
	if err := k.move(ctx, *next, vigil.KeyActive); err != nil {
		return err
	}
	for _, key := range keys {
		if key.State != vigil.KeyActive {
			continue
		}
		if err := k.move(ctx, key, vigil.KeyRetired); err != nil && !errors.Is(err, vigil.ErrConflict) {
			return err
		}
	}
	return k.ensure(ctx, use)
}

// List returns the keys of a use as the store has them, newest first, for the operator.
func (k *Keys) List(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error) {
	keys, err := k.store.Keys(ctx, use)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b vigil.Key) int { return b.Created.Compare(a.Created) })
	return keys, nil
}

// Set returns the published key set of a use as a JWKS document: next, active and
// retired keys. The bytes must not be changed.
func (k *Keys) Set(ctx context.Context, use vigil.KeyUse) ([]byte, error) {
	view, err := k.view(ctx, use, keySnapshotAge)
	if err != nil {
		return nil, err
	}
	return view.set, nil
}

// sign makes a compact JWS of claims with the active key of a use.
func (k *Keys) sign(ctx context.Context, use vigil.KeyUse, typ string, claims any) (string, error) {
	view, err := k.view(ctx, use, keySnapshotAge)
	if err != nil {
		return "", err
	}
	if view.signer == nil {
		return "", vigil.Errorf(vigil.CodeInternal, "There is no active signing key (%s).", use)
	}
	return signToken(claims, view.alg, view.kid, typ, view.signer)
}

// verifier returns the public key with an id. A key that another node made since our
// snapshot is found by one reload; while the store does not answer, nobody can say that a
// key is not there.
func (k *Keys) verifier(ctx context.Context, use vigil.KeyUse, kid string) (verifyKey, error) {
	view, err := k.view(ctx, use, keySnapshotAge)
	if err != nil {
		return verifyKey{}, err
	}
	if key, ok := view.public[kid]; ok {
		return key, nil
	}
	if view, err = k.current(ctx, use, keyMissAge, false); err != nil {
		return verifyKey{}, err
	}
	if key, ok := view.public[kid]; ok {
		return key, nil
	}
	return verifyKey{}, vigil.Errorf(vigil.CodeNotFound, "There is no such key.")
}

// view returns a snapshot that is at most maxAge old. When the store does not answer, or is
// slow, an older one goes on being used: keys change rarely and a launch must not fail for
// it.
func (k *Keys) view(ctx context.Context, use vigil.KeyUse, maxAge time.Duration) (*keyView, error) {
	return k.current(ctx, use, maxAge, true)
}

// current is view; without old it insists on maxAge. The first caller who finds the snapshot
// too old reads the store, the others wait for that.
func (k *Keys) current(ctx context.Context, use vigil.KeyUse, maxAge time.Duration, old bool) (*keyView, error) {
	asked := k.opt.Now()
	c := k.caches[use]
	for {
		now := k.opt.Now()
		k.mu.Lock()
		view := c.view
		// A read that began after we asked is as new as can be, however long it took.
		if view != nil && (now.Sub(view.at) < maxAge || !view.at.Before(asked)) {
			k.mu.Unlock()
			return view, nil
		}
		good := old && view != nil && now.Sub(view.at) < retiredKeyAge-maxSigned
		reading, err := c.reading, c.err
		pause := err != nil && now.Sub(c.failed) < keyRetry
		if reading == nil && !pause {
			c.reading = make(chan struct{})
		}
		k.mu.Unlock()
		switch {
		case reading != nil:
			done, err := waitFor(ctx, reading, good)
			if err != nil {
				return nil, err
			}
			if !done {
				return view, nil
			}
			continue
		case !pause:
			var fresh *keyView
			if fresh, err = k.read(ctx, use, view); err == nil {
				return fresh, nil
			}
		}
		if good {
			return view, nil
		}
		return nil, err
	}
}

// waitFor waits until a read is over: for as long as the caller does, or for keyPatience
// where there is something else to go by.
func waitFor(ctx context.Context, reading <-chan struct{}, impatient bool) (done bool, err error) {
	var patience <-chan time.Time
	if impatient {
		timer := time.NewTimer(keyPatience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-reading:
		return true, nil
	case <-patience:
		return false, nil
	case <-ctx.Done():
		return false, vigil.Wrap(ctx.Err(), vigil.CodeUnavailable, "The keys cannot be read at the moment; try again.")
	}
}

// read reads the keys of a use for all who wait for that. The caller has set the cache's
// reading. The read does not end with its first caller.
func (k *Keys) read(ctx context.Context, use vigil.KeyUse, old *keyView) (fresh *keyView, err error) {
	err = errors.New("the read of the keys broke off") // it panicked
	defer func() {
		now := k.opt.Now()
		k.mu.Lock()
		defer k.mu.Unlock()
		c := k.caches[use]
		if c.err, c.failed = err, now; err == nil {
			c.view = fresh
		}
		close(c.reading)
		c.reading = nil
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyReadTimeout)
	defer cancel()
	fresh, err = k.load(ctx, use, old)
	return fresh, err
}

// reload replaces the snapshot whatever its age, by a read that begins after the call.
func (k *Keys) reload(ctx context.Context, use vigil.KeyUse) (*keyView, error) {
	c := k.caches[use]
	for {
		k.mu.Lock()
		view, reading := c.view, c.reading
		if reading == nil {
			c.reading = make(chan struct{})
		}
		k.mu.Unlock()
		if reading == nil {
			return k.read(ctx, use, view)
		}
		if _, err := waitFor(ctx, reading, false); err != nil {
			return nil, err
		}
	}
}

// load reads the keys of a use from the store. The private key is opened only when it
// was not yet in the old snapshot.
func (k *Keys) load(ctx context.Context, use vigil.KeyUse, old *keyView) (*keyView, error) {
	begun := k.opt.Now()
	keys, err := k.store.Keys(ctx, use)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b vigil.Key) int { return a.Created.Compare(b.Created) })
	view := &keyView{at: begun, keys: keys, public: map[string]verifyKey{}, alg: algOf(use)}
	doc := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, key := range keys {
		pub, err := readPublic(key.Public)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.ID, err)
		}
		if pub.kid != key.ID || pub.alg != view.alg {
			return nil, fmt.Errorf("key %s is not the key it says it is", key.ID)
		}
		view.public[key.ID] = pub
		doc.Keys = append(doc.Keys, key.Public)
	}
	if view.set, err = json.Marshal(doc); err != nil {
		return nil, err
	}
	active := newestOf(keys, vigil.KeyActive)
	if active == nil {
		return view, nil
	}
	view.kid = active.ID
	if old != nil && old.kid == active.ID {
		view.signer = old.signer
		return view, nil
	}
	private, err := k.sealer.Open(active.Sealed)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", active.ID, err)
	}
	defer clear(private)
	kid, signer, err := readPrivate(private)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", active.ID, err)
	}
	if kid != active.ID || !samePublic(signer.Public(), view.public[active.ID].key) {
		return nil, fmt.Errorf("key %s: the sealed half belongs to another key", active.ID)
	}
	view.signer = signer
	return view, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	e, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && e.Equal(b)
}

// create makes and stores a next key.
func (k *Keys) create(ctx context.Context, use vigil.KeyUse) error {
	kid, private, public, err := newKey(algOf(use))
	if err != nil {
		return err
	}
	defer clear(private)
	sealed, err := k.sealer.Seal(private)
	if err != nil {
		return err
	}
	if bytes.Contains(sealed, private) {
		return errors.New("the sealer does not encrypt")
	}
	now := k.opt.Now()
	return k.store.CreateKey(ctx, vigil.Key{
		ID: kid, Use: use, State: vigil.KeyNext, Sealed: sealed, Public: public, Created: now, Since: now,
	})
}

func (k *Keys) move(ctx context.Context, key vigil.Key, state vigil.KeyState) error {
	key.State, key.Since = state, k.opt.Now()
	return k.store.UpdateKey(ctx, key)
}

// newestOf returns the key that took a state last; two nodes agree on it because ties
// go by id.
func newestOf(keys []vigil.Key, state vigil.KeyState) *vigil.Key {
	var best *vigil.Key
	for i := range keys {
		key := &keys[i]
		if key.State != state {
			continue
		}
		if best == nil || key.Since.After(best.Since) || key.Since.Equal(best.Since) && key.ID > best.ID {
			best = key
		}
	}
	return best
}

// ServeKeys answers GET with our LTI key set. Platforms fetch it for every message, and
// open it to any origin: it is public.
func (t *Tool) ServeKeys(w http.ResponseWriter, r *http.Request) { t.serveSet(w, r, vigil.KeyLTI) }

// ServeReceiptKeys answers GET with the key set that receipts are signed with
// (docs/receipts.md). It is public, too.
func (t *Tool) ServeReceiptKeys(w http.ResponseWriter, r *http.Request) {
	t.serveSet(w, r, vigil.KeyReceipt)
}

func (t *Tool) serveSet(w http.ResponseWriter, r *http.Request, use vigil.KeyUse) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The key set is read with GET.", http.StatusMethodNotAllowed)
		return
	}
	set, err := t.keys.Set(r.Context(), use)
	if err != nil {
		t.cfg.Log.ErrorContext(r.Context(), "key set not readable", "use", use, "error", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "The key set cannot be read at the moment; try again.", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(set)
}
