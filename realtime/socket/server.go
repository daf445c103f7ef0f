package socket

import (
	"cmp"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/netpoll"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
)

// Env is what the sockets of a node need.
type Env struct {
	Now      func() time.Time // in UTC and whole milliseconds
	Log      *slog.Logger
	Tasks    *tasks.Group // the node's background work, of which every socket is a part
	Signer   Signer       // renews tokens
	Rand     func(n int64) int64
	Liveness vigil.Liveness
	Rates    map[protocol.Type]Rate
	Limits   Limits
	Counters *Counters

	RenewBefore time.Duration // how long before its end a token is renewed
	TokenGrace  time.Duration // how long after its end an unrenewed token still holds
	RateGrace   time.Duration // over the rates for so long: closed
	WriteWait   time.Duration // a write that takes longer: the socket is closed
}

// Limits bound what sockets hold.
type Limits struct {
	Sockets           int // of the node
	SocketsPerSession int
	Queue             int // frames to one socket
	QueueBytes        int
	Jobs              int // frames of one socket that wait for the store
}

// Server has the sockets of a node: it watches, writes and pings them.
type Server struct {
	env     Env
	polls   []netpoll.Poll
	flusher *flusher
	pinger  *pinger
	opened  atomic.Int64 // sockets, ever
	trials  atomic.Int64 // trial sockets that are open
	burst   burst

	mu       lockorder.Mutex[lockorder.Leaf]
	conns    map[*Conn]struct{}
	reserved map[string]int // sockets per session, those being opened included
}

// New makes the server. close ends it, when all of Env.Tasks has ended.
func New(env Env) *Server {
	s := &Server{
		env: env, polls: make([]netpoll.Poll, runtime.GOMAXPROCS(0)), flusher: newFlusher(),
		pinger: newPinger(env.Liveness.PingEvery, env.Liveness.PongWait, env.Rand), conns: map[*Conn]struct{}{}, reserved: map[string]int{},
	}
	env.Tasks.Go(func() { s.pinger.run(env.Tasks.Context()) })
	return s
}

// Close ends what watches and writes sockets. All of them have ended.
func (s *Server) Close() {
	for i := range s.polls {
		s.polls[i].Close()
	}
	s.flusher.end()
	s.burst.loosen()
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// All are the sockets that are open, in the order in which they were opened.
func (s *Server) All() []*Conn {
	all := s.snapshot()
	slices.SortFunc(all, func(a, b *Conn) int { return cmp.Compare(a.number, b.number) })
	return all
}

// snapshot are the sockets that are open.
func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// Count tells how many are open.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Queued tells how many frames wait to be written: in all, and to the socket with the most.
func (s *Server) Queued() (all, most int) {
	for _, c := range s.snapshot() {
		c.mu.Lock()
		n := len(c.queue)
		c.mu.Unlock()
		all, most = all+n, max(most, n)
	}
	return all, most
}

// Reserve counts a socket of a session before it is opened. more are allowed beyond the limit.
// CodeUnavailable: the node is full. CodeTooMany: the session has as many as it may.
func (s *Server) Reserve(session string, more int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.env.Limits.Sockets {
		return vigil.Errorf(vigil.CodeUnavailable, "This server is full; try again.")
	}
	if session == "" {
		return nil
	}
	if s.reserved[session] >= s.env.Limits.SocketsPerSession+more {
		return vigil.Errorf(vigil.CodeTooMany, "This attempt has too many connections at once; close its other windows.")
	}
	s.reserved[session]++
	return nil
}

// Reserved tells whether a session has a socket, or one is being opened.
func (s *Server) Reserved(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserved[session] > 0
}

// Unreserve gives back what reserve counted.
func (s *Server) Unreserve(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved[session]--; s.reserved[session] <= 0 {
		delete(s.reserved, session)
	}
}

// TuneMemory keeps a burst from leaving much behind; it is called every few seconds. To open a socket
// takes many times the memory that it needs afterwards: the collector runs more often while many are
// opened, so that what stays of each lies close together and not between what was thrown away; and
// once it is quiet the rest is given back, for then nothing would make the runtime collect it.
func (s *Server) TuneMemory() {
	on, giveBack := s.burst.observe(s.Count())
	if on {
		s.burst.tighten()
	} else {
		s.burst.loosen()
	}
	if giveBack && s.burst.busy.CompareAndSwap(false, true) {
		if !s.env.Tasks.Go(func() { debug.FreeOSMemory(); s.burst.busy.Store(false) }) {
			s.burst.busy.Store(false)
		}
	}
}
