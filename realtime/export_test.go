package realtime

import "maps"

// DefaultRates are those that hold where Config.Rates says nothing.
func DefaultRates() map[Type]Rate { return maps.Clone(defaultRates) }
