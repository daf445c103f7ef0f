package ltitest

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"time"

	"vigil"
)

const maxKeySet = 256 << 10

// checkSignature verifies a JWT of a tool against the tool's key set. Moodle keeps the
// key set and fetches it again when a check fails; Open edX fetches it for every
// message and tries every key.
func (p *Platform) checkSignature(ctx context.Context, t Tool, j jws) error {
	p.mu.Lock()
	keys, cached := p.cached[t.ClientID]
	p.mu.Unlock()
	if p.cfg.Like == Moodle && cached {
		if p.checkWith(keys, j) == nil {
			return nil
		}
	}
	keys, err := p.fetchKeys(ctx, t.KeySetURL)
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The LMS cannot fetch the tool's key set.")
	}
	p.mu.Lock()
	p.cached[t.ClientID] = keys
	p.mu.Unlock()
	return p.checkWith(keys, j)
}

func (p *Platform) checkWith(keys map[string]Key, j jws) error {
	if p.cfg.Like == OpenEdX {
		err := error(vigil.Errorf(vigil.CodeUnauthorized, "The tool's key set is empty."))
		for _, id := range slices.Sorted(maps.Keys(keys)) {
			if err = j.verify(&keys[id].Private.PublicKey); err == nil {
				return nil
			}
		}
		return err
	}
	kid := stringOf(j.header, "kid")
	k, ok := keys[kid]
	if kid == "" || !ok {
		return vigil.Errorf(vigil.CodeUnauthorized, "The JWT's key id is not in the tool's key set.")
	}
	return j.verify(&k.Private.PublicKey)
}

// fetchKeys reads a key set; keys that are not RSA for RS256 make it fail, as they
// confuse platforms that try every key.
func (p *Platform) fetchKeys(ctx context.Context, url string) (map[string]Key, error) {
	p.mu.Lock()
	p.fetches[url]++
	p.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("key set URL: %w", err)
	}
	res, err := p.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if res.StatusCode != http.StatusOK || len(body) > maxKeySet {
		return nil, fmt.Errorf("the answer is %s, %d bytes", res.Status, len(body))
	}
	return parseKeySet(body)
}

func parseKeySet(body []byte) (map[string]Key, error) {
	set, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	list, ok := set["keys"].([]any)
	if !ok {
		return nil, errors.New("no keys")
	}
	keys := map[string]Key{}
	for i, v := range list {
		m, _ := v.(map[string]any)
		kid := stringOf(m, "kid")
		if kid == "" || stringOf(m, "kty") != "RSA" || stringOf(m, "alg") != "RS256" {
			return nil, fmt.Errorf("key %d has no kid or is not for RS256", i)
		}
		if _, private := m["d"]; private {
			return nil, fmt.Errorf("key %d is private", i)
		}
		n, err1 := b64.DecodeString(stringOf(m, "n"))
		e, err2 := b64.DecodeString(stringOf(m, "e"))
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		exp := new(big.Int).SetBytes(e)
		pub := rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())}
		if !exp.IsInt64() || exp.Int64() < 3 || exp.Int64() > 1<<31-1 || pub.N.BitLen() < 2048 || pub.N.BitLen() > 8192 {
			return nil, fmt.Errorf("key %d has a wrong size", i)
		}
		keys[kid] = Key{ID: kid, Private: &rsa.PrivateKey{PublicKey: pub}}
	}
	return keys, nil
}

// toolJWT says what a JWT of a tool must be.
type toolJWT struct {
	name     string // for messages: what it is
	issuer   string
	subject  string // "" when it need not be there
	audience string
	unique   string // the claim that may be used once: jti or nonce
	longest  time.Duration
}

// checkTool verifies a JWT of a tool completely but for what its message type adds.
// There is no leeway at all: Moodle and Open edX allow none.
func (p *Platform) checkTool(ctx context.Context, t Tool, j jws, want toolJWT) error {
	if err := p.checkSignature(ctx, t, j); err != nil {
		return err
	}
	now := p.cfg.Now()
	exp, hasExp := integerOf(j.claims, "exp")
	iat, hasIAT := integerOf(j.claims, "iat")
	nbf, hasNBF := integerOf(j.claims, "nbf")
	id := stringOf(j.claims, want.unique)
	bad := func(format string, args ...any) error {
		return vigil.Errorf(vigil.CodeUnauthorized, want.name+": "+format, args...)
	}
	switch {
	case stringOf(j.claims, "iss") != want.issuer:
		return bad("the issuer is not the tool's client id")
	case want.subject != "" && stringOf(j.claims, "sub") != want.subject:
		return bad("the subject is not the tool's client id")
	case !audienceIs(j.claims["aud"], want.audience):
		return bad("the audience is not %s", want.audience)
	case !hasExp || !hasIAT:
		return bad("exp or iat is missing")
	case !time.Unix(exp, 0).After(now):
		return bad("it has expired")
	case time.Unix(iat, 0).After(now):
		return bad("it comes from the future")
	case hasNBF && time.Unix(nbf, 0).After(now):
		return bad("it is not valid yet")
	case exp-iat > int64(want.longest/time.Second):
		return bad("it lives longer than %s", want.longest)
	case id == "":
		return bad("there is no %s", want.unique)
	case !p.firstTime(t.ClientID+"\x00"+want.unique+"\x00"+id, time.Unix(exp, 0)):
		return bad("this %s was used already", want.unique)
	}
	return nil
}

// audienceIs takes a string or a list that holds the one audience and nothing else.
func audienceIs(aud any, want string) bool {
	if list, ok := aud.([]any); ok && len(list) == 1 {
		aud = list[0]
	}
	return aud == want
}
