// Package dynamo is the store for many nodes: Amazon DynamoDB, on demand, no server of
// ours. It fulfils the contract of package storage; docs/storage.md states the keys and
// what each operation costs.
//
// What one call of the service cannot do is a conditional write on one item, and only
// where two items must change together a transaction. No request path scans a table:
// the client that the store is given has no such method.
//
// Lists within one session, of a user, of an exam's sessions and audit entries, of
// platforms and keys are read consistently. The lists that cross sessions by an index
// (an exam's incidents, gaps and commands, a course's exams, a node's connections, the
// due deliveries and sessions) may miss for a moment what was written last; what they list is then
// read consistently itself.
package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage"
)

// API is what the store asks of the service. *dynamodb.Client has it.
type API interface {
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error)
}

// Config says where the store is. Client and Prefix are required, the rest has defaults.
type Config struct {
	Client   API              // see NewClient
	Scan     Scanner          // for operators' commands that look at everything; nil: what needs it is CodeIllegal
	Prefix   string           // of the tables' names
	Now      func() time.Time // time.Now; by it retention is judged
	Logger   *slog.Logger     // slog.Default
	InFlight int              // requests to the service at the same time; 128. Further callers block.
	Parallel int              // puts that one AppendSignals sends side by side; 32
	ExamTTL  time.Duration    // how long an exam's retention is remembered; 30 s
	Steps    fs.FS            // of the schema that this program knows; its own. Only tests have others.

	NewErasure storage.ErasureMaker // makes the entries of the list of erasures; storage.NewErasure
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.InFlight <= 0 {
		c.InFlight = 128
	}
	if c.Parallel <= 0 {
		c.Parallel = 32
	}
	if c.ExamTTL <= 0 {
		c.ExamTTL = 30 * time.Second
	}
	if c.NewErasure == nil {
		c.NewErasure = func(_ context.Context, issuer, userID, examID string, attempt int) (vigil.Erasure, error) {
			return storage.NewErasure(issuer, userID, examID, attempt, c.Now()), nil
		}
	}
	return c
}

// Store is the DynamoDB backend. All methods may be called at the same time, from many
// goroutines and many nodes.
type Store struct {
	api      API
	scanner  Scanner // nil on a server
	main     string  // the tables' names
	records  string
	now      func() time.Time
	log      *slog.Logger
	parallel int
	examTTL  time.Duration
	slots    chan struct{} // one for each request in flight
	meter    meter
	stamps   stamps
	pings    string // the name of this process's readiness item
	schema   string // the name of the schema's table
	version  int    // of the schema that this program knows

	newErasure storage.ErasureMaker

	mu     sync.Mutex
	exams  map[string]examInfo // bounded by maxExams
	known  map[string]life     // bounded by maxLives
	turns  map[string]*turn    // sessions whose tally is being raised
	doubts map[key][]string    // notes of puts without an answer, bounded by maxLives and maxDoubts
	owed   map[string][]*raise // raises of tallies that failed, bounded by maxLives and maxOwed
}

var (
	_ storage.Store          = (*Store)(nil)
	_ storage.DeliveryLister = (*Store)(nil)
)

// Open opens a store whose schema this program can work with: its own, or a newer one that
// says so. It makes nothing by itself: tables that are not there, or whose schema is another,
// are CodeIllegal; apply the migrations first. The caller ends the store with Close.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := newStore(c)
	if err == nil {
		err = s.CheckSchema(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Nodes lists the servers on tables, whatever version they have.
func Nodes(ctx context.Context, c Config) ([]storage.Node, error) {
	s, err := newStore(c)
	if err != nil {
		return nil, err
	}
	return s.Nodes(ctx)
}

func newStore(c Config) (*Store, error) {
	c = c.withDefaults()
	if c.Client == nil {
		return nil, vigil.Invalid("client", "The store needs a client of the service.")
	}
	if err := migrations.ValidPrefix(c.Prefix); err != nil {
		return nil, err
	}
	steps, err := migrations.Steps(c.Steps)
	if err != nil {
		return nil, err
	}
	return &Store{
		api: c.Client, scanner: c.Scan, main: migrations.Main(c.Prefix), records: migrations.Records(c.Prefix), schema: migrations.Schema(c.Prefix), now: c.Now, log: c.Logger,
		version: steps[len(steps)-1].Version, parallel: c.Parallel, examTTL: c.ExamTTL, slots: make(chan struct{}, c.InFlight), pings: rand.Text(), newErasure: c.NewErasure,
		exams: map[string]examInfo{}, known: map[string]life{}, doubts: map[key][]string{}, owed: map[string][]*raise{}, turns: map[string]*turn{},
	}, nil
}

// CheckSchema implements storage.Store.
func (s *Store) CheckSchema(ctx context.Context) error {
	out, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(s.schema), Key: migrations.VersionKey(), ConsistentRead: aws.Bool(true),
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return storage.Schema{}.Check(s.version)
	}
	if err != nil {
		return convert(err)
	}
	return migrations.SchemaOf(out.Item).Check(s.version)
}

// Close ends the store. What the client holds (idle connections) is the caller's.
func (s *Store) Close() error { return nil }

// Ping writes one item and reads it back.
func (s *Store) Ping(ctx context.Context) error {
	now := s.now()
	it := item{"At": num(ms(now))}
	k := key{name("ping", s.pings), "a"}
	if _, err := s.put(ctx, "ping", s.main, k, it, expiring(now.Add(24*time.Hour)), nil); err != nil {
		return err
	}
	_, err := s.get(ctx, "ping", s.main, k)
	return err
}

// Sweep removes nothing: the service removes by itself what has expired.
func (s *Store) Sweep(ctx context.Context, _ time.Time, _ int) (int, error) {
	return 0, convert(ctx.Err())
}
