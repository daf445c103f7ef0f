package lti

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// This file is the only one that imports the JOSE library, whose v2 line is in
// maintenance. It gives the rest of the package: compact tokens split and signed, key
// sets read and written, keys generated. Claims are not its business.

// Sizes of what is read.
const (
	maxTokenBytes  = 224 << 10 // a launch that tells of hundreds of groups, and of their names in any script
	maxHeaderBytes = 4 << 10
	maxKeysInSet   = 100
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// The two signature algorithms in use; nothing else is ever verified.
const (
	algRS256 = "RS256" // everything that platforms send and get
	algEdDSA = "EdDSA" // our own socket tokens
)

var errNotCompact = errors.New("not a compact JWS")

// header is what we read of a JOSE header. Members that name keys of the token's own
// choosing (jku, jwk, x5u, x5c) are not read at all.
type header struct {
	Alg string
	Kid string
	Typ string
}

// splitToken takes a compact JWS apart without verifying it: header and the payload's
// bytes. It refuses what is not exactly three non-empty base64url parts, a header that
// is not strict JSON, and any "crit".
func splitToken(compact string) (header, []byte, error) {
	if len(compact) > maxTokenBytes {
		return header{}, nil, errors.New("token too long")
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return header{}, nil, errNotCompact
	}
	enc := base64.RawURLEncoding.Strict()
	raw := make([][]byte, 3)
	for i, part := range parts {
		if strings.ContainsAny(part, "\r\n") { // the decoder would skip them
			return header{}, nil, errNotCompact
		}
		b, err := enc.DecodeString(part)
		if err != nil {
			return header{}, nil, errNotCompact
		}
		raw[i] = b
	}
	if len(raw[0]) > maxHeaderBytes {
		return header{}, nil, errors.New("header too long")
	}
	h, err := parseObject(raw[0])
	if err != nil {
		return header{}, nil, fmt.Errorf("header: %w", err)
	}
	if h.has("crit") {
		return header{}, nil, errors.New("header: crit is not supported")
	}
	var out header
	for name, dst := range map[string]*string{"alg": &out.Alg, "kid": &out.Kid, "typ": &out.Typ} {
		if !h.has(name) {
			continue
		}
		s, ok := h.str(name)
		if !ok || len(s) > 1024 {
			return header{}, nil, fmt.Errorf("header: %s is not a string", name)
		}
		*dst = s
	}
	return out, raw[1], nil
}

// verifyToken checks the signature of a compact JWS under one algorithm and one key.
func verifyToken(compact, alg string, key crypto.PublicKey) error {
	_, err := jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(alg), key), jws.WithCompact())
	return err
}

// signToken makes a compact JWS of claims.
func signToken(claims any, alg, kid, typ string, key crypto.Signer) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	h := jws.NewHeaders()
	if err := h.Set(jws.KeyIDKey, kid); err != nil {
		return "", err
	}
	if err := h.Set(jws.TypeKey, typ); err != nil {
		return "", err
	}
	out, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(alg), key, jws.WithProtectedHeaders(h)))
	return string(out), err
}

// verifyKey is one usable key of a set.
type verifyKey struct {
	kid string
	alg string
	key crypto.PublicKey
}

// keySet is what a JWKS document held that we can use, by key id, and which ids it held
// that we cannot.
type keySet struct {
	usable map[string]verifyKey
	unfit  map[string]string // kid → why
}

// parseKeySet reads a platform's JWKS strictly. A key that cannot verify RS256 (another
// type, use, operation or algorithm, or too weak or too big) is remembered as unfit and
// does not spoil the others; a document that is not a key set is an error. A missing
// "alg" or "use" is fine: Open edX sends neither.
func parseKeySet(data []byte) (*keySet, error) {
	doc, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	list, ok := doc.array("keys")
	if !ok {
		return nil, errors.New(`no "keys" array`)
	}
	if len(list) > maxKeysInSet {
		return nil, errors.New("too many keys")
	}
	set := &keySet{usable: map[string]verifyKey{}, unfit: map[string]string{}}
	for _, item := range list {
		k, ok := item.(object)
		if !ok {
			return nil, errors.New("a key is not an object")
		}
		kid, _ := k.str("kid")
		if kid == "" {
			continue // cannot be named, so cannot be used
		}
		if _, dup := set.usable[kid]; dup {
			delete(set.usable, kid)
			set.unfit[kid] = "two keys have this id"
			continue
		}
		if _, dup := set.unfit[kid]; dup {
			continue
		}
		pub, err := rsaKey(k)
		if err != nil {
			set.unfit[kid] = err.Error()
			continue
		}
		set.usable[kid] = verifyKey{kid: kid, alg: algRS256, key: pub}
	}
	return set, nil
}

// rsaKey reads one public RSA key fit for RS256.
func rsaKey(k object) (*rsa.PublicKey, error) {
	if kty, _ := k.str("kty"); kty != "RSA" {
		return nil, errors.New("not an RSA key")
	}
	if k.has("use") {
		if use, _ := k.str("use"); use != "sig" {
			return nil, errors.New("not for signatures")
		}
	}
	if k.has("alg") {
		if alg, _ := k.str("alg"); alg != algRS256 {
			return nil, errors.New("not for RS256")
		}
	}
	if k.has("key_ops") {
		ops, ok := k.array("key_ops")
		if !ok || !slices.Contains(ops, any("verify")) {
			return nil, errors.New("not for verifying")
		}
	}
	n, _ := k.str("n")
	e, _ := k.str("e")
	if len(n) > 2*maxRSABits/8 || len(e) > 16 {
		return nil, errors.New("modulus or exponent too long")
	}
	data, err := json.Marshal(map[string]string{"kty": "RSA", "n": n, "e": e})
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return nil, errors.New("not a readable RSA key")
	}
	var pub rsa.PublicKey
	if err := parsed.Raw(&pub); err != nil {
		return nil, errors.New("not a readable RSA key")
	}
	if err := fitRSA(&pub); err != nil {
		return nil, err
	}
	return &pub, nil
}

// fitRSA refuses RSA keys that are too weak to trust or big enough to be a burden.
func fitRSA(pub *rsa.PublicKey) error {
	if size := pub.N.BitLen(); size < minRSABits || size > maxRSABits {
		return fmt.Errorf("%d bits", size)
	}
	if pub.N.Bit(0) == 0 {
		return errors.New("even modulus")
	}
	if pub.E < minRSAExponent || pub.E%2 == 0 || bits.Len(uint(pub.E)) > 31 {
		return errors.New("bad exponent")
	}
	return nil
}

// newKey generates a key pair for an algorithm and returns it as private and public
// JWK. The key id is the RFC 7638 thumbprint of the public key.
func newKey(alg string) (kid string, private, public []byte, err error) {
	var raw any
	switch alg {
	case algRS256:
		raw, err = rsa.GenerateKey(rand.Reader, minRSABits)
	case algEdDSA:
		_, raw, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = errors.New("unknown algorithm " + alg)
	}
	if err != nil {
		return "", nil, nil, err
	}
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return "", nil, nil, err
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", nil, nil, err
	}
	kid = base64.RawURLEncoding.EncodeToString(thumb)
	for name, value := range map[string]any{jwk.KeyIDKey: kid, jwk.AlgorithmKey: jwa.SignatureAlgorithm(alg), jwk.KeyUsageKey: jwk.ForSignature} {
		if err := key.Set(name, value); err != nil {
			return "", nil, nil, err
		}
	}
	pub, err := key.PublicKey()
	if err != nil {
		return "", nil, nil, err
	}
	if private, err = json.Marshal(key); err != nil {
		return "", nil, nil, err
	}
	public, err = json.Marshal(pub)
	return kid, private, public, err
}

// readPrivate reads a private JWK that newKey made.
func readPrivate(data []byte) (kid string, key crypto.Signer, err error) {
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return "", nil, errors.New("not a readable private key") // the cause could quote it
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return "", nil, errors.New("not a readable private key")
	}
	signer, ok := raw.(crypto.Signer)
	if !ok {
		return "", nil, errors.New("not a private key")
	}
	return parsed.KeyID(), signer, nil
}

// readPublic reads a public JWK that newKey made.
func readPublic(data []byte) (verifyKey, error) {
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return verifyKey{}, err
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return verifyKey{}, err
	}
	switch raw.(type) {
	case *rsa.PublicKey, ed25519.PublicKey:
		return verifyKey{kid: parsed.KeyID(), alg: parsed.Algorithm().String(), key: raw}, nil
	default:
		return verifyKey{}, errors.New("not a public key")
	}
}
