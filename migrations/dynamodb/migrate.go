package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
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
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

// Options say where and how to migrate. Client and Prefix are required.
type Options struct {
	Client   API
	Prefix   string
	Local    bool             // the endpoint is not AWS's own: what it lacks of AWS's operations is a note, not an error
	Progress func(string)     // told of each step; may be nil
	Now      func() time.Time // time.Now
	Poll     time.Duration    // between two looks at something that takes time; 1 s
	Lock     time.Duration    // after which the lock of a process that died is free; 1 min

	// Nodes lists the servers on the tables, for steps that those of older programs cannot live
	// beside. Without it such steps are refused where there are tables.
	Nodes   func(ctx context.Context) ([]vigil.Node, error)
	StopOld bool  // make such servers end
	Steps   fs.FS // of the schema; this program's. Only tests have others.

	Gone, Wait time.Duration // see storage.Upgrade
}

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Lock <= 0 {
		o.Lock = time.Minute
	}
	return o
}

// The tag by which Vigil's tables are found in an account.
const (
	tagKey   = "application"
	tagValue = "vigil"
)

type migrator struct {
	Options
	plan bool // change nothing, only say what would be done
}

// Migrate brings the tables up to date. It may be repeated after an error or a kill, and
// several processes may call it at once: one does the work, the others wait for it. A step
// that servers of older programs cannot live beside is refused while such servers run, with
// CodeConflict; StopOld makes them end first. A newer schema that this program may work with
// is left as it is.
func Migrate(ctx context.Context, o Options) error {
	o = o.withDefaults()
	if err := ValidPrefix(o.Prefix); err != nil {
		return err
	}
	m := &migrator{Options: o}
	steps, err := Steps(o.Steps)
	if err != nil {
		return err
	}
	known := steps[len(steps)-1].Version
	have, err := m.standing(ctx)
	if err != nil {
		return err
	}
	if have.Version >= known || have.Oldest > known {
		return have.Check(known)
	}
	if err := m.table(ctx, schemaTable); err != nil {
		return err
	}
	return m.locked(ctx, func(ctx context.Context) error {
		have, err := m.standing(ctx) // another process may have done it while this one waited
		if err != nil {
			return err
		}
		if have.Version >= known || have.Oldest > known {
			return have.Check(known)
		}
		u := storage.Upgrade{
			Have: have, Oldest: oldestAfter(have, steps), Stop: m.StopOld, Progress: m.Progress,
			Nodes: m.Nodes, Mark: m.mark, Poll: m.Poll, Gone: m.Gone, Wait: m.Wait,
		}
		if u.Nodes == nil {
			u.Nodes = func(context.Context) ([]vigil.Node, error) {
				return nil, vigil.Errorf(vigil.CodeInternal, "Nobody says which servers work with the tables.")
			}
		}
		return u.Run(ctx, func(ctx context.Context) error { return m.apply(ctx, have, steps) })
	})
}

// oldestAfter is the least version that programs must know once all steps are applied.
func oldestAfter(have storage.Schema, steps []Step) int {
	oldest := have.Oldest
	for _, s := range steps {
		if s.Version > have.Version {
			oldest = max(oldest, s.Oldest)
		}
	}
	return oldest
}

// apply applies the steps that the tables do not have.
func (m *migrator) apply(ctx context.Context, have storage.Schema, steps []Step) error {
	for _, s := range steps {
		if s.Version <= have.Version {
			continue
		}
		for _, t := range s.Tables {
			if err := m.table(ctx, t); err != nil {
				return err
			}
		}
		if err := m.note(ctx, s); err != nil {
			return err
		}
		m.Progress("applied " + s.Name)
	}
	return nil
}

// Plan tells what Migrate would do, and changes nothing.
func Plan(ctx context.Context, o Options) ([]string, error) {
	o = o.withDefaults()
	if err := ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	var out []string
	o.Progress = func(s string) { out = append(out, s) }
	m := &migrator{Options: o, plan: true}
	steps, err := Steps(o.Steps)
	if err != nil {
		return nil, err
	}
	known := steps[len(steps)-1].Version
	have, err := m.standing(ctx)
	if err != nil {
		return nil, err
	}
	if have.Version >= known || have.Oldest > known {
		return nil, have.Check(known)
	}
	if oldest := oldestAfter(have, steps); have.Version > 0 && oldest > have.Oldest {
		m.Progress(fmt.Sprintf("make servers of programs that know less than version %d of the schema end first (--stop-old)", oldest))
	}
	if err := m.table(ctx, schemaTable); err != nil {
		return nil, err
	}
	for _, s := range steps {
		if s.Version <= have.Version {
			continue
		}
		for _, t := range s.Tables {
			if err := m.table(ctx, t); err != nil {
				return nil, err
			}
		}
		m.Progress("apply " + s.Name)
	}
	return out, nil
}

// Migration is one step, and when it was applied.
type Migration struct {
	Version int
	Name    string
	Applied time.Time // zero: not yet
	Stops   bool      // not yet, and servers of older programs have to end for it
}

// Status lists the steps that this program knows. It changes nothing; where there are no
// tables, none is applied.
func Status(ctx context.Context, o Options) ([]Migration, error) {
	o = o.withDefaults()
	if err := ValidPrefix(o.Prefix); err != nil {
		return nil, err
	}
	m := &migrator{Options: o}
	it, err := m.versionItem(ctx)
	if err != nil {
		return nil, err
	}
	have := SchemaOf(it)
	steps, err := Steps(o.Steps)
	if err != nil {
		return nil, err
	}
	out := make([]Migration, len(steps))
	for i, s := range steps {
		out[i] = Migration{Version: s.Version, Name: s.Name, Stops: have.Version > 0 && s.Version > have.Version && s.Oldest > have.Oldest}
		if at := numberOf(it[appliedAttribute(s)]); at > 0 {
			out[i].Applied = time.UnixMilli(at).UTC()
		}
	}
	return out, nil
}

// table makes a table, or what it lacks, and waits until it can be used.
func (m *migrator) table(ctx context.Context, t Table) error {
	name := tableName(m.Prefix, t.Name)
	d, err := m.describe(ctx, name)
	if err != nil {
		return err
	}
	if d == nil {
		m.Progress("create table " + name + ": " + t.describe())
		if m.plan {
			return nil
		}
		_, err := m.Client.CreateTable(ctx, t.create(m.Prefix, []types.Tag{{Key: aws.String(tagKey), Value: aws.String(tagValue)}}))
		var there *types.ResourceInUseException // another process made it just now
		if err != nil && !errors.As(err, &there) {
			return failed(err, "The table %s cannot be made.", name)
		}
	}
	if d, err = m.wait(ctx, name); err != nil {
		return err
	}
	if err := checkKeys(d, t, name); err != nil {
		return err
	}
	for _, i := range t.Global {
		if err := m.index(ctx, name, t, i, d); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, string, Table, *types.TableDescription) error{m.expiry, m.recovery, m.tags} {
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

// wait waits until a table and its indexes are active, and says so now and then.
func (m *migrator) wait(ctx context.Context, name string) (*types.TableDescription, error) {
	for n := 0; ; n++ {
		d, err := m.describe(ctx, name)
		if err != nil {
			return nil, err
		}
		what := ""
		switch {
		case d == nil:
			what = "not there yet"
		case d.TableStatus != types.TableStatusActive:
			what = strings.ToLower(string(d.TableStatus))
		default:
			for _, i := range d.GlobalSecondaryIndexes {
				if i.IndexStatus != types.IndexStatusActive {
					what = fmt.Sprintf("index %s %s, %d items so far", aws.ToString(i.IndexName), strings.ToLower(string(i.IndexStatus)), aws.ToInt64(i.ItemCount))
				}
			}
		}
		if what == "" || m.plan {
			return d, nil
		}
		if n%5 == 0 {
			m.Progress("waiting for table " + name + ": " + what)
		}
		if err := sleep(ctx, m.Poll); err != nil {
			return nil, failed(err, "The table %s was not ready in time. Migrate again: it goes on from here.", name)
		}
	}
}

// checkKeys refuses a table of that name that is something else.
func checkKeys(d *types.TableDescription, t Table, name string) error {
	if d == nil {
		return nil
	}
	same := slices.EqualFunc(d.KeySchema, keySchema(t.Partition, t.Sort), func(a, b types.KeySchemaElement) bool {
		return aws.ToString(a.AttributeName) == aws.ToString(b.AttributeName) && a.KeyType == b.KeyType
	})
	for _, want := range t.Local {
		same = same && slices.ContainsFunc(d.LocalSecondaryIndexes, func(i types.LocalSecondaryIndexDescription) bool {
			return aws.ToString(i.IndexName) == want.Name
		})
	}
	if !same {
		return vigil.Errorf(vigil.CodeIllegal, "There is a table %s with other keys. Choose another prefix.", name)
	}
	return nil
}

func (m *migrator) index(ctx context.Context, name string, t Table, i Index, d *types.TableDescription) error {
	if d == nil || slices.ContainsFunc(d.GlobalSecondaryIndexes, func(g types.GlobalSecondaryIndexDescription) bool {
		return aws.ToString(g.IndexName) == i.Name
	}) {
		return nil
	}
	m.Progress("add index " + i.Name + " to table " + name)
	if m.plan {
		return nil
	}
	_, err := m.Client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: &name, AttributeDefinitions: t.attributes(),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: &types.CreateGlobalSecondaryIndexAction{
			IndexName: aws.String(i.Name), KeySchema: keySchema(i.Partition, i.Sort),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}}},
	})
	if err != nil {
		return failed(err, "The index %s of table %s cannot be made.", i.Name, name)
	}
	_, err = m.wait(ctx, name)
	return err
}

func (m *migrator) expiry(ctx context.Context, name string, t Table, d *types.TableDescription) error {
	if t.Expires == "" || d == nil {
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
	m.Progress("let table " + name + " expire by " + t.Expires)
	if m.plan {
		return nil
	}
	_, err = m.Client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(t.Expires), Enabled: aws.Bool(true)},
	})
	return failed(err, "The expiry of table %s cannot be set.", name)
}

// lacks tells whether an endpoint that is not AWS's own does not know an operation, as
// DynamoDB Local knows neither point-in-time recovery nor tags. That is a note then.
func (m *migrator) lacks(err error) bool {
	var api smithy.APIError
	return m.Local && errors.As(err, &api) && api.ErrorCode() == "UnknownOperationException"
}

// What AWS answers for a while after a table was made: its backups are still being made
// possible, its tags cannot be seen yet.
const (
	backupsNotYet = "ContinuousBackupsUnavailableException"
	tableNotYet   = "ResourceNotFoundException"
	mostLooks     = 120 // then it is something else
)

// soon does something again and again while the answer is that it is too early.
func (m *migrator) soon(ctx context.Context, what, notYet string, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != notYet || n == mostLooks {
			return err
		}
		if n%5 == 0 && !m.plan {
			m.Progress("waiting for " + what)
		}
		if err := sleep(ctx, m.Poll); err != nil {
			return err
		}
	}
}

// recovery sets point-in-time recovery.
func (m *migrator) recovery(ctx context.Context, name string, t Table, d *types.TableDescription) error {
	if !t.Recovery || d == nil {
		return nil
	}
	out, err := m.Client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
	if err == nil {
		if b := out.ContinuousBackupsDescription; b != nil && b.PointInTimeRecoveryDescription != nil &&
			b.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled {
			return nil
		}
		m.Progress("keep point-in-time recovery of table " + name)
		if m.plan {
			return nil
		}
		err = m.soon(ctx, "point-in-time recovery of table "+name, backupsNotYet, func() error {
			_, err := m.Client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
				TableName:                        &name,
				PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
			})
			return err
		})
	}
	if m.lacks(err) {
		m.Progress("note: this endpoint knows no point-in-time recovery, so table " + name + " has none")
		return nil
	}
	return failed(err, "Point-in-time recovery of table %s cannot be set.", name)
}

func (m *migrator) tags(ctx context.Context, name string, _ Table, d *types.TableDescription) error {
	if d == nil {
		return nil
	}
	var out *dynamodb.ListTagsOfResourceOutput
	err := m.soon(ctx, "the tags of table "+name, tableNotYet, func() (err error) {
		out, err = m.Client.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: d.TableArn})
		return err
	})
	if m.lacks(err) {
		m.Progress("note: this endpoint knows no tags, so table " + name + " has none")
		return nil
	}
	if err != nil {
		return failed(err, "The tags of table %s cannot be looked at.", name)
	}
	if slices.ContainsFunc(out.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == tagKey }) {
		return nil
	}
	m.Progress("tag table " + name)
	if m.plan {
		return nil
	}
	_, err = m.Client.TagResource(ctx, &dynamodb.TagResourceInput{
		ResourceArn: d.TableArn, Tags: []types.Tag{{Key: aws.String(tagKey), Value: aws.String(tagValue)}},
	})
	return failed(err, "The table %s cannot be tagged.", name)
}

// VersionKey names the item of the schema's table that has the version.
func VersionKey() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "version"}}
}

// SchemaOf reads the version item. Where it does not say which programs may work with the
// tables, only those of the same version do.
func SchemaOf(it map[string]types.AttributeValue) storage.Schema {
	s := storage.Schema{Version: int(numberOf(it["Version"])), Oldest: int(numberOf(it["Oldest"]))}
	if s.Oldest == 0 {
		s.Oldest = s.Version
	}
	return s
}

func numberOf(a types.AttributeValue) int64 {
	n, ok := a.(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// versionItem is nil where there is none.
func (m *migrator) versionItem(ctx context.Context) (map[string]types.AttributeValue, error) {
	out, err := m.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(Schema(m.Prefix)), Key: VersionKey(), ConsistentRead: aws.Bool(true),
	})
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(err, "The schema's version cannot be read.")
	}
	return out.Item, nil
}

func (m *migrator) standing(ctx context.Context) (storage.Schema, error) {
	it, err := m.versionItem(ctx)
	return SchemaOf(it), err
}

// mark writes the least version that programs must know to work with the tables.
func (m *migrator) mark(ctx context.Context, oldest int) error {
	_, err := m.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(Schema(m.Prefix)), Key: VersionKey(),
		UpdateExpression:          aws.String("SET #o = :o"),
		ExpressionAttributeNames:  map[string]string{"#o": "Oldest"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":o": number(int64(oldest))},
	})
	return failed(err, "The schema's version cannot be written.")
}

func appliedAttribute(s Step) string { return "Applied" + strconv.Itoa(s.Version) }

// note writes that a step is applied.
func (m *migrator) note(ctx context.Context, s Step) error {
	_, err := m.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(Schema(m.Prefix)), Key: VersionKey(),
		UpdateExpression:          aws.String("SET Version = :v, #a = :now"),
		ExpressionAttributeNames:  map[string]string{"#a": appliedAttribute(s)},
		ExpressionAttributeValues: map[string]types.AttributeValue{":v": number(int64(s.Version)), ":now": number(m.Now().UnixMilli())},
	})
	return failed(err, "The schema's version cannot be written.")
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// failed gives an error of the client its code.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) && strings.Contains(api.ErrorCode(), "AccessDenied") {
		return vigil.Wrap(err, vigil.CodeForbidden, format+" The credentials lack a permission; deploy/dynamodb-migrate-policy.json lists them.", args...)
	}
	return vigil.Wrap(err, vigil.CodeUnavailable, format, args...)
}
