// Package wire is the wire format of WebSocket messages as a server meets it (RFC 6455
// section 5): it takes apart what a client sent, however the bytes come, and makes the
// frames of the answers. It does no I/O and keeps nothing for a connection that is quiet,
// which a library that reads from a connection cannot: its reader waits on a stack and
// in a buffer of its own.
//
// A frame is
//
//	1 byte    0x80 the last of its message | 0x70 reserved | 0x0f opcode
//	1 byte    0x80 masked | length; 126: two more bytes tell it, 127: eight more
//	4 bytes   the mask, where there is one: always from a client, never from a server
//	payload
package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Opcodes (section 11.8).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	final     = 0x80
	reserved  = 0x70
	masked    = 0x80
	control   = 0x8   // bit of the opcodes of control frames
	short     = 125   // the longest payload of one length byte, and of a control frame
	twoBytes  = 126   // the length follows in two bytes
	eightByte = 127   // in eight
	maxTwo    = 65535 // the longest of two bytes
)

// Close codes (section 7.4.1) of what a client may do wrong here.
const (
	CodeProtocol    = 1002
	CodeUnsupported = 1003
	CodeTooBig      = 1009
)

// Error is a client that breaks the rules. Code is the close code that says so.
type Error struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("close %d: %s", e.Code, e.Reason) }

func broken(reason string) error { return &Error{CodeProtocol, reason} }

// Handler takes what came. The bytes are valid until the call returns.
type Handler interface {
	Text(message []byte)
	Ping(payload []byte)
	Pong()
	// Close is the client's close frame, the last thing that is read; code is 0 where it
	// names none.
	Close(code int)
}

// Reader takes one client's frames apart. The zero Reader is ready. It is not for several
// goroutines.
type Reader struct {
	part *part // nil: nothing is half there
	over bool
}

// part is what came of something that is not whole yet.
type part struct {
	rest    []byte // of a frame
	message []byte // of a message in several frames
	within  bool   // such a message is under way
}

// Read takes the next bytes; it may change them. A message longer than limit, and
// anything that is not text, is an *Error, as are frames that break the rules. After an
// error or a close frame everything else is ignored.
func (r *Reader) Read(data []byte, limit int, h Handler) error {
	if r.over {
		return nil
	}
	if r.part != nil && len(r.part.rest) > 0 {
		r.part.rest = append(r.part.rest, data...)
		data = r.part.rest
	}
	for !r.over {
		n, err := r.frame(data, limit, h)
		if err != nil {
			r.over, r.part = true, nil
			return err
		}
		if n == 0 {
			break
		}
		data = data[n:]
	}
	switch {
	case r.over:
		r.part = nil
	case len(data) > 0:
		p := r.started()
		p.rest = append(p.rest[:0], data...)
	case r.part != nil:
		if r.part.rest = nil; !r.part.within {
			r.part = nil
		}
	}
	return nil
}

func (r *Reader) started() *part {
	if r.part == nil {
		r.part = &part{}
	}
	return r.part
}

// frame handles the first frame and returns how long it is, or 0 while it is not whole.
func (r *Reader) frame(data []byte, limit int, h Handler) (int, error) {
	if len(data) < 2 {
		return 0, nil
	}
	op, last := data[0]&0x0f, data[0]&final != 0
	within := r.part != nil && r.part.within
	switch {
	case data[0]&reserved != 0:
		return 0, broken("reserved bits are set")
	case data[1]&masked == 0:
		return 0, broken("a client's frame is not masked")
	case op&control != 0 && (!last || data[1]&^masked > short):
		return 0, broken("a control frame is too long or not whole")
	case op == opBinary:
		return 0, &Error{CodeUnsupported, "text frames only"}
	case op == opText && within:
		return 0, broken("a message begins within another")
	case op == opContinuation && !within:
		return 0, broken("a continuation of nothing")
	}
	size, head := uint64(data[1]&^masked), 2
	switch size {
	case twoBytes:
		if head = 4; len(data) < head {
			return 0, nil
		}
		size = uint64(binary.BigEndian.Uint16(data[2:]))
	case eightByte:
		if head = 10; len(data) < head {
			return 0, nil
		}
		size = binary.BigEndian.Uint64(data[2:])
	}
	had := 0
	if within && op == opContinuation {
		had = len(r.part.message)
	}
	if size > uint64(limit) || had+int(size) > limit {
		return 0, &Error{CodeTooBig, fmt.Sprintf("a message may have %d bytes", limit)}
	}
	end := head + 4 + int(size)
	if len(data) < end {
		return 0, nil
	}
	payload := data[head+4 : end]
	unmask(payload, [4]byte(data[head:]))
	return end, r.take(op, last, payload, h)
}

func (r *Reader) take(op byte, last bool, payload []byte, h Handler) error {
	switch op {
	case opText:
		if last {
			h.Text(payload)
			return nil
		}
		p := r.started()
		p.within = true
		p.message = append(p.message[:0], payload...)
	case opContinuation:
		p := r.part
		p.message = append(p.message, payload...)
		if last {
			h.Text(p.message)
			p.within, p.message = false, nil
		}
	case opPing:
		h.Ping(payload)
	case opPong:
		h.Pong()
	case opClose:
		code, ok := closeCode(payload)
		if !ok {
			return broken("a close frame makes no sense")
		}
		r.over = true
		h.Close(code)
	default:
		return broken("an opcode that nobody knows")
	}
	return nil
}

// closeCode reads a close frame's payload (section 7.4).
func closeCode(payload []byte) (code int, ok bool) {
	switch len(payload) {
	case 0:
		return 0, true
	case 1:
		return 0, false
	}
	code = int(binary.BigEndian.Uint16(payload))
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return 0, false // for use within programs only
	case code >= 1000 && code < 1016, code >= 3000 && code < 5000:
		return code, true
	}
	return 0, false
}

// unmask takes the mask off (section 5.3), eight bytes at a time.
func unmask(b []byte, mask [4]byte) {
	m := uint64(binary.LittleEndian.Uint32(mask[:]))
	m |= m << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^m)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// MaxHead is the longest head of a frame of ours.
const MaxHead = 10

// PutHead writes the head of a text frame right before its payload, which begins at
// b[MaxHead], and returns the whole frame.
func PutHead(b []byte) []byte {
	n := len(b) - MaxHead
	switch {
	case n <= short:
		b = b[MaxHead-2:]
		b[1] = byte(n)
	case n <= maxTwo:
		b = b[MaxHead-4:]
		b[1] = twoBytes
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = eightByte
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = final | opText
	return b
}

// Ping is the frame of a ping without a payload.
var Ping = []byte{final | opPing, 0}

// AppendPong appends the answer to a ping.
func AppendPong(b, payload []byte) []byte {
	return append(append(b, final|opPong, byte(len(payload))), payload...)
}

// AppendClose appends a close frame; a reason that is too long for it is cut between two
// letters, because a client may refuse half of one. Code 0 names none.
func AppendClose(b []byte, code int, reason string) []byte {
	if code == 0 {
		return append(b, final|opClose, 0)
	}
	if most := short - 2; len(reason) > most {
		for !utf8.RuneStart(reason[most]) {
			most--
		}
		reason = reason[:most]
	}
	b = append(b, final|opClose, byte(2+len(reason)))
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	return append(b, reason...)
}
