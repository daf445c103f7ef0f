package realtime

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Config is what a Hub needs. Store, Verifier, Signer and Origin must be given; every
// other field works when zero.
type Config struct {
	Store    Store
	Verifier socket.Verifier
	Signer   socket.Signer
	// Controller sends commands to platforms; nil: the queue stays as it is.
	Controller session.Controller
	// Observer is told what happens, for metrics; nil: nobody is.
	Observer session.Observer
	// Tracer follows commands; nil: nobody does.
	Tracer session.Tracer
	// Pages checks the page stamps of the platforms' quiz pages; nil: they are not looked at.
	Pages PageVerifier
	// Receipts signs what platforms are told of pages that are watched, where an exam's policy
	// asks for it; nil: nothing is signed.
	Receipts ReceiptSigner
	// Relay reaches the other nodes; nil: there are none. The hub does not close it.
	Relay relay.Relay

	// Origin is the tool's own web origin. A socket's Origin header must be it, or one that
	// AllowOrigin allows (an origin of an active platform; nil: none). An error of
	// AllowOrigin is answered as 503.
	Origin      string
	AllowOrigin func(ctx context.Context, origin string) (bool, error)
	// Allow is asked before a socket is opened and before each renewal of its token,
	// beside the hub's own checks; an error refuses. nil: nothing more is asked. origin is the
	// page's that opens the socket, where that is not the tool's own; else, and at renewals, "".
	Allow func(ctx context.Context, c vigil.SocketClaims, origin string) error
	// Address is the client's network address, for telling that it changed; nil: the host
	// of RemoteAddr. Forwarded addresses are the caller's to trust.
	Address func(r *http.Request) string

	Node   string // this process's id; a new one when empty
	Host   string // of the machine
	Shared bool   // other nodes live on the same store; a node is gone when its row stood still for NodeLease
	// OneHost: the store serves one host. Recover refuses while a node of another host lives.
	OneHost bool

	Now      func() time.Time              // time.Now
	NewID    func() string                 // an id that sorts by its time; called by many at once; UUIDv7 when nil
	Rand     func(n int64) int64           // a number from 0 to n-1, for jitter; called by many at once; math/rand/v2 when nil
	Log      *slog.Logger                  // discarded when nil
	Liveness vigil.Liveness                // what is zero is as in vigil.DefaultLiveness
	Rates    map[protocol.Type]socket.Rate // those of docs/protocol.md; given ones replace single types
	Limits   Limits

	RenewBefore  time.Duration // how long before its end a token is renewed; 60 s
	TokenGrace   time.Duration // how long after its end an unrenewed token still holds; 60 s
	RateGrace    time.Duration // over the rates for so long: closed; 10 s
	TrialWait    time.Duration // for a student's hello: without one the socket only tests the way; 1 s
	HelloWait    time.Duration // for a student's first frame; 15 s
	AliveEvery   time.Duration // a student's monitor is asked for its totals; 60 s
	AliveWait    time.Duration // for its answer; 15 s
	HoleWait     time.Duration // after hello, without a number of the resend: what is missing then counts as a hole; 15 s
	WriteWait    time.Duration // a write that takes longer: the socket is closed; 10 s
	PulseEvery   time.Duration // 5 s
	RowsEvery    time.Duration // counts of changed rows are gathered so long; 250 ms
	DrainSpread  time.Duration // over which clients come back after Drain; 3 s
	SaveWait     time.Duration // until students and proctors are told that saving takes longer; 3 s
	NodeEvery    time.Duration // the node's row is renewed; 2 s
	NodeLease    time.Duration // after which a silent node is gone; 6 s
	RelayEvery   time.Duration // the relay's state is looked at; 1 s
	RefreshEvery time.Duration // while the relay is away, dashboards and commands are read from the store; 5 s
	ReceiptEvery time.Duration // a page that is watched gets a receipt; 60 s
	AccessEvery  time.Duration // what proctors may see and do is read again; 2 s
	ShowAfter    time.Duration // from when a node is gone until dashboards get a fresh snapshot; 30 s
	QueueEvery   time.Duration // the queue to the platforms is looked at; 1 s
	DueEvery     time.Duration // sessions whose time is over are looked for; 5 s
	StoreEvery   time.Duration // from one batch of signals to the next while there are more; 30 ms
	RetryFirst   time.Duration // first pause when the store does not answer; doubles to RetryMost; 100 ms
	RetryMost    time.Duration // 5 s
}

// Limits bound what the hub holds. What is over a limit is refused or dropped, and
// counted in Stats.
type Limits struct {
	Sockets           int // of this node; 50,000. More: refused with 503
	SocketsPerSession int // while pages change; 3. More: the oldest ends
	ProctorsPerExam   int // 500. More: refused with 429
	Signals           int // waiting for the store; 16,384. More: not taken, the client sends them again
	Batch             int // signals in one call of the store; 512
	Queue             int // frames to one socket; 512. A student's socket over it is closed, a proctor's gets a fresh snapshot
	QueueBytes        int // 1 MiB, as Queue
	Jobs              int // frames of one socket that wait for the store; 64. More: refused with too_many
	Deliveries        int // requests to platforms at once; 8
	Due               int // sessions that are due taken at once; 32
	TakeOver          int // sessions of a node that is gone stored at once; 16
	Commands          int // sessions of one bulk command worked on at once; 8
	Rows              int // of a snapshot's page; 200
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = newID
	}
	if c.Rand == nil {
		c.Rand = rand.Int64N
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = session.Unobserved{}
	}
	if c.Tracer == nil {
		c.Tracer = session.Untraced{}
	}
	if c.Relay == nil {
		c.Relay = relay.None{}
	}
	c.Liveness = c.Liveness.WithDefaults()
	rates := socket.DefaultRates()
	maps.Copy(rates, c.Rates)
	c.Rates = rates
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{
		{&c.RenewBefore, time.Minute},
		{&c.TokenGrace, time.Minute},
		{&c.RateGrace, 10 * time.Second},
		{&c.TrialWait, time.Second},
		{&c.HelloWait, 15 * time.Second},
		{&c.AliveEvery, time.Minute},
		{&c.AliveWait, 15 * time.Second},
		{&c.HoleWait, 15 * time.Second},
		{&c.WriteWait, 10 * time.Second},
		{&c.PulseEvery, 5 * time.Second},
		{&c.RowsEvery, 250 * time.Millisecond},
		{&c.DrainSpread, 3 * time.Second},
		{&c.SaveWait, 3 * time.Second},
		{&c.NodeEvery, 2 * time.Second},
		{&c.NodeLease, 6 * time.Second},
		{&c.RelayEvery, time.Second},
		{&c.RefreshEvery, 5 * time.Second},
		{&c.ReceiptEvery, time.Minute},
		{&c.AccessEvery, 2 * time.Second},
		{&c.ShowAfter, 30 * time.Second},
		{&c.QueueEvery, time.Second},
		{&c.DueEvery, 5 * time.Second},
		{&c.StoreEvery, 30 * time.Millisecond},
		{&c.RetryFirst, 100 * time.Millisecond},
		{&c.RetryMost, 5 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	for _, d := range []struct {
		v        *int
		standard int
	}{
		{&c.Limits.Sockets, 50_000},
		{&c.Limits.SocketsPerSession, 3},
		{&c.Limits.ProctorsPerExam, 500},
		{&c.Limits.Signals, 16_384},
		{&c.Limits.Batch, 512},
		{&c.Limits.Queue, 512},
		{&c.Limits.QueueBytes, 1 << 20},
		{&c.Limits.Jobs, 64},
		{&c.Limits.Deliveries, 8},
		{&c.Limits.Due, 32},
		{&c.Limits.TakeOver, 16},
		{&c.Limits.Commands, 8},
		{&c.Limits.Rows, 200},
	} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	return c
}

// validate names the first field that is missing or makes no sense.
func (c Config) validate() error {
	switch {
	case c.Store == nil:
		return vigil.Invalid("store", "The sockets need a store.")
	case c.Verifier == nil:
		return vigil.Invalid("verifier", "The sockets need someone who checks their tokens.")
	case c.Signer == nil:
		return vigil.Invalid("signer", "The sockets need someone who renews their tokens.")
	case vigil.Origin(c.Origin) != c.Origin || c.Origin == "":
		return vigil.Invalid("origin", "The tool's own origin must be scheme, host and port, in lower case.")
	}
	for t, r := range c.Rates {
		if r.Burst < 1 || r.PerSecond <= 0 {
			return vigil.Invalid("rates."+string(t), "A rate needs a burst of 1 or more and a positive number per second.")
		}
	}
	return c.Liveness.Validate()
}

// newID makes an id that sorts by its time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
