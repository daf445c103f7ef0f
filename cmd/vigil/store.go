package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/lti"
	dynamosteps "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// create brings the store's schema up to date, making the store where there is none, and
// opens it. Only serve, demo, migrate, copy --to and restore make a store; everything else
// opens what is there. Steps that take time are told to progress.
func (s storeSettings) create(ctx context.Context, progress func(step string), log *slog.Logger) (storage.Store, error) {
	if err := s.migrate(ctx, false, nil, progress); err != nil {
		return nil, err
	}
	return s.open(ctx, log)
}

// migrate brings the store's schema up to date. claim is nil where a server has the file.
func (s storeSettings) migrate(ctx context.Context, stopOld bool, claim func(shared bool) (func(), error), progress func(step string)) error {
	if place, ok, err := s.dynamoPlace(); ok {
		if err != nil {
			return err
		}
		return place.with(ctx, func(client *dynamodb.Client) error {
			o := place.options(client, progress)
			o.StopOld = stopOld
			return dynamosteps.Migrate(ctx, o)
		})
	}
	path, err := s.sqlitePath()
	if err != nil {
		return err
	}
	return sqlite.MigrateWith(ctx, sqlite.MigrateOptions{Path: path, Progress: progress, StopOld: stopOld, Claim: claim, Steps: testSteps("sqlite")})
}

// open opens a store that is there, and makes nothing where there is none.
func (s storeSettings) open(ctx context.Context, log *slog.Logger) (storage.Store, error) {
	erasures, err := s.erasures()
	if err != nil {
		return nil, err
	}
	if place, ok, err := s.dynamoPlace(); ok {
		if err != nil {
			return nil, err
		}
		store, err := place.open(ctx, log, erasures)
		if vigil.CodeOf(err) == vigil.CodeIllegal {
			err = byStore(err, place.words())
		}
		return store, err
	}
	path, err := s.sqlitePath()
	if err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: log, Steps: testSteps("sqlite"), NewErasure: erasures})
	if err != nil {
		if vigil.CodeOf(err) == vigil.CodeIllegal {
			err = byStore(err, path)
		}
		return nil, err
	}
	return store, nil
}

// byStore names the store that cannot be used and, where it is not there, what to do.
func byStore(err error, place string) error {
	e, ok := errors.AsType[*vigil.Error](err)
	if !ok {
		return err
	}
	c := *e
	c.Message = "The store " + place + " cannot be used. " + c.Message
	if errors.Is(err, storage.ErrNoStore) {
		c.Message = "There is no store at " + place + ". Give the --store (VIGIL_STORE) that `vigil serve` has; `vigil migrate` makes a new, empty one."
		c.Err = nil
	}
	return &c
}

// stepsVariable names an environment variable by which a folder has other steps of the schema
// than the program's own, in sqlite and dynamodb. Only tests set it, when they link the binary.
var stepsVariable = ""

// testSteps are the steps in the tests' folder; nil: the program's own.
func testSteps(kind string) fs.FS {
	if stepsVariable == "" || os.Getenv(stepsVariable) == "" {
		return nil
	}
	return os.DirFS(filepath.Join(os.Getenv(stepsVariable), kind))
}

// secret is the operator's secret, as far as it can be known without the store.
type secret struct {
	sealer  lti.Sealer // nil: in a key file that is not there yet
	keyFile string
}

// secret reads the operator's secret and finds out what is wrong with it, before a store is
// made that nobody could use.
func (s storeSettings) secret(ctx context.Context) (secret, error) {
	place, dynamo, err := s.dynamoPlace()
	if err != nil {
		return secret{}, err
	}
	if key, ok := strings.CutPrefix(s.KeySecret, "kms:"); ok {
		sealer, err := newKMSSealer(ctx, key, cmp.Or(place.client.Region, s.DynamoDBRegion))
		if err != nil {
			return secret{}, err
		}
		return secret{sealer: sealer}, nil
	}
	if s.KeySecret != "" {
		sealer, err := secretSealer(s.KeySecret)
		return secret{sealer: sealer}, err
	}
	if dynamo {
		return secret{}, vigil.Invalid("key-secret", "With DynamoDB the secret that encrypts our private keys comes from the environment: set VIGIL_KEY_SECRET to 32 bytes in base64, or to kms:KEY, the same on every node.")
	}
	path, err := s.keyPath()
	if err != nil {
		return secret{}, err
	}
	sealer, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) || s.KeyFile == "" && errors.Is(err, syscall.ENOTDIR) { // that is the store's to say
		return secret{keyFile: path}, nil
	}
	return secret{sealer: sealer}, err
}

// creatable tells whether a key file that is not there can be made. One beside the database
// file can be where that can.
func (s storeSettings) creatable(k secret) error {
	if k.sealer != nil || s.KeyFile == "" {
		return nil
	}
	return tryKeyFile(k.keyFile)
}

// open is the sealer for a store. A key file that is not there is made, but only for a store
// that has no sealed keys yet: a new secret could not open the old ones.
func (k secret) open(ctx context.Context, store storage.Store) (lti.Sealer, error) {
	if k.sealer != nil {
		return k.sealer, nil
	}
	fresh := true
	for _, use := range vigil.KeyUses {
		keys, err := store.Keys(ctx, use)
		if err != nil {
			return nil, err
		}
		fresh = fresh && len(keys) == 0
	}
	return openSealer(k.keyFile, fresh)
}

// sealer opens the operator's secret for a store.
func (s storeSettings) sealer(ctx context.Context, store storage.Store) (lti.Sealer, error) {
	k, err := s.secret(ctx)
	if err != nil {
		return nil, err
	}
	return k.open(ctx, store)
}

// with opens the store for a command, and closes it after.
func (s storeSettings) with(ctx context.Context, io *streams, do func(storage.Store) error) error {
	s.operator = true
	store, err := s.open(ctx, commandLog(io))
	if err != nil {
		return err
	}
	return closing(store, do)
}

// commandLog is what a command's parts log to: warnings, for people.
func commandLog(io *streams) *slog.Logger {
	return slog.New(logHandler(io.err, "text", slog.LevelWarn))
}

// closing does something with a store and closes it.
func closing(store storage.Store, do func(storage.Store) error) (err error) {
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	return do(store)
}

// dumperOf gives an operator's command the power to list a whole store, which no request path
// has.
func dumperOf(store storage.Store) (storage.Dumper, error) {
	switch s := store.(type) {
	case dynamoStore:
		return s.Dumper()
	case storage.Dumper:
		return s, nil
	}
	return nil, vigil.Errorf(vigil.CodeInternal, "A store of this kind cannot list everything.")
}
