package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"vigil"
)

// probePath is the public address at which `vigil doctor` asks how its requests arrive.
const probePath = "/api/v1/connection"

// Bounds of the probe.
const (
	maxQuiet   = 8            // quiet sockets at once; they need no token
	quietEnded = "quiet over" // the reason with which a quiet socket is closed in order
)

// probed is what the probe answers: how a request of the asker's own arrived. It tells
// nothing of anybody else.
type probed struct {
	Node      string `json:"node"`
	Now       int64  `json:"now"`       // ms since the Unix epoch, by the server's clock
	Protocol  string `json:"protocol"`  // in which the request arrived, such as HTTP/1.1
	Forwarded bool   `json:"forwarded"` // whether it had X-Forwarded-For
	Trusted   bool   `json:"trusted"`   // whether that counts from where the request came
	Quiet     int64  `json:"quiet"`     // ms for which a socket here stays quiet
}

// probe answers at probePath and passes everything else on. As a WebSocket it sends nothing
// for as long as two pings may be apart, twice, and closes in order then: a proxy that
// closes quiet connections sooner is found out.
type probe struct {
	next    http.Handler
	node    string
	origin  string
	now     func() time.Time
	quiet   time.Duration
	proxies []netip.Prefix

	ctx    context.Context // ends with the server
	stop   context.CancelFunc
	open   atomic.Int64
	mu     sync.Mutex // guards closed, so that wg is not added to after Wait
	closed bool
	wg     sync.WaitGroup
}

func newProbe(next http.Handler, node, origin string, now func() time.Time, l vigil.Liveness, proxies []netip.Prefix) *probe {
	p := &probe{next: next, node: node, origin: origin, now: now, quiet: quietTime(l), proxies: proxies}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// quietTime is how long a connection must be able to stay quiet.
func quietTime(l vigil.Liveness) time.Duration { return 2*l.PingEvery + l.PongWait }

// close ends the quiet sockets and waits for them.
func (p *probe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.wg.Wait()
}

func (p *probe) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.open.Load() >= maxQuiet {
		return false
	}
	p.open.Add(1)
	p.wg.Add(1)
	return true
}

// ServeHTTP implements http.Handler.
func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != probePath || r.Method != http.MethodGet {
		p.next.ServeHTTP(w, r)
		return
	}
	if r.Header.Get("Upgrade") != "" {
		p.serveQuiet(w, r)
		return
	}
	answer := probed{
		Node: p.node, Now: p.now().UnixMilli(), Protocol: r.Proto, Forwarded: r.Header.Get("X-Forwarded-For") != "", Quiet: p.quiet.Milliseconds(),
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		for _, n := range p.proxies {
			answer.Trusted = answer.Trusted || n.Contains(from.Addr().Unmap().WithZone(""))
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(answer) // who asked has gone
}

func (p *probe) serveQuiet(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != p.origin {
		http.Error(w, "another origin than the public URL's", http.StatusForbidden)
		return
	}
	if !p.begin() {
		http.Error(w, "too many connections are being tried at once", http.StatusServiceUnavailable)
		return
	}
	defer p.wg.Done()
	defer p.open.Add(-1)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil { // Accept has answered
		return
	}
	ws.SetReadLimit(1)
	gone := ws.CloseRead(r.Context())
	t := time.NewTimer(p.quiet)
	defer t.Stop()
	select {
	case <-t.C:
		_ = ws.Close(websocket.StatusNormalClosure, quietEnded)
	case <-p.ctx.Done():
		_ = ws.Close(websocket.StatusGoingAway, "the server stops")
	case <-gone.Done():
		_ = ws.CloseNow()
	}
}
