package redistest

import (
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on and can be cut, as a network is: connections stay, but
// nothing passes, and new ones get no answer.
type Proxy struct {
	to       string
	listener net.Listener

	mu     sync.Mutex
	open   sync.Cond
	cut    bool
	closed bool
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// NewProxy starts one that ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{to: to, listener: l, conns: map[net.Conn]struct{}{}}
	p.open.L = &p.mu
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// URL is Address as a Redis URL.
func (p *Proxy) URL() string { return "redis://" + p.Address() }

// Cut lets nothing pass any more.
func (p *Proxy) Cut() { p.set(true) }

// Heal ends Cut: what was held back passes.
func (p *Proxy) Heal() { p.set(false) }

func (p *Proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	p.open.Broadcast()
}

// wait holds back while the proxy is cut; false: it is closed.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cut && !p.closed {
		p.open.Wait()
	}
	return !p.closed
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.keep(c) {
			return
		}
		p.wg.Go(func() {
			defer p.drop(c)
			if !p.wait() {
				return
			}
			far, err := net.Dial("tcp", p.to)
			if err != nil || !p.keep(far) {
				return
			}
			defer p.drop(far)
			var both sync.WaitGroup
			both.Go(func() { p.pass(far, c) })
			both.Go(func() { p.pass(c, far) })
			both.Wait()
		})
	}
}

// pass copies until one end closes, and then closes the other.
func (p *Proxy) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.wait() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.open.Broadcast()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
