// Package redisrelay is the relay between many nodes: Redis Streams, one for each of a few
// partitions, which is one but on a cluster. An exam is always in the same partition.
//
// A node writes to a partition by one writer, which sends whatever gathered while its
// previous entry was on the way and for a few milliseconds more: a quiet system relays at
// once, a busy one many messages per command. It reads partition 0 and those in which it
// has subscriptions, by one reader each, because one XREAD over several hash slots is
// refused by a cluster.
//
// An entry carries its node's id and a counter. A hole in the counters, a stream whose
// ids stepped back (a failover, a restart without data) and an overflow of our own queues
// all become Receiver.Hole. Each node that has written shows signs of life in partition 0
// and in those that it has written to, so that a loss shows within seconds even if nothing
// else happens, and a node that is cut off is known to the others. Redis may lose
// everything: what matters is in the store.
//
// Nodes with different numbers of partitions look for an exam in different streams, and nodes
// of versions that differ in relay.Format do not read each other's payloads. They
// notice each other in partition 0, which they all have. While such a node is live, the relay
// is not up, so that the store is read instead: during a rolling restart, too. When the last such node has said goodbye, or has
// been silent for four beats, the relay is up again, and its receivers are told of a hole.
package redisrelay

import (
	"context"
	_ "embed"
	"hash/fnv"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"vigil"
	"vigil/realtime/relay"
)

// Config is what a Relay needs. URL must be given; every other field works when zero.
type Config struct {
	URL        string // see open
	Node       string // this process's id, as the hub has it; new at each start
	Prefix     string // of the keys; "vigil". Installations that share a Redis need different ones
	Partitions int    // the same on all nodes, see the package; 1, or 8 on a cluster
	Log        *slog.Logger
	Lag        func(time.Duration) // told from an entry's first try to its being read by ourselves; nil: nobody is

	Keep     time.Duration // entries stay so long in Redis; 5 min
	MaxBytes int64         // of one partition's stream in Redis; 256 MiB through the partitions

	QueueMessages int           // that wait for Redis, per partition; 65,536 through the partitions. More: all are dropped, told as a hole
	QueueBytes    int           // 64 MiB through the partitions, as QueueMessages
	Block         time.Duration // of one read; 1 s
	PaceEach      time.Duration // for each message that was sent, the next entry waits so long; 1 ms
	PaceMost      time.Duration // but no longer than this; 10 ms
	Beat          time.Duration // between signs of life; 2 s
	TrimEvery     time.Duration // 10 s
	RetryFirst    time.Duration // first pause after a fault; doubles to RetryMost; 50 ms
	RetryMost     time.Duration // 1 s

	format int // relay.Format; tests stand for other versions
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Lag == nil {
		c.Lag = func(time.Duration) {}
	}
	if c.Prefix == "" {
		c.Prefix = "vigil"
	}
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{
		{&c.Keep, 5 * time.Minute},
		{&c.Block, time.Second},
		{&c.PaceEach, time.Millisecond},
		{&c.PaceMost, 10 * time.Millisecond},
		{&c.Beat, 2 * time.Second},
		{&c.TrimEvery, 10 * time.Second},
		{&c.RetryFirst, 50 * time.Millisecond},
		{&c.RetryMost, time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	if c.format == 0 {
		c.format = relay.Format
	}
	if c.Partitions <= 0 {
		// One server takes what there is in fewer commands when it is one stream.
		if c.Partitions = 1; clustered(c.URL) {
			c.Partitions = 8
		}
	}
	if c.QueueMessages <= 0 {
		c.QueueMessages = max(1, 65_536/c.Partitions)
	}
	if c.QueueBytes <= 0 {
		c.QueueBytes = max(1, 64<<20/c.Partitions)
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = max(1, 256<<20/int64(c.Partitions))
	}
	return c
}

// layout is what nodes must have in common to work together.
func (c Config) layout() uint64 { return uint64(c.Partitions) + formatStep*uint64(c.format-1) }

func (c Config) validate() error {
	switch {
	case c.Node == "" || len(c.Node) > maxNode:
		return vigil.Invalid("node", "A node's id has 1 to %d bytes.", maxNode)
	case c.Partitions > maxPartitions:
		return vigil.Invalid("redis-partitions", "There may be 1 to %d partitions.", maxPartitions)
	case !validPrefix(c.Prefix):
		return vigil.Invalid("redis-prefix", "The prefix has 1 to 32 letters, digits, - or _.")
	}
	return nil
}

func validPrefix(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// streamKey is a partition's stream, prefix:{partition}:relay. The braces make a cluster
// keep what belongs to a partition in one slot.
func streamKey(prefix string, partition int) string {
	return prefix + ":{" + strconv.Itoa(partition) + "}:relay"
}

// Permissions are what an ACL user needs, beside the keys.
var Permissions = []string{
	"-@all", "+xadd", "+xread", "+xrevrange", "+xtrim", "+xlen", "+exists", "+pexpire", "+memory|usage", "+time", "+eval", "+evalsha",
	"+hello", "+auth", "+ping", "+select", "+cluster|slots", "+cluster|shards", "+cluster|nodes", "+command", "+readonly",
}

//go:embed trim.lua
var trimSource string

var trim = redis.NewScript(trimSource)

// Relay implements relay.Relay and relay.Watched.
type Relay struct {
	cfg      Config
	log      *slog.Logger
	write    redis.UniversalClient
	read     redis.UniversalClient // of its own, so that waiting reads starve no write
	ctx      context.Context       // ends with Close, when the writers have said goodbye
	cancel   context.CancelFunc
	writers  []*writer
	readers  []*tailer
	common   sync.Once // starts partition 0's writer
	counters counters

	mu     sync.RWMutex
	closed bool
	wg     sync.WaitGroup // Add only under mu while not closed
}

// counters are behind Stats.
type counters struct {
	published, entries, dropped, received, holes, faults, bad, reconnects atomic.Int64
}

// Stats is what a relay has counted since it began, but for the first group, which is how
// things are now.
type Stats struct {
	Up      bool // all partitions in use work
	Waiting int  // messages that wait for Redis

	Published int64 // messages
	Entries   int64 // that they went in
	Dropped   int64 // messages, from full queues
	Received  int64 // messages of others
	Holes     int64
	Faults    int64 // calls to Redis that failed
	Bad       int64 // entries that could not be read

	Reconnects int64 // times that Redis took what is relayed again after it had not, of all partitions
}

// New makes a relay. It does not wait for Redis, which may be away: the relay is not up
// then, and works as soon as Redis does. A bad configuration is CodeInvalid.
func New(cfg Config) (*Relay, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	connect, err := open(cfg.URL)
	if err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, log: cfg.Log, write: connect(cfg.Partitions + 2), read: connect(cfg.Partitions + 2)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.writers, r.readers = make([]*writer, cfg.Partitions), make([]*tailer, cfg.Partitions)
	for p := range cfg.Partitions {
		r.writers[p] = newWriter(r, p)
		r.readers[p] = newTailer(r, p)
	}
	return r, nil
}

// partition is the exam's: always the same one.
func (r *Relay) partition(exam string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(exam)) // never fails
	return int(h.Sum32() % uint32(r.cfg.Partitions))
}

// spawn runs f in a goroutine that Close waits for; false: the relay is closed.
func (r *Relay) spawn(f func()) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// Publish implements relay.Relay.
func (r *Relay) Publish(exam string, payload []byte) {
	r.counters.published.Add(1)
	r.writers[r.partition(exam)].put(message{exam, payload})
	r.common.Do(r.writers[0].start)
}

// Subscribe implements relay.Relay. It waits a moment for Redis, so that the reader
// knows where to begin; when Redis is away it succeeds all the same, and the receiver is
// told of a hole when Redis is back.
func (r *Relay) Subscribe(exam string, to relay.Receiver) (func(), error) {
	if exam == "" || len(exam) > maxExam {
		return nil, vigil.Invalid("exam", "An exam's id has 1 to %d bytes.", maxExam)
	}
	p := r.partition(exam)
	cancel, err := r.readers[p].subscribe(exam, to)
	if err != nil || p == 0 {
		return cancel, err
	}
	common, err := r.readers[0].subscribe(exam, nobody{})
	if err != nil {
		cancel()
		return nil, err
	}
	return func() {
		cancel()
		common()
	}, nil
}

// nobody keeps a reader at work.
type nobody struct{}

func (nobody) Receive([]byte) {}
func (nobody) Hole()          {}

// State implements relay.Watched.
func (r *Relay) State(exam string) relay.State {
	p := r.partition(exam)
	up, silent := r.readers[p].state()
	return relay.State{Up: up && r.writers[p].up() && !r.mixed(), Silent: silent}
}

// mixed tells whether a live node works with another layout. Any exam may be in another
// partition there, so it concerns all of ours.
func (r *Relay) mixed() bool {
	return slices.ContainsFunc(r.readers, (*tailer).isMixed)
}

// mismatch says once that a node with another layout is live.
func (r *Relay) mismatch(node string, layout uint64) {
	if theirs := (layout - 1) / formatStep; theirs != uint64(r.cfg.format-1) {
		r.log.Warn("another node is of a version of Vigil that relays in another way: dashboards read the store until it has ended", "other", node)
		return
	}
	r.log.Error("another node works with another number of partitions; --redis-partitions must be the same on all",
		"other", node, "theirs", (layout-1)%formatStep+1, "ours", r.cfg.Partitions)
}

// hole tells the subscribers of all partitions that something is missing.
func (r *Relay) hole(why string) {
	r.counters.holes.Add(1)
	r.log.Info("a hole in the relay: what is shown is read anew", "why", why)
	for _, t := range r.readers {
		t.mu.Lock()
		all := t.all()
		t.mu.Unlock()
		for _, s := range all {
			s.Hole()
		}
	}
}

// Stats returns the counts as they are now.
func (r *Relay) Stats() Stats {
	c := &r.counters
	s := Stats{
		Up: !r.mixed(), Published: c.published.Load(), Entries: c.entries.Load(), Dropped: c.dropped.Load(),
		Received: c.received.Load(), Holes: c.holes.Load(), Faults: c.faults.Load(), Bad: c.bad.Load(), Reconnects: c.reconnects.Load(),
	}
	for p := range r.writers {
		up, _ := r.readers[p].state()
		s.Up = s.Up && up && r.writers[p].up()
		s.Waiting += r.writers[p].waiting()
	}
	return s
}

// Close implements relay.Relay. What was published a moment ago still gets away, if
// Redis answers.
func (r *Relay) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	var bye sync.WaitGroup
	for _, w := range r.writers {
		bye.Go(w.end)
	}
	bye.Wait()
	r.cancel()
	r.wg.Wait()
	for _, t := range r.readers {
		t.end()
	}
	err := r.write.Close()
	if readErr := r.read.Close(); err == nil {
		err = readErr
	}
	return err
}

// sleep waits; false: the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
