package redisrelay

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"vigil/realtime/relay"
)

// tailer reads one partition's stream while it has subscriptions.
type tailer struct {
	r   *Relay
	p   int
	key string

	mu      sync.Mutex
	subs    map[string][]*subscription // by exam; replaced, never changed
	count   int
	stop    context.CancelFunc // of the reader; nil: there is none
	tried   chan struct{}      // closed when the reader has tried for the first time
	read    time.Time          // when Redis last answered
	failing bool
	mixed   bool // a live node works with another layout
	peers   map[string]*peer
}

// peer is another node that writes to the stream.
type peer struct {
	n      uint64
	layout uint64 // that it works with; 0: not heard since reading began
	heard  time.Time
	bye    bool
}

type subscription struct {
	*relay.Mailbox
	exam string
}

const (
	tailEntries = 256 // that are looked at for the other nodes' counters when reading begins
	readEntries = 256 // at once
	upWithin    = 5 * time.Second
	beatsMissed = 4  // after so many a node is silent
	maxSilent   = 64 // nodes that are named though they were not heard for Keep: the newest
)

// silent tells whether p had not been heard for too long at that time.
func (t *tailer) silent(p *peer, at time.Time) bool {
	return at.Sub(p.heard) > beatsMissed*t.r.cfg.Beat
}

// mismatched tells whether p is live and works with another layout.
func (t *tailer) mismatched(p *peer, at time.Time) bool {
	return p.layout != 0 && p.layout != t.r.cfg.layout() && !p.bye && !t.silent(p, at)
}

func newTailer(r *Relay, p int) *tailer {
	return &tailer{r: r, p: p, key: streamKey(r.cfg.Prefix, p), subs: map[string][]*subscription{}}
}

func (t *tailer) subscribe(exam string, to relay.Receiver) (func(), error) {
	s := &subscription{relay.NewMailbox(to, 0), exam}
	t.mu.Lock()
	if t.stop == nil {
		ctx, cancel := context.WithCancel(t.r.ctx)
		tried := make(chan struct{})
		if !t.r.spawn(func() { t.run(ctx, tried) }) {
			t.mu.Unlock()
			cancel()
			return nil, relay.ErrClosed
		}
		t.stop, t.tried, t.read, t.failing = cancel, tried, time.Now(), false
		t.mixed, t.peers = false, nil // the last reader's
	}
	t.subs[exam] = append(t.subs[exam][:len(t.subs[exam]):len(t.subs[exam])], s)
	t.count++
	tried := t.tried
	t.mu.Unlock()
	<-tried // bounded by callTime
	return func() { t.cancel(s) }, nil
}

func (t *tailer) cancel(s *subscription) {
	t.mu.Lock()
	var rest []*subscription
	for _, o := range t.subs[s.exam] {
		if o != s {
			rest = append(rest, o)
		}
	}
	if len(rest) < len(t.subs[s.exam]) {
		t.count--
		t.subs[s.exam] = rest
		if len(rest) == 0 {
			delete(t.subs, s.exam)
		}
		if t.count == 0 {
			t.stop()
			t.stop = nil
		}
	}
	t.mu.Unlock()
	s.Close()
}

// end closes what was not canceled. The reader has ended.
func (t *tailer) end() {
	t.mu.Lock()
	subs := t.subs
	t.subs, t.count = map[string][]*subscription{}, 0
	t.mu.Unlock()
	for _, list := range subs {
		for _, s := range list {
			s.Close()
		}
	}
}

func (t *tailer) state() (up bool, silent []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil {
		return true, nil
	}
	now := time.Now()
	if now.Sub(t.read) > upWithin || t.failing && now.Sub(t.read) > failGrace {
		return false, nil
	}
	for node, p := range t.peers {
		if !p.bye && t.silent(p, now) {
			silent = append(silent, node)
		}
	}
	return true, silent
}

// isMixed tells whether a live node with another layout writes to the stream.
func (t *tailer) isMixed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stop != nil && t.mixed
}

// tailing is what one run of the reader knows. A run that was stopped may still end while
// the next one begins, so nothing of it is shared but the subscriptions.
type tailing struct {
	*tailer
	last   string // the id up to which everything was read; "": not known yet
	handed int    // messages in what was read last, ours too
	met    bool   // what was read last has an entry made with another layout
	peers  map[string]*peer
}

func (t *tailer) run(ctx context.Context, tried chan struct{}) {
	g := &tailing{tailer: t}
	pause := t.r.cfg.RetryFirst
	first := true
	missed := false // something may have been published before it was known where to begin
	for ctx.Err() == nil {
		var err error
		if g.last == "" {
			if err = g.place(ctx); err == nil && missed {
				missed = false
				g.hole(ctx, "reading begins late")
			}
		} else {
			err = g.next(ctx)
		}
		if first {
			first = false
			missed = err != nil
			close(tried)
		}
		if err == nil {
			g.answered(ctx)
			pause = t.r.cfg.RetryFirst
			continue
		}
		if ctx.Err() != nil {
			return
		}
		t.failed(err)
		sleep(ctx, jitter(pause))
		pause = min(2*pause, t.r.cfg.RetryMost)
	}
	if first {
		close(tried)
	}
}

func (t *tailer) failed(err error) {
	t.r.counters.faults.Add(1)
	t.mu.Lock()
	firstTime := !t.failing
	t.failing = true
	t.mu.Unlock()
	if firstTime {
		t.r.log.Warn("Redis does not answer; other nodes' changes come late", "key", t.key, "error", err)
	}
}

// answered takes in that Redis answered, and what that says of the other nodes.
func (g *tailing) answered(ctx context.Context) {
	t := g.tailer
	now := time.Now()
	t.mu.Lock()
	if ctx.Err() != nil {
		t.mu.Unlock()
		return
	}
	if t.failing || now.Sub(t.read) > upWithin {
		if t.failing {
			t.r.log.Info("Redis answers again", "key", t.key)
		}
		for _, p := range g.peers { // nobody could be heard
			if !t.silent(p, t.read) {
				p.heard = now
			}
		}
	}
	t.failing, t.read, t.peers = false, now, g.peers
	was := t.mixed
	t.mixed = false
	for node, p := range g.peers {
		if t.mismatched(p, now) {
			if t.mixed = true; !was {
				t.r.mismatch(node, p.layout)
			}
		}
	}
	g.forget(now)
	over := (was || g.met) && !t.mixed
	g.met = false
	t.mu.Unlock()
	if over {
		t.r.log.Info("all nodes work with the same version and number of partitions again", "key", t.key)
		t.r.hole("nodes worked with different versions or numbers of partitions")
	}
}

// forget leaves out the nodes that said goodbye long ago. One that is silent is named for as
// long as it may be cut off, which its row in the store tells and nothing here; many that
// died are bounded. t.mu is held.
func (g *tailing) forget(now time.Time) {
	var silent []string
	for node, p := range g.peers {
		switch {
		case now.Sub(p.heard) <= g.r.cfg.Keep:
		case p.bye:
			delete(g.peers, node)
		default:
			silent = append(silent, node)
		}
	}
	if len(silent) <= maxSilent {
		return
	}
	slices.SortFunc(silent, func(a, b string) int { return g.peers[a].heard.Compare(g.peers[b].heard) })
	for _, node := range silent[:len(silent)-maxSilent] {
		delete(g.peers, node)
	}
}

// tail reads the newest entries, newest first.
func tail(ctx context.Context, c redis.UniversalClient, key string, n int64) ([]redis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return c.XRevRangeN(ctx, key, "+", "-", n).Result()
}

// place finds the end of the stream, and how far the other nodes have counted.
func (g *tailing) place(ctx context.Context) error {
	entries, err := tail(ctx, g.r.read, g.key, tailEntries)
	if err != nil {
		return err
	}
	peers := map[string]*peer{}
	now := time.Now()
	for _, m := range entries {
		e, err := parse(m)
		if err != nil || peers[e.node] != nil || e.node == g.r.cfg.Node {
			continue
		}
		// Whether it lives will show: one that is gone is silent from now on. Nor does its
		// number of partitions count before it is heard.
		peers[e.node] = &peer{n: e.n, heard: now, bye: e.flags&flagBye != 0}
	}
	g.mu.Lock()
	g.peers = peers
	g.mu.Unlock()
	g.last = "0-0"
	if len(entries) > 0 {
		g.last = entries[0].ID
	}
	return nil
}

// next waits for entries and hands them out.
func (g *tailing) next(ctx context.Context) error {
	callCtx, cancel := context.WithTimeout(ctx, g.r.cfg.Block+callTime)
	streams, err := g.r.read.XRead(callCtx, &redis.XReadArgs{Streams: []string{g.key, g.last}, Count: readEntries, Block: g.r.cfg.Block}).Result()
	cancel()
	if errors.Is(err, redis.Nil) {
		return g.checkEnd(ctx)
	}
	if err != nil {
		return err
	}
	read, entries := time.Now(), 0
	for _, s := range streams {
		entries += len(s.Messages)
		for _, m := range s.Messages {
			g.take(ctx, m)
			g.last = m.ID
		}
	}
	if entries < readEntries { // the busier, the more is read at once
		sleep(ctx, g.pace(read))
	}
	return nil
}

// pace says how long to wait before the next read, so that a busy stream is read in fewer
// and larger parts.
func (g *tailing) pace(read time.Time) time.Duration {
	n := g.handed
	g.handed = 0
	return min(time.Duration(n)*g.r.cfg.PaceEach/2, g.r.cfg.PaceMost) - time.Since(read)
}

// checkEnd looks, in a quiet moment, whether the stream ends before the point up to which
// we have read: then Redis has lost entries, and may have lost others that we never saw.
func (g *tailing) checkEnd(ctx context.Context) error {
	entries, err := tail(ctx, g.r.read, g.key, 1)
	if err != nil {
		return err
	}
	end := "0-0"
	if len(entries) > 0 {
		end = entries[0].ID
	}
	if !before(end, g.last) {
		return nil
	}
	g.last = ""
	if err := g.place(ctx); err != nil {
		return err
	}
	g.hole(ctx, "the stream stepped back")
	return nil
}

// take hands out one entry.
func (g *tailing) take(ctx context.Context, m redis.XMessage) {
	e, err := parse(m)
	if err != nil {
		g.r.counters.bad.Add(1)
		g.r.log.Warn("an entry of the relay cannot be read; is another version of Vigil at work, or another program?", "key", g.key, "id", m.ID)
		g.hole(ctx, "an entry cannot be read")
		return
	}
	g.handed += len(e.messages)
	if e.node == g.r.cfg.Node {
		if s := g.r.writers[g.p].sent.Load(); s != nil && s.n == e.n {
			g.r.cfg.Lag(time.Since(s.at))
		}
		return
	}
	g.mu.Lock()
	p := g.peers[e.node]
	var hole, repeat bool
	switch {
	case p == nil:
		p = &peer{}
		g.peers[e.node] = p
		hole = e.n > 1 // it wrote before, and we do not know what we saw of it
	default:
		hole, repeat = e.n > p.n+1, e.n <= p.n
	}
	p.heard, p.layout = time.Now(), e.layout
	g.met = g.met || e.layout != g.r.cfg.layout()
	if !repeat {
		p.n, p.bye = e.n, e.flags&flagBye != 0
	}
	g.mu.Unlock()
	if repeat {
		return
	}
	if hole {
		g.hole(ctx, "entries of "+e.node+" are missing")
	}
	g.r.counters.received.Add(int64(len(e.messages)))
	for _, m := range e.messages {
		for _, s := range g.to(ctx, m.exam) {
			s.Put(m.payload)
		}
	}
}

// to lists the exam's subscriptions, none when the run has been stopped.
func (g *tailing) to(ctx context.Context, exam string) []*subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	return g.subs[exam]
}

// hole tells all subscribers that something is missing.
func (g *tailing) hole(ctx context.Context, why string) {
	g.r.counters.holes.Add(1)
	g.r.log.Info("a hole in the relay: what is shown is read anew", "key", g.key, "why", why)
	g.mu.Lock()
	var all []*subscription
	if ctx.Err() == nil {
		all = g.all()
	}
	g.mu.Unlock()
	for _, s := range all {
		s.Hole()
	}
}

// all lists the subscriptions. t.mu is held.
func (t *tailer) all() []*subscription {
	out := make([]*subscription, 0, t.count)
	for _, list := range t.subs {
		out = append(out, list...)
	}
	return out
}

func parse(m redis.XMessage) (entry, error) {
	b, ok := m.Values[fieldEntry].(string)
	if !ok {
		return entry{}, errEntry
	}
	return parseEntry([]byte(b))
}

// before compares two ids of entries.
func before(a, b string) bool {
	ams, aseq, aok := parseID(a)
	bms, bseq, bok := parseID(b)
	return aok && bok && (ams < bms || ams == bms && aseq < bseq)
}

func parseID(id string) (ms, seq uint64, ok bool) {
	a, b, found := strings.Cut(id, "-")
	ms, err := strconv.ParseUint(a, 10, 64)
	if err != nil || !found {
		return 0, 0, false
	}
	seq, err = strconv.ParseUint(b, 10, 64)
	return ms, seq, err == nil
}
