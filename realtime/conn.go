package realtime

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"vigil"
	"vigil/realtime/internal/line"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// item is one frame on its way to a socket.
type item struct {
	frame []byte // shared with others: never changed
	key   string // a later one with the same key may replace it
	delta bool   // may be dropped for a fresh snapshot
	sent  func() // called when it was written; may be nil
}

// peer is what a socket belongs to: a student's session or a proctor's view of an exam.
// Its methods must not wait: other sockets wait for them. Those that say nothing else are
// called for what was read, one after the other.
type peer interface {
	// start is the first call, and may wait for the store.
	start(ctx context.Context) error
	// frame takes one frame that passed the rates.
	frame(f *protocol.Up)
	// heard is any sign of life. Called from several goroutines.
	heard(now time.Time)
	// missed is a ping without a pong in time, the first, second or third in a row.
	missed(now time.Time, n int)
	// overflow is called without conn.mu when the queue was full and deltas were dropped.
	overflow()
	// idle is called when everything queued was written.
	idle()
	// gone is the last call: the socket has ended, and code says how, if we chose it. It
	// comes from a goroutine of its own.
	gone(now time.Time, code websocket.StatusCode)
	// due is called about once per ping.
	due(now time.Time)
	// allowed checks that the peer may still be here, before its token is renewed.
	allowed(ctx context.Context) error
}

// conn is one socket: what was read of it and is not whole, its bounded queue of frames to
// write, what its pings have shown. No goroutine is its own. Its reads come from the hub's
// polls, its pings from the beat, and the flusher writes.
type conn struct {
	h       *Hub
	number  int64 // of all that this node opened
	line    line.Line
	peer    peer
	release func()                // gives back what was reserved for it
	address string                // for telling that it changed, and for audit entries; never logged
	browser unique.Handle[string] // User-Agent: most students have one of a few
	claims  atomic.Pointer[Claims]
	renewAt atomic.Int64 // from when on the token is looked at, ms
	jobs    tasks.Queue
	last    atomic.Int64 // when the peer was last heard, ms

	// Owned by the reads.
	in        wire.Reader
	limiters  []limiter
	overSince time.Time // over the rates without a pause since
	overLast  time.Time
	malformed int
	putOff    bool // a frame was refused that the client sends again

	// Owned by the beat.
	misses   int
	pinged   int64 // when, ms
	awaiting bool  // the next tick looks for the pong

	window int64 // of the flusher's count, in which it was last counted; the flusher's

	mu       sync.Mutex
	queue    []item
	bytes    int       // of queue
	control  []byte    // pings and pongs, written before the queue
	rest     []byte    // what the kernel did not take yet of the last write
	sent     []func()  // called when rest is written
	stuck    time.Time // since when it does not; zero: it does
	room     bool      // it does again
	held     bool      // nothing is written before the first welcome
	flushing bool      // the flusher has it
	paced    bool      // the flusher will have it in a moment
	flushed  time.Time // when deltas were last written
	closing  websocket.StatusCode
	reason   string
	parted   bool // our close frame is taken
	left     bool // the peer's close frame has come, with leftCode
	leftCode int
	dead     bool // nothing new may begin
	force    *time.Timer
	lull     chan struct{}  // everything is written; nil: nobody waits for it
	busy     sync.WaitGroup // flushes and ticks; Add only under mu while not dead
}

// allConns are the sockets that are open, in the order in which they were opened.
func (h *Hub) allConns() []*conn {
	h.mu.RLock()
	all := slices.Collect(maps.Keys(h.conns))
	h.mu.RUnlock()
	slices.SortFunc(all, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
	return all
}

func (h *Hub) newConn(l line.Line, claims Claims) *conn {
	c := &conn{h: h, number: h.opened.Add(1), line: l, held: true}
	c.setClaims(&claims)
	c.last.Store(h.now().UnixMilli())
	return c
}

// begin starts the socket: the welcome is made, then what the peer says is read, beginning
// with what it said already.
func (c *conn) begin(first []byte) {
	if c.closed() == 0 { // else the node is being drained
		if err := c.peer.start(c.h.ctx); err != nil {
			c.refuse(err)
		} else {
			c.h.beats.add(c)
		}
	}
	if len(first) > 0 {
		c.Read(first)
	}
	if err := c.line.Start(c); err != nil {
		c.h.log.Error("a socket cannot be watched", "error", err)
		c.Ended(err)
	}
}

// refuse closes the socket with the code that the error stands for.
func (c *conn) refuse(err error) {
	code := protocol.CloseFor(err)
	if code == protocol.CloseUnavailable {
		c.h.log.Warn("a socket could not be served", "error", err)
	}
	c.close(code, "")
}

// Read implements line.Handler.
func (c *conn) Read(p []byte) {
	now := c.h.now()
	c.last.Store(now.UnixMilli())
	if c.closed() == 0 {
		c.peer.heard(now)
	}
	err := c.in.Read(p, protocol.MaxMessage, c)
	var broken *wire.Error
	if errors.As(err, &broken) {
		c.close(websocket.StatusCode(broken.Code), broken.Reason)
	}
}

// Text implements wire.Handler. What comes after we have closed is not taken: an outbox
// sends it again.
func (c *conn) Text(msg []byte) {
	if c.closed() == 0 {
		c.take(msg, c.h.now())
	}
}

// maxControl bounds the pongs that wait to be written.
const maxControl = 1 << 10

// Ping implements wire.Handler.
func (c *conn) Ping(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing != 0 || len(c.control) > maxControl {
		return
	}
	c.control = wire.AppendPong(c.control, payload)
	c.wake()
}

// Pong implements wire.Handler. Any time it comes it is a sign of life, as all that is
// read; the tick judges.
func (c *conn) Pong() {}

// Close implements wire.Handler: the peer's close frame is answered with its own code, or
// it is the answer to ours.
func (c *conn) Close(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.left, c.leftCode = true, code
	c.queue, c.bytes, c.control = nil, 0, nil // nobody would read it
	if c.force == nil {
		c.force = time.AfterFunc(c.h.cfg.WriteWait, c.kill) // should the answer hang
	}
	c.wake()
}

// Ended implements line.Handler.
func (c *conn) Ended(error) { go c.finish() }

// take takes one text message apart. Frames keep nothing of msg.
func (c *conn) take(msg []byte, now time.Time) {
	list, err := protocol.Split(msg)
	if err != nil {
		c.bad(err)
		return
	}
	for _, raw := range list {
		c.h.stats.framesIn.Add(1)
		f, err := protocol.Parse(raw)
		if err != nil {
			c.bad(err)
			continue
		}
		if wait, ok := c.admit(f.T, now); !ok {
			c.h.stats.rateRefused.Add(1)
			c.putOff = true
			c.sendError(&f, vigil.Errorf(vigil.CodeTooMany, "Too much at once; this is sent again by itself."), wait)
			continue
		}
		c.peer.frame(&f)
	}
}

// bad answers a message that cannot be read. A peer that sends nothing else does not
// speak this protocol.
func (c *conn) bad(err error) {
	c.h.stats.malformed.Add(1)
	c.sendError(nil, err, 0)
	if c.malformed++; c.malformed >= maxMalformed {
		c.close(protocol.CloseProtocol, "")
	}
}

// maxMalformed is after how many unreadable messages a socket is closed.
const maxMalformed = 20

// admit counts a frame against its type's rate. A socket that is over its rates for
// long without a pause is closed.
func (c *conn) admit(t protocol.Type, now time.Time) (wait time.Duration, ok bool) {
	r, known := c.h.cfg.Rates[t]
	if !known {
		t = rateOther
		r = c.h.cfg.Rates[t]
	}
	i := slices.IndexFunc(c.limiters, func(l limiter) bool { return l.t == t })
	if i < 0 {
		i = len(c.limiters)
		c.limiters = append(c.limiters, limiter{t, rate.NewLimiter(r.PerSecond, r.Burst)})
	}
	if c.limiters[i].AllowN(now, 1) {
		return 0, true
	}
	if now.Sub(c.overLast) > overPause {
		c.overSince = now
	}
	c.overLast = now
	if now.Sub(c.overSince) >= c.h.cfg.RateGrace {
		c.close(protocol.CloseRate, "")
	}
	return max(time.Second, time.Duration(float64(time.Second)/float64(r.PerSecond))), false
}

// limiter is one type's rate. A socket has one or two.
type limiter struct {
	t protocol.Type
	*rate.Limiter
}

// overPause without a refused frame ends a stretch of being over the rates.
const overPause = 2 * time.Second

// sendError answers a frame that was not taken. The duty follows from the code.
func (c *conn) sendError(f *protocol.Up, err error, wait time.Duration) {
	e := protocol.Error{T: protocol.TypeError, Code: vigil.CodeOf(err), Wait: wait.Milliseconds()}
	var ve *vigil.Error
	if errors.As(err, &ve) && ve.Code != vigil.CodeInternal {
		e.Message, e.Field = ve.Message, ve.Field
	} else {
		e.Message = "Something went wrong on our side."
	}
	switch e.Code {
	case vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal:
		e.Duty = protocol.DutyRetry
		if e.Wait == 0 {
			e.Wait = time.Second.Milliseconds()
		}
	default:
		e.Duty = protocol.DutyDrop
	}
	if f != nil {
		e.Ref = f.Ref()
	}
	c.send(protocol.Encode(e))
}

func (c *conn) send(frame []byte) { c.put(item{frame: frame}) }

// put queues a frame. When the queue is full its deltas are dropped and the peer decides
// what that means; a queue that is full of other things is a peer that does not read.
func (c *conn) put(it item) {
	c.mu.Lock()
	if c.dead || c.closing != 0 || c.left { // nothing may follow a close frame
		c.mu.Unlock()
		return
	}
	if !c.fits(it) {
		before := len(c.queue)
		c.queue = slices.DeleteFunc(c.queue, func(it item) bool { return it.delta })
		c.bytes = 0
		for i := range c.queue {
			c.bytes += len(c.queue[i].frame)
		}
		dropped := before - len(c.queue)
		full := it.delta || !c.fits(it)
		if full {
			dropped++
		} else {
			c.add(it)
		}
		c.mu.Unlock()
		c.h.stats.framesDropped.Add(int64(dropped))
		if !it.delta && full {
			c.close(protocol.CloseSlow, "")
			return
		}
		c.peer.overflow()
		return
	}
	c.add(it)
	c.mu.Unlock()
}

func (c *conn) fits(it item) bool {
	return len(c.queue) < c.h.cfg.Limits.Queue && c.bytes+len(it.frame) <= c.h.cfg.Limits.QueueBytes
}

func (c *conn) add(it item) {
	c.queue = append(c.queue, it)
	c.bytes += len(it.frame)
	if it.delta {
		c.wakeSoon()
	} else {
		c.wake()
	}
}

// putDelta is put for a proctor's delta: once the queue fills, a later frame takes the
// place of an earlier one with its key, and what need not be told is left out.
func (c *conn) putDelta(d delta) {
	if d.level != levelState {
		c.h.flusher.count(c, time.Now())
	}
	c.mu.Lock()
	if n := len(c.queue); n >= c.h.cfg.Limits.Queue/4 {
		if d.level == levelSignal {
			c.mu.Unlock()
			c.h.stats.framesCoalesced.Add(1)
			return
		}
		for i := range c.queue {
			if d.key != "" && c.queue[i].key == d.key {
				c.bytes += len(d.frame) - len(c.queue[i].frame)
				c.queue[i].frame = d.frame
				c.mu.Unlock()
				c.h.stats.framesCoalesced.Add(1)
				return
			}
		}
	}
	c.mu.Unlock()
	c.put(item{frame: d.frame, key: d.key, delta: true})
}

// written waits until everything queued has been written.
func (c *conn) written(ctx context.Context) error {
	for {
		c.mu.Lock()
		empty, over := len(c.queue) == 0 && len(c.rest) == 0 && !c.flushing, c.dead || c.closing != 0 || c.left
		if c.lull == nil {
			c.lull = make(chan struct{}, 1)
		}
		lull := c.lull
		c.mu.Unlock()
		switch {
		case over:
			return errGone
		case empty:
			return nil
		}
		select {
		case <-lull:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// calm tells who waits in written to look again. c.mu is held.
func (c *conn) calm() {
	select {
	case c.lull <- struct{}{}: // not if it is nil
	default:
	}
}

// open lets the queue go, the welcome first. A second one comes behind what is queued.
func (c *conn) open(first item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing != 0 {
		return // the close frame has gone out, or is about to
	}
	if c.held {
		c.queue = append([]item{first}, c.queue...)
	} else {
		c.queue = append(c.queue, first)
	}
	c.held = false
	c.bytes += len(first.frame)
	c.wake()
}

// close ends the socket in order: what is queued is written, then the code. The first
// call counts.
func (c *conn) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != 0 || c.dead || c.left {
		return
	}
	c.h.stats.closed(code)
	c.closing, c.reason = code, reason
	if c.held { // there was no welcome: what would have followed it is nothing to them
		c.queue, c.bytes = nil, 0
	}
	if c.force == nil {
		c.force = time.AfterFunc(c.h.cfg.WriteWait, c.kill) // a write that hangs, or a peer that does not answer
	}
	c.calm()
	c.wake()
}

// closed tells the code that we chose, or 0.
func (c *conn) closed() websocket.StatusCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// kill ends the socket at once, without waiting for anyone; the rest follows when the line
// tells that it has ended.
func (c *conn) kill() { c.line.Shut() }

// finish ends the socket's life after its line has ended.
func (c *conn) finish() {
	defer c.h.tasks.Done()
	c.mu.Lock()
	c.dead = true
	code := c.closing
	if c.force != nil {
		c.force.Stop()
	}
	c.calm()
	c.mu.Unlock()
	c.busy.Wait()
	c.mu.Lock()
	c.queue, c.rest, c.control, c.sent = nil, nil, nil, nil
	c.mu.Unlock()
	c.line.Close()
	c.peer.gone(c.h.now(), code)
	c.h.mu.Lock()
	delete(c.h.conns, c)
	c.h.mu.Unlock()
	c.release()
}

func (c *conn) setClaims(claims *Claims) {
	c.claims.Store(claims)
	c.renewAt.Store(claims.Expires.Add(-c.h.cfg.RenewBefore).UnixMilli())
}

// checkToken renews the token before it ends, and closes the socket whose token ended
// unrenewed a while ago.
func (c *conn) checkToken(now time.Time) {
	claims := c.claims.Load()
	if now.After(claims.Expires.Add(c.h.cfg.TokenGrace)) {
		c.close(protocol.CloseToken, "")
		return
	}
	if now.Before(claims.Expires.Add(-c.h.cfg.RenewBefore)) {
		return
	}
	if !claims.Until.IsZero() && !claims.Until.After(claims.Expires) {
		return // this was the last one
	}
	c.jobs.Add(c.h.tasks, 2, func(ctx context.Context) { c.renew(ctx) })
}

// renew gives the client a fresh token, or closes the socket of someone who may no
// longer be here. A part of ours that does not answer is asked again at the next tick.
func (c *conn) renew(ctx context.Context) {
	claims := *c.claims.Load()
	now := c.h.now()
	if now.Before(claims.Expires.Add(-c.h.cfg.RenewBefore)) {
		return // done meanwhile
	}
	if err := c.peer.allowed(ctx); err != nil {
		if !vigil.Transient(err) {
			c.refuse(err)
		}
		return
	}
	claims.ID, claims.Issued, claims.Expires = "", time.Time{}, time.Time{}
	token, expires, err := c.h.cfg.Signer.MintSocket(ctx, claims)
	if err != nil {
		c.h.log.Error("a socket token cannot be renewed", "error", err)
		return
	}
	claims.Expires = expires
	c.setClaims(&claims)
	c.h.stats.renewed.Add(1)
	c.send(protocol.Encode(protocol.Token{T: protocol.TypeToken, Token: token, Expires: protocol.Millis(expires)}))
}

// drain tells the client to come back after wait and closes.
func (c *conn) drain(wait time.Duration) {
	c.send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeDrain, Wait: wait.Milliseconds()}))
	c.close(protocol.CloseDrain, strconv.FormatInt(wait.Milliseconds(), 10))
}
