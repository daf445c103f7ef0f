package dynamodb

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

// The schema's table has two items: the version, and the lock of who migrates.

type attributes map[string]types.AttributeValue

func schemaKey(item string) attributes {
	return attributes{"pk": &types.AttributeValueMemberS{Value: item}}
}

// VersionKey names the item of the schema's table that has the version.
func VersionKey() map[string]types.AttributeValue { return schemaKey("version") }

// SchemaOf reads the version item. Where it does not say which programs may work with the
// tables, only those of the same version do.
func SchemaOf(it map[string]types.AttributeValue) storage.Schema {
	s := storage.Schema{Version: int(numberOf(it["Version"])), Oldest: int(numberOf(it["Oldest"]))}
	if s.Oldest == 0 {
		s.Oldest = s.Version
	}
	return s
}

// appliedAttribute has the time at which a step was applied.
func appliedAttribute(s storage.Step) string { return "Applied" + strconv.Itoa(s.Version) }

// numberOf reads a number; 0 where there is none.
func numberOf(a types.AttributeValue) int64 {
	if n, ok := a.(*types.AttributeValueMemberN); ok {
		if v, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return v
		}
	}
	return 0
}

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// write sets attributes of an item of the schema's table, if a condition holds (empty: in any case), which
// finds each name with a # and each value with a colon before it. A name with a colon is a value for it alone.
func (m *migrator) write(ctx context.Context, item, condition string, set attributes) error {
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(Schema(m.Prefix)), Key: schemaKey(item),
		ExpressionAttributeNames: map[string]string{}, ExpressionAttributeValues: attributes{},
	}
	var sets []string
	for name, a := range set {
		if strings.HasPrefix(name, ":") {
			in.ExpressionAttributeValues[name] = a
			continue
		}
		sets = append(sets, "#"+name+" = :"+name)
		in.ExpressionAttributeNames["#"+name], in.ExpressionAttributeValues[":"+name] = name, a
	}
	in.UpdateExpression = aws.String("SET " + strings.Join(sets, ", "))
	if condition != "" {
		in.ConditionExpression = &condition
	}
	_, err := m.Client.UpdateItem(ctx, in)
	return failed(err, "The item %s of the schema's table cannot be written.", item)
}

// lockLease is after how long the lock of a process that died is free.
const lockLease = time.Minute

// locked does some work while no other process does. It waits for its turn. The lock is a lease,
// renewed whenever the work waits for something, so that one whose process died is free after a while.
func (m *migrator) locked(ctx context.Context, work func() error) error {
	owner := rand.Text()
	for n := 0; ; n++ {
		got, err := m.take(ctx, owner)
		if err != nil {
			return err
		}
		if got {
			break
		}
		if err := m.pause(ctx, n, "another process that is migrating"); err != nil {
			return failed(err, "Another process held the migrations' lock for too long.")
		}
	}
	m.owner = owner
	err := work()
	m.owner = ""
	// Given back also when the caller has gone; if that fails the lease's end does it.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	_ = m.write(ctx, "lock", "#Owner = :Owner", attributes{"Owner": &types.AttributeValueMemberS{Value: owner}, "Ends": number(0)})
	return err
}

// take takes or renews the lock; false means that somebody else has it.
func (m *migrator) take(ctx context.Context, owner string) (bool, error) {
	now := time.Now()
	err := m.write(ctx, "lock", "attribute_not_exists(pk) OR #Owner = :Owner OR #Ends <= :now", attributes{
		"Owner": &types.AttributeValueMemberS{Value: owner},
		"Ends":  number(now.Add(lockLease).UnixMilli()), ":now": number(now.UnixMilli()),
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return false, nil
	}
	return err == nil, err
}

// renew keeps the lock, if it is held. That the service cannot be reached does not matter yet.
func (m *migrator) renew(ctx context.Context) error {
	if m.owner == "" {
		return nil
	}
	if got, err := m.take(ctx, m.owner); err == nil && !got {
		return vigil.Errorf(vigil.CodeConflict, "Another process took the migrations' lock. Migrate again.")
	}
	return nil
}
