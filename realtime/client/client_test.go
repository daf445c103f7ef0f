package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a server that does as it is told on each connection, counted from 1.
type script struct {
	*testing.T
	url  string
	ctx  context.Context
	mu   sync.Mutex
	n    int
	got  []string // what clients sent, all connections
	asks int      // of the token source
}

func newScript(t *testing.T, serve func(s *script, n int, ws *websocket.Conn)) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*testutil.Patience)
	s := &script{T: t, ctx: ctx}
	var busy sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Done()
		s.mu.Lock()
		s.n++
		n := s.n
		s.mu.Unlock()
		if r.Header.Get("Sec-WebSocket-Protocol") == "" {
			t.Error("no subprotocol was offered")
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol.Subprotocol}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		serve(s, n, ws)
	}))
	s.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
		busy.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func (s *script) config() client.Config {
	return client.Config{
		Origin: "https://lms.example", BackoffFirst: time.Millisecond, BackoffMost: 5 * time.Millisecond,
		TokenSource: func(context.Context) (client.Token, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asks++
			return client.Token{Token: "token", URL: s.url}, nil
		},
	}
}

func (s *script) say(ws *websocket.Conn, msg string) {
	_ = ws.Write(s.ctx, websocket.MessageText, []byte(msg))
}

// hear reads frames until stop says so or the connection ends.
func (s *script) hear(ws *websocket.Conn, stop func(frame string) bool) {
	for {
		_, msg, err := ws.Read(s.ctx)
		if err != nil {
			return
		}
		list := []json.RawMessage{msg}
		if msg[0] == '[' {
			list = nil
			_ = json.Unmarshal(msg, &list)
		}
		for _, f := range list {
			s.mu.Lock()
			s.got = append(s.got, string(f))
			s.mu.Unlock()
			if stop != nil && stop(string(f)) {
				return
			}
		}
	}
}

func (s *script) heard(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.got {
		if strings.Contains(f, part) {
			n++
		}
	}
	return n
}

const welcome = `{"t":"welcome","role":"student","session":"s","state":"active","now":1,"epoch":1,"version":1,"ping":1}`

func TestEachCloseCodeIsFollowedByItsDuty(t *testing.T) {
	t.Parallel()
	codes := map[websocket.StatusCode]protocol.Duty{
		websocket.StatusGoingAway: protocol.DutyRetry, websocket.StatusInternalError: protocol.DutyRetry,
		websocket.StatusServiceRestart: protocol.DutyRetry,
	}
	for c, d := range protocol.CloseDuty {
		codes[c] = d
	}
	for code, duty := range codes {
		s := newScript(t, func(s *script, n int, ws *websocket.Conn) {
			s.say(ws, welcome)
			if n == 1 {
				reason := ""
				if code == protocol.CloseDrain {
					reason = "1"
				}
				_ = ws.Close(code, reason)
				return
			}
			s.hear(ws, nil)
		})
		c, err := client.Dial(s.ctx, s.config())
		if err != nil {
			t.Fatalf("%d: %v", code, err)
		}
		if duty == protocol.DutyStop {
			<-c.Done()
			var stopped *client.Stopped
			if !errors.As(c.Err(), &stopped) || stopped.Code != code {
				t.Errorf("%d: got %v, want it to stop", code, c.Err())
			}
		} else {
			testutil.Until(t, "back", func() bool { return c.Connects() == 2 })
			s.mu.Lock()
			asks := s.asks
			s.mu.Unlock()
			if want := map[protocol.Duty]int{protocol.DutyRetry: 1, protocol.DutyRenew: 2}[duty]; asks != want {
				t.Errorf("%d (%s): asked for %d tokens, want %d", code, duty, asks, want)
			}
		}
		c.Close()
	}
}

func TestWhatIsNotAcknowledgedIsSentAgainInOrderAfterTheHello(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script, n int, ws *websocket.Conn) {
		s.say(ws, welcome)
		if n == 1 {
			s.hear(ws, func(f string) bool { return strings.Contains(f, `"seq":3`) })
			return // unacknowledged
		}
		s.hear(ws, func(f string) bool {
			if strings.Contains(f, `"seq":3`) {
				s.say(ws, `{"t":"ack","stream":"abcdefghijklmnop","seqs":[1,2,3]}`)
			}
			return false
		})
	})
	cfg := s.config()
	cfg.Stream = "abcdefghijklmnop"
	c, err := client.Dial(s.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		c.Signal(vigil.KindCopy, 0, nil)
	}
	if err := c.Settled(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	second := s.got[len(s.got)-4:]
	for i, part := range []string{`"t":"hello","stream":"abcdefghijklmnop","next":4`, `"seq":1`, `"seq":2`, `"seq":3`} {
		if !strings.Contains(second[i], part) {
			t.Errorf("frame %d after the second welcome: got %s, want %s", i, second[i], part)
		}
	}
	if n := c.Counts(); n.Acked != 3 || n.Given != 3 || n.Resent != 3 {
		t.Errorf("counts: got %+v, want 3 given, resent and acknowledged", n)
	}
}

func TestErrorsSayWhetherAFrameIsForgottenOrSentAgain(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script, _ int, ws *websocket.Conn) {
		s.say(ws, welcome)
		late := 0
		s.hear(ws, func(f string) bool {
			switch {
			case strings.Contains(f, `"seq":1`):
				s.say(ws, `{"t":"error","code":"invalid","message":"m","duty":"drop","ref":"1"}`)
			case strings.Contains(f, `"seq":2`):
				if late++; late == 1 {
					s.say(ws, `{"t":"error","code":"too_many","message":"m","duty":"retry","ref":"2","wait":5}`)
				} else {
					s.say(ws, `{"t":"ack","stream":"abcdefghijklmnop","seqs":[2]}`)
				}
			}
			return false
		})
	})
	cfg := s.config()
	cfg.Stream = "abcdefghijklmnop"
	c, err := client.Dial(s.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Signal(vigil.KindCopy, 0, nil)
	c.Signal(vigil.KindCopy, 0, nil)
	if err := c.Settled(s.ctx); err != nil {
		t.Fatal(err)
	}
	if n := c.Counts(); n.Dropped != 1 || n.Acked != 1 || n.Errors != 2 {
		t.Errorf("counts: got %+v, want one dropped, one acknowledged, two errors", n)
	}
	if got := s.heard(`"seq":1,`); got != 1 {
		t.Errorf("the dropped signal was sent %d times, want once", got)
	}
}

func TestARefusalOfTheTokenEndpointIsObeyed(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script, _ int, ws *websocket.Conn) { s.say(ws, welcome); s.hear(ws, nil) })
	cfg := s.config()
	asked := 0
	source := cfg.TokenSource
	cfg.TokenSource = func(ctx context.Context) (client.Token, error) {
		if asked++; asked == 1 {
			return client.Token{}, &client.Refusal{Duty: protocol.DutyRetry, Wait: time.Millisecond}
		}
		return source(ctx)
	}
	c, err := client.Dial(s.ctx, cfg)
	if err != nil {
		t.Fatalf("retry: got %v, want a connection", err)
	}
	c.Close()
	if err := c.Err(); !errors.Is(err, client.ErrClosed) {
		t.Fatalf("after Close: got %v, want ErrClosed", err)
	}
	cfg.TokenSource = func(context.Context) (client.Token, error) {
		return client.Token{}, &client.Refusal{Duty: protocol.DutyStop, Err: errors.New("ended")}
	}
	var refusal *client.Refusal
	if _, err := client.Dial(s.ctx, cfg); !errors.As(err, &refusal) || refusal.Duty != protocol.DutyStop {
		t.Fatalf("stop: got %v, want the refusal", err)
	}
}

func TestAFailedOpenAsksForANewToken(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script, _ int, ws *websocket.Conn) { s.say(ws, welcome); s.hear(ws, nil) })
	cfg := s.config()
	source := cfg.TokenSource
	cfg.TokenSource = func(ctx context.Context) (client.Token, error) {
		tk, err := source(ctx)
		if s.mu.Lock(); s.asks == 1 {
			tk.URL = "ws://127.0.0.1:1/"
		}
		s.mu.Unlock()
		return tk, err
	}
	c, err := client.Dial(s.ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asks != 2 {
		t.Fatalf("asked for %d tokens, want 2", s.asks)
	}
}

func TestAProctorIgnoresGroupsThatAreOlder(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script, _ int, ws *websocket.Conn) {
		s.say(ws, `{"t":"welcome","role":"proctor","now":1,"ping":1}`)
		for _, msg := range []string{
			`{"t":"session","row":{"id":"a","life":{"version":5,"state":"paused","changed":1},"conn":{"c":"online","since":10,"epoch":2}}}`,
			`{"t":"session","row":{"id":"a","life":{"version":4,"state":"active","changed":1},"conn":{"c":"lost","since":99,"epoch":1}}}`,
			`{"t":"session","row":{"id":"gone"}}`,
			`{"t":"snapshot","number":1,"page":1,"rows":[{"id":"a","conn":{"c":"degraded","since":9,"epoch":2}}]}`,
			`{"t":"session","row":{"id":"b"}}`,
			`{"t":"snapshot","number":1,"page":2,"rows":[{"id":"b"}],"last":true}`,
		} {
			s.say(ws, msg)
		}
		s.hear(ws, nil)
	})
	p, err := client.Watch(s.ctx, s.config())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Wait(s.ctx, func(p *client.Proctor) bool { return p.Snapshots() == 1 }); err != nil {
		t.Fatal(err)
	}
	rows := p.Rows()
	if a := rows["a"]; len(rows) != 2 || a.Life.State != vigil.StatePaused || a.Conn.Conn != vigil.ConnOnline {
		t.Fatalf("rows: got %+v, want a paused and online, b, and nothing else", rows)
	}
	testutil.Until(t, "one subscription", func() bool { return s.heard(`"t":"subscribe"`) == 1 })
}
