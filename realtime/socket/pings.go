package socket

import (
	"context"
	"time"

	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// Pings, and the judgement of who does not answer them.

// pinger is the time of all sockets' pings: a ring of slots, each with the sockets whose turn
// it is then. One goroutine goes round; a timer for each socket would cost more memory,
// and to be woken up for each takes longer than a ping does.
type pinger struct {
	grain time.Duration // of a slot
	buf   []byte        // to write pings in; the goroutine's own
	rand  func(n int64) int64

	mu    lockorder.Mutex[lockorder.Leaf]
	slots [][]*Conn
	at    int // the slot of now
	count int
	some  chan struct{} // there are sockets
	began time.Time
	turns int64 // since began
}

// pingGrain is a slot's length: few enough sockets are in one that no signal waits for long
// behind them, and enough that a quiet node sleeps. Where pings are so frequent that it
// would matter, as in tests, it is a small part of the wait for a pong.
const (
	pingGrain    = 200 * time.Millisecond
	minPingGrain = time.Millisecond
)

func newPinger(pingEvery, pongWait time.Duration, rand func(n int64) int64) *pinger {
	grain := max(minPingGrain, min(pingGrain, pongWait/20))
	return &pinger{
		grain: grain, rand: rand, slots: make([][]*Conn, pingEvery/grain+2), some: make(chan struct{}, 1),
		buf: make([]byte, 0, wire.MaxHead+protocol.MaxMessage),
	}
}

// add begins a socket's pings, the first one at a random moment of the first interval, so
// that many sockets opened at once are not pinged together.
func (b *pinger) add(c *Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(c, int(b.rand(int64(len(b.slots)-1)))+1)
	if b.count++; b.count == 1 {
		b.began, b.turns = time.Now(), 0
		select {
		case b.some <- struct{}{}:
		default:
		}
	}
}

func (b *pinger) put(c *Conn, in int) {
	slot := &b.slots[(b.at+in)%len(b.slots)]
	*slot = append(*slot, c)
}

// run goes round until the node ends.
func (b *pinger) run(ctx context.Context) {
	tick := time.NewTicker(b.grain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b.mu.Lock()
		idle := b.count == 0
		b.mu.Unlock()
		if idle { // not woken up for nobody
			tick.Stop()
			select {
			case <-ctx.Done():
				return
			case <-b.some:
			}
			tick.Reset(b.grain)
			continue
		}
		b.turn(time.Now())
	}
}

// turn takes the slots until now. Where it comes late, because the machine stood still, say,
// everything moves by that: a peer has its whole time for a pong from when the ping went out.
func (b *pinger) turn(now time.Time) {
	b.mu.Lock()
	if late := now.Sub(b.began) - time.Duration(b.turns)*b.grain; late > 2*b.grain {
		b.began = b.began.Add(late - b.grain)
	}
	b.mu.Unlock()
	for {
		b.mu.Lock()
		if time.Duration(b.turns)*b.grain > now.Sub(b.began) {
			b.mu.Unlock()
			return
		}
		b.turns++
		b.at = (b.at + 1) % len(b.slots)
		slot := b.slots[b.at]
		b.slots[b.at] = nil
		b.mu.Unlock()
		kept := 0
		next := make([]int, len(slot))
		for i, c := range slot {
			if wait := c.tick(b.buf); wait > 0 {
				next[i] = min(max(1, int((wait+b.grain/2)/b.grain)), len(b.slots)-1)
				kept++
			}
		}
		b.mu.Lock()
		b.count -= len(slot) - kept
		for i, c := range slot {
			if next[i] > 0 {
				b.put(c, next[i])
			}
		}
		if b.slots[b.at] == nil && cap(slot) <= 4*max(1, len(slot)) {
			clear(slot)
			b.slots[b.at] = slot[:0]
		}
		b.mu.Unlock()
	}
}

// tick pings, and PongWait later looks whether anything was heard since. It also sees to
// what else has its time: hanging writes and the token. It returns the wait until the next
// one, or 0: the socket has ended, or is about to.
func (c *Conn) tick(buf []byte) time.Duration {
	live := &c.s.env.Liveness
	if c.awaiting && c.last.Load() >= c.pinged { // of most sockets, each time: nothing else is touched
		c.awaiting, c.misses = false, 0
		return live.PingEvery - live.PongWait
	}
	c.mu.Lock()
	if c.dead || c.closing != 0 || c.peerClosed {
		c.mu.Unlock()
		return 0
	}
	c.busy.Add(1)
	defer c.busy.Done()
	since := c.stuck
	c.mu.Unlock()

	now := c.s.env.Now()
	if !since.IsZero() && now.Sub(since) > c.s.env.WriteWait {
		c.Close(protocol.CloseSlow, "")
		c.Kill() // the write hangs: no close frame would get through
		return 0
	}
	if c.awaiting {
		if left := time.UnixMilli(c.pinged).Add(live.PongWait).Sub(now); left > c.s.pinger.grain/2 {
			return left // its turn came early: slots have a grain
		}
		c.awaiting = false
		c.misses++
		c.peer.Missed(now, c.misses)
		if c.misses >= 3 {
			c.Close(protocol.CloseSilent, "")
			return 0
		}
		return live.PingEvery - live.PongWait
	}
	if c.last.Load() > c.pinged {
		c.misses = 0 // heard since the last ping, if late
	}
	c.awaiting, c.pinged = true, now.UnixMilli()
	c.ping(buf)
	if now.UnixMilli() >= c.renewAt.Load() {
		c.checkToken(now)
	}
	c.peer.Due(now)
	return live.PongWait
}

// ping sends a ping, at once where nothing is being written.
func (c *Conn) ping(buf []byte) {
	c.mu.Lock()
	if c.dead || c.closing != 0 || c.peerClosed || len(c.control) > maxControl {
		c.mu.Unlock()
		return
	}
	c.control = append(c.control, wire.Ping...)
	mine := !c.flushing && len(c.rest) == 0
	c.flushing = c.flushing || mine
	c.mu.Unlock()
	if mine {
		c.flush(buf)
	}
}
