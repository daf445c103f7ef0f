package realtime

import (
	"math/rand/v2"
	"time"
)

// Pings, and the judgement of who does not answer them.

// startTimer begins the pings, the first one at a random moment of the first interval,
// so that many sockets opened at once do not beat together.
func (c *conn) startTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	first := time.Duration(rand.Int64N(int64(c.h.cfg.Liveness.PingEvery))) + 1 //nolint:gosec // not a secret
	c.timer = time.AfterFunc(c.beat(first), c.tick)
}

// beatGrid is the time on whose multiples sockets are pinged, a few at a time: to wake up
// for each of them alone takes longer than the ping. They are few enough that no signal
// waits for long behind them.
const beatGrid = 25 * time.Millisecond

// beat moves a wait to the nearest multiple of beatGrid, unless pings are so frequent that
// it would matter.
func (c *conn) beat(wait time.Duration) time.Duration {
	if c.h.cfg.Liveness.PongWait < 40*beatGrid {
		return wait
	}
	to := time.Now().Add(wait)
	return max(1, wait+to.Round(beatGrid).Sub(to))
}

// tick pings, and PongWait later looks whether anything was heard since. It also sees to
// what else has its time: hanging writes and the token.
func (c *conn) tick() {
	c.mu.Lock()
	if c.dead || c.closing != 0 {
		c.mu.Unlock()
		return
	}
	c.busy.Add(1)
	since := c.writeSince
	c.mu.Unlock()
	defer c.busy.Done()

	now := c.h.now()
	live := c.h.cfg.Liveness
	next := live.PingEvery - live.PongWait
	ping := false
	switch {
	case !since.IsZero() && now.Sub(since) > c.h.cfg.WriteWait:
		c.close(CloseSlow, "")
		c.kill() // the write hangs: no close frame would get through
		return
	case !c.awaiting:
		if c.last.Load() > c.pinged.UnixMilli() {
			c.misses = 0 // heard since the last ping, if late
		}
		c.awaiting, c.pinged, ping, next = true, now, true, live.PongWait
	default:
		c.awaiting = false
		if c.last.Load() >= c.pinged.UnixMilli() {
			c.misses = 0
			break
		}
		c.misses++
		c.peer.missed(now, c.misses)
		if c.misses >= 3 {
			c.close(CloseSilent, "")
			return
		}
	}
	c.checkToken(now)
	c.peer.due(now)
	c.mu.Lock()
	if !c.dead {
		c.timer.Reset(c.beat(next))
	}
	c.mu.Unlock()
	if ping {
		c.ping() // last: it may hang, and then the next tick sees to it
	}
}

// pingFrame is a ping without a payload, as a server sends it.
var pingFrame = []byte{0x89, 0}

// writePing sends a ping; only the writer does, so it comes between two messages. It goes
// past the WebSocket library, whose ping waits for the pong in a goroutine: ours is told
// by pong.
func (c *conn) writePing() bool {
	if _, err := c.raw.Write(pingFrame); err != nil {
		c.writeFailed()
		return false
	}
	return true
}

// ping sends a ping, at once where nothing is being written. The caller is counted in busy.
func (c *conn) ping() {
	c.mu.Lock()
	if c.dead || c.closing != 0 || c.writing {
		c.pinging = c.writing
		c.mu.Unlock()
		return
	}
	c.writing, c.writeSince = true, c.h.cfg.Now()
	c.mu.Unlock()
	if !c.writePing() {
		return
	}
	c.mu.Lock()
	c.writing, c.writeSince = false, time.Time{}
	if len(c.queue) > 0 || c.pinging || c.closing != 0 { // came meanwhile
		c.wake()
	}
	c.mu.Unlock()
}

// pong is called by the read loop. Any time it comes it is a sign of life; the tick judges.
func (c *conn) pong() {
	now := c.h.now()
	c.last.Store(now.UnixMilli())
	c.peer.heard(now)
}
