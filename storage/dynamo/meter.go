package dynamo

import (
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Usage is what one kind of request has consumed, by the service's own account.
type Usage struct {
	Calls int     // requests that were answered
	Read  float64 // read units
	Write float64 // write units
}

type meter struct {
	mu  sync.Mutex
	all map[string]Usage
}

// count adds a request's consumption: the write units of a write, else read units.
func (m *meter) count(op, what string, write bool, used ...types.ConsumedCapacity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]Usage{}
	}
	k := op + " " + what
	u := m.all[k]
	u.Calls++
	for _, c := range used {
		if c.CapacityUnits == nil {
			continue
		}
		if write {
			u.Write += *c.CapacityUnits
		} else {
			u.Read += *c.CapacityUnits
		}
	}
	m.all[k] = u
}

// Usage tells what the store's requests have consumed since it was opened, by operation
// and what it was for ("put signal").
func (s *Store) Usage() map[string]Usage {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	out := make(map[string]Usage, len(s.meter.all))
	for k, u := range s.meter.all {
		out[k] = u
	}
	return out
}
