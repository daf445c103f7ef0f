package ltitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms below
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"vigil"
)

var b64 = base64.RawURLEncoding

// Sign makes a compact JWS (RFC 7515) of any header and any claims with any key: a
// *rsa.PrivateKey (RS…, or PS… when the header's alg says so), ed25519.PrivateKey,
// *ecdsa.PrivateKey, a []byte secret (HS…), or nil for an empty signature. Nothing is
// checked and nothing added: it is a forger's tool as well as the platform's own. A
// header or claims that are a string or json.RawMessage are taken as they are. It panics when the key cannot sign.
func Sign(header, claims, key any) string {
	input := b64.EncodeToString(raw(header)) + "." + b64.EncodeToString(raw(claims))
	alg := ""
	if h, ok := header.(map[string]any); ok {
		alg, _ = h["alg"].(string)
	}
	sig, err := signature(alg, []byte(input), key)
	if err != nil {
		panic(fmt.Sprintf("ltitest: sign with %T: %v", key, err))
	}
	return input + "." + b64.EncodeToString(sig)
}

func raw(v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case json.RawMessage:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("ltitest: " + err.Error())
	}
	return b
}

func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

func signature(alg string, input []byte, key any) ([]byte, error) {
	h := hashOf(alg)
	sum := func() []byte {
		d := h.New()
		d.Write(input)
		return d.Sum(nil)
	}
	switch k := key.(type) {
	case nil:
		return nil, nil
	case []byte:
		m := hmac.New(h.New, k)
		m.Write(input)
		return m.Sum(nil), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input), nil
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum())
		if err != nil {
			return nil, err
		}
		n := (k.Params().BitSize + 7) / 8
		out := make([]byte, 2*n)
		r.FillBytes(out[:n])
		s.FillBytes(out[n:])
		return out, nil
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return rsa.SignPSS(rand.Reader, k, h, sum(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		if k.N.BitLen() < 1024 {
			return weakSignature(k, sum())
		}
		return rsa.SignPKCS1v15(rand.Reader, k, h, sum())
	}
	return nil, fmt.Errorf("no signature with a key of this type")
}

// weakSignature is PKCS #1 v1.5 with SHA-256 for keys that crypto/rsa rightly refuses.
func weakSignature(k *rsa.PrivateKey, sum []byte) ([]byte, error) {
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	size := (k.N.BitLen() + 7) / 8
	pad := size - 3 - len(prefix) - len(sum)
	if pad < 8 || len(sum) != 32 {
		return nil, fmt.Errorf("a key of %d bits is too short", k.N.BitLen())
	}
	em := append([]byte{0, 1}, []byte(strings.Repeat("\xff", pad))...)
	em = append(append(append(em, 0), prefix...), sum...)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.D, k.N).FillBytes(make([]byte, size)), nil
}

// WeakKey makes an RSA key of any size, also of sizes nobody may trust (at least 496
// bits, so that a SHA-256 signature fits).
func WeakKey(bits int) *rsa.PrivateKey {
	e := big.NewInt(65537)
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			panic("ltitest: " + err.Error())
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			panic("ltitest: " + err.Error())
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, phi)
		if d == nil || n.BitLen() != bits || p.Cmp(q) == 0 {
			continue
		}
		return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
	}
}

// jws is a compact JWS taken apart; nothing is verified yet.
type jws struct {
	header, claims map[string]any
	input, sig     []byte
}

// maxJWT bounds a JWT that a tool sends.
const maxJWT = 64 << 10

// parseJWS takes a compact JWS apart. Header and payload must be strict JSON objects.
func parseJWS(s string) (jws, error) {
	var j jws
	if len(s) > maxJWT {
		return j, vigil.Invalid("JWT", "The JWT is longer than %d bytes.", maxJWT)
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return j, vigil.Invalid("JWT", "The JWT does not have three parts.")
	}
	var dec [3][]byte
	for i, p := range parts {
		b, err := b64.Strict().DecodeString(p)
		if err != nil {
			return j, vigil.Wrap(err, vigil.CodeInvalid, "Part %d of the JWT is not base64url.", i+1)
		}
		dec[i] = b
	}
	var err error
	if j.header, err = decodeObject(dec[0]); err != nil {
		return j, vigil.Wrap(err, vigil.CodeInvalid, "The JWT's header is not a JSON object.")
	}
	if j.claims, err = decodeObject(dec[1]); err != nil {
		return j, vigil.Wrap(err, vigil.CodeInvalid, "The JWT's payload is not a JSON object.")
	}
	j.input, j.sig = []byte(parts[0]+"."+parts[1]), dec[2]
	return j, nil
}

// verify checks an RS256 signature; no other algorithm is taken.
func (j jws) verify(pub *rsa.PublicKey) error {
	if alg, _ := j.header["alg"].(string); alg != "RS256" {
		return vigil.Errorf(vigil.CodeUnauthorized, "The JWT is signed with %q, not RS256.", alg)
	}
	h := crypto.SHA256.New()
	h.Write(j.input)
	if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, h.Sum(nil), j.sig); err != nil {
		return vigil.Wrap(err, vigil.CodeUnauthorized, "The JWT's signature is wrong.")
	}
	return nil
}
