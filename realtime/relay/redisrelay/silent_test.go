package redisrelay_test

import (
	"slices"
	"testing"
	"time"

	"vigil/internal/testutil"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/relay/redisrelay/redistest"
)

func TestANodeThatIsCutOffIsNamedForLongerThanItsEntriesAreKept(t *testing.T) {
	const keep = time.Second
	short := func(c *redisrelay.Config) { c.Beat, c.Keep = 50*time.Millisecond, keep }
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Address)
	watcher, leaves := newRelay(t, server.URL(), short), newRelay(t, server.URL(), short)
	heard := subscribe(t, watcher, "exam")
	cut := newRelay(t, proxy.URL(), short, func(c *redisrelay.Config) { c.Node = "cut off" })
	watcher.Publish("exam", []byte("watcher")) // its signs of life keep the stream, which else ends with its entries
	cut.Publish("exam", []byte("cut off"))
	leaves.Publish("exam", []byte("leaves"))
	testutil.Until(t, "both to be heard", func() bool { return heard.has("cut off") && heard.has("leaves") })
	if err := leaves.Close(); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	named := func() bool { return slices.Equal(watcher.State("exam").Silent, []string{"cut off"}) }
	testutil.Until(t, "it to be named", named)
	since := time.Now()
	testutil.Until(t, "twice the time that entries are kept", func() bool { return time.Since(since) > 2*keep })
	testutil.Until(t, "it to be named still", named) // one that was forgotten is not named again
	proxy.Heal()
	testutil.Until(t, "nobody to be silent", func() bool { return len(watcher.State("exam").Silent) == 0 })
}
