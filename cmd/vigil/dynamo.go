package main

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/url"
	"strings"

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
	steps := testSteps("dynamodb")
	return migrations.Options{
		Client: client, Prefix: p.prefix, Local: p.client.Endpoint != "", Progress: progress, Steps: steps,
		Nodes: func(ctx context.Context) ([]vigil.Node, error) {
			return dynamo.Nodes(ctx, dynamo.Config{Client: client, Prefix: p.prefix, Steps: steps})
		},
	}
}

// open opens the store.
func (p dynamoPlace) open(ctx context.Context, log *slog.Logger, erasures storage.ErasureMaker) (storage.Store, error) {
	client, end, err := dynamo.NewClient(ctx, p.client)
	if err != nil {
		return nil, err
	}
	config := dynamo.Config{Client: client, Prefix: p.prefix, Logger: log, Steps: testSteps("dynamodb"), NewErasure: erasures}
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

// words say where the tables are.
func (p dynamoPlace) words() string {
	s := "dynamodb:" + p.prefix
	if p.client.Region != "" {
		s += " in " + p.client.Region
	}
	if p.client.Endpoint != "" {
		s += " at " + p.client.Endpoint
	}
	return s
}

// secretSealer makes a sealer of the secret in the settings.
func secretSealer(text string) (lti.Sealer, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != keyFileSize {
		return nil, vigil.Invalid("key-secret", "The secret must be %d bytes in base64, as `head -c %d /dev/urandom | base64` makes them.", keyFileSize, keyFileSize)
	}
	return lti.NewSealer(secret)
}
