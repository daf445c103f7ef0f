package dynamo_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
	"vigil/storage/storagetest"
)

func fullClient(t testing.TB, endpoint string) (c *dynamodb.Client, end func()) {
	t.Helper()
	c, end, err := dynamo.NewClient(context.WithoutCancel(t.Context()), dynamo.ClientConfig{Region: "eu-central-1", Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	return c, end
}

// searched is a store whose tables are looked through.
type searched struct {
	*dynamo.Store
	client *dynamodb.Client
	prefix string
}

func (s searched) Holds(t *testing.T, text string) (where []string) {
	for _, table := range []string{migrations.Main(s.prefix), migrations.Records(s.prefix)} {
		for p := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &table}); p.HasMorePages(); {
			out, err := p.NextPage(t.Context())
			testutil.OK(t, err)
			for _, it := range out.Items {
				if strings.Contains(written(&types.AttributeValueMemberM{Value: it}), text) {
					where = append(where, textOf(it["pk"])+" "+textOf(it["sk"]))
				}
			}
		}
	}
	return where
}

// written is all that an attribute holds.
func written(a types.AttributeValue) string {
	switch a := a.(type) {
	case *types.AttributeValueMemberM:
		var b strings.Builder
		for name, v := range a.Value {
			b.WriteString(name + "=" + written(v) + "\n")
		}
		return b.String()
	case *types.AttributeValueMemberL:
		var b strings.Builder
		for _, v := range a.Value {
			b.WriteString(written(v) + "\n")
		}
		return b.String()
	case *types.AttributeValueMemberS:
		return a.Value
	case *types.AttributeValueMemberB:
		return string(a.Value)
	}
	return fmt.Sprint(a)
}

func TestStoreFulfilsTheContract(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	var calls dynamolocal.Calls
	t.Run("Contract", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			c, end := fullClient(t, server.URL)
			t.Cleanup(end)
			prefix := migrated(t)
			return searched{open(t, dynamo.Config{Prefix: prefix, Client: dynamodb.New(c.Options(), calls.Watch), Scan: c}), c, prefix}
		})
	})
	// Of what the whole contract asks of the service nothing is refused, and nothing else allowed.
	t.Run("PolicyAllowsThatAndNothingElse", func(t *testing.T) {
		allowed, err := dynamolocal.Allowed(filepath.Join("..", "..", "deploy", "dynamodb-policy.json"))
		testutil.OK(t, err)
		if needed := calls.Needed(); !slices.Equal(allowed, needed) {
			t.Errorf("the policy allows\n%s\nneeded is\n%s", strings.Join(allowed, "\n"), strings.Join(needed, "\n"))
		}
	})
}
