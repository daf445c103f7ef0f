package dynamo_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

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

func TestStoreFulfilsTheContract(t *testing.T) {
	if server == nil {
		t.Skip(missing)
	}
	var calls dynamolocal.Calls
	t.Run("Contract", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			c, end := fullClient(t, server.URL)
			t.Cleanup(end)
			return open(t, dynamo.Config{Client: dynamodb.New(c.Options(), calls.Watch)})
		})
	})
	// Of what the whole contract asks of the service nothing is refused, and nothing else allowed.
	t.Run("PolicyAllowsThatAndNothingElse", func(t *testing.T) {
		allowed, err := dynamolocal.Allowed(filepath.Join("..", "..", "deploy", "dynamodb-policy.json"))
		ok(t, err)
		if needed := calls.Needed(); !slices.Equal(allowed, needed) {
			t.Errorf("the policy allows\n%s\nneeded is\n%s", strings.Join(allowed, "\n"), strings.Join(needed, "\n"))
		}
	})
}
