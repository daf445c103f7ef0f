package dynamodb_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
)

// whole adds to DynamoDB Local what only AWS has: point-in-time recovery and tags. It is
// a stand-in that remembers, no more. And what AWS takes time for takes some looks here.
type whole struct {
	*dynamodb.Client
	calls dynamolocal.Calls

	mu        sync.Mutex
	looks     map[string]int  // at a table since it was made or changed
	early     map[string]bool // what was asked for too early, once
	recovered map[string]bool
	tagged    map[string][]types.Tag // by the table's ARN
}

func newWhole(c *dynamodb.Client) *whole {
	w := &whole{looks: map[string]int{}, early: map[string]bool{}, recovered: map[string]bool{}, tagged: map[string][]types.Tag{}}
	w.Client = dynamodb.New(c.Options(), w.calls.Watch)
	return w
}

// tooEarly is an error the first time, as it is on AWS soon after a table was made.
func (w *whole) tooEarly(what, code string) error {
	if w.early[what] {
		return nil
	}
	w.early[what] = true
	return &smithy.GenericAPIError{Code: code, Message: "retry later"}
}

// CreateTable implements migrations.API.
func (w *whole) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	out, err := w.Client.CreateTable(ctx, in, opts...)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.looks[*in.TableName] = 0
		w.tagged[*out.TableDescription.TableArn] = in.Tags
	}
	return out, err
}

// UpdateTable implements migrations.API.
func (w *whole) UpdateTable(ctx context.Context, in *dynamodb.UpdateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateTableOutput, error) {
	w.mu.Lock()
	w.looks[*in.TableName] = 0
	w.mu.Unlock()
	return w.Client.UpdateTable(ctx, in, opts...)
}

// DescribeTable implements migrations.API: a table is made first, then its indexes.
func (w *whole) DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	out, err := w.Client.DescribeTable(ctx, in, opts...)
	if err != nil {
		return out, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.looks[*in.TableName]
	w.looks[*in.TableName]++
	switch {
	case n < 2:
		out.Table.TableStatus = types.TableStatusCreating
	case n < 4 && len(out.Table.GlobalSecondaryIndexes) > 0:
		out.Table.GlobalSecondaryIndexes[0].IndexStatus = types.IndexStatusCreating
	}
	return out, nil
}

// DescribeContinuousBackups implements migrations.API.
func (w *whole) DescribeContinuousBackups(_ context.Context, in *dynamodb.DescribeContinuousBackupsInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error) {
	w.calls.See(in)
	w.mu.Lock()
	defer w.mu.Unlock()
	status := types.PointInTimeRecoveryStatusDisabled
	if w.recovered[*in.TableName] {
		status = types.PointInTimeRecoveryStatusEnabled
	}
	return &dynamodb.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &types.ContinuousBackupsDescription{
		ContinuousBackupsStatus:        types.ContinuousBackupsStatusEnabled,
		PointInTimeRecoveryDescription: &types.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: status},
	}}, nil
}

// UpdateContinuousBackups implements migrations.API.
func (w *whole) UpdateContinuousBackups(_ context.Context, in *dynamodb.UpdateContinuousBackupsInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateContinuousBackupsOutput, error) {
	w.calls.See(in)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.tooEarly("recovery "+*in.TableName, "ContinuousBackupsUnavailableException"); err != nil {
		return nil, err
	}
	w.recovered[*in.TableName] = aws.ToBool(in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled)
	return &dynamodb.UpdateContinuousBackupsOutput{}, nil
}

// ListTagsOfResource implements migrations.API.
func (w *whole) ListTagsOfResource(_ context.Context, in *dynamodb.ListTagsOfResourceInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error) {
	w.calls.See(in)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.tooEarly("tags "+*in.ResourceArn, "ResourceNotFoundException"); err != nil {
		return nil, err
	}
	return &dynamodb.ListTagsOfResourceOutput{Tags: w.tagged[*in.ResourceArn]}, nil
}

// TagResource implements migrations.API.
func (w *whole) TagResource(_ context.Context, in *dynamodb.TagResourceInput, _ ...func(*dynamodb.Options)) (*dynamodb.TagResourceOutput, error) {
	w.calls.See(in)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tagged[*in.ResourceArn] = append(w.tagged[*in.ResourceArn], in.Tags...)
	return &dynamodb.TagResourceOutput{}, nil
}

// thief takes the lock away once the first table of a step is made.
type thief struct{ *whole }

func (c thief) CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error) {
	schema, main := strings.CutSuffix(*in.TableName, "-main")
	if main {
		_, err := c.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(migrations.Schema(schema)), Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "lock"}, "Owner": &types.AttributeValueMemberS{Value: "thief"},
			"Ends": &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())},
		}})
		if err != nil {
			return nil, err
		}
	}
	return c.whole.CreateTable(ctx, in, opts...)
}

func TestWhoLosesTheLockStops(t *testing.T) {
	o, client := options(t)
	o.Client = thief{newWhole(client)}
	o.Progress = func(s string) {
		if strings.HasPrefix(s, "applied") {
			t.Errorf("got %q, want nothing applied", s)
		}
	}
	err := migrations.Migrate(t.Context(), o)
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "took the migrations' lock") {
		t.Errorf("got %v, want word of the lost lock", err)
	}
}

// TestMigratingWaitsAndIsAllowedByItsPolicy migrates on what knows all that AWS does, once
// from nothing and once where somebody has made half of a table by hand.
func TestMigratingWaitsAndIsAllowedByItsPolicy(t *testing.T) {
	fresh, client := options(t)
	w := newWhole(client)
	half, _ := options(t)
	steps, err := migrations.Steps(nil)
	if err != nil {
		t.Fatal(err)
	}
	main := steps[0].Tables[0]
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	var attributes []types.AttributeDefinition
	for _, name := range []string{main.Partition, main.Sort, main.Local[0].Sort} {
		attributes = append(attributes, types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS})
	}
	_, err = client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(migrations.Main(half.Prefix)), BillingMode: types.BillingModePayPerRequest, AttributeDefinitions: attributes,
		KeySchema: []types.KeySchemaElement{key(main.Partition, types.KeyTypeHash), key(main.Sort, types.KeyTypeRange)},
		LocalSecondaryIndexes: []types.LocalSecondaryIndex{{
			IndexName: aws.String(main.Local[0].Name), Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
			KeySchema: []types.KeySchemaElement{key(main.Partition, types.KeyTypeHash), key(main.Local[0].Sort, types.KeyTypeRange)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []migrations.Options{fresh, half} {
		var told []string
		o.Client, o.Local, o.Progress, o.Poll = w, false, func(s string) { told = append(told, s) }, 20*time.Millisecond
		if err := migrations.Migrate(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		name := migrations.Main(o.Prefix)
		want := []string{
			"waiting for table " + name + ": ", "waiting for point-in-time recovery of table " + name,
			"waiting for the tags of table " + name, "applied 0001_start.json",
		}
		if o.Prefix == half.Prefix {
			want = append(want, "add index list to table "+name, "tag table "+name)
		}
		all := strings.Join(told, "\n")
		for _, line := range want {
			if !strings.Contains(all, line) {
				t.Errorf("got progress\n%s\nwant %q in it", all, line)
			}
		}
		for _, suffix := range []string{"main", "records", "schema"} {
			name := o.Prefix + "-" + suffix
			d, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			if got := w.recovered[name]; got != (suffix == "main") {
				t.Errorf("%s: got point-in-time recovery %v, want of main only", name, got)
			}
			if tags := w.tagged[*d.Table.TableArn]; len(tags) != 1 {
				t.Errorf("%s: got tags %v, want one", name, tags)
			}
			w.mu.Unlock()
			if got := len(d.Table.GlobalSecondaryIndexes); suffix == "main" && got != 1 {
				t.Errorf("%s: got %d global indexes, want 1", name, got)
			}
		}
		told = nil
		if plan, err := migrations.Plan(t.Context(), o); err != nil || len(plan) != 0 {
			t.Errorf("got plan %q, %v after the migration, want none", plan, err)
		}
		if err := migrations.Migrate(t.Context(), o); err != nil || len(told) != 0 {
			t.Errorf("got %q, %v from a second time, want nothing done", told, err)
		}
	}
	// A step that older servers cannot live beside looks for them.
	fresh.Client, fresh.Local, fresh.Steps = w, false, withStep(t, `{"version": 2}`)
	fresh.Nodes = func(ctx context.Context) ([]vigil.Node, error) {
		return dynamo.Nodes(ctx, dynamo.Config{Client: w, Prefix: fresh.Prefix})
	}
	if err := migrations.Migrate(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	allowed, err := dynamolocal.Allowed(filepath.Join("..", "..", "deploy", "dynamodb-migrate-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	if needed := w.calls.Needed(); !slices.Equal(allowed, needed) {
		t.Errorf("the policy allows\n%s\nneeded is\n%s", strings.Join(allowed, "\n"), strings.Join(needed, "\n"))
	}
}
