package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"

	"vigil"
	"vigil/lti"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// open brings the store's schema up to date and opens it. Steps that take time are told
// to progress.
func (s storeSettings) open(ctx context.Context, progress func(step string), log *slog.Logger) (storage.Store, error) {
	if place, ok, err := s.dynamoPlace(); ok {
		if err != nil {
			return nil, err
		}
		return place.open(ctx, progress, log)
	}
	path, err := s.sqlitePath()
	if err != nil {
		return nil, err
	}
	if err := sqlite.Migrate(ctx, path, progress); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, sqlite.Config{Path: path, Logger: log})
}

// sealer opens the operator's secret for a store.
func (s storeSettings) sealer(ctx context.Context, store storage.Store) (lti.Sealer, error) {
	place, dynamo, err := s.dynamoPlace()
	if err != nil {
		return nil, err
	}
	if key, ok := strings.CutPrefix(s.KeySecret, "kms:"); ok {
		return newKMSSealer(ctx, key, cmp.Or(place.client.Region, s.DynamoDBRegion))
	}
	if s.KeySecret != "" {
		return secretSealer(s.KeySecret)
	}
	if dynamo {
		return nil, vigil.Invalid("key-secret", "With DynamoDB the secret that encrypts our private keys comes from the environment: set VIGIL_KEY_SECRET to 32 bytes in base64, or to kms:KEY, the same on every node.")
	}
	path, err := s.keyPath()
	if err != nil {
		return nil, err
	}
	fresh := true
	for _, use := range vigil.KeyUses {
		keys, err := store.Keys(ctx, use)
		if err != nil {
			return nil, err
		}
		fresh = fresh && len(keys) == 0
	}
	return openSealer(path, fresh)
}

// with opens the store for a command, and closes it after.
func (s storeSettings) with(ctx context.Context, io *streams, do func(storage.Store) error) (err error) {
	s.operator = true
	store, err := s.open(ctx, io.tell, slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	return do(store)
}

type migrateCmd struct {
	storeSettings `embed:""`
	What          string `arg:"" optional:"" help:"status: only show where the schema stands, as --status."`
	Status        bool   `help:"Only show where the schema stands."`
	DryRun        bool   `help:"Only show what would be done."`
}

// Run applies the migrations, or lists them.
func (c migrateCmd) Run(ctx context.Context, s *streams) error {
	if c.What != "" && c.What != "status" {
		return vigil.Invalid("migrate", "`vigil migrate` applies the migrations, `vigil migrate status` shows them; %q is neither.", c.What)
	}
	c.Status = c.Status || c.What != ""
	if place, ok, err := c.dynamoPlace(); ok {
		if err != nil {
			return err
		}
		return place.migrate(ctx, c, s)
	}
	path, err := c.sqlitePath()
	if err != nil {
		return err
	}
	if c.Status || c.DryRun {
		steps, err := sqlite.Status(ctx, path)
		if err != nil {
			return err
		}
		waiting := 0
		for _, step := range steps {
			if c.Status {
				tellStep(s, step.Name, step.Applied)
			} else if step.Applied.IsZero() {
				tellPlan(s, "apply "+step.Name)
				waiting++
			}
		}
		if !c.Status && waiting == 0 {
			fmt.Fprintln(s.out, upToDate)
		}
		return nil
	}
	if err := sqlite.Migrate(ctx, path, func(step string) { fmt.Fprintln(s.out, step) }); err != nil {
		return err
	}
	fmt.Fprintln(s.out, upToDate)
	return nil
}
