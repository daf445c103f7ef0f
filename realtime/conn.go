package realtime

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"vigil"
)

// item is one frame on its way to a socket.
type item struct {
	frame []byte // shared with others: never changed
	key   string // a later one with the same key may replace it
	delta bool   // may be dropped for a fresh snapshot
	sent  func() // called when it was written; may be nil
}

// peer is what a socket belongs to: a student's session or a proctor's view of an exam.
// Its methods are called from the socket's read loop unless they say otherwise.
type peer interface {
	// start sends the welcome and opens the queue.
	start(ctx context.Context) error
	// frame takes one frame that passed the rates.
	frame(f *up)
	// heard is any sign of life. Called from several goroutines.
	heard(now time.Time)
	// missed is a ping without a pong in time, the first, second or third in a row.
	missed(now time.Time, n int)
	// overflow is called without conn.mu when the queue was full and deltas were dropped.
	overflow()
	// idle is called when everything queued was written.
	idle()
	// gone is the last call: the socket has ended, and code says how, if we chose it.
	gone(now time.Time, code websocket.StatusCode)
	// due is called about once per ping.
	due(now time.Time)
	// allowed checks that the peer may still be here, before its token is renewed.
	allowed(ctx context.Context) error
}

// conn is one socket: its read loop, its bounded queue of frames to write, its pings.
// The writing goroutine exists only while there is something to write.
type conn struct {
	h       *Hub
	ws      *websocket.Conn
	raw     net.Conn // beneath ws
	peer    peer
	address string // for telling that it changed; never logged
	browser string
	claims  atomic.Pointer[Claims]
	jobs    lane
	last    atomic.Int64 // when the peer was last heard, ms

	// Owned by the read loop.
	limiters  []limiter
	overSince time.Time // over the rates without a pause since
	overLast  time.Time
	malformed int

	// Owned by the timer.
	misses   int
	pinged   time.Time
	awaiting bool // the next tick looks for the pong

	mu         sync.Mutex
	queue      []item
	bytes      int
	held       bool // nothing is written before the welcome
	writing    bool
	pinging    bool      // the writer is to send a ping
	writeSince time.Time // zero: no write is under way
	closing    websocket.StatusCode
	reason     string
	dead       bool // nothing new may begin
	timer      *time.Timer
	force      *time.Timer
	lull       chan struct{}  // the writer took what was queued
	done       chan struct{}  // closed when the socket has ended
	busy       sync.WaitGroup // writer, ticks; Add only under mu while not dead
}

func (h *Hub) newConn(ws *websocket.Conn, raw net.Conn, claims Claims) *conn {
	c := &conn{h: h, ws: ws, raw: raw, held: true, lull: make(chan struct{}, 1), done: make(chan struct{})}
	c.claims.Store(&claims)
	c.last.Store(h.now().UnixMilli())
	return c
}

// begin starts the socket; run serves it after that, until it ends. They are two, for two
// goroutines: the welcome is made on a deep stack, and most of a socket's life is waiting.
func (c *conn) begin() {
	if err := c.peer.start(c.h.ctx); err != nil {
		c.refuse(err)
	} else {
		c.startTimer()
	}
}

func (c *conn) run() {
	c.read()
	c.finish()
}

// refuse closes the socket with the code that the error stands for.
func (c *conn) refuse(err error) {
	code := closeCode(err)
	if code == CloseUnavailable {
		c.h.log.Warn("a socket could not be served", "error", err)
	}
	c.close(code, "")
}

// closeCode is the one table from errors to close codes.
func closeCode(err error) websocket.StatusCode {
	switch vigil.CodeOf(err) {
	case vigil.CodeForbidden, vigil.CodeNotFound:
		return CloseForbidden
	case vigil.CodeUnauthorized:
		return CloseToken
	case vigil.CodeIllegal:
		return CloseEnded
	case vigil.CodeInvalid, vigil.CodeExists:
		return CloseProtocol
	case vigil.CodeConflict:
		return CloseSuperseded
	case vigil.CodeTooMany:
		return CloseRate
	}
	return CloseUnavailable
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read takes frames until the socket ends or is being closed by us.
func (c *conn) read() {
	ctx := context.Background() // a deadline would cost an allocation a frame; the pings see to silence
	for {
		typ, r, err := c.ws.Reader(ctx)
		if err != nil {
			return
		}
		now := c.h.now()
		c.last.Store(now.UnixMilli())
		if typ != websocket.MessageText {
			c.close(websocket.StatusUnsupportedData, "text frames only")
			return
		}
		buf := buffers.Get().(*bytes.Buffer) //nolint:errcheck // the pool holds nothing else
		buf.Reset()
		_, err = buf.ReadFrom(r)
		if err == nil {
			c.peer.heard(now)
			c.message(buf.Bytes(), now)
		}
		if buf.Cap() <= MaxMessage {
			buffers.Put(buf)
		}
		if err != nil {
			if errors.Is(err, websocket.ErrMessageTooBig) {
				c.close(websocket.StatusMessageTooBig, "")
			}
			return
		}
	}
}

// message takes one text message apart. Frames keep nothing of msg.
func (c *conn) message(msg []byte, now time.Time) {
	list, err := split(msg)
	if err != nil {
		c.bad(err)
		return
	}
	for _, raw := range list {
		c.h.stats.framesIn.Add(1)
		f, err := parse(raw)
		if err != nil {
			c.bad(err)
			continue
		}
		if wait, ok := c.admit(f.T, now); !ok {
			c.h.stats.rateRefused.Add(1)
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
		c.close(CloseProtocol, "")
	}
}

// maxMalformed is after how many unreadable messages a socket is closed.
const maxMalformed = 20

// admit counts a frame against its type's rate. A socket that is over its rates for
// long without a pause is closed.
func (c *conn) admit(t Type, now time.Time) (wait time.Duration, ok bool) {
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
		c.close(CloseRate, "")
	}
	return max(time.Second, time.Duration(float64(time.Second)/float64(r.PerSecond))), false
}

// limiter is one type's rate. A socket has one or two.
type limiter struct {
	t Type
	*rate.Limiter
}

// overPause without a refused frame ends a stretch of being over the rates.
const overPause = 2 * time.Second

// sendError answers a frame that was not taken. The duty follows from the code.
func (c *conn) sendError(f *up, err error, wait time.Duration) {
	e := Error{T: TypeError, Code: vigil.CodeOf(err), Wait: wait.Milliseconds()}
	var ve *vigil.Error
	if errors.As(err, &ve) && ve.Code != vigil.CodeInternal {
		e.Message, e.Field = ve.Message, ve.Field
	} else {
		e.Message = "Something went wrong on our side."
	}
	switch e.Code {
	case vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal:
		e.Duty = DutyRetry
		if e.Wait == 0 {
			e.Wait = time.Second.Milliseconds()
		}
	default:
		e.Duty = DutyDrop
	}
	if f != nil {
		e.Ref = f.ref()
	}
	c.send(encode(e))
}

func (c *conn) send(frame []byte) { c.put(item{frame: frame}) }

// put queues a frame. When the queue is full its deltas are dropped and the peer decides
// what that means; a queue that is full of other things is a peer that does not read.
func (c *conn) put(it item) {
	c.mu.Lock()
	if c.dead || c.closing != 0 {
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
			c.close(CloseSlow, "")
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
	c.wake()
}

// putDelta is put for a proctor's delta: once the queue fills, a later frame takes the
// place of an earlier one with its key, and what need not be told is left out.
func (c *conn) putDelta(d delta) {
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

// written waits until everything queued has been taken by the writer.
func (c *conn) written(ctx context.Context) error {
	for {
		c.mu.Lock()
		empty, over := len(c.queue) == 0, c.dead || c.closing != 0
		c.mu.Unlock()
		switch {
		case over:
			return errGone
		case empty:
			return nil
		}
		select {
		case <-c.lull:
		case <-c.done:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open lets the queue go, the welcome first.
func (c *conn) open(first item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing != 0 {
		return // the close frame has gone out, or is about to
	}
	c.held = false
	c.queue = append([]item{first}, c.queue...)
	c.bytes += len(first.frame)
	c.wake()
}

// wake starts the writer if it is needed. c.mu is held.
func (c *conn) wake() {
	if c.writing || c.dead || (c.held && c.closing == 0) {
		return
	}
	c.writing = true
	c.busy.Add(1)
	go c.write()
}

// write writes what is queued, many frames in one message, until nothing is left; then
// it closes, if that was asked for.
func (c *conn) write() {
	defer c.busy.Done()
	buf := buffers.Get().(*bytes.Buffer) //nolint:errcheck // the pool holds nothing else
	defer func() {
		if buf.Cap() <= 2*MaxMessage {
			buffers.Put(buf)
		}
	}()
	var spare []item
	for {
		c.mu.Lock()
		if len(c.queue) == 0 && !c.pinging || c.dead {
			c.writing, c.writeSince = false, time.Time{}
			if c.queue == nil && cap(spare) <= 8 {
				c.queue = spare[:0] // for the next frames; a busy socket's is let go
			}
			code, reason, dead := c.closing, c.reason, c.dead
			c.mu.Unlock()
			switch {
			case dead:
			case code != 0:
				_ = c.ws.Close(code, reason) // the peer may be gone already
			default:
				c.peer.idle()
			}
			return
		}
		batch := c.queue
		c.queue, c.bytes = spare, 0
		spare = nil
		c.writeSince = c.h.cfg.Now()
		ping := c.pinging
		c.pinging = false
		c.mu.Unlock()
		if ping && !c.writePing() {
			return
		}
		select {
		case c.lull <- struct{}{}:
		default:
		}
		for rest := batch; len(rest) > 0; {
			n := fill(buf, rest)
			if err := c.ws.Write(context.Background(), websocket.MessageText, buf.Bytes()); err != nil {
				c.writeFailed()
				return
			}
			c.h.stats.framesOut.Add(int64(n))
			for _, it := range rest[:n] {
				if it.sent != nil {
					it.sent()
				}
			}
			rest = rest[n:]
		}
		clear(batch)
		if cap(batch) <= 64 {
			spare = batch[:0]
		}
	}
}

func (c *conn) writeFailed() {
	c.h.stats.writeFailed.Add(1)
	c.kill() // the read loop ends by it
	c.mu.Lock()
	c.writing, c.dead = false, true
	c.mu.Unlock()
}

// fill puts as many frames into one message as fit, and returns how many.
func fill(buf *bytes.Buffer, items []item) int {
	buf.Reset()
	if len(items) == 1 {
		buf.Write(items[0].frame)
		return 1
	}
	buf.WriteByte('[')
	n := 0
	for n < len(items) && n < MaxBatch && (n == 0 || buf.Len()+len(items[n].frame)+2 <= MaxMessage) {
		if n > 0 {
			buf.WriteByte(',')
		}
		buf.Write(items[n].frame)
		n++
	}
	buf.WriteByte(']')
	return n
}

// close ends the socket in order: what is queued is written, then the code. The first
// call counts.
func (c *conn) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != 0 || c.dead {
		return
	}
	c.h.stats.closed(code)
	c.closing, c.reason = code, reason
	c.force = time.AfterFunc(c.h.cfg.WriteWait, c.kill) // a write that hangs
	c.wake()
}

// closed tells the code that we chose, or 0.
func (c *conn) closed() websocket.StatusCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// kill ends the socket at once, without waiting for anyone; the read loop does the rest.
func (c *conn) kill() {
	_ = c.raw.Close() // it may be closed already
}

// finish ends the socket's life after the read loop has ended.
func (c *conn) finish() {
	c.mu.Lock()
	code := c.closing
	if code == 0 {
		c.dead = true
	}
	c.mu.Unlock()
	if code == 0 {
		c.kill()
		_ = c.ws.CloseNow() // it may be closed already
	}
	c.busy.Wait() // with a code, the writer closes
	c.mu.Lock()
	c.dead = true
	c.queue = nil
	close(c.done)
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.force != nil {
		c.force.Stop()
	}
	c.mu.Unlock()
	c.busy.Wait()
	_ = c.ws.CloseNow() // it may be closed already
	c.peer.gone(c.h.now(), code)
}

// checkToken renews the token before it ends, and closes the socket whose token ended
// unrenewed a while ago.
func (c *conn) checkToken(now time.Time) {
	claims := c.claims.Load()
	if now.After(claims.Expires.Add(c.h.cfg.TokenGrace)) {
		c.close(CloseToken, "")
		return
	}
	if now.Before(claims.Expires.Add(-c.h.cfg.RenewBefore)) {
		return
	}
	if !claims.Until.IsZero() && !claims.Until.After(claims.Expires) {
		return // this was the last one
	}
	c.jobs.add(c.h, 2, func(ctx context.Context) { c.renew(ctx) })
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
		if !transient(err) {
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
	c.claims.Store(&claims)
	c.h.stats.renewed.Add(1)
	c.send(encode(Token{T: TypeToken, Token: token, Expires: ms(expires)}))
}

// drain tells the client to come back after wait and closes.
func (c *conn) drain(wait time.Duration) {
	c.send(encode(Notice{T: TypeNotice, Kind: NoticeDrain, Wait: wait.Milliseconds()}))
	c.close(CloseDrain, strconv.FormatInt(wait.Milliseconds(), 10))
}
