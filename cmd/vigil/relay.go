package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"vigil/realtime/relay"
	"vigil/realtime/relay/redisrelay"
)

// relay makes what this server reaches the others by; nil where it is alone.
func (s serverSettings) relay(node string, log *slog.Logger) (*redisrelay.Relay, error) {
	if s.Redis == "" {
		return nil, nil //nolint:nilnil // alone is no error
	}
	return redisrelay.New(redisrelay.Config{URL: s.Redis, Node: node, Prefix: s.RedisPrefix, Partitions: s.RedisPartitions, Log: log.With("node", node)})
}

// forHub keeps a nil pointer from becoming an interface that is not nil.
func forHub(r *redisrelay.Relay) relay.Relay {
	if r == nil {
		return nil
	}
	return r
}

// relayCollector shows the relay's counts. They are read when they are asked for.
type relayCollector struct{ stats func() redisrelay.Stats }

var relayMetrics = []metric[redisrelay.Stats]{
	gauge("relay_up", "1 while Redis takes and gives what servers tell each other.", func(s redisrelay.Stats) int { return truth(s.Up) }),
	gauge("relay_waiting", "Messages that wait for Redis.", func(s redisrelay.Stats) int { return s.Waiting }),
	gauge("relay_lag_microseconds", "From an entry's first try until it was read back, the last time.", func(s redisrelay.Stats) int { return int(s.Lag.Microseconds()) }),
	counter("relay_published", "Messages for other servers.", func(s redisrelay.Stats) int64 { return s.Published }),
	counter("relay_entries", "Entries of Redis's streams that they went in.", func(s redisrelay.Stats) int64 { return s.Entries }),
	counter("relay_dropped", "Messages dropped because Redis could not keep up; the others read the store instead.", func(s redisrelay.Stats) int64 { return s.Dropped }),
	counter("relay_received", "Messages of other servers.", func(s redisrelay.Stats) int64 { return s.Received }),
	counter("relay_holes", "Times that messages of others were missing and the store was read instead.", func(s redisrelay.Stats) int64 { return s.Holes }),
	counter("relay_faults", "Calls to Redis that failed and were tried again.", func(s redisrelay.Stats) int64 { return s.Faults }),
	counter("relay_bad_entries", "Entries that could not be read.", func(s redisrelay.Stats) int64 { return s.Bad }),
}

// Describe implements prometheus.Collector.
func (relayCollector) Describe(ch chan<- *prometheus.Desc) { describe(ch, relayMetrics) }

// Collect implements prometheus.Collector.
func (c relayCollector) Collect(ch chan<- prometheus.Metric) { collect(ch, relayMetrics, c.stats()) }

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
