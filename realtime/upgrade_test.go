package realtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
)

// ask sends an upgrade request and returns the answer's status and problem.
func (r *rig) ask(edit func(h http.Header)) (int, protocol.Problem, http.Header) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.server.URL+"/socket", nil)
	r.ok(err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	req.Header.Set("Origin", platformOrigin)
	edit(req.Header)
	resp, err := http.DefaultClient.Do(req)
	r.ok(err)
	defer resp.Body.Close()
	var p protocol.Problem
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			r.Fatalf("status %d: the body is no problem: %v", resp.StatusCode, err)
		}
		if got, want := resp.Header.Get("Content-Type"), "application/problem+json"; got != want {
			r.Fatalf("content type: got %q, want %q", got, want)
		}
	}
	return resp.StatusCode, p, resp.Header
}

func protocols(tokens ...string) func(h http.Header) {
	return func(h http.Header) {
		list := []string{protocol.Subprotocol}
		for _, t := range tokens {
			list = append(list, protocol.TokenSubprotocol+t)
		}
		h.Set("Sec-WebSocket-Protocol", strings.Join(list, ", "))
	}
}

func TestUpgradesThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.AllowOrigin = func(_ context.Context, o string) (bool, error) {
			if o == "https://down.example" {
				return false, errors.New("disk")
			}
			return o == platformOrigin, nil
		}
		c.Allow = func(_ context.Context, c vigil.SocketClaims, _ string) error {
			if c.Name == "barred" {
				return vigil.Errorf(vigil.CodeForbidden, "barred")
			}
			return nil
		}
	})
	s, other := r.session(), r.session()
	ended := r.session(func(s *vigil.Session) { s.State = vigil.StateSubmitted })
	over := r.session(func(s *vigil.Session) { s.End = time.Now().Add(-time.Hour) })
	good := r.mint(studentClaims(s))
	with := func(f func(c *vigil.SocketClaims), c vigil.SocketClaims) string {
		f(&c)
		return r.mint(c)
	}
	header := func(k, v string) func(http.Header) {
		return func(h http.Header) { protocols(good)(h); h.Set(k, v) }
	}
	rows := []struct {
		name   string
		edit   func(h http.Header)
		status int
		code   vigil.Code
		duty   protocol.Duty
	}{
		{"no origin", func(h http.Header) { protocols(good)(h); h.Del("Origin") }, 403, vigil.CodeForbidden, protocol.DutyStop},
		{"foreign origin", header("Origin", "https://evil.example"), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"origin null", header("Origin", "null"), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"origin with a path", header("Origin", platformOrigin+"/x"), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"origin in capitals", header("Origin", "HTTPS://LMS.EXAMPLE"), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"origin that only begins like a platform's", header("Origin", platformOrigin+".evil.example"), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"two origins", func(h http.Header) { protocols(good)(h); h.Add("Origin", platformOrigin) }, 403, vigil.CodeForbidden, protocol.DutyStop},
		{"platforms cannot be read", header("Origin", "https://down.example"), 503, vigil.CodeUnavailable, protocol.DutyRetry},
		{"no subprotocol", func(http.Header) {}, 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"no token", protocols(), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"empty token", protocols(""), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"two tokens", protocols(good, good), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"token without our subprotocol", header("Sec-WebSocket-Protocol", protocol.TokenSubprotocol+good), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"another subprotocol beside", header("Sec-WebSocket-Protocol", "vigil.v1, chat, "+protocol.TokenSubprotocol+good), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"another version", header("Sec-WebSocket-Protocol", "vigil.v2, "+protocol.TokenSubprotocol+good), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"ours twice", header("Sec-WebSocket-Protocol", "vigil.v1, vigil.v1, "+protocol.TokenSubprotocol+good), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"unknown token", protocols("nonsense"), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"expired token", protocols(with(func(c *vigil.SocketClaims) { c.Expires = time.Now().Add(-time.Second) }, studentClaims(s))), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"renewals over", protocols(with(func(c *vigil.SocketClaims) {
			c.Expires = time.Now().Add(time.Minute)
			c.Until = time.Now().Add(-time.Second)
		}, r.proctorClaims())), 401, vigil.CodeUnauthorized, protocol.DutyRenew},
		{"someone else's attempt", protocols(with(func(c *vigil.SocketClaims) { c.Session = other.ID }, studentClaims(s))), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"unknown attempt", protocols(with(func(c *vigil.SocketClaims) { c.Session = "none" }, studentClaims(s))), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"student of another exam", protocols(with(func(c *vigil.SocketClaims) { c.Exam = "other" }, studentClaims(s))), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"ended attempt", protocols(r.mint(studentClaims(ended))), 403, vigil.CodeIllegal, protocol.DutyStop},
		{"attempt whose time is over", protocols(r.mint(studentClaims(over))), 403, vigil.CodeIllegal, protocol.DutyStop},
		{"no role", protocols(with(func(c *vigil.SocketClaims) { c.Role = "" }, studentClaims(s))), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"proctor with a session's token", protocols(with(func(c *vigil.SocketClaims) { c.Role = vigil.RoleProctor }, studentClaims(s))), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"student with an exam's token", protocols(with(func(c *vigil.SocketClaims) { c.Role = vigil.RoleStudent }, r.proctorClaims())), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"system role", protocols(with(func(c *vigil.SocketClaims) { c.Role = vigil.RoleSystem }, r.proctorClaims())), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"unknown exam", protocols(with(func(c *vigil.SocketClaims) { c.Exam = "none" }, r.proctorClaims())), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"barred by Allow", protocols(with(func(c *vigil.SocketClaims) { c.Name = "barred" }, r.proctorClaims())), 403, vigil.CodeForbidden, protocol.DutyStop},
		{"no upgrade", func(h http.Header) { protocols(good)(h); h.Del("Upgrade") }, 426, vigil.CodeInvalid, protocol.DutyStop},
	}
	for _, row := range rows {
		status, p, h := r.ask(row.edit)
		if status != row.status || p.Code != row.code || p.Duty != row.duty || p.Status != row.status || p.Detail == "" {
			t.Errorf("%s: got %d %q %q, want %d %q %q (%q)", row.name, status, p.Code, p.Duty, row.status, row.code, row.duty, p.Detail)
		}
		if h.Get("Sec-WebSocket-Protocol") != "" || strings.Contains(p.Detail, good) {
			t.Errorf("%s: the refusal answers a subprotocol or repeats the token", row.name)
		}
	}
	if got, want := r.hub.Stats().Refused, int64(len(rows)); got != want {
		t.Errorf("counted refusals: got %d, want %d", got, want)
	}
}

func TestUpgradesAreRefusedWhenThePartsDoNotAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	token := r.mint(studentClaims(s))
	for _, method := range []string{"Session", "Exam", "NextEpoch"} {
		r.store.set(method, errDown)
		if status, p, _ := r.ask(protocols(token)); status != 503 || p.Duty != protocol.DutyRetry || p.Wait == 0 {
			t.Errorf("%s away: got %d %q, want 503 retry with a wait", method, status, p.Duty)
		}
		r.store.set(method, nil)
	}
	r.tokens.mu.Lock()
	r.tokens.fail = errDown
	r.tokens.mu.Unlock()
	if status, p, _ := r.ask(protocols(token)); status != 503 || p.Duty != protocol.DutyRetry {
		t.Errorf("keys away: got %d %q, want 503 retry", status, p.Duty)
	}
	r.tokens.mu.Lock()
	r.tokens.fail = nil
	r.tokens.mu.Unlock()
	r.ok(r.hub.Drain(r.ctx))
	if status, p, _ := r.ask(protocols(token)); status != 503 || p.Duty != protocol.DutyRetry {
		t.Errorf("draining: got %d %q, want 503 retry", status, p.Duty)
	}
	if r.hub.Ready() {
		t.Error("ready while draining")
	}
}

func TestTheAnswerNamesOurSubprotocolOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ws := r.raw(studentClaims(r.session()))
	if got := ws.Subprotocol(); got != protocol.Subprotocol {
		t.Fatalf("subprotocol: got %q, want %q", got, protocol.Subprotocol)
	}
}

func TestTheNewestSocketOfASessionIsTakenWhereThreeAreSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.WriteWait = time.Minute })
	s := r.session()
	// Peers that never read, so that superseded sockets stay until their closing handshake times out.
	for range 3 {
		r.raw(studentClaims(s))
	}
	// One that is still being opened is not ended for another.
	r.until("three open sockets", func() bool { return r.hub.Stats().Sockets == 3 })
	for range 5 {
		w := r.comes(s)
		var welcome protocol.Welcome
		w.next(protocol.TypeWelcome, &welcome)
	}
	r.raw(studentClaims(r.session())) // others are not concerned
	r.until("no more than three of the one, and the other's", func() bool { return r.hub.Stats().Sockets <= 4 })
}

func TestANodeThatIsFullRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) { c.Limits.Sockets = 1 })
	r.raw(studentClaims(r.session()))
	r.until("the first socket to count", func() bool { return r.hub.Stats().Sockets == 1 })
	if status, _, _ := r.ask(protocols(r.mint(studentClaims(r.session())))); status != 503 {
		t.Fatalf("second socket: got %d, want 503", status)
	}
}

// raw opens a socket that the test speaks on by itself.
func (r *rig) raw(c vigil.SocketClaims, headers ...string) *websocket.Conn {
	r.Helper()
	return r.rawWith(r.mint(c), headers...)
}

func (r *rig) rawWith(token string, headers ...string) *websocket.Conn {
	r.Helper()
	h := http.Header{"Origin": {platformOrigin}}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, _, err := websocket.Dial(r.ctx, r.url(), &websocket.DialOptions{
		HTTPHeader: h, Subprotocols: []string{protocol.Subprotocol, protocol.TokenSubprotocol + token},
	})
	r.ok(err)
	ws.SetReadLimit(1 << 20)
	r.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}
