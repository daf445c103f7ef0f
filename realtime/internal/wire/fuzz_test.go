package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// FuzzReader feeds whatever may come: nothing may panic, what is kept is bounded (read
// looks), and the same is told however the bytes are cut.
func FuzzReader(f *testing.F) {
	for i, row := range rules {
		f.Add(row.data, uint16(i), uint16(2*i))
	}
	f.Fuzz(func(t *testing.T, data []byte, a, b uint16) {
		const limit = 64
		want, wantErr := read(t, data, limit)
		n := len(data) + 1
		from, to := int(a)%n, int(b)%n
		every := make([]int, len(data))
		for i := range every {
			every[i] = i
		}
		for _, cuts := range [][]int{{min(from, to), max(from, to)}, every} {
			got, err := read(t, data, limit, cuts...)
			if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("cut at %v: got %q and %v, want %q and %v", cuts, got, err, want, wantErr)
			}
		}
	})
}

// FuzzReaderAgainstTheLibrary gives the same bytes to a Reader and to the WebSocket library:
// both find the same messages in them.
func FuzzReaderAgainstTheLibrary(f *testing.F) {
	for _, row := range rules {
		f.Add(row.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 64
		got, err := read(t, data, limit)
		got = slices.DeleteFunc(got, func(c string) bool { return !strings.HasPrefix(c, "text ") })
		want := libraryReads(t, data, limit)
		var broken *Error
		if errors.As(err, &broken) && broken.Code != CodeProtocol {
			want = want[:min(len(got), len(want))] // it takes binary messages, and lengths beyond 63 bits for nothing
		}
		if !slices.Equal(got, want) {
			t.Fatalf("messages: got %q, want %q", got, want)
		}
	})
}

// libraryReads tells which messages the library, as a server, finds in what a client sent.
func libraryReads(t *testing.T, data []byte, limit int64) calls {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		req.Header.Set(k, v)
	}
	ws, err := websocket.Accept(&canned{ResponseRecorder: httptest.NewRecorder(), data: bytes.NewReader(data)}, req, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(limit)
	var got calls
	for {
		_, msg, err := ws.Read(context.Background())
		if err != nil {
			return got
		}
		got.Text(msg)
	}
}

// canned is a client that has said everything already.
type canned struct {
	*httptest.ResponseRecorder
	net.Conn
	data io.Reader
}

func (c *canned) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// Read ends with a broken connection: the library takes a plain end for a message's.
func (c *canned) Read(b []byte) (int, error) {
	n, err := c.data.Read(b)
	if err != nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (*canned) Write(b []byte) (int, error)      { return len(b), nil }
func (*canned) Close() error                     { return nil }
func (*canned) SetDeadline(time.Time) error      { return nil }
func (*canned) SetReadDeadline(time.Time) error  { return nil }
func (*canned) SetWriteDeadline(time.Time) error { return nil }

// echo is a server that says everything again.
type echo struct {
	out   []byte
	close int
	done  bool

	pinged, ponged bool
}

func (e *echo) Text(m []byte) {
	e.out = append(e.out, PutHead(append(make([]byte, MaxHead), m...))...)
}
func (e *echo) Ping(p []byte) { e.out = AppendPong(e.out, p) }
func (e *echo) Pong()         { e.ponged = true }
func (e *echo) Close(code int) {
	e.out, e.close, e.done = AppendClose(e.out, code, "bye"), code, true
}

// serve speaks to one client until it has said goodbye.
func (e *echo) serve(conn net.Conn, chunk int) (err error) {
	defer func() { _ = conn.Close() }()
	br := bufio.NewReader(conn)
	req, err := http.ReadRequest(br)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:])); err != nil {
		return err
	}
	// A pipe holds nothing: who writes in the goroutine that reads waits for a client who does.
	out, wrote := make(chan []byte, 1<<10), make(chan error, 1)
	go func() {
		var err error
		for b := range out {
			if err == nil {
				_, err = conn.Write(b)
			}
		}
		wrote <- err
	}()
	defer func() {
		close(out)
		if werr := <-wrote; err == nil {
			err = werr
		}
	}()
	var r Reader
	buf := make([]byte, chunk)
	for !e.done {
		n, err := br.Read(buf)
		if err != nil {
			return err
		}
		if err := r.Read(buf[:n], maxEcho, e); err != nil {
			return err
		}
		if len(e.out) > 0 {
			if !e.pinged && !e.done { // early, so that its pong is not on its way when the client leaves
				e.out, e.pinged = append(e.out, Ping...), true
			}
			out <- e.out
			e.out = nil
		}
	}
	return nil
}

const maxEcho = 200000

// FuzzTheLibrarysClient has the library's client speak to a server that is made of this
// package: messages whole and in fragments, and pings between them, come back as they were,
// and the goodbye is answered with its own code.
func FuzzTheLibrarysClient(f *testing.F) {
	f.Add([]byte("hello"), uint16(1), uint16(1), uint8(3), uint16(1000), "leaving")
	f.Add([]byte(""), uint16(300), uint16(7), uint8(0), uint16(3000), "")
	f.Add([]byte("0123456789"), uint16(6600), uint16(4096), uint8(1), uint16(4321), "x")
	f.Add([]byte("x"), uint16(125), uint16(2), uint8(2), uint16(1001), "")
	f.Add([]byte("x"), uint16(126), uint16(3), uint8(2), uint16(1005), "")
	f.Add([]byte("x"), uint16(65535), uint16(1000), uint8(9), uint16(1011), "")
	f.Add([]byte("xy"), uint16(32768), uint16(1), uint8(9), uint16(1014), "")
	f.Fuzz(func(t *testing.T, unit []byte, times, chunk uint16, parts uint8, closeCode uint16, reason string) {
		msg := bytes.Repeat(unit[:min(len(unit), 3)], int(times))
		if _, ok := codeOK(int(closeCode)); !ok {
			closeCode, reason = 1005, ""
		}
		reason = strings.ToValidUTF8(reason[:min(len(reason), 100)], "")
		if closeCode == 1005 {
			reason = ""
		}
		talk(t, msg, max(1, int(chunk)), int(parts%16)+1, websocket.StatusCode(closeCode), reason)
	})
}

// codeOK tells whether a client may send a close code.
func codeOK(code int) (int, bool) { return closeCode([]byte{byte(code >> 8), byte(code)}) }

func talk(t *testing.T, msg []byte, chunk, parts int, code websocket.StatusCode, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	here, there := net.Pipe()
	e := &echo{}
	served := make(chan error, 1)
	go func() { served <- e.serve(there, chunk) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }, DisableKeepAlives: true}
	ws, _, err := websocket.Dial(ctx, "ws://vigil.example/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxEcho)
	var mu sync.Mutex
	var back [][]byte
	ended := make(chan error, 1)
	go func() {
		for {
			_, m, err := ws.Read(ctx)
			if err != nil {
				ended <- err
				return
			}
			mu.Lock()
			back = append(back, m)
			mu.Unlock()
		}
	}()
	if err := ws.Write(ctx, websocket.MessageText, msg); err != nil {
		t.Fatalf("whole: %v", err)
	}
	w, err := ws.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		if _, err := w.Write(msg[len(msg)*i/parts : len(msg)*(i+1)/parts]); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		if i == parts/2 {
			if err := ws.Ping(ctx); err != nil {
				t.Fatalf("ping within a message: %v", err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ws.Ping(ctx); err != nil { // comes back behind the echo
		t.Fatalf("ping: %v", err)
	}
	if err := ws.Close(code, reason); err != nil {
		t.Fatalf("goodbye with %d: %v", code, err)
	}
	if err := <-served; err != nil {
		t.Fatalf("server: %v", err)
	}
	var ce websocket.CloseError
	if err := <-ended; !errors.As(err, &ce) || ce.Code != code || code != websocket.StatusNoStatusRcvd && ce.Reason != "bye" {
		t.Fatalf("end: got %v, want our answer with %d", err, code)
	}
	if !e.ponged {
		t.Fatal("our ping was not answered")
	}
	if want := int(code); e.close != want && (code != websocket.StatusNoStatusRcvd || e.close != 0) {
		t.Fatalf("code: got %d, want %d", e.close, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(back) != 2 || !bytes.Equal(back[0], msg) || !bytes.Equal(back[1], msg) {
		t.Fatalf("echo of %d bytes: got %d messages, want the same twice", len(msg), len(back))
	}
}
