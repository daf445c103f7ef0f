// Package netpoll holds TCP connections of which there are many and most are quiet. A
// goroutine that waits in a Read costs a stack and a buffer for each of them; here they
// cost a few words: one goroutine waits for all (on Linux, by epoll), and reads into a
// buffer that all share. Elsewhere, and for what is no plain TCP connection, each has its
// goroutine all the same.
package netpoll

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"
)

// Conn is one connection. Close is called last, after Handler.Ended if Start was called;
// the other methods may be called at the same time, and do nothing from Close on.
type Conn interface {
	// Start begins to read. It is called at most once.
	Start(h Handler) error
	// Write gives to the kernel what it takes at once. When that is not everything, err is
	// ErrFull, and Handler.Writable follows when there is room again.
	Write(p []byte) (n int, err error)
	// Shut ends the connection in both directions: Handler.Ended follows.
	Shut()
	// Close frees what the connection holds.
	Close()
}

// Handler is told what happens to a Conn. Read and Ended come one after the other; Writable
// may come beside them. They must not wait for anything, because other connections wait
// for them.
type Handler interface {
	// Read brings bytes that came; they are the handler's to change, until it returns.
	Read(p []byte)
	// Writable follows a Write that returned ErrFull.
	Writable()
	// Ended is the last call: nothing more can be read, be it that the other side has closed
	// (io.EOF), that the connection broke, or Shut.
	Ended(err error)
}

// lastWrite is how long Shut leaves to what is being written.
const lastWrite = time.Second

// ErrFull is a Write of which the kernel took a part, or nothing, because the other side
// is slow to read.
var ErrFull = errors.New("the connection takes no more for now")

// readSize is how much is read at once. It is a few messages; what is longer comes in
// parts, so that others have their turn between them.
const readSize = 16 << 10

// blocking is a Conn with a goroutine of its own, and another while something is written.
type blocking struct {
	conn net.Conn
	wg   sync.WaitGroup

	mu      sync.Mutex
	h       Handler
	writing bool
	refused bool // a Write came meanwhile
	shut    bool
	err     error // of writing
}

// Blocking makes a Conn of any connection, which has a goroutine of its own from Start until
// Ended. The connection is the Conn's from then on.
func Blocking(conn net.Conn) Conn { return &blocking{conn: conn} }

// Start implements Conn.
func (e *blocking) Start(h Handler) error {
	e.mu.Lock()
	e.h = h
	room := e.refused && !e.writing // there was nobody to tell
	if room {
		e.refused = false
	}
	e.mu.Unlock()
	if room {
		h.Writable()
	}
	go func() {
		buf := make([]byte, readSize/8)
		for {
			n, err := e.conn.Read(buf)
			if n > 0 {
				h.Read(buf[:n])
			}
			if err != nil {
				h.Ended(err)
				return
			}
		}
	}()
	return nil
}

// Write implements Conn: one Write at a time is under way, and the kernel's room is what
// that one takes.
func (e *blocking) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.shut:
		return 0, net.ErrClosed
	case e.err != nil:
		return 0, e.err
	case e.writing:
		e.refused = true
		return 0, ErrFull
	}
	e.writing = true
	p = bytes.Clone(p)
	e.wg.Go(func() {
		_, err := e.conn.Write(p)
		e.mu.Lock()
		e.writing, e.err = false, err
		h, shut := e.h, e.shut
		room := e.refused && h != nil // or Start tells
		if room {
			e.refused = false
		}
		e.mu.Unlock()
		switch {
		case err != nil || shut:
			_ = e.conn.Close() // the reader tells of it
		case room:
			h.Writable()
		}
	})
	return len(p), nil
}

// Shut implements Conn.
func (e *blocking) Shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.shut:
	case e.writing: // closed when that is done, or takes too long
		_ = e.conn.SetWriteDeadline(time.Now().Add(lastWrite)) // it may be closed already
	default:
		// Not here: TLS says goodbye first, and waits for a peer that does not read.
		e.wg.Go(func() { _ = e.conn.Close() }) // it may be closed already
	}
	e.shut = true
}

// Close implements Conn.
func (e *blocking) Close() {
	e.Shut()
	e.wg.Wait()
	_ = e.conn.Close() // it may be closed already
}
