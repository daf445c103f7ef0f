package dynamo

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

// Scanner is what the service can do and no request path may: read a table from end to end.
// *dynamodb.Client has it.
type Scanner interface {
	Scan(ctx context.Context, in *dynamodb.ScanInput, opts ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

// Dumper is a store with the power to list everything (storage.Dumper), for an operator's
// commands. A server has none.
type Dumper struct{ *Store }

var _ storage.Dumper = Dumper{}

// errNoScan is for a store without Config.Scan.
var errNoScan = vigil.Errorf(vigil.CodeIllegal, "Only an operator's command may read the whole table.")

// Dumper gives a store with Config.Scan the power to list everything.
func (s *Store) Dumper() (Dumper, error) {
	if s.scanner == nil {
		return Dumper{}, errNoScan
	}
	return Dumper{s}, nil
}

// ExamIDs implements storage.Dumper. It reads the index of lists, where each exam is under its
// course, and which is much smaller than the table. It may miss what was written in the last
// second.
func (d Dumper) ExamIDs(ctx context.Context, page storage.Page) (ids []string, next string, err error) {
	items, next, err := d.scan(ctx, "exam", indexList, attrList, "xc#", page)
	if err != nil {
		return nil, "", err
	}
	exams, err := d.full(ctx, "exam", items)
	if err != nil {
		return nil, "", err
	}
	for _, it := range exams {
		if it != nil {
			ids = append(ids, it.text("ID"))
		}
	}
	return ids, next, nil
}

// LinksOfPlatform implements storage.Dumper.
func (d Dumper) LinksOfPlatform(ctx context.Context, platformID string, page storage.Page) (links []vigil.Link, next string, err error) {
	return paged(ctx, d.Store, list{what: "link", pk: name("p", platformID), prefix: "l#"}, page, decodeAll[vigil.Link](nil))
}

// Invitations implements storage.Dumper. It reads the whole table.
func (d Dumper) Invitations(ctx context.Context, page storage.Page) (invitations []vigil.Invitation, next string, err error) {
	items, next, err := d.scan(ctx, "invitation", "", attrPK, "i#", page)
	if err != nil {
		return nil, "", err
	}
	invitations, err = decodeList[vigil.Invitation](items, nil)
	return invitations, next, err
}

// scan reads one answer's worth of the table or of an index, at most a page, and keeps the
// items whose attribute begins with a prefix. A page may be empty and yet have a next.
func (d Dumper) scan(ctx context.Context, what, index, attribute, prefix string, page storage.Page) (items []item, next string, err error) {
	start, err := parseScan(page.After)
	if err != nil {
		return nil, "", err
	}
	if err := d.enter(ctx); err != nil {
		return nil, "", err
	}
	defer d.leave()
	in := &dynamodb.ScanInput{
		TableName: &d.main, ExclusiveStartKey: start, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		FilterExpression: aws.String("begins_with(#a, :p)"), ExpressionAttributeNames: map[string]string{"#a": attribute},
		ExpressionAttributeValues: item{":p": str(prefix)}, ConsistentRead: aws.Bool(index == ""),
	}
	if index != "" {
		in.IndexName = &index
	}
	if page.Limit > 0 {
		in.Limit = aws.Int32(int32(min(page.Limit, storage.MaxPage)))
	}
	out, err := d.scanner.Scan(ctx, in)
	if err != nil {
		return nil, "", convert(err)
	}
	d.meter.count("scan", what, false, used(out.ConsumedCapacity))
	for _, it := range out.Items {
		items = append(items, it)
	}
	return items, formatScan(out.LastEvaluatedKey), nil
}

// A place in a scan is the key of the item that was looked at last: texts only.
func formatScan(k item) string {
	if len(k) == 0 {
		return ""
	}
	texts := map[string]string{}
	for name := range k {
		texts[name] = k.text(name)
	}
	b, err := json.Marshal(texts)
	if err != nil {
		panic(err) // texts always have a JSON form
	}
	return "k." + base64.RawURLEncoding.EncodeToString(b)
}

func parseScan(place string) (item, error) {
	if place == "" {
		return nil, nil
	}
	bad := vigil.Invalid("after", "This is not a place in the list.")
	if len(place) < 2 || place[:2] != "k." {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(place[2:])
	if err != nil {
		return nil, bad
	}
	var texts map[string]string
	if json.Unmarshal(b, &texts) != nil || len(texts) == 0 {
		return nil, bad
	}
	k := item{}
	for name, text := range texts {
		k[name] = str(text)
	}
	return k, nil
}
