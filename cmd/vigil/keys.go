package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/storage"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List our signing keys."`
	Rotate keysRotateCmd `cmd:"" help:"Let the next key sign, and publish a new next one."`
}

type keysListCmd struct {
	storeSettings `embed:""`
}

// Run prints the keys of all uses, newest first.
func (c keysListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		sealer, err := c.sealer(ctx, store)
		if err != nil {
			return err
		}
		keys := lti.NewKeys(store, sealer, lti.KeyOptions{})
		w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "USE\tSTATE\tID\tSINCE")
		for _, use := range vigil.KeyUses {
			list, err := keys.List(ctx, use)
			if err != nil {
				return err
			}
			for _, k := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Use, k.State, k.ID, k.Since.Format(time.RFC3339))
			}
		}
		return w.Flush()
	})
}

type keysRotateCmd struct {
	storeSettings `embed:""`
	Use           string `arg:"" help:"lti, socket, evidence or receipt." enum:"lti,socket,evidence,receipt"`
}

// Run rotates the keys of one use.
func (c keysRotateCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		sealer, err := c.sealer(ctx, store)
		if err != nil {
			return err
		}
		keys := lti.NewKeys(store, sealer, lti.KeyOptions{})
		if err := keys.Ensure(ctx); err != nil {
			return err
		}
		if err := keys.Rotate(ctx, vigil.KeyUse(c.Use)); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Rotated. Running servers take the new %s key within seconds.\n", c.Use)
		return c.record(ctx, s, store, deed{action: "keys.rotate", detail: c.Use})
	})
}
