package realtime_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil/realtime/protocol"
)

func TestAClientsPingAndGoodbyeAreAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, code := range []websocket.StatusCode{websocket.StatusNormalClosure, websocket.StatusGoingAway, 4321} {
		ws := r.raw(studentClaims(r.session()))
		ended := make(chan error, 1)
		go func() {
			for {
				if _, _, err := ws.Read(context.Background()); err != nil {
					ended <- err
					return
				}
			}
		}()
		w, err := ws.Writer(r.ctx, websocket.MessageText)
		r.ok(err)
		_, err = w.Write([]byte(hello[:5]))
		r.ok(err)
		r.ok(ws.Ping(r.ctx)) // within a message
		_, err = w.Write([]byte(hello[5:]))
		r.ok(err)
		r.ok(w.Close())
		r.ok(ws.Ping(r.ctx))
		r.ok(ws.Close(code, "")) // has waited for the answer; it or the reader has read it
		var ce websocket.CloseError
		if err := <-ended; !errors.Is(err, net.ErrClosed) && (!errors.As(err, &ce) || ce.Code != code) {
			t.Errorf("goodbye: got %v, want %d", err, code)
		}
	}
	if s := r.hub.Stats(); s.Malformed != 0 {
		t.Errorf("malformed: got %d, want none", s.Malformed)
	}
	r.until("all gone", func() bool { return r.hub.Stats().Sockets == 0 })
}

// masked is a text frame as a client sends it, with a mask that changes nothing.
func masked(text string) string {
	return "\x81" + string([]byte{0x80 | byte(len(text))}) + "\x00\x00\x00\x00" + text
}

// TestWhatComesWithTheUpgradeRequestIsRead: a client may speak before it has the answer.
func TestWhatComesWithTheUpgradeRequestIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	token, _, err := r.tokens.MintSocket(r.ctx, studentClaims(s))
	r.ok(err)
	c, err := (&net.Dialer{}).DialContext(r.ctx, "tcp", strings.TrimPrefix(r.server.URL, "http://"))
	r.ok(err)
	defer c.Close()
	_, err = c.Write([]byte("GET /socket HTTP/1.1\r\nHost: vigil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " + platformOrigin + "\r\nSec-WebSocket-Protocol: vigil.v1, vigil.token." + token + "\r\n\r\n" +
		masked(hello) + masked(`{"t":"time","at":4711}`)))
	r.ok(err)
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	r.ok(err)
	r.ok(res.Body.Close())
	var got []byte
	for buf := make([]byte, 4096); !bytes.Contains(got, []byte(`"at":4711`)); {
		n, err := in.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("the answer did not come: %v after %q", err, got)
		}
	}
}

// TestTheHubClosesWhileSocketsAreBeingOpened: none of them is overlooked and waited for.
func TestTheHubClosesWhileSocketsAreBeingOpened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var dials sync.WaitGroup
	closed := make(chan struct{})
	for range 40 {
		token, _, err := r.tokens.MintSocket(r.ctx, studentClaims(r.session()))
		r.ok(err)
		dials.Go(func() {
			ws, _, err := websocket.Dial(r.ctx, r.url(), &websocket.DialOptions{
				HTTPHeader: http.Header{"Origin": {platformOrigin}}, Subprotocols: []string{protocol.Subprotocol, protocol.TokenSubprotocol + token},
			})
			if err != nil {
				return // too late
			}
			<-closed // nothing is read: no goodbye is answered
			_ = ws.CloseNow()
		})
	}
	r.until("some are open", func() bool { return r.hub.Stats().Sockets > 2 })
	go func() { defer close(closed); r.hub.Close() }()
	select {
	case <-closed:
	case <-time.After(8 * time.Second): // a goodbye that is not answered is waited for longer
		t.Error("Close waits for a socket that nobody ends")
	}
	dials.Wait()
}
