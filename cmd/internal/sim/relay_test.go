package sim

import (
	"context"
	"fmt"
	"sync"

	"vigil/realtime/relay"
)

// relays carries messages between servers over the bus, as Redis Streams do: in each
// publisher's order, and late where a server is cut off, or with a hole where it was for long.
type relays struct {
	bus *bus

	mu        sync.Mutex
	subs      []*subscription
	published int
	count     int // of subscriptions so far
}

// relayEnd is one server's end.
type relayEnd struct {
	all  *relays
	node *server
}

type subscription struct {
	name string
	exam string
	to   relay.Receiver
	node *server
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{}

	mu    sync.Mutex
	queue [][]byte
	hole  bool
}

const relayKeeps = 64 // messages for a server that is cut off; more make a hole

var (
	_ relay.Relay   = (*relayEnd)(nil)
	_ relay.Watched = (*relayEnd)(nil)
)

// Publish implements relay.Relay.
func (r *relayEnd) Publish(exam string, payload []byte) {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	if r.all.published++; r.node.world.off == BoardsAgree && r.all.published%3 == 0 {
		return
	}
	for _, s := range r.all.subs {
		if s.node != r.node && s.exam == exam {
			s.put(payload, r.node.cut.Load())
		}
	}
}

// put queues a message. A publisher that is cut off does not get it out.
func (s *subscription) put(payload []byte, cut bool) {
	s.mu.Lock()
	if cut || len(s.queue) >= relayKeeps {
		s.hole = true
	} else {
		s.queue = append(s.queue, payload)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Subscribe implements relay.Relay.
func (r *relayEnd) Subscribe(exam string, to relay.Receiver) (func(), error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &subscription{exam: exam, to: to, node: r.node, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	r.all.mu.Lock()
	r.all.count++
	s.name = fmt.Sprintf("%s receives, subscription %d", r.node.id, r.all.count)
	r.all.subs = append(r.all.subs, s)
	r.all.mu.Unlock()
	go s.carry(ctx, r.all.bus)
	return func() {
		r.all.mu.Lock()
		for i, o := range r.all.subs {
			if o == s {
				r.all.subs = append(r.all.subs[:i:i], r.all.subs[i+1:]...)
				break
			}
		}
		r.all.mu.Unlock()
		stop()
		<-s.done
	}, nil
}

func (s *subscription) carry(ctx context.Context, b *bus) {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		for {
			s.mu.Lock()
			some := len(s.queue) > 0 || s.hole
			s.mu.Unlock()
			if !some {
				break
			}
			if _, err := b.pass(ctx, toRelay, s.name, s.node.cut.Load); err != nil {
				return
			}
			s.mu.Lock()
			hole := s.hole
			var payload []byte
			if !hole {
				payload, s.queue = s.queue[0], s.queue[1:]
			} else {
				s.hole = false
			}
			s.mu.Unlock()
			if hole {
				s.to.Hole()
			} else {
				s.to.Receive(payload)
			}
		}
	}
}

// Close implements relay.Relay.
func (r *relayEnd) Close() error { return nil }

// State implements relay.Watched.
func (r *relayEnd) State(string) relay.State {
	out := relay.State{Up: !r.node.cut.Load()}
	if out.Up {
		for _, n := range r.node.world.all() {
			if n != r.node && n.cut.Load() && !n.dead.Load() {
				out.Silent = append(out.Silent, n.id)
			}
		}
	}
	return out
}
