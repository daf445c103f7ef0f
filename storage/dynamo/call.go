package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"vigil"
)

// enter takes a slot for one request; leave gives it back. When all are taken callers
// wait, and with them what they would acknowledge.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return convert(err)
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return convert(ctx.Err())
	}
}

func (s *Store) leave() { <-s.slots }

func used(c *types.ConsumedCapacity) types.ConsumedCapacity {
	if c == nil {
		return types.ConsumedCapacity{}
	}
	return *c
}

// get reads one item consistently; nil if it is not there.
func (s *Store) get(ctx context.Context, what, table string, k key) (item, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	out, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table, Key: k.item(), ConsistentRead: aws.Bool(true), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, convert(err)
	}
	s.meter.count("get", what, false, used(out.ConsumedCapacity))
	return out.Item, nil
}

// outcome is what became of a conditional write.
type outcome struct {
	done bool
	old  item // if not done: the item that did not fulfil the condition; nil if there is none
	new  item // of an update that is done
}

// versioned is the error of a write that was conditional on a version.
func (o outcome) versioned(what string) error {
	switch {
	case o.done:
		return nil
	case o.old == nil:
		return notFound(what)
	}
	return conflict(what)
}

// failed reads a failed condition. A request that the client sent again may find its own
// work there: then it is done after all.
func failed(err error, note string) (outcome, error) {
	var c *types.ConditionalCheckFailedException
	if !errors.As(err, &c) {
		return outcome{}, convert(err)
	}
	if note != "" && item(c.Item).text(attrNote) == note {
		return outcome{done: true, new: c.Item}, nil
	}
	return outcome{old: c.Item}, nil
}

// put writes a whole item if the condition (which may be nil) holds.
func (s *Store) put(ctx context.Context, what, table string, k key, it item, more extra, cond *expr) (outcome, error) {
	if err := s.enter(ctx); err != nil {
		return outcome{}, err
	}
	defer s.leave()
	note := finish(k, it, more)
	in := &dynamodb.PutItemInput{
		TableName: &table, Item: it, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = unpack(cond)
	out, err := s.api.PutItem(ctx, in)
	if err != nil {
		return failed(err, note)
	}
	s.meter.count("put", what, true, used(out.ConsumedCapacity))
	return outcome{done: true}, nil
}

// finish completes an item that is put: keys, further attributes, and a note.
func finish(k key, it item, more extra) (note string) {
	note = rand.Text()[:16]
	it[attrPK], it[attrSK], it[attrNote] = str(k.pk), str(k.sk), str(note)
	if more != nil {
		more(it)
	}
	return note
}

// change updates an item if the expression's condition holds.
func (s *Store) change(ctx context.Context, what, table string, k key, e *expr) (outcome, error) {
	if err := s.enter(ctx); err != nil {
		return outcome{}, err
	}
	defer s.leave()
	note := rand.Text()[:16]
	e.set(attrNote, str(note))
	in := &dynamodb.UpdateItemInput{
		TableName: &table, Key: k.item(), UpdateExpression: aws.String(e.update()), ReturnValues: types.ReturnValueAllNew,
		ReturnConsumedCapacity:              types.ReturnConsumedCapacityTotal,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = unpack(e)
	out, err := s.api.UpdateItem(ctx, in)
	if err != nil {
		return failed(err, note)
	}
	s.meter.count("update", what, true, used(out.ConsumedCapacity))
	return outcome{done: true, new: out.Attributes}, nil
}

// create is put where the condition asks that nothing is in the way; CodeExists if something is.
func (s *Store) create(ctx context.Context, what, table string, k key, it item, more extra, cond *expr) error {
	o, err := s.put(ctx, what, table, k, it, more, cond)
	if err == nil && !o.done {
		err = exists(what)
	}
	return err
}

// update is change for a thing that must be there in the version which the condition asks for.
func (s *Store) update(ctx context.Context, what string, k key, e *expr, thing string) error {
	o, err := s.change(ctx, what, s.main, k, e)
	if err != nil {
		return err
	}
	return o.versioned(thing)
}

// remove deletes an item and returns what it was; nil if it was not there. Of several at
// once one gets it: the condition is what the service judges them by, one after the other.
func (s *Store) remove(ctx context.Context, what, table string, k key) (item, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	in := &dynamodb.DeleteItemInput{
		TableName: &table, Key: k.item(), ReturnValues: types.ReturnValueAllOld, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = unpack(newExpr().present())
	out, err := s.api.DeleteItem(ctx, in)
	var gone *types.ConditionalCheckFailedException
	if errors.As(err, &gone) {
		return nil, nil
	}
	if err != nil {
		return nil, convert(err)
	}
	s.meter.count("delete", what, true, used(out.ConsumedCapacity))
	return out.Attributes, nil
}

func unpack(e *expr) (*string, map[string]string, map[string]types.AttributeValue) { return e.parts() }

// The three things that a transaction does here.

func (s *Store) txPut(k key, it item, more extra, cond *expr) types.TransactWriteItem {
	finish(k, it, more)
	p := &types.Put{TableName: &s.main, Item: it, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	p.ConditionExpression, p.ExpressionAttributeNames, p.ExpressionAttributeValues = unpack(cond)
	return types.TransactWriteItem{Put: p}
}

func (s *Store) txChange(k key, e *expr) types.TransactWriteItem {
	u := &types.Update{
		TableName: &s.main, Key: k.item(), UpdateExpression: aws.String(e.update()),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	u.ConditionExpression, u.ExpressionAttributeNames, u.ExpressionAttributeValues = unpack(e)
	return types.TransactWriteItem{Update: u}
}

func (s *Store) txCheck(k key, e *expr) types.TransactWriteItem {
	c := &types.ConditionCheck{
		TableName: &s.main, Key: k.item(), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	c.ConditionExpression, c.ExpressionAttributeNames, c.ExpressionAttributeValues = unpack(e)
	return types.TransactWriteItem{ConditionCheck: c}
}

func (s *Store) txDelete(k key, cond *expr) types.TransactWriteItem {
	d := &types.Delete{TableName: &s.main, Key: k.item()}
	d.ConditionExpression, d.ExpressionAttributeNames, d.ExpressionAttributeValues = unpack(cond)
	return types.TransactWriteItem{Delete: d}
}

// maxCollisions bounds how often a transaction is tried that met another one.
const maxCollisions = 40

// transact writes all or nothing. Of each part it returns whether its condition failed,
// and the item that failed it; all done is a nil slice. Transactions that met another
// one are tried again; the client's token makes a repeat harmless.
func (s *Store) transact(ctx context.Context, what string, parts ...types.TransactWriteItem) ([]refusal, error) {
	in := &dynamodb.TransactWriteItemsInput{
		TransactItems: parts, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	for attempt := 0; ; attempt++ {
		in.ClientRequestToken = aws.String(rand.Text()) // the client's own retries keep it
		out, err := s.transactOnce(ctx, in)
		if err == nil {
			s.meter.count("transact", what, true, out.ConsumedCapacity...)
			return nil, nil
		}
		var canceled *types.TransactionCanceledException
		if !errors.As(err, &canceled) {
			return nil, convert(err)
		}
		refusals, decided := refused(canceled.CancellationReasons)
		if decided {
			return refusals, nil
		}
		if attempt == maxCollisions {
			return nil, vigil.Wrap(err, vigil.CodeUnavailable, "The store is too busy with this. Try again.")
		}
		if err := pause(ctx, min(attempt, 4)); err != nil {
			return nil, convert(err)
		}
	}
}

func (s *Store) transactOnce(ctx context.Context, in *dynamodb.TransactWriteItemsInput) (*dynamodb.TransactWriteItemsOutput, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.api.TransactWriteItems(ctx, in)
}

// refusal is a part of a transaction whose condition failed, or did not.
type refusal struct {
	failed bool
	old    item
}

// refused reads the reasons. They are decided if a condition failed; throttling and
// meeting another transaction are not.
func refused(reasons []types.CancellationReason) (out []refusal, decided bool) {
	out = make([]refusal, len(reasons))
	for i, r := range reasons {
		if aws.ToString(r.Code) == "ConditionalCheckFailed" {
			out[i] = refusal{failed: true, old: r.Item}
			decided = true
		}
	}
	return out, decided
}

// batchGet reads items consistently, those that are there, by their keys.
func (s *Store) batchGet(ctx context.Context, what string, keys []key) (map[key]item, error) {
	found := make(map[key]item, len(keys))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for from := 0; from < len(keys); from += 100 {
		part := make([]map[string]types.AttributeValue, 0, 100)
		for _, k := range keys[from:min(from+100, len(keys))] {
			part = append(part, k.item())
		}
		g.Go(func() error {
			for attempt := 0; len(part) > 0; attempt++ {
				out, err := s.batchGetOnce(ctx, what, part)
				if err != nil {
					return err
				}
				mu.Lock()
				for _, it := range out.Responses[s.main] {
					found[keyOf(it)] = it
				}
				mu.Unlock()
				part = out.UnprocessedKeys[s.main].Keys
				if len(part) > 0 {
					if err := pause(ctx, attempt); err != nil {
						return convert(err)
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) batchGetOnce(ctx context.Context, what string, keys []map[string]types.AttributeValue) (*dynamodb.BatchGetItemOutput, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	out, err := s.api.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
		RequestItems:           map[string]types.KeysAndAttributes{s.main: {Keys: keys, ConsistentRead: aws.Bool(true)}},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, convert(err)
	}
	s.meter.count("batchget", what, false, out.ConsumedCapacity...)
	return out, nil
}

// removeAll deletes items by their keys, in any order.
func (s *Store) removeAll(ctx context.Context, what string, keys []key) error {
	for len(keys) > 0 {
		n := min(25, len(keys))
		part := make([]types.WriteRequest, n)
		for i, k := range keys[:n] {
			part[i] = types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: k.item()}}
		}
		keys = keys[n:]
		for attempt := 0; len(part) > 0; attempt++ {
			out, err := s.removeOnce(ctx, what, part)
			if err != nil {
				return err
			}
			part = out.UnprocessedItems[s.main]
			if len(part) > 0 {
				if err := pause(ctx, attempt); err != nil {
					return convert(err)
				}
			}
		}
	}
	return nil
}

func (s *Store) removeOnce(ctx context.Context, what string, part []types.WriteRequest) (*dynamodb.BatchWriteItemOutput, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	out, err := s.api.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{s.main: part}, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		return nil, convert(err)
	}
	s.meter.count("batchdelete", what, true, out.ConsumedCapacity...)
	return out, nil
}
