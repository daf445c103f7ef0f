package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	dynamosteps "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/sqlite"
)

type migrateCmd struct {
	storeSettings `embed:""`
	What          string `arg:"" optional:"" help:"status: only show where the schema stands, as --status."`
	Status        bool   `help:"Only show where the schema stands."`
	DryRun        bool   `help:"Only show what would be done."`
	StopOld       bool   `help:"Make servers of older programs that could not go on beside the new schema end in order, and wait for it."`
}

// Run applies the migrations, or lists them.
func (c migrateCmd) Run(ctx context.Context, s *streams) error {
	if c.What != "" && c.What != "status" {
		return vigil.Invalid("migrate", "`vigil migrate` applies the migrations, `vigil migrate status` shows them; %q is neither.", c.What)
	}
	c.Status = c.Status || c.What != ""
	switch {
	case c.Status:
		return c.status(ctx, s)
	case c.DryRun:
		return c.plan(ctx, s)
	}
	if c.KeySecret != "" || !strings.HasPrefix(c.Store, "dynamodb:") { // who only migrates tables may be without
		if _, err := c.secret(ctx); err != nil {
			return err
		}
	}
	if err := c.migrate(ctx, c.StopOld, c.claimFile, func(step string) { fmt.Fprintln(s.out, step) }); err != nil {
		return err
	}
	return s.sayf("%s\n", upToDate)
}

const upToDate = "The schema is up to date."

// status prints where each step of the schema stands.
func (c migrateCmd) status(ctx context.Context, s *streams) error {
	steps, err := c.steps(ctx)
	for _, step := range steps {
		when := "not applied yet"
		switch {
		case !step.Applied.IsZero():
			when = "applied " + step.Applied.Format(time.RFC3339)
		case step.Stops:
			when += "; servers of older programs have to end for it (--stop-old)"
		}
		err = errors.Join(err, s.sayf("%s: %s\n", step.Name, when))
	}
	return err
}

// steps lists the steps of the schema.
func (c migrateCmd) steps(ctx context.Context) (steps []storage.Migration, err error) {
	place, dynamoDB, err := c.dynamoPlace()
	if err != nil {
		return nil, err
	}
	if dynamoDB {
		err = place.with(ctx, func(client *dynamodb.Client) (err error) {
			steps, err = dynamosteps.Status(ctx, place.options(client, nil))
			return err
		})
		return steps, err
	}
	path, err := c.sqlitePath()
	if err != nil {
		return nil, err
	}
	return sqlite.Status(ctx, sqlite.MigrateOptions{Path: path, Steps: testSteps("sqlite")})
}

// plan prints what a migration would do.
func (c migrateCmd) plan(ctx context.Context, s *streams) error {
	var plan []string
	place, dynamoDB, err := c.dynamoPlace()
	switch {
	case err != nil:
	case dynamoDB:
		err = place.with(ctx, func(client *dynamodb.Client) (err error) {
			plan, err = dynamosteps.Plan(ctx, place.options(client, nil))
			return err
		})
	default:
		var steps []storage.Migration
		steps, err = c.steps(ctx)
		for _, step := range steps {
			if step.Stops {
				plan = append(plan, "make servers of older programs end, for "+step.Name+" (--stop-old)")
			}
			if step.Applied.IsZero() {
				plan = append(plan, "apply "+step.Name)
			}
		}
	}
	for _, step := range plan {
		err = errors.Join(err, s.sayf("would %s\n", step))
	}
	if err == nil && len(plan) == 0 {
		err = s.sayf("%s\n", upToDate)
	}
	return err
}
