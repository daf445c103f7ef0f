package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vigil"
	"vigil/lti"
)

// keyFileSize is the length of the secret in a key file, in bytes.
const keyFileSize = 32

// openSealer reads the operator's secret from the key file. Where there is none it makes
// one, but only for a store that has no sealed keys yet (fresh): a new secret could not
// open the old ones.
func openSealer(path string, fresh bool) (lti.Sealer, error) {
	sealer, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !fresh {
			return nil, vigil.Invalid("key-file", "The store holds keys that were encrypted, but the key file %s is not there. Put it back from your backup, or name it.", path)
		}
		return createKeyFile(path)
	}
	return sealer, err
}

// readKeyFile reads the secret; fs.ErrNotExist: there is no such file.
func readKeyFile(path string) (lti.Sealer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, keyFileError(err, "The key file %s cannot be read.", path)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(secret) != keyFileSize {
		return nil, vigil.Invalid("key-file", "The key file %s does not hold %d bytes in base64.", path, keyFileSize)
	}
	return lti.NewSealer(secret)
}

// tryKeyFile tells whether a key file can be made there, and makes none.
func tryKeyFile(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), tempKeyFile)
	if err == nil {
		err = errors.Join(tmp.Close(), os.Remove(tmp.Name()))
	}
	if err != nil {
		return keyFileError(err, "The key file %s cannot be made.", path)
	}
	return nil
}

// tempKeyFile is what key files that are being made are named by.
const tempKeyFile = ".vigil-key-*"

// createKeyFile makes the secret. Two processes that do it at once agree: the link is
// made once, and the loser reads the winner's.
func createKeyFile(path string) (lti.Sealer, error) {
	failed := func(err error) (lti.Sealer, error) {
		return nil, keyFileError(err, "The key file %s cannot be made.", path)
	}
	secret := make([]byte, keyFileSize)
	if _, err := rand.Read(secret); err != nil {
		return failed(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), tempKeyFile) // made with mode 0600
	if err != nil {
		return failed(err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return failed(err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return openSealer(path, false)
		}
		return failed(err)
	}
	return lti.NewSealer(secret)
}

func keyFileError(err error, format, path string) error {
	return &vigil.Error{Code: vigil.CodeInvalid, Field: "key-file", Message: fmt.Sprintf(format, path), Err: err}
}
