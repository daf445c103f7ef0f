package redisrelay_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"vigil/internal/testutil"
	"vigil/realtime/relay"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/relay/redisrelay/redistest"
)

// inbox is a receiver that remembers.
type inbox struct {
	mu    sync.Mutex
	got   []string
	holes int
}

func (b *inbox) Receive(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, string(p))
}

func (b *inbox) Hole() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holes++
}

func (b *inbox) has(s string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.got, s)
}

func (b *inbox) holesSeen() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holes
}

func subscribe(t *testing.T, r *redisrelay.Relay, exam string) *inbox {
	t.Helper()
	b := &inbox{}
	cancel, err := r.Subscribe(exam, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return b
}

// pair is two relays on one Redis with one exam, and what each hears.
type pair struct {
	a, b     *redisrelay.Relay
	atA, atB *inbox
	n        int
}

func newPair(t *testing.T, url string, edits ...func(c *redisrelay.Config)) *pair {
	t.Helper()
	p := &pair{a: newRelay(t, url, edits...), b: newRelay(t, url, edits...)}
	p.atA, p.atB = subscribe(t, p.a, "exam"), subscribe(t, p.b, "exam")
	return p
}

// passes waits until both hear each other.
func (p *pair) passes(t *testing.T) {
	t.Helper()
	p.n++
	m := fmt.Sprintf("message %d", p.n)
	p.a.Publish("exam", []byte(m))
	p.b.Publish("exam", []byte(m))
	testutil.Until(t, m+" on both", func() bool { return p.atA.has(m) && p.atB.has(m) })
	testutil.Until(t, "both up", func() bool { return p.a.State("exam").Up && p.b.State("exam").Up })
}

func (p *pair) down(t *testing.T) {
	t.Helper()
	testutil.Until(t, "both to say that the relay is away", func() bool { return !p.a.State("exam").Up && !p.b.State("exam").Up })
}

func TestARedisThatWasKilledAndComesBackEmptyIsResumed(t *testing.T) {
	server := redistest.Start(t)
	var lags atomic.Int64
	p := newPair(t, server.URL(), func(c *redisrelay.Config) {
		c.Lag = func(d time.Duration) {
			if d > 0 {
				lags.Add(1)
			}
		}
	})
	p.passes(t)
	testutil.Until(t, "the lag to be told", func() bool { return lags.Load() > 0 })
	if n := p.a.Stats().Reconnects; n != 0 {
		t.Errorf("got %d reconnects before any fault, want none", n)
	}
	server.Kill()
	p.down(t)
	p.a.Publish("exam", []byte("said while Redis was away"))
	server.Restart()
	testutil.Until(t, "what was said meanwhile", func() bool { return p.atB.has("said while Redis was away") })
	p.passes(t)
	if n := p.a.Stats().Reconnects; n != 1 {
		t.Errorf("got %d reconnects, want 1", n)
	}
}

func TestWhatRedisLostBeforeItWasReadIsAHole(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Address)
	p := &pair{a: newRelay(t, server.URL()), b: newRelay(t, proxy.URL())}
	p.atA, p.atB = subscribe(t, p.a, "exam"), subscribe(t, p.b, "exam")
	p.passes(t)
	proxy.Cut()
	before := p.a.Stats().Entries
	p.a.Publish("exam", []byte("lost"))
	testutil.Until(t, "Redis to have it", func() bool { return p.a.Stats().Entries > before })
	server.Kill()
	server.Restart()
	proxy.Heal()
	testutil.Until(t, "a hole", func() bool { return p.atB.holesSeen() > 0 }) // by the next sign of life alone
	p.passes(t)
}

func TestARedisThatStandsStillIsResumedWithoutAHole(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL())
	p.passes(t)
	server.Freeze()
	for i := range 300 {
		p.a.Publish("exam", fmt.Appendf(nil, "frozen %d", i))
	}
	p.down(t)
	server.Thaw()
	testutil.Until(t, "everything said meanwhile", func() bool { return p.atB.has("frozen 299") })
	p.passes(t)
	if n := p.atB.holesSeen(); n != 0 {
		t.Errorf("got %d holes, want none: nothing was lost", n)
	}
}

func TestWhatOverflowsWhileRedisIsAwayIsAHole(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL(), func(c *redisrelay.Config) { c.QueueMessages = 50 })
	p.passes(t)
	server.Freeze()
	for i := range 500 {
		p.a.Publish("exam", fmt.Appendf(nil, "m %d", i))
	}
	if w := p.a.Stats().Waiting; w > 50 {
		t.Errorf("got %d messages waiting, want 50 at most", w)
	}
	server.Thaw()
	testutil.Until(t, "a hole", func() bool { return p.atB.holesSeen() > 0 })
	p.passes(t)
	if d := p.a.Stats().Dropped; d == 0 {
		t.Error("got none counted as dropped")
	}
}

func TestAMessageThatIsTooLargeIsAHole(t *testing.T) {
	p := newPair(t, redistest.Start(t).URL())
	p.passes(t)
	p.a.Publish("exam", make([]byte, 2<<20))
	testutil.Until(t, "a hole", func() bool { return p.atB.holesSeen() == 1 })
	p.passes(t)
}

func TestAReplicaThatTakesNoWritesIsAwayUntilItIsTheMaster(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL())
	p.passes(t)
	master := redistest.Start(t)
	host, port, _ := net.SplitHostPort(master.Address)
	server.Do("REPLICAOF", host, port) // READONLY, and its data are replaced by an empty master's
	testutil.Until(t, "nobody to be able to write", func() bool {
		p.a.Publish("exam", []byte("x"))
		p.b.Publish("exam", []byte("x"))
		return !p.a.State("exam").Up && !p.b.State("exam").Up
	})
	server.Do("REPLICAOF", "NO", "ONE")
	p.passes(t)
}

func TestARedisThatTakesNoMoreConnectionsIsAwayUntilItDoes(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL())
	p.passes(t)
	beside := server.Client()
	if err := beside.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	beside.ConfigSet(t.Context(), "maxclients", "1")
	beside.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes")
	p.down(t)
	beside.ConfigSet(t.Context(), "maxclients", "1000")
	p.passes(t)
}

func TestARedisThatIsFullIsAwayUntilThereIsRoom(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	p := newPair(t, server.URL())
	p.passes(t)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	p.a.Publish("exam", []byte("while it was full"))
	testutil.Until(t, "the writer to say that it is away", func() bool { return !p.a.State("exam").Up })
	server.Do("CONFIG", "SET", "maxmemory", "0")
	testutil.Until(t, "what was said", func() bool { return p.atB.has("while it was full") })
	p.passes(t)
}

func TestASubscriptionWhileRedisIsAwayBeginsWithAHole(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	p := newPair(t, server.URL())
	p.a.Publish("exam", []byte("early"))
	server.Restart()
	testutil.Until(t, "a hole on both", func() bool { return p.atA.holesSeen() > 0 && p.atB.holesSeen() > 0 })
	p.passes(t)
}

func TestIDsThatStepBackAreAHole(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL(), func(c *redisrelay.Config) { c.Partitions = 1 })
	p.passes(t)
	// What a failover to a replica with a clock behind looks like: the newest entries are gone.
	c := server.Client()
	key := "vigil:{0}:relay"
	far := fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli())
	last := c.XRevRangeN(t.Context(), key, "+", "-", 1).Val()[0]
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: key, ID: far, Values: last.Values}).Err(); err != nil { // a repeat: nobody is told of it
		t.Fatal(err)
	}
	testutil.Until(t, "both to have read it", func() bool {
		time.Sleep(time.Second)
		return p.a.State("exam").Up && p.b.State("exam").Up
	})
	pipe := c.TxPipeline()
	pipe.Del(t.Context(), key)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	testutil.Until(t, "a hole on both", func() bool { return p.atA.holesSeen() > 0 && p.atB.holesSeen() > 0 })
	p.passes(t)
}

func TestANodeThatFallsSilentIsNamedAndOneThatSaidGoodbyeIsNot(t *testing.T) {
	server := redistest.Start(t)
	quick := func(c *redisrelay.Config) { c.Beat = 50 * time.Millisecond }
	watcher := newRelay(t, server.URL(), quick)
	subscribe(t, watcher, "exam")
	proxy := redistest.NewProxy(t, server.Address)
	cut := newRelay(t, proxy.URL(), quick, func(c *redisrelay.Config) { c.Node = "cut off" })
	leaves := newRelay(t, server.URL(), quick, func(c *redisrelay.Config) { c.Node = "leaves" })
	heard := subscribe(t, watcher, "exam")
	cut.Publish("exam", []byte("cut"))
	leaves.Publish("exam", []byte("leaves"))
	testutil.Until(t, "both to be heard", func() bool { return heard.has("cut") && heard.has("leaves") })
	if err := leaves.Close(); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	testutil.Until(t, "the silent one to be named", func() bool { return slices.Equal(watcher.State("exam").Silent, []string{"cut off"}) })
	testutil.Until(t, "the one cut off to know", func() bool { return !cut.State("exam").Up })
	proxy.Heal()
	testutil.Until(t, "nobody to be silent", func() bool { s := watcher.State("exam"); return s.Up && len(s.Silent) == 0 })
}

func TestStreamsAreTrimmedByAgeAndBySize(t *testing.T) {
	server := redistest.Start(t)
	c := server.Client()
	const key = "vigil:{0}:relay"
	fill := func(r *redisrelay.Relay) {
		for range 200 {
			for range 10 {
				r.Publish("exam", make([]byte, 10_000))
			}
			testutil.Until(t, "it to be away", func() bool { return r.Stats().Waiting == 0 })
		}
	}
	one := func(c *redisrelay.Config) { c.Partitions, c.TrimEvery = 1, time.Millisecond }
	small := newRelay(t, server.URL(), one, func(c *redisrelay.Config) { c.MaxBytes = 2 << 20 })
	fill(small)
	testutil.Until(t, "the stream to be small", func() bool {
		n, err := c.MemoryUsage(t.Context(), key, 0).Result()
		return err == nil && n > 0 && n < 3<<20
	})
	if ttl := c.TTL(t.Context(), key).Val(); ttl <= 0 {
		t.Errorf("got a time to live of %v, want one: the stream of nobody must go", ttl)
	}
	young := newRelay(t, server.URL(), one, func(c *redisrelay.Config) { c.Keep, c.Beat = 200*time.Millisecond, 50*time.Millisecond })
	fill(young)
	testutil.Until(t, "the old entries to be gone", func() bool { return c.XLen(t.Context(), key).Val() < 200 })
}

func TestNodesWithOtherPartitionsAreNoticed(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL(), func(c *redisrelay.Config) { c.Partitions = 2 })
	p.passes(t)
	other := newRelay(t, server.URL(), func(c *redisrelay.Config) { c.Partitions = 3 })
	for i := range 20 { // into all of its partitions
		other.Publish(fmt.Sprint("exam", i), []byte("x"))
	}
	testutil.Until(t, "it to be noticed", func() bool { return !p.a.State("exam").Up })
}

func TestWhatIsNoEntryIsCountedAndAHole(t *testing.T) {
	server := redistest.Start(t)
	p := newPair(t, server.URL(), func(c *redisrelay.Config) { c.Partitions = 1 })
	p.passes(t)
	server.Do("XADD", "vigil:{0}:relay", "*", "other", "thing")
	server.Do("XADD", "vigil:{0}:relay", "*", "e", "\x01nonsense")
	testutil.Until(t, "it to be counted", func() bool { return p.a.Stats().Bad == 2 && p.atA.holesSeen() > 0 })
	p.passes(t)
}

func TestTLSAndAnACLUser(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := fmt.Sprint(redistest.FreePort(t))
	settings := []string{
		"--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile, "--tls-auth-clients", "no",
		"--user", "vigil", "on", ">secret", "~vigil:*",
	}
	server := redistest.Start(t, append(settings, redisrelay.Permissions...)...)
	// Go reads the roots it trusts once per process, so the certificate is not checked here.
	url := "rediss://vigil:secret@127.0.0.1:" + port + "?skip_verify=true"
	if err := check(t, url); err != nil {
		t.Fatalf("check: %v", err)
	}
	newPair(t, url).passes(t)
	for _, wrong := range []string{"rediss://vigil:wrong@127.0.0.1:" + port + "?skip_verify=true", "rediss://vigil:secret@127.0.0.1:" + port, server.URL() + "1"} {
		if err := check(t, wrong); err == nil {
			t.Errorf("%s: got no error, want one", wrong)
		}
	}
}

func check(t *testing.T, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	_, err := redisrelay.Check(ctx, url)
	return err
}

func TestASentinelNamesTheMasterAlsoAfterAFailover(t *testing.T) {
	master := redistest.Start(t)
	replica := redistest.Start(t)
	host, port, _ := net.SplitHostPort(master.Address)
	replica.Do("REPLICAOF", host, port)
	testutil.Until(t, "the replica to follow", func() bool {
		return strings.Contains(replica.Do("INFO", "replication").(string), "master_link_status:up")
	})
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor vigil %s %s 1\nsentinel down-after-milliseconds vigil 1000\nsentinel failover-timeout vigil 5000\n", host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := redistest.StartSentinel(t, conf)
	testutil.Until(t, "the sentinel to know the replica", func() bool {
		l, ok := sentinel.Do("SENTINEL", "REPLICAS", "vigil").([]any)
		return ok && len(l) == 1
	})
	p := newPair(t, sentinel.URL()+"?master_name=vigil")
	p.passes(t)
	master.Kill()
	p.down(t)
	p.passes(t)
	if role := replica.Do("ROLE").([]any)[0]; role != "master" {
		t.Errorf("got the replica as %v, want it as the master", role)
	}
}

var _ relay.Watched = (*redisrelay.Relay)(nil)
