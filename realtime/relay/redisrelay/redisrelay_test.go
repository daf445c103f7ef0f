package redisrelay_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"vigil/internal/testutil"
	"vigil/realtime/relay"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/relay/redisrelay/redistest"
	"vigil/realtime/relay/relaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRelay(t *testing.T, url string, edits ...func(c *redisrelay.Config)) *redisrelay.Relay {
	t.Helper()
	cfg := redisrelay.Config{URL: url, Node: uuid.NewString()}
	for _, edit := range edits {
		edit(&cfg)
	}
	r, err := redisrelay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// factory makes relays on keys of their own.
func factory(url string) relaytest.Factory {
	n := 0
	return func(t *testing.T, count int) []relay.Relay {
		n++
		nodes := make([]relay.Relay, count)
		for i := range nodes {
			nodes[i] = newRelay(t, url, func(c *redisrelay.Config) { c.Prefix = fmt.Sprintf("test-%d", n) })
		}
		return nodes
	}
}

func TestConformanceOnOneServer(t *testing.T) {
	relaytest.Run(t, testutil.Patience, factory(redistest.Start(t).URL()))
}

func TestConformanceOnACluster(t *testing.T) {
	relaytest.Run(t, testutil.Patience, factory(redistest.StartCluster(t).URL()))
}
