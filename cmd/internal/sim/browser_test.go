package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// browser is a student's, with the monitor in the quiz page.
type browser struct {
	world   *world
	name    string
	session string
	attempt string // the platform's id of it
	line    *line

	mu      sync.Mutex
	monitor *client.Student   // nil: no page of the quiz is open
	others  []*client.Student // on devices that were left
	page    int
	skew    time.Duration // of the device's clock
	ready   chan struct{} // closed when the page and its scripts are there
	stamp   string
	streams map[string]int64 // acknowledged signals, by outbox
	away    []span           // when it was out of reach by its own doing
	refused []span           // when a server refused it, until it tried again at the latest
}

// turnedAway is by when who was refused has tried again: a pause of 15 s, and as long to connect.
const turnedAway = 30 * time.Second

// refusals notes when a server refuses the browser.
type refusals struct {
	http.RoundTripper
	of *browser
}

// RoundTrip implements http.RoundTripper.
func (n refusals) RoundTrip(r *http.Request) (*http.Response, error) {
	from := time.Now()
	resp, err := n.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusServiceUnavailable {
		n.of.turnedAway(from)
	}
	return resp, err
}

func (b *browser) turnedAway(from time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = append(b.refused, span{from, time.Now().Add(turnedAway), true})
}

// span is a stretch of time. A hiccup is felt no longer than it lasts.
type span struct {
	from, to time.Time
	hiccup   bool
}

// open opens the quiz page.
func (b *browser) open() {
	b.mu.Lock()
	if b.monitor != nil || b.ready != nil {
		b.mu.Unlock()
		return
	}
	b.page++
	b.ready = make(chan struct{})
	page, stream := b.page, fmt.Sprintf("%s-outbox-%08d", b.name, b.page)
	b.mu.Unlock()
	b.load()
	b.world.spawn(func() {
		s, err := client.Dial(b.world.ctx, client.Config{
			TokenSource: b.token, Origin: origin, Stream: stream, Page: page, Rand: b.world.dicer(b.name),
			HTTPClient: &http.Client{Transport: refusals{&http.Transport{DialContext: b.dial, DisableKeepAlives: true}, b}},
			Stamp: func() string {
				b.mu.Lock()
				defer b.mu.Unlock()
				return b.stamp
			},
			Log: b.world.log.With("at", b.name),
		})
		b.mu.Lock()
		defer b.mu.Unlock()
		if err != nil { // the attempt is over
			b.ready = nil
			return
		}
		b.monitor = s
	})
}

// load asks the platform for a page, and is ready when its scripts are.
func (b *browser) load() {
	w := b.world
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	serve, scripts := w.pageTakes(b.name + " page")
	w.spawn(func() {
		defer close(ready)
		asked := w.lmsNow()
		time.Sleep(serve)
		if _, err := w.bus.pass(w.ctx, toWeb, b.name+" gets a page", b.line.silent.Load); err != nil {
			return
		}
		if a, ok := w.lms.AttemptByID(b.attempt); ok && a.Open() {
			stamp := w.pages.sign(realtime.Page{
				Platform: platformID, ResourceLink: linkID, User: a.UserID, Attempt: a.Number,
				Requested: asked, Answered: w.lmsNow(), Report: w.report(a),
			})
			b.mu.Lock()
			b.stamp = stamp
			b.mu.Unlock()
			if w.lms.Served(b.attempt) {
				w.tellOpened(b) // at the end of the request; cron comes again
			}
		}
		time.Sleep(scripts)
	})
}

// loaded waits for the page.
func (b *browser) loaded(ctx context.Context) error {
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	if ready == nil {
		return nil
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *browser) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := b.loaded(ctx); err != nil {
		return nil, err
	}
	return b.line.dial(ctx, network, address)
}

// token is what the quiz page gets from the platform, and exchanges at a server.
func (b *browser) token(ctx context.Context) (client.Token, error) {
	w := b.world
	if err := b.loaded(ctx); err != nil {
		return client.Token{}, err
	}
	if _, err := w.bus.pass(ctx, toWeb, b.name+" asks for a token", b.line.silent.Load); err != nil {
		return client.Token{}, err
	}
	a, ok := w.lms.AttemptByID(b.attempt)
	if k, _ := w.lms.Link(linkID); !ok || !a.Open() || k.Unproctored {
		return client.Token{}, &client.Refusal{Duty: protocol.DutyStop}
	}
	n := w.balance(b.name)
	if n == nil {
		return client.Token{}, errRefused
	}
	from := time.Now()
	s, err := n.hub.Sessions().ReportEnd(ctx, b.session, w.report(a))
	if err != nil {
		b.turnedAway(from)
		return client.Token{}, err
	}
	if s.State.Ended() {
		return client.Token{}, &client.Refusal{Duty: protocol.DutyStop}
	}
	if s.State == vigil.StateReady { // as web/token.go has it
		_, err := n.hub.Sessions().Apply(ctx, b.session, vigil.Change{Event: vigil.EventActivate, By: vigil.Actor{Role: vigil.RoleLMS, ID: platformID}})
		if err != nil && !errors.Is(err, vigil.ErrIllegal) {
			return client.Token{}, err
		}
	}
	token, expires, err := w.tokens.MintSocket(ctx, vigil.SocketClaims{
		Subject: socket.Subject(platformID, b.name), Session: b.session, Role: vigil.RoleStudent,
	})
	return client.Token{Token: token, URL: "ws://vigil.example/socket", Session: b.session, Expires: expires}, err
}

// with does something with the monitor, if there is one.
func (b *browser) with(f func(*client.Student)) {
	b.mu.Lock()
	s := b.monitor
	b.mu.Unlock()
	if s != nil {
		b.world.spawn(func() { f(s) })
	}
}

// turn goes to the next page.
func (b *browser) turn() {
	b.mu.Lock()
	s := b.monitor
	if s == nil {
		b.mu.Unlock()
		return
	}
	select {
	case <-s.Done(): // it was superseded by another device
		b.others = append(b.others, s)
		b.monitor, b.ready = nil, nil
		b.mu.Unlock()
		b.open()
		return
	default:
	}
	b.page++
	page := b.page
	b.ready = make(chan struct{})
	b.mu.Unlock()
	b.load()
	b.world.spawn(func() { s.Turn(page) })
}

// back goes back to the page before.
func (b *browser) back() {
	b.mu.Lock()
	b.page = max(0, b.page-2)
	b.mu.Unlock()
	b.turn()
}

// elsewhere opens the attempt on another device, and leaves the first one as it is.
func (b *browser) elsewhere() {
	b.mu.Lock()
	if b.monitor == nil {
		b.mu.Unlock()
		return
	}
	b.others = append(b.others, b.monitor)
	b.monitor, b.ready = nil, nil
	b.mu.Unlock()
	b.open()
}

// signal notes something, by the clock of the device.
func (b *browser) signal(kind vigil.Kind) {
	b.mu.Lock()
	skew := b.skew
	b.mu.Unlock()
	b.with(func(s *client.Student) { s.SignalAt(time.Now().Add(skew), kind, 0, nil) })
}

// shut closes the page, with a goodbye that says why. What its outbox held is gone.
func (b *browser) shut(reason vigil.ByeReason) {
	b.mu.Lock()
	all := b.others
	if b.monitor != nil {
		all = append(all, b.monitor)
	}
	b.monitor, b.ready, b.others = nil, nil, nil
	b.mu.Unlock()
	for _, s := range all {
		b.world.spawn(func() {
			s.Bye(reason)
			b.keep(s)
		})
	}
}

// keep notes what an outbox was told to be stored.
func (b *browser) keep(s *client.Student) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams[s.Stream()] = s.Counts().Acked
}

// handIn hands the attempt in.
func (b *browser) handIn() {
	_, err := b.world.lms.HandIn(b.attempt)
	var refused *vigil.Error
	if errors.As(err, &refused) {
		return // it is paused, or over
	}
	b.shut(vigil.ByeFinished)
}

// offline takes the line away for a while: silently, or with the connections closed.
func (b *browser) offline(silently bool, d time.Duration) {
	from := time.Now()
	b.line.silent.Store(true)
	if !silently {
		b.line.cut()
	}
	b.world.spawn(func() {
		time.Sleep(d)
		b.line.silent.Store(false)
		b.mu.Lock()
		b.away = append(b.away, span{from: from, to: time.Now()})
		b.mu.Unlock()
	})
}

// report is what the platform tells of an attempt.
func (w *world) report(a ltitest.Attempt) vigil.Report {
	r := vigil.Report{Version: vigil.PluginVersion, End: a.Ends, At: w.lmsNow(), Requests: a.Requests}
	if w.off == EndAgrees {
		r.End = r.End.Add(5 * time.Minute)
	}
	if a.Status == ltitest.Paused {
		r.PausedAt = a.PausedAt
	}
	return r
}
