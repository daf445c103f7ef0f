package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line is somebody's way to the servers: a network that can be cut, or go silent.
type line struct {
	world  *world
	name   string
	silent atomic.Bool // nothing passes, and nobody is told

	mu    sync.Mutex
	conns []*wire
}

// wire is a connection over a line.
type wire struct {
	here, there net.Conn // of the client and of the server, our ends
	stop        context.CancelFunc
	once        sync.Once
}

var errRefused = errors.New("connection refused")

// dial connects to a server that the load balancer chooses.
func (l *line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if _, err := l.world.bus.pass(ctx, onLine, l.name+" dials", l.silent.Load); err != nil {
		return nil, err
	}
	n := l.world.balance(l.name)
	if n == nil {
		return nil, errRefused
	}
	client, here := net.Pipe()
	server, there := net.Pipe()
	run, stop := context.WithCancel(context.Background())
	w := &wire{here: here, there: there, stop: stop}
	l.mu.Lock()
	l.conns = append(l.conns, w)
	l.mu.Unlock()
	l.carry(run, w, here, there, l.name+" up "+n.id)
	l.carry(run, w, there, here, l.name+" down "+n.id)
	select {
	case n.accept <- server:
		return client, nil
	case <-n.down:
		w.end()
		return nil, errRefused
	case <-ctx.Done():
		w.end()
		return nil, ctx.Err()
	}
}

func (w *wire) end() {
	w.once.Do(func() {
		w.stop()
		_ = w.here.Close()
		_ = w.there.Close()
	})
}

// cut ends what is open.
func (l *line) cut() {
	l.mu.Lock()
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	for _, w := range conns {
		w.end()
	}
}

// carry takes bytes from one end to the other, over the bus. Who writes does not wait for it.
func (l *line) carry(ctx context.Context, w *wire, from, to net.Conn, name string) {
	var mu sync.Mutex
	var queue [][]byte
	ended := false
	wake := make(chan struct{}, 1)
	put := func(b []byte) {
		mu.Lock()
		if b == nil {
			ended = true
		} else {
			queue = append(queue, b)
		}
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	l.world.spawn(func() {
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				put(b[:n])
			}
			if err != nil {
				put(nil)
				return
			}
		}
	})
	l.world.spawn(func() {
		defer w.end()
		for {
			mu.Lock()
			var b []byte
			last := ended
			if len(queue) > 0 {
				b, queue, last = queue[0], queue[1:], false
			}
			mu.Unlock()
			if b == nil && !last {
				select {
				case <-wake:
					continue
				case <-ctx.Done():
					return
				}
			}
			if _, err := l.world.bus.pass(ctx, onLine, name, l.silent.Load); err != nil || last {
				return
			}
			_ = to.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := to.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				return
			} else if err != nil {
				return
			}
		}
	})
}

// doors is a server's listener.
type doors struct {
	node *server
}

// Accept implements net.Listener.
func (d doors) Accept() (net.Conn, error) {
	select {
	case c := <-d.node.accept:
		return c, nil
	case <-d.node.down:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (d doors) Close() error { return nil }

// Addr implements net.Listener.
func (d doors) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }
