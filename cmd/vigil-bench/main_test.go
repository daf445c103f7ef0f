//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"vigil/internal/testutil"
	"vigil/realtime/protocol"
)

var buildDir string

// TestMain lets this program be the workers', and a node of plain Go.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Args[1] == "floor") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	dir, err := os.MkdirTemp("", "vigil-bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// program is vigil as operators run it, built once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "vigil")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "vigil/cmd/vigil")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it, and what make has compiled is used again
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func built(t *testing.T) string {
	t.Helper()
	path, err := program()
	testutil.OK(t, err)
	return path
}

// writer brings progress into the test's log.
type writer struct{ t *testing.T }

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

func TestAnExamOfTenStudentsIsMeasuredAndLosesNothing(t *testing.T) {
	out := t.TempDir()
	code := run(t.Context(), []string{
		"exam", "--vigil", built(t), "--students", "10", "--exams", "2", "--every", "500ms", "--warmup", "500ms", "--for", "2s",
		"--server-cpus", "none", "--out", out,
	}, writer{t}, writer{t})
	if code != 0 {
		t.Fatalf("got exit code %d, want 0", code)
	}
	files, err := filepath.Glob(filepath.Join(out, "exam-vigil-*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %v (%v), want one file", files, err)
	}
	b, err := os.ReadFile(files[0])
	testutil.OK(t, err)
	var o outcome
	testutil.OK(t, json.Unmarshal(b, &o))
	for name, want := range map[string]float64{"missing": 0, "doubled": 0, "out of order": 0, "in the store": 50} {
		if f, found := o.find(name); !found || f.Value != want {
			t.Errorf("%s: got %v (%v), want %v", name, f.Value, found, want)
		}
	}
	for _, name := range []string{"latency p99", "acknowledged p99", "deliveries", "server memory (PSS)", "memory per socket, whole process"} {
		if f, found := o.find(name); !found || f.Value <= 0 {
			t.Errorf("%s: got %v (%v), want a figure", name, f.Value, found)
		}
	}
}

func TestAnAcknowledgedSignalThatTheStoreLostIsFound(t *testing.T) {
	ctx := t.Context()
	r, err := newRig(ctx, common{Vigil: built(t), Nodes: 1, Store: "sqlite", AtOnce: 4, ServerCPUs: "none"}, size{4, 1, 1}, systemVigil, t.Logf)
	testutil.OK(t, err)
	defer func() { testutil.OK(t, r.close()) }()
	testutil.OK(t, r.seat(ctx))
	testutil.OK(t, r.up(ctx, ConnectArgs{}))
	s, err := r.run(ctx, 20, 0, time.Second)
	testutil.OK(t, err)
	records, err := r.records(ctx)
	testutil.OK(t, err)
	testutil.OK(t, r.down(ctx))
	var whole outcome
	s.judge(&whole)
	testutil.OK(t, r.verify(ctx, &whole, records))
	if len(whole.Failures) > 0 {
		t.Fatalf("got %v, want no failure", whole.Failures)
	}

	db, err := sql.Open("sqlite", strings.TrimPrefix(r.vigil.store, "sqlite:"))
	testutil.OK(t, err)
	_, err = db.ExecContext(ctx, "DELETE FROM signals WHERE stream IN (SELECT no FROM streams WHERE name = ?) AND seq = 2", records[0].Stream)
	testutil.OK(t, err)
	testutil.OK(t, db.Close())
	var short outcome
	testutil.OK(t, r.verify(ctx, &short, records))
	if len(short.Failures) != 1 || !strings.Contains(short.Failures[0], "1 acknowledged signals are not in the store") {
		t.Errorf("got %v, want one lost signal", short.Failures)
	}
}

// fakeSystem delivers as the baseline does, in this process, and not always honestly.
type fakeSystem struct {
	server  *httptest.Server
	deliver func(seq int64, frame string, send func(frame string))

	mu       sync.Mutex
	proctors map[string][]*websocket.Conn
}

func (f *fakeSystem) addresses() []string { return []string{f.server.Listener.Addr().String()} }

func (f *fakeSystem) start(context.Context) error { return nil }

func (f *fakeSystem) stop() error { return nil }

func (f *fakeSystem) servers() []*process { return nil }

func (f *fakeSystem) broker() *process { return nil }

func (f *fakeSystem) redis() *redisServer { return nil }

// ServeHTTP is a socket.
func (f *fakeSystem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	q := r.URL.Query()
	exam := q.Get("exam")
	if q.Get("role") == "proctor" {
		f.mu.Lock()
		f.proctors[exam] = append(f.proctors[exam], ws)
		f.mu.Unlock()
	}
	if ws.Write(r.Context(), websocket.MessageText, []byte(`{"t":"welcome"}`)) != nil {
		return
	}
	stream := ""
	for {
		_, msg, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		var up struct {
			T      protocol.Type `json:"t"`
			Stream string        `json:"stream"`
			Seq    int64         `json:"seq"`
		}
		if json.Unmarshal(msg, &up) != nil {
			return
		}
		if up.T == protocol.TypeHello {
			stream = up.Stream
			continue
		}
		frame := fmt.Sprintf(`{"t":"signal","session":%q,"stream":%q,"seq":%d,"kind":"copy"}`, q.Get("session"), stream, up.Seq)
		f.deliver(up.Seq, frame, func(frame string) {
			if strings.HasPrefix(frame, `{"t":"error"`) {
				_ = ws.Write(r.Context(), websocket.MessageText, []byte(frame)) // it may have gone
				return
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, p := range f.proctors[exam] {
				_ = p.Write(context.Background(), websocket.MessageText, []byte(frame)) // it may have gone
			}
		})
	}
}

func TestTheCheckFindsWhatIsLostDoubledDisorderedOrMadeUp(t *testing.T) {
	honest := func(_ int64, frame string, send func(string)) { send(frame) }
	var held string
	for name, c := range map[string]struct {
		deliver func(int64, string, func(string))
		want    verdict
		failure string
	}{
		"honest": {honest, verdict{}, ""},
		"dropped": {func(seq int64, frame string, send func(string)) {
			if seq != 2 {
				send(frame)
			}
		}, verdict{Missing: 2}, "2 deliveries to proctors are missing"},
		"doubled": {func(seq int64, frame string, send func(string)) {
			send(frame)
			if seq == 2 {
				send(frame)
			}
		}, verdict{Doubled: 2}, "2 deliveries to proctors came twice"},
		"swapped": {func(seq int64, frame string, send func(string)) {
			switch seq {
			case 2:
				held = frame
			case 3:
				send(frame)
				send(held)
			default:
				send(frame)
			}
		}, verdict{Disorder: 2}, "2 deliveries to proctors came out of order"},
		"made up": {func(seq int64, frame string, send func(string)) {
			send(frame)
			if seq == 2 {
				send(strings.Replace(frame, `"session":"session`, `"session":"another`, 1))
			}
		}, verdict{Foreign: 2}, "2 deliveries were of nobody's signals"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fakeRig(t, c.deliver)
			if c.want.Missing > 0 {
				r.patience = 3 * time.Second // the whole of it passes
			}
			s, err := r.run(t.Context(), 20, 0, 250*time.Millisecond)
			testutil.OK(t, err)
			got := s.verdict
			got.Examples = nil
			want := c.want
			want.Expected = 10 // five signals, two proctors
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			var o outcome
			s.judge(&o)
			if c.failure == "" && len(o.Failures) > 0 || c.failure != "" && (len(o.Failures) != 1 || o.Failures[0] != c.failure) {
				t.Errorf("got the failures %q, want %q", o.Failures, c.failure)
			}
		})
	}
}

// fakeRig is one student and two proctors, connected to a system that delivers like this.
func fakeRig(t *testing.T, deliver func(seq int64, frame string, send func(string))) *rig {
	t.Helper()
	ctx := t.Context()
	f := &fakeSystem{deliver: deliver, proctors: map[string][]*websocket.Conn{}}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	r := &rig{c: common{Nodes: 1, AtOnce: 2}, size: size{1, 1, 2}, name: "fake", sys: f, tell: t.Logf, patience: 90 * time.Second}
	var err error
	r.fleet, err = newFleet(ctx, 1, "", t.Logf)
	testutil.OK(t, err)
	t.Cleanup(func() { testutil.OK(t, r.close()) })
	testutil.OK(t, r.found(ctx))
	testutil.OK(t, r.up(ctx, ConnectArgs{}))
	return r
}

func TestWhatIsRefusedForAWhileIsSentAgain(t *testing.T) {
	refused := false
	r := fakeRig(t, func(seq int64, frame string, send func(string)) {
		if seq == 2 && !refused {
			refused = true
			send(`{"t":"error","code":"too_many","message":"later","duty":"retry","ref":"2","wait":20}`)
			return
		}
		send(frame)
	})
	s, err := r.run(t.Context(), 20, 0, 250*time.Millisecond)
	testutil.OK(t, err)
	if s.verdict.bad() > 0 || s.bad != 1 || s.sent != 5 {
		t.Errorf("got %+v, %d errors, %d sent; want all five delivered, one after an error", s.verdict, s.bad, s.sent)
	}
}

func TestWhatAStretchLostDoesNotCountAgainstTheNext(t *testing.T) {
	r := fakeRig(t, func(seq int64, frame string, send func(string)) {
		if seq != 5 { // the last of the first stretch
			send(frame)
		}
	})
	r.patience = 3 * time.Second
	first, err := r.run(t.Context(), 20, 0, 250*time.Millisecond)
	testutil.OK(t, err)
	r.patience = 90 * time.Second
	next, err := r.run(t.Context(), 20, 0, 250*time.Millisecond)
	testutil.OK(t, err)
	if first.verdict.Missing != 2 || next.verdict.bad() != 0 || next.verdict.Expected != 10 {
		t.Errorf("got %+v, then %+v; want two missing, then none", first.verdict, next.verdict)
	}
}
