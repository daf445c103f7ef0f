// Package redistest runs real Redis servers for tests: Debian's redis-server, on free
// ports, without files that outlive the test.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience bounds every wait; the machine may be busy with other tests.
const patience = time.Minute

// Server is one Redis server. Its data live in memory only.
type Server struct {
	t    testing.TB
	conf []string // what comes first on the command line
	args []string
	dir  string

	Address string // host:port

	mu   sync.Mutex
	pid  int
	in   io.Closer
	done chan struct{}
	log  *strings.Builder
}

// URL is the server's.
func (s *Server) URL() string { return "redis://" + s.Address }

// Start starts a server with more settings as on its command line, and waits until it
// answers. It ends with the test. Where there is no redis-server the test is skipped; with
// CI set it fails.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	return start(t, nil, settings)
}

// StartSentinel starts a sentinel with a file of settings, which it changes.
func StartSentinel(t testing.TB, conf string) *Server {
	t.Helper()
	return start(t, []string{conf}, []string{"--sentinel"})
}

func start(t testing.TB, conf, settings []string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no redis-server (Debian: redis-server)")
		}
		t.Skip("no redis-server (Debian: redis-server)")
	}
	s := &Server{t: t, dir: t.TempDir(), conf: conf}
	t.Cleanup(s.Kill)
	for try := 0; ; try++ {
		s.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
		s.args = settings
		if err := s.start(); err == nil {
			return s
		} else if try == 3 { // another program may have taken the port
			t.Fatal(err)
		}
	}
}

// FreePort lies below the range from which systems take the ports of outgoing
// connections, so that it is still free when a server comes back to it. Until the test
// ends nobody else gets it from here, in other processes neither: the same port of another
// loopback address is taken as long.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := strconv.Itoa(12000 + rand.IntN(18000))
		taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.77", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err == nil { // else the system has no such address
			t.Cleanup(func() { taken.Close() })
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	t.Fatal("no free port")
	return 0
}

func (s *Server) start() error {
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return err
	}
	// The shell ends the server when its input ends: also when the tests are killed.
	const script = `exec 3<&0; redis-server "$@" >&2 & pid=$!; echo "$pid"
{ cat <&3 >/dev/null; kill -CONT "$pid"; kill -KILL "$pid"; } 2>/dev/null & wait "$pid"`
	args := append([]string{"-c", script, "sh"}, s.conf...)
	args = append(args, "--port", port, "--bind", "127.0.0.1", "--dir", s.dir)
	if s.conf == nil {
		args = append(args, "--save", "", "--appendonly", "no", "--cluster-config-file", "nodes-"+port+".conf")
	}
	cmd := exec.Command("sh", append(args, s.args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	log := &strings.Builder{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // it is killed
	}()
	s.mu.Lock()
	s.pid, s.in, s.done, s.log = pid, in, done, log
	s.mu.Unlock()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if answers(s.Address) {
			return nil
		}
		select {
		case <-done:
			end = time.Time{}
		default:
		}
	}
	s.Kill()
	return fmt.Errorf("redis-server did not come up:\n%s", log)
}

// answers tells whether a server says anything to a PING.
func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil || conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	n, err := conn.Read(make([]byte, 1))
	return err == nil && n == 1
}

// Kill ends the server at once; its data are gone.
func (s *Server) Kill() {
	s.mu.Lock()
	in, done := s.in, s.done
	s.in = nil
	s.mu.Unlock()
	if in == nil {
		return
	}
	_ = in.Close()
	<-done
}

// Restart starts a killed server on its address, empty.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Freeze stops the server as if its machine stood still; Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Error(err)
	}
}

// Client talks to the server beside what is tested.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Address})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Do runs one command.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Address})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// Cluster is a Redis Cluster of three shards without replicas.
type Cluster struct{ Shards []*Server }

// URL names the cluster by one of its nodes.
func (c *Cluster) URL() string { return c.Shards[0].URL() + "?cluster=true" }

// StartCluster starts one and waits until all shards know each other.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	const shards, slots = 3, 16384
	c := &Cluster{}
	for range shards {
		c.Shards = append(c.Shards, Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(FreePort(t)), "--cluster-node-timeout", "2000"))
	}
	for i, s := range c.Shards {
		s.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/shards, (i+1)*slots/shards-1)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, s := range c.Shards[1:] {
		_, port, err := net.SplitHostPort(s.Address)
		if err != nil {
			t.Fatal(err)
		}
		bus := c.Shards[0].bus(s)
		c.Shards[0].Do("CLUSTER", "MEET", "127.0.0.1", port, bus)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ok := true
		for _, s := range c.Shards {
			info, isText := s.Do("CLUSTER", "INFO").(string)
			ok = ok && isText && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}
		if ok {
			return c
		}
		if time.Now().After(end) {
			t.Fatal("the cluster did not form")
		}
	}
}

// bus is the other server's cluster port.
func (*Server) bus(other *Server) string {
	for i, a := range other.args {
		if a == "--cluster-port" {
			return other.args[i+1]
		}
	}
	return ""
}
