package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"vigil"
	"vigil/storage"
)

// API is what migrating asks of the service. *dynamodb.Client has it.
type API interface {
	CreateTable(ctx context.Context, in *dynamodb.CreateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	UpdateTable(ctx context.Context, in *dynamodb.UpdateTableInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateTableOutput, error)
	DescribeTimeToLive(ctx context.Context, in *dynamodb.DescribeTimeToLiveInput, opts ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
	UpdateTimeToLive(ctx context.Context, in *dynamodb.UpdateTimeToLiveInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateTimeToLiveOutput, error)
	DescribeContinuousBackups(ctx context.Context, in *dynamodb.DescribeContinuousBackupsInput, opts ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error)
	UpdateContinuousBackups(ctx context.Context, in *dynamodb.UpdateContinuousBackupsInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateContinuousBackupsOutput, error)
	ListTagsOfResource(ctx context.Context, in *dynamodb.ListTagsOfResourceInput, opts ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error)
	TagResource(ctx context.Context, in *dynamodb.TagResourceInput, opts ...func(*dynamodb.Options)) (*dynamodb.TagResourceOutput, error)
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Options say where and how to migrate. Client and Prefix are required.
type Options struct {
	Client   API
	Prefix   string
	Local    bool          // the endpoint is not AWS's own: what it lacks of AWS's operations is a note, not an error
	Progress func(string)  // told of each step; may be nil
	Poll     time.Duration // between two looks at something that takes time; 1 s

	// Nodes lists the servers on the tables, for steps that those of older programs cannot live
	// beside. Without it such steps are refused where there are tables.
	Nodes   func(ctx context.Context) ([]vigil.Node, error)
	StopOld bool  // make such servers end
	Steps   fs.FS // of the schema; this program's. Only tests have others.

	Gone, Wait time.Duration // see storage.Upgrade
}

// The tag by which Vigil's tables are found in an account.
var tag = types.Tag{Key: aws.String("application"), Value: aws.String("vigil")}

// migrator is one migration.
type migrator struct {
	Options
	plan    bool // change nothing, only say what would be done
	steps   []storage.Step
	tables  map[int][]Table                 // that the steps make or change, by their versions
	applied map[string]types.AttributeValue // the schema's version item
	have    storage.Schema                  // that it states
	owner   string                          // of the lock, while it is held
}

// newMigrator checks the options and looks where the schema stands.
func newMigrator(ctx context.Context, o Options) (*migrator, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Nodes == nil {
		o.Nodes = func(context.Context) ([]vigil.Node, error) {
			return nil, vigil.Errorf(vigil.CodeInternal, "Nobody says which servers work with the tables.")
		}
	}
	o.Poll = cmp.Or(o.Poll, time.Second)
	if err := ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	steps, err := Steps(o.Steps)
	if err != nil {
		return nil, err
	}
	m := &migrator{Options: o, tables: map[int][]Table{}}
	for _, s := range steps {
		m.steps, m.tables[s.Version] = append(m.steps, s.Step), s.Tables
	}
	return m, m.look(ctx)
}

// look reads where the schema stands.
func (m *migrator) look(ctx context.Context) error {
	out, err := m.Client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(Schema(m.Prefix)), Key: VersionKey(), ConsistentRead: aws.Bool(true)})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		m.applied, m.have = nil, storage.Schema{}
		return nil
	}
	if err != nil {
		return failed(err, "The schema's version cannot be read.")
	}
	m.applied, m.have = out.Item, SchemaOf(out.Item)
	return nil
}

// known is the version of this program.
func (m *migrator) known() int { return m.steps[len(m.steps)-1].Version }

// done tells whether there is nothing to do, or nothing that this program may do.
func (m *migrator) done() bool { return m.have.Version >= m.known() || m.have.Oldest > m.known() }

// Migrate brings the tables up to date. It may be repeated after an error or a kill, and
// several processes may call it at once: one does the work, the others wait for it. A step
// that servers of older programs cannot live beside is refused while such servers run, with
// CodeConflict; StopOld makes them end first. A newer schema that this program may work with
// is left as it is.
func Migrate(ctx context.Context, o Options) error {
	m, err := newMigrator(ctx, o)
	if err != nil {
		return err
	}
	if m.done() {
		return m.have.Check(m.known())
	}
	if err := m.table(ctx, schemaTable); err != nil {
		return err
	}
	return m.locked(ctx, func() error {
		if err := m.look(ctx); err != nil { // another process may have done it while this one waited
			return err
		}
		if m.done() {
			return m.have.Check(m.known())
		}
		u := storage.Upgrade{
			Have: m.have, Oldest: m.have.OldestAfter(m.steps), Stop: m.StopOld, Progress: m.Progress, Poll: m.Poll, Gone: m.Gone, Wait: m.Wait,
			Nodes: func(ctx context.Context) ([]vigil.Node, error) {
				if err := m.renew(ctx); err != nil {
					return nil, err
				}
				return m.Nodes(ctx)
			},
			Mark: func(ctx context.Context, oldest int) error {
				return m.write(ctx, "version", "", attributes{"Oldest": number(int64(oldest))})
			},
		}
		return u.Run(ctx, m.apply)
	})
}

// Plan tells what Migrate would do, and changes nothing.
func Plan(ctx context.Context, o Options) (out []string, err error) {
	o.Progress = func(s string) { out = append(out, s) }
	m, err := newMigrator(ctx, o)
	if err != nil {
		return nil, err
	}
	if m.done() {
		return nil, m.have.Check(m.known())
	}
	m.plan = true
	if m.have.Version > 0 && m.have.OldestAfter(m.steps) > m.have.Oldest {
		m.Progress(fmt.Sprintf("make servers of programs that know less than version %d of the schema end first (--stop-old)", m.have.OldestAfter(m.steps)))
	}
	if err := m.table(ctx, schemaTable); err != nil {
		return nil, err
	}
	return out, m.apply(ctx)
}

// Status lists the steps that this program knows. It changes nothing; where there are no
// tables, none is applied.
func Status(ctx context.Context, o Options) ([]storage.Migration, error) {
	m, err := newMigrator(ctx, o)
	if err != nil {
		return nil, err
	}
	out := m.have.Migrations(m.steps)
	for i, s := range out {
		if at := numberOf(m.applied[appliedAttribute(s.Step)]); at > 0 {
			out[i].Applied = time.UnixMilli(at).UTC()
		}
	}
	return out, nil
}

// apply applies the steps that the tables do not have.
func (m *migrator) apply(ctx context.Context) error {
	for _, s := range m.steps {
		if s.Version <= m.have.Version {
			continue
		}
		for _, t := range m.tables[s.Version] {
			if err := m.table(ctx, t); err != nil {
				return err
			}
		}
		if m.plan {
			m.Progress("apply " + s.Name)
			continue
		}
		applied := attributes{"Version": number(int64(s.Version)), appliedAttribute(s): number(time.Now().UnixMilli())}
		if err := m.write(ctx, "version", "", applied); err != nil {
			return err
		}
		m.Progress("applied " + s.Name)
	}
	return nil
}

// do tells of a change, and makes it unless this is a plan.
func (m *migrator) do(what string, change func() error) error {
	m.Progress(what)
	if m.plan {
		return nil
	}
	return change()
}

// table makes a table, or what it lacks, and waits until it can be used.
func (m *migrator) table(ctx context.Context, t Table) error {
	name := tableName(m.Prefix, t.Name)
	d, err := m.describe(ctx, name)
	if err != nil {
		return err
	}
	if d == nil {
		err := m.do("create table "+name+": "+t.describe(), func() error {
			_, err := m.Client.CreateTable(ctx, t.create(name))
			var there *types.ResourceInUseException // another process made it just now
			if errors.As(err, &there) {
				return nil
			}
			return failed(err, "The table %s cannot be made.", name)
		})
		if err != nil || m.plan {
			return err
		}
	}
	if d, err = m.wait(ctx, name); err != nil {
		return err
	}
	if !t.sameKeys(d) {
		return vigil.Errorf(vigil.CodeIllegal, "There is a table %s with other keys. Choose another prefix.", name)
	}
	for _, step := range []func(context.Context, string, Table, *types.TableDescription) error{m.indexes, m.expiry, m.recovery, m.tags} {
		if err := step(ctx, name, t, d); err != nil {
			return err
		}
	}
	return nil
}

// describe returns nil where there is no such table.
func (m *migrator) describe(ctx context.Context, name string) (*types.TableDescription, error) {
	out, err := m.Client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(err, "The table %s cannot be looked at.", name)
	}
	return out.Table, nil
}

// wait waits until a table and its indexes are active, and says so now and then. A plan does not wait.
func (m *migrator) wait(ctx context.Context, name string) (*types.TableDescription, error) {
	for n := 0; ; n++ {
		d, err := m.describe(ctx, name)
		if err != nil {
			return nil, err
		}
		what := pending(d)
		if what == "" || m.plan {
			return d, nil
		}
		if err := m.pause(ctx, n, "table "+name+": "+what); err != nil {
			return nil, failed(err, "The table %s was not ready in time. Migrate again: it goes on from here.", name)
		}
	}
}

// pending says why a table cannot be used yet; empty: it can.
func pending(d *types.TableDescription) string {
	if d == nil {
		return "not there yet"
	}
	if d.TableStatus != types.TableStatusActive {
		return strings.ToLower(string(d.TableStatus))
	}
	for _, i := range d.GlobalSecondaryIndexes {
		if i.IndexStatus != types.IndexStatusActive {
			return fmt.Sprintf("index %s %s, %d items so far", aws.ToString(i.IndexName), strings.ToLower(string(i.IndexStatus)), aws.ToInt64(i.ItemCount))
		}
	}
	return ""
}

func (m *migrator) indexes(ctx context.Context, name string, t Table, d *types.TableDescription) error {
	for _, index := range t.create(name).GlobalSecondaryIndexes {
		if slices.ContainsFunc(d.GlobalSecondaryIndexes, func(g types.GlobalSecondaryIndexDescription) bool { return *g.IndexName == *index.IndexName }) {
			continue
		}
		err := m.do("add index "+*index.IndexName+" to table "+name, func() error {
			_, err := m.Client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
				TableName: &name, AttributeDefinitions: t.attributes(),
				GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
					IndexName: index.IndexName, KeySchema: index.KeySchema, Projection: index.Projection,
				}}},
			})
			if err == nil {
				_, err = m.wait(ctx, name)
			}
			return failed(err, "The index %s of table %s cannot be made.", *index.IndexName, name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *migrator) expiry(ctx context.Context, name string, t Table, _ *types.TableDescription) error {
	if t.Expires == "" {
		return nil
	}
	out, err := m.Client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return failed(err, "The expiry of table %s cannot be looked at.", name)
	}
	if s := out.TimeToLiveDescription; s != nil && (s.TimeToLiveStatus == types.TimeToLiveStatusEnabled || s.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		if aws.ToString(s.AttributeName) != t.Expires {
			return vigil.Errorf(vigil.CodeIllegal, "The table %s expires by another attribute, %s.", name, aws.ToString(s.AttributeName))
		}
		return nil
	}
	return m.do("let table "+name+" expire by "+t.Expires, func() error {
		_, err := m.Client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName:               &name,
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(t.Expires), Enabled: aws.Bool(true)},
		})
		return failed(err, "The expiry of table %s cannot be set.", name)
	})
}

// recovery sets point-in-time recovery.
func (m *migrator) recovery(ctx context.Context, name string, t Table, _ *types.TableDescription) error {
	if !t.Recovery {
		return nil
	}
	return m.unlessLacking("point-in-time recovery", name, func() error {
		out, err := m.Client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
		if err != nil {
			return err
		}
		if b := out.ContinuousBackupsDescription; b != nil && b.PointInTimeRecoveryDescription != nil &&
			b.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled {
			return nil
		}
		return m.do("keep point-in-time recovery of table "+name, func() error {
			return m.soon(ctx, "point-in-time recovery of table "+name, "ContinuousBackupsUnavailableException", func() error {
				_, err := m.Client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
					TableName:                        &name,
					PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
				})
				return err
			})
		})
	})
}

func (m *migrator) tags(ctx context.Context, name string, _ Table, d *types.TableDescription) error {
	return m.unlessLacking("tags", name, func() error {
		var out *dynamodb.ListTagsOfResourceOutput
		err := m.soon(ctx, "the tags of table "+name, "ResourceNotFoundException", func() (err error) {
			out, err = m.Client.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: d.TableArn})
			return err
		})
		if err != nil || slices.ContainsFunc(out.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == *tag.Key }) {
			return err
		}
		return m.do("tag table "+name, func() error {
			_, err := m.Client.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: d.TableArn, Tags: []types.Tag{tag}})
			return err
		})
	})
}

// unlessLacking sees to a setting of a table. An endpoint that is not AWS's own may not know it, as DynamoDB
// Local knows neither point-in-time recovery nor tags: that is a note.
func (m *migrator) unlessLacking(setting, name string, do func() error) error {
	err := do()
	var api smithy.APIError
	if m.Local && errors.As(err, &api) && api.ErrorCode() == "UnknownOperationException" {
		m.Progress("note: this endpoint knows no " + setting + ", so table " + name + " has none")
		return nil
	}
	return failed(err, "The %s of table %s cannot be set.", setting, name)
}

// mostLooks bounds how often something is done again that is too early; then it is something else.
const mostLooks = 120

// soon does something again and again while the answer is that it is too early. AWS answers so for a
// while after a table was made: its backups are still being made possible, its tags cannot be seen yet.
func (m *migrator) soon(ctx context.Context, what, tooEarly string, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != tooEarly || n == mostLooks {
			return err
		}
		if err := m.pause(ctx, n, what); err != nil {
			return err
		}
	}
}

// pause waits until the next look, keeps the lock, and tells now and then what is waited for.
func (m *migrator) pause(ctx context.Context, n int, what string) error {
	if n%5 == 0 && !m.plan {
		m.Progress("waiting for " + what)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(m.Poll):
		return m.renew(ctx)
	}
}

// failed gives an error of the client its code. Errors of ours pass as they are.
func failed(err error, format string, args ...any) error {
	var own *vigil.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	var api smithy.APIError
	if errors.As(err, &api) && strings.Contains(api.ErrorCode(), "AccessDenied") {
		return vigil.Wrap(err, vigil.CodeForbidden, format+" The credentials lack a permission; deploy/dynamodb-migrate-policy.json lists them.", args...)
	}
	return vigil.Wrap(err, vigil.CodeUnavailable, format, args...)
}
