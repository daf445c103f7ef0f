package netpoll

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Poll watches connections in one goroutine, which exists once there is one to watch. It
// waits by epoll, level-triggered, and for that epoll's own descriptor it waits as for any
// file of Go's: so no thread is held, and a round in which many connections have something
// to say wakes one goroutine. The zero Poll is ready; Close ends it.
type Poll struct {
	once   sync.Once
	failed error // of begin
	closed atomic.Bool

	file  *os.File // of the epoll
	raw   syscall.RawConn
	fd    int
	ended chan struct{}

	mu    sync.Mutex
	conns []*polledConn // by descriptor
}

func (p *Poll) begin() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or Go would not wait for it
		_ = unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.fd, p.file, p.ended = fd, os.NewFile(uintptr(fd), "epoll"), make(chan struct{})
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return err
	}
	go p.run()
	return nil
}

// Close ends the watching. Connections that are still open are told nothing more, and none can
// be taken any more.
func (p *Poll) Close() {
	p.once.Do(func() { p.failed = net.ErrClosed })
	if p.failed == nil {
		p.closed.Store(true)
		_ = p.file.Close() // wakes run
		<-p.ended
	}
}

// Take makes a Conn of a connection, which is the Conn's from then on; after an error it is
// still the caller's to close. Only a plain TCP connection can be watched together with
// others; any other gets a goroutine of its own.
func (p *Poll) Take(conn net.Conn) (Conn, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return Blocking(conn), nil
	}
	p.once.Do(func() { p.failed = p.begin() })
	switch {
	case p.failed != nil:
		return nil, p.failed
	case p.closed.Load():
		return nil, net.ErrClosed
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	// A descriptor of our own, because Go's poller would go on being woken for its one.
	var fd int
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	switch {
	case err != nil:
		return nil, err
	case dup != nil:
		return nil, os.NewSyscallError("fcntl", dup)
	}
	if err := tcp.Close(); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &polledConn{p: p, fd: fd}, nil
}

func (p *Poll) conn(fd int32) *polledConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(fd) >= len(p.conns) {
		return nil
	}
	return p.conns[fd]
}

func (p *Poll) set(fd int, l *polledConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.conns) {
		p.conns = append(p.conns, make([]*polledConn, fd+1-len(p.conns))...)
	}
	p.conns[fd] = l
}

// maxEvents is how many connections one look tells of.
const maxEvents = 256

func (p *Poll) run() {
	defer close(p.ended)
	events := make([]unix.EpollEvent, maxEvents)
	buf := make([]byte, readSize)
	for {
		var n int
		var failed error
		err := p.raw.Read(func(fd uintptr) bool {
			for {
				if n, failed = unix.EpollWait(int(fd), events, 0); failed != unix.EINTR {
					return n != 0 || failed != nil
				}
			}
		})
		if err != nil || failed != nil {
			return // closed: nothing else can make it fail
		}
		for i := range events[:n] {
			if l := p.conn(events[i].Fd); l != nil {
				l.serve(events[i].Events, buf)
			}
		}
	}
}

// polledConn is a Conn of a Poll.
type polledConn struct {
	p *Poll
	h Handler // set before it is watched

	// The descriptor's number is another connection's as soon as it is closed: whoever uses
	// it holds mu, but for the poll's goroutine until Ended.
	mu      sync.Mutex
	fd      int
	watched bool
	full    bool
	closed  bool
}

// Start implements Conn.
func (l *polledConn) Start(h Handler) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.h = h
	l.p.set(l.fd, l)
	if err := l.control(unix.EPOLL_CTL_ADD); err != nil {
		l.p.set(l.fd, nil)
		return err
	}
	l.watched = true
	return nil
}

// control says what is waited for. l.mu is held.
func (l *polledConn) control(op int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.fd)}
	if l.full {
		e.Events |= unix.EPOLLOUT
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.p.fd, op, l.fd, &e))
}

// Write implements Conn.
func (l *polledConn) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, net.ErrClosed
	}
	done := 0
	for done < len(p) {
		n, err := unix.Write(l.fd, p[done:])
		switch err {
		case nil:
			done += n
		case unix.EINTR:
		case unix.EAGAIN:
			if !l.full {
				l.full = true
				if l.watched {
					if err := l.control(unix.EPOLL_CTL_MOD); err != nil {
						return done, err
					}
				}
			}
			return done, ErrFull
		default:
			return done, os.NewSyscallError("write", err)
		}
	}
	return done, nil
}

// serve looks what came. It is called by the poll's goroutine.
func (l *polledConn) serve(events uint32, buf []byte) {
	if events&unix.EPOLLOUT != 0 && l.emptied() {
		l.h.Writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	for {
		n, err := unix.Read(l.fd, buf)
		switch {
		case err == unix.EINTR: //nolint:errorlint // a number
			continue
		case err == unix.EAGAIN: //nolint:errorlint // a number
		case err == nil && n > 0:
			l.h.Read(buf[:n])
		default:
			// Or it would be told of again and again, until the descriptor is closed.
			_ = unix.EpollCtl(l.p.fd, unix.EPOLL_CTL_DEL, l.fd, nil)
			l.p.set(l.fd, nil)
			if err != nil {
				err = os.NewSyscallError("read", err)
			} else {
				err = io.EOF
			}
			l.h.Ended(err)
		}
		return
	}
}

// emptied notes that there is room again.
func (l *polledConn) emptied() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.full {
		return false
	}
	l.full = false
	return l.control(unix.EPOLL_CTL_MOD) == nil // or it has ended, which is told next
}

// Shut implements Conn.
func (l *polledConn) Shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR) // the other side may have been faster
	}
}

// Close implements Conn.
func (l *polledConn) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		_ = unix.Close(l.fd) // which also ends the watching
	}
}
