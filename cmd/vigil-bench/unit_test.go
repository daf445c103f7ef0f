//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil/internal/testutil"
)

// dialTest serves one socket and connects to it.
func dialTest(t *testing.T, serve func(ctx context.Context, ws *websocket.Conn)) (*socket, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"one"}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		serve(r.Context(), ws)
	}))
	t.Cleanup(server.Close)
	return dialSocket(t.Context(), target{
		address: server.Listener.Addr().String(), host: "localhost", path: "/", protocols: []string{"one", "two"}, local: "127.0.0.9",
	})
}

// muteServer sends two messages and goes.
func muteServer(ctx context.Context, ws *websocket.Conn) {
	for _, msg := range []string{"first", "second"} {
		if ws.Write(ctx, websocket.MessageText, []byte(msg)) != nil {
			return
		}
	}
	_ = ws.CloseNow()
}

func TestASocketReadsSmallAndLargeAndDividedMessagesAndAnswersPings(t *testing.T) {
	large := strings.Repeat("x", 70_000)
	echoed := make(chan string, 1)
	s, err := dialTest(t, func(ctx context.Context, ws *websocket.Conn) {
		for _, msg := range []string{"a", strings.Repeat("b", 200), large} {
			if ws.Write(ctx, websocket.MessageText, []byte(msg)) != nil {
				return
			}
		}
		w, err := ws.Writer(ctx, websocket.MessageText) // of several frames
		if err != nil {
			return
		}
		for range 3 {
			if _, err := io.WriteString(w, large); err != nil {
				return
			}
		}
		if w.Close() != nil {
			return
		}
		read := ws.CloseRead(ctx) // so that the pong is seen
		if ws.Ping(read) != nil {
			return
		}
		echoed <- "pong"
		_ = ws.Close(4001, "enough") // the client answers
	})
	testutil.OK(t, err)
	var got []string
	err = s.read(func(msg []byte) { got = append(got, string(msg)) })
	var c *closed
	if !errors.As(err, &c) || c.code != 4001 || c.reason != "enough" {
		t.Errorf("got %v, want the close frame", err)
	}
	want := []string{"a", strings.Repeat("b", 200), large, large + large + large}
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("message %d: got %d bytes, want %d", i, len(got[i]), len(want[i]))
		}
	}
	if p := <-echoed; p != "pong" {
		t.Errorf("got %q, want the pong", p)
	}
	s.cut(false)
}

func TestWhatASocketSendsIsUnderstood(t *testing.T) {
	for _, size := range []int{0, 5, 125, 126, 70_000} {
		got := make(chan []byte, 1)
		s, err := dialTest(t, func(ctx context.Context, ws *websocket.Conn) {
			ws.SetReadLimit(1 << 20)
			_, msg, err := ws.Read(ctx)
			if err != nil {
				t.Error(err)
			}
			got <- msg
		})
		testutil.OK(t, err)
		want := bytes.Repeat([]byte("é"), size)[:size]
		want = bytes.ToValidUTF8(want, []byte("?"))
		testutil.OK(t, s.send(opText, want))
		if b := <-got; !bytes.Equal(b, want) {
			t.Errorf("%d bytes: got %d others", len(want), len(b))
		}
		s.cut(true)
	}
}

func TestARefusedUpgradeTellsItsStatus(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := dialSocket(t.Context(), target{address: server.Listener.Addr().String(), host: "x", path: "/"})
	var r *refusedUpgrade
	if !errors.As(err, &r) || r.status != http.StatusNotFound {
		t.Errorf("got %v, want a refusal with 404", err)
	}
}

// FuzzFrame feeds bytes as a server's frames: nothing makes the parser fall over or claim
// more than there is.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x81, 1, 'a'})
	f.Add([]byte{0x81, 126, 0, 200})
	f.Add([]byte{0x89, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, payload, size, err := parseFrame(b)
		if err == nil && size > 0 && size <= len(b) && len(payload) > size {
			t.Errorf("got %d bytes of a frame of %d", len(payload), size)
		}
		if size > len(b) && payload != nil {
			t.Error("got a payload that is not whole")
		}
	})
}

func TestADroppedLineCarriesNothingMoreAndTellsNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.OK(t, err)
	defer l.Close()
	served := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			served <- c
		}
	}()
	r, err := newLine(t.Context(), l.Addr().String())
	testutil.OK(t, err)
	client, err := net.Dial("tcp", r.address())
	testutil.OK(t, err)
	defer client.Close()
	_, err = client.Write([]byte("before"))
	testutil.OK(t, err)
	server := <-served
	defer server.Close()
	buf := make([]byte, 16)
	n, err := server.Read(buf)
	testutil.OK(t, err)
	if got := string(buf[:n]); got != "before" {
		t.Errorf("got %q, want what was sent before", got)
	}
	r.drop(client)
	_, err = client.Write([]byte("after"))
	testutil.OK(t, err)
	testutil.OK(t, server.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	if n, err := server.Read(buf); n > 0 || !isTimeout(err) {
		t.Errorf("got %d bytes and %v, want silence", n, err)
	}
	r.close()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestTooFewOpenFilesAreSaidWithWhatToDo(t *testing.T) {
	if err := checkFiles(20_000, "A server", 19_000, "do less"); err != nil {
		t.Errorf("got %v, want none", err)
	}
	err := checkFiles(1024, "A server", 5000, "give more --nodes")
	if err == nil {
		t.Fatal("got no error, want one")
	}
	for _, want := range []string{"5000 sockets", "1024 files", "ulimit -n 5300", "give more --nodes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
}

func TestProcessorsAreSharedOut(t *testing.T) {
	for _, c := range []struct {
		servers, load string
		count         int
		wantS, wantL  string
	}{
		{"", "", 2, "0", "1"}, {"", "", 8, "0-3", "4-7"}, {"", "", 1, "", ""}, {"none", "", 8, "", ""}, {"0-1", "2-7", 8, "0-1", "2-7"},
	} {
		s, l, err := processors(c.servers, c.load, c.count)
		if err != nil || s != c.wantS || l != c.wantL {
			t.Errorf("%+v: got %q, %q, %v", c, s, l, err)
		}
	}
}

func TestCPUTimeIsReadAlsoBehindAStrangeName(t *testing.T) {
	got, err := parseStat("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0")
	if err != nil || got != 2*time.Second {
		t.Errorf("got %v (%v), want 2s", got, err)
	}
	if _, err := parseStat("12 (a) S 1"); err == nil {
		t.Error("got no error, want one")
	}
}

func TestRepeatsAfterAResendAreNoMistake(t *testing.T) {
	var o outbox
	for range 3 {
		o.give(mark{measured: true})
	}
	o.acknowledge(1)
	if got := o.unacked(); len(got) != 2 || got[0] != 2 {
		t.Fatalf("got %v, want 2 and 3", got)
	}
	var v view
	for _, seq := range []int64{1, 2, 3, 2, 3} {
		v.see(seq)
	}
	var got verdict
	v.judge(&o, 0, "x", &got)
	if got.bad() != 0 || got.Repeated != 2 || got.Expected != 3 {
		t.Errorf("got %+v, want two repeats and nothing bad", got)
	}
	v.see(1)
	got = verdict{}
	v.judge(&o, 0, "x", &got)
	if got.Doubled != 1 {
		t.Errorf("got %+v, want one doubled: number 1 was sent once", got)
	}
	if _, fresh := o.acknowledge(1); fresh {
		t.Error("got a second acknowledgement of 1 as new")
	}
	if _, fresh := o.acknowledge(4); fresh {
		t.Error("got an acknowledgement of what was never given")
	}
}

func TestAComparisonShowsRatiosWithTheirSpread(t *testing.T) {
	steps := []step{{name: "exam at 1000/s"}}
	var rounds []*outcome
	for i, pair := range [][2]float64{{1, 10}, {2, 10}, {3, 10}} {
		for k, name := range []string{systemVigil, systemBaseline} {
			o := &outcome{Scenario: "exam", System: name, Settings: map[string]string{"step": "exam at 1000/s", "round": string(rune('1' + i))}}
			o.add("latency p99", pair[k], "ms")
			rounds = append(rounds, o)
		}
	}
	rounds[0].fail("1 deliveries to proctors are missing")
	rows := rowsOf(steps, rounds)
	if len(rows) != 1 || rows[0].Figure != "latency p99" || len(rows[0].Vigil) != 3 {
		t.Fatalf("got %+v, want one row of three rounds", rows)
	}
	var b bytes.Buffer
	testutil.OK(t, printComparison(&b, comparison{Rows: rows, Rounds: rounds}, true))
	for _, want := range []string{"0.2 [0.1–0.3]", "stores nothing, which favours it", "FAILED, round 1", "≤ 0.3 at 1000/s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", &b, want)
		}
	}
	for i := range rows {
		rows[i].Baseline = nil
	}
	b.Reset()
	testutil.OK(t, printComparison(&b, comparison{Rows: rows, Rounds: rounds}, false))
	if !strings.Contains(b.String(), "Vigil alone") || !strings.Contains(b.String(), "2 [1–3]") {
		t.Errorf("got\n%s\nwant Vigil alone with its spread", &b)
	}
}

func TestACommandLineThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"exam", "--system", "other"}, 2, "--system must be one of"},
		{[]string{"exam", "--vigil", "/nowhere", "--students", "2", "--exams", "3"}, 1, "more exams than students"},
		{[]string{"exam", "--vigil", "/nowhere", "--students", "9000000", "--exams", "30"}, 1, "Raise the limit"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), c.args, io.Discard, &errs); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: got %d, %s; want %d, %q", c.args, code, &errs, c.code, c.want)
		}
	}
}

// delivered is a proctor who has seen one signal, and the message that brings it again.
func delivered() (*proctor, []byte) {
	w := newWorker()
	e := &exam{w: w, name: "quiz-1", bySession: map[string]int{}}
	s := &student{session: "0198a3f2-6f0e-7c41-9a55-3d1f0c7f5b11", stream: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	e.know(s)
	e.students = []*student{s}
	s.box.give(mark{sent: w.now(), measured: true})
	p := &proctor{views: make([]view, 1)}
	p.person = person{w: w, exam: e}
	msg := []byte(`[{"t":"signal","session":"` + s.session + `","stream":"` + s.stream +
		`","seq":1,"kind":"copy","severity":0.1,"at":1790000000000,"recv":1790000000001,"data":{"length":12}}]`)
	p.message(nil, msg, nil)
	return p, msg
}

func TestADeliveryAllocatesNothing(t *testing.T) {
	p, msg := delivered()
	before := p.w.deliveries.Load()
	if n := testing.AllocsPerRun(100, func() { p.message(nil, msg, nil) }); n > 0 {
		t.Errorf("got %v allocations a delivery, want none: the load would cost what is measured", n)
	}
	if p.w.deliveries.Load() == before || p.bad.bad() > 0 {
		t.Errorf("got %d deliveries and %+v, want them counted", p.w.deliveries.Load()-before, p.bad)
	}
}

// BenchmarkDelivery is what a delivery costs the load, but for the system call.
func BenchmarkDelivery(b *testing.B) {
	p, msg := delivered()
	b.ReportAllocs()
	for b.Loop() {
		p.message(nil, msg, nil)
	}
}
