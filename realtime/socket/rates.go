package socket

import (
	"maps"

	"golang.org/x/time/rate"

	"vigil/realtime/protocol"
)

// Rate is a token bucket: Burst at once, PerSecond in the long run.
type Rate struct {
	Burst     int
	PerSecond rate.Limit
}

// defaultRates are those of docs/protocol.md; rateOther is for the types not in it.
var defaultRates = map[protocol.Type]Rate{
	protocol.TypeSignal:    {200, 20},
	protocol.TypeChat:      {5, 0.5},
	protocol.TypeSeen:      {50, 10},
	protocol.TypeTime:      {10, 1},
	protocol.TypeAlive:     {20, 1},
	protocol.TypeCommand:   {20, 2},
	protocol.TypeSubscribe: {5, 0.2},
	protocol.TypeLostTime:  {5, 0.5},
	rateOther:              {20, 2},
}

// rateOther is the key of Config.Rates for all types that have no rate of their own.
const rateOther protocol.Type = ""

// DefaultRates are those of docs/protocol.md.
func DefaultRates() map[protocol.Type]Rate { return maps.Clone(defaultRates) }
