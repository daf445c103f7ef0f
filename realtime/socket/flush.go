package socket

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/netpoll"
	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// flusher writes what sockets have queued, in a few goroutines for all of them.
//
// A write is a system call, and to a proctor's socket it would be one for each signal of the
// exam. Where a node has little to say it is written at once. Where it has more than
// deltaWrites a second, dashboards are written to in turns, each as often as that allows, and
// get more at once: a busy node tells a little later and not ever more often.
type flusher struct {
	wg sync.WaitGroup

	mu    lockorder.Mutex[lockorder.Flusher]
	wake  sync.Cond
	ready []*Conn // to be written now
	first int     // of ready
	ended bool

	// Deltas, and the dashboards that they went to, in the present window.
	deltas, sockets int
	window          int64
	pause           time.Duration // between two writes of deltas to a socket
	later           []paced       // in the order of their times, nearly
	timer           *time.Timer   // for the first of later

	paceNow atomic.Int64 // pause, for who has no lock
}

type paced struct {
	c  *Conn
	at time.Time
}

// How often a node's processor writes deltas to dashboards, about, before it gathers; and
// how long it gathers at most.
const (
	deltaWrites  = 2000 // a second
	deltaPause   = 40 * time.Millisecond
	deltaCounted = 250 * time.Millisecond // how long is counted until the pause is set anew
)

func newFlusher() *flusher {
	f := &flusher{}
	f.wake.L = &f.mu
	f.timer = time.AfterFunc(time.Hour, f.due)
	f.timer.Stop()
	for range max(2, runtime.GOMAXPROCS(0)) {
		f.wg.Go(f.run)
	}
	return f
}

// end stops the flusher and waits for it. Sockets that still have something queued are
// past their end by then.
func (f *flusher) end() {
	f.mu.Lock()
	f.ended = true
	f.timer.Stop()
	f.wake.Broadcast()
	f.mu.Unlock()
	f.wg.Wait()
}

// now has a socket written. The caller has set c.flushing.
func (f *flusher) now(c *Conn) {
	f.mu.Lock()
	f.push(c)
	f.mu.Unlock()
}

func (f *flusher) push(c *Conn) {
	if f.first > len(f.ready)/2 { // or a node that is never done would keep more and more
		n := copy(f.ready, f.ready[f.first:])
		clear(f.ready[n:])
		f.ready, f.first = f.ready[:n], 0
	}
	f.ready = append(f.ready, c)
	f.wake.Signal()
}

// soon has a socket written when it is its turn. The caller has set c.paced.
func (f *flusher) soon(c *Conn, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.later = append(f.later, paced{c, at})
	if len(f.later) == 1 && !f.ended {
		f.timer.Reset(time.Until(at))
	}
}

// due passes on the sockets whose turn it is.
func (f *flusher) due() {
	now := time.Now()
	f.mu.Lock()
	n := 0
	for n < len(f.later) && !f.later[n].at.After(now) {
		n++
	}
	turn := make([]*Conn, n)
	for i := range turn {
		turn[i] = f.later[i].c
	}
	rest := copy(f.later, f.later[n:])
	clear(f.later[rest:])
	f.later = f.later[:rest]
	if rest > 0 && !f.ended {
		f.timer.Reset(time.Until(f.later[0].at))
	}
	f.mu.Unlock()
	for _, c := range turn {
		c.mu.Lock()
		c.paced = false
		c.wake()
		c.mu.Unlock()
	}
}

// count counts a delta of a signal for a socket, and sets the pause by what was counted in
// the window before. c.window is the flusher's.
func (f *flusher) count(c *Conn, now time.Time) {
	window := now.UnixNano() / int64(deltaCounted)
	f.mu.Lock()
	defer f.mu.Unlock()
	if window != f.window {
		f.pause = pauseFor(f.deltas, f.sockets, runtime.GOMAXPROCS(0))
		f.paceNow.Store(int64(f.pause))
		f.window, f.deltas, f.sockets = window, 0, 0
	}
	f.deltas++
	if c.window != window {
		c.window = window
		f.sockets++
	}
}

// pauseFor is how long a socket's deltas are gathered on a node that had so many for so
// many sockets within deltaCounted.
func pauseFor(deltas, sockets, processors int) time.Duration {
	most := int64(deltaWrites * processors)
	if int64(deltas) <= most*int64(deltaCounted)/int64(time.Second) {
		return 0
	}
	return min(deltaPause, time.Duration(int64(sockets)*int64(time.Second)/most))
}

func (f *flusher) run() {
	buf := make([]byte, 0, wire.MaxHead+protocol.MaxMessage)
	for {
		f.mu.Lock()
		for f.first == len(f.ready) && !f.ended {
			f.wake.Wait()
		}
		if f.ended {
			f.mu.Unlock()
			return
		}
		c := f.ready[f.first]
		f.ready[f.first] = nil
		if f.first++; f.first == len(f.ready) {
			f.ready, f.first = f.ready[:0], 0
		}
		f.mu.Unlock()
		c.flush(buf)
	}
}

// wake has the socket written if there is something to write. c.mu is held.
func (c *Conn) wake() {
	if c.flushing || c.dead || len(c.rest) > 0 || c.held && c.closing == 0 && !c.peerClosed && len(c.control) == 0 {
		return
	}
	c.flushing = true
	c.s.flusher.now(c)
}

// wakeSoon is wake for a delta, which may have to wait for its turn. c.mu is held.
func (c *Conn) wakeSoon() {
	if c.flushing || c.paced {
		return
	}
	pause := time.Duration(c.s.flusher.paceNow.Load())
	if pause == 0 {
		c.wake()
		return
	}
	at := c.flushed.Add(pause)
	if !at.After(time.Now()) {
		c.wake()
		return
	}
	c.paced = true
	c.s.flusher.soon(c, at)
}

// Writable implements netpoll.Handler.
func (h *handler) Writable() {
	c := (*Conn)(h)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writable = true
	if c.flushing || c.dead || len(c.rest) == 0 {
		return
	}
	c.flushing = true
	c.s.flusher.now(c)
}

// flush writes what is queued, many frames in one message, until nothing is left or the
// kernel takes no more; then it closes, if that was asked for. The caller has set
// c.flushing. buf is its own, to make messages in.
func (c *Conn) flush(buf []byte) {
	c.mu.Lock()
	if c.dead {
		c.flushing = false
		c.mu.Unlock()
		return
	}
	c.busy.Add(1)
	defer c.busy.Done()
	for wrote := false; ; wrote = true {
		out := c.next(buf)
		if out == nil {
			c.flushing = false
			over := c.closeSent && c.peerClosed
			c.wakeWaiter()
			c.mu.Unlock()
			switch {
			case over:
				c.Kill()
			case wrote:
				c.peer.Idle()
			}
			return
		}
		c.writable = false
		c.mu.Unlock()
		n, err := c.net.Write(out)
		c.mu.Lock()
		full := errors.Is(err, netpoll.ErrFull)
		switch {
		case c.dead || err != nil && !full:
			c.flushing, c.dead = false, true
			c.wakeWaiter()
			c.mu.Unlock()
			if err != nil {
				c.s.env.Counters.WriteFailed.Add(1)
				c.Kill() // the connection tells that it has ended
			}
			return
		case full:
			if c.rest = append(c.rest[:0], out[n:]...); c.stuck.IsZero() {
				c.stuck = c.s.env.Now()
			}
			if !c.writable {
				c.flushing = false // until Writable
				c.mu.Unlock()
				return
			}
		default:
			sent := c.sent
			c.rest, c.sent, c.stuck = nil, nil, time.Time{}
			if len(sent) > 0 {
				c.mu.Unlock()
				for _, f := range sent {
					f()
				}
				c.mu.Lock()
			}
		}
	}
}

// next takes the next bytes to write; nil: there are none. c.mu is held.
func (c *Conn) next(buf []byte) []byte {
	switch {
	case len(c.rest) > 0:
		return c.rest
	case len(c.control) > 0:
		out := append(buf[:0], c.control...)
		c.control = nil
		return out
	case len(c.queue) > 0 && !c.held:
		return c.message(buf)
	case c.closeSent:
		return nil
	case c.closing != 0:
		c.closeSent = true
		return wire.AppendClose(buf[:0], int(c.closing), c.reason)
	case c.peerClosed:
		c.closeSent = true
		return wire.AppendClose(buf[:0], c.peerCode, "")
	}
	return nil
}
