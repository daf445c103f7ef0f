package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
)

// server is AWS's DynamoDB Local; nil where it cannot run.
var (
	server  *dynamolocal.Server
	missing error
)

func TestMain(m *testing.M) {
	ctx := context.Background()
	var err error
	server, err = dynamolocal.Start(ctx)
	if errors.Is(err, dynamolocal.ErrMissing) && !dynamolocal.Demanded() {
		missing = err
	} else if err != nil {
		slog.Error("DynamoDB Local", "error", err)
		os.Exit(1)
	}
	code := m.Run()
	if server != nil {
		if err := server.Stop(); err != nil {
			slog.Error("stopping DynamoDB Local", "error", err)
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			slog.Error("goroutines are left", "error", err)
			code = 1
		}
	}
	os.Exit(code)
}

var prefixes atomic.Int64

// newPrefix names tables that nobody else uses.
func newPrefix() string { return fmt.Sprint("test-", prefixes.Add(1)) }

// client makes a client of the service, or of what stands before it.
func client(t testing.TB, endpoint string) dynamo.API {
	t.Helper()
	c, end := fullClient(t, endpoint)
	t.Cleanup(end)
	return c
}

// migrated makes a prefix's tables.
func migrated(t testing.TB) string {
	t.Helper()
	if server == nil {
		t.Skip(missing)
	}
	prefix := newPrefix()
	c, end := fullClient(t, server.URL)
	defer end()
	if err := migrations.Migrate(t.Context(), migrations.Options{Client: c, Prefix: prefix, Local: true, Poll: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	return prefix
}

// open opens a store on tables of its own where c names none.
func open(t testing.TB, c dynamo.Config) *dynamo.Store {
	t.Helper()
	if c.Prefix == "" {
		c.Prefix = migrated(t)
	}
	if c.Client == nil {
		c.Client = client(t, server.URL)
	}
	if c.Scan == nil {
		raw, end := fullClient(t, server.URL)
		t.Cleanup(end)
		c.Scan = raw
	}
	s, err := dynamo.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

func code(t testing.TB, what string, err error, want vigil.Code) {
	t.Helper()
	if got := vigil.CodeOf(err); got != want {
		t.Errorf("%s: got code %q (%v), want %q", what, got, err, want)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
