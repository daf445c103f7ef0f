package realtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/coder/websocket"
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
		r.ok(ws.Close(code, ""))
		var ce websocket.CloseError
		if err := <-ended; !errors.As(err, &ce) || ce.Code != code {
			t.Errorf("goodbye: got %v, want %d", err, code)
		}
	}
	if s := r.hub.Stats(); s.Malformed != 0 {
		t.Errorf("malformed: got %d, want none", s.Malformed)
	}
	r.until("all gone", func() bool { return r.hub.Stats().Sockets == 0 })
}
