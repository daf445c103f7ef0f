package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/signals"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/socket"
)

// student is a session on this node: from its first socket here until nothing of it is
// left to judge or to store.
type student struct {
	n        *node
	id       string // the session's
	room     *room
	platform unique.Handle[string] // its id: most students have one of a few
	who      atomic.Uint64         // Hub.identity, which a page stamp must have
	jobs     tasks.Queue           // what is stored of it, in order

	reachable atomic.Bool // presence.Reachable, for counting
	used      atomic.Int64

	mu           lockorder.Mutex[lockorder.Student]
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
	tokens       []use        // newest last, few
	superseded   []superseded // sockets that gave way a moment ago
	streams      []stream     // newest last, few
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

// superseded is a socket that gave way to a newer one while it was alive and had not said
// goodbye: a page turn, or a second device. The newer one's hello tells which.
type superseded struct {
	epoch  int64
	stream string
	from   from
	at     time.Time
}

// stream is what is remembered of a browser's outbox.
type stream struct {
	id    string
	noted bool // a hole was noted
}

// Bounds of what is remembered of a session.
const (
	maxHides      = 16
	maxTokens     = 16
	maxSuperseded = 8
	maxStreams    = 16
	supersededFor = 30 * time.Second

	unansweredFor = 10 * time.Minute // after the last socket, how long it is known what a monitor did not answer
)

func byID(a, b *student) int { return strings.Compare(a.id, b.id) }

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

// noteLocked makes a signal of the server's own and shows and stores it like any other.
func (st *student) noteLocked(kind vigil.Kind, now time.Time) {
	st.emitLocked(st.ownSignal(kind, now, nil), nil)
}

func (st *student) ownSignal(kind vigil.Kind, now time.Time, data json.RawMessage) vigil.Signal {
	s := vigil.Signal{
		SessionID: st.id, ExamID: st.room.exam, Stream: vigil.ServerStreamPrefix + st.n.boot, Seq: st.n.serverSeq.Add(1),
		Kind: kind, At: now, Received: now, Data: data,
	}
	s.Severity = s.Rate(0)
	s.Incident = s.Severity >= st.room.Policy().Attention
	return s
}

// emitLocked shows a signal to the proctors and hands it to the writer. It is false when
// the writer is full: then the signal was neither shown nor taken.
func (st *student) emitLocked(s vigil.Signal, c *socket.Conn) bool {
	if !st.n.writer.Put(signals.Entry{Signal: s, Source: st, Conn: c}) {
		return false
	}
	st.storing++
	st.room.Publish(dashboard.SignalDelta(s))
	return true
}

// storeLocked hands a signal of the server's own to the writer. It is shown when it turns out to be new.
func (st *student) storeLocked(s vigil.Signal) {
	if st.n.writer.Put(signals.Entry{Signal: s, Source: st, Quiet: true}) {
		st.storing++
	}
}

// vouched is what receipts say of the page that a student has open: the one whose stamp came
// with the last hello.
type vouched struct {
	receipt Receipt
	asked   bool  // the stamp asks for them
	epoch   int64 // of the socket that said hello
}

// guest is where a socket came from that did not own the session.
type guest struct {
	from  from
	kind  vigil.Guest
	owner string    // the stream of the session's connection then
	at    time.Time // when it was last there
	noted bool      // as a second session
}

// pageTotals is what a page last told, on whatever socket.
type pageTotals struct {
	doc    string
	totals vigil.Totals
}

// crossed is an arrival from another node that had not heard a goodbye: it may call the student lost
// before it hears of the arrival, and does not know the page that explains the absence.
type crossed struct {
	at   time.Time   // zero: there is none
	from time.Time   // when the absence began, at the earliest
	page vigil.Fault // from the request for the page to its answer; zero: no stamp came
}

// moved is a session that came here from another node, which may turn out to be gone.
type moved struct {
	from   string
	at     time.Time
	online bool // as that node last said
}

// readAgain reads the session when the store answers; an error has been dealt with.
func (st *student) readAgain(ctx context.Context) (s vigil.Session, err error) {
	err = st.n.reread(ctx, "session", func(ctx context.Context) error {
		s, err = st.n.store.Session(ctx, st.id)
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
		st.n.log.Error("a session cannot be read", "session", st.id, "error", err)
	}
	return s, err
}

// recountLaterLocked has the counts read from the store soon: another node may have counted.
func (st *student) recountLaterLocked() {
	if st.stale {
		return
	}
	st.stale = true
	st.room.recountLater(st)
}
