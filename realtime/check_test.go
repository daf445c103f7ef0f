package realtime_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"vigil/realtime/protocol"
)

// offer makes a request offer subprotocols.
func offer(list ...string) func(h http.Header) {
	return func(h http.Header) { h.Set("Sec-WebSocket-Protocol", strings.Join(list, ", ")) }
}

func TestATrialSocketIsOpenedAndClosedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ws, _, err := websocket.Dial(r.ctx, r.url(), &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {platformOrigin}}, Subprotocols: []string{protocol.Subprotocol, protocol.CheckSubprotocol},
	})
	r.ok(err)
	if got := ws.Subprotocol(); got != protocol.Subprotocol {
		t.Errorf("subprotocol: got %q, want %q", got, protocol.Subprotocol)
	}
	_, _, err = ws.Read(r.ctx)
	if got := websocket.CloseStatus(err); got != websocket.StatusNormalClosure {
		t.Fatalf("close status: got %d (%v), want %d", got, err, websocket.StatusNormalClosure)
	}
	if !strings.Contains(err.Error(), protocol.CheckReason) {
		t.Errorf("close: got %v, want the reason %q", err, protocol.CheckReason)
	}
	if got := r.hub.Stats().Sockets; got != 0 {
		t.Errorf("sockets: got %d, want 0", got)
	}
}

func TestTrialSocketsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.mint(studentClaims(r.session()))
	both := offer(protocol.Subprotocol, protocol.CheckSubprotocol)
	for _, row := range []struct {
		name string
		edit func(h http.Header)
		want int
	}{
		{"a foreign origin", func(h http.Header) { both(h); h.Set("Origin", "https://other.example") }, 403},
		{"no origin", func(h http.Header) { both(h); h.Del("Origin") }, 403},
		{"no upgrade", func(h http.Header) { both(h); h.Del("Upgrade") }, 426},
		{"twice", offer(protocol.Subprotocol, protocol.CheckSubprotocol, protocol.CheckSubprotocol), 401},
		{"beside a token", offer(protocol.Subprotocol, protocol.CheckSubprotocol, protocol.TokenSubprotocol+good), 401},
		{"another one beside", offer(protocol.CheckSubprotocol, "chat"), 401},
	} {
		if got, _, _ := r.ask(row.edit); got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, got, row.want)
		}
	}
	r.hub.Drain(r.ctx)
	if got, p, _ := r.ask(both); got != 503 || p.Duty != protocol.DutyRetry {
		t.Errorf("draining: got %d %q, want 503 retry", got, p.Duty)
	}
}

// Peers that do not answer the close keep their place for five seconds.
func TestOnlySoManyTrialSocketsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dial := func() error {
		// Nothing reads from it, so the close stays without an answer.
		ws, resp, err := websocket.Dial(r.ctx, r.url(), &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": {platformOrigin}}, Subprotocols: []string{protocol.Subprotocol, protocol.CheckSubprotocol},
		})
		if err == nil {
			t.Cleanup(func() { ws.CloseNow() })
			return nil
		}
		if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("got %v, want an open socket or 503", err)
		}
		return err
	}
	r.until("a trial socket to be refused", func() bool { return dial() != nil })
	r.until("a place to be free again", func() bool { return dial() == nil })
}
