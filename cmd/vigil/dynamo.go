package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/lti"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/dynamo"
)

// dynamoPlace is where a dynamodb: store is.
type dynamoPlace struct {
	prefix   string
	client   dynamo.ClientConfig
	operator bool // for an operator's command, which may read the whole table
}

// dynamoPlace reads a dynamodb:PREFIX?region=REGION&endpoint=URL store; false if it is
// of another kind. The flags count where the store says nothing.
func (s storeSettings) dynamoPlace() (dynamoPlace, bool, error) {
	rest, ok := strings.CutPrefix(s.Store, "dynamodb:")
	if !ok {
		return dynamoPlace{}, false, nil
	}
	prefix, query, _ := strings.Cut(rest, "?")
	p := dynamoPlace{prefix: prefix, operator: s.operator, client: dynamo.ClientConfig{Region: s.DynamoDBRegion, Endpoint: s.DynamoDBEndpoint}}
	if err := migrations.ValidPrefix(prefix); err != nil {
		return p, true, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return p, true, vigil.Invalid("store", "The store must be dynamodb:PREFIX?region=REGION&endpoint=URL; %q is not.", s.Store)
	}
	for name, v := range values {
		switch {
		case name == "region" && len(v) == 1:
			p.client.Region = v[0]
		case name == "endpoint" && len(v) == 1:
			p.client.Endpoint = v[0]
		default:
			return p, true, vigil.Invalid("store", "A dynamodb: store has a region and an endpoint, each once; %q is none of them.", name)
		}
	}
	if e := p.client.Endpoint; e != "" && vigil.Origin(e) == "" {
		return p, true, vigil.Invalid("store", "The endpoint must be an http or https URL; %q is not.", e)
	}
	return p, true, nil
}

// dynamoStore ends its client's connections, too.
type dynamoStore struct {
	*dynamo.Store
	end func()
}

// Close implements storage.Store.
func (s dynamoStore) Close() error {
	defer s.end()
	return s.Store.Close()
}

// with makes a client for some work.
func (p dynamoPlace) with(ctx context.Context, do func(*dynamodb.Client) error) error {
	client, end, err := dynamo.NewClient(ctx, p.client)
	if err != nil {
		return err
	}
	defer end()
	return do(client)
}

func (p dynamoPlace) options(client *dynamodb.Client, progress func(string)) migrations.Options {
	return migrations.Options{Client: client, Prefix: p.prefix, Local: p.client.Endpoint != "", Progress: progress}
}

// open brings the tables up to date and opens the store.
func (p dynamoPlace) open(ctx context.Context, progress func(string), log *slog.Logger) (storage.Store, error) {
	client, end, err := dynamo.NewClient(ctx, p.client)
	if err != nil {
		return nil, err
	}
	if err := migrations.Migrate(ctx, p.options(client, progress)); err != nil {
		end()
		return nil, err
	}
	config := dynamo.Config{Client: client, Prefix: p.prefix, Logger: log}
	if p.operator {
		config.Scan = client
	}
	store, err := dynamo.Open(ctx, config)
	if err != nil {
		end()
		return nil, err
	}
	return dynamoStore{store, end}, nil
}

// migrate does what the command says.
func (p dynamoPlace) migrate(ctx context.Context, c migrateCmd, s *streams) error {
	return p.with(ctx, func(client *dynamodb.Client) error {
		o := p.options(client, func(step string) { fmt.Fprintln(s.out, step) })
		switch {
		case c.Status:
			steps, err := migrations.Status(ctx, o)
			if err != nil {
				return err
			}
			for _, step := range steps {
				tellStep(s, step.Name, step.Applied)
			}
			return nil
		case c.DryRun:
			plan, err := migrations.Plan(ctx, o)
			if err != nil {
				return err
			}
			for _, step := range plan {
				tellPlan(s, step)
			}
			if len(plan) == 0 {
				fmt.Fprintln(s.out, upToDate)
			}
			return nil
		}
		if err := migrations.Migrate(ctx, o); err != nil {
			return err
		}
		fmt.Fprintln(s.out, upToDate)
		return nil
	})
}

const upToDate = "The schema is up to date."

// tellStep prints where a step of the schema stands.
func tellStep(s *streams, name string, applied time.Time) {
	when := "not applied yet"
	if !applied.IsZero() {
		when = "applied " + applied.Format(time.RFC3339)
	}
	fmt.Fprintf(s.out, "%s: %s\n", name, when)
}

// tellPlan prints what a dry run leaves out.
func tellPlan(s *streams, step string) { fmt.Fprintln(s.out, "would", step) }

// secretSealer makes a sealer of the secret in the settings.
func secretSealer(text string) (lti.Sealer, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != keyFileSize {
		return nil, vigil.Invalid("key-secret", "The secret must be %d bytes in base64, as `head -c %d /dev/urandom | base64` makes them.", keyFileSize, keyFileSize)
	}
	return lti.NewSealer(secret)
}
