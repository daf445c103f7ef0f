package realtime

import (
	"context"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Sockets that only test. The check-in tries the way before anybody agrees to anything, and it
// may be open beside the attempt: by the browser's Back, in a second tab, on another device. Such
// a socket says no hello, or is none of the quiz page's: it is welcomed, may ask for the time, and
// is nobody's connection. All that is taken from it is that somebody else has the attempt open,
// if the attempt's own connection answers after that.

const (
	maxGuests  = 8
	guestFor   = time.Minute      // within which the owner must answer
	guestAgain = 10 * time.Minute // after which one that was noted counts anew
)

// unclaimed welcomes a socket that says no hello, or has to know the time first: it is told how
// it is with the attempt. No hello for longer than that, and its line may be gone: it is closed,
// to come again.
func (sc *studentConn) unclaimed() {
	st := sc.st
	now := sc.st.n.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	if sc.owned || sc.tried || sc.Closed() != 0 {
		return
	}
	sc.tried = true
	sc.hello.Stop()
	sc.hello = time.AfterFunc(max(0, sc.st.n.cfg.HelloWait-now.Sub(sc.opened)), func() { sc.Close(protocol.CloseSilent, "no hello") })
	sc.visitedLocked(now)
	sc.Do(0, func(ctx context.Context) {
		if err := sc.trial(ctx); err != nil {
			sc.Refuse(err)
		}
	})
}

// trial is the welcome of a socket that does not own the session: nothing in it is anybody's to
// read who has not said hello, and nothing counts as delivered.
func (sc *studentConn) trial(ctx context.Context) error {
	st := sc.st
	ctx, cancel := context.WithTimeout(ctx, sc.st.n.cfg.WriteWait)
	defer cancel()
	s, err := sc.st.n.store.Session(ctx, st.id)
	if err != nil {
		return err
	}
	st.mu.Lock()
	st.learnLocked(s)
	if !sc.owned {
		stored := s.Presence // for a hello that comes late
		sc.stored = &stored
	}
	s = st.life.session()
	st.mu.Unlock()
	now := sc.st.n.now()
	exam := *st.room.Exam()
	version := s.Version
	s = s.Settled(exam.Policy, now)
	sc.Welcome(socket.Item{Frame: protocol.Encode(protocol.Welcome{
		T: protocol.TypeWelcome, Role: vigil.RoleStudent, Session: st.id, Exam: protocol.ExamOf(exam), Now: protocol.Millis(now),
		State: s.State, Version: version, End: protocol.Millis(s.Deadline(exam.Policy)), Left: protocol.PausedLeft(s, exam.Policy, now),
		Ping: sc.st.n.cfg.Liveness.PingEvery.Milliseconds(),
	})})
	if s.State.Ended() {
		sc.Close(protocol.CloseEnded, "")
	}
	return nil
}

// visitedLocked notes that the socket was here, unless it owns the session. st.mu is held.
func (sc *studentConn) visitedLocked(now time.Time) {
	if sc.owned || sc.visited {
		return
	}
	sc.visited = true
	sc.replayedLocked(now)
	c := newcomer{Address: sc.Address(), Browser: sc.Browser(), Guest: sc.Claims().Guest}
	sc.st.visitedLocked(c, now)
	sc.st.n.publish(sc.st.room.exam, event{Kind: eventGuest, Session: sc.st.id, Claim: &c, At: protocol.Millis(now)})
}

// visited takes in that somebody was at another node without owning the session.
func (st *student) visited(c newcomer, at time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.visitedLocked(c, at)
}

func (st *student) visitedLocked(c newcomer, now time.Time) {
	there := st.presence.Connection == vigil.ConnOnline || st.presence.Connection == vigil.ConnNavigating
	if !there || st.watched == "" || !st.life.state.Started() || st.life.state.Ended() {
		return // nobody else is there
	}
	f := from{c.Address, c.Browser}
	i := slices.IndexFunc(st.guests, func(g guest) bool { return g.from == f && g.kind == c.Guest })
	if i < 0 {
		st.guests = lists.Newest(append(st.guests, guest{from: f, kind: c.Guest, owner: st.watched, at: now}), maxGuests)
		return
	}
	g := &st.guests[i]
	if g.noted && now.Sub(g.at) > guestAgain {
		g.noted = false
	}
	g.at, g.owner = now, st.watched
}

// meetLocked judges who was here without owning the session, now that the owner has answered: it
// is there at the same time. Only another browser is somebody else; by its visit where that is
// known, and else by how it calls itself, because an address may change from one connection to
// the next, and two tabs of a browser are one person's. st.mu is held.
func (st *student) meetLocked(now time.Time) {
	if st.presence.Connection != vigil.ConnOnline {
		return // it has said goodbye
	}
	second := false
	for i := range st.guests {
		g := &st.guests[i]
		if g.noted || !now.After(g.at) || now.Sub(g.at) > guestFor {
			continue
		}
		other := g.kind == vigil.GuestOther || g.kind != vigil.GuestSame && g.from.browser != st.lastFrom.browser
		other = other && g.owner == st.watched // else who was there then may be the owner by now
		g.noted = other
		second = second || other
	}
	if second {
		st.noteLocked(vigil.KindSecondSession, now)
	}
	st.guests = slices.DeleteFunc(st.guests, func(g guest) bool {
		return !g.noted && now.After(g.at) || g.noted && now.Sub(g.at) > guestAgain
	})
}
