package main

import (
	"context"
	"errors"

	"vigil"
)

type serveCmd struct {
	storeSettings  `embed:""`
	serverSettings `embed:""`
	logSettings    `embed:""`
}

// Run serves until the process is told to stop (SIGTERM or an interrupt).
func (c serveCmd) Run(ctx context.Context, s *streams) (err error) {
	if err := c.serverSettings.Validate(); err != nil {
		return err
	}
	if _, shared, _ := c.dynamoPlace(); c.Redis != "" && !shared {
		return vigil.Invalid("redis", "Redis is for many servers, and they need a store that they share: --store=dynamodb:PREFIX. An SQLite file serves one server.")
	}
	log := c.logger(s.err)
	store, err := c.open(ctx, func(step string) { log.InfoContext(ctx, "schema", "step", step) }, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	sealer, err := c.sealer(ctx, store)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, c.serverSettings, store, sealer, log, appOptions{})
	if err != nil {
		return err
	}
	return a.run(ctx, nil)
}
