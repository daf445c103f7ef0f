//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"vigil"
	"vigil/cmd/internal/seat"
	"vigil/lti/ltitest"
	"vigil/realtime/protocol"
)

// day is what a worker keeps of an exam day.
type day struct {
	launched, checkedIn, turned, handed, commanded, confirms, chats, details, returned *histogram

	turns, pages, receipts, vouched, alives, given, postponed, failed, refused atomic.Int64

	mu     sync.Mutex
	errors []string
	orders map[string]*order
}

// order is a command or a line under way.
type order struct {
	at      time.Duration
	to      *student   // of a proctor
	by      *proctor   // whose command it is
	readers []*proctor // who have yet to read a student's line
	command bool
	got     bool
	seen    bool // and the proctor was told so
}

func (o *order) done() bool { return o.got && (o.seen || !o.command) }

func newDay() *day {
	d := &day{orders: map[string]*order{}}
	for _, h := range d.histograms() {
		*h = newHistogram()
	}
	return d
}

// histograms are all of them, by what the result calls them.
func (d *day) histograms() map[string]**histogram {
	return map[string]**histogram{
		latencyLaunch: &d.launched, latencyCheckIn: &d.checkedIn, latencyTurn: &d.turned, latencyHandIn: &d.handed, latencyCommand: &d.commanded,
		latencySeen: &d.confirms, latencyChat: &d.chats, latencyDetails: &d.details, latencyReturn: &d.returned,
	}
}

// begin forgets what the phase before counted.
func (d *day) begin() {
	for _, h := range d.histograms() {
		(*h).reset()
	}
	for _, n := range []*atomic.Int64{&d.turns, &d.pages, &d.receipts, &d.vouched, &d.alives, &d.given, &d.postponed, &d.failed, &d.refused} {
		n.Store(0)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors, d.orders = nil, map[string]*order{}
}

func (d *day) fail(n *atomic.Int64, format string, args ...any) {
	n.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errors) < maxNotes {
		d.errors = append(d.errors, fmt.Sprintf(format, args...))
	}
}

func (d *day) put(id string, o *order) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders[id] = o
}

// reached is that a command or a line came to a student or to a proctor. To a student between two
// pages it could not: there the time counts from the opening of the socket that brought it.
func (d *day) reached(id string, s *student, p *proctor, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[id]
	switch {
	case o == nil || o.got:
	case s != nil && o.to == s:
		o.got = true
		took := now - max(o.at, min(now, time.Duration(s.desk.opened.Load())))
		if o.command {
			d.commanded.add(took)
		} else {
			d.chats.add(took)
		}
	case p != nil:
		for i, r := range o.readers {
			if r == p {
				o.readers = append(o.readers[:i], o.readers[i+1:]...)
				d.chats.add(now - o.at)
				o.got = len(o.readers) == 0
				return
			}
		}
	}
}

// confirmed is that the sender of a command was told that the student saw it.
func (d *day) confirmed(id string, p *proctor, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.orders[id]; o != nil && o.by == p && !o.seen {
		o.seen = true
		d.confirms.add(now - o.at)
	}
}

// undone counts the commands and lines that have not come.
func (d *day) undone() (commands, lines int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.orders {
		switch {
		case o.done():
		case o.command:
			commands++
		default:
			lines++
		}
	}
	return commands, lines
}

// DayArgs is a phase of an exam day.
type DayArgs struct {
	Phase  Phase
	Start  int64 // Unix nanoseconds
	For    time.Duration
	Seed   uint64
	Rates  Rates
	Settle time.Duration // how long nothing may come before the rest counts as lost
}

// DayReply is what came of it.
type DayReply struct {
	Latency map[string]*hdrhistogram.Snapshot
	Counts  DayCounts
	Lost    DayLost
	Verdict verdict
	Ends    map[string]int
	Notes   []string
}

// DayCounts is what happened in a phase.
type DayCounts struct {
	Signals   int64 `json:"signals"`
	Turns     int64 `json:"page_turns"`
	Pages     int64 `json:"pages"`
	Vouched   int64 `json:"pages_with_receipt"`
	Receipts  int64 `json:"receipts"`
	Alives    int64 `json:"alive_answers"`
	Orders    int64 `json:"commands_and_lines"`
	Postponed int64 `json:"left_out"` // page turns and messages of who was not connected
	Resent    int64 `json:"signals_resent"`
	Exchanges int64 `json:"tokens_exchanged"`
}

// DayLost is what did not come, or not as it should.
type DayLost struct {
	Unacked   int64 `json:"signals_not_acknowledged"`
	Missing   int64 `json:"deliveries_missing"`
	Wrong     int64 `json:"deliveries_wrong"` // doubled, out of order, of nobody
	Commands  int64 `json:"commands"`
	Lines     int64 `json:"lines"`
	Unshown   int64 `json:"pages_not_shown"`
	Unended   int64 `json:"ends_not_shown"`
	Away      int64 `json:"students_not_back"`
	Openings  int64 `json:"openings_failed"`
	Ended     int64 `json:"sockets_ended"` // that nobody ended on purpose
	Refused   int64 `json:"requests_refused"`
	NotStored int64 `json:"not_in_the_store"`
}

func (l *DayLost) total() (n int64) {
	for _, v := range l.list() {
		n += v.n
	}
	return n
}

// lostItem is a count of what was lost, for people.
type lostItem struct {
	n    int64
	what string
}

func (l *DayLost) list() []lostItem {
	return []lostItem{
		{l.Unacked, "signals were never acknowledged"},
		{l.Missing, "deliveries of signals to proctors are missing"},
		{l.Wrong, "deliveries of signals to proctors came twice, out of order, or are of nobody's signals"},
		{l.Commands, "commands did not come, or were not confirmed"},
		{l.Lines, "lines did not come"},
		{l.Unshown, "times a proctor did not see on which page a student is"},
		{l.Unended, "times a proctor did not see that a student had handed in"},
		{l.Away, "students did not come back"},
		{l.Openings, "sockets could not be opened"},
		{l.Ended, "sockets ended that nobody closed"},
		{l.Refused, "requests failed (launches, tokens, details, reports of the LMS)"},
		{l.NotStored, "acknowledged signals or ends of attempts are not in the store, or twice"},
	}
}

func (l *DayLost) add(o DayLost) {
	l.Unacked += o.Unacked
	l.Missing += o.Missing
	l.Wrong += o.Wrong
	l.Commands += o.Commands
	l.Lines += o.Lines
	l.Unshown += o.Unshown
	l.Unended += o.Unended
	l.Away += o.Away
	l.Openings += o.Openings
	l.Ended += o.Ended
	l.Refused += o.Refused
	l.NotStored += o.NotStored
}

// DayBegin makes the worker ready for an exam day.
func (w *Worker) DayBegin(None, *None) error { //nolint:unparam // net/rpc wants an error
	w.day = newDay()
	return nil
}

// Day lets a phase happen.
func (w *Worker) Day(a DayArgs, r *DayReply) error {
	d := w.day
	d.begin()
	for _, h := range []*histogram{w.shown, w.stored, w.late, w.openings} {
		h.reset()
	}
	resent, exchanges := w.resent.Load(), w.exchanges.Load()
	base := make(map[*student]int, len(w.students))
	for _, s := range w.students {
		base[s] = s.box.given()
		s.cutAt.Store(0)
	}
	for _, p := range w.proctors {
		p.returned.Store(false)
	}
	w.mu.Lock()
	clear(w.ends)
	w.notes = nil
	w.mu.Unlock()
	sizes := make([]int, len(w.exams))
	perExam := 0
	for i, e := range w.exams {
		sizes[i], perExam = len(e.students), len(e.proctors)
	}
	events := plan(a.Seed+uint64(w.index), a.Phase, a.Rates, a.For, sizes, perExam)
	var going sync.WaitGroup
	start := w.at(a.Start)
	for _, e := range events {
		if wait := start + e.at - w.now(); wait > 0 && !sleep(w.ctx, wait) {
			return w.ctx.Err()
		}
		w.late.add(w.now() - start - e.at)
		going.Go(func() { w.happen(e) })
	}
	if !sleep(w.ctx, start+a.For-w.now()) {
		return w.ctx.Err()
	}
	going.Wait()
	w.settleDay(a, base, r)
	r.Latency = map[string]*hdrhistogram.Snapshot{
		latencyOpening: w.openings.export(), latencySignal: w.shown.export(), latencyStored: w.stored.export(), latencyLate: w.late.export(),
	}
	for name, h := range d.histograms() {
		r.Latency[name] = (*h).export()
	}
	signals := int64(0)
	for _, s := range w.students {
		signals += int64(s.box.given() - base[s])
	}
	r.Counts = DayCounts{
		Signals: signals, Turns: d.turns.Load(), Pages: d.pages.Load(), Vouched: d.vouched.Load(), Receipts: d.receipts.Load(),
		Alives: d.alives.Load(), Orders: d.given.Load(), Postponed: d.postponed.Load(), Resent: w.resent.Load() - resent, Exchanges: w.exchanges.Load() - exchanges,
	}
	d.mu.Lock()
	r.Notes = append(r.Notes, d.errors...)
	d.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Ends = maps.Clone(w.ends)
	r.Notes = append(r.Notes, w.notes...)
	for _, n := range r.Ends {
		r.Lost.Ended += int64(n)
	}
	return nil
}

// settleDay waits until everything has come, or nothing more does, and counts what did not.
func (w *Worker) settleDay(a DayArgs, base map[*student]int, r *DayReply) {
	d := w.day
	was, moved := DayLost{Unacked: -1}, time.Now()
	for {
		var lost DayLost
		var v verdict
		for _, e := range w.exams {
			for i, s := range e.students {
				w.owed(e, i, s, base[s], a.Phase, &lost, &v)
			}
		}
		lost.Commands, lost.Lines = d.undone()
		lost.Missing = v.Missing
		if lost != was {
			was, moved = lost, time.Now()
		}
		if lost.total() == 0 || time.Since(moved) > a.Settle || w.ctx.Err() != nil {
			for _, p := range w.proctors {
				p.seen.Lock()
				v.add(p.bad)
				p.bad = verdict{}
				p.seen.Unlock()
			}
			lost.Wrong = v.Doubled + v.Disorder + v.Foreign
			lost.Openings, lost.Refused = d.failed.Load(), d.refused.Load()
			r.Lost, r.Verdict = lost, v
			return
		}
		sleep(w.ctx, 50*time.Millisecond)
	}
}

// owed adds what is still to come of a student's.
func (w *Worker) owed(e *exam, i int, s *student, from int, phase Phase, lost *DayLost, v *verdict) {
	handed := s.desk.handed.Load() > 0
	if s.session == "" {
		lost.Away++
		return
	}
	if sock := s.socket(); !handed && (sock == nil || !sock.live.Load()) {
		lost.Away++
	}
	if w.vigil {
		lost.Unacked += int64(s.box.waiting(from))
		lost.Lines += int64(len(s.desk.lines()))
	}
	page := s.desk.pageNumber()
	for _, p := range e.proctors {
		p.seen.Lock()
		if phase != PhaseOutage || !p.returned.Load() {
			p.views[i].judge(&s.box, from, s.session, v)
		}
		if p.sights[i].page < page {
			lost.Unshown++
		}
		if handed && !p.sights[i].over {
			lost.Unended++
		}
		p.seen.Unlock()
	}
}

// happen does what is planned.
func (w *Worker) happen(e event) {
	s := w.students[e.student]
	switch e.deed {
	case deedStart:
		w.start(s, e.wait)
	case deedTurn:
		w.turn(s, e.wait)
	case deedSignal:
		w.notice(s, whatCopy)
	case deedAway:
		w.notice(s, whatAway)
	case deedHand:
		w.notice(s, whatHand)
	case deedChat:
		w.write(s)
	case deedDrop:
		if sock := s.socket(); sock != nil {
			sock.end.Store(endCut)
			sock.cut(true)
		}
	case deedOut:
		w.out(s, e.wait)
	case deedHandIn:
		w.handIn(s)
	case deedAnswer:
		s.exam.proctors[e.proctor].reply(s)
	case deedMessage:
		s.exam.proctors[e.proctor].tell(s)
	case deedDetails:
		w.look(s.exam.proctors[e.proctor], s)
	}
}

// notice gives a signal of the page; between two pages nobody notices anything, so the next one does.
func (w *Worker) notice(s *student, what what) {
	if !w.claim(s) {
		return
	}
	defer s.desk.busy.Store(false)
	if sock := s.socket(); !w.vigil && (sock == nil || !sock.live.Load() || sock.muted.Load()) {
		w.day.postponed.Add(1) // the peers' clients keep nothing for later
		return
	}
	s.note(mark{what: what})
}

// claim takes a student's page, when it is there.
func (w *Worker) claim(s *student) bool {
	for !s.desk.busy.CompareAndSwap(false, true) {
		if !sleep(w.ctx, 10*time.Millisecond) {
			return false
		}
	}
	return true
}

// note gives a signal, also while there is no connection; then it tells nothing of how fast the
// server is.
func (s *student) note(m mark) {
	s.order.Lock()
	defer s.order.Unlock()
	sock := s.socket()
	m.measured = sock != nil && sock.live.Load() && !sock.muted.Load()
	s.keep(nil, m)
}

// start takes a student from "Attempt quiz" to the first page.
func (w *Worker) start(s *student, reading time.Duration) {
	if w.vigil {
		client := w.client(s.local, s.node)
		from := time.Now()
		c, err := seat.Launch(w.ctx, w.tool, w.platform, ltitest.Launch{
			Message: ltitest.StartProctoring, ClientID: w.platform.Tools()[0].ClientID, UserID: s.user, LinkID: s.exam.name, Attempt: 1,
		}, client)
		if err != nil {
			w.day.fail(&w.day.refused, "launch a student: %v", err)
			return
		}
		w.day.launched.add(time.Since(from))
		w.launched.Add(1)
		if !sleep(w.ctx, reading) {
			return
		}
		from = time.Now()
		if s.seat, err = c.Agree(w.ctx); err != nil {
			w.day.fail(&w.day.refused, "pass the check-in: %v", err)
			return
		}
		w.day.checkedIn.add(time.Since(from))
		if w.platform.Served(s.seat.Attempt.ID) { // the plugin's observer tells it at the end of the page's request
			defer w.report(s)
		}
	} else if !sleep(w.ctx, reading) {
		return
	}
	w.openPage(s, time.Now())
}

// report lets the LMS tell what it owes of an attempt, from server to server.
func (w *Worker) report(s *student) {
	if err := w.platform.SendNow(w.ctx, s.seat.Attempt.ID); err != nil {
		w.day.fail(&w.day.refused, "report an attempt: %v", err)
	}
}

// openPage opens the next page, which the LMS was asked for at a moment, and its socket.
func (w *Worker) openPage(s *student, asked time.Time) {
	stamp := ""
	if s.seat != nil {
		if a, ok := s.seat.Platform.AttemptByID(s.seat.Attempt.ID); ok {
			stamp = s.seat.Platform.PageStamp(a, asked, time.Now())
		}
	}
	number := s.desk.turn(stamp, w.now())
	w.day.pages.Add(1)
	round := w.round.Load()
	if err := s.connect(w.ctx); err != nil {
		if !s.desk.away.Load() {
			w.day.fail(&w.day.failed, "open a socket: %v", err)
		}
		s.again(round, err)
	}
	w.opened.Add(1)
	if number > 1 {
		s.note(mark{what: whatTurn, page: number})
	}
}

// turn turns the page: goodbye, and a new socket when the LMS has made the next page.
func (w *Worker) turn(s *student, loading time.Duration) {
	if s.desk.handed.Load() > 0 {
		return
	}
	sock := s.socket()
	if sock == nil || !sock.live.Load() || s.desk.away.Load() || !s.desk.busy.CompareAndSwap(false, true) {
		w.day.postponed.Add(1)
		return
	}
	defer s.desk.busy.Store(false)
	asked := time.Now()
	s.goodbye(sock, true)
	ok := sleep(w.ctx, loading)
	sock.cut(false) // the answer may be missing
	if !ok {
		return
	}
	w.day.turns.Add(1)
	w.openPage(s, asked)
}

// goodbye leaves a page. To the peers no word is what tells a hand-in from a page turn.
func (s *student) goodbye(sock *socket, word bool) {
	s.order.Lock()
	defer s.order.Unlock()
	sock.live.Store(false)
	if word {
		_ = sock.send(opText, []byte(`{"t":"bye","reason":"navigating"}`)) // it may have ended
	}
	sock.leave()
}

// write sends a line to the proctors.
func (w *Worker) write(s *student) {
	id := rand.Text()
	line := protocol.Encode(protocol.ChatUp{T: protocol.TypeChat, ID: id, Text: "May I use the back of the sheet?"})
	if !w.vigil {
		return
	}
	w.day.given.Add(1)
	w.day.put(id, &order{at: w.now(), readers: append([]*proctor(nil), s.exam.proctors...), got: len(s.exam.proctors) == 0})
	s.order.Lock()
	defer s.order.Unlock()
	s.desk.write(id, line)
	if sock := s.socket(); sock != nil && sock.live.Load() {
		if err := sock.send(opText, line); err != nil {
			sock.cut(false) // the reader goes on from here
		}
	}
}

// noticing is the part of an outage after which a browser gives the connection up: it has heard
// nothing for three pings.
const noticing = 2.0 / 3

// out takes a student's network away for a while.
func (w *Worker) out(s *student, length time.Duration) {
	s.desk.away.Store(true)
	sock := s.socket()
	if sock != nil {
		sock.end.Store(endCut)
		sock.muted.Store(true)
	}
	notice := min(time.Duration(noticing*float64(length)), 30*time.Second)
	if !sleep(w.ctx, notice) {
		return
	}
	if sock != nil {
		sock.cut(false)
	}
	if !sleep(w.ctx, length-notice) {
		return
	}
	s.desk.away.Store(false)
	back := w.now()
	for {
		if sock := s.socket(); sock != nil && sock.live.Load() {
			w.day.returned.add(w.now() - back)
			return
		}
		if w.now()-back > upgradeTime || !sleep(w.ctx, 20*time.Millisecond) {
			return // who is not back is counted at the end of the phase
		}
	}
}

// handIn ends an attempt.
func (w *Worker) handIn(s *student) {
	if !w.claim(s) { // the page that is being turned comes first
		return
	}
	s.stop.Store(true)
	s.desk.handed.Store(int64(w.now()))
	if sock := s.socket(); sock != nil {
		s.goodbye(sock, w.vigil)
		defer sock.cut(false)
	}
	if !w.vigil {
		return
	}
	if s.seat == nil { // never got in, which is counted already
		return
	}
	if _, err := w.platform.UpdateAttempt(s.seat.Attempt.ID, func(a *ltitest.Attempt) error {
		a.Status, a.Ended = ltitest.Complete, time.Now()
		return nil
	}); err != nil {
		w.day.fail(&w.day.refused, "end an attempt: %v", err)
		return
	}
	w.report(s)
}

// reply is a proctor's answer to a hand or a line.
func (p *proctor) reply(s *student) {
	if p.seat == nil || s.session == "" {
		return
	}
	id := rand.Text()
	p.order(id, &order{at: p.w.now(), to: s},
		protocol.Encode(protocol.SeenUp{T: protocol.TypeSeen, Session: s.session}),
		protocol.Encode(protocol.ChatUp{T: protocol.TypeChat, ID: id, Session: s.session, Text: "Yes, that is allowed."}))
}

// tell sends a message to a student.
func (p *proctor) tell(s *student) {
	if p.seat == nil || s.session == "" {
		return
	}
	id := rand.Text()
	p.order(id, &order{at: p.w.now(), to: s, by: p, command: true},
		protocol.Encode(protocol.CommandUp{T: protocol.TypeCommand, ID: id, Kind: vigil.CommandMessage, Targets: []string{s.session}, Text: "Please move your bag away."}))
}

// order sends something that is to come to somebody.
func (p *proctor) order(id string, o *order, frames ...[]byte) {
	sock := p.socket()
	if sock == nil {
		p.w.day.postponed.Add(1)
		return
	}
	p.w.day.given.Add(1)
	p.w.day.put(id, o)
	for _, f := range frames {
		if err := sock.send(opText, f); err != nil {
			sock.cut(false) // the reader goes on from here
		}
	}
}

// look opens a student's details as the dashboard does.
func (w *Worker) look(p *proctor, s *student) {
	if p.seat == nil || s.session == "" {
		return
	}
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.tool+"/api/v1/exams/"+p.seat.Exam+"/sessions/"+s.session+"/timeline", http.NoBody)
	if err != nil {
		w.day.fail(&w.day.refused, "open details: %v", err)
		return
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	from := time.Now()
	res, err := p.seat.Client.Do(req)
	if err != nil {
		w.day.fail(&w.day.refused, "open details: %v", err)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		w.day.fail(&w.day.refused, "open details: status %d, %v", res.StatusCode, err)
		return
	}
	w.day.details.add(time.Since(from))
}
