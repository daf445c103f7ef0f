package dynamo

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

// list is the part of a table or of an index whose sort keys lie in a range.
type list struct {
	what   string
	index  string // empty: the table itself
	pk     string
	prefix string // of all its sort keys
	from   string // the first sort key, where that is not the prefix
	desc   bool
	count  bool // only count
	step   int  // least number to ask for at once, where most are left out
}

func (l list) attributes() (pk, sk string) {
	switch l.index {
	case indexOrder:
		return attrPK, attrOrd
	case indexList:
		return attrList, attrPos
	}
	return attrPK, attrSK
}

// bounds are the first and last sort key after a place in the list.
func (l list) bounds(place string) (low, high string) {
	low, high = max(l.prefix, l.from), after(l.prefix)
	switch {
	case place == "":
	case l.desc:
		high = place
	default:
		low = place
	}
	if low == "" {
		low = "\x00" // no key is empty
	}
	return low, high
}

// query reads one answer of the service.
func (s *Store) query(ctx context.Context, l list, low, high string, start item, limit int32) (*dynamodb.QueryOutput, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	pk, sk := l.attributes()
	e := newExpr()
	e.when("%s = %s AND %s BETWEEN %s AND %s", e.n(pk), e.v(str(l.pk)), e.n(sk), e.v(str(low)), e.v(str(high)))
	// The service wants the two conditions side by side, without the parentheses.
	in := &dynamodb.QueryInput{
		TableName: &s.main, KeyConditionExpression: aws.String(strings.Trim(e.condition, "()")), ExpressionAttributeNames: e.names,
		ExpressionAttributeValues: e.values, ScanIndexForward: aws.Bool(!l.desc), ConsistentRead: aws.Bool(l.index != indexList),
		ExclusiveStartKey: start, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}
	if l.index != "" {
		in.IndexName = &l.index
	}
	if l.count {
		in.Select = types.SelectCount
	}
	if limit > 0 {
		in.Limit = &limit
	}
	out, err := s.api.Query(ctx, in)
	if err != nil {
		return nil, convert(err)
	}
	s.meter.count("query", l.what, false, used(out.ConsumedCapacity))
	return out, nil
}

// all reads a list that is known to be short.
func (s *Store) all(ctx context.Context, l list) ([]item, error) {
	var items []item
	var start item
	low, high := l.bounds("")
	for {
		out, err := s.query(ctx, l, low, high, start, 0)
		if err != nil {
			return nil, err
		}
		for _, it := range out.Items {
			items = append(items, it)
		}
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return items, nil
		}
	}
}

// allOf reads the things of a list that is known to be short, and keeps those that pass.
func allOf[T any](ctx context.Context, s *Store, l list, pass func(T) bool) ([]T, error) {
	items, err := s.all(ctx, l)
	if err != nil {
		return nil, err
	}
	return decodeList(items, pass)
}

// decodeList makes things of items and keeps those that pass; nil: all.
func decodeList[T any](items []item, pass func(T) bool) ([]T, error) {
	out := make([]T, 0, len(items))
	for _, it := range items {
		v, err := decode[T](it)
		if err != nil {
			return nil, err
		}
		if pass == nil || pass(v) {
			out = append(out, v)
		}
	}
	return out, nil
}

// counted tells how many items a list has.
func (s *Store) counted(ctx context.Context, l list) (int64, error) {
	l.count = true
	var n int64
	var start item
	low, high := l.bounds("")
	for {
		out, err := s.query(ctx, l, low, high, start, 0)
		if err != nil {
			return 0, err
		}
		n += int64(out.Count)
		if start = out.LastEvaluatedKey; len(start) == 0 {
			return n, nil
		}
	}
}

// resolver makes things of items. It answers for each in order; nil leaves one out.
type resolver[T any] func(ctx context.Context, items []item) ([]*T, error)

// paged reads one page of a list.
func paged[T any](ctx context.Context, s *Store, l list, page storage.Page, resolve resolver[T]) (out []T, next string, err error) {
	place, err := parsePlace(page.After)
	if err != nil {
		return nil, "", err
	}
	limit := page.Limit
	if limit <= 0 || limit > storage.MaxPage {
		limit = storage.MaxPage
	}
	_, sk := l.attributes()
	low, high := l.bounds(place)
	out = []T{}
	var places []string
	var start item
	for len(out) <= limit {
		// One more than is wanted tells whether there is a next page, and one more the
		// place itself, which both bounds include.
		answer, err := s.query(ctx, l, low, high, start, int32(max(l.step, limit-len(out)+2)))
		if err != nil {
			return nil, "", err
		}
		items := make([]item, 0, len(answer.Items))
		for _, it := range answer.Items {
			if item(it).text(sk) != place {
				items = append(items, it)
			}
		}
		things, err := resolve(ctx, items)
		if err != nil {
			return nil, "", err
		}
		for i, t := range things {
			if t != nil {
				out, places = append(out, *t), append(places, items[i].text(sk))
			}
		}
		if start = answer.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	if len(out) > limit {
		return out[:limit], formatPlace(places[limit-1]), nil
	}
	return out, "", nil
}

// A place in a list is the sort key of the last thing that was read.
func formatPlace(sortKey string) string {
	return "p." + base64.RawURLEncoding.EncodeToString([]byte(sortKey))
}

func parsePlace(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	raw, ok := strings.CutPrefix(s, "p.")
	b, err := base64.RawURLEncoding.DecodeString(raw)
	if !ok || err != nil || len(b) == 0 || len(b) > 1024 {
		return "", vigil.Invalid("after", "This is not a place in the list.")
	}
	return string(b), nil
}

// read gets one thing; none is CodeNotFound.
func read[T any](ctx context.Context, s *Store, what, table string, k key) (T, error) {
	var zero T
	it, err := s.get(ctx, what, table, k)
	if err != nil {
		return zero, err
	}
	if it == nil {
		return zero, notFound(what)
	}
	return decode[T](it)
}

// decodeAll makes things of items and leaves out those that do not pass, and items that are not there any more.
func decodeAll[T any](pass func(T) bool) resolver[T] {
	return func(_ context.Context, items []item) ([]*T, error) {
		out := make([]*T, len(items))
		for i, it := range items {
			if len(it) == 0 {
				continue
			}
			v, err := decode[T](it)
			if err != nil {
				return nil, err
			}
			if pass == nil || pass(v) {
				out[i] = &v
			}
		}
		return out, nil
	}
}

// whatever an index lists is read from the table, where it is consistent. An item that
// is gone since is an empty one.
func (s *Store) full(ctx context.Context, what string, listed []item) ([]item, error) {
	keys := make([]key, len(listed))
	for i, it := range listed {
		keys[i] = keyOf(it)
	}
	found, err := s.batchGet(ctx, what, keys)
	if err != nil {
		return nil, err
	}
	out := make([]item, len(listed))
	for i, k := range keys {
		out[i] = found[k]
	}
	return out, nil
}
