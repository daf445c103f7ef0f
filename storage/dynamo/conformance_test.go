package dynamo_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil/storage"
	"vigil/storage/dynamo"
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
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, dynamo.Config{}) })
}
