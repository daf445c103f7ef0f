// Package relay is what nodes tell each other by: the contract that every relay keeps, and the
// mailbox that relays put in front of a receiver.
// Package relay is what nodes tell each other by: the contract that every relay keeps, and the
// mailbox that relays put in front of a receiver.
package relay

import "vigil"

// Relay carries what happens in an exam from the node where it happened to the other
// nodes that have sockets of that exam. A node that is alone uses None; many use Redis
// (redisrelay), or relaytest.Local within one process. What holds for every relay
// (relaytest.Run checks it):
//
//   - Publish never waits for a network or for a receiver. A node's own messages do not
//     come back to it: it delivers locally by itself, at once.
//   - A subscriber gets what was published by others to its exam after Subscribe
//     returned: each publisher's messages in the order in which they were published. A
//     message may come more than once, never before an earlier one of the same publisher
//     came for the first time.
//   - All buffers are bounded. When something had to be dropped, the subscriber's Hole is
//     called in place of what is missing; it must read the store again.
//   - Payloads belong to the relay after Publish and to everyone after Receive: nobody
//     changes them.
type Relay interface {
	// Publish hands a payload to the other nodes. It is dropped, and reported as a hole to
	// those that miss it, when the relay cannot keep up.
	Publish(exam string, payload []byte)
	// Subscribe begins to receive what others publish to the exam. One receiver's calls
	// come one at a time. After cancel has returned no call comes any more; cancel must not
	// be called from within the receiver.
	Subscribe(exam string, r Receiver) (cancel func(), err error)
	// Close ends the node's part in the relay and waits for its receivers' calls to end.
	Close() error
}

// Receiver takes what other nodes published. It must not wait long: what piles up behind
// it is dropped and told as a hole.
type Receiver interface {
	Receive(payload []byte)
	Hole()
}

// Watched is what a relay that can be away tells of itself, beside carrying.
type Watched interface {
	// State tells how things are for an exam that is subscribed to.
	State(exam string) State
}

// State is how a relay is now.
type State struct {
	// Up: what this node publishes gets away, and what others published arrives.
	Up bool
	// Silent names the nodes that told of this exam, or of one that goes the same way, and
	// were not heard for a while without having said goodbye: they are gone, or cannot reach
	// the relay themselves.
	Silent []string
}

// ErrClosed refuses a subscription after Close.
var ErrClosed = vigil.Errorf(vigil.CodeUnavailable, "This server is about to stop; connect again in a moment.")

// Format is the version of the payloads that this program relays. Nodes of different versions
// do not read each other's: what they tell is read from the store then.
const Format = 2

// None is the relay of a node that is alone.
type None struct{}

// Publish implements Relay.
func (None) Publish(string, []byte) {}

// Subscribe implements Relay.
func (None) Subscribe(string, Receiver) (func(), error) { return func() {}, nil }

// Close implements Relay.
func (None) Close() error { return nil }
