package socket

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"vigil"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/netpoll"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/internal/wire"
	"vigil/realtime/protocol"
)

// Peer is what a socket belongs to: a student's session or a proctor's view of an exam.
// Its methods must not wait: other sockets wait for them. Those that say nothing else are
// called for what was read, one after the other.
type Peer interface {
	// Start is the first call, and may wait for the store.
	Start(ctx context.Context) error
	// Frame takes one frame that passed the rates.
	Frame(f *protocol.Up)
	// Heard is any sign of life. Called from several goroutines.
	Heard(now time.Time)
	// Missed is a ping without a pong in time, the first, second or third in a row.
	Missed(now time.Time, n int)
	// Overflow is called without conn.mu when the queue was full and deltas were dropped.
	Overflow()
	// Idle is called when everything queued was written.
	Idle()
	// Gone is the last call: the socket has ended, and code says how, if we chose it. It
	// comes from a goroutine of its own.
	Gone(now time.Time, code websocket.StatusCode)
	// Due is called about once per ping.
	Due(now time.Time)
	// Allowed checks that the peer may still be here, before its token is renewed.
	Allowed(ctx context.Context) error
}

// Conn is one socket: what was read of it and is not whole, its bounded queue of frames to
// write, what its pings have shown. No goroutine is its own. Its reads come from netpoll, its
// pings from the pinger, and the flusher writes.
type Conn struct {
	s       *Server
	number  int64 // of all that this node opened
	net     netpoll.Conn
	peer    Peer
	release func()                // gives back what was reserved for it
	address string                // for telling that it changed, and for audit entries; never logged
	browser unique.Handle[string] // User-Agent: most students have one of a few
	claims  atomic.Pointer[vigil.SocketClaims]
	renewAt atomic.Int64 // from when on the token is looked at, ms
	jobs    tasks.Queue
	last    atomic.Int64 // when the peer was last heard, ms

	// Owned by the reads.
	in        wire.Reader
	limiters  []limiter
	overSince time.Time // over the rates without a pause since
	overLast  time.Time
	malformed int
	PutOff    bool // a frame was refused that the client sends again; for the peer, too

	// Owned by the pinger.
	misses   int
	pinged   int64 // when, ms
	awaiting bool  // the next tick looks for the pong

	window int64 // of the flusher's count, in which it was last counted; the flusher's

	mu         lockorder.Mutex[lockorder.Socket]
	queue      []Item
	bytes      int       // of queue
	control    []byte    // pings and pongs, written before the queue
	rest       []byte    // what the kernel did not take yet of the last write
	sent       []func()  // called when rest is written
	stuck      time.Time // since when it does not; zero: it does
	writable   bool      // it does again
	held       bool      // nothing is written before the first welcome
	flushing   bool      // the flusher has it
	paced      bool      // the flusher will have it in a moment
	flushed    time.Time // when deltas were last written
	closing    websocket.StatusCode
	reason     string
	closeSent  bool // our close frame is taken
	peerClosed bool // the peer's close frame has come, with peerCode
	peerCode   int
	dead       bool // nothing new may begin
	force      *time.Timer
	idleWake   chan struct{}  // everything is written; nil: nobody waits for it
	busy       sync.WaitGroup // flushes and ticks; Add only under mu while not dead
}

// handler is a conn as its connection and the parser of frames see it. Their methods are kept
// apart from those that the rest of the program calls.
type handler Conn

func (c *Conn) handler() *handler { return (*handler)(c) }

// Claims are those of the token that the socket has now.
func (c *Conn) Claims() *vigil.SocketClaims { return c.claims.Load() }

// ReplaceClaims gives the socket other claims of the same token; false: they are not old any more.
func (c *Conn) ReplaceClaims(old, claims *vigil.SocketClaims) bool {
	return c.claims.CompareAndSwap(old, claims)
}

// Address is the client's network address: for telling that it changed, and for audit entries.
func (c *Conn) Address() string { return c.address }

// Browser is the client's User-Agent.
func (c *Conn) Browser() string { return c.browser.Value() }

// Peer is what the socket belongs to.
func (c *Conn) Peer() Peer { return c.peer }

// Do does a job that waits for the store, after those before it. It is refused when limit jobs
// wait already (0: no limit, for jobs that come one for one with something that is bounded).
func (c *Conn) Do(limit int, job func(context.Context)) bool {
	return c.jobs.Add(c.s.env.Tasks, limit, job)
}

// Refuse closes the socket with the code that the error stands for.
func (c *Conn) Refuse(err error) {
	code := protocol.CloseFor(err)
	if code == protocol.CloseUnavailable {
		c.s.env.Log.Warn("a socket could not be served", "error", err)
	}
	c.Close(code, "")
}

// Read implements netpoll.Handler.
func (h *handler) Read(p []byte) {
	c := (*Conn)(h)
	now := c.s.env.Now()
	c.last.Store(now.UnixMilli())
	if c.Closed() == 0 {
		c.peer.Heard(now)
	}
	err := c.in.Read(p, protocol.MaxMessage, h)
	var broken *wire.Error
	if errors.As(err, &broken) {
		c.Close(websocket.StatusCode(broken.Code), broken.Reason)
	}
}

// Text implements wire.Handler. What comes after we have closed is not taken: an outbox
// sends it again.
func (h *handler) Text(msg []byte) {
	c := (*Conn)(h)
	if c.Closed() == 0 {
		c.take(msg, c.s.env.Now())
	}
}

// maxControl bounds the pongs that wait to be written.
const maxControl = 1 << 10

// Ping implements wire.Handler.
func (h *handler) Ping(payload []byte) {
	c := (*Conn)(h)
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
func (*handler) Pong() {}

// Close implements wire.Handler: the peer's close frame is answered with its own code, or
// it is the answer to ours.
func (h *handler) Close(code int) {
	c := (*Conn)(h)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.peerClosed, c.peerCode = true, code
	c.queue, c.bytes, c.control = nil, 0, nil // nobody would read it
	if c.force == nil {
		c.force = time.AfterFunc(c.s.env.WriteWait, c.Kill) // should the answer hang
	}
	c.wake()
}

// Ended implements netpoll.Handler.
func (h *handler) Ended(error) { go (*Conn)(h).finish() }

// take takes one text message apart. Frames keep nothing of msg.
func (c *Conn) take(msg []byte, now time.Time) {
	list, err := protocol.Split(msg)
	if err != nil {
		c.bad(err)
		return
	}
	for _, raw := range list {
		c.s.env.Counters.FramesIn.Add(1)
		f, err := protocol.Parse(raw)
		if err != nil {
			c.bad(err)
			continue
		}
		if wait, ok := c.admit(f.T, now); !ok {
			c.s.env.Counters.RateRefused.Add(1)
			c.PutOff = true
			c.SendError(&f, vigil.Errorf(vigil.CodeTooMany, "Too much at once; this is sent again by itself."), wait)
			continue
		}
		c.peer.Frame(&f)
	}
}

// bad answers a message that cannot be read. A peer that sends nothing else does not
// speak this protocol.
func (c *Conn) bad(err error) {
	c.s.env.Counters.Malformed.Add(1)
	c.SendError(nil, err, 0)
	if c.malformed++; c.malformed >= maxMalformed {
		c.Close(protocol.CloseProtocol, "")
	}
}

// maxMalformed is after how many unreadable messages a socket is closed.
const maxMalformed = 20

// admit counts a frame against its type's rate. A socket that is over its rates for
// long without a pause is closed.
func (c *Conn) admit(t protocol.Type, now time.Time) (wait time.Duration, ok bool) {
	r, known := c.s.env.Rates[t]
	if !known {
		t = rateOther
		r = c.s.env.Rates[t]
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
	if now.Sub(c.overSince) >= c.s.env.RateGrace {
		c.Close(protocol.CloseRate, "")
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

// SendError answers a frame that was not taken. The duty follows from the code.
func (c *Conn) SendError(f *protocol.Up, err error, wait time.Duration) {
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
	c.Send(protocol.Encode(e))
}

// Later does what waits for the store, in the order of the frames, and answers the frame
// with the error if there is one.
func (c *Conn) Later(f *protocol.Up, job func(ctx context.Context) error) {
	added := c.Do(c.s.env.Limits.Jobs, func(ctx context.Context) {
		if err := job(ctx); err != nil {
			if vigil.Transient(err) {
				c.s.env.Log.Warn("a frame could not be served", "error", err)
			}
			c.SendError(f, err, 0)
		}
	})
	if !added {
		c.SendError(f, vigil.Errorf(vigil.CodeUnavailable, "Saving takes longer at the moment; this is sent again by itself."), 0)
	}
}

// Close ends the socket in order: what is queued is written, then the code. The first
// call counts.
func (c *Conn) Close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != 0 || c.dead || c.peerClosed {
		return
	}
	c.s.env.Counters.closed(code)
	c.closing, c.reason = code, reason
	if c.held { // there was no welcome: what would have followed it is nothing to them
		c.queue, c.bytes = nil, 0
	}
	if c.force == nil {
		c.force = time.AfterFunc(c.s.env.WriteWait, c.Kill) // a write that hangs, or a peer that does not answer
	}
	c.wakeWaiter()
	c.wake()
}

// Closed tells the code that we chose, or 0.
func (c *Conn) Closed() websocket.StatusCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Kill ends the socket at once, without waiting for anyone; the rest follows when the connection
// tells that it has ended.
func (c *Conn) Kill() { c.net.Shut() }

// finish ends the socket's life after its connection has ended.
func (c *Conn) finish() {
	defer c.s.env.Tasks.Done()
	c.mu.Lock()
	c.dead = true
	code := c.closing
	if c.force != nil {
		c.force.Stop()
	}
	c.wakeWaiter()
	c.mu.Unlock()
	c.busy.Wait()
	c.mu.Lock()
	c.queue, c.rest, c.control, c.sent = nil, nil, nil, nil
	c.mu.Unlock()
	c.net.Close()
	c.peer.Gone(c.s.env.Now(), code)
	c.s.forget(c)
	c.release()
}

func (c *Conn) setClaims(claims *vigil.SocketClaims) {
	c.claims.Store(claims)
	c.renewAt.Store(claims.Expires.Add(-c.s.env.RenewBefore).UnixMilli())
}

// checkToken renews the token before it ends, and closes the socket whose token ended
// unrenewed a while ago.
func (c *Conn) checkToken(now time.Time) {
	claims := c.claims.Load()
	if now.After(claims.Expires.Add(c.s.env.TokenGrace)) {
		c.Close(protocol.CloseToken, "")
		return
	}
	if now.Before(claims.Expires.Add(-c.s.env.RenewBefore)) {
		return
	}
	if !claims.Until.IsZero() && !claims.Until.After(claims.Expires) {
		return // this was the last one
	}
	c.Do(2, c.renew)
}

// renew gives the client a fresh token, or closes the socket of someone who may no
// longer be here. A part of ours that does not answer is asked again at the next tick.
func (c *Conn) renew(ctx context.Context) {
	claims := *c.claims.Load()
	now := c.s.env.Now()
	if now.Before(claims.Expires.Add(-c.s.env.RenewBefore)) {
		return // done meanwhile
	}
	if err := c.peer.Allowed(ctx); err != nil {
		if !vigil.Transient(err) {
			c.Refuse(err)
		}
		return
	}
	claims.ID, claims.Issued, claims.Expires = "", time.Time{}, time.Time{}
	token, expires, err := c.s.env.Signer.MintSocket(ctx, claims)
	if err != nil {
		c.s.env.Log.Error("a socket token cannot be renewed", "error", err)
		return
	}
	claims.Expires = expires
	c.setClaims(&claims)
	c.s.env.Counters.Renewed.Add(1)
	c.Send(protocol.Encode(protocol.Token{T: protocol.TypeToken, Token: token, Expires: protocol.Millis(expires)}))
}

// Drain tells the client to come back after wait and closes.
func (c *Conn) Drain(wait time.Duration) {
	c.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeDrain, Wait: wait.Milliseconds()}))
	c.Close(protocol.CloseDrain, strconv.FormatInt(wait.Milliseconds(), 10))
}
