package socket

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// Item is one frame on its way to a socket.
type Item struct {
	Frame []byte // shared with others: never changed
	key   string // a later one with the same key may replace it
	delta bool   // may be dropped for a fresh snapshot
	Sent  func() // called when it was written; may be nil
}

// Level says what a delta is to a proctor: who wants it, and whether it may be left out when the
// socket is slow.
type Level uint8

// The levels.
const (
	LevelState    Level = iota // always wanted
	LevelSignal                // a signal below the threshold
	LevelIncident              // one at or over it
)

// Send queues a frame.
func (c *Conn) Send(frame []byte) { c.Put(Item{Frame: frame}) }

// Put queues a frame. When the queue is full its deltas are dropped and the peer decides
// what that means; a queue that is full of other things is a peer that does not read.
func (c *Conn) Put(it Item) {
	c.mu.Lock()
	if c.dead || c.closing != 0 || c.peerClosed { // nothing may follow a close frame
		c.mu.Unlock()
		return
	}
	if !c.fits(it) {
		before := len(c.queue)
		c.queue = slices.DeleteFunc(c.queue, func(it Item) bool { return it.delta })
		c.bytes = 0
		for i := range c.queue {
			c.bytes += len(c.queue[i].Frame)
		}
		dropped := before - len(c.queue)
		full := it.delta || !c.fits(it)
		if full {
			dropped++
		} else {
			c.add(it)
		}
		c.mu.Unlock()
		c.s.env.Counters.FramesDropped.Add(int64(dropped))
		if !it.delta && full {
			c.Close(protocol.CloseSlow, "")
			return
		}
		c.peer.Overflow()
		return
	}
	c.add(it)
	c.mu.Unlock()
}

func (c *Conn) fits(it Item) bool {
	return len(c.queue) < c.s.env.Limits.Queue && c.bytes+len(it.Frame) <= c.s.env.Limits.QueueBytes
}

func (c *Conn) add(it Item) {
	c.queue = append(c.queue, it)
	c.bytes += len(it.Frame)
	if it.delta {
		c.wakeSoon()
	} else {
		c.wake()
	}
}

// PutDelta is put for a proctor's delta: once the queue fills, a later frame takes the
// place of an earlier one with its key, and what need not be told is left out.
func (c *Conn) PutDelta(key string, level Level, frame []byte) {
	if level != LevelState {
		c.s.flusher.count(c, time.Now())
	}
	c.mu.Lock()
	if n := len(c.queue); n >= c.s.env.Limits.Queue/4 {
		if level == LevelSignal {
			c.mu.Unlock()
			c.s.env.Counters.FramesCoalesced.Add(1)
			return
		}
		for i := range c.queue {
			if key != "" && c.queue[i].key == key {
				c.bytes += len(frame) - len(c.queue[i].Frame)
				c.queue[i].Frame = frame
				c.mu.Unlock()
				c.s.env.Counters.FramesCoalesced.Add(1)
				return
			}
		}
	}
	c.mu.Unlock()
	c.Put(Item{Frame: frame, key: key, delta: true})
}

// ErrEnded is a socket that ended while something was made for it.
var ErrEnded = errors.New("the socket has ended")

// Written waits until everything queued has been written.
func (c *Conn) Written(ctx context.Context) error {
	for {
		c.mu.Lock()
		empty, over := len(c.queue) == 0 && len(c.rest) == 0 && !c.flushing, c.dead || c.closing != 0 || c.peerClosed
		if c.idleWake == nil {
			c.idleWake = make(chan struct{}, 1)
		}
		idleWake := c.idleWake
		c.mu.Unlock()
		switch {
		case over:
			return ErrEnded
		case empty:
			return nil
		}
		select {
		case <-idleWake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakeWaiter tells who waits in written to look again. c.mu is held.
func (c *Conn) wakeWaiter() {
	select {
	case c.idleWake <- struct{}{}: // not if it is nil
	default:
	}
}

// Welcome lets the queue go, the welcome first. A second one comes behind what is queued.
func (c *Conn) Welcome(first Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing != 0 {
		return // the close frame has gone out, or is about to
	}
	if c.held {
		c.queue = append([]Item{first}, c.queue...)
	} else {
		c.queue = append(c.queue, first)
	}
	c.held = false
	c.bytes += len(first.Frame)
	c.wake()
}

// message makes one message of as many queued frames as fit. c.mu is held.
func (c *Conn) message(buf []byte) []byte {
	buf = buf[:wire.MaxHead]
	n := 1
	if len(c.queue) == 1 || len(c.queue[0].Frame)+len(c.queue[1].Frame)+len("[,]") > protocol.MaxMessage {
		buf = append(buf, c.queue[0].Frame...)
	} else {
		const most = wire.MaxHead + protocol.MaxMessage
		buf = append(buf, '[')
		for n = 0; n < len(c.queue) && n < protocol.MaxBatch && (n == 0 || len(buf)+len(c.queue[n].Frame)+2 <= most); n++ {
			if n > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, c.queue[n].Frame...)
		}
		buf = append(buf, ']')
	}
	deltas := false
	for _, it := range c.queue[:n] {
		c.bytes -= len(it.Frame)
		if it.Sent != nil {
			c.sent = append(c.sent, it.Sent)
		}
		deltas = deltas || it.delta
	}
	if deltas {
		c.flushed = time.Now()
	}
	rest := copy(c.queue, c.queue[n:])
	clear(c.queue[rest:])
	c.queue = c.queue[:rest]
	if rest == 0 && cap(c.queue) != 1 { // a quiet socket keeps room for one
		c.queue = nil
	}
	c.s.env.Counters.FramesOut.Add(int64(n))
	return wire.PutHead(buf)
}
