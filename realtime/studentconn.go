package realtime

import (
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/socket"
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

// asking is what a socket's monitor was asked, and said. Guarded by st.mu.
type asking struct {
	can    bool      // it said that it can be asked
	ready  bool      // it was welcomed: what is asked is not kept back by us
	asked  int64     // the last question's number
	open   time.Time // when that was asked; zero: it is answered, or counts as missed
	next   time.Time // when it is asked again
	hidden bool      // the page was, by its last word
	doc    string    // the page; "": it has said nothing
	totals vigil.Totals
	base   vigil.Totals  // from which hides are counted
	from   time.Time     // when that was told
	hides  time.Duration // by signals that came since
	given  int64         // of the last answer
	told   time.Time     // when that was
	shown  time.Duration // how long the page was visible by then
	veiled bool          // it was hidden since
	apart  bool          // another page of the outbox is open: its signals come here, too
}

// mayOwnLocked tells whether the socket's page may be the session's connection: not one of ours
// where the attempt runs in a page of the platform's that has the monitor. st.mu is held.
func (sc *studentConn) mayOwnLocked() bool {
	l := sc.st.life
	return sc.Claims().Guest == "" || !l.plugin || !l.state.Started()
}

// state is the session as last known.
func (sc *studentConn) state() vigil.Session {
	sc.st.mu.Lock()
	defer sc.st.mu.Unlock()
	return sc.st.life.session()
}

// arrival is what a hello brings beside its stamp: when the socket was open, and since when
// the student had been away.
type arrival struct {
	at    time.Time
	from  time.Time // zero: nobody was lost
	epoch int64     // the socket's
}
