package redisrelay_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"vigil/internal/testutil"
	"vigil/realtime/relay/redisrelay"
	"vigil/realtime/relay/redisrelay/redistest"
)

// exams are so many that some of them lie in each of a few partitions.
var exams = func() (ids []string) {
	for i := range 16 {
		ids = append(ids, fmt.Sprint("exam-", i))
	}
	return ids
}()

func partitions(n int) func(c *redisrelay.Config) {
	return func(c *redisrelay.Config) { c.Partitions = n }
}

// quickBeat is short to wait for, and four of it are long enough for a busy machine.
func quickBeat(c *redisrelay.Config) { c.Beat = 500 * time.Millisecond }

// subscribeAll takes part in all exams.
func subscribeAll(t *testing.T, r *redisrelay.Relay) *inbox {
	t.Helper()
	b := &inbox{}
	for _, exam := range exams {
		cancel, err := r.Subscribe(exam, b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cancel)
	}
	return b
}

// publishAll writes to each partition; signs of life follow there.
func publishAll(r *redisrelay.Relay, m string) {
	for _, exam := range exams {
		r.Publish(exam, []byte(m))
	}
}

// upIn counts the exams for which the relay is up.
func upIn(r *redisrelay.Relay) int {
	n := 0
	for _, exam := range exams {
		if r.State(exam).Up {
			n++
		}
	}
	return n
}

// logged is what a relay has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) to(c *redisrelay.Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }

// mixed tells whether the relay ever counted another number of partitions.
func (l *logged) mixed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte("another number of partitions"))
}

func TestARollingRestartWithOtherPartitionsIsAwayUntilTheLastOldNodeStops(t *testing.T) {
	for _, row := range []struct{ before, after int }{{2, 1}, {1, 2}, {1, 4}, {2, 3}} {
		t.Run(fmt.Sprintf("From%dTo%d", row.before, row.after), func(t *testing.T) {
			url := redistest.Start(t).URL()
			first, last := newRelay(t, url, partitions(row.before)), newRelay(t, url, partitions(row.before))
			fresh := newRelay(t, url, partitions(row.after))
			subscribeAll(t, first)
			atFresh := subscribeAll(t, fresh)
			for _, r := range []*redisrelay.Relay{first, last, fresh} {
				publishAll(r, "hello")
			}
			testutil.Until(t, "all exams to be away on the old and the new node", func() bool { return upIn(first) == 0 && upIn(fresh) == 0 })
			if first.Stats().Up || fresh.Stats().Up {
				t.Error("got the relay up in the counts, want it away")
			}

			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			later := newRelay(t, url, partitions(row.after))
			atLater := subscribeAll(t, later)
			publishAll(last, "the last old node")
			publishAll(fresh, "one old node is gone")
			testutil.Until(t, "the new nodes to hear each other", func() bool { return atLater.has("one old node is gone") })
			testutil.Until(t, "all exams to be away on a node that starts now", func() bool { return upIn(later) == 0 })
			if n := upIn(fresh); n != 0 {
				t.Errorf("while one old node works: got the relay up for %d exams, want none", n)
			}

			before := atFresh.holesSeen()
			if err := last.Close(); err != nil {
				t.Fatal(err)
			}
			testutil.Until(t, "all exams to be up on the new nodes", func() bool { return upIn(fresh) == len(exams) && upIn(later) == len(exams) })
			if !fresh.Stats().Up {
				t.Error("got the relay away in the counts, want it up")
			}
			testutil.Until(t, "a hole in what was published meanwhile", func() bool { return atFresh.holesSeen() > before })

			var log logged
			newest := newRelay(t, url, partitions(row.after), log.to) // the old nodes' entries are still there
			atNewest := subscribeAll(t, newest)
			publishAll(fresh, "all are new")
			testutil.Until(t, "the newest node to hear the others", func() bool { return atNewest.has("all are new") })
			testutil.Until(t, "all exams to be up on the newest node", func() bool { return upIn(newest) == len(exams) })
			if log.mixed() {
				t.Error("the newest node counted an old node that had stopped")
			}
		})
	}
}

// A version that relays in another way cannot read what we relay, and dashboards would miss it.
func TestTheRelayIsAwayWhileAVersionThatRelaysInAnotherWayIsLive(t *testing.T) {
	url := redistest.Start(t).URL()
	old := newRelay(t, url, redisrelay.OfFormat(1), quickBeat)
	var log logged
	fresh := newRelay(t, url, log.to, quickBeat)
	subscribeAll(t, old)
	atFresh := subscribeAll(t, fresh)
	publishAll(old, "hello")
	publishAll(fresh, "hello")
	testutil.Until(t, "both to be away", func() bool { return upIn(old) == 0 && upIn(fresh) == 0 })
	if log.mixed() {
		t.Error("got another number of partitions in the log, want another version")
	}
	before := atFresh.holesSeen()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	testutil.Until(t, "the new one to be up", func() bool { return upIn(fresh) == len(exams) })
	testutil.Until(t, "a hole in what was published meanwhile", func() bool { return atFresh.holesSeen() > before })
}

func TestNodesWithOtherPartitionsNoticeEachOtherWhicheverExamTheyHave(t *testing.T) {
	url := redistest.Start(t).URL()
	var few, many []*redisrelay.Relay // of each exam two nodes, which share nothing with those of the others
	for _, exam := range exams {
		for _, kind := range []struct {
			nodes      *[]*redisrelay.Relay
			partitions int
		}{{&few, 1}, {&many, 8}} {
			r := newRelay(t, url, partitions(kind.partitions), quickBeat, func(c *redisrelay.Config) { c.Prefix = exam })
			subscribe(t, r, exam)
			r.Publish(exam, []byte("hello"))
			*kind.nodes = append(*kind.nodes, r)
		}
	}
	up := func(nodes []*redisrelay.Relay) (n int) {
		for i, r := range nodes {
			if r.State(exams[i]).Up {
				n++
			}
		}
		return n
	}
	testutil.Until(t, "all to be away", func() bool { return up(few) == 0 && up(many) == 0 })
	for _, r := range few {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Until(t, "those that stay to be up", func() bool { return up(many) == len(many) })
}

func TestANodeWithOtherPartitionsThatDiesWithoutGoodbyeIsForgotten(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Address)
	fresh := newRelay(t, server.URL(), partitions(1), quickBeat)
	heard := subscribeAll(t, fresh)
	dies := newRelay(t, proxy.URL(), partitions(2), quickBeat)
	publishAll(dies, "hello")
	testutil.Until(t, "the relay to be away", func() bool { return upIn(fresh) == 0 })
	proxy.Cut()
	testutil.Until(t, "the relay to be up", func() bool { return upIn(fresh) == len(exams) })
	testutil.Until(t, "a hole in what was published meanwhile", func() bool { return heard.holesSeen() > 0 })

	var log logged
	later := newRelay(t, server.URL(), partitions(1), quickBeat, log.to) // the dead node's entries are still there, and no goodbye
	atLater := subscribeAll(t, later)
	publishAll(fresh, "alone")
	testutil.Until(t, "the new nodes to hear each other", func() bool { return atLater.has("alone") })
	testutil.Until(t, "all exams to be up on a node that starts now", func() bool { return upIn(later) == len(exams) })
	if log.mixed() {
		t.Error("a node that starts now counted the one that had died")
	}

	proxy.Heal()
	testutil.Until(t, "the relay to be away again, because the node lives after all", func() bool { return upIn(fresh) == 0 && upIn(later) == 0 })
}

func TestANodeThatWasSilentBeforeRedisWasAwayIsSilentAfterwards(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Address)
	watcher, other := newRelay(t, server.URL(), quickBeat), newRelay(t, server.URL(), quickBeat)
	heard := subscribe(t, watcher, "exam")
	cut := newRelay(t, proxy.URL(), quickBeat, func(c *redisrelay.Config) { c.Node = "cut off" })
	cut.Publish("exam", []byte("hello"))
	testutil.Until(t, "it to be heard", func() bool { return heard.has("hello") })
	proxy.Cut()
	testutil.Until(t, "it to be silent", func() bool { return slices.Contains(watcher.State("exam").Silent, "cut off") })
	for _, m := range []string{"Redis answers", "and answers again"} { // the second is read when the first has been dealt with
		other.Publish("exam", []byte(m))
		testutil.Until(t, m, func() bool { return heard.has(m) })
	}
	server.Freeze()
	testutil.Until(t, "Redis to be away", func() bool { return !watcher.State("exam").Up })
	server.Thaw()
	s := watcher.State("exam")
	testutil.Until(t, "Redis to be back", func() bool { s = watcher.State("exam"); return s.Up })
	if !slices.Contains(s.Silent, "cut off") {
		t.Errorf("got %v as silent, want the one that was silent before among them", s.Silent)
	}
}
