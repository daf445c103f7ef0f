package socket

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
	"unique"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/internal/netpoll"
	"vigil/realtime/protocol"
)

// refusal is an upgrade that is not made.
type refusal struct {
	status int
	duty   protocol.Duty
	err    error
	wait   time.Duration
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

// refuse maps an error to the refusal that it stands for.
func refuse(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	switch vigil.CodeOf(err) {
	case vigil.CodeUnauthorized:
		return &refusal{http.StatusUnauthorized, protocol.DutyRenew, err, 0}
	case vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeIllegal, vigil.CodeInvalid:
		return &refusal{http.StatusForbidden, protocol.DutyStop, err, 0}
	case vigil.CodeTooMany:
		return &refusal{http.StatusTooManyRequests, protocol.DutyRetry, err, time.Second}
	}
	return &refusal{http.StatusServiceUnavailable, protocol.DutyRetry, err, time.Second}
}

// ErrDraining refuses an upgrade because the node stops.
var ErrDraining = &refusal{
	http.StatusServiceUnavailable, protocol.DutyRetry, vigil.Errorf(vigil.CodeUnavailable, "This server is about to stop; connect again in a moment."), time.Second,
}

// CheckUpgrade refuses what asks for no upgrade.
func CheckUpgrade(r *http.Request) error {
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return &refusal{http.StatusUpgradeRequired, protocol.DutyStop, vigil.Invalid("", "This address speaks WebSocket only."), 0}
	}
	return nil
}

// OfferedToken takes the token out of the offered subprotocols: ours once, one token.
func OfferedToken(header http.Header) (token string, err error) {
	ours := 0
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			switch t, isToken := strings.CutPrefix(p, protocol.TokenSubprotocol); {
			case p == protocol.Subprotocol:
				ours++
			case isToken && t != "" && token == "" && strings.Trim(t, jwsLetters) == "":
				token = t
			default:
				return "", errOffered
			}
		}
	}
	if ours != 1 || token == "" {
		return "", errOffered
	}
	return token, nil
}

// jwsLetters are those of a compact JWS. Trim takes letters off both ends only, which
// leaves nothing exactly if there is nothing else.
const jwsLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

var errOffered = vigil.Errorf(vigil.CodeUnauthorized, "A connection offers exactly two subprotocols: %s and its token.", protocol.Subprotocol)

// Refuse answers that an upgrade is not made.
func (s *Server) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.env.Counters.Refused.Add(1)
	f := refuse(err)
	if f.status == http.StatusServiceUnavailable {
		s.env.Log.WarnContext(r.Context(), "an upgrade is refused", "error", err)
	} else {
		s.env.Log.DebugContext(r.Context(), "an upgrade is refused", "error", err)
	}
	code := vigil.CodeOf(f.err)
	p := protocol.Problem{
		Type: "about:blank", Title: http.StatusText(f.status), Status: f.status, Code: code, Duty: f.duty,
		Detail: vigil.MessageOf(f.err), Wait: f.wait.Milliseconds(),
	}
	if code == vigil.CodeInternal || p.Detail == "" {
		p.Code, p.Detail = vigil.CodeUnavailable, "Vigil cannot do this at the moment; try again."
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // the client may be gone
}

// Opening is what a socket will be.
type Opening struct {
	Claims    vigil.SocketClaims
	Address   string // the client's
	UserAgent string
	Peer      func(c *Conn) Peer
	Release   func() // called when the socket has ended, or could not be opened
}

// Upgrade makes a socket of a request, or answers it otherwise: then the socket is nil. The caller has
// begun a task for it, which ends with the socket, and calls begin in a goroutine of its own.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request, o Opening) (c *Conn, begin func()) {
	// The library keeps what was selected as a part of the header, and the token with it.
	r.Header["Sec-Websocket-Protocol"] = []string{protocol.Subprotocol}
	hand := &handover{ResponseWriter: w}
	ws, err := websocket.Accept(hand, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol.Subprotocol},
		InsecureSkipVerify: true, // the origin was checked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	var l netpoll.Conn
	switch {
	case err != nil: // Accept has answered
		s.env.Log.Debug("an upgrade failed", "error", err)
	default:
		_ = ws.CloseNow() // only to free it: the connection is not its own any more
		if l, err = s.polls[s.burst.opened.Load()%int64(len(s.polls))].Take(hand.conn.Conn); err != nil {
			s.env.Log.Error("a connection cannot be watched; are there too few open files?", "error", err)
			_ = hand.conn.Conn.Close() // nobody else does
		}
	}
	if err != nil {
		s.env.Counters.Refused.Add(1)
		o.Release()
		s.env.Tasks.Done()
		return nil, nil
	}
	c = s.newConn(l, o)
	if s.env.Tasks.Context().Err() != nil {
		c.Kill() // the node's end may have looked before
	}
	first := hand.first
	return c, func() { c.begin(first) }
}

// handover takes the connection out of the hands of the WebSocket library after the
// handshake, which is the library's part: its reader would hold a goroutine, a stack and
// buffers for each socket.
type handover struct {
	http.ResponseWriter
	conn  *handed
	first []byte // what the client sent behind its request
}

// handed is a connection that the library cannot close.
type handed struct{ net.Conn }

// Close does nothing.
func (*handed) Close() error { return nil }

// Hijack implements http.Hijacker.
func (o *handover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(o.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if first, err := rw.Reader.Peek(rw.Reader.Buffered()); err == nil {
		o.first = bytes.Clone(first)
	}
	o.conn = &handed{conn}
	return o.conn, rw, nil
}

// newConn makes a socket of a connection.
func (s *Server) newConn(l netpoll.Conn, o Opening) *Conn {
	c := &Conn{s: s, number: s.opened.Add(1), net: l, held: true, address: o.Address, browser: unique.Make(o.UserAgent), release: o.Release}
	c.setClaims(&o.Claims)
	c.last.Store(s.env.Now().UnixMilli())
	s.burst.opened.Add(1)
	c.peer = o.Peer(c)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

// begin starts the socket: the welcome is made, then what the peer says is read, beginning
// with what it said already.
func (c *Conn) begin(first []byte) {
	if c.Closed() == 0 { // else the node is being drained
		if err := c.peer.Start(c.s.env.Tasks.Context()); err != nil {
			c.Refuse(err)
		} else {
			c.s.pinger.add(c)
		}
	}
	if len(first) > 0 {
		c.handler().Read(first)
	}
	if err := c.net.Start(c.handler()); err != nil {
		c.s.env.Log.Error("a socket cannot be watched", "error", err)
		c.handler().Ended(err)
	}
}
