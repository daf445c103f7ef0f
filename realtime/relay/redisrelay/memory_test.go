package redisrelay_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"vigil/internal/testutil"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/relay/redisrelay/redistest"
)

// TestWhatTheStreamsTakeIsBounded prints what messages take in Redis, at the pace of
// 10,000 students who are noticed every ten seconds (a signal and the counts after it: two
// messages of some 270 bytes), and holds the bound for many more.
func TestWhatTheStreamsTakeIsBounded(t *testing.T) {
	const perSecond, seconds, nodes, partitions, most = 2000, 5, 3, 8, 1 << 20
	server := redistest.Start(t)
	c := server.Client()
	payload := bytes.Repeat([]byte("x"), 270)
	size := func() (bytes, entries int64) {
		for p := range partitions {
			key := fmt.Sprintf("vigil:{%d}:relay", p)
			n, _ := c.MemoryUsage(t.Context(), key, 0).Result() // none there is 0
			bytes += n
			entries += c.XLen(t.Context(), key).Val()
		}
		return bytes, entries
	}
	var relays []*redisrelay.Relay
	for range nodes {
		relays = append(relays, newRelay(t, server.URL(), func(c *redisrelay.Config) { c.MaxBytes, c.TrimEvery = most, 100*time.Millisecond }))
	}
	written := func() bool {
		for _, r := range relays {
			if r.Stats().Waiting > 0 {
				return false
			}
		}
		return true
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	const burst = perSecond / 100
	sent := 0
	for range 100 * seconds / 2 { // stays below the bound
		<-tick.C
		for range burst {
			relays[sent%nodes].Publish(fmt.Sprint("exam-", sent%40), payload)
			sent++
		}
	}
	testutil.Until(t, "everything to be written", written)
	time.Sleep(100 * time.Millisecond) // the last entries are on their way
	total, entries := size()
	each := total / int64(sent)
	t.Logf("%d messages of %d bytes in %d entries take %d bytes, %d each: %d MB for five minutes of 10,000 students",
		sent, len(payload), entries, total, each, each*perSecond*300/1e6)
	for i := range 40_000 {
		relays[i%nodes].Publish(fmt.Sprint("exam-", i%40), payload)
		if i%500 == 0 {
			testutil.Until(t, "it to be written", written)
		}
	}
	testutil.Until(t, "the streams to be within their bound", func() bool {
		for i, r := range relays { // a writer trims when it has written
			r.Publish(fmt.Sprint("exam-", i), payload)
		}
		total, _ := size()
		return total < partitions*most*3/2
	})
	total, _ = size()
	t.Logf("after 40,000 more: %d bytes, the bound is %d", total, partitions*most)
}
