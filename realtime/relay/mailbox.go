package relay

import "sync"

// Mailbox stands between a relay and one receiver: a bounded queue whose goroutine exists
// only while something waits. Relays use it so that a slow receiver holds up nobody else.
type Mailbox struct {
	to    Receiver
	bound int

	mu      sync.Mutex
	queue   [][]byte // nil stands for a hole
	bytes   int
	full    bool // dropping: the queue ends with a hole
	running bool
	closed  bool
	idle    sync.Cond
}

// Bounds of a mailbox.
const (
	mailboxMessages = 1024
	mailboxBytes    = 8 << 20
)

// NewMailbox makes one in which bound messages (0: 1024) and 8 MiB may wait.
func NewMailbox(to Receiver, bound int) *Mailbox {
	if bound <= 0 {
		bound = mailboxMessages
	}
	m := &Mailbox{to: to, bound: bound}
	m.idle.L = &m.mu
	return m
}

// Put hands a message over, or notes a hole where the mailbox is full: then everything
// until the receiver has taken what waits is dropped, and told as that one hole.
func (m *Mailbox) Put(payload []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed, m.full:
		return
	case len(m.queue) >= m.bound || m.bytes+len(payload) > mailboxBytes:
		m.full = true
		m.holeLocked()
	default:
		if payload == nil {
			payload = []byte{}
		}
		m.queue = append(m.queue, payload)
		m.bytes += len(payload)
	}
	m.wake()
}

// Hole notes that something is missing after what was put.
func (m *Mailbox) Hole() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.full {
		return
	}
	m.holeLocked()
	m.wake()
}

func (m *Mailbox) holeLocked() {
	if n := len(m.queue); n == 0 || m.queue[n-1] != nil {
		m.queue = append(m.queue, nil)
	}
}

// wake starts the goroutine if it is needed. m.mu is held.
func (m *Mailbox) wake() {
	if !m.running {
		m.running = true
		go m.run()
	}
}

func (m *Mailbox) run() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !m.closed && len(m.queue) > 0 {
		queue := m.queue
		m.queue, m.bytes, m.full = nil, 0, false
		m.mu.Unlock()
		for _, p := range queue {
			switch {
			case m.isClosed():
			case p == nil:
				m.to.Hole()
			default:
				m.to.Receive(p)
			}
		}
		m.mu.Lock()
	}
	m.running = false
	m.idle.Broadcast()
}

func (m *Mailbox) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// Close stops the calls and waits for the one under way.
func (m *Mailbox) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.queue = nil
	for m.running {
		m.idle.Wait()
	}
}
