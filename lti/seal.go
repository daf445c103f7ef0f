package lti

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// Sealer encrypts our private keys for the store, and opens them again. Open must refuse
// anything that Seal did not make with the same secret.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// sealVersion is the first byte of what an AES sealer makes.
const sealVersion = 1

type aesSealer struct{ aead cipher.AEAD }

// NewSealer makes a Sealer from a secret of 32 random bytes: AES-256-GCM with a random
// nonce, stored as version byte, nonce, ciphertext.
func NewSealer(secret []byte) (Sealer, error) {
	if len(secret) != 32 {
		return nil, fmt.Errorf("lti: the sealing secret has %d bytes, not 32", len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return aesSealer{aead}, nil
}

// Seal implements Sealer.
func (s aesSealer) Seal(plain []byte) ([]byte, error) {
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	out[0] = sealVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, err
	}
	return s.aead.Seal(out, out[1:], plain, out[:1]), nil //nolint:gosec // the nonce was read from crypto/rand above
}

// Open implements Sealer.
func (s aesSealer) Open(sealed []byte) ([]byte, error) {
	n := 1 + s.aead.NonceSize()
	if len(sealed) < n || sealed[0] != sealVersion {
		return nil, errors.New("lti: not a sealed key")
	}
	plain, err := s.aead.Open(nil, sealed[1:n], sealed[n:], sealed[:1])
	if err != nil {
		return nil, errors.New("lti: the sealing secret does not open this key")
	}
	return plain, nil
}
