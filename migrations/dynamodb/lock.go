package dynamodb

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
)

func lockKey() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "lock"}}
}

// locked does some work while no other process does. It waits for its turn. The lock is
// a lease that is renewed while the work lasts, so that one whose process died is free
// after a while; losing it ends the work's context.
func (m *migrator) locked(ctx context.Context, work func(ctx context.Context) error) error {
	owner := rand.Text()
	for n := 0; ; n++ {
		got, err := m.take(ctx, owner)
		if err != nil {
			return err
		}
		if got {
			break
		}
		if n%5 == 0 {
			m.Progress("waiting for another process that is migrating")
		}
		if err := sleep(ctx, m.Poll); err != nil {
			return failed(err, "Another process held the migrations' lock for too long.")
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		for sleep(ctx, m.Lock/3) == nil {
			if got, err := m.take(ctx, owner); err == nil && !got {
				cancel(vigil.Errorf(vigil.CodeConflict, "Another process took the migrations' lock. Migrate again."))
			}
		}
	}()
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(err, cause)
	}
	cancel(nil)
	<-renewed
	// Given back also when the caller has gone; if that fails the lease's end does it.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	_, _ = m.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(Schema(m.Prefix)), Key: lockKey(), ConditionExpression: aws.String("#o = :o"),
		ExpressionAttributeNames:  map[string]string{"#o": "Owner"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":o": &types.AttributeValueMemberS{Value: owner}},
	})
	return err
}

// take takes or renews the lock; false means that somebody else has it.
func (m *migrator) take(ctx context.Context, owner string) (bool, error) {
	now := m.Now()
	it := lockKey()
	it["Owner"] = &types.AttributeValueMemberS{Value: owner}
	it["Ends"] = number(now.Add(m.Lock).UnixMilli())
	_, err := m.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(Schema(m.Prefix)), Item: it,
		ConditionExpression:      aws.String("attribute_not_exists(pk) OR #o = :o OR #e <= :now"),
		ExpressionAttributeNames: map[string]string{"#o": "Owner", "#e": "Ends"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":o": it["Owner"], ":now": number(now.UnixMilli()),
		},
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return false, nil
	}
	return err == nil, failed(err, "The migrations' lock cannot be taken.")
}
