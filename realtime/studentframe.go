package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
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

// state is the session as last known.
func (sc *studentConn) state() vigil.Session {
	sc.st.mu.Lock()
	defer sc.st.mu.Unlock()
	return sc.st.life.session()
}

// maxPage bounds the page number that a hello may tell.
const maxPage = 10_000

func (sc *studentConn) sayHello(f *protocol.Up) {
	switch {
	case !vigil.ValidStream(f.Stream):
		sc.SendError(f, vigil.Invalid("stream", "A stream id has 16 to %d letters, digits, - or _.", vigil.MaxStreamID), 0)
		return
	case f.Next < 1 || f.Next > vigil.MaxSeq+1:
		sc.SendError(f, vigil.Invalid("next", "Numbers run from 1 to 2^53-1."), 0)
		return
	case f.Page < 0 || f.Page > maxPage:
		sc.SendError(f, vigil.Invalid("page", "There is no such page."), 0)
		return
	case sc.stream != "" && sc.stream != f.Stream:
		sc.SendError(f, vigil.Errorf(vigil.CodeConflict, "A socket has one stream."), 0)
		return
	}
	st := sc.st
	now := sc.st.h.now()
	st.room.Order.RLock()
	st.mu.Lock()
	first := sc.stream == ""
	was, beside := st.presence, st.owner != nil && st.presence.Connection == vigil.ConnOnline
	switch {
	case first && !sc.mayOwnLocked():
		st.mu.Unlock()
		st.room.Order.RUnlock()
		sc.unclaimed()
		return
	case first && !sc.attachLocked(now):
		st.mu.Unlock()
		st.room.Order.RUnlock()
		sc.Refuse(vigil.Errorf(vigil.CodeConflict, "A newer connection has the attempt."))
		return
	}
	sc.stream, st.watched = f.Stream, f.Stream
	if f.Page > 0 && f.Page != st.page && st.owner == sc.Conn {
		st.page = f.Page
		st.tellPresenceLocked()
	}
	if first {
		sc.vouches = sc.reports(f)
		if st.owner == sc.Conn && sc.vouches && st.unanswered < missedMost { // else its first answer counts
			st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) { return p.Report(now), vigil.GapChange{} })
			st.watchesLocked()
		}
		sc.next = f.Next
		sc.again = f.Next == 1 && was.Connection != vigil.ConnNever && was.Connection != ""
		sc.asking = asking{can: slices.Contains(f.Can, capAlive), next: now.Add(sc.st.h.cfg.AliveEvery / 6), apart: beside}
		c := claim{Stream: f.Stream, Address: sc.Address(), Browser: sc.Browser()}
		st.judgeLocked(sc.epoch, c, now)
		if !slices.ContainsFunc(st.streams, func(s stream) bool { return s.id == f.Stream }) {
			st.streams = lists.Newest(append(st.streams, stream{id: f.Stream}), maxStreams)
		}
		sc.st.h.publish(st.room.exam, event{Kind: eventEpoch, Session: st.id, Epoch: sc.epoch, Claim: &c})
		sc.hello.Stop()
	}
	st.mu.Unlock()
	st.room.Order.RUnlock()
	if first {
		sc.Do(0, func(ctx context.Context) {
			if err := sc.welcome(ctx); err != nil {
				sc.Refuse(err)
			}
		})
	}
	if f.Stamp != "" && len(f.Stamp) <= maxStamp && sc.st.h.cfg.Pages != nil {
		stamp, a := f.Stamp, arrival{at: sc.arrived, from: sc.away, epoch: sc.epoch}
		sc.away = time.Time{}
		st.jobs.Add(sc.st.h.tasks, sc.st.h.cfg.Limits.Jobs, func(ctx context.Context) {
			if st.takeStamp(ctx, stamp, a) {
				sc.firstReceipt(ctx)
			}
		})
	}
	if first && f.Next > 1 {
		sc.resent.Store(now.UnixMilli())
	}
}

// reports tells whether a hello is the quiz page's monitor's, which reports what happens there. Where
// our plugin is not in the quiz page it is the monitor's window.
func (sc *studentConn) reports(f *protocol.Up) bool {
	return !sc.st.life.plugin || f.Page > 0 || f.Stamp != ""
}

// lookForHole looks whether numbers below the hello's next are missing, when none of them
// has come for a while: a long outbox takes as long as its rate and its network allow, so
// the resend is over when it is quiet, not when a time has passed since the hello. Called
// about once per ping.
func (sc *studentConn) lookForHole(now time.Time) {
	last := sc.resent.Load()
	if last == 0 || now.UnixMilli()-last < sc.st.h.cfg.HoleWait.Milliseconds() {
		return
	}
	sc.st.mu.Lock()
	id, busy := sc.stream, sc.st.storing > 0
	sc.st.mu.Unlock()
	if busy || !sc.resent.CompareAndSwap(last, 0) {
		return // still coming in
	}
	next := sc.next // written before resent
	if !sc.Do(sc.st.h.cfg.Limits.Jobs, func(ctx context.Context) { sc.st.findHole(ctx, id, next) }) {
		sc.resent.CompareAndSwap(0, last)
	}
}

// lookAtEnd looks for a hole after the attempt has ended and its socket is gone: there is no
// later connection that would tell. What was refused for now may be missing rightly.
func (sc *studentConn) lookAtEnd() {
	if sc.resent.Load() == 0 || sc.PutOff {
		return
	}
	st, id, next := sc.st, sc.stream, sc.next
	st.h.tasks.Go(func() {
		if !tasks.Sleep(st.h.ctx, st.h.cfg.HoleWait) { // what came is being stored
			return
		}
		st.mu.Lock()
		busy := st.storing > 0
		st.mu.Unlock()
		if !busy {
			st.findHole(st.h.ctx, id, next)
		}
	})
}

// findHole notes numbers that were given and never came, once for each stream. Of those that
// were refused for good it is stored that they were.
func (st *student) findHole(ctx context.Context, id string, next int64) {
	count, highest, err := st.h.store.StreamState(ctx, st.id, id)
	if err != nil {
		st.h.log.Warn("a stream cannot be counted", "session", st.id, "error", err)
		return
	}
	excused, err := st.restoredSince(ctx)
	if err != nil {
		st.h.log.Warn("a session cannot be read to judge what is missing of it", "session", st.id, "error", err)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	i := slices.IndexFunc(st.streams, func(s stream) bool { return s.id == id })
	if i < 0 || st.streams[i].noted {
		return
	}
	missing := max(highest, next-1) - count
	if missing <= 0 {
		return
	}
	st.streams[i].noted = true
	own := st.ownSignal(vigil.KindHole, st.h.now(), protocol.Encode(hole{Missing: missing, Restored: excused}))
	if excused {
		own.Severity, own.Incident = 0, false
	}
	own.Stream, own.Seq = vigil.ServerStreamPrefix+"hole:"+id, 1 // once, whatever node notes it
	if st.h.writer.put(entry{signal: own, st: st, quiet: true}) {
		st.storing++
	}
}

// hole is the data of a signal about numbers that never came.
type hole struct {
	Missing  int64 `json:"missing"`
	Restored bool  `json:"restored,omitempty"` // the store was brought back from a backup since, and may have lost them
}

// restoredSince tells whether the store was brought back from a backup since the session began:
// signals that were acknowledged may be lost, and their browser does not send them again.
func (st *student) restoredSince(ctx context.Context) (bool, error) {
	if st.h.restored.IsZero() {
		return false, nil
	}
	s, err := st.h.store.Session(ctx, st.id)
	return err == nil && s.Created.Before(st.h.restored), err
}

// drop refuses a signal for good. What is stored in its place says so: its number is
// missing rightly, whatever server is asked later. Of what the exam does not watch no more is
// kept than that.
func (sc *studentConn) drop(f *protocol.Up, err error) {
	st := sc.st
	st.mu.Lock()
	if f.Seq >= 1 && f.Seq <= vigil.MaxSeq && !st.life.state.Ended() {
		kind := f.Kind
		if !vigil.Kind(kind).Known() {
			kind = ""
		}
		s := st.ownSignal(vigil.KindRefused, sc.st.h.now(), refusedData(kind, err))
		s.Stream, s.Seq = sc.stream, f.Seq
		st.emitLocked(s, nil)
	}
	st.mu.Unlock()
	sc.SendError(f, err, 0)
}

// refusedData says what was refused for good, and why.
func refusedData(kind string, err error) json.RawMessage {
	data := map[string]string{"code": string(vigil.CodeOf(err))}
	if !errors.Is(err, vigil.ErrForbidden) {
		if kind != "" {
			data["kind"] = kind
		}
		if e, ok := errors.AsType[*vigil.Error](err); ok && e.Field != "" {
			data["field"] = e.Field
		}
	}
	return protocol.Encode(data)
}

// noteChat notes for the proctors that a message of the student was refused for good, which the
// student is told: they wait for an answer. Once a minute at most, and not what was refused.
func (sc *studentConn) noteChat(err error) {
	st := sc.st
	now := sc.st.h.now()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.life.state.Ended() || now.Sub(sc.noted) < time.Minute {
		return
	}
	sc.noted = now
	st.emitLocked(st.ownSignal(vigil.KindRefused, now, refusedData("chat", err)), nil)
}

// signal shows a signal to the proctors at once and hands it to the writer; the
// acknowledgement follows when it is stored.
func (sc *studentConn) signal(f *protocol.Up) {
	st := sc.st
	now := sc.st.h.now()
	switch high := max(sc.next, sc.high); {
	case f.Seq < high && sc.resent.Load() != 0:
		sc.resent.Store(now.UnixMilli())
	case f.Seq > high: // an outbox sends in order: those between were never sent, or were refused and come again
		sc.resent.Store(now.UnixMilli())
	}
	sc.high = max(sc.high, f.Seq+1)
	at, possible := vigil.PossibleTime(f.At)
	s := vigil.Signal{
		SessionID: st.id, ExamID: st.room.exam, Stream: sc.stream, Seq: f.Seq, Kind: vigil.Kind(f.Kind),
		At: at, Received: now, Data: f.Data,
	}
	s.Duration = vigil.PossibleDuration(f.Dur)
	if err := s.Validate(); err != nil {
		sc.drop(f, err)
		return
	}
	policy := st.room.Policy()
	if w := s.Kind.WatchOf(); w != "" && !policy.Watches(w) {
		sc.drop(f, vigil.Errorf(vigil.CodeForbidden, "This exam does not watch that."))
		return
	}
	s = s.Kept()
	s.Data = slices.Clone(s.Data)
	if s.Asleep() > 0 && sc.awake(f, s.Duration, now) {
		s = s.WithoutSleep()
	}

	st.mu.Lock()
	sc.signaled = now
	if st.life.state.Ended() {
		st.mu.Unlock()
		sc.drop(f, session.ErrEnded)
		return
	}
	s = s.Bounded(protocol.Moment(st.life.created))
	hid := s.At
	if !possible || s.Impossible(protocol.Moment(st.life.created)) {
		hid = now
	}
	s.Severity = s.Rate(st.hidesBeforeLocked(&s, hid))
	s.Incident = s.Severity >= policy.Attention
	taken := st.emitLocked(s, sc.Conn)
	if taken && s.Kind == vigil.KindHidden && s.Seq >= sc.next && sc.asking.doc != "" { // since its totals were told, at most
		sc.asking.hides += min(awake(s), max(0, now.Sub(sc.asking.from)-sc.asking.hides))
	}
	if taken && s.Kind == vigil.KindPageTurned && s.Seq >= sc.next { // not one that comes late
		st.turnLocked(s.Data)
	}
	st.mu.Unlock()
	if !taken {
		sc.PutOff = true
		sc.SendError(f, vigil.Errorf(vigil.CodeUnavailable, "Saving takes longer at the moment; this is sent again by itself."), time.Second)
	}
}

// awake tells that the computer cannot have slept through an absence that was noticed just now: this
// connection is older, and has answered all pings since. It says nothing of what comes late.
func (sc *studentConn) awake(f *protocol.Up, lasted time.Duration, now time.Time) bool {
	live := sc.st.h.cfg.Liveness
	return f.Seq >= sc.next && !sc.PutOff && lasted > 5*live.PingEvery && sc.opened.Before(now.Add(-lasted))
}

// awake is how long an absence lasted while its computer was awake, by what the signal says: the
// clock of a page's totals may stand still while it sleeps.
func awake(s vigil.Signal) time.Duration {
	var d struct {
		Asleep int64 `json:"asleep"`
	}
	if json.Unmarshal(s.Data, &d) != nil || d.Asleep <= 0 {
		return s.Duration
	}
	return max(0, s.Duration-time.Duration(min(d.Asleep, s.Duration.Milliseconds()))*time.Millisecond)
}

// hidesBeforeLocked counts how often the page was hidden within the window before this
// signal, of this moment, which is then one of them. A resend counts once.
func (st *student) hidesBeforeLocked(s *vigil.Signal, at time.Time) int {
	if s.Kind != vigil.KindHidden {
		return 0
	}
	n, known := 0, false
	for _, h := range st.hides {
		if h.stream == s.Stream && h.seq == s.Seq {
			known = true
			continue
		}
		if d := at.Sub(h.at); d >= 0 && d < vigil.RepeatWindow {
			n++
		}
	}
	if !known {
		st.hides = lists.Newest(append(st.hides, hide{s.Stream, s.Seq, at}), maxHides)
	}
	return n
}

// turnLocked takes the page's number from a page_turned signal.
func (st *student) turnLocked(data json.RawMessage) {
	var d struct {
		Page float64 `json:"page"`
	}
	if json.Unmarshal(data, &d) != nil || d.Page < 1 || d.Page > maxPage || int(d.Page) == st.page {
		return
	}
	st.page = int(d.Page)
	st.tellPresenceLocked()
}

// hand stores that the student's hand is up, or (zero) down. Who reads the counts before that is
// stored does not find it, so they are read once more behind it. st.mu is held.
func (st *student) hand(at time.Time) {
	st.tally.Hand = at
	st.tallyGen++
	st.stalesLocked()
	st.room.changed(st)
	st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) {
		err := st.h.retry(ctx, "hand", func(ctx context.Context) error { return st.h.store.SetHand(ctx, st.id, at) })
		if err != nil && ctx.Err() == nil {
			st.h.log.Error("a raised hand is not stored", "session", st.id, "error", err)
		}
	})
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
			ID: ref.ID, SessionID: st.id, ExamID: st.room.exam, Text: text, At: sc.st.h.now(),
			From:   vigil.Actor{Role: vigil.RoleStudent, ID: sc.Claims().Subject, Name: s.Name},
			Urgent: s.State == vigil.StatePaused,
		}
		switch err := sc.st.h.store.AddChat(ctx, line); {
		case errors.Is(err, vigil.ErrExists): // came before; whoever stored it may not have heard that, and told nobody
			line, err := sc.st.h.StoredLine(ctx, st.id, ref.ID)
			if err != nil {
				return err
			}
			st.room.Publish(dashboard.ChatDelta(st.id, line))
			st.mu.Lock()
			st.stalesLocked()
			st.mu.Unlock()
		case err != nil:
			return err
		default:
			st.room.Publish(dashboard.ChatDelta(st.id, protocol.ChatOf(line)))
			st.mu.Lock()
			st.tally.Unread++
			st.tallyGen++
			st.stalesLocked() // who read the counts a moment ago may have found the line
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
		return sc.st.h.sessions.Advance(ctx, sc.st.id, ref.ID, vigil.StageSeen)
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
	now := sc.st.h.now()
	st := sc.st
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	sc.bye = true
	if st.owner == sc.Conn {
		if reason == vigil.ByeNavigating {
			sc.st.h.turns.Begin(st.platform.Value(), st.id, now)
		}
		running := st.life.state.Started() && !st.life.state.Ended()
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.Bye(now, reason, running), vigil.GapChange{}
		})
	}
}

// sendTime answers with the server's time and the end of the attempt.
func (sc *studentConn) sendTime(f *protocol.Up) {
	now := sc.st.h.now()
	t := protocol.TimeOf(sc.state(), sc.st.room.Policy(), now)
	t.At = f.At
	sc.Send(protocol.Encode(t))
}

// welcome is the answer to the hello: what the student must know, and the commands not seen
// yet. It is read after the socket owns the session, so that what comes meanwhile follows it.
func (sc *studentConn) welcome(ctx context.Context) error {
	st := sc.st
	now := sc.st.h.now()
	ctx, cancel := context.WithTimeout(ctx, sc.st.h.cfg.WriteWait)
	defer cancel()
	s, err := sc.st.h.store.Session(ctx, st.id)
	if err != nil {
		return err
	}
	exam := *st.room.Exam()
	commands, err := sc.st.h.unseen(ctx, st.id)
	if err != nil {
		return err
	}
	chat, err := sc.st.h.lastChat(ctx, st.id)
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
		Reason: s.Reason, Hand: hand, Ping: sc.st.h.cfg.Liveness.PingEvery.Milliseconds(), Chat: chat,
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
			sc.st.h.delivered(st, c.ID)
		}
	}})
	for _, frame := range rest {
		sc.Send(frame)
	}
	sc.mayAsk()
	if _, saving := sc.st.h.writer.state(); !saving {
		sc.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving}))
	}
	if s.State.Ended() {
		sc.Close(protocol.CloseEnded, "")
	}
	return nil
}

// Bounds of what a welcome holds.
const (
	maxWelcomeChat     = 50
	maxWelcomeCommands = 50
	maxWelcomeText     = 24 << 10 // bytes of chat, and of commands, as JSON
)

// lastChat reads the newest lines, oldest first.
func (h *Hub) lastChat(ctx context.Context, session string) ([]protocol.ChatDown, error) {
	var out []protocol.ChatDown
	for page := (vigil.Page{}); ; {
		lines, next, err := h.store.ChatOfSession(ctx, session, page)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			out = append(out, protocol.ChatOf(l))
		}
		out = lists.Newest(out, maxWelcomeChat)
		if next == "" {
			return newest(out, maxWelcomeText), nil
		}
		page.After = next
	}
}

// StoredLine implements dashboard.Live: it reads one line. An id that comes twice may come with another text.
func (h *Hub) StoredLine(ctx context.Context, session, id string) (protocol.ChatDown, error) {
	for page := (vigil.Page{}); ; {
		lines, next, err := h.store.ChatOfSession(ctx, session, page)
		if err != nil {
			return protocol.ChatDown{}, err
		}
		if i := slices.IndexFunc(lines, func(l vigil.ChatLine) bool { return l.ID == id }); i >= 0 {
			return protocol.ChatOf(lines[i]), nil
		}
		if next == "" {
			return protocol.ChatDown{}, vigil.Errorf(vigil.CodeNotFound, "There is no such line.")
		}
		page.After = next
	}
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
func (h *Hub) unseen(ctx context.Context, id string) ([]vigil.Command, error) {
	var out []vigil.Command
	for page := (vigil.Page{}); ; {
		commands, next, err := h.store.CommandsOfSession(ctx, id, page)
		if err != nil {
			return nil, err
		}
		for _, c := range commands {
			if session.ForStudent(c) && (c.Stage == vigil.StageQueued || c.Stage == vigil.StageDelivered) {
				out = append(out, c)
			}
		}
		out = lists.Newest(out, maxWelcomeCommands)
		if next == "" {
			return out, nil
		}
		page.After = next
	}
}
