package realtime

import (
	"context"
	"slices"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Start waits for the hello: it, and not the socket, makes this the session's connection.
func (sc *studentConn) Start(context.Context) error {
	st := sc.st
	sc.opened = sc.st.n.now()
	st.used.Store(sc.opened.UnixMilli())
	st.mu.Lock()
	defer st.mu.Unlock()
	st.conns = append(st.conns, sc.Conn)
	sc.hello = time.AfterFunc(sc.st.n.cfg.TrialWait, func() {
		if sc.st.n.tasks.Begin() {
			defer sc.st.n.tasks.Done()
			sc.unclaimed()
		}
	})
	return nil
}

// Allowed checks that the student may be here.
func (sc *studentConn) Allowed(ctx context.Context) error {
	s, err := sc.st.n.store.Session(ctx, sc.st.id)
	if err != nil {
		return err
	}
	claims := *sc.Claims()
	if err := mayStudent(claims, s.Settled(sc.st.room.Policy(), sc.st.n.now())); err != nil {
		return err
	}
	if sc.st.n.cfg.Allow != nil {
		return sc.st.n.cfg.Allow(ctx, claims, "")
	}
	return nil
}

// mayStudent checks a student's claims against the session.
func mayStudent(c vigil.SocketClaims, s vigil.Session) error {
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
			return p.Miss(at, sc.st.n.cfg.Liveness)
		})
	}
	switch {
	case n >= 3: // lost already
	case n == 2:
		sc.st.n.tasks.Go(func() { // it is the pings' goroutine that calls
			if !sc.st.elsewhere() {
				miss(sc.st.n.now())
			}
		})
	default:
		miss(now)
	}
}

func (sc *studentConn) Overflow() { sc.Close(protocol.CloseSlow, "") }

func (sc *studentConn) Idle() {}

// Due stores that the time of a session is over while its student is still connected.
func (sc *studentConn) Due(now time.Time) {
	sc.lookForHole(now)
	sc.ask(now)
	sc.nextReceipt(now)
	if now.Sub(sc.looked) >= dueEvery*sc.st.n.cfg.Liveness.PingEvery {
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
		if _, err := sc.st.n.sessions.Settle(ctx, st.id); err != nil {
			sc.st.n.log.Warn("session whose time is up not ended", "session", st.id, "error", err)
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
		case code == protocol.CloseDrain, code == protocol.CloseUnavailable, code == protocol.CloseToken, code == protocol.CloseForbidden, code == 0 && st.n.draining.Load():
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
