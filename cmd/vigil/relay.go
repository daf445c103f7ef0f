package main

import (
	"log/slog"
	"time"

	"vigil/realtime/relay"
	"vigil/realtime/relay/redisrelay"
)

// relay makes what this server reaches the others by; nil where it is alone.
func (s serverSettings) relay(node string, log *slog.Logger, lag func(time.Duration)) (*redisrelay.Relay, error) {
	if s.Redis == "" {
		return nil, nil //nolint:nilnil // alone is no error
	}
	return redisrelay.New(redisrelay.Config{URL: s.Redis, Node: node, Prefix: s.RedisPrefix, Partitions: s.RedisPartitions, Log: log.With("node", node), Lag: lag})
}

// forHub keeps a nil pointer from becoming an interface that is not nil.
func forHub(r *redisrelay.Relay) relay.Relay {
	if r == nil {
		return nil
	}
	return r
}
