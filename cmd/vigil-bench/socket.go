//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// socket is a WebSocket client that costs the load generator little: one goroutine that
// reads, no writer of its own, half a KiB of buffer, no allocation a message. (The
// reference client of realtime/client has the comfort of a browser's: two goroutines and
// three passes of encoding/json a message. On a machine that load and server share, that
// would be most of what is measured.) It speaks what RFC 6455 asks of a client, but for
// extensions.
type socket struct {
	c    net.Conn
	rest []byte // came with the answer to the upgrade

	live  atomic.Bool  // welcomed, and what was not acknowledged is sent again
	muted atomic.Bool  // the network carries nothing more
	end   atomic.Int32 // how it is meant to end; else nobody meant it
	tally *traffic     // what it carries is counted there; may be nil

	mu  sync.Mutex
	out []byte
}

// How a socket is meant to end.
const (
	endLeft = 1 + iota // the page is left: nobody comes back by itself
	endCut             // it was cut off: its owner comes back
)

// traffic counts WebSocket messages as clients see them, and their payload.
type traffic struct{ up, down, upBytes, downBytes atomic.Int64 }

// target says where and as whom a socket connects.
type target struct {
	address   string // host:port
	host      string // of the Host header
	path      string
	origin    string
	protocols []string // offered; the first must be answered
	local     string   // source address; empty: the system's choice
}

// refusedUpgrade is an answer other than 101.
type refusedUpgrade struct{ status int } //nolint:errname // as in realtime/client: an answer, and an error by the way

// Error implements error.
func (r *refusedUpgrade) Error() string {
	return "the upgrade was refused with " + strconv.Itoa(r.status)
}

// closed is a close frame.
type closed struct {
	code   int
	reason string
}

// Error implements error.
func (c *closed) Error() string { return "closed with " + strconv.Itoa(c.code) + " " + c.reason }

var errProtocol = errors.New("the peer does not speak WebSocket")

const (
	upgradeTime = 30 * time.Second
	maxHead     = 16 << 10
	maxPayload  = 16 << 20
	smallBuffer = 512
)

// dialTCP connects from a source address.
func dialTCP(ctx context.Context, address, local string) (net.Conn, error) {
	d := net.Dialer{Timeout: upgradeTime}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	return d.DialContext(ctx, "tcp", address)
}

// dialSocket opens a socket.
func dialSocket(ctx context.Context, t target) (*socket, error) {
	c, err := dialTCP(ctx, t.address, t.local)
	if err != nil {
		return nil, err
	}
	s := &socket{c: c}
	if err := s.upgrade(t); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

func (s *socket) upgrade(t target) error {
	if err := s.c.SetDeadline(time.Now().Add(upgradeTime)); err != nil {
		return err
	}
	var b strings.Builder
	// The key only shows that the server is no HTTP cache; it need not be secret.
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dmlnaWwtYmVuY2gta2V5IQ==\r\nUser-Agent: vigil-bench\r\n", t.path, t.host)
	if t.origin != "" {
		b.WriteString("Origin: " + t.origin + "\r\n")
	}
	if len(t.protocols) > 0 {
		b.WriteString("Sec-WebSocket-Protocol: " + strings.Join(t.protocols, ", ") + "\r\n")
	}
	b.WriteString("\r\n")
	if _, err := s.c.Write([]byte(b.String())); err != nil {
		return err
	}
	buf := make([]byte, 0, 2*smallBuffer)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := s.c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		head, rest, whole := strings.Cut(string(buf), "\r\n\r\n")
		if whole {
			s.rest = []byte(rest)
			if err := accepted(head, t.protocols); err != nil {
				return err
			}
			return s.c.SetDeadline(time.Time{})
		}
		switch {
		case err != nil:
			return err
		case len(buf) > maxHead:
			return errProtocol
		}
	}
}

// accepted judges the answer to the upgrade.
func accepted(head string, protocols []string) error {
	line, fields, _ := strings.Cut(head, "\r\n")
	version, status, ok := strings.Cut(line, " ")
	if !ok || version != "HTTP/1.1" || len(status) < 3 {
		return errProtocol
	}
	code, err := strconv.Atoi(status[:3])
	if err != nil {
		return errProtocol
	}
	if code != 101 {
		return &refusedUpgrade{code}
	}
	for field := range strings.SplitSeq(fields, "\r\n") {
		if name, v, _ := strings.Cut(field, ":"); strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			if len(protocols) > 0 && strings.TrimSpace(v) == protocols[0] {
				return nil
			}
			return errProtocol
		}
	}
	if len(protocols) > 0 {
		return errProtocol
	}
	return nil
}

// The opcodes.
const (
	opMore  = 0
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// read calls f with each text message until the socket ends, and says how it ended. The
// message is f's until it returns.
func (s *socket) read(f func(msg []byte)) error {
	buf := make([]byte, smallBuffer)
	n := copy(buf, s.rest)
	if n < len(s.rest) {
		buf, n = append([]byte(nil), s.rest...), len(s.rest)
	}
	s.rest = nil
	var message []byte // of several frames
	from := 0
	for {
		if s.muted.Load() {
			from = n // whatever came gets no farther than this
		}
		op, fin, payload, size, err := parseFrame(buf[from:n])
		if err != nil {
			return err
		}
		if size == 0 || size > n-from { // not whole yet
			if from > 0 {
				n, from = copy(buf, buf[from:n]), 0
			}
			if need := max(size, n+1); need > len(buf) {
				bigger := make([]byte, max(need, 2*len(buf)))
				copy(bigger, buf[:n])
				buf = bigger
			}
			m, err := s.c.Read(buf[n:])
			n += m
			if m == 0 && err != nil {
				return err
			}
			continue
		}
		from += size
		if from == n {
			from, n = 0, 0 // payload stays where it is until the next read
		}
		switch op {
		case opText, opMore:
			if s.tally != nil {
				s.tally.down.Add(1)
				s.tally.downBytes.Add(int64(len(payload)))
			}
			switch {
			case fin && message == nil:
				f(payload)
			case len(message)+len(payload) > maxPayload:
				return errProtocol
			default:
				message = append(message, payload...)
				if fin {
					f(message)
					message = nil
				}
			}
		case opPing:
			if err := s.send(opPong, payload); err != nil {
				return err
			}
		case opClose:
			c := &closed{code: 1005}
			if len(payload) >= 2 {
				c.code, c.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			_ = s.send(opClose, payload) // the peer has gone already, perhaps
			return c
		case opPong:
		default:
			return errProtocol
		}
	}
}

// parseFrame takes a server's frame apart. size is what the whole of it takes, also where
// it is not all there; 0 where even that cannot be told yet.
func parseFrame(b []byte) (op byte, fin bool, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, false, nil, 0, nil
	}
	if b[0]&0x70 != 0 || b[1]&0x80 != 0 { // extensions and masks are not the server's
		return 0, false, nil, 0, errProtocol
	}
	head, length := 2, uint64(b[1])
	switch length {
	case 126:
		if len(b) < 4 {
			return 0, false, nil, 0, nil
		}
		head, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return 0, false, nil, 0, nil
		}
		head, length = 10, binary.BigEndian.Uint64(b[2:])
	}
	if length > maxPayload {
		return 0, false, nil, 0, errProtocol
	}
	size = head + int(length)
	if size <= len(b) {
		payload = b[head:size]
	}
	return b[0] & 0x0f, b[0]&0x80 != 0, payload, size, nil
}

// mask is a client's: servers must undo whatever it is.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// send writes one frame.
func (s *socket) send(op byte, payload []byte) error {
	if s.muted.Load() {
		return nil // it gets no farther than this
	}
	if s.tally != nil && op == opText {
		s.tally.up.Add(1)
		s.tally.upBytes.Add(int64(len(payload)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := append(s.out[:0], 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	at := len(b)
	b = append(b, payload...)
	for i := range b[at:] {
		b[at+i] ^= mask[i&3]
	}
	if cap(b) <= 2*smallBuffer {
		s.out = b
	}
	_, err := s.c.Write(b)
	return err
}

// leave ends the connection as a page that is closed does; the peer's answer ends it.
func (s *socket) leave() {
	s.end.Store(endLeft)
	_ = s.send(opClose, []byte{1001 >> 8, 1001 & 0xff}) // the peer has gone already, perhaps
}

// cut ends the connection without goodbye. With reset the peer gets a RST, else a FIN.
func (s *socket) cut(reset bool) {
	if tcp, ok := s.c.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // else it is a FIN, which the test of the reset sees
	}
	_ = s.c.Close() // it may have ended
}
