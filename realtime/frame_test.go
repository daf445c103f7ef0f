package realtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// wire is a raw socket with what it has read.
type wire struct {
	r  *rig
	ws *websocket.Conn
	in chan json.RawMessage
	// closed gets how the socket ended.
	closed chan error
}

func (r *rig) wire(c vigil.SocketClaims, headers ...string) *wire {
	r.Helper()
	return r.wireOn(r.raw(c, headers...))
}

func (r *rig) wireOn(ws *websocket.Conn) *wire {
	w := &wire{r: r, ws: ws, in: make(chan json.RawMessage, 4096), closed: make(chan error, 1)}
	done := make(chan struct{})
	r.Cleanup(func() { _ = ws.CloseNow(); <-done })
	go func() {
		defer close(done)
		for {
			_, msg, err := ws.Read(r.ctx)
			if err != nil {
				w.closed <- err
				return
			}
			list := []json.RawMessage{msg}
			if msg[0] == '[' {
				list = nil
				_ = json.Unmarshal(msg, &list)
			}
			for _, f := range list {
				select {
				case w.in <- f:
				default:
				}
			}
		}
	}()
	return w
}

func (w *wire) write(msg string) {
	w.r.Helper()
	w.r.ok(w.ws.Write(w.r.ctx, websocket.MessageText, []byte(msg)))
}

// next returns the next frame of a type.
func (w *wire) next(t protocol.Type, into any) {
	w.r.Helper()
	deadline := time.After(testutil.Patience)
	for {
		select {
		case f := <-w.in:
			var head protocol.Head
			w.r.ok(json.Unmarshal(f, &head))
			if head.T == t {
				w.r.ok(json.Unmarshal(f, into))
				return
			}
		case <-deadline:
			w.r.Fatalf("no %s frame came", t)
		}
	}
}

// ends waits for the close and checks its code.
func (w *wire) ends(code websocket.StatusCode) string {
	w.r.Helper()
	select {
	case err := <-w.closed:
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != code {
			w.r.Fatalf("close: got %v, want code %d", err, code)
		}
		return ce.Reason
	case <-time.After(testutil.Patience):
		w.r.Fatalf("no close, want code %d", code)
	}
	return ""
}

const hello = `{"t":"hello","stream":"abcdefghijklmnop","next":1}`

func TestFramesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, foreign := r.session(), r.session(func(s *vigil.Session) { s.ExamID = r.otherExam() })
	ended := r.session(func(s *vigil.Session) { s.State, s.Ended = vigil.StateSubmitted, time.Now() })
	long := strings.Repeat("x", 2001)
	now := "1790000000000"
	student := []struct{ name, msg, code, field, duty, ref string }{
		{"not JSON", `{"t":`, "invalid", "", "drop", ""},
		{"not an object", `"hello"`, "invalid", "", "drop", ""},
		{"a number", `17`, "invalid", "", "drop", ""},
		{"empty", ` `, "invalid", "", "drop", ""},
		{"not UTF-8", "{\"t\":\"chat\",\"id\":\"abcdefgh\",\"text\":\"\xff\"}", "invalid", "", "drop", ""},
		{"too deep", `{"t":"signal","data":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, "invalid", "", "drop", ""},
		{"too many objects", `[` + strings.Repeat(`{"t":"x"},`, 256) + `{"t":"x"}]`, "invalid", "", "drop", ""},
		{"an array within an array", `[[{"t":"time"}]]`, "invalid", "", "drop", ""},
		{"no type", `{"id":"abcdefgh"}`, "invalid", "t", "drop", ""},
		{"type of another kind", `{"t":5}`, "invalid", "t", "drop", ""},
		{"unknown type", `{"t":"dance","id":"abcdefgh"}`, "invalid", "t", "drop", "abcdefgh"},
		{"the server's own type", `{"t":"welcome"}`, "invalid", "t", "drop", ""},
		{"seq that is no integer", `{"t":"signal","seq":1.5,"kind":"copy","at":` + now + `}`, "invalid", "seq", "drop", ""},
		{"seq 0", `{"t":"signal","seq":0,"kind":"copy","at":` + now + `}`, "invalid", "seq", "drop", ""},
		{"seq too large", `{"t":"signal","seq":9007199254740992,"kind":"copy","at":` + now + `}`, "invalid", "seq", "drop", "9007199254740992"},
		{"unknown kind", `{"t":"signal","seq":1,"kind":"dance","at":` + now + `}`, "invalid", "kind", "drop", "1"},
		{"the server's kind", `{"t":"signal","seq":2,"kind":"connected","at":` + now + `}`, "invalid", "kind", "drop", "2"},
		{"a negative duration", `{"t":"signal","seq":3,"kind":"blur","dur":-1,"at":` + now + `}`, "invalid", "dur", "drop", "3"},
		{"data that is no object", `{"t":"signal","seq":6,"kind":"copy","at":` + now + `,"data":[1]}`, "invalid", "data", "drop", "6"},
		{"data that is nested", `{"t":"signal","seq":7,"kind":"copy","at":` + now + `,"data":{"a":{"b":1}}}`, "invalid", "data", "drop", "7"},
		{"data that is large", `{"t":"signal","seq":8,"kind":"copy","at":` + now + `,"data":{"a":"` + long + `"}}`, "invalid", "data", "drop", "8"},
		{"another stream", `{"t":"hello","stream":"ponmlkjihgfedcba","next":1}`, "conflict", "", "drop", ""},
		{"a stream that is too short", `{"t":"hello","stream":"abc","next":1}`, "invalid", "stream", "drop", ""},
		{"the server's stream", `{"t":"hello","stream":"server:abcdefghijk","next":1}`, "invalid", "stream", "drop", ""},
		{"next 0", `{"t":"hello","stream":"abcdefghijklmnop","next":0}`, "invalid", "next", "drop", ""},
		{"a page below 0", `{"t":"hello","stream":"abcdefghijklmnop","next":1,"page":-1}`, "invalid", "page", "drop", ""},
		{"chat without an id", `{"t":"chat","text":"x"}`, "invalid", "id", "drop", ""},
		{"chat with a bad id", `{"t":"chat","id":"a b c d e","text":"x"}`, "invalid", "id", "drop", "a b c d e"},
		{"empty chat", `{"t":"chat","id":"abcdefgh","text":"  "}`, "invalid", "text", "drop", "abcdefgh"},
		{"long chat", `{"t":"chat","id":"abcdefgh","text":"` + long + `"}`, "invalid", "text", "drop", "abcdefgh"},
		{"chat with control characters", `{"t":"chat","id":"abcdefgh","text":"a\u0007"}`, "invalid", "text", "drop", "abcdefgh"},
		{"chat to another session", `{"t":"chat","id":"abcdefgh","session":"` + foreign.ID + `","text":"x"}`, "forbidden", "", "drop", "abcdefgh"},
		{"seen without an id", `{"t":"seen"}`, "invalid", "id", "drop", ""},
		{"seen of an unknown command", `{"t":"seen","id":"abcdefgh"}`, "not_found", "", "drop", "abcdefgh"},
		{"a bad goodbye", `{"t":"bye","reason":"bored"}`, "invalid", "reason", "drop", ""},
		{"student subscribes", `{"t":"subscribe"}`, "forbidden", "", "drop", ""},
		{"student commands", `{"t":"command","id":"abcdefgh","kind":"extend","seconds":600,"targets":["` + s.ID + `"]}`, "forbidden", "", "drop", "abcdefgh"},
		{"student grants", `{"t":"lost_time","id":"abcdefgh","targets":["` + s.ID + `"],"grant":true}`, "forbidden", "", "drop", "abcdefgh"},
	}
	for _, row := range student {
		w := r.wire(studentClaims(s))
		w.write(hello)
		w.write(row.msg)
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if string(e.Code) != row.code || e.Field != row.field || string(e.Duty) != row.duty || e.Ref != row.ref || e.Message == "" {
			t.Errorf("%s: got %+v, want %s field %q duty %s ref %q", row.name, e, row.code, row.field, row.duty, row.ref)
		}
		w.write(`{"t":"time","at":7}`) // the socket lives
		var tm protocol.Time
		w.next(protocol.TypeTime, &tm)
		_ = w.ws.CloseNow()
		r.until("closed", func() bool { return r.hub.Stats().Sockets == 0 })
	}

	proctor := []struct{ name, msg, code, ref string }{
		{"hello", hello, "forbidden", ""},
		{"signal", `{"t":"signal","seq":1,"kind":"copy","at":` + now + `}`, "forbidden", "1"},
		{"alive", `{"t":"alive","doc":"abcdefgh"}`, "forbidden", ""},
		{"bad filter", `{"t":"subscribe","signals":"some"}`, "invalid", ""},
		{"no targets", `{"t":"command","id":"abcdefgh","kind":"pause"}`, "invalid", "abcdefgh"},
		{"targets and all", `{"t":"command","id":"abcdefgh","kind":"pause","all":true,"targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"unknown kind of command", `{"t":"command","id":"abcdefgh","kind":"dance","targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"bad command id", `{"t":"command","id":"a","kind":"pause","targets":["` + s.ID + `"]}`, "invalid", "a"},
		{"no time to give", `{"t":"command","id":"abcdefgh","kind":"extend","targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"time that wraps around", `{"t":"command","id":"abcdefgh","kind":"extend","seconds":9223372036854775807,"targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"negative time", `{"t":"command","id":"abcdefgh","kind":"extend","seconds":-60,"targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"bad severity", `{"t":"command","id":"abcdefgh","kind":"flag","severity":2,"targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"bad reason", `{"t":"command","id":"abcdefgh","kind":"flag","reason":"hunger","targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"message without text", `{"t":"command","id":"abcdefgh","kind":"message","targets":["` + s.ID + `"]}`, "invalid", "abcdefgh"},
		{"chat to a session of another exam", `{"t":"chat","id":"abcdefgh","session":"` + foreign.ID + `","text":"x"}`, "not_found", "abcdefgh"},
		{"chat to nobody", `{"t":"chat","id":"abcdefgh","text":"x"}`, "not_found", "abcdefgh"},
		{"chat to an ended session", `{"t":"chat","id":"abcdefgh","session":"` + ended.ID + `","text":"x"}`, "illegal_state", "abcdefgh"},
		{"seen of another exam", `{"t":"seen","session":"` + foreign.ID + `"}`, "not_found", ""},
		{"lost time without targets", `{"t":"lost_time","id":"abcdefgh","grant":true}`, "invalid", "abcdefgh"},
		{"unknown type", `{"t":"dance"}`, "invalid", ""},
	}
	for _, row := range proctor {
		w := r.wire(r.proctorClaims())
		w.write(row.msg)
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if string(e.Code) != row.code || e.Ref != row.ref || e.Duty != protocol.DutyDrop {
			t.Errorf("proctor, %s: got %+v, want %s ref %q", row.name, e, row.code, row.ref)
		}
		_ = w.ws.CloseNow()
	}
	// A command to a session that is not of this exam, or has ended, is refused for that session alone.
	w := r.wire(r.proctorClaims())
	w.write(`{"t":"command","id":"abcdefgh","kind":"pause","targets":["` + foreign.ID + `","` + s.ID + `","none","` + ended.ID + `"]}`)
	stages := map[string]vigil.Stage{}
	for range 4 {
		var p protocol.Progress
		w.next(protocol.TypeProgress, &p)
		stages[p.Session] = p.Stage
	}
	if stages[foreign.ID] != vigil.StageRefused || stages["none"] != vigil.StageRefused || stages[ended.ID] != vigil.StageRefused || stages[s.ID] == vigil.StageRefused {
		t.Errorf("stages: got %v, want all but the first refused", stages)
	}
	if got := r.read(foreign.ID).State; got != vigil.StateActive {
		t.Errorf("foreign session: got %s, want active", got)
	}
}

func TestAnErrorWithoutACodeIsTriedAgainAndSaysNothingOfItsCause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.set("AddChat", errors.New("disk /var/secret is on fire"))
	w := r.wire(studentClaims(r.session()))
	w.write(hello)
	w.write(`{"t":"chat","id":"abcdefgh","text":"x"}`)
	var e protocol.Error
	w.next(protocol.TypeError, &e)
	if e.Code != vigil.CodeInternal || e.Duty != protocol.DutyRetry || e.Wait == 0 || e.Ref != "abcdefgh" || strings.Contains(e.Message, "disk") {
		t.Fatalf("error: got %+v, want internal, retry, and nothing of the cause", e)
	}
}

func (r *rig) otherExam() string {
	r.Helper()
	e := r.exam
	e.ID = r.exam.ID[:len(r.exam.ID)-4] + "ffff"
	r.ok(r.db.CreateExam(r.ctx, e))
	return e.ID
}

func TestFramesBeforeHelloAreNotTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.wire(studentClaims(r.session()))
	for _, msg := range []string{
		`{"t":"signal","seq":1,"kind":"copy","at":1790000000000}`, `{"t":"chat","id":"abcdefgh","text":"x"}`, `{"t":"seen","id":"abcdefgh"}`,
	} {
		w.write(msg)
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if e.Code != vigil.CodeInvalid || e.Field != "t" {
			t.Errorf("%s: got %+v, want invalid", msg, e)
		}
	}
}

func TestUnwatchedSignalsAreNeitherStoredNorAHole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.exam
	e.Policy.Watch = []vigil.Watch{vigil.WatchFocus}
	r.ok(r.db.UpdateExam(r.ctx, e))
	s := r.session()
	st := r.student(s)
	st.Signal(vigil.KindPaste, 0, json.RawMessage(`{"length":3}`))
	st.Signal(vigil.KindBlur, time.Second, nil)
	r.ok(st.Settled(r.ctx))
	if got := st.Counts().Dropped; got != 1 {
		t.Fatalf("dropped: got %d, want 1", got)
	}
	st.Cut()
	r.until("back", func() bool { return st.Connects() == 2 })
	time.Sleep(400 * time.Millisecond) // HoleWait has passed
	if k := r.kinds(s.ID); k[vigil.KindPaste] != 0 || k[vigil.KindBlur] != 1 || k[vigil.KindHole] != 0 {
		t.Fatalf("stored: got %v, want the blur only, and no hole", k)
	}
}

// TestOfASignalNoMoreIsStoredThanItsKindSays has an older monitor send a hash of what was
// pasted, and a newer one a field that is not known yet; sent again they are the same.
func TestOfASignalNoMoreIsStoredThanItsKindSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session()
	w := r.wire(studentClaims(s))
	w.write(hello)
	for range 2 {
		acked := map[int64]bool{}
		w.write(`[{"t":"signal","seq":1,"kind":"paste","at":1790000000000,"data":{"length":3,"hash":"ba7816bf8f01cfea"}},` +
			`{"t":"signal","seq":2,"kind":"copy","at":1790000000000,"data":{"words":42}}]`)
		for len(acked) < 2 {
			var ack protocol.Ack
			w.next(protocol.TypeAck, &ack)
			for _, seq := range ack.Seqs {
				acked[seq] = true
			}
		}
	}
	got := map[vigil.Kind]string{}
	for _, g := range r.stored(s.ID) {
		got[g.Kind] = string(g.Data)
	}
	want := map[vigil.Kind]string{vigil.KindConnected: "", vigil.KindPaste: `{"length":3}`, vigil.KindCopy: ""}
	if !maps.Equal(got, want) {
		t.Errorf("stored: got %v, want %v", got, want)
	}
}

func TestEveryCloseCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.RateGrace = 50 * time.Millisecond
		c.HelloWait = 300 * time.Millisecond
		c.Rates = map[protocol.Type]socket.Rate{protocol.TypeTime: {Burst: 1, PerSecond: 1}}
	})
	t.Run("4000 ended", func(t *testing.T) {
		s := r.session()
		w := r.wire(studentClaims(s))
		w.write(hello)
		w.next(protocol.TypeWelcome, &protocol.Welcome{}) // an end before it would be told by it
		_, err := r.hub.Sessions().Ended(r.ctx, s.ID, vigil.Actor{Role: vigil.RoleLMS}, time.Time{})
		r.ok(err)
		var st protocol.StateDown
		w.next(protocol.TypeState, &st)
		if st.State != vigil.StateSubmitted {
			t.Errorf("state: got %s, want submitted", st.State)
		}
		w.ends(protocol.CloseEnded)
		r.until("closed in order", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnClosed })
	})
	t.Run("4001 superseded", func(t *testing.T) {
		s := r.session()
		w := r.wire(studentClaims(s))
		w.write(hello)
		r.wire(studentClaims(s)).write(hello)
		w.ends(protocol.CloseSuperseded)
	})
	t.Run("4005 rate", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		w.write(hello)
		end := time.Now().Add(testutil.Patience)
		for time.Now().Before(end) && w.ws.Write(r.ctx, websocket.MessageText, []byte(`[{"t":"time","at":1},{"t":"time","at":1}]`)) == nil {
			time.Sleep(5 * time.Millisecond)
		}
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if e.Code != vigil.CodeTooMany || e.Duty != protocol.DutyRetry || e.Wait == 0 {
			t.Errorf("error: got %+v, want too_many, retry, with a wait", e)
		}
		w.ends(protocol.CloseRate)
	})
	t.Run("4007 no hello", func(t *testing.T) { // it comes again: its line may have been away
		r.wire(studentClaims(r.session())).ends(protocol.CloseSilent)
	})
	t.Run("4008 nonsense", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		for range 25 {
			_ = w.ws.Write(r.ctx, websocket.MessageText, []byte(`nonsense`))
		}
		w.ends(protocol.CloseProtocol)
	})
	t.Run("1003 binary", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		r.ok(w.ws.Write(r.ctx, websocket.MessageBinary, []byte(hello)))
		w.ends(websocket.StatusUnsupportedData)
	})
	t.Run("1009 too large", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		_ = w.ws.Write(r.ctx, websocket.MessageText, bytes.Repeat([]byte(" "), protocol.MaxMessage+2))
		w.ends(websocket.StatusMessageTooBig)
	})
	t.Run("a message of the largest size is taken", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		w.write(hello + strings.Repeat(" ", protocol.MaxMessage-len(hello)))
		w.write(`{"t":"time","at":5}`)
		var tm protocol.Time
		w.next(protocol.TypeTime, &tm)
	})
	t.Run("4007 silent", func(t *testing.T) {
		s := r.session()
		p := r.proctor()
		before := r.hub.Stats().Closed[protocol.CloseSilent]
		ws := r.raw(studentClaims(s)) // nobody reads, so nobody answers pings
		r.ok(ws.Write(r.ctx, websocket.MessageText, []byte(hello)))
		for _, c := range []vigil.Connection{vigil.ConnDegraded, vigil.ConnLost} {
			r.until(string(c), func() bool { return p.Connection(s.ID) == c })
		}
		r.until("closed", func() bool { return r.hub.Stats().Closed[protocol.CloseSilent] > before })
		if g := r.gaps(s.ID); len(g) != 1 || g[0].Cause != vigil.CauseStudent {
			t.Errorf("gaps: got %+v, want one of the student's", g)
		}
	})
	t.Run("4009 unavailable", func(t *testing.T) {
		w := r.wire(studentClaims(r.session()))
		r.store.set("Session", errDown) // between the upgrade and the welcome
		defer r.store.set("Session", nil)
		w.write(hello)
		w.ends(protocol.CloseUnavailable)
	})
	t.Run("4004 drain", func(t *testing.T) {
		s := r.session()
		w := r.wire(studentClaims(s))
		w.write(hello)
		var welcome protocol.Welcome
		w.next(protocol.TypeWelcome, &welcome) // before it nothing is sent but the close
		r.ok(r.hub.Drain(r.ctx))
		var n protocol.Notice
		w.next(protocol.TypeNotice, &n)
		if n.Kind != protocol.NoticeDrain || n.Wait <= 0 {
			t.Errorf("notice: got %+v, want reconnect with a wait", n)
		}
		if reason := w.ends(protocol.CloseDrain); reason == "" {
			t.Error("the close does not tell the wait")
		}
		if p := r.read(s.ID).Presence; p.Connection != vigil.ConnDegraded || p.Cause != vigil.CauseServer {
			t.Errorf("presence: got %+v, want degraded by us", p)
		}
	})
}

func TestTokensAreRenewedOverTheSocketAndUnrenewedOnesEndIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.RenewBefore = 900 * time.Millisecond
		c.Liveness.PingEvery, c.Liveness.PongWait = 200*time.Millisecond, 100*time.Millisecond // tokens are looked at as often
		c.TokenGrace = 300 * time.Millisecond
	})
	r.tokens.life = time.Second
	w := r.wire(studentClaims(r.session()))
	w.write(hello)
	var tk protocol.Token
	w.next(protocol.TypeToken, &tk)
	if _, err := r.tokens.VerifySocket(r.ctx, tk.Token); err != nil || tk.Expires == 0 {
		t.Fatalf("the renewed token does not hold: %v", err)
	}
	r.tokens.mu.Lock()
	r.tokens.mint = errors.New("no key")
	r.tokens.mu.Unlock()
	w.ends(protocol.CloseToken)
}

func TestARenewalAsksAnewWhetherThePersonIsAllowed(t *testing.T) {
	t.Parallel()
	barred := make(chan struct{})
	r := newRig(t, func(c *realtime.Config) {
		c.RenewBefore = 900 * time.Millisecond
		c.Liveness.PingEvery, c.Liveness.PongWait = 200*time.Millisecond, 100*time.Millisecond // tokens are looked at as often
		c.Allow = func(context.Context, vigil.SocketClaims, string) error {
			select {
			case <-barred:
				return vigil.Errorf(vigil.CodeForbidden, "barred")
			default:
				return nil
			}
		}
	})
	r.tokens.life = time.Second
	w := r.wire(r.proctorClaims())
	close(barred)
	w.ends(protocol.CloseForbidden)
}

func TestRenewalsEndWithUntil(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *realtime.Config) {
		c.RenewBefore = 900 * time.Millisecond
		c.Liveness.PingEvery, c.Liveness.PongWait = 200*time.Millisecond, 100*time.Millisecond // tokens are looked at as often
		c.TokenGrace = 100 * time.Millisecond
	})
	c := r.proctorClaims()
	c.Until = time.Now().Add(1500 * time.Millisecond)
	r.wire(c).ends(protocol.CloseToken)
	if d := time.Since(c.Until); d < 0 {
		t.Fatalf("closed %v before the end", -d)
	}
}
