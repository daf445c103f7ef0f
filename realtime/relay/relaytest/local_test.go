package relaytest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
	"vigil/realtime/relay"
	"vigil/realtime/relay/relaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	relaytest.Run(t, 5*time.Second, func(_ *testing.T, n int) []relay.Relay {
		bus := relaytest.NewLocal(0)
		nodes := make([]relay.Relay, n)
		for i := range nodes {
			nodes[i] = bus.Node()
		}
		return nodes
	})
}
