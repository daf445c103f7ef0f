package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"

	"vigil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// scholar is a pupil who can be held back from the network.
type scholar struct {
	*pupil
	gate   *gate
	saving atomic.Bool // the server said that saving takes longer
}

// gate is a student's network. Closed, nothing new gets through.
type gate struct {
	http.RoundTripper
	mu   sync.Mutex
	open chan struct{} // closed when it is open
}

func newGate(next http.RoundTripper) *gate {
	g := &gate{RoundTripper: next, open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return g.RoundTripper.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// watcher is a proctor who remembers what was told.
type watcher struct {
	*client.Proctor
	mu    sync.Mutex
	lost  map[string]int // changes to lost, by session and epoch
	last  map[string]vigil.Connection
	relay bool // the notice that other servers come late is up
	late  int  // times that it was
}

func (w *watcher) frame(t protocol.Type, raw json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch t {
	case protocol.TypeWelcome:
		w.relay = false
	case protocol.TypeNotice:
		var n protocol.Notice
		if json.Unmarshal(raw, &n) == nil && n.Kind == protocol.NoticeRelay {
			if !n.Over && !w.relay {
				w.late++
			}
			w.relay = !n.Over
		}
	case protocol.TypeSession:
		var d protocol.SessionDelta
		if json.Unmarshal(raw, &d) == nil && d.Row.Conn != nil {
			if d.Row.Conn.Conn == vigil.ConnLost && w.last[d.Row.ID] != vigil.ConnLost {
				w.lost[d.Row.ID]++
			}
			w.last[d.Row.ID] = d.Row.Conn.Conn
		}
	}
}

func (w *watcher) told(session string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[session]
}

func (w *watcher) behind() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.relay
}
