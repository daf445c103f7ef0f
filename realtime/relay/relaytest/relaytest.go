// Package relaytest says what a relay is: the conformance suite for relay.Relay.
package relaytest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vigil/realtime/relay"
)

// Factory makes the ends of n nodes on a fresh bus. Each is closed by the suite.
type Factory func(t *testing.T, n int) []relay.Relay

// Run checks the contract. slow is how long a message may take.
func Run(t *testing.T, slow time.Duration, factory Factory) {
	s := suite{slow: slow, make: factory}
	for _, row := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"OthersHearInTheOrderOfThePublisher", s.order},
		{"ThePublisherDoesNotHearItself", s.notSelf},
		{"OneExamDoesNotHearAnother", s.apart},
		{"NothingComesAfterCancel", s.cancel},
		{"CancelWaitsForTheCallUnderWay", s.cancelWaits},
		{"NothingComesAfterClose", s.close},
		{"ASubscriptionAfterCloseIsRefused", s.refused},
		{"PublishDoesNotWaitForASlowReceiver", s.bounded},
		{"TheOrderHoldsWithManyPublishers", s.many},
		{"CallsOfOneReceiverComeOneAtATime", s.oneAtATime},
	} {
		t.Run(row.name, row.run)
	}
}

type suite struct {
	slow time.Duration
	make Factory
}

func (s suite) nodes(t *testing.T, n int) []relay.Relay {
	t.Helper()
	nodes := s.make(t, n)
	t.Cleanup(func() {
		for _, r := range nodes {
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return nodes
}

// log is a receiver that remembers.
type log struct {
	mu    sync.Mutex
	got   []string
	holes int
	gate  chan struct{} // each call waits for it, if there is one
	calls int
	most  int // calls at once
}

func (l *log) Receive(p []byte) { l.call(func() { l.got = append(l.got, string(p)) }) }

func (l *log) Hole() { l.call(func() { l.holes++ }) }

func (l *log) call(f func()) {
	l.mu.Lock()
	l.calls++
	l.most = max(l.most, l.calls)
	gate := l.gate
	l.mu.Unlock()
	if gate != nil {
		<-gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.calls--
}

// distinct is what came, each message once: a relay may give one more than once.
func (l *log) distinct() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	seen := map[string]bool{}
	for _, p := range l.got {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

func (l *log) holesSeen() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holes
}

func (l *log) under() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

func (s suite) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(s.slow)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func subscribe(t *testing.T, r relay.Relay, exam string, l *log) func() {
	t.Helper()
	cancel, err := r.Subscribe(exam, l)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	return cancel
}

func (s suite) order(t *testing.T) {
	nodes := s.nodes(t, 3)
	var a, b log
	defer subscribe(t, nodes[1], "exam", &a)()
	defer subscribe(t, nodes[2], "exam", &b)()
	const n = 500
	for i := range n {
		nodes[0].Publish("exam", fmt.Appendf(nil, "%06d", i))
	}
	for _, l := range []*log{&a, &b} {
		s.until(t, "all messages", func() bool { return len(l.distinct()) == n })
		for i, p := range l.distinct() {
			if want := fmt.Sprintf("%06d", i); p != want {
				t.Fatalf("message %d: got %s, want %s", i, p, want)
			}
		}
		if l.holesSeen() != 0 {
			t.Fatalf("holes: got %d, want none", l.holesSeen())
		}
	}
}

func (s suite) notSelf(t *testing.T) {
	nodes := s.nodes(t, 2)
	var self, other log
	defer subscribe(t, nodes[0], "exam", &self)()
	defer subscribe(t, nodes[1], "exam", &other)()
	nodes[0].Publish("exam", []byte("mine"))
	nodes[1].Publish("exam", []byte("yours"))
	s.until(t, "the others' messages", func() bool { return len(self.distinct()) == 1 && len(other.distinct()) == 1 })
	if g := self.distinct()[0]; g != "yours" {
		t.Fatalf("the publisher heard %q, want the other's only", g)
	}
}

func (s suite) apart(t *testing.T) {
	nodes := s.nodes(t, 2)
	var a, b log
	defer subscribe(t, nodes[1], "exam-a", &a)()
	defer subscribe(t, nodes[1], "exam-b", &b)()
	nodes[0].Publish("exam-c", []byte("c"))
	nodes[0].Publish("exam-a", []byte("a"))
	nodes[0].Publish("exam-b", []byte("b"))
	s.until(t, "one each", func() bool { return len(a.distinct()) == 1 && len(b.distinct()) == 1 })
	if a.distinct()[0] != "a" || b.distinct()[0] != "b" {
		t.Fatalf("got %v and %v, want a and b", a.distinct(), b.distinct())
	}
}

func (s suite) cancel(t *testing.T) {
	nodes := s.nodes(t, 2)
	var gone, stays log
	cancel := subscribe(t, nodes[1], "exam", &gone)
	defer subscribe(t, nodes[1], "exam", &stays)()
	cancel()
	nodes[0].Publish("exam", []byte("late"))
	s.until(t, "the one that stays", func() bool { return len(stays.distinct()) == 1 })
	if g := gone.distinct(); len(g) != 0 {
		t.Fatalf("after cancel: got %v, want nothing", g)
	}
}

func (s suite) cancelWaits(t *testing.T) {
	nodes := s.nodes(t, 2)
	l := &log{gate: make(chan struct{})}
	cancel := subscribe(t, nodes[1], "exam", l)
	nodes[0].Publish("exam", []byte("x"))
	s.until(t, "the call", func() bool { return l.under() == 1 })
	done := make(chan struct{})
	go func() { cancel(); close(done) }()
	select {
	case <-done:
		t.Fatal("cancel returned while a call was under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(l.gate)
	<-done
}

func (s suite) close(t *testing.T) {
	nodes := s.nodes(t, 2)
	var l log
	subscribe(t, nodes[1], "exam", &l)
	if err := nodes[1].Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	nodes[0].Publish("exam", []byte("late"))
	time.Sleep(20 * time.Millisecond)
	if g := l.distinct(); len(g) != 0 {
		t.Fatalf("after close: got %v, want nothing", g)
	}
}

func (s suite) refused(t *testing.T) {
	nodes := s.nodes(t, 1)
	if err := nodes[0].Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := nodes[0].Subscribe("exam", &log{}); err == nil {
		t.Fatal("a subscription after close was taken")
	}
	nodes[0].Publish("exam", []byte("x")) // and this does no harm
}

func (s suite) bounded(t *testing.T) {
	nodes := s.nodes(t, 2)
	l := &log{gate: make(chan struct{})}
	cancel := subscribe(t, nodes[1], "exam", l)
	const n = 200_000
	begin := time.Now()
	for i := range n {
		nodes[0].Publish("exam", fmt.Appendf(nil, "%06d", i))
	}
	if d := time.Since(begin); d > s.slow {
		t.Fatalf("publishing took %v while the receiver stood still", d)
	}
	close(l.gate)
	s.until(t, "a hole", func() bool { return l.holesSeen() > 0 })
	// After a hole, things go on in order.
	s.until(t, "quiet", func() bool {
		nodes[0].Publish("exam", []byte("after"))
		g := l.distinct()
		return len(g) > 0 && g[len(g)-1] == "after"
	})
	cancel()
	last := ""
	for _, p := range l.distinct() {
		if p < last && p != "after" {
			t.Fatalf("out of order: %s after %s", p, last)
		}
		last = p
	}
}

func (s suite) many(t *testing.T) {
	const publishers, each = 4, 200
	nodes := s.nodes(t, publishers+1)
	var l log
	defer subscribe(t, nodes[publishers], "exam", &l)()
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				nodes[p].Publish("exam", fmt.Appendf(nil, "%d-%06d", p, i))
			}
		})
	}
	wg.Wait()
	s.until(t, "all messages", func() bool { return len(l.distinct()) == publishers*each })
	last := map[byte]string{}
	for _, p := range l.distinct() {
		if p < last[p[0]] {
			t.Fatalf("out of order: %s after %s", p, last[p[0]])
		}
		last[p[0]] = p
	}
}

func (s suite) oneAtATime(t *testing.T) {
	nodes := s.nodes(t, 3)
	var l log
	defer subscribe(t, nodes[2], "exam", &l)()
	for i := range 200 {
		nodes[i%2].Publish("exam", fmt.Appendf(nil, "%d", i))
	}
	s.until(t, "all messages", func() bool { return len(l.distinct()) == 200 })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most != 1 {
		t.Fatalf("calls at once: got %d, want 1", l.most)
	}
}
