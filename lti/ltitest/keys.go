package ltitest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"

	"vigil"
)

// Key is a signing key of the platform.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// NewKey makes an RSA key; its id is a hash of the public half.
func NewKey(bits int) Key {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic("ltitest: make a key: " + err.Error())
	}
	return keyOf(k)
}

func keyOf(k *rsa.PrivateKey) Key {
	sum := sha256.Sum256(k.N.Bytes())
	return Key{ID: hex.EncodeToString(sum[:10]), Private: k}
}

// JWK is the public half of an RSA key as Moodle publishes it: a map, so that it can
// be changed before it is sent.
func (k Key) JWK() map[string]any {
	return map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": k.ID,
		"e": b64.EncodeToString(big.NewInt(int64(k.Private.E)).Bytes()),
		"n": b64.EncodeToString(k.Private.N.Bytes()),
	}
}

func (k Key) marshal() string {
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(k.Private))
}

func unmarshalKey(s string) (Key, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return Key{}, fmt.Errorf("read a key: %w", err)
	}
	k, err := x509.ParsePKCS1PrivateKey(b)
	if err != nil {
		return Key{}, fmt.Errorf("read a key: %w", err)
	}
	return keyOf(k), nil
}

// Key is the key that signs for a tool. Moodle has one for all tools, Open edX one
// for each.
func (p *Platform) Key(clientID string) Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keyLocked(clientID)
}

func (p *Platform) keyLocked(clientID string) Key {
	if p.cfg.Like == Moodle {
		clientID = ""
	}
	k, ok := p.keys[clientID]
	if !ok {
		k = NewKey(p.cfg.KeyBits)
		p.keys[clientID] = k
	}
	return k
}

// RotateKey gives a tool's signatures a new key; the old one leaves the key set at once.
func (p *Platform) RotateKey(clientID string) Key {
	p.mu.Lock()
	if p.cfg.Like == Moodle {
		clientID = ""
	}
	k := NewKey(p.cfg.KeyBits)
	p.keys[clientID] = k
	p.mu.Unlock()
	p.changed()
	return k
}

func (p *Platform) serveKeySet(w http.ResponseWriter, r *http.Request) {
	client := r.PathValue("client")
	if client != "" {
		if _, ok := p.Tool(client); !ok {
			p.fail(w, r, vigil.Errorf(vigil.CodeNotFound, "No such tool."))
			return
		}
	}
	jwk := p.Key(client).JWK()
	if p.cfg.Like == OpenEdX {
		delete(jwk, "alg")
		delete(jwk, "use")
		jwk["key_ops"] = []any{"verify"}
	}
	set := map[string]any{"keys": []any{jwk}}
	if f := p.mischiefNow().KeySet; f != nil {
		f(set)
	}
	writeJSON(w, http.StatusOK, "application/json; charset=utf-8", set)
}
