package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
)

type serveCmd struct {
	storeSettings  `embed:""`
	serverSettings `embed:""`
	logSettings    `embed:""`
}

// gcPercent lets the heap grow to three times what is in use before it is collected, where
// GOGC says nothing: a busy server's garbage is short-lived, and what is in use is small.
const gcPercent = 200

// Run serves until the process is told to stop (SIGTERM or an interrupt).
func (c serveCmd) Run(ctx context.Context, s *streams) (err error) {
	if err := c.serverSettings.Validate(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log, stop := c.logger(s.err)
	defer stop()
	secret, err := c.secret(ctx)
	if err == nil {
		err = c.creatable(secret)
	}
	if err != nil {
		return err
	}
	_, tables, _ := c.dynamoPlace() // a bad place is told when it is opened
	if !tables {
		unlock, err := c.claimFile(c.Redis != "")
		if err != nil {
			return err
		}
		defer unlock()
	}
	store, err := c.create(ctx, func(step string) { log.InfoContext(ctx, "schema", "step", step) }, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := unfinished(ctx, store); err != nil {
		return err
	}
	sealer, err := secret.open(ctx, store)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, c.serverSettings, store, sealer, log, appOptions{oneHost: !tables || c.Redis == "", removes: tables})
	if err != nil {
		return err
	}
	return a.run(ctx, nil)
}
