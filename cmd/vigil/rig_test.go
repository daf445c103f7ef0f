package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigil"
	"vigil/cmd/internal/seat"
	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	"vigil/realtime/client"
	"vigil/realtime/relay/redisrelay/redistest"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// buildDir holds the binary that tests run as a process of its own.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "vigil-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	goleak.VerifyTestMain(tests{m}, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// testClock is the variable by which the tests' binary takes a wrong clock.
const testClock = "TEST_CLOCK_OFFSET"

// testFolder is the variable by which it takes other steps of the schema.
const testFolder = "TEST_STEPS"

// tests ends what they share before goroutines are counted.
type tests struct{ *testing.M }

// Run implements goleak.TestingM.
func (t tests) Run() int {
	code := t.M.Run()
	if server := dynamoStarted.Load(); server != nil {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping DynamoDB Local:", err)
			code = max(code, 1)
		}
	}
	return code
}

// binary is the program as operators run it, built once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "vigil")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.clockVariable="+testClock+" -X main.stepsVariable="+testFolder, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it, and what make has compiled is used again
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// output is a stream that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command runs a command line in this process.
func command(ctx context.Context, env []string, args ...string) (code int, stdout, stderr string) {
	var out, errs output
	code = run(ctx, args, env, &out, &errs)
	return code, out.String(), errs.String()
}

// must is command for one that has to succeed; it returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := command(t.Context(), nil, args...)
	if code != 0 {
		t.Fatalf("vigil %s: got exit code %d, want 0: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(redistest.FreePort(t)))
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// patience bounds what tests wait for with a context.
const patience = testutil.Patience

// plain makes requests that leave no connection behind.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get reads an address; the status is 0 when nobody answers.
func get(t *testing.T, address string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := plain.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// site is a tool on free ports with an SQLite file, and the demo LMS that knows it. The
// tool is reached as localhost, the LMS as 127.0.0.1, as in the demo.
type site struct {
	*testing.T
	dir, db       string
	place         string // of the store, where that is not the file
	listen, admin string
	tool          string // public URL
	lms           *lms.LMS
	lmsAddress    string
	client        string // our client id at the LMS
	platform      string // the LMS's id in the store
	running       *node  // the last one that was started
	bin           string // that processes run; binary's when empty
	env           []string

	mu     sync.Mutex
	server *http.Server // of the LMS; nil while it is down
	served chan struct{}
}

// instructor is a teacher of the demo LMS, student one of its students.
const (
	instructor = "2"
	student    = "3"
	another    = "4"
)

// newSite makes the LMS and registers the two with each other by the command line.
func newSite(t *testing.T, edits ...func(c *lms.Config)) *site {
	t.Helper()
	return newSiteOn(t, "", edits...)
}

// newSiteOn is newSite with another store than an SQLite file.
func newSiteOn(t *testing.T, place string, edits ...func(c *lms.Config)) *site {
	t.Helper()
	s := &site{T: t, place: place, dir: t.TempDir(), listen: freeAddress(t), admin: freeAddress(t), lmsAddress: freeAddress(t)}
	s.db = filepath.Join(s.dir, "vigil.db")
	s.tool = "http://localhost:" + portOf(s.listen)
	cfg := lms.Config{Platform: ltitest.Config{Issuer: "http://" + s.lmsAddress}, Tool: s.tool}
	for _, edit := range edits {
		edit(&cfg)
	}
	s.tool = cfg.Tool
	demo, err := lms.New(cfg)
	s.ok(err)
	t.Cleanup(demo.Close)
	s.lms = demo
	s.up()
	t.Cleanup(s.down)
	tool := demo.Platform().Register(ltitest.Tool{
		Name: "Vigil", LoginURL: s.tool + "/lti/login", RedirectURIs: []string{s.tool + "/lti/launch"},
		TargetLinkURI: s.tool + "/lti/launch", KeySetURL: s.tool + "/lti/keys",
	})
	s.client = tool.ClientID
	s.register()
	return s
}

// register makes the LMS known to the store, by hand.
func (s *site) register() {
	s.Helper()
	tool, _ := s.lms.Platform().Tool(s.client)
	e := s.lms.Platform().Endpoints(s.client)
	args := []string{
		"platform", "add", "--store", s.store(), "--private",
		"--issuer", e.Issuer, "--client-id", s.client, "--auth-url", e.Authorization, "--token-url", e.Token,
		"--key-set-url", e.KeySet, "--audience", e.TokenAudience, "--deployment", tool.DeploymentID,
	}
	if s.bin == "" {
		must(s.T, "migrate", "--store", s.store())
		s.platform = strings.TrimSpace(must(s.T, args...))
		return
	}
	out, err := exec.Command(s.bin, args...).Output()
	s.ok(err)
	s.platform = strings.TrimSpace(string(out))
}

func (s *site) ok(err error) {
	s.Helper()
	testutil.OK(s, err)
}

func (s *site) store() string { return cmp.Or(s.place, "sqlite:"+s.db) }

// up lets the LMS listen, down makes it refuse connections.
func (s *site) up() {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var l net.Listener
	testutil.Until(s.T, "the LMS's port", func() (free bool) {
		var err error
		l, err = net.Listen("tcp", s.lmsAddress)
		return err == nil
	})
	server, served := &http.Server{Handler: s.lms, ReadHeaderTimeout: headerTime}, make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.Error("the LMS stopped:", err)
		}
	}()
	s.server, s.served = server, served
}

func (s *site) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return
	}
	if err := s.server.Close(); err != nil {
		s.Error(err)
	}
	<-s.served
	s.server = nil
}

// node is a running server.
type node struct {
	*testing.T
	log  *output
	done chan struct{}
	code int // once done
	cmd  *exec.Cmd
	stop context.CancelFunc
}

func (s *site) args(more ...string) []string {
	return append([]string{
		"serve", "--store", s.store(), "--public-url", s.tool, "--listen", s.listen, "--admin-listen", s.admin, "--drain-time", "100ms",
	}, more...)
}

// process runs the server as a process of its own, until it is ready.
func (s *site) process(more ...string) *node {
	s.Helper()
	path := s.bin
	if path == "" {
		var err error
		path, err = binary()
		s.ok(err)
	}
	n := &node{T: s.T, log: &output{}, done: make(chan struct{}), cmd: exec.Command(path, s.args(more...)...)}
	n.cmd.Stderr, n.cmd.Env = n.log, append([]string{}, s.env...)
	s.ok(n.cmd.Start())
	s.running = n
	go func() {
		defer close(n.done)
		_ = n.cmd.Wait() // the exit code says it
		n.code = n.cmd.ProcessState.ExitCode()
	}()
	s.Cleanup(n.kill)
	s.ready(n)
	return n
}

// serve runs the server within this process, until it is ready.
func (s *site) serve(more ...string) *node {
	s.Helper()
	ctx, stop := context.WithCancel(context.Background())
	n := &node{T: s.T, log: &output{}, done: make(chan struct{}), stop: stop}
	s.running = n
	go func() {
		defer close(n.done)
		n.code = run(ctx, s.args(more...), nil, io.Discard, n.log)
	}()
	s.Cleanup(func() { n.end() })
	s.ready(n)
	return n
}

func (s *site) ready(n *node) {
	s.Helper()
	testutil.Until(s.T, "the server to be ready", func() bool {
		select {
		case <-n.done:
			s.Fatalf("the server ended with %d:\n%s", n.code, n.log)
		default:
		}
		status, _ := get(s.T, "http://"+s.admin+"/readyz")
		return status == http.StatusOK
	})
}

// end tells the server to stop, waits for it and returns its exit code.
func (n *node) end() int {
	if n.cmd == nil {
		n.stop()
	} else if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.Error(err)
	}
	<-n.done
	return n.code
}

// kill is SIGKILL.
func (n *node) kill() {
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.Error(err)
	}
	<-n.done
}

// open opens the store of a server that has ended.
func (s *site) open(path string) *sqlite.Store {
	s.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	s.ok(err)
	s.Cleanup(func() { s.ok(store.Close()) })
	return store
}

// seat launches a student and passes the check-in.
func (s *site) seat(userID string) *seat.Student {
	s.Helper()
	seat, err := s.seatOrNot(userID)
	s.ok(err)
	return seat
}

func (s *site) seatOrNot(userID string) (*seat.Student, error) {
	hc := crowdClient()
	s.Cleanup(hc.CloseIdleConnections)
	return takeSeat(s.Context(), s.tool, s.lms, userID, hc)
}

// student seats and connects one.
func (s *site) student(userID string, edits ...func(c *client.Config)) *client.Student {
	s.Helper()
	return s.connect(s.seat(userID), edits...)
}

func (s *site) connect(seat *seat.Student, edits ...func(c *client.Config)) *client.Student {
	s.Helper()
	cfg := client.Config{Page: 1, BackoffFirst: 50 * time.Millisecond, BackoffMost: 500 * time.Millisecond}
	for _, edit := range edits {
		edit(&cfg)
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	c, err := seat.Dial(ctx, cfg)
	s.ok(err)
	s.Cleanup(c.Close)
	return c
}

// proctor launches the instructor to the dashboard and connects as its page does.
func (s *site) proctor(edits ...func(c *client.Config)) *client.Proctor {
	s.Helper()
	b := ltitest.NewBrowser(nil)
	p := s.lms.Platform()
	b.SignIn(p, instructor)
	page, err := b.Open(s.Context(), p.Begin(ltitest.Launch{
		Message: ltitest.ResourceLink, ClientID: p.Tools()[0].ClientID, UserID: instructor, LinkID: lms.LinkID,
	}))
	s.ok(err)
	return watch(s.T, s.tool, b, page, edits...)
}

// watch connects a proctor whose browser shows the dashboard.
func watch(t *testing.T, tool string, b *ltitest.Browser, page *ltitest.Page, edits ...func(c *client.Config)) *client.Proctor {
	t.Helper()
	desk, err := seat.At(tool, b, page)
	if err != nil {
		t.Fatal(err)
	}
	hc := crowdClient()
	cfg := client.Config{
		TokenSource: desk.Token, Origin: vigil.Origin(tool), HTTPClient: hc, BackoffFirst: 50 * time.Millisecond, BackoffMost: 500 * time.Millisecond,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := client.Watch(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); hc.CloseIdleConnections() })
	testutil.Until(t, "the dashboard's first snapshot", func() bool { return w.Snapshots() > 0 })
	return w
}

// signalsOf reads all signals of a session.
func signalsOf(t *testing.T, store storage.Store, session string) []vigil.Signal {
	t.Helper()
	var out []vigil.Signal
	for page := (vigil.Page{}); ; {
		list, next, err := store.SignalsOfSession(context.Background(), session, page)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, list...)
		if next == "" {
			return out
		}
		page.After = next
	}
}

func cancelable(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}
