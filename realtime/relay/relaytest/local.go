package relaytest

import (
	"sync"

	"vigil/realtime/relay"
)

// Local is the relay between nodes of one process, for tests of many nodes.
type Local struct {
	mu    sync.Mutex
	exams map[string][]*localSubscription
	bound int
}

// NewLocal makes the bus that nodes join by Node. A bound of 0 lets 1024 messages wait
// for each receiver.
func NewLocal(bound int) *Local {
	return &Local{exams: map[string][]*localSubscription{}, bound: bound}
}

// Node is one node's end of the bus.
func (l *Local) Node() relay.Relay { return &localNode{bus: l} }

type localNode struct {
	bus *Local

	mu     sync.Mutex
	subs   map[*localSubscription]struct{}
	closed bool
}

// localSubscription is a receiver with its mailbox.
type localSubscription struct {
	*relay.Mailbox
	node *localNode
	exam string
}

// Publish implements Relay.
func (n *localNode) Publish(exam string, payload []byte) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock() // so that one publisher's order is every receiver's
	for _, s := range n.bus.exams[exam] {
		if s.node != n {
			s.Put(payload)
		}
	}
}

// Subscribe implements Relay.
func (n *localNode) Subscribe(exam string, r relay.Receiver) (func(), error) {
	s := &localSubscription{node: n, exam: exam, Mailbox: relay.NewMailbox(r, n.bus.bound)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, relay.ErrClosed
	}
	if n.subs == nil {
		n.subs = map[*localSubscription]struct{}{}
	}
	n.subs[s] = struct{}{}
	n.bus.mu.Lock()
	n.bus.exams[exam] = append(n.bus.exams[exam], s)
	n.bus.mu.Unlock()
	return func() {
		n.mu.Lock()
		delete(n.subs, s)
		n.mu.Unlock()
		s.end()
	}, nil
}

// Close implements Relay.
func (n *localNode) Close() error {
	n.mu.Lock()
	subs := n.subs
	n.subs, n.closed = nil, true
	n.mu.Unlock()
	for s := range subs {
		s.end()
	}
	return nil
}

// end leaves the bus, stops the calls and waits for the one under way.
func (s *localSubscription) end() {
	bus := s.node.bus
	bus.mu.Lock()
	rest := bus.exams[s.exam][:0:0]
	for _, o := range bus.exams[s.exam] {
		if o != s {
			rest = append(rest, o)
		}
	}
	if len(rest) == 0 {
		delete(bus.exams, s.exam)
	} else {
		bus.exams[s.exam] = rest
	}
	bus.mu.Unlock()
	s.Close()
}
