package dynamodb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
)

var (
	server   *dynamolocal.Server
	missing  error
	prefixes atomic.Int64
)

func TestMain(m *testing.M) {
	var err error
	server, err = dynamolocal.Start(context.Background())
	if errors.Is(err, dynamolocal.ErrMissing) && !dynamolocal.Demanded() {
		missing = err
	} else if err != nil {
		slog.Error("DynamoDB Local", "error", err)
		os.Exit(1)
	}
	code := m.Run()
	if server != nil {
		if err := server.Stop(); err != nil {
			slog.Error("stopping DynamoDB Local", "error", err)
		}
	}
	if err := goleak.Find(); code == 0 && err != nil {
		slog.Error("goroutines are left", "error", err)
		code = 1
	}
	os.Exit(code)
}

// options are those of tables that nobody else uses.
func options(t *testing.T) (migrations.Options, *dynamodb.Client) {
	t.Helper()
	if server == nil {
		t.Skip(missing)
	}
	c, end, err := dynamo.NewClient(t.Context(), dynamo.ClientConfig{Region: "eu-central-1", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return migrations.Options{Client: c, Prefix: fmt.Sprint("migrate-", prefixes.Add(1)), Local: true, Poll: 10 * time.Millisecond}, c
}

// counting counts the tables that are made, and may fail at one.
type counting struct {
	*dynamodb.Client
	created atomic.Int64
	fail    string // the end of a table's name
}

func (c *counting) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	if c.fail != "" && strings.HasSuffix(aws.ToString(in.TableName), c.fail) {
		return nil, errors.New("cut off")
	}
	out, err := c.Client.CreateTable(ctx, in, opts...)
	if err == nil {
		c.created.Add(1)
	}
	return out, err
}

func TestMigrateMakesEverythingAndASecondTimeNothing(t *testing.T) {
	o, client := options(t)
	c := &counting{Client: client}
	o.Client = c
	var told []string
	o.Progress = func(s string) { told = append(told, s) }
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := c.created.Load(); got != 3 {
		t.Errorf("got %d tables made, want 3", got)
	}
	d, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(migrations.Main(o.Prefix))})
	if err != nil {
		t.Fatal(err)
	}
	if d.Table.BillingModeSummary == nil || d.Table.BillingModeSummary.BillingMode != types.BillingModePayPerRequest ||
		len(d.Table.GlobalSecondaryIndexes) != 1 || len(d.Table.LocalSecondaryIndexes) != 1 {
		t.Errorf("got billing %v, %d global and %d local indexes, want on demand and one of each",
			d.Table.BillingModeSummary, len(d.Table.GlobalSecondaryIndexes), len(d.Table.LocalSecondaryIndexes))
	}
	for _, name := range []string{migrations.Main(o.Prefix), migrations.Records(o.Prefix)} {
		ttl, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &name})
		if err != nil || aws.ToString(ttl.TimeToLiveDescription.AttributeName) != "ttl" {
			t.Errorf("table %s: got expiry %+v, %v, want by ttl", name, ttl, err)
		}
	}
	if all := strings.Join(told, "\n"); !strings.Contains(all, "knows no point-in-time recovery") || !strings.Contains(all, "applied 0001_start.json") {
		t.Errorf("got progress %q, want the note on recovery and the step", all)
	}
	told = nil
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if c.created.Load() != 3 || len(told) != 0 {
		t.Errorf("got %d tables and %q from a second time, want nothing done", c.created.Load(), told)
	}
}

// What DynamoDB Local lacks is an error where the endpoint is AWS's own.
func TestAnUnknownOperationIsANoteOnlyElsewhere(t *testing.T) {
	o, _ := options(t)
	o.Local = false
	if got := vigil.CodeOf(migrations.Migrate(t.Context(), o)); got != vigil.CodeUnavailable {
		t.Errorf("got code %q, want unavailable", got)
	}
}

func TestAMigrationThatWasCutOffGoesOn(t *testing.T) {
	o, client := options(t)
	c := &counting{Client: client, fail: "-records"}
	o.Client = c
	if err := migrations.Migrate(t.Context(), o); err == nil {
		t.Fatal("got no error from a migration that was cut off")
	}
	_, err := dynamo.Open(t.Context(), dynamo.Config{Client: client, Prefix: o.Prefix})
	if got := vigil.CodeOf(err); got != vigil.CodeIllegal {
		t.Errorf("opening a half-made store: got code %q (%v), want illegal_state", got, err)
	}
	c.fail = ""
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := c.created.Load(); got != 3 {
		t.Errorf("got %d tables made in all, want 3", got)
	}
	s, err := dynamo.Open(t.Context(), dynamo.Config{Client: client, Prefix: o.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNodesThatStartTogetherMigrateOnce(t *testing.T) {
	o, client := options(t)
	c := &counting{Client: client}
	o.Client = c
	var applied, waited atomic.Int64
	o.Progress = func(s string) {
		if strings.HasPrefix(s, "applied") {
			applied.Add(1)
		}
		if strings.HasPrefix(s, "waiting for another") {
			waited.Add(1)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := migrations.Migrate(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if applied.Load() != 1 || c.created.Load() != 3 {
		t.Errorf("got %d steps applied and %d tables, want 1 and 3", applied.Load(), c.created.Load())
	}
	t.Logf("%d waited", waited.Load())
}

func TestTheLockOfADeadProcessIsTakenAfterItsLease(t *testing.T) {
	o, client := options(t)
	c := &counting{Client: client, fail: "-main"}
	o.Client = c
	_ = migrations.Migrate(t.Context(), o) // makes the schema's table
	c.fail = ""
	ends := time.Now().Add(300 * time.Millisecond)
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(migrations.Schema(o.Prefix)),
		Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "lock"}, "Owner": &types.AttributeValueMemberS{Value: "dead"},
			"Ends": &types.AttributeValueMemberN{Value: fmt.Sprint(ends.UnixMilli())},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if time.Now().Before(ends) {
		t.Error("got the lock before its lease ended")
	}
}

func TestThePlanTellsAndChangesNothing(t *testing.T) {
	o, client := options(t)
	plan, err := migrations.Plan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) != 4 || !strings.HasPrefix(plan[1], "create table "+migrations.Main(o.Prefix)) || plan[3] != "apply 0001_start.json" {
		t.Errorf("got plan %q, want three tables and the step", plan)
	}
	var none *types.ResourceNotFoundException
	if _, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(migrations.Schema(o.Prefix))}); !errors.As(err, &none) {
		t.Errorf("got %v, want no table", err)
	}
	status, err := migrations.Status(t.Context(), o)
	if err != nil || len(status) != 1 || !status[0].Applied.IsZero() {
		t.Errorf("got status %v, %v, want one step that is not applied", status, err)
	}
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if plan, err := migrations.Plan(t.Context(), o); err != nil || len(plan) != 0 {
		t.Errorf("got plan %q, %v after the migration, want none", plan, err)
	}
	if status, err = migrations.Status(t.Context(), o); err != nil || status[0].Applied.IsZero() {
		t.Errorf("got status %v, %v, want it applied", status, err)
	}
}

func TestATableOfOtherKeysIsRefused(t *testing.T) {
	o, client := options(t)
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(migrations.Main(o.Prefix)), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := vigil.CodeOf(migrations.Migrate(t.Context(), o)); got != vigil.CodeIllegal {
		t.Errorf("got code %q, want illegal_state", got)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	o, client := options(t)
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	it := migrations.VersionKey()
	it["Version"] = &types.AttributeValueMemberN{Value: "99"}
	if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(migrations.Schema(o.Prefix)), Item: it}); err != nil {
		t.Fatal(err)
	}
	_, err := dynamo.Open(t.Context(), dynamo.Config{Client: client, Prefix: o.Prefix})
	for what, err := range map[string]error{"open": err, "migrate": migrations.Migrate(t.Context(), o)} {
		if got := vigil.CodeOf(err); got != vigil.CodeIllegal {
			t.Errorf("%s: got code %q (%v), want illegal_state", what, got, err)
		}
	}
}

// withStep is this program's steps and one more, of version 2.
func withStep(t *testing.T, step string) fs.FS {
	t.Helper()
	out := fstest.MapFS{"0002_more.json": {Data: []byte(step)}}
	names, err := fs.Glob(migrations.Files(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := fs.ReadFile(migrations.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = &fstest.MapFile{Data: raw}
	}
	return out
}

const (
	additive = `{"version": 2, "oldest": 1, "tables": [{"name": "more", "partition": "pk"}]}`
	breaking = `{"version": 2, "tables": [{"name": "more", "partition": "pk"}]}`
)

// site is tables at version 1 with a server of that version on them.
type site struct {
	*testing.T
	o      migrations.Options
	client *dynamodb.Client
	store  *dynamo.Store
	beat   time.Time
}

func newSite(t *testing.T) *site {
	t.Helper()
	o, client := options(t)
	s := &site{T: t, o: o, client: client, beat: time.Now()}
	if err := migrations.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.store, err = dynamo.Open(t.Context(), dynamo.Config{Client: client, Prefix: o.Prefix}); err != nil {
		t.Fatal(err)
	}
	s.renew()
	s.o.Gone, s.o.Wait = 500*time.Millisecond, 2*time.Second
	s.o.Nodes = func(ctx context.Context) ([]vigil.Node, error) {
		return dynamo.Nodes(ctx, dynamo.Config{Client: client, Prefix: o.Prefix})
	}
	return s
}

func (s *site) renew() {
	s.Helper()
	s.beat = s.beat.Add(time.Millisecond)
	if err := s.store.RenewNode(s.Context(), vigil.Node{ID: "old", Host: "host", Heard: s.beat}); err != nil {
		s.Error(err)
	}
}

// migrate brings the tables to version 2 by a step, and calls see after each look at the servers.
func (s *site) migrate(step string, stop bool, see func()) error {
	s.Helper()
	o := s.o
	o.Steps, o.StopOld = withStep(s.T, step), stop
	o.Nodes = func(ctx context.Context) ([]vigil.Node, error) {
		defer see()
		return s.o.Nodes(ctx)
	}
	return migrations.Migrate(s.Context(), o)
}

func (s *site) version(want int64) {
	s.Helper()
	out, err := s.o.Client.GetItem(s.Context(), &dynamodb.GetItemInput{TableName: aws.String(migrations.Schema(s.o.Prefix)), Key: migrations.VersionKey()})
	if err != nil {
		s.Fatal(err)
	}
	if got := migrations.SchemaOf(out.Item); int64(got.Version) != want {
		s.Errorf("got schema %+v, want version %d", got, want)
	}
}

func (s *site) fits(what string, want vigil.Code) {
	s.Helper()
	if got := s.store.CheckSchema(s.Context()); vigil.CodeOf(got) != want {
		s.Errorf("%s, the old server's check: got %v, want code %q", what, got, want)
	}
}

func TestAnAdditiveStepLeavesOlderServersAndLetsThemStart(t *testing.T) {
	s := newSite(t)
	if err := s.migrate(additive, false, func() { t.Error("looked at the servers, want no need") }); err != nil {
		t.Fatal(err)
	}
	s.version(2)
	s.fits("after the step", "")
	if err := migrations.Migrate(t.Context(), s.o); err != nil { // as an older server does when it starts
		t.Errorf("got %v from the older program's migration, want nothing to do", err)
	}
	if _, err := dynamo.Open(t.Context(), dynamo.Config{Client: s.client, Prefix: s.o.Prefix}); err != nil {
		t.Errorf("got %v, want the older program to start", err)
	}
}

func TestABreakingStepIsRefusedWhileAnOlderServerRuns(t *testing.T) {
	s := newSite(t)
	err := s.migrate(breaking, false, s.renew)
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "old on host") || !strings.Contains(err.Error(), "--stop-old") {
		t.Errorf("got %v, want a refusal that names the server and what to do", err)
	}
	s.version(1)
	s.fits("after the refusal", "")
}

func TestABreakingStepWaitsForServersThatAreToldToEnd(t *testing.T) {
	s := newSite(t)
	looks := 0
	err := s.migrate(breaking, true, func() {
		if looks++; looks <= 3 { // then it has seen the mark and ended
			s.fits("marked", vigil.CodeIllegal)
			s.version(1)
			s.renew()
		}
	})
	if err != nil || looks <= 3 {
		t.Fatalf("got %v after %d looks, want the step once the server is gone", err, looks)
	}
	s.version(2)
	s.fits("after the step", vigil.CodeIllegal)
	if got := vigil.CodeOf(migrations.Migrate(t.Context(), s.o)); got != vigil.CodeIllegal {
		t.Errorf("got code %q from the older program's migration, want illegal_state", got)
	}
}

func TestAServerThatDoesNotEndKeepsItsSchema(t *testing.T) {
	s := newSite(t)
	err := s.migrate(breaking, true, s.renew)
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "have not ended") {
		t.Errorf("got %v, want word of the server that did not end", err)
	}
	s.version(1)
	s.fits("after it was given up", "")
}

func TestAPrefixThatIsNoNameIsRefused(t *testing.T) {
	for _, prefix := range []string{"", "a b", "ä", strings.Repeat("a", 201), "a/b"} {
		if got := vigil.CodeOf(migrations.ValidPrefix(prefix)); got != vigil.CodeInvalid {
			t.Errorf("%q: got code %q, want invalid", prefix, got)
		}
	}
}

// TestTemplateIsWhatTheStepsMake compares deploy's template. VIGIL_WRITE=1 writes it.
func TestTemplateIsWhatTheStepsMake(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "dynamodb-tables.json")
	want, err := migrations.Template()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("VIGIL_WRITE") != "" {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the steps make: run this test with VIGIL_WRITE=1 and commit it", path)
	}
}
