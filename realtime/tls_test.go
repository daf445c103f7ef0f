package realtime_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"vigil"
	"vigil/realtime/client"
)

// TestASocketOverTLSSendsAndGetsItsAcks: such a connection has a goroutine of its own.
func TestASocketOverTLSSendsAndGetsItsAcks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := httptest.NewTLSServer(r.hub)
	defer server.Close()
	s := r.session()
	st := r.student(s, func(c *client.Config) {
		c.HTTPClient = server.Client()
		c.TokenSource = func(ctx context.Context) (client.Token, error) {
			token, _, err := r.tokens.MintSocket(ctx, studentClaims(s))
			return client.Token{Token: token, URL: "wss" + strings.TrimPrefix(server.URL, "https"), Session: s.ID}, err
		}
	})
	for range 20 {
		st.Signal(vigil.KindPrint, 0, nil)
	}
	r.ok(st.Settled(r.ctx))
	if got := r.kinds(s.ID)[vigil.KindPrint]; got != 20 {
		t.Errorf("stored: got %d, want 20", got)
	}
	st.Close()
	r.until("gone", func() bool { return r.hub.Stats().Sockets == 0 })
	server.Client().CloseIdleConnections()
}
