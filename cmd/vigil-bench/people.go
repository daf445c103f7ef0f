//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/cmd/internal/seat"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// exam is an exam with everybody in it: all within one worker, so that one clock and one
// memory tell what came, when, and what did not.
type exam struct {
	w        *Worker
	name     string // resource link, and the baseline's channel
	students []*student
	proctors []*proctor

	mu        sync.RWMutex
	bySession map[string]int
}

func (e *exam) know(s *student) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bySession[s.session] = s.index
}

func (e *exam) find(session []byte) (int, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	i, ok := e.bySession[string(session)]
	return i, ok
}

// person is what students and proctors share: a place, a source address and a token.
type person struct {
	w     *Worker
	exam  *exam
	local string
	node  int // of the nodes, where it connects

	mu    sync.Mutex
	sock  *socket
	token client.Token
}

// student is one student's monitor.
type student struct {
	person
	index   int // in the exam
	user    string
	seat    *seat.Student // nil for the baseline
	session string
	stream  string
	box     outbox
	line    *line // the path to the server, where one may be dropped

	cutAt  atomic.Int64 // on the worker's clock; 0: was not cut
	backAt atomic.Int64 // storm: the first acknowledgement after it, or 0
	tries  atomic.Int64
	stop   atomic.Bool // does not come back by itself

	order sync.Mutex // signals are sent in order: what a welcome sends again comes before any newer one
	desk  desk       // what the student has open, on an exam day
}

// proctor is one dashboard.
type proctor struct {
	person
	user string
	seat *seat.Proctor

	seen    sync.Mutex
	views   []view // by the student's index
	bad     verdict
	told    []told // by the student's index
	rows    int
	whole   chan time.Duration // a snapshot is whole; nobody may wait
	firstUp chan time.Duration // the first delta after it
	waiting bool               // for that delta
	bytes   int64

	sights   []sight     // by the student's index, on an exam day
	returned atomic.Bool // reconnected since the stretch began: what was meanwhile is in the snapshot only
}

// told is when a proctor heard what of a student who was cut.
type told struct{ degraded, lost time.Duration }

// freshFor is how long a token must be good for to be used: what quizaccess_vigil's monitor wants.
const freshFor = 20 * time.Second

// refresh gets a token where there is none, or it ends soon.
func (p *person) refresh(ctx context.Context, source func(context.Context) (client.Token, error)) (client.Token, error) {
	p.mu.Lock()
	t := p.token
	p.mu.Unlock()
	if t.Token != "" && time.Until(t.Expires) > freshFor {
		return t, nil
	}
	t, err := source(ctx)
	if err != nil {
		return t, err
	}
	p.w.exchanges.Add(1)
	p.mu.Lock()
	p.token = t
	p.mu.Unlock()
	return t, nil
}

// forget makes the next connection ask for a token, as a browser does after a failed open.
func (p *person) forget() {
	p.mu.Lock()
	p.token = client.Token{}
	p.mu.Unlock()
}

func (p *person) set(s *socket) {
	p.mu.Lock()
	p.sock = s
	p.mu.Unlock()
}

func (p *person) socket() *socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sock
}

// renewed keeps the token that the server sent.
func (p *person) renewed(frame []byte) {
	var t protocol.Token
	if json.Unmarshal(frame, &t) != nil {
		return
	}
	p.mu.Lock()
	p.token.Token, p.token.Expires = t.Token, time.UnixMilli(t.Expires)
	p.mu.Unlock()
}

// tokenTarget is where a socket of Vigil's connects with a token.
func (p *person) tokenTarget(t client.Token, origin string) target {
	return target{
		address: p.w.nodes[p.node], host: p.w.host, path: "/socket", origin: origin, local: p.local,
		protocols: []string{protocol.Subprotocol, protocol.TokenSubprotocol + t.Token},
	}
}

// connect opens the student's socket and waits for its welcome.
func (s *student) connect(ctx context.Context) error {
	to := target{
		address: s.w.nodes[s.node], host: s.w.host, local: s.local,
		path: "/socket?role=student&exam=" + s.exam.name + "&session=" + s.session,
	}
	if s.seat != nil {
		s.seat.Client = s.w.client(s.local, s.node)
		t, err := s.refresh(ctx, s.seat.Token)
		if err != nil {
			return err
		}
		if s.session == "" {
			s.session = t.Session
			s.exam.know(s)
		}
		to = s.tokenTarget(t, s.seat.Origin())
	}
	if s.line != nil {
		to.address = s.line.address()
	}
	if s.desk.away.Load() {
		return errAway
	}
	from := s.w.now()
	s.desk.opened.Store(int64(from))
	sock, err := dialSocket(ctx, to)
	if err != nil {
		s.forget()
		return err
	}
	sock.tally = &s.w.traffic
	welcome := make(chan error, 1)
	s.set(sock)
	if err := sock.send(opText, s.hello()); err != nil {
		sock.cut(false) // the reader says it
	}
	s.w.work.Go(func() { s.serve(sock, from, welcome) })
	select {
	case err := <-welcome:
		return err
	case <-time.After(upgradeTime):
		sock.cut(false)
		return errors.New("no welcome came")
	case <-ctx.Done():
		sock.cut(false)
		return ctx.Err()
	}
}

// errAway is that the network of the student's building is down.
var errAway = errors.New("the network is down")

// serve reads until the socket ends, and then comes back as the protocol's duties say.
func (s *student) serve(sock *socket, from time.Duration, welcome chan<- error) {
	welcomed := false
	err := sock.read(func(msg []byte) {
		now := s.w.now()
		if !eachFrame(msg, func(f []byte) {
			switch kind := frameType(f); string(kind) {
			case "ack":
				s.ack(f, now)
			case "welcome":
				if !welcomed && s.owns(f) && s.greet(sock) == nil {
					s.w.openings.add(now - from)
					s.welcomed(f, now)
					welcomed = true
					welcome <- nil
				}
			case "command":
				s.commanded(f, now)
			case "chat":
				s.chatted(f, now)
			case "alive":
				s.answer(sock, f)
			case "receipt":
				s.receipt()
			case "token":
				s.renewed(f)
			case "error":
				s.refused(f)
			}
		}) {
			s.w.note("a student got what is no frame: %.80s", msg)
		}
	})
	sock.cut(false)
	if s.socket() == sock {
		s.set(nil)
	}
	how := sock.end.Load()
	if !welcomed {
		welcome <- err // connect says it
	}
	if !welcomed || how == endLeft {
		return
	}
	if how == 0 {
		s.w.ended(err)
	}
	if s.stop.Load() || s.w.leaving.Load() || !s.w.comeBack.Load() {
		return
	}
	round := s.w.round.Load()
	s.w.work.Go(func() { s.again(round, err) })
}

// refused follows the duty of an error: what is to be sent again is, after the wait that
// it names.
func (s *student) refused(f []byte) {
	s.w.errorFrames.Add(1)
	s.w.note("a student got %s", f)
	var e protocol.Error
	if json.Unmarshal(f, &e) != nil || e.Duty != protocol.DutyRetry {
		return // a signal that is dropped for good stays unacknowledged, and is told as that
	}
	seq, err := strconv.ParseInt(e.Ref, 10, 64)
	if err != nil {
		return
	}
	round := s.w.round.Load()
	s.w.work.Go(func() {
		if !sleep(s.w.ctx, time.Duration(e.Wait)*time.Millisecond) || s.w.round.Load() != round {
			return
		}
		m, waits := s.box.repeat(seq)
		if sock := s.socket(); waits && sock != nil {
			s.w.resent.Add(1)
			if err := sock.send(opText, s.w.signal(nil, seq, m)); err != nil {
				sock.cut(false)
			}
		}
	})
}

// again reconnects with the pauses of the protocol: full jitter below half a second that
// doubles up to fifteen.
func (s *student) again(round int64, cause error) {
	const first, most = 500 * time.Millisecond, 15 * time.Second
	var c *closed
	wait := time.Duration(0)
	if errors.As(cause, &c) {
		switch protocol.CloseDuty[statusOf(c.code)] {
		case protocol.DutyStop:
			return
		case protocol.DutyRenew:
			s.forget()
		}
		if ms, err := strconv.Atoi(c.reason); err == nil && statusOf(c.code) == protocol.CloseDrain {
			wait = time.Duration(ms) * time.Millisecond
		}
	}
	for try := 0; ; try++ {
		if wait == 0 {
			wait = rand.N(min(first<<min(try, 10), most) + 1)
		}
		if !sleep(s.w.ctx, wait) || s.w.round.Load() != round {
			return
		}
		s.tries.Add(1)
		s.w.retried(s.w.now())
		s.mu.Lock()
		s.node = s.w.alive(s.node)
		s.mu.Unlock()
		err := s.connect(s.w.ctx)
		if err == nil {
			return
		}
		wait = 0
		var refusal *client.Refusal
		if errors.As(err, &refusal) {
			if refusal.Duty == protocol.DutyStop {
				s.w.note("a student was refused for good: %v", err)
				return
			}
			wait = max(rand.N(first<<min(try, 5)), refusal.Wait)
		}
	}
}

// hello is the first frame of a connection: whose outbox this is, and on which page.
func (s *student) hello() []byte {
	b := append([]byte(`{"t":"hello","stream":"`), s.stream...)
	b = append(b, `","next":`...)
	b = strconv.AppendInt(b, int64(s.box.given()+1), 10)
	return append(s.desk.page(b), '}')
}

// owns tells whether a welcome is the one that answers the hello: before that one there may be
// one of a socket that owns nothing.
func (s *student) owns(welcome []byte) (owns bool) {
	if s.seat == nil {
		return true // the peers know nothing of that
	}
	eachField(welcome, func(name, _ []byte) bool {
		owns = string(name) == "epoch"
		return !owns
	})
	return owns
}

// greet sends again what was not acknowledged.
func (s *student) greet(sock *socket) error {
	if err := s.resend(sock); err != nil {
		return err
	}
	if s.cutAt.Load() > 0 { // a storm: back is who gets something stored again
		s.give(nil, false)
	}
	return nil
}

func (s *student) resend(sock *socket) error {
	s.order.Lock()
	defer s.order.Unlock()
	if !s.w.vigil { // the peers acknowledge nothing: there is nothing to go by
		sock.live.Store(true)
		return nil
	}
	for _, seq := range s.box.unacked() {
		m, _ := s.box.mark(seq)
		if err := sock.send(opText, s.w.signal(nil, seq, m)); err != nil {
			return err
		}
		s.w.resent.Add(1)
	}
	for _, line := range s.desk.lines() {
		if err := sock.send(opText, line); err != nil {
			return err
		}
	}
	sock.live.Store(true)
	return nil
}

// give sends a new signal, made in buf. It is false when there is no connection: then none
// was given.
func (s *student) give(buf []byte, measured bool) ([]byte, bool) {
	s.order.Lock()
	defer s.order.Unlock()
	if sock := s.socket(); sock == nil || !sock.live.Load() {
		return buf, false
	}
	return s.keep(buf, mark{measured: measured}), true
}

// keep puts a new signal into the outbox, and sends it where there is a connection. s.order is
// held.
func (s *student) keep(buf []byte, m mark) []byte {
	m.sent = s.w.now()
	buf = s.w.signal(buf[:0], s.box.give(m), m)
	if sock := s.socket(); sock != nil && sock.live.Load() {
		if err := sock.send(opText, buf); err != nil {
			sock.cut(false) // the reader goes on from here
		}
	}
	return buf
}

// signal is a signal frame. It is the same each time that it is sent, as an outbox's is.
func (w *Worker) signal(b []byte, seq int64, m mark) []byte {
	b = append(b, `{"t":"signal","seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, `,"at":`...)
	b = strconv.AppendInt(b, w.began.Add(m.sent).UnixMilli(), 10)
	switch m.what {
	case whatAway:
		return append(b, `,"kind":"blur","dur":20000}`...)
	case whatHand:
		return append(b, `,"kind":"hand_raised"}`...)
	case whatLower:
		return append(b, `,"kind":"hand_lowered"}`...)
	case whatTurn:
		b = append(b, `,"kind":"page_turned","data":{"page":`...)
		return append(strconv.AppendInt(b, int64(m.page), 10), "}}"...)
	}
	return append(b, `,"kind":"copy","data":{"length":12}}`...)
}

func (s *student) ack(f []byte, now time.Duration) {
	ours := false
	eachField(f, func(name, v []byte) bool {
		switch string(name) {
		case "id":
			s.desk.acked(string(text(v)))
		case "stream":
			ours = string(text(v)) == s.stream
		case "seqs":
			if !ours {
				return false
			}
			eachNumber(v, func(seq int64) {
				m, fresh := s.box.acknowledge(seq)
				if !fresh {
					return
				}
				s.w.acked.Add(1)
				if m.measured {
					s.w.stored.add(now - m.sent)
				}
				if s.cutAt.Load() > 0 && m.sent > time.Duration(s.cutAt.Load()) {
					s.backAt.CompareAndSwap(0, int64(now))
				}
			})
		}
		return true
	})
}

// eachNumber reads an array of whole numbers.
func eachNumber(array []byte, f func(int64)) {
	from := -1
	for i, c := range array {
		switch {
		case c >= '0' && c <= '9':
			if from < 0 {
				from = i
			}
		case from >= 0:
			f(number(array[from:i]))
			from = -1
		}
	}
}

func frameType(f []byte) (kind []byte) {
	eachField(f, func(name, v []byte) bool {
		if string(name) == "t" {
			kind = text(v)
			return false
		}
		return true
	})
	return kind
}

// connect opens the proctor's socket and waits for the first whole snapshot.
func (p *proctor) connect(ctx context.Context) error {
	to := target{
		address: p.w.nodes[p.node], host: p.w.host, local: p.local,
		path: "/socket?role=proctor&exam=" + p.exam.name,
	}
	if p.seat != nil {
		p.seat.Client.Transport = p.w.client(p.local, p.node).Transport // the cookies are the client's own
		t, err := p.refresh(ctx, p.seat.Token)
		if err != nil {
			return err
		}
		to = p.tokenTarget(t, vigil.Origin(p.seat.Tool))
	}
	sock, err := dialSocket(ctx, to)
	if err != nil {
		p.forget()
		return err
	}
	sock.tally = &p.w.traffic
	p.set(sock)
	p.returned.Store(true)
	ready := make(chan struct{})
	p.w.work.Go(func() { p.serve(sock, ready) })
	select {
	case <-ready:
		return nil
	case <-time.After(upgradeTime):
		sock.cut(false)
		return errors.New("no snapshot came")
	case <-ctx.Done():
		sock.cut(false)
		return ctx.Err()
	}
}

// serve reads until the socket ends. ready is closed at the first whole snapshot; the
// baseline has none, its welcome counts.
func (p *proctor) serve(sock *socket, ready chan struct{}) {
	up := false
	open := func() {
		if !up {
			up = true
			close(ready)
		}
	}
	err := sock.read(func(msg []byte) { p.message(sock, msg, open) })
	sock.cut(false)
	if p.socket() == sock {
		p.set(nil)
	}
	if !up {
		return
	}
	p.w.ended(err)
	if p.w.leaving.Load() || !p.w.comeBack.Load() {
		return
	}
	round := p.w.round.Load()
	p.w.work.Go(func() {
		for try := 0; ; try++ {
			if !sleep(p.w.ctx, rand.N(min(500*time.Millisecond<<min(try, 10), 15*time.Second)+1)) || p.w.round.Load() != round {
				return
			}
			p.mu.Lock()
			p.node = p.w.alive(p.node)
			p.mu.Unlock()
			if p.connect(p.w.ctx) == nil {
				return
			}
		}
	})
}

// message takes what came on a socket; ready is called at each whole snapshot.
func (p *proctor) message(sock *socket, msg []byte, ready func()) {
	now := p.w.now()
	p.seen.Lock()
	p.bytes += int64(len(msg))
	p.seen.Unlock()
	if !eachFrame(msg, func(f []byte) {
		switch string(frameType(f)) {
		case "signal":
			p.signal(f, now)
		case "session":
			p.delta(f, now)
		case "snapshot":
			if p.snapshot(f, now) {
				ready()
			}
		case "welcome":
			if p.seat == nil {
				ready()
			} else if err := sock.send(opText, []byte(`{"t":"subscribe","signals":"all"}`)); err != nil {
				sock.cut(false)
			}
		case "token":
			p.renewed(f)
		case "chat":
			p.chatted(f, now)
		case "progress":
			p.progress(f, now)
		case "notice":
			p.w.note("a proctor got %s", f)
		case "error":
			p.w.errorFrames.Add(1)
			p.w.note("a proctor got %s", f)
		}
	}) {
		p.w.note("a proctor got what is no frame: %.80s", msg)
	}
}

// serverStream begins the streams that the server makes itself; one may come before its student's
// session is known here.
var serverStream = []byte("server:")

// signal counts a delivery.
func (p *proctor) signal(f []byte, now time.Duration) {
	index, known, ours, made := 0, false, false, false
	var seq int64
	eachField(f, func(name, v []byte) bool {
		switch string(name) {
		case "session":
			index, known = p.exam.find(text(v))
		case "stream":
			made = bytes.HasPrefix(text(v), serverStream)
			ours = known && string(text(v)) == p.exam.students[index].stream
		case "seq":
			seq = number(v)
			return false
		}
		return true
	})
	if made || known && !ours { // the server's own, such as "connected"
		p.w.others.Add(1)
		return
	}
	p.seen.Lock()
	defer p.seen.Unlock()
	var m mark
	ok := known
	if ok {
		m, ok = p.exam.students[index].box.mark(seq)
	}
	if !ok {
		p.bad.Foreign++
		p.bad.example("a proctor of %s got %.120s", p.exam.name, f)
		return
	}
	first, disorder := p.views[index].see(seq)
	if disorder && !m.again {
		p.bad.Disorder++
		p.bad.example("signal %d of %s came after a later one", seq, p.exam.students[index].session)
	}
	p.w.deliveries.Add(1)
	if first && m.measured {
		p.w.shown.add(now - m.sent)
		p.w.measured.Add(1)
	}
	p.deltaCame(now)
}

func (p *proctor) deltaCame(now time.Duration) {
	if p.waiting {
		p.waiting = false
		select {
		case p.firstUp <- now:
		default:
		}
	}
}

// delta looks at a changed row; the connection in it is needed only while someone was cut.
func (p *proctor) delta(f []byte, now time.Duration) {
	p.seen.Lock()
	defer p.seen.Unlock()
	p.deltaCame(now)
	if p.w.day != nil {
		p.look(f, now)
	}
	if !p.w.cutting.Load() {
		return
	}
	var d protocol.SessionDelta
	if json.Unmarshal(f, &d) != nil || d.Row.Conn == nil {
		return
	}
	i, ok := p.exam.find([]byte(d.Row.ID))
	if !ok {
		return
	}
	since := time.Duration(p.exam.students[i].cutAt.Load())
	if since == 0 {
		return
	}
	switch d.Row.Conn.Conn {
	case vigil.ConnDegraded:
		if p.told[i].degraded == 0 {
			p.told[i].degraded = now - since
		}
	case vigil.ConnLost:
		if p.told[i].lost == 0 {
			p.told[i].lost = now - since
		}
	}
}

// snapshot counts rows and tells whether it is whole.
func (p *proctor) snapshot(f []byte, now time.Duration) bool {
	var s struct {
		Page int               `json:"page"`
		Last bool              `json:"last"`
		Rows []json.RawMessage `json:"rows"`
	}
	if err := json.Unmarshal(f, &s); err != nil {
		p.w.note("a snapshot cannot be read: %v", err)
		return false
	}
	p.seen.Lock()
	defer p.seen.Unlock()
	if s.Page == 1 {
		p.rows = 0
	}
	p.rows += len(s.Rows)
	if p.w.day != nil {
		for _, r := range s.Rows {
			p.lookAt(r, -1)
		}
	}
	if s.Last {
		p.waiting = true
		select {
		case p.whole <- now:
		default:
		}
	}
	return s.Last
}

// shuffled is a random order of students.
func shuffled(list []*student) []*student {
	out := slices.Clone(list)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
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
