package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// Frame takes one frame of a student. Each is checked anew: the socket must own the
// session, and the session must not have ended.
func (sc *studentConn) Frame(f *protocol.Up) {
	if sc.Closed() != 0 {
		return // superseded, say: the outbox sends it again on the newer socket
	}
	if sc.stream == "" {
		switch f.T {
		case protocol.TypeTime:
			sc.unclaimed() // a welcome comes first
		case protocol.TypeSignal, protocol.TypeChat, protocol.TypeSeen, protocol.TypeAlive:
			sc.SendError(f, vigil.Invalid("t", "The first frame must be a hello."), 0)
			return
		}
	}
	switch f.T {
	case protocol.TypeHello:
		sc.sayHello(f)
	case protocol.TypeSignal:
		sc.signal(f)
	case protocol.TypeChat:
		sc.chat(f)
	case protocol.TypeSeen:
		sc.seen(f)
	case protocol.TypeAlive:
		sc.alive(f)
	case protocol.TypeBye:
		sc.sayBye(f)
	case protocol.TypeTime:
		sc.sendTime(f)
	case protocol.TypeSubscribe, protocol.TypeCommand, protocol.TypeLostTime:
		sc.SendError(f, vigil.Errorf(vigil.CodeForbidden, "Only proctors may do this."), 0)
	default:
		sc.SendError(f, vigil.Invalid("t", "There is no such type of frame."), 0)
	}
}

// noteChat notes for the proctors that a message of the student was refused for good, which the
// student is told: they wait for an answer. Once a minute at most, and not what was refused.
func (sc *studentConn) noteChat(err error) {
	st := sc.st
	now := sc.st.n.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.life.state.Ended() || now.Sub(sc.noted) < time.Minute {
		return
	}
	sc.noted = now
	st.emitLocked(st.ownSignal(vigil.KindRefused, now, refusedData("chat", err)), nil)
}

// chat stores a student's line, acknowledges it and shows it to the proctors.
func (sc *studentConn) chat(f *protocol.Up) {
	text, err := vigil.CleanText("text", f.Text, vigil.MaxChat)
	switch {
	case !vigil.ValidID(f.ID):
		err = vigil.Invalid("id", "An id has 8 to 64 letters, digits, - or _.")
	case f.Session != "" && f.Session != sc.st.id:
		err = vigil.Errorf(vigil.CodeForbidden, "This is another attempt.")
	}
	if err != nil {
		sc.noteChat(err)
		sc.SendError(f, err, 0)
		return
	}
	ref := protocol.Up{ID: f.ID}
	sc.Later(&ref, func(ctx context.Context) error {
		st := sc.st
		s := sc.state()
		if s.State.Ended() {
			return session.ErrEnded
		}
		line := vigil.ChatLine{
			ID: ref.ID, SessionID: st.id, ExamID: st.room.exam, Text: text, At: sc.st.n.now(),
			From:   vigil.Actor{Role: vigil.RoleStudent, ID: sc.Claims().Subject, Name: s.Name},
			Urgent: s.State == vigil.StatePaused,
		}
		switch err := sc.st.n.store.AddChat(ctx, line); {
		case errors.Is(err, vigil.ErrExists): // came before; whoever stored it may not have heard that, and told nobody
			line, err := sc.st.n.StoredLine(ctx, st.id, ref.ID)
			if err != nil {
				return err
			}
			st.room.Publish(dashboard.ChatDelta(st.id, line))
			st.mu.Lock()
			st.recountLaterLocked()
			st.mu.Unlock()
		case err != nil:
			return err
		default:
			st.room.Publish(dashboard.ChatDelta(st.id, protocol.ChatOf(line)))
			st.mu.Lock()
			st.tally.Unread++
			st.tallyGen++
			st.recountLaterLocked() // who read the counts a moment ago may have found the line
			st.room.changed(st)
			st.mu.Unlock()
		}
		sc.Send(protocol.Encode(protocol.Ack{T: protocol.TypeAck, ID: ref.ID}))
		return nil
	})
}

// seen records that the student saw a command.
func (sc *studentConn) seen(f *protocol.Up) {
	if !vigil.ValidID(f.ID) {
		sc.SendError(f, vigil.Invalid("id", "An id has 8 to 64 letters, digits, - or _."), 0)
		return
	}
	ref := protocol.Up{ID: f.ID}
	sc.Later(&ref, func(ctx context.Context) error {
		return sc.st.n.sessions.Advance(ctx, sc.st.id, ref.ID, vigil.StageSeen)
	})
}

func (sc *studentConn) sayBye(f *protocol.Up) {
	reason := vigil.ByeReason(f.Reason)
	switch reason {
	case vigil.ByeNavigating, vigil.ByeClosing, vigil.ByeFinished:
	default:
		sc.SendError(f, vigil.Invalid("reason", "There is no such reason."), 0)
		return
	}
	now := sc.st.n.now()
	st := sc.st
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	sc.bye = true
	if st.owner == sc.Conn {
		if reason == vigil.ByeNavigating {
			sc.st.n.turns.Begin(st.platform.Value(), st.id, now)
		}
		running := st.life.state.Started() && !st.life.state.Ended()
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.Bye(now, reason, running), vigil.GapChange{}
		})
	}
}

// sendTime answers with the server's time and the end of the attempt.
func (sc *studentConn) sendTime(f *protocol.Up) {
	now := sc.st.n.now()
	t := protocol.TimeOf(sc.state(), sc.st.room.Policy(), now)
	t.At = f.At
	sc.Send(protocol.Encode(t))
}
