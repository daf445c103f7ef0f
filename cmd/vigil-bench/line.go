//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// line is a path to a server that can be dropped: a relay on this machine that carries
// bytes both ways until it is told to carry none. Neither end hears of that: its kernel
// still acknowledges what it is sent, and nothing is ever answered, as with a peer behind
// a proxy or a translator of addresses that has gone.
type line struct {
	l    net.Listener
	to   string
	done chan struct{}

	mu    sync.Mutex
	pipes map[string]*pipe // by the client's address
	all   []net.Conn
	work  sync.WaitGroup
}

type pipe struct {
	dropped atomic.Bool
}

// newLine listens on a free port.
func newLine(ctx context.Context, to string) (*line, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &line{l: l, to: to, done: make(chan struct{}), pipes: map[string]*pipe{}}
	r.work.Go(r.accept)
	return r, nil
}

func (r *line) address() string { return r.l.Addr().String() }

func (r *line) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return // closed
		}
		r.work.Go(func() { r.carry(c) })
	}
}

func (r *line) pipe(client string) *pipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pipes[client]
	if p == nil {
		p = &pipe{}
		r.pipes[client] = p
	}
	return p
}

// drop ends all carrying for a client's connection, without a word to either end.
func (r *line) drop(c net.Conn) { r.pipe(c.LocalAddr().String()).dropped.Store(true) }

func (r *line) carry(client net.Conn) {
	p := r.pipe(client.RemoteAddr().String())
	server, err := net.Dial("tcp", r.to) //nolint:noctx // on this machine, and ended by close
	if err != nil {
		_ = client.Close() // the client sees it
		return
	}
	r.mu.Lock()
	r.all = append(r.all, client, server)
	r.mu.Unlock()
	r.work.Go(func() { r.copy(server, client, p) })
	r.copy(client, server, p)
}

func (r *line) copy(to, from net.Conn, p *pipe) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if p.dropped.Load() {
			<-r.done // what came is lost, and so is the end
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = from.Close() // it has failed
			}
			_ = to.Close() // the other end has gone
			return
		}
	}
}

// close ends the relay and everything that goes through it.
func (r *line) close() {
	close(r.done)
	_ = r.l.Close() // it listens no more, whatever it says
	r.mu.Lock()
	for _, c := range r.all {
		_ = c.Close() // it may have ended
	}
	r.mu.Unlock()
	r.work.Wait()
}
