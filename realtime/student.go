package realtime

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/instant"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// student is a session on this node: from its first socket here until nothing of it is
// left to judge or to store.
type student struct {
	h        *Hub
	id       string // the session's
	room     *room
	platform unique.Handle[string] // its id: most students have one of a few
	who      atomic.Uint64         // Hub.identity, which a page stamp must have
	jobs     tasks.Queue           // what is stored of it, in order

	reachable atomic.Bool // presence.Reachable, for counting
	used      atomic.Int64

	mu           sync.Mutex
	conns        []*socket.Conn // the owner is the one with the highest epoch
	owner        *socket.Conn
	life         life // of the session, as last read or written
	presence     vigil.Presence
	saving       bool // a job that stores the presence waits
	tally        vigil.Tally
	storing      int  // signals on their way to the store
	tallyGen     int  // counts changes of tally
	stale        bool // tally is to be read from the store: another node may have counted
	page         int
	hides        []hide // newest last, few
	lastFrom     from
	tokens       []use    // newest last, few
	ousted       []oust   // sockets that gave way a moment ago
	streams      []stream // newest last, few
	timer        *time.Timer
	moved        moved // where it came from, when that is another node
	crossed      crossed
	gap          string // the last one that was opened here
	term         int    // counts how often this node was taken over from
	blamed       bool   // it is noted as the student's fault
	watched      string // the stream of the last owner
	monitor      vigil.Monitor
	monitorDirty bool          // it is not stored
	monitorSaved time.Time     // when it was last stored
	unanswered   int           // questions to the monitor, in a row
	away         int           // the same, of a page that was hidden
	askDue       time.Time     // when the monitor is asked next, on whatever socket; zero: it was not asked yet
	askSpent     time.Duration // how long an unanswered question has waited on sockets that are gone
	could        bool          // a monitor said that it can be asked
	cannot       bool          // it is noted that one could not be asked whose page is of a plugin with one that can
	docs         []pageTotals  // newest last, few
	watching     bool          // a job notes that the attempt is watched
	guests       []guest       // who was here without owning the session; few
	stamp        uint64        // a hash of the last page stamp that was taken
	vouched      *vouched
}

// from is where a socket comes from.
type from struct{ address, browser string }

func fromOf(c *socket.Conn) from { return from{c.Address(), c.Browser()} }

func (f from) known() bool { return f.address != "" || f.browser != "" }

// both tells that address and browser differ.
func (f from) both(g from) bool { return f.address != g.address && f.browser != g.browser }

type hide struct {
	stream string
	seq    int64
	at     time.Time
}

// use is where a token was first seen. Of its id a hash is kept.
type use struct {
	token uint64
	from  from
}

// oust is a socket that gave way to a newer one while it was alive and had not said
// goodbye: a page turn, or a second device. The newer one's hello tells which.
type oust struct {
	epoch  int64
	stream string
	from   from
	at     time.Time
}

// claim is what a newer connection says of itself in its hello.
type claim struct {
	Stream  string      `json:"s"`
	Address string      `json:"a,omitempty"`
	Browser string      `json:"b,omitempty"`
	Guest   vigil.Guest `json:"g,omitempty"`
}

// stream is what is remembered of a browser's outbox.
type stream struct {
	id    string
	noted bool // a hole was noted
}

// Bounds of what is remembered of a session.
const (
	maxHides   = 16
	maxTokens  = 16
	maxOusted  = 8
	maxStreams = 16
	oustFor    = 30 * time.Second

	unansweredFor = 10 * time.Minute // after the last socket, how long it is known what a monitor did not answer
)

// studentConn is a student's socket.
type studentConn struct {
	*socket.Conn
	st    *student
	epoch int64

	// Guarded by st.mu.
	stored   *vigil.Presence // as the store had it; until attach
	hello    *time.Timer     // for a socket that says none
	owned    bool            // it is or was the session's connection: it said hello
	tried    bool            // it was welcomed without one
	visited  bool            // that it was here without one is noted
	asking   asking
	again    bool      // its hello began at 1, and the session was connected before
	signaled time.Time // when a signal last came; written by the read loop only
	stream   string    // written by the read loop only
	vouches  bool      // its hello was the quiz page's, or the monitor window's

	// Owned by the read loop.
	next   int64 // of the hello: lower numbers come again, or late
	bye    bool
	noted  time.Time // when it was noted last that a message was refused
	looked time.Time // owned by the timer

	receiptAt atomic.Int64 // when the next receipt is due, ms; 0: none is

	opened  time.Time // when it was opened
	arrived time.Time // when its hello made it the session's connection: then its absence ended
	away    time.Time // since when the student was lost that this socket brought back; zero: was not

	high   int64        // above each number that came on this socket
	resent atomic.Int64 // ms, when the last number came that is below others which were given or came before, or left some out; 0: nothing is looked for
}

// student returns the session's entry on this node, or nil.
func (h *Hub) student(session string) *student {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.students[session]
}

// studentOf gets or makes the session's entry. The caller has reserved a socket for it,
// so that it is not swept away.
func (h *Hub) studentOf(s vigil.Session, exam vigil.Exam) (*student, error) {
	if st := h.student(s.ID); st != nil {
		return st, nil
	}
	r, err := h.enter(exam)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	if st := h.students[s.ID]; st != nil {
		h.mu.Unlock()
		h.leave(r)
		return st, nil
	}
	presence := s.Presence
	if n := presence.Node; n != "" && n != h.boot && (presence.Reachable() || presence.Connection == vigil.ConnNavigating) {
		presence.Connection = vigil.ConnSuperseded // that node has it, until a hello comes here
	}
	st := &student{
		h: h, id: s.ID, room: r, life: lifeOf(s), presence: presence, tally: s.Tally, monitor: s.Monitor, monitorSaved: h.now(), platform: unique.Make(s.PlatformID),
	}
	// Elsewhere it may have been asked before, or turned its pages too quickly for that: who goes from
	// server to server is asked as often as others.
	if last := instant.Later(s.Started, s.Monitor.Heard); !last.IsZero() {
		st.askDue = last.Add(h.cfg.AliveEvery)
	}
	switch s.Monitor.State { // what it left unanswered before: nothing vouches for it until it answers
	case vigil.MonitorSilent:
		st.unanswered = 1
	case vigil.MonitorAway:
		st.away = 1
	}
	st.who.Store(h.identityOf(s))
	st.used.Store(h.now().UnixMilli())
	h.students[s.ID] = st
	h.mu.Unlock()
	return st, nil
}

func (h *Hub) allStudents() []*student {
	h.mu.RLock()
	out := slices.Collect(maps.Values(h.students))
	h.mu.RUnlock()
	slices.SortFunc(out, byID)
	return out
}

func byID(a, b *student) int { return strings.Compare(a.id, b.id) }

// sweep forgets students of whom nothing is left to do.
func (h *Hub) sweep() {
	now := h.now()
	old := now.Add(-oustFor).UnixMilli()
	var rooms []*room
	h.mu.Lock()
	for id, st := range h.students {
		if h.sockets.Reserved(id) || st.used.Load() > old || !st.over(now) {
			continue
		}
		delete(h.students, id)
		rooms = append(rooms, st.room)
	}
	h.mu.Unlock()
	for _, r := range rooms {
		h.leave(r)
	}
}

// over tells that no socket, no timer and no job of it is left, and nothing that the next socket must
// know: questions that its monitor has not answered.
func (st *student) over(now time.Time) bool {
	if !st.jobs.Idle() {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	unanswered := st.unanswered > 0 || st.away > 0 || st.askSpent > 0
	return len(st.conns) == 0 && st.storing == 0 && st.timer == nil &&
		(!unanswered || now.Sub(time.UnixMilli(st.used.Load())) > unansweredFor)
}

func (st *student) stopTimer() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.stopTimerLocked()
}

func (st *student) stopTimerLocked() {
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
}

// attachLocked makes the socket the session's owner, unless a newer one is there already
// (false). Its hello does that, and nothing else: who only opens a socket, to test the way
// say, is nobody's connection. st.mu and room.order (for reading) are held.
func (sc *studentConn) attachLocked(now time.Time) bool {
	st := sc.st
	st.used.Store(now.UnixMilli())
	if sc.epoch < st.presence.Epoch {
		return false
	}
	superseded := st.presence.Connection == vigil.ConnSuperseded
	if p := sc.stored; superseded && (p.Epoch >= st.presence.Epoch || p.Connection == vigil.ConnLost) {
		// What the other node made of it, or what nobody has ended: a connection of before that was
		// never stored, because this node had to give it up, has left the gap open.
		epoch := max(p.Epoch, st.presence.Epoch)
		st.presence = *p
		st.presence.Epoch = epoch
	}
	if p := sc.stored; superseded || p.Epoch > st.presence.Epoch { // what it was watched elsewhere
		st.presence.Reports, st.presence.Watched = p.Reports, p.Watched
	}
	sc.stored = nil
	was := st.presence
	for _, old := range st.conns {
		st.oustLocked(old, now)
	}
	sc.owned, sc.arrived = true, now
	st.owner = sc.Conn
	st.arriveLocked(sc, was, now)
	elsewhere := was.Node != "" && was.Node != st.h.boot
	if elsewhere || superseded {
		st.stalesLocked()
	}
	if elsewhere {
		st.moved = moved{was.Node, now, was.Connection == vigil.ConnOnline}
		st.crossed = crossed{}
		if was.Reachable() || sc.epoch > was.Epoch+1 { // no goodbye is known of, or not the last connection
			st.crossed = crossed{at: now, from: sinceLost(was, now)}
		}
	}
	if was.Connection == vigil.ConnLost {
		sc.away = sinceLost(was, was.Since)
	}
	st.h.turns.End(st.platform.Value(), st.id, now)
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.Connect(now, sc.epoch, st.h.cfg.Node)
	})
	st.restoredLocked(was, now)
	st.h.publish(st.room.exam, event{Kind: eventEpoch, Session: st.id, Epoch: sc.epoch, At: protocol.Millis(now)})
	return true
}

// restoredLocked notes what a restart in order took from a student who is back before anybody
// was there to call them lost: nobody was, until the next process came.
func (st *student) restoredLocked(was vigil.Presence, now time.Time) {
	if was.Connection != vigil.ConnDegraded || was.Cause != vigil.CauseServer || !st.life.state.Started() || st.life.state.Ended() ||
		now.Sub(was.Since) <= st.h.drop() {
		return
	}
	st.openGap(vigil.GapChange{Open: true, Start: was.Since, Cause: vigil.CauseServer})
	st.closeGap(now)
}

// sinceLost is when an absence began at the earliest that was known of at a time.
func sinceLost(p vigil.Presence, known time.Time) time.Time {
	if !p.Heard.IsZero() {
		return p.Heard.Add(-time.Second)
	}
	return known.Add(-awayMost)
}

// awayMost is how long before somebody counted as lost the absence can have begun, where that
// is not known.
const awayMost = 5 * time.Minute

// arriveLocked notes what a new socket tells by where it comes from.
func (st *student) arriveLocked(sc *studentConn, was vigil.Presence, now time.Time) {
	here := fromOf(sc.Conn)
	switch was.Connection {
	case vigil.ConnNever, vigil.ConnClosed, "":
		st.noteLocked(vigil.KindConnected, now)
	case vigil.ConnLost, vigil.ConnDegraded:
		st.noteLocked(vigil.KindReconnected, now)
	}
	replayed := sc.replayedLocked(now)
	if st.lastFrom.known() && !replayed {
		switch {
		case st.lastFrom.both(here):
			st.noteLocked(vigil.KindAddressBrowser, now)
		case st.lastFrom.address != here.address:
			st.noteLocked(vigil.KindAddress, now)
		case st.lastFrom.browser != here.browser: // a device after another, or an update: no more than a note
			st.emitLocked(st.ownSignal(vigil.KindConnected, now, protocol.Encode(map[string]bool{"browser": true})), nil)
		}
	}
	st.lastFrom = here
}

// replayedLocked notes a token that came before from elsewhere. Each socket is looked at once.
func (sc *studentConn) replayedLocked(now time.Time) bool {
	st, here := sc.st, fromOf(sc.Conn)
	claims := sc.Claims()
	id := claims.ID
	if id == "" {
		return false
	}
	claims.ID = "" // nobody else looks at it, and the next token has another one
	token := maphash.String(st.h.seed, id)
	i := slices.IndexFunc(st.tokens, func(u use) bool { return u.token == token })
	if i < 0 {
		st.tokens = lists.Newest(append(st.tokens, use{token, here}), maxTokens)
		return false
	}
	if st.tokens[i].from.both(here) {
		st.noteLocked(vigil.KindTokenReplay, now)
		return true
	}
	return false
}

// oustLocked closes an older socket and remembers it, if it was alive, until the newer
// one has said whose it is.
func (st *student) oustLocked(old *socket.Conn, now time.Time) {
	sc, ok := old.Peer().(*studentConn)
	if !ok || !sc.owned || old.Closed() == protocol.CloseSuperseded {
		return
	}
	if st.owner == old {
		sc.leaveOpenLocked(now)
	}
	if !sc.bye && st.owner == old && st.presence.Connection == vigil.ConnOnline {
		st.ousted = lists.Newest(append(st.ousted, oust{sc.epoch, sc.stream, fromOf(old), now}), maxOusted)
	}
	old.Close(protocol.CloseSuperseded, "")
}

// outdo closes this node's sockets because the session has a newer connection elsewhere,
// since a time. With a claim, the newer one has said whose it is.
func (st *student) outdo(epoch int64, since time.Time, c *claim) {
	now := st.h.now()
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if c != nil {
		st.judgeLocked(epoch, *c, now)
		return
	}
	if epoch <= st.presence.Epoch {
		return
	}
	st.lookBackLocked(now)
	for _, old := range st.conns {
		st.oustLocked(old, now)
	}
	st.owner = nil
	st.h.turns.End(st.platform.Value(), st.id, instant.Earlier(since, now))
	if st.presence.Connection == vigil.ConnLost { // the other node may not have known it
		st.closeGap(since)
	}
	st.presence = vigil.Presence{Connection: vigil.ConnSuperseded, Since: now, Heard: st.presence.Heard, Epoch: epoch}
	st.reachable.Store(false)
	st.stopTimerLocked()
}

// judgeLocked compares a newer connection with the sockets that it put out while they
// were alive: another outbox, or another address and browser, at the same time is a
// second session.
func (st *student) judgeLocked(epoch int64, c claim, now time.Time) {
	second := false
	st.ousted = slices.DeleteFunc(st.ousted, func(o oust) bool {
		if o.epoch >= epoch {
			return false
		}
		if now.Sub(o.at) < oustFor && (o.stream != c.Stream || o.from.both(from{c.Address, c.Browser})) && o.stream != "" {
			second = true
		}
		return true
	})
	if second {
		st.noteLocked(vigil.KindSecondSession, now)
	}
}

// noteLocked makes a signal of the server's own and shows and stores it like any other.
func (st *student) noteLocked(kind vigil.Kind, now time.Time) {
	st.emitLocked(st.ownSignal(kind, now, nil), nil)
}

func (st *student) ownSignal(kind vigil.Kind, now time.Time, data json.RawMessage) vigil.Signal {
	s := vigil.Signal{
		SessionID: st.id, ExamID: st.room.exam, Stream: vigil.ServerStreamPrefix + st.h.boot, Seq: st.h.serverSeq.Add(1),
		Kind: kind, At: now, Received: now, Data: data,
	}
	s.Severity = s.Rate(0)
	s.Incident = s.Severity >= st.room.Policy().Attention
	return s
}

// emitLocked shows a signal to the proctors and hands it to the writer. It is false when
// the writer is full: then the signal was neither shown nor taken.
func (st *student) emitLocked(s vigil.Signal, c *socket.Conn) bool {
	if !st.h.writer.put(entry{signal: s, st: st, conn: c}) {
		return false
	}
	st.storing++
	st.room.Publish(dashboard.SignalDelta(s))
	return true
}

// Allowed checks that the student may be here.
func (sc *studentConn) Allowed(ctx context.Context) error {
	s, err := sc.st.h.store.Session(ctx, sc.st.id)
	if err != nil {
		return err
	}
	claims := *sc.Claims()
	if err := mayStudent(claims, s.Settled(sc.st.room.Policy(), sc.st.h.now())); err != nil {
		return err
	}
	if sc.st.h.cfg.Allow != nil {
		return sc.st.h.cfg.Allow(ctx, claims, "")
	}
	return nil
}

// mayStudent checks a student's claims against the session.
func mayStudent(c socket.Claims, s vigil.Session) error {
	switch {
	case c.Role != vigil.RoleStudent || c.Session != s.ID || c.Exam != "" && c.Exam != s.ExamID:
		return vigil.Errorf(vigil.CodeForbidden, "This connection belongs to another attempt.")
	case socket.SubjectUser(c.Subject) != s.UserID:
		return vigil.Errorf(vigil.CodeForbidden, "This attempt is someone else's.")
	case s.State.Ended():
		return session.ErrEnded
	}
	return nil
}

func (sc *studentConn) Heard(now time.Time) {
	st := sc.st
	st.mu.Lock()
	if st.owner != sc.Conn {
		st.mu.Unlock()
		return
	}
	st.presence.Heard = now
	steady := st.presence.Connection == vigil.ConnOnline
	if len(st.guests) > 0 {
		st.meetLocked(now)
	}
	st.mu.Unlock()
	if !steady {
		sc.step(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.Hear(now) })
	}
}

func (sc *studentConn) Missed(now time.Time, n int) {
	miss := func(at time.Time) {
		sc.step(at, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			if p.Heard.After(now) {
				return p, vigil.GapChange{} // heard while the store was asked
			}
			return p.Miss(at, sc.st.h.cfg.Liveness)
		})
	}
	switch {
	case n >= 3: // lost already
	case n == 2:
		sc.st.h.tasks.Go(func() { // it is the pings' goroutine that calls
			if !sc.st.elsewhere() {
				miss(sc.st.h.now())
			}
		})
	default:
		miss(now)
	}
}

// step moves the presence, if this socket owns the session.
func (sc *studentConn) step(now time.Time, f func(vigil.Presence) (vigil.Presence, vigil.GapChange)) {
	st := sc.st
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.owner == sc.Conn {
		st.stepLocked(now, f)
	}
}

func (sc *studentConn) Overflow() { sc.Close(protocol.CloseSlow, "") }

func (sc *studentConn) Idle() {}

// Due stores that the time of a session is over while its student is still connected.
func (sc *studentConn) Due(now time.Time) {
	sc.lookForHole(now)
	sc.ask(now)
	sc.nextReceipt(now)
	if now.Sub(sc.looked) >= dueEvery*sc.st.h.cfg.Liveness.PingEvery {
		sc.looked = now
		sc.lookForEnd(now)
	}
}

// dueEvery is after how many pings it is looked whether a session's time is up: that has
// two minutes of grace anyhow.
const dueEvery = 3

// lookForEnd stores that a session's time is up. It copies whole sessions, which the stack of
// a timer would have to grow for at each ping.
func (sc *studentConn) lookForEnd(now time.Time) {
	st := sc.st
	st.mu.Lock()
	l := st.life
	heard := st.presence.Heard
	if st.owner == sc.Conn {
		st.lookBackLocked(now)
	}
	st.mu.Unlock()
	if l.state.Ended() {
		return
	}
	s := l.session()
	s.Presence.Heard = heard
	if s.Settled(st.room.Policy(), now).State == l.state {
		return
	}
	sc.Do(2, func(ctx context.Context) {
		if _, err := sc.st.h.sessions.Settle(ctx, st.id); err != nil {
			sc.st.h.log.Warn("session whose time is up not ended", "session", st.id, "error", err)
		}
	})
}

func (sc *studentConn) Gone(now time.Time, code websocket.StatusCode) {
	st := sc.st
	st.used.Store(now.UnixMilli())
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if sc.hello != nil { // it was opened
		sc.hello.Stop()
		sc.visitedLocked(now)
	}
	st.conns = slices.DeleteFunc(st.conns, func(c *socket.Conn) bool { return c == sc.Conn })
	if st.owner != sc.Conn {
		return
	}
	st.lookBackLocked(now) // the next page may be another node's
	sc.leaveOpenLocked(now)
	st.owner = nil
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		switch {
		case code == protocol.CloseEnded:
			p, g := p.Hear(now)
			return p.Bye(now, vigil.ByeFinished, false), g
		case code == protocol.CloseDrain, code == protocol.CloseUnavailable, code == protocol.CloseToken, code == protocol.CloseForbidden, code == 0 && st.h.draining.Load():
			return p.Drop(now, vigil.CauseServer), vigil.GapChange{}
		}
		return p.Drop(now, vigil.CauseStudent), vigil.GapChange{} // after a goodbye this changes nothing
	})
	if s := st.life.session(); s.State.Ended() { // while the socket was being closed for another reason
		st.endedLocked(now, session.Over(st.room.Policy(), s))
		sc.lookAtEnd()
	}
	st.armLocked(now)
}
