// Package client speaks the socket protocol (docs/protocol.md) from the clients' side: a
// student's monitor and a proctor's dashboard without a browser. The demo's simulated
// students, the fault tests and the bench use it. It keeps every rule that a browser
// keeps: the outbox, the duties of errors and close codes, backoff with full jitter.
package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"vigil/realtime/protocol"
)

// Token is what the token endpoint gives.
type Token struct {
	Token   string
	URL     string    // of the socket
	Session string    // a student's
	Expires time.Time // zero: unknown; then it is used until it is refused
}

// Config says whom to connect as. TokenSource must be given.
type Config struct {
	// TokenSource gets a socket token. A *Refusal says what the endpoint wants done; any
	// other error means that it is asked again later.
	TokenSource func(ctx context.Context) (Token, error)
	Origin      string       // of the page that this client stands for
	HTTPClient  *http.Client // for the upgrade; http.DefaultClient
	Header      http.Header  // further headers of the upgrade, such as User-Agent

	// OnFrame sees each frame from the server, after the client took it, one at a time. It
	// must not wait for the client.
	OnFrame func(t protocol.Type, frame json.RawMessage)
	Log     *slog.Logger // discarded when nil

	// Stream is a student's outbox; made when empty. Next is the number of its next signal; 1.
	Stream string
	Next   int64
	Page   int
	// Stamp gives the stamp of the page that a student's hello comes from; nil: it has none.
	Stamp func() string
	// Mute leaves questions to the monitor unanswered.
	Mute bool
	// KeepUnseen leaves commands unacknowledged; else each is seen at once.
	KeepUnseen bool

	Rand func(n int64) int64 // a number from 0 to n-1, for jitter; math/rand/v2 when nil

	// Signals is what a proctor subscribes to: all (default), incidents or none.
	Signals string

	BackoffFirst time.Duration // 0.5 s
	BackoffMost  time.Duration // 15 s
}

func (c Config) withDefaults() Config {
	if c.HTTPClient == nil {
		c.HTTPClient = http.DefaultClient
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = mathrand.Int64N
	}
	if c.Stream == "" {
		c.Stream = rand.Text()
	}
	c.Next = max(c.Next, 1)
	if c.BackoffFirst <= 0 {
		c.BackoffFirst = 500 * time.Millisecond
	}
	if c.BackoffMost <= 0 {
		c.BackoffMost = 15 * time.Second
	}
	return c
}

// Refusal is the token endpoint's problem.
type Refusal struct { //nolint:errname // what the endpoint answers, and an error by the way
	Duty protocol.Duty
	Wait time.Duration
	Err  error
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Err == nil {
		return "refused: " + string(r.Duty)
	}
	return "refused: " + r.Err.Error()
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Stopped is why a client will not come back by itself: the server closed with a code
// whose duty is stop.
type Stopped struct { //nolint:errname // as Refusal
	Code   websocket.StatusCode
	Reason string
}

// Error implements error.
func (s *Stopped) Error() string { return "the server closed with " + strconv.Itoa(int(s.Code)) }

// ErrClosed is the end of a client that was closed by its owner.
var ErrClosed = errors.New("client: closed")

// side is what differs between students and proctors.
type side interface {
	// greeting is the frame that a connection begins with, before the welcome; nil: none.
	greeting() any
	// welcomed is called at each welcome, before any other frame of the connection. It calls
	// open with the first frame that follows it, or nil.
	welcomed(frame json.RawMessage)
	// take is called for every other frame.
	take(t protocol.Type, frame json.RawMessage)
}

// link keeps one client connected.
type link struct {
	cfg  Config
	side side
	stop context.CancelFunc
	done chan struct{} // closed when the link has ended for good
	up   chan struct{} // closed at the first welcome

	mu       sync.Mutex
	ws       *websocket.Conn
	raw      net.Conn
	live     bool // welcomed
	greeted  bool // the greeting is sent
	out      [][]byte
	wake     chan struct{}
	token    Token
	again    bool // the next connection comes at once
	err      error
	connects int
	closes   map[websocket.StatusCode]int
	once     sync.Once
}

func newLink(cfg Config) *link {
	return &link{
		cfg: cfg.withDefaults(), done: make(chan struct{}), up: make(chan struct{}), wake: make(chan struct{}, 1),
		closes: map[websocket.StatusCode]int{},
	}
}

// begin connects and waits for the first welcome. The link lives until close, or until
// the server says stop.
func (l *link) begin(ctx context.Context, s side) error {
	l.side = s
	run, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.run(run)
	select {
	case <-l.up:
		return nil
	case <-l.done:
		return l.Err()
	case <-ctx.Done():
		l.Close()
		return ctx.Err()
	}
}

// Done is closed when the client has ended for good; Err says why.
func (l *link) Done() <-chan struct{} { return l.done }

// Err is why the client ended: a *Stopped, a *Refusal or ErrClosed; nil while it lives.
func (l *link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Connects counts the welcomes.
func (l *link) Connects() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connects
}

// Closes counts how connections ended, by code; -1 is a connection that dropped.
func (l *link) Closes() map[websocket.StatusCode]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[websocket.StatusCode]int, len(l.closes))
	for k, v := range l.closes {
		out[k] = v
	}
	return out
}

// Close ends the client at once and waits for it.
func (l *link) Close() {
	l.stop()
	<-l.done
}

// Cut drops the connection without goodbye, as a failing network does; the client then
// comes back by itself.
func (l *link) Cut() {
	l.mu.Lock()
	raw := l.raw
	l.mu.Unlock()
	if raw != nil {
		_ = raw.Close() // cut is cut
	}
}

func (l *link) run(ctx context.Context) {
	defer close(l.done)
	defer l.stop()
	tries := 0
	for {
		welcomed, err := l.connect(ctx)
		if welcomed {
			tries = 0
		}
		wait, end := l.judge(ctx, err, tries)
		if end != nil {
			l.mu.Lock()
			l.err = end
			l.mu.Unlock()
			return
		}
		tries++
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// judge follows the duty of how a connection ended.
func (l *link) judge(ctx context.Context, err error, tries int) (time.Duration, error) {
	if ctx.Err() != nil {
		return 0, ErrClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again {
		l.again = false
		return 0, nil
	}
	pause := l.cfg.BackoffFirst << min(tries, 10)
	pause = min(pause, l.cfg.BackoffMost)
	wait := time.Duration(l.cfg.Rand(int64(pause) + 1))
	var refusal *Refusal
	if errors.As(err, &refusal) {
		if refusal.Duty == protocol.DutyStop {
			return 0, refusal
		}
		return max(wait, refusal.Wait), nil
	}
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		l.closes[-1]++
		return wait, nil
	}
	l.closes[ce.Code]++
	switch protocol.CloseDuty[ce.Code] {
	case protocol.DutyStop:
		return 0, &Stopped{ce.Code, ce.Reason}
	case protocol.DutyRenew:
		l.token = Token{}
	}
	if ms, perr := strconv.Atoi(ce.Reason); ce.Code == protocol.CloseDrain && perr == nil && ms >= 0 {
		wait = time.Duration(ms) * time.Millisecond
	}
	return wait, nil
}

// connect opens one connection and serves it to its end.
func (l *link) connect(ctx context.Context) (welcomed bool, err error) {
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	if token.Token == "" || !token.Expires.IsZero() && time.Until(token.Expires) < 5*time.Second {
		if token, err = l.cfg.TokenSource(ctx); err != nil {
			return false, err
		}
	}
	header := l.cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Origin", l.cfg.Origin)
	var raw net.Conn
	ws, resp, err := websocket.Dial(traceConn(ctx, &raw), token.URL, &websocket.DialOptions{
		HTTPClient: l.cfg.HTTPClient, HTTPHeader: header,
		Subprotocols:    []string{protocol.Subprotocol, protocol.TokenSubprotocol + token.Token},
		CompressionMode: websocket.CompressionDisabled,
	})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // nothing of it is needed
	}
	if err != nil {
		l.mu.Lock()
		l.token = Token{} // as a browser: ask the token endpoint what to do
		l.mu.Unlock()
		return false, err
	}
	ws.SetReadLimit(1 << 20)
	l.mu.Lock()
	l.token, l.ws, l.raw, l.live, l.greeted, l.out = token, ws, raw, false, false, nil
	l.mu.Unlock()
	served, stop := context.WithCancel(ctx)
	if hello := l.side.greeting(); hello != nil {
		b, err := json.Marshal(hello)
		if err == nil {
			err = ws.Write(ctx, websocket.MessageText, b)
		}
		if err != nil {
			l.cfg.Log.Debug("a greeting is not sent", "error", err) // the reader sees it, too
		}
		l.mu.Lock()
		l.greeted = err == nil
		l.mu.Unlock()
	}
	var writer sync.WaitGroup
	writer.Go(func() { l.write(served, ws) })
	welcomed, err = l.read(ctx, ws)
	l.mu.Lock()
	l.ws, l.raw, l.live, l.greeted, l.out = nil, nil, false, false, nil
	l.mu.Unlock()
	stop()
	_ = ws.CloseNow() // it has ended
	writer.Wait()
	return welcomed, err
}

func (l *link) read(ctx context.Context, ws *websocket.Conn) (welcomed bool, err error) {
	for {
		_, msg, err := ws.Read(ctx)
		if err != nil {
			return welcomed, err
		}
		list := []json.RawMessage{msg}
		if len(msg) > 0 && msg[0] == '[' {
			list = nil
			if err := json.Unmarshal(msg, &list); err != nil {
				return welcomed, err
			}
		}
		for _, raw := range list {
			var head protocol.Head
			if err := json.Unmarshal(raw, &head); err != nil {
				return welcomed, err
			}
			switch {
			case head.T == protocol.TypeWelcome:
				welcomed = true
				l.side.welcomed(raw)
				l.mu.Lock()
				l.connects++ // whoever waits for that may send
				l.mu.Unlock()
				l.once.Do(func() { close(l.up) })
			case head.T == protocol.TypeToken:
				l.renewed(raw)
			default:
				l.side.take(head.T, raw)
			}
			if l.cfg.OnFrame != nil {
				l.cfg.OnFrame(head.T, raw)
			}
		}
	}
}

func (l *link) renewed(raw json.RawMessage) {
	var t protocol.Token
	if json.Unmarshal(raw, &t) != nil {
		return
	}
	l.mu.Lock()
	l.token.Token, l.token.Expires = t.Token, time.UnixMilli(t.Expires)
	l.mu.Unlock()
}

// send queues a frame for the present connection; without one it is dropped (false), and
// the outbox sends what matters after the next welcome.
func (l *link) send(v any) bool { return l.queue(v, false) }

// goodbye is send for a frame that may follow the greeting at once: who leaves does not wait for the
// welcome.
func (l *link) goodbye(v any) { l.queue(v, true) }

func (l *link) queue(v any, early bool) bool {
	b, err := json.Marshal(v)
	if err != nil {
		l.cfg.Log.Error("a frame cannot be encoded", "error", err)
		return false
	}
	l.mu.Lock()
	live := l.live || early && l.greeted
	if live {
		l.out = append(l.out, b)
	}
	l.mu.Unlock()
	if live {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return live
}

// open lets frames pass from now on, this one first: a server refuses what comes before it.
func (l *link) open(first any) {
	if first == nil {
		l.mu.Lock()
		l.live = true
		l.mu.Unlock()
		return
	}
	b, err := json.Marshal(first)
	if err != nil {
		l.cfg.Log.Error("a frame cannot be encoded", "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live, l.out = true, append(l.out, b)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued, many frames in one message.
func (l *link) write(ctx context.Context, ws *websocket.Conn) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		for {
			msg := l.next()
			if msg == nil {
				break
			}
			if err := ws.Write(ctx, websocket.MessageText, msg); err != nil {
				return // the reader sees it, too
			}
		}
	}
}

func (l *link) next() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.out) == 0 {
		return nil
	}
	if len(l.out) == 1 {
		msg := l.out[0]
		l.out = nil
		return msg
	}
	msg := []byte{'['}
	n := 0
	for n < len(l.out) && n < protocol.MaxBatch && (n == 0 || len(msg)+len(l.out[n])+2 <= protocol.MaxMessage) {
		if n > 0 {
			msg = append(msg, ',')
		}
		msg = append(msg, l.out[n]...)
		n++
	}
	l.out = l.out[n:]
	return append(msg, ']')
}

// flushed tells that nothing is queued.
func (l *link) flushed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.out) == 0
}

// leave closes the present connection in order; with again, the next one comes at once.
func (l *link) leave(again bool) {
	for i := 0; i < 100 && !l.flushed(); i++ {
		time.Sleep(5 * time.Millisecond)
	}
	l.mu.Lock()
	ws := l.ws
	l.again = again
	l.mu.Unlock()
	if ws != nil {
		_ = ws.Close(websocket.StatusNormalClosure, "") // it may have ended
	}
}
