//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
	"vigil/storage/sqlite"
)

// system is a system under test: real processes on this machine.
type system interface {
	// addresses are where sockets connect, one a node.
	addresses() []string
	// start runs its processes until they are ready; stop ends them.
	start(ctx context.Context) error
	stop() error
	// servers are the nodes' processes; broker is Redis, or nil; other is what else is kept
	// out of the figures, such as DynamoDB Local.
	servers() []*process
	broker() *process
	redis() *redisServer
}

// startTime is how long a server may take until it is ready.
const startTime = 60 * time.Second

// quiet makes the harness's own requests to the servers.
var quiet = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func answers(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	res, err := quiet.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body) // only the status matters
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// freeAddress is a loopback address that nothing listens on, below the ranges from which
// tests and systems take theirs.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	for range 200 {
		n, err := rand.Int(rand.Reader, big.NewInt(4000))
		if err != nil {
			return "", err
		}
		l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", 8000+n.Int64()))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}

// vigilSystem is Vigil as operators run it.
type vigilSystem struct {
	bin, dir, cpus string
	store          string // --store
	keySecret      string
	listen, admin  []string
	tool           string // public URL
	more           []string
	local          *dynamolocal.Server
	units          *meter // of local; nil where nobody asks
	cache          *redisServer
	nodes          []*process
}

// newVigil prepares a system whose store is empty.
func newVigil(ctx context.Context, c common, dir, cpus string, tell func(string, ...any)) (*vigilSystem, error) {
	v := &vigilSystem{dir: dir, cpus: cpus, more: c.ServeFlags}
	var err error
	if v.bin, err = c.vigilBinary(); err != nil {
		return nil, err
	}
	for range c.Nodes {
		for _, list := range []*[]string{&v.listen, &v.admin} {
			address, err := freeAddress(ctx)
			if err != nil {
				return nil, err
			}
			*list = append(*list, address)
		}
	}
	v.tool = "http://localhost:" + portOf(v.listen[0])
	if c.Nodes > 1 || c.Redis {
		help, err := exec.CommandContext(ctx, v.bin, "serve", "--help").Output() //nolint:gosec // the program to be measured
		if err != nil {
			return nil, fmt.Errorf("%s serve --help: %w", v.bin, err)
		}
		if !strings.Contains(string(help), "--redis") {
			return nil, fmt.Errorf("%s has no --redis: it is a node that is alone. Give --nodes=1 and leave out --redis", v.bin)
		}
		if v.cache, err = newRedis(ctx, dir, cpus); err != nil {
			return nil, err
		}
	}
	switch c.Store {
	case "sqlite":
		v.store = "sqlite:" + filepath.Join(dir, "vigil.db")
	case "dynamodb":
		tell("starting DynamoDB Local")
		if v.local, err = dynamolocal.Start(ctx); err != nil {
			return nil, fmt.Errorf("DynamoDB Local did not start (run this within Vigil's tree, or set DYNAMODB_LOCAL to the folder of its files): %w", err)
		}
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // it never fails
		v.keySecret = base64.StdEncoding.EncodeToString(secret)
		endpoint := v.local.URL
		if c.metered {
			if v.units, err = newMeter(v.local.URL); err != nil {
				return nil, errors.Join(err, v.close())
			}
			endpoint = v.units.url
		}
		v.store = "dynamodb:bench?region=local&endpoint=" + url.QueryEscape(endpoint)
	}
	return v, nil
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func (v *vigilSystem) addresses() []string { return v.listen }

func (v *vigilSystem) servers() []*process { return v.nodes }

func (v *vigilSystem) broker() *process { return v.cache.proc() }

func (v *vigilSystem) redis() *redisServer { return v.cache }

func (v *vigilSystem) env() []string {
	if v.keySecret == "" {
		return environment()
	}
	return environment("VIGIL_KEY_SECRET=" + v.keySecret)
}

// register makes the store and an LMS known to it, as an operator does by hand.
func (v *vigilSystem) register(ctx context.Context, f Founded) error {
	for _, args := range [][]string{
		{"migrate", "--store", v.store},
		{
			"platform", "add", "--store", v.store, "--private", "--issuer", f.Issuer, "--client-id", f.ClientID,
			"--auth-url", f.Auth, "--token-url", f.Token, "--key-set-url", f.KeySet, "--audience", f.Audience, "--deployment", f.Deployment,
		},
	} {
		cmd := exec.CommandContext(ctx, v.bin, args...) //nolint:gosec // the program to be measured
		cmd.Env = v.env()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

func (v *vigilSystem) start(ctx context.Context) error {
	if err := v.cache.start(ctx); err != nil {
		return err
	}
	v.nodes = make([]*process, len(v.listen))
	for i := range v.listen {
		if err := v.startNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (v *vigilSystem) startNode(ctx context.Context, i int) error {
	argv := append([]string{
		v.bin, "serve", "--store", v.store, "--public-url", v.tool, "--listen", v.listen[i], "--admin-listen", v.admin[i],
		"--drain-time", "100ms", "--log-level", "warn",
	}, v.more...)
	if v.cache != nil {
		argv = append(argv, "--redis", v.cache.url())
	}
	p, err := start(ctx, v.dir, fmt.Sprint("vigil-", i), v.cpus, v.env(), argv...)
	if err != nil {
		return err
	}
	v.nodes[i] = p
	return p.until(ctx, "it to be ready", func() bool { return answers(ctx, "http://"+v.admin[i]+"/readyz") })
}

func (v *vigilSystem) stop() error {
	var err error
	for _, p := range v.nodes {
		err = errors.Join(err, p.end())
	}
	v.nodes = nil
	return errors.Join(err, v.cache.stop())
}

// close ends what outlives a stop.
func (v *vigilSystem) close() error {
	err := v.stop()
	if v.units != nil {
		err = errors.Join(err, v.units.close())
		v.units = nil
	}
	if v.local != nil {
		err = errors.Join(err, v.local.Stop())
		v.local = nil
	}
	return err
}

// open opens the store of a system that is stopped.
func (v *vigilSystem) open(ctx context.Context) (storage.Store, func() error, error) {
	if path, ok := strings.CutPrefix(v.store, "sqlite:"); ok {
		s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	client, end, err := dynamo.NewClient(ctx, dynamo.ClientConfig{Region: "local", Endpoint: v.local.URL})
	if err != nil {
		return nil, nil, err
	}
	if err := migrations.Migrate(ctx, migrations.Options{Client: client, Prefix: "bench", Local: true}); err != nil {
		end()
		return nil, nil, err
	}
	s, err := dynamo.Open(ctx, dynamo.Config{Client: client, Prefix: "bench"})
	if err != nil {
		end()
		return nil, nil, err
	}
	return s, func() error { defer end(); return s.Close() }, nil
}

// kept is what the store holds of what students gave.
type kept struct {
	Given, Stored int64
	Missing       int64 // acknowledged, and not there: lost for good
	Unsure        int64 // neither acknowledged nor there: the outbox would send them again
	Doubled       int64
	Open          int64 // attempts that were handed in, and are not over there
	Examples      []string
}

// checkStore compares the store with what students gave. Everything acknowledged must be
// there once.
func checkStore(ctx context.Context, s storage.Store, records []Record) (k kept, err error) {
	for _, r := range records {
		seen := make([]int, r.Given+1)
		for sig, err := range vigil.EachOf(ctx, s.SignalsOfSession, r.Session) {
			if err != nil {
				return k, fmt.Errorf("read the store: %w", err)
			}
			if sig.Stream == r.Stream && sig.Seq >= 1 && sig.Seq <= int64(r.Given) {
				seen[sig.Seq]++
			}
		}
		if r.Ended {
			switch session, err := s.Session(ctx, r.Session); {
			case err != nil:
				return k, fmt.Errorf("read the store: %w", err)
			case !session.State.Ended():
				k.Open++
			}
		}
		k.Given += int64(r.Given)
		absent := int64(0)
		for seq, n := range seen[1:] {
			switch {
			case n == 0:
				absent++
				if len(k.Examples) < 5 {
					k.Examples = append(k.Examples, fmt.Sprintf("signal %d of %s is not in the store", seq+1, r.Session))
				}
			case n > 1:
				k.Doubled += int64(n - 1)
			}
			k.Stored += int64(min(n, 1))
		}
		unsure := min(absent, int64(r.Given-r.Acked))
		k.Unsure += unsure
		k.Missing += absent - unsure
	}
	return k, nil
}

// redisServer is a redis-server of our own, in memory.
type redisServer struct {
	dir, cpus, address string
	p                  *process
}

func newRedis(ctx context.Context, dir, cpus string) (*redisServer, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is missing (Debian: redis-server)")
	}
	address, err := freeAddress(ctx)
	return &redisServer{dir: dir, cpus: cpus, address: address}, err
}

func (r *redisServer) proc() *process {
	if r == nil {
		return nil
	}
	return r.p
}

func (r *redisServer) url() string { return "redis://" + r.address }

func (r *redisServer) start(ctx context.Context) error {
	if r == nil {
		return nil
	}
	var err error
	r.p, err = start(ctx, r.dir, "redis", r.cpus, environment(), "redis-server", "--bind", "127.0.0.1", "--port", portOf(r.address), "--save", "", "--appendonly", "no")
	if err != nil {
		return err
	}
	return r.p.until(ctx, "it to answer", func() bool { _, err := r.commands(ctx); return err == nil })
}

func (r *redisServer) stop() error {
	if r == nil {
		return nil
	}
	err := r.p.end()
	r.p = nil
	return err
}

// commands is how many commands it has processed.
func (r *redisServer) commands(ctx context.Context) (n int64, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", r.address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(c, "INFO stats\r\n"); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "total_commands_processed:"); ok {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("redis did not tell its commands"))
}

// baselineSystem is the published design.
type baselineSystem struct {
	dir, cpus, code string
	workers         int
	heartbeat       time.Duration
	listen          string
	cache           *redisServer
	cluster         *process
}

func newBaseline(ctx context.Context, c common, dir, cpus string, tell func(string, ...any)) (*baselineSystem, error) {
	code, err := installBaseline(ctx, tell)
	if err != nil {
		return nil, err
	}
	b := &baselineSystem{dir: dir, cpus: cpus, code: code, workers: c.Nodes, heartbeat: c.Heartbeat}
	if b.listen, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	b.cache, err = newRedis(ctx, dir, cpus)
	return b, err
}

func (b *baselineSystem) addresses() []string { return []string{b.listen} }

func (b *baselineSystem) servers() []*process { return []*process{b.cluster} }

func (b *baselineSystem) broker() *process { return b.cache.proc() }

func (b *baselineSystem) redis() *redisServer { return b.cache }

func (b *baselineSystem) start(ctx context.Context) error {
	if err := b.cache.start(ctx); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(b.listen)
	if err != nil {
		return err
	}
	env := environment("HOST="+host, "PORT="+port, "WORKERS="+strconv.Itoa(b.workers), "REDIS_URL="+b.cache.url(),
		"HEARTBEAT_MS="+strconv.FormatInt(b.heartbeat.Milliseconds(), 10), "NODE_ENV=production")
	b.cluster, err = start(ctx, b.dir, "baseline", b.cpus, env, "node", filepath.Join(b.code, "server.mjs"))
	if err != nil {
		return err
	}
	return b.cluster.until(ctx, "its workers to listen", func() bool {
		out, err := os.ReadFile(b.cluster.log)
		return err == nil && strings.Contains(string(out), "ready\n") && answers(ctx, "http://"+b.listen+"/health")
	})
}

func (b *baselineSystem) stop() error {
	err := b.cluster.end()
	if b.cluster != nil {
		err = errors.Join(err, os.Remove(b.cluster.log)) // the next start looks for "ready" in it
	}
	b.cluster = nil
	return errors.Join(err, b.cache.stop())
}
