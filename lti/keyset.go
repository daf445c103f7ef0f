package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"vigil"
)

// Times and bounds of the key set client.
const (
	keySetFresh      = 5 * time.Minute  // after that a set is read again at the next use: a key that was removed counts no longer
	keySetGood       = 24 * time.Hour   // how long known keys serve while the server is down
	keySetInterval   = 10 * time.Second // between two fetches of one URL
	keyUnknownFor    = time.Minute      // how long an unknown key id is remembered
	maxUnknownKeys   = 1000             // remembered a URL
	maxKeySetEntries = 10_000           // URLs remembered: one or few a platform
)

// keySets reads platforms' key sets. Sets are cached by URL. At most one fetch of a URL
// is under way at a time, and two are at least keySetInterval apart, whatever tokens
// come: key ids are the sender's choice and must not make us send requests at will.
type keySets struct {
	fetch *fetcher
	now   func() time.Time

	mu      sync.Mutex // guards entries
	entries map[keySetID]*keySetEntry
}

// keySetID names an entry. A private and a public platform that name the same URL do
// not share one: they are fetched under different rules.
type keySetID struct {
	url     string
	private bool
}

type keySetEntry struct {
	fetching chan struct{} // holds one token while a fetch is under way

	mu      sync.Mutex // guards what follows
	set     *keySet
	fetched time.Time // when set was read
	tried   time.Time // when the last fetch began
	busy    bool      // a fetch is under way
	err     error     // of the last fetch
	unknown map[string]time.Time
}

func newKeySets(f *fetcher, now func() time.Time) *keySets {
	return &keySets{fetch: f, now: now, entries: map[keySetID]*keySetEntry{}}
}

// Why a key was not found.
var (
	ErrKeySetUnavailable = &Fault{"key_set_unavailable", vigil.CodeUnavailable, "Your learning platform's keys cannot be read at the moment. Try again in a minute."}
	ErrKeyUnknown        = &Fault{"key_unknown", vigil.CodeUnauthorized, "This message was signed with a key that your learning platform does not publish. Try again from your course."}
	ErrKeyUnfit          = &Fault{"key_unfit", vigil.CodeUnauthorized, "This message was signed with a key that is not safe to use. Tell the administrator of your learning platform."}
)

// key returns a platform's key by its id. It fetches the set when it is not cached,
// when it is older than keySetFresh, or when the id is not in it, within the limits. One that
// was read before changed does not count: an operator who disables a platform and activates
// it again may have done so because of a key.
func (s *keySets) key(ctx context.Context, url string, private bool, kid string, changed time.Time) (verifyKey, error) {
	e, err := s.entry(keySetID{url, private})
	if err != nil {
		return verifyKey{}, err
	}
	for {
		key, fetch, err := e.lookup(kid, changed, s.now())
		if !fetch {
			return key, err
		}
		select {
		case e.fetching <- struct{}{}:
		case <-ctx.Done():
			return verifyKey{}, ErrKeySetUnavailable.because("%w", ctx.Err())
		}
		s.refreshFor(ctx, e, url, private, kid, changed)
	}
}

// refreshFor fetches the set for a key id, if nobody else did while the caller waited for
// the entry's fetching token, and gives the token back.
func (s *keySets) refreshFor(ctx context.Context, e *keySetEntry, url string, private bool, kid string, changed time.Time) {
	defer func() { <-e.fetching }()
	if _, fetch, _ := e.lookup(kid, changed, s.now()); fetch {
		s.refresh(ctx, e, url, private)
		e.remember(kid, s.now())
	}
}

// entry returns the entry of a URL, making it.
func (s *keySets) entry(id keySetID) (*keySetEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		if len(s.entries) >= maxKeySetEntries {
			return nil, ErrKeySetUnavailable.because("too many key sets")
		}
		e = &keySetEntry{fetching: make(chan struct{}, 1), unknown: map[string]time.Time{}}
		s.entries[id] = e
	}
	return e, nil
}

// lookup answers from the cache, or says that a fetch is due.
func (e *keySetEntry) lookup(kid string, changed, now time.Time) (key verifyKey, fetch bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if changed.After(now) { // by a clock that is ahead of ours
		changed = time.Time{}
	}
	due := now.Sub(e.tried) >= keySetInterval || e.tried.Before(changed) // a change allows one fetch at once
	mayFetch := due || e.busy                                            // while a fetch is under way, wait for what it brings
	if e.set == nil || now.Sub(e.fetched) >= keySetGood || e.fetched.Before(changed) {
		if mayFetch {
			return verifyKey{}, true, nil
		}
		return verifyKey{}, false, ErrKeySetUnavailable.because("%w", e.err)
	}
	if now.Sub(e.fetched) >= keySetFresh && due && !e.busy {
		return verifyKey{}, true, nil
	}
	if key, ok := e.set.usable[kid]; ok {
		return key, false, nil
	}
	if at, ok := e.unknown[kid]; ok && now.Sub(at) < keyUnknownFor {
		mayFetch = false
	}
	if mayFetch {
		return verifyKey{}, true, nil
	}
	if why, ok := e.set.unfit[kid]; ok {
		return verifyKey{}, false, ErrKeyUnfit.because("%s", why)
	}
	if e.err != nil {
		return verifyKey{}, false, ErrKeySetUnavailable.because("%w", e.err)
	}
	return verifyKey{}, false, ErrKeyUnknown.because("not in the key set")
}

// remember notes a key id that the set, read a moment ago because of it, does not hold.
func (e *keySetEntry) remember(kid string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil || e.set == nil || e.set.usable[kid].key != nil {
		return
	}
	if len(e.unknown) >= maxUnknownKeys {
		for k, at := range e.unknown {
			if now.Sub(at) >= keyUnknownFor {
				delete(e.unknown, k)
			}
		}
		if len(e.unknown) >= maxUnknownKeys {
			return // the interval between fetches still holds
		}
	}
	e.unknown[kid] = now
}

// refresh fetches the set. The caller holds the entry's fetching token. The fetch does
// not end when the caller's request does: others wait for it, and an attacker must not
// be able to use up the interval by hanging up.
func (s *keySets) refresh(ctx context.Context, e *keySetEntry, url string, private bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	begun := s.now()
	e.mu.Lock()
	e.tried, e.busy = begun, true
	e.mu.Unlock()
	var set *keySet
	err := errors.New("key set: the fetch broke off") // it panicked
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err, e.busy = err, false; err == nil {
			e.set, e.fetched = set, begun
		}
	}()
	set, err = s.read(ctx, url, private)
}

// read fetches and parses one key set document.
func (s *keySets) read(ctx context.Context, url string, private bool) (*keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("key set: not a URL")
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	res, err := s.fetch.do(req, private, maxFetchBytes)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if res.status != http.StatusOK {
		return nil, fmt.Errorf("key set: status %d", res.status)
	}
	set, err := parseKeySet(res.body)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return set, nil
}
