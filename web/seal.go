package web

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"vigil"
)

// sealedRecords keeps values in records that only who holds their secret can read: the
// cookie's token of a visit, or a one-use code. They are a person's name and user id, which
// must not stay behind in the store when the person is erased. The store never has a secret: what
// names a record and what encrypts it (AES-256-GCM) are derived from it (HKDF-SHA256), each
// for itself. Secrets are random and long, so that none can be found by trying.
type sealedRecords struct {
	store Store
	kind  string
	now   func() time.Time
}

func (s *Server) sealed(kind string) sealedRecords { return sealedRecords{s.store, kind, s.now} }

// create keeps a value under a secret that has none yet.
func (r sealedRecords) create(ctx context.Context, secret string, value []byte, expires time.Time) error {
	record, err := r.seal(secret, value, expires)
	if err != nil {
		return err
	}
	return r.store.CreateRecord(ctx, record, r.now())
}

// put keeps a value under a secret, whatever was there.
func (r sealedRecords) put(ctx context.Context, secret string, value []byte, expires time.Time) error {
	record, err := r.seal(secret, value, expires)
	if err != nil {
		return err
	}
	return r.store.PutRecord(ctx, record)
}

// get reads a value. It is CodeNotFound if there is none, and if what is there was not
// sealed under this secret.
func (r sealedRecords) get(ctx context.Context, secret string) ([]byte, error) {
	key, err := r.key(secret)
	if err != nil {
		return nil, err
	}
	record, err := r.store.GetRecord(ctx, r.kind, key, r.now())
	if err != nil {
		return nil, err
	}
	return r.unseal(secret, record.Value)
}

// take is get and remove in one step: of many callers one gets the value.
func (r sealedRecords) take(ctx context.Context, secret string) ([]byte, error) {
	key, err := r.key(secret)
	if err != nil {
		return nil, err
	}
	record, err := r.store.TakeRecord(ctx, r.kind, key, r.now())
	if err != nil {
		return nil, err
	}
	return r.unseal(secret, record.Value)
}

func (r sealedRecords) remove(ctx context.Context, secret string) error {
	key, err := r.key(secret)
	if err != nil {
		return err
	}
	return r.store.DeleteRecord(ctx, r.kind, key)
}

// key names a record.
func (r sealedRecords) key(secret string) (string, error) {
	b, err := r.derive(secret, "name")
	return hex.EncodeToString(b), err
}

func (r sealedRecords) derive(secret, use string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), nil, "vigil record "+r.kind+" "+use, sha256.Size)
}

func (r sealedRecords) cipher(secret string) (cipher.AEAD, error) {
	key, err := r.derive(secret, "encryption")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (r sealedRecords) seal(secret string, value []byte, expires time.Time) (vigil.Record, error) {
	key, err := r.key(secret)
	if err != nil {
		return vigil.Record{}, err
	}
	aead, err := r.cipher(secret)
	if err != nil {
		return vigil.Record{}, err
	}
	return vigil.Record{Kind: r.kind, Key: key, Value: aead.Seal(nil, nil, value, nil), Expires: expires}, nil //nolint:gosec // the cipher makes the nonce
}

// errSealed is the cause when a record is there that does not open.
var errSealed = errors.New("record was not sealed under this secret")

func (r sealedRecords) unseal(secret string, sealed []byte) ([]byte, error) {
	aead, err := r.cipher(secret)
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, &vigil.Error{Code: vigil.CodeNotFound, Err: errSealed}
	}
	return value, nil
}
