//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"vigil/cmd/internal/seat"
	"vigil/lti/ltitest"
)

// Worker is one process of the load: whole exams with everybody in them, and the LMS that
// launched them. The parent calls its exported methods by net/rpc. A process may be held
// to some 20,000 open files, so there may be several.
type Worker struct {
	ctx    context.Context
	cancel context.CancelFunc
	began  time.Time
	work   sync.WaitGroup // of the people's goroutines

	// Set by Found and Connect.
	index    int
	vigil    bool // else the baseline
	tool     string
	host     string
	nodes    []string
	platform *ltitest.Platform
	server   *http.Server
	exams    []*exam
	students []*student
	proctors []*proctor
	lines    []*line

	shown, stored, late, openings *histogram
	traffic                       traffic
	day                           *day // nil but for an exam day

	exchanges, errorFrames, resent, acked, others, deliveries, measured, launched, opened atomic.Int64
	leaving, comeBack, cutting                                                            atomic.Bool
	round                                                                                 atomic.Int64 // who comes back belongs to one

	mu      sync.Mutex
	clients map[place]*http.Client
	dead    map[int]bool
	notes   []string
	ends    map[string]int
	retries map[int64]int // by tenths of a second on the worker's clock
	waiting map[*student]*seat.CheckIn
}

// place is where requests come from and go to.
type place struct {
	local string
	node  int
}

// newWorker makes a worker without anybody.
func newWorker() *Worker {
	w := &Worker{
		began: time.Now(), shown: newHistogram(), stored: newHistogram(), late: newHistogram(), openings: newHistogram(),
		clients: map[place]*http.Client{}, dead: map[int]bool{}, ends: map[string]int{}, retries: map[int64]int{},
		waiting: map[*student]*seat.CheckIn{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// now is the worker's clock.
func (w *Worker) now() time.Duration { return time.Since(w.began) }

func (w *Worker) at(unixNano int64) time.Duration { return time.Unix(0, unixNano).Sub(w.began) }

// maxNotes bounds what is remembered of what went wrong.
const maxNotes = 10

func (w *Worker) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.notes) < maxNotes {
		w.notes = append(w.notes, fmt.Sprintf(format, args...))
	}
}

// ended counts how sockets end that were not meant to.
func (w *Worker) ended(err error) {
	if w.leaving.Load() {
		return
	}
	why := "dropped"
	var c *closed
	if errors.As(err, &c) {
		why = fmt.Sprintf("closed with %d", c.code)
	}
	w.mu.Lock()
	w.ends[why]++
	w.mu.Unlock()
}

func (w *Worker) retried(at time.Duration) {
	w.mu.Lock()
	w.retries[int64(at/(100*time.Millisecond))]++
	w.mu.Unlock()
}

// alive is the node itself, or the next one that has not died.
func (w *Worker) alive(node int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.nodes {
		if n := (node + i) % len(w.nodes); !w.dead[n] {
			return n
		}
	}
	return node
}

// client makes the requests from a source address to the tool, at one of its nodes. The
// connections are shared and kept open, as a reverse proxy's are.
func (w *Worker) client(local string, node int) *http.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := place{local, node}
	c := w.clients[p]
	if c == nil {
		public := strings.TrimPrefix(w.tool, "http://")
		c = &http.Client{Timeout: upgradeTime, Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				if address == public {
					address = w.nodes[node]
				}
				return dialTCP(ctx, address, local)
			},
		}}
		w.clients[p] = c
	}
	return c
}

func (w *Worker) closeClients() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.clients {
		c.CloseIdleConnections()
	}
}

// FoundArgs says who there is to be.
type FoundArgs struct {
	Index    int
	Vigil    bool
	Tool     string   // Vigil's public URL
	Nodes    []string // addresses
	Exams    []string
	Students []int         // by exam
	Proctors int           // of each exam
	Limit    time.Duration // of each attempt; 0: none
}

// Founded is what an admin copies into the tool.
type Founded struct {
	Issuer, ClientID, Auth, Token, KeySet, Audience, Deployment string
}

// addresses is how many source addresses a worker's people come from.
const addresses = 8

// Found makes the exams and their people and, for Vigil, the LMS.
func (w *Worker) Found(a FoundArgs, r *Founded) error {
	w.index, w.vigil, w.tool, w.nodes = a.Index, a.Vigil, a.Tool, a.Nodes
	w.host = strings.TrimPrefix(a.Tool, "http://")
	var users []ltitest.User
	var links []ltitest.Link
	n := 0
	for k, name := range a.Exams {
		e := &exam{w: w, name: name, bySession: map[string]int{}}
		links = append(links, ltitest.Link{ID: name, Title: name, Settings: `{"vigil":1,"policy":{}}`, TimeLimit: a.Limit})
		for i := range a.Students[k] {
			s := &student{index: i, user: fmt.Sprintf("%d", 100_000+n)}
			s.person = person{w: w, exam: e, local: w.address(n), node: i % len(a.Nodes)}
			if !a.Vigil {
				s.session = fmt.Sprintf("session-%d-%d-%d", a.Index, k, i)
				e.know(s)
			}
			users = append(users, ltitest.User{ID: s.user, Given: "Student", Family: s.user, Email: s.user + "@bench.example", Role: ltitest.Learner, Simulated: true})
			e.students = append(e.students, s)
			w.students = append(w.students, s)
			n++
		}
		for i := range a.Proctors {
			p := &proctor{user: fmt.Sprintf("%d", 10_000+len(w.proctors)), views: make([]view, a.Students[k]), told: make([]told, a.Students[k]), sights: make([]sight, a.Students[k])}
			p.person = person{w: w, exam: e, local: w.address(i), node: i % len(a.Nodes)}
			p.whole, p.firstUp = make(chan time.Duration, 1), make(chan time.Duration, 1)
			users = append(users, ltitest.User{ID: p.user, Given: "Proctor", Family: p.user, Email: p.user + "@bench.example", Role: ltitest.Instructor})
			e.proctors = append(e.proctors, p)
			w.proctors = append(w.proctors, p)
		}
		w.exams = append(w.exams, e)
	}
	if !a.Vigil {
		return nil
	}
	return w.foundLMS(users, links, r)
}

func (w *Worker) address(n int) string {
	return fmt.Sprintf("127.0.%d.%d", 1+w.index, 2+n%addresses)
}

func (w *Worker) foundLMS(users []ltitest.User, links []ltitest.Link, r *Founded) error {
	var lc net.ListenConfig
	l, err := lc.Listen(w.ctx, "tcp", fmt.Sprintf("127.0.%d.1:0", 1+w.index))
	if err != nil {
		return err
	}
	w.platform = ltitest.New(ltitest.Config{Issuer: "http://" + l.Addr().String(), Users: users, Links: links, SessionLife: 12 * time.Hour})
	w.server = &http.Server{Handler: w.platform, ReadHeaderTimeout: upgradeTime}
	w.work.Go(func() {
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.note("the LMS stopped: %v", err)
		}
	})
	t := w.platform.Register(ltitest.Tool{
		Name: "Vigil", LoginURL: w.tool + "/lti/login", RedirectURIs: []string{w.tool + "/lti/launch"},
		TargetLinkURI: w.tool + "/lti/launch", KeySetURL: w.tool + "/lti/keys",
	})
	e := w.platform.Endpoints(t.ClientID)
	*r = Founded{
		Issuer: e.Issuer, ClientID: t.ClientID, Auth: e.Authorization, Token: e.Token, KeySet: e.KeySet, Audience: e.TokenAudience, Deployment: t.DeploymentID,
	}
	return nil
}

// CrowdArgs says how many things are done at once.
type CrowdArgs struct{ AtOnce int }

// CrowdReply says how it went.
type CrowdReply struct {
	Done int
	Took *hdrhistogram.Snapshot
}

// crowd does something for everybody of a list.
func crowd[T any](ctx context.Context, list []T, atOnce int, r *CrowdReply, do func(ctx context.Context, one T) error) error {
	took := newHistogram()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, atOnce))
	var done atomic.Int64
	for _, one := range list {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			from := time.Now()
			if err := do(ctx, one); err != nil {
				return err
			}
			took.add(time.Since(from))
			done.Add(1)
			return nil
		})
	}
	err := g.Wait()
	r.Done, r.Took = int(done.Load()), took.export()
	return err
}

// Launch launches every student to the check-in page.
func (w *Worker) Launch(a CrowdArgs, r *CrowdReply) error {
	return crowd(w.ctx, w.students, a.AtOnce, r, func(ctx context.Context, s *student) error {
		c, err := seat.Launch(ctx, w.tool, w.platform, ltitest.Launch{
			Message: ltitest.StartProctoring, ClientID: w.platform.Tools()[0].ClientID, UserID: s.user, LinkID: s.exam.name, Attempt: 1,
		}, w.client(s.local, s.node))
		if err != nil {
			return fmt.Errorf("launch a student: %w", err)
		}
		w.launched.Add(1)
		w.mu.Lock()
		w.waiting[s] = c
		w.mu.Unlock()
		return nil
	})
}

// Agree passes the check-in of everybody who was launched.
func (w *Worker) Agree(a CrowdArgs, r *CrowdReply) error {
	return crowd(w.ctx, w.students, a.AtOnce, r, func(ctx context.Context, s *student) error {
		w.mu.Lock()
		c := w.waiting[s]
		delete(w.waiting, s)
		w.mu.Unlock()
		if c == nil {
			return errors.New("a student was not launched")
		}
		taken, err := c.Agree(ctx)
		if err != nil {
			return fmt.Errorf("pass the check-in: %w", err)
		}
		s.seat = taken
		return nil
	})
}

// Exchange exchanges an assertion for a token, for every student.
func (w *Worker) Exchange(a CrowdArgs, r *CrowdReply) error {
	return crowd(w.ctx, w.students, a.AtOnce, r, func(ctx context.Context, s *student) error {
		t, err := s.seat.Token(ctx)
		if err != nil {
			return fmt.Errorf("exchange an assertion: %w", err)
		}
		w.exchanges.Add(1)
		if s.session == "" {
			s.session = t.Session
			s.exam.know(s)
		}
		return nil
	})
}

// Seat launches everybody, one student after the other through launch and check-in, and
// the proctors to their dashboards.
func (w *Worker) Seat(a CrowdArgs, r *CrowdReply) error {
	if err := w.Launch(a, r); err != nil {
		return err
	}
	if err := w.Agree(a, r); err != nil {
		return err
	}
	defer w.closeClients() // the server that follows is another
	return w.Staff(a, &CrowdReply{})
}

// Staff launches the proctors to their dashboards.
func (w *Worker) Staff(a CrowdArgs, r *CrowdReply) error {
	return crowd(w.ctx, w.proctors, a.AtOnce, r, func(ctx context.Context, p *proctor) error {
		taken, err := seat.Open(ctx, w.tool, w.platform, ltitest.Launch{
			Message: ltitest.ResourceLink, ClientID: w.platform.Tools()[0].ClientID, UserID: p.user, LinkID: p.exam.name,
		}, w.client(p.local, p.node))
		if err != nil {
			return fmt.Errorf("launch a proctor: %w", err)
		}
		p.seat = taken
		return nil
	})
}

// ConnectArgs says how sockets are opened.
type ConnectArgs struct {
	AtOnce   int
	ByLine   bool // students come through a path that can be dropped
	ComeBack bool // who loses the connection reconnects
	Staff    bool // only the proctors'
}

// Connect opens everybody's socket, the students' with a fresh outbox.
func (w *Worker) Connect(a ConnectArgs, r *CrowdReply) error {
	w.leaving.Store(false)
	w.cutting.Store(false)
	w.comeBack.Store(a.ComeBack)
	w.mu.Lock()
	clear(w.dead)
	clear(w.ends)
	clear(w.retries)
	w.notes = nil
	w.mu.Unlock()
	if a.ByLine {
		for _, node := range w.nodes {
			l, err := newLine(w.ctx, node)
			if err != nil {
				return err
			}
			w.lines = append(w.lines, l)
		}
	}
	for _, e := range w.exams {
		for i, s := range e.students {
			s.stream, s.line, s.node = rand.Text(), nil, i%len(w.nodes)
			s.box.mu.Lock()
			s.box.marks, s.box.acked = nil, 0
			s.box.mu.Unlock()
			s.cutAt.Store(0)
			s.backAt.Store(0)
			s.stop.Store(false)
			if a.ByLine {
				s.line = w.lines[s.node]
			}
		}
		for i, p := range e.proctors {
			p.node = i % len(w.nodes)
			p.seen.Lock()
			p.bad = verdict{}
			clear(p.views)
			clear(p.told)
			p.seen.Unlock()
		}
	}
	var watching CrowdReply
	if err := crowd(w.ctx, w.proctors, a.AtOnce, &watching, func(ctx context.Context, p *proctor) error {
		if err := p.connect(ctx); err != nil {
			return fmt.Errorf("connect a proctor: %w", err)
		}
		w.opened.Add(1)
		return nil
	}); err != nil {
		return err
	}
	if a.Staff {
		return nil
	}
	return crowd(w.ctx, shuffled(w.students), a.AtOnce, r, func(ctx context.Context, s *student) error {
		if err := s.connect(ctx); err != nil {
			return fmt.Errorf("connect a student: %w", err)
		}
		w.opened.Add(1)
		return nil
	})
}

// None is for calls without arguments or answer.
type None struct{}

// Leave ends every socket.
func (w *Worker) Leave(None, *None) error {
	w.leaving.Store(true)
	w.round.Add(1)
	w.cutAll()
	for _, l := range w.lines {
		l.close()
	}
	w.lines = nil
	w.closeClients()
	w.opened.Store(0)
	for end := time.Now().Add(upgradeTime); w.open() > 0; {
		if time.Now().After(end) {
			return errors.New("sockets would not end")
		}
		time.Sleep(10 * time.Millisecond)
		w.cutAll() // someone was about to come back
	}
	return nil
}

// goodbye is a student's who closes the page.
const goodbye = `{"t":"bye","reason":"closing"}`

func (w *Worker) cutAll() {
	for _, s := range w.students {
		if sock := s.socket(); sock != nil {
			if w.vigil { // or the next scenario would begin with everybody's return from a loss
				_ = sock.send(opText, []byte(goodbye)) // it may have ended
			}
			sock.cut(false)
		}
	}
	for _, p := range w.proctors {
		if sock := p.socket(); sock != nil {
			sock.cut(false)
		}
	}
}

// open counts the sockets that there are.
func (w *Worker) open() (n int) {
	for _, s := range w.students {
		if s.socket() != nil {
			n++
		}
	}
	for _, p := range w.proctors {
		if p.socket() != nil {
			n++
		}
	}
	return n
}

// RunArgs is a stretch of signals.
type RunArgs struct {
	Start  int64   // Unix nanoseconds
	Rate   float64 // signals a second, this worker's
	Warmup time.Duration
	For    time.Duration
	Settle time.Duration // how long nothing may come before the rest counts as lost
}

// RunReply is what came of it. Times are microseconds.
type RunReply struct {
	Sent     int64 // after the warm-up
	Skipped  int64 // not sent for want of a connection
	Shown    *hdrhistogram.Snapshot
	Stored   *hdrhistogram.Snapshot
	Late     *hdrhistogram.Snapshot // sent later than was planned
	Seen     int64                  // deliveries of what was sent after the warm-up
	Verdict  verdict
	Unacked  int64
	Others   int64 // signals of the server's own
	Errors   int64
	Ends     map[string]int
	Notes    []string
	Settling time.Duration // from the last signal until the last delivery or acknowledgement
}

// Run sends signals at an even pace: the students take turns in a random order.
func (w *Worker) Run(a RunArgs, r *RunReply) error {
	w.shown.reset()
	w.stored.reset()
	w.late.reset()
	w.measured.Store(0)
	errorsBefore, othersBefore := w.errorFrames.Load(), w.others.Load()
	base := make(map[*student]int, len(w.students))
	for _, s := range w.students {
		base[s] = s.box.given()
	}
	order := shuffled(w.students)
	start := w.at(a.Start)
	gap := time.Duration(float64(time.Second) / a.Rate)
	n := int((a.Warmup + a.For) / gap)
	var buf []byte
	for k := range n {
		due := start + time.Duration(k)*gap
		if wait := due - w.now(); wait > 0 {
			if !sleep(w.ctx, wait) {
				return w.ctx.Err()
			}
		}
		measured := due-start >= a.Warmup
		if measured {
			w.late.add(w.now() - due)
		}
		var ok bool
		if buf, ok = order[k%len(order)].give(buf, measured); !ok {
			r.Skipped++
		} else if measured {
			r.Sent++
		}
	}
	r.Settling = w.settle(a.Settle, base)
	for _, e := range w.exams {
		for _, p := range e.proctors {
			p.seen.Lock()
			for i, s := range e.students {
				p.views[i].judge(&s.box, base[s], s.session, &r.Verdict)
			}
			r.Verdict.add(p.bad)
			p.bad = verdict{}
			p.seen.Unlock()
		}
	}
	if w.vigil {
		for _, s := range w.students {
			r.Unacked += int64(s.box.waiting(base[s]))
		}
	}
	r.Shown, r.Stored, r.Late, r.Seen = w.shown.export(), w.stored.export(), w.late.export(), w.measured.Load()
	r.Errors, r.Others = w.errorFrames.Load()-errorsBefore, w.others.Load()-othersBefore
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Ends, r.Notes = map[string]int{}, append([]string(nil), w.notes...)
	for k, v := range w.ends {
		r.Ends[k] = v
	}
	return nil
}

// settle waits until everything has come, or nothing more does.
func (w *Worker) settle(patience time.Duration, base map[*student]int) time.Duration {
	from := time.Now()
	last, moved := int64(-1), time.Now()
	for {
		if w.complete(base) {
			return time.Since(from)
		}
		if n := w.deliveries.Load() + w.acked.Load(); n != last {
			last, moved = n, time.Now()
		}
		if time.Since(moved) > patience {
			return moved.Sub(from)
		}
		if !sleep(w.ctx, 20*time.Millisecond) {
			return time.Since(from)
		}
	}
}

// complete tells that each signal from a student's base on was seen by every proctor of
// the exam and, with Vigil, acknowledged.
func (w *Worker) complete(base map[*student]int) bool {
	for _, e := range w.exams {
		for i, s := range e.students {
			from := base[s]
			if w.vigil && s.box.waiting(from) > 0 {
				return false
			}
			given := s.box.given()
			for _, p := range e.proctors {
				p.seen.Lock()
				seen := 0
				for n := from; n < min(given, len(p.views[i].counts)); n++ {
					if p.views[i].counts[n] > 0 {
						seen++
					}
				}
				p.seen.Unlock()
				if seen < given-from {
					return false
				}
			}
		}
	}
	return true
}

// Record is what a student's stream must hold in the store.
type Record struct {
	Session, Stream string
	Given, Acked    int
	Ended           bool // the attempt was handed in
}

// Records lists the streams of everybody who has given something.
func (w *Worker) Records(_ None, r *[]Record) error { //nolint:unparam // net/rpc wants an error
	for _, s := range w.students {
		if n := s.box.given(); n > 0 {
			*r = append(*r, Record{Session: s.session, Stream: s.stream, Given: n, Acked: n - s.box.waiting(0), Ended: s.desk.handed.Load() > 0})
		}
	}
	return nil
}

// Status is how far it has got, for people who wait.
type Status struct {
	Launched, Opened, Open, Deliveries, Acked int64
}

// Status tells how far it has got.
func (w *Worker) Status(_ None, r *Status) error { //nolint:unparam // net/rpc wants an error
	*r = Status{Launched: w.launched.Load(), Opened: w.opened.Load(), Deliveries: w.deliveries.Load(), Acked: w.acked.Load()}
	return nil
}

// Open counts the sockets that there are.
func (w *Worker) Open(_ None, n *int) error { //nolint:unparam // net/rpc wants an error
	*n = w.open()
	return nil
}

// Close ends the worker's goroutines.
func (w *Worker) Close(None, *None) error {
	err := w.Leave(None{}, &None{})
	w.cancel()
	if w.server != nil {
		err = errors.Join(err, w.server.Close())
	}
	w.work.Wait()
	if w.platform != nil {
		w.platform.Close()
	}
	w.closeClients()
	return err
}

func statusOf(code int) websocket.StatusCode { return websocket.StatusCode(code) }
