package realtime

import (
	"context"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// lastChat reads the newest lines, oldest first.
func (n *node) lastChat(ctx context.Context, session string) ([]protocol.ChatDown, error) {
	var out []protocol.ChatDown
	for l, err := range vigil.EachOf(ctx, n.store.ChatOfSession, session) {
		if err != nil {
			return nil, err
		}
		out = lists.Newest(append(out, protocol.ChatOf(l)), maxWelcomeChat)
	}
	return newest(out, maxWelcomeText), nil
}

// StoredLine implements dashboard.Live: it reads one line. An id that comes twice may come with another text.
func (n *node) StoredLine(ctx context.Context, session, id string) (protocol.ChatDown, error) {
	for l, err := range vigil.EachOf(ctx, n.store.ChatOfSession, session) {
		if err != nil {
			return protocol.ChatDown{}, err
		}
		if l.ID == id {
			return protocol.ChatOf(l), nil
		}
	}
	return protocol.ChatDown{}, vigil.Errorf(vigil.CodeNotFound, "There is no such line.")
}

// newest keeps the newest lines that fit into a number of bytes.
func newest(lines []protocol.ChatDown, budget int) []protocol.ChatDown {
	i := len(lines)
	for ; i > 0; i-- {
		if budget -= len(protocol.Encode(lines[i-1])); budget < 0 {
			break
		}
	}
	return lines[i:]
}

// unseen reads the commands that the student has yet to see, oldest first.
func (n *node) unseen(ctx context.Context, id string) ([]vigil.Command, error) {
	var out []vigil.Command
	for c, err := range vigil.EachOf(ctx, n.store.CommandsOfSession, id) {
		if err != nil {
			return nil, err
		}
		if session.ForStudent(c) && (c.Stage == vigil.StageQueued || c.Stage == vigil.StageDelivered) {
			out = lists.Newest(append(out, c), maxWelcomeCommands)
		}
	}
	return out, nil
}

// Bounds of what a welcome holds.
const (
	maxWelcomeChat     = 50
	maxWelcomeCommands = 50
	maxWelcomeText     = 24 << 10 // bytes of chat, and of commands, as JSON
)

// welcome is the answer to the hello: what the student must know, and the commands not seen
// yet. It is read after the socket owns the session, so that what comes meanwhile follows it.
func (sc *studentConn) welcome(ctx context.Context) error {
	st := sc.st
	now := sc.st.n.now()
	ctx, cancel := context.WithTimeout(ctx, sc.st.n.cfg.WriteWait)
	defer cancel()
	s, err := sc.st.n.store.Session(ctx, st.id)
	if err != nil {
		return err
	}
	exam := *st.room.Exam()
	commands, err := sc.st.n.unseen(ctx, st.id)
	if err != nil {
		return err
	}
	chat, err := sc.st.n.lastChat(ctx, st.id)
	if err != nil {
		return err
	}
	if err := sc.lookAtNext(ctx); err != nil {
		return err
	}
	st.mu.Lock()
	st.learnLocked(s)
	st.learnMonitorLocked(s.Monitor)
	s = st.life.session()
	s.Presence = st.presence // who is here has not been unheard of for days
	hand := !st.tally.Hand.IsZero()
	st.mu.Unlock()
	version := s.Version // what time has made of the session is shown before it is stored
	s = s.Settled(exam.Policy, now)
	w := protocol.Welcome{
		T: protocol.TypeWelcome, Role: vigil.RoleStudent, Session: st.id, Exam: protocol.ExamOf(exam), Now: protocol.Millis(now), Epoch: sc.epoch,
		State: s.State, Version: version, End: protocol.Millis(s.Deadline(exam.Policy)), Left: protocol.PausedLeft(s, exam.Policy, now),
		Reason: s.Reason, Hand: hand, Ping: sc.st.n.cfg.Liveness.PingEvery.Milliseconds(), Chat: chat,
	}
	budget := maxWelcomeText
	var rest [][]byte
	for _, c := range commands {
		down := protocol.CommandOf(c)
		frame := protocol.Encode(down)
		if budget -= len(frame); budget >= 0 {
			w.Commands = append(w.Commands, down)
		} else { // too much for one message
			rest = append(rest, frame)
		}
	}
	sc.Welcome(socket.Item{Frame: protocol.Encode(w), Sent: func() {
		for _, c := range commands {
			sc.st.delivering(c.ID)()
		}
	}})
	for _, frame := range rest {
		sc.Send(frame)
	}
	sc.mayAsk()
	if _, saving := sc.st.n.writer.State(); !saving {
		sc.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving}))
	}
	if s.State.Ended() {
		sc.Close(protocol.CloseEnded, "")
	}
	return nil
}
