package realtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

// pipes is a listener whose connections never leave the process, so that a bubble's time
// can stand still while they wait.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// bubble is a hub with the real figures, in a bubble's time.
type bubble struct {
	*testing.T
	ctx    context.Context
	db     *sqlite.Store
	tokens *tokens
	hub    *realtime.Hub
	exam   vigil.Exam
	client *http.Client
	hello  string // what sockets begin with
}

func inBubble(t *testing.T, test func(b *bubble)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t, ctx: t.Context(), tokens: newTokens(), hello: hello}
		log := slog.New(slog.DiscardHandler)
		db, err := sqlite.Open(b.ctx, sqlite.Config{Path: path, Logger: log})
		b.ok(err)
		b.db = db
		b.exam = vigil.Exam{
			ID: uuid.NewString(), Title: "Quiz", Issuer: platformOrigin, ContextID: "c", Policy: vigil.DefaultPolicy(),
			Created: time.Now(), Version: 1,
		}
		b.ok(db.CreateExam(b.ctx, b.exam))
		b.hub, err = realtime.New(realtime.Config{
			Store: db, Verifier: b.tokens, Signer: b.tokens, Origin: platformOrigin, Log: log,
			Address:   func(*http.Request) string { return "192.0.2.1" },
			RowsEvery: 5 * time.Second, NodeEvery: 10 * time.Second, // hours pass here
		})
		b.ok(err)
		b.ok(b.hub.Recover(b.ctx))
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: b.hub, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError)}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		b.client = &http.Client{Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}}
		defer func() {
			b.hub.Close()
			_ = server.Close()
			<-served
			b.ok(db.Close())
		}()
		test(b)
	})
}

func (b *bubble) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bubble) session(end time.Duration) vigil.Session { return b.sessionOf(0, end) }

// sessionOf makes one that began a while ago.
func (b *bubble) sessionOf(age, end time.Duration) vigil.Session {
	now := time.Now().UTC()
	since := now.Add(-age)
	s := vigil.Session{
		ID: uuid.NewString(), ExamID: b.exam.ID, UserID: "user", Attempt: 1, Generation: 1, PlatformID: "platform-1",
		State: vigil.StateActive, Version: 1, Created: since, Changed: since, Started: since, End: now.Add(end), EndSeen: now,
		Presence: vigil.Presence{Connection: vigil.ConnNever},
	}
	b.ok(b.db.CreateSession(b.ctx, s))
	return s
}

// socket opens one that answers pings while pong says so, and collects frames.
func (b *bubble) socket(c vigil.SocketClaims, pong func() bool) (ws *websocket.Conn, frames func() []json.RawMessage, ended func() error) {
	b.Helper()
	token, _, err := b.tokens.MintSocket(b.ctx, c)
	b.ok(err)
	ws, _, err = websocket.Dial(b.ctx, "ws://vigil.example/socket", &websocket.DialOptions{
		HTTPClient: b.client, HTTPHeader: http.Header{"Origin": {platformOrigin}},
		Subprotocols:   []string{protocol.Subprotocol, protocol.TokenSubprotocol + token},
		OnPingReceived: func(context.Context, []byte) bool { return pong() },
	})
	b.ok(err)
	var mu sync.Mutex
	var got []json.RawMessage
	var end error
	go func() {
		for {
			_, msg, err := ws.Read(context.Background())
			mu.Lock()
			if err != nil {
				end = err
				mu.Unlock()
				return
			}
			got = append(got, msg)
			mu.Unlock()
		}
	}()
	b.ok(ws.Write(b.ctx, websocket.MessageText, []byte(b.hello)))
	synctest.Wait()
	return ws, func() []json.RawMessage { mu.Lock(); defer mu.Unlock(); return got },
		func() error { mu.Lock(); defer mu.Unlock(); return end }
}

func (b *bubble) presence(id string) vigil.Presence {
	b.Helper()
	synctest.Wait()
	s, err := b.db.Session(b.ctx, id)
	b.ok(err)
	return b.hub.Live(s).Presence
}

// after tells how long it takes until the connection is c, in steps of 10 ms.
func (b *bubble) after(id string, c vigil.Connection, limit time.Duration) time.Duration {
	b.Helper()
	begin := time.Now()
	for b.presence(id).Connection != c {
		if time.Since(begin) > limit {
			b.Fatalf("not %s after %v, but %s", c, limit, b.presence(id).Connection)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

func TestSilenceIsNoticedWithinTheFiguresOfTheProtocol(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := b.session(time.Hour)
		var mu sync.Mutex
		answer := true
		_, _, ended := b.socket(studentClaims(s), func() bool { mu.Lock(); defer mu.Unlock(); return answer })
		time.Sleep(time.Minute)
		if got := b.presence(s.ID).Connection; got != vigil.ConnOnline {
			t.Fatalf("after a quiet minute with pongs: got %s, want online", got)
		}
		mu.Lock()
		answer = false
		mu.Unlock()
		begin := time.Now()
		heard := b.presence(s.ID).Heard
		b.after(s.ID, vigil.ConnDegraded, 14*time.Second+20*time.Millisecond)
		b.after(s.ID, vigil.ConnLost, 10*time.Second+20*time.Millisecond)
		if d := time.Since(begin); d > 24*time.Second+50*time.Millisecond {
			t.Fatalf("lost after %v of silence, want at most 24s", d)
		}
		time.Sleep(10*time.Second + 20*time.Millisecond)
		synctest.Wait()
		var ce websocket.CloseError
		if err := ended(); !errors.As(err, &ce) || ce.Code != protocol.CloseSilent {
			t.Fatalf("end: got %v, want 4007", err)
		}
		gaps, err := b.db.GapsOfSession(b.ctx, s.ID)
		b.ok(err)
		if len(gaps) != 1 || gaps[0].Start.Before(heard.Add(-10*time.Second)) || gaps[0].Start.After(heard.Add(10*time.Second)) {
			t.Fatalf("gap: got %+v, want one that begins when the student was last heard (%v)", gaps, heard)
		}
	})
}

func TestAnHourOfQuietKeepsASocketAndItsTokenFresh(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := b.session(3 * time.Hour)
		_, frames, ended := b.socket(studentClaims(s), func() bool { return true })
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := ended(); err != nil {
			t.Fatalf("ended: %v", err)
		}
		renewed := 0
		for _, f := range frames() {
			var tk protocol.Token
			if json.Unmarshal(f, &tk) == nil && tk.T == protocol.TypeToken {
				renewed++
			}
		}
		if renewed < 13 || renewed > 15 {
			t.Fatalf("tokens in an hour: got %d, want one every four to five minutes", renewed)
		}
		if got := b.presence(s.ID).Connection; got != vigil.ConnOnline {
			t.Fatalf("connection: got %s, want online", got)
		}
	})
}

func TestADropIsLostAfterItsGraceAndAPageTurnAfterItsOwn(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := b.session(time.Hour)
		ws, _, _ := b.socket(studentClaims(s), func() bool { return true })
		_ = ws.CloseNow()
		if d := b.after(s.ID, vigil.ConnDegraded, time.Second); d > 50*time.Millisecond {
			t.Fatalf("degraded after %v, want at once", d)
		}
		if d := b.after(s.ID, vigil.ConnLost, 6*time.Second); d < 4900*time.Millisecond || d > 5100*time.Millisecond {
			t.Fatalf("lost after %v, want 5s", d)
		}
		ws, _, _ = b.socket(studentClaims(s), func() bool { return true })
		b.ok(ws.Write(b.ctx, websocket.MessageText, []byte(`{"t":"bye","reason":"navigating"}`)))
		b.after(s.ID, vigil.ConnNavigating, time.Second)
		_ = ws.CloseNow()
		if d := b.after(s.ID, vigil.ConnLost, 9*time.Second); d < 7900*time.Millisecond || d > 8200*time.Millisecond {
			t.Fatalf("lost after %v, want 8s", d)
		}
	})
}

// TestADropWhileAPingIsUnansweredIsToldAtOnce: a ping that waits for its pong must not
// keep the news of the drop back.
func TestADropWhileAPingIsUnansweredIsToldAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := b.session(time.Hour)
		pinged := make(chan struct{}, 1)
		ws, _, _ := b.socket(studentClaims(s), func() bool {
			select {
			case pinged <- struct{}{}:
			default:
			}
			return false
		})
		<-pinged
		time.Sleep(time.Second)
		_ = ws.CloseNow()
		if d := b.after(s.ID, vigil.ConnDegraded, time.Minute); d > 50*time.Millisecond {
			t.Fatalf("degraded after %v, want at once", d)
		}
		if d := b.after(s.ID, vigil.ConnLost, time.Minute); d < 4900*time.Millisecond || d > 5100*time.Millisecond {
			t.Fatalf("lost after %v, want 5s", d)
		}
	})
}

// TestALongResendIsNoHole resends an outbox for longer than it takes until what is missing
// counts as a hole; then one that really misses a number.
func TestALongResendIsNoHole(t *testing.T) {
	for _, row := range []struct {
		name  string
		skip  int
		holes int
	}{{"everything comes", 0, 0}, {"number 5 never comes", 5, 1}} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				s := b.session(time.Hour)
				b.hello = `{"t":"hello","stream":"abcdefghijklmnop","next":11}`
				ws, _, _ := b.socket(studentClaims(s), func() bool { return true })
				for seq := 1; seq <= 10; seq++ {
					if seq != row.skip {
						b.ok(ws.Write(b.ctx, websocket.MessageText, fmt.Appendf(nil, `{"t":"signal","seq":%d,"kind":"copy","at":%d}`, seq, time.Now().UnixMilli())))
					}
					time.Sleep(10 * time.Second)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				holes := 0
				list, _, err := b.db.SignalsOfSession(b.ctx, s.ID, vigil.Page{})
				b.ok(err)
				for _, g := range list {
					if g.Kind == vigil.KindHole {
						holes++
					}
				}
				if holes != row.holes {
					t.Errorf("holes: got %d, want %d", holes, row.holes)
				}
			})
		})
	}
}

// TestNumbersThatAreLeftOutAreNotedInTheSameConnection has a monitor that keeps back what it noticed.
func TestNumbersThatAreLeftOutAreNotedInTheSameConnection(t *testing.T) {
	for _, row := range []struct {
		name    string
		ends    bool
		seqs    []int64
		missing int
	}{
		{"left out", false, []int64{1, 60}, 58},
		{"left out, and the attempt ends", true, []int64{1, 60}, 58},
		{"in order", true, []int64{1, 2, 3}, 0},
		{"the other way round", false, []int64{1, 3, 2}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				s := b.session(time.Hour)
				ws, _, _ := b.socket(studentClaims(s), func() bool { return true })
				for _, seq := range row.seqs {
					b.ok(ws.Write(b.ctx, websocket.MessageText, fmt.Appendf(nil, `{"t":"signal","seq":%d,"kind":"copy","at":%d}`, seq, time.Now().UnixMilli())))
				}
				time.Sleep(time.Second)
				if row.ends {
					_, err := b.hub.Sessions().Ended(b.ctx, s.ID, vigil.Actor{Role: vigil.RoleLMS}, time.Now())
					b.ok(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				missing := 0
				list, _, err := b.db.SignalsOfSession(b.ctx, s.ID, vigil.Page{})
				b.ok(err)
				for _, g := range list {
					var d struct{ Missing int }
					if g.Kind == vigil.KindHole {
						b.ok(json.Unmarshal(g.Data, &d))
						missing += d.Missing
					}
				}
				if missing != row.missing {
					t.Errorf("got %d missing, want %d", missing, row.missing)
				}
			})
		})
	}
}

// TestASignalOfABrowserWhoseClockIsDecadesOffIsKept: a computer without a battery begins in 1970.
func TestASignalOfABrowserWhoseClockIsDecadesOffIsKept(t *testing.T) {
	inBubble(t, func(b *bubble) {
		s := b.session(2 * time.Hour)
		ws, _, _ := b.socket(studentClaims(s), func() bool { return true })
		seq := 0
		send := func(kind string, at int64) {
			seq++
			b.ok(ws.Write(b.ctx, websocket.MessageText, fmt.Appendf(nil, `{"t":"signal","seq":%d,"kind":%q,"at":%d,"dur":1000}`, seq, kind, at)))
		}
		send("hand_raised", time.Now().Add(-30*365*24*time.Hour).UnixMilli())
		for range 4 {
			send("hidden", 1)
			time.Sleep(vigil.RepeatWindow + time.Second)
		}
		send("print", math.MaxInt64)
		time.Sleep(time.Second)
		synctest.Wait()
		stored, err := b.db.Session(b.ctx, s.ID)
		b.ok(err)
		if stored.Tally.Hand.IsZero() || stored.Tally.Incidents != 1 {
			t.Errorf("got %+v, want the hand up, and no incident but the print: the page was never hidden often", stored.Tally)
		}
		list, _, err := b.db.SignalsOfSession(b.ctx, s.ID, vigil.Page{})
		b.ok(err)
		n := 0
		for _, g := range list {
			if g.Kind == vigil.KindRefused {
				t.Errorf("got %+v, want nothing refused", g)
			}
			if !strings.HasPrefix(g.Stream, vigil.ServerStreamPrefix) {
				n++
			}
		}
		if n != seq {
			t.Errorf("got %d stored, want %d", n, seq)
		}
	})
}

func TestAProctorsRenewalsEndWhenTheLaunchDoes(t *testing.T) {
	inBubble(t, func(b *bubble) {
		claims := vigil.SocketClaims{
			Subject: "platform-1|teacher", Exam: b.exam.ID, Role: vigil.RoleProctor, Until: time.Now().Add(time.Hour), // a launch lasts longer, and each second of it is a tick here
		}
		token, _, err := b.tokens.MintSocket(b.ctx, claims)
		b.ok(err)
		ws, _, err := websocket.Dial(b.ctx, "ws://vigil.example/socket", &websocket.DialOptions{
			HTTPClient: b.client, HTTPHeader: http.Header{"Origin": {platformOrigin}},
			Subprotocols: []string{protocol.Subprotocol, protocol.TokenSubprotocol + token},
		})
		b.ok(err)
		begin := time.Now()
		for err == nil {
			_, _, err = ws.Read(b.ctx)
		}
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != protocol.CloseToken {
			t.Fatalf("end: got %v, want 4002", err)
		}
		if d := time.Since(begin); d < time.Hour || d > time.Hour+2*time.Minute {
			t.Fatalf("ended after %v, want an hour and a minute", d)
		}
	})
}
