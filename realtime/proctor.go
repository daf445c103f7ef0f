package realtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// proctor is a socket that watches an exam.
type proctor struct {
	*socket.Conn
	room   *room
	access atomic.Pointer[vigil.Access] // what it may see and do; replaced, never changed

	state      sync.Mutex // within it only a job is queued
	subscribed bool       // deltas flow: from its first snapshot on
	signals    string     // which signals are wanted
	behind     bool       // deltas are dropped until a fresh snapshot
	asked      bool       // a snapshot waits or is under way
	again      bool       // another one must follow it
	created    []string
	counted    map[string]bool // sessions whose counts were told while a snapshot was under way
	falls      []time.Time     // when it fell behind
}

// What a subscription may say of signals.
const (
	signalsAll       = "all"
	signalsIncidents = "incidents"
	signalsNone      = "none"
)

// A proctor who falls behind so often within fallWindow is closed.
const (
	maxFalls   = 5
	fallWindow = time.Minute
)

func (p *proctor) Start(context.Context) error {
	if !p.room.addProctor(p) {
		return vigil.Errorf(vigil.CodeTooMany, "Too many dashboards of this exam are open.")
	}
	exam := *p.room.known.Load()
	welcome := protocol.ProctorWelcome{
		T: protocol.TypeWelcome, Role: vigil.RoleProctor, Exam: protocol.ExamOf(exam), Now: protocol.Millis(p.room.h.now()),
		Ping: p.room.h.cfg.Liveness.PingEvery.Milliseconds(), Name: p.Claims().Name,
	}
	if exam.Access.Told() {
		view := protocol.AccessOf(*p.access.Load())
		welcome.Access = &view
	}
	p.Welcome(socket.Item{Frame: protocol.Encode(welcome)})
	if _, saving := p.room.h.writer.state(); !saving {
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving}))
	}
	if p.room.away.Load() {
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeRelay}))
	}
	return nil
}

func (p *proctor) Heard(time.Time) {}

func (p *proctor) Missed(time.Time, int) {}

func (p *proctor) Due(time.Time) {}

func (p *proctor) Gone(time.Time, websocket.StatusCode) { p.room.removeProctor(p) }

// Allowed checks that the proctor may still watch this exam.
func (p *proctor) Allowed(ctx context.Context) error {
	claims := *p.Claims()
	if err := p.room.reload(ctx); err != nil {
		return gone(err)
	}
	if p.room.h.cfg.Allow != nil {
		if err := p.room.h.cfg.Allow(ctx, claims, ""); err != nil {
			return err
		}
	}
	return p.access.Load().Allow(vigil.RightWatch)
}

// push gives a delta to a subscribed proctor who may see it.
func (p *proctor) push(d delta) {
	p.state.Lock()
	want := p.subscribed && !p.behind
	switch {
	case d.level == socket.LevelSignal && p.signals != signalsAll,
		d.level == socket.LevelIncident && p.signals == signalsNone:
		want = false
	}
	if p.asked && d.created {
		p.created = append(p.created, d.session)
	}
	if id, ok := strings.CutPrefix(d.key, tallyKey("")); p.asked && ok {
		p.counted[id] = true
	}
	dropped := p.subscribed && p.behind
	p.state.Unlock()
	if dropped {
		p.room.h.counters.FramesDropped.Add(1)
	}
	if want {
		p.PutDelta(d.key, d.level, d.frame)
	}
}

// Overflow is a queue that was full: its deltas were dropped, and a fresh snapshot
// follows when what is left has been written.
func (p *proctor) Overflow() {
	now := p.room.h.now()
	p.state.Lock()
	first := !p.behind
	p.behind = true
	if first {
		p.falls = last(append(p.falls, now), maxFalls)
	}
	hopeless := len(p.falls) == maxFalls && now.Sub(p.falls[0]) < fallWindow
	p.state.Unlock()
	if hopeless {
		p.Close(protocol.CloseSlow, "")
		return
	}
	if first {
		p.room.h.stats.behind.Add(1)
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeBehind}))
	}
}

// Idle begins the fresh snapshot of a proctor who was behind.
func (p *proctor) Idle() {
	p.state.Lock()
	behind := p.behind
	p.state.Unlock()
	if behind {
		p.ask()
	}
}

// afresh gives a subscribed proctor a new snapshot, because deltas were lost on the way.
func (p *proctor) afresh() {
	p.state.Lock()
	subscribed := p.subscribed
	p.state.Unlock()
	if subscribed {
		p.ask()
	}
}

// asking tells whether a snapshot waits or is under way.
func (p *proctor) asking() bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.asked
}

// ask has a snapshot made: one at a time, and one more if asked for meanwhile.
func (p *proctor) ask() {
	p.state.Lock()
	defer p.state.Unlock()
	if p.asked {
		p.again = true
		return
	}
	p.asked, p.created, p.counted = true, nil, map[string]bool{}
	added := p.Do(0, func(ctx context.Context) { // there is one at a time
		err := p.snapshot(ctx)
		p.state.Lock()
		again := p.again
		p.asked, p.again, p.created, p.counted = false, false, nil, nil
		p.state.Unlock()
		switch {
		case errors.Is(err, socket.ErrEnded) || err != nil && ctx.Err() != nil:
		case err != nil:
			p.room.h.log.Warn("a snapshot could not be made; trying again", "exam", p.room.exam, "error", err)
			p.SendError(nil, err, 0)
			p.room.h.tasks.Go(func() { // the dashboard is blind until there is one
				if tasks.Sleep(p.room.h.ctx, p.room.h.cfg.RetryMost) && p.Closed() == 0 {
					p.ask()
				}
			})
		case again:
			p.ask()
		}
	})
	if !added {
		p.asked = false
	}
}

// Frame takes one frame of a proctor. Each is checked anew against role and exam.
func (p *proctor) Frame(f *protocol.Up) {
	if p.Closed() != 0 {
		return
	}
	claims := p.Claims()
	if claims.Role != vigil.RoleProctor || claims.Exam != p.room.exam {
		p.SendError(f, vigil.Errorf(vigil.CodeForbidden, "This connection belongs to another exam."), 0)
		return
	}
	if right, needed := rightOf(f); needed {
		if err := p.access.Load().Allow(right); err != nil {
			p.SendError(f, err, 0)
			return
		}
	}
	switch f.T {
	case protocol.TypeSubscribe:
		p.subscribe(f)
	case protocol.TypeCommand:
		p.command(f)
	case protocol.TypeLostTime:
		p.lostTime(f)
	case protocol.TypeChat:
		p.chat(f)
	case protocol.TypeSeen:
		p.seen(f)
	case protocol.TypeTime:
		p.Send(protocol.Encode(protocol.Time{T: protocol.TypeTime, At: f.At, Now: protocol.Millis(p.room.h.now())}))
	case protocol.TypeBye: // nothing depends on it
	case protocol.TypeHello, protocol.TypeSignal, protocol.TypeAlive:
		p.SendError(f, vigil.Errorf(vigil.CodeForbidden, "Only students send this."), 0)
	default:
		p.SendError(f, vigil.Invalid("t", "There is no such type of frame."), 0)
	}
}

func (p *proctor) subscribe(f *protocol.Up) {
	switch f.Signals {
	case "":
		f.Signals = signalsAll
	case signalsAll, signalsIncidents, signalsNone:
	default:
		p.SendError(f, vigil.Invalid("signals", "Signals are all, incidents or none."), 0)
		return
	}
	p.state.Lock()
	p.signals = f.Signals
	p.state.Unlock()
	p.ask()
}

func (p *proctor) command(f *protocol.Up) {
	c := protocol.CommandUp{
		ID: f.ID, Kind: vigil.CommandKind(f.Kind), Targets: f.Targets, All: f.All, Text: f.Text,
		Reason: f.Reason, Seconds: f.Seconds, Severity: f.Severity,
	}
	p.Later(&protocol.Up{ID: f.ID}, func(ctx context.Context) error {
		done, err := p.room.h.sessions.Command(session.WithAddress(ctx, p.Address()), p.room.exam, p.Claims().Actor(), p.mayNow, c)
		p.answer(ctx, done)
		return err
	})
}

func (p *proctor) lostTime(f *protocol.Up) {
	l := protocol.LostTimeUp{ID: f.ID, Targets: f.Targets, Grant: f.Grant}
	p.Later(&protocol.Up{ID: f.ID}, func(ctx context.Context) error {
		done, err := p.room.h.sessions.LostTime(session.WithAddress(ctx, p.Address()), p.room.exam, p.Claims().Actor(), p.mayNow, l)
		p.answer(ctx, done)
		return err
	})
}

// mayNow is whom the proctor sees and what they may do at this moment.
func (p *proctor) mayNow() vigil.Access { return *p.access.Load() }

// answer gives the sender the progress of each target. Others hear of what changed; the
// sender also of what did not.
func (p *proctor) answer(ctx context.Context, done []protocol.Progress) {
	for i, pr := range done {
		p.Send(protocol.Encode(pr))
		if i%64 == 63 && p.Written(ctx) != nil {
			return
		}
	}
}

// of reads a session and checks that it belongs to the exam, and that the proctor sees it.
func (p *proctor) of(ctx context.Context, id string) (vigil.Session, error) {
	s, err := p.room.h.store.Session(ctx, id)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && (s.ExamID != p.room.exam || !p.access.Load().Sees(s.Groups)) {
		return s, session.ErrNoAttempt
	}
	return s.Settled(p.room.policy(), p.room.h.now()), err
}

func (p *proctor) chat(f *protocol.Up) {
	text, err := vigil.CleanText("text", f.Text, vigil.MaxChat)
	if !vigil.ValidID(f.ID) {
		err = vigil.Invalid("id", "An id has 8 to 64 letters, digits, - or _.")
	}
	if err != nil {
		p.SendError(f, err, 0)
		return
	}
	ref := protocol.Up{ID: f.ID, Session: f.Session}
	p.Later(&ref, func(ctx context.Context) error {
		s, err := p.of(ctx, ref.Session)
		if err != nil {
			return err
		}
		if s.State.Ended() {
			return errEnded
		}
		line := vigil.ChatLine{
			ID: ref.ID, SessionID: s.ID, ExamID: s.ExamID, From: p.Claims().Actor(), Text: text, At: p.room.h.now(),
		}
		down := protocol.ChatOf(line)
		err = p.room.h.store.AddChat(ctx, line)
		if errors.Is(err, vigil.ErrExists) { // came before; whoever stored it may not have heard that, and told nobody
			down, err = p.room.h.storedLine(ctx, s.ID, ref.ID)
		}
		if err != nil {
			return err
		}
		frame := protocol.Encode(down)
		p.room.h.toStudent(s.ExamID, s.ID, []json.RawMessage{frame}, nil, false) // a page shows each line once
		p.room.toProctors(delta{session: s.ID, frame: frame})
		p.Send(protocol.Encode(protocol.Ack{T: protocol.TypeAck, ID: ref.ID}))
		return nil
	})
}

// seen records that a proctor dealt with a session's chat and raised hand.
func (p *proctor) seen(f *protocol.Up) {
	ref := protocol.Up{Session: f.Session}
	p.Later(&ref, func(ctx context.Context) error {
		s, err := p.of(ctx, ref.Session)
		if err != nil {
			return err
		}
		err = p.room.h.store.ReadChat(ctx, s.ID)
		if err == nil {
			err = p.room.h.store.SetHand(ctx, s.ID, time.Time{})
			if !s.Tally.Hand.IsZero() && (err == nil || vigil.Transient(err)) { // it may be stored all the same
				p.room.h.toStudent(s.ExamID, s.ID, []json.RawMessage{protocol.Encode(protocol.HandDown{T: protocol.TypeHand})}, nil, false)
			}
		}
		if err == nil {
			err = p.room.h.Recount(ctx, s.ID)
		}
		if err != nil {
			p.room.h.RetellLater(s.ID) // as much of it as may be stored
		}
		return err
	})
}

// snapshot sends the exam's rows, page by page, each when the one before was written.
// Deltas flow from its beginning on.
func (p *proctor) snapshot(ctx context.Context) error {
	p.state.Lock()
	first := !p.subscribed
	p.state.Unlock()
	if first && !p.access.Load().All { // else deltas would come of students of whom it is not known yet
		if err := p.room.learnGroups(ctx); err != nil {
			return err
		}
	}
	p.state.Lock()
	wasBehind := p.behind
	p.subscribed, p.behind = true, false
	p.state.Unlock()
	exam := *p.room.known.Load()
	answers, err := p.room.h.openAnswers(ctx, exam.ID)
	if err != nil {
		return err
	}
	gaps, err := p.room.h.ledgers(ctx, exam.ID)
	if err != nil {
		return err
	}
	number := p.room.h.snapshots.Add(1)
	page := 0
	at := vigil.Page{Limit: p.room.h.cfg.Limits.Rows}
	var sessions []vigil.Session // to be sent: full pages, so that they tell nothing of those who are left out
	for {
		list, next, err := p.room.h.store.SessionsOfExam(ctx, exam.ID, at)
		if err != nil {
			return err
		}
		p.room.order.RLock()
		for _, s := range list {
			if p.access.Load().Sees(p.room.newestGroups(s).List) {
				sessions = append(sessions, s)
			}
		}
		p.room.order.RUnlock()
		if next != "" && len(sessions) < p.room.h.cfg.Limits.Rows {
			at.After = next
			continue
		}
		p.room.order.Lock()
		now := p.room.h.now()
		rows := make([]protocol.Row, 0, len(sessions))
		access := p.access.Load()
		for _, s := range sessions {
			groups := p.room.newestGroups(s)
			if !access.Sees(groups.List) { // any more
				continue
			}
			r := p.room.h.liveRow(s, exam.Policy, now, answers[s.ID], gaps[s.ID])
			r.Group = protocol.GroupsOf(*access, groups.Version, groups.List)
			if p.told(s.ID) { // which is newer than what was read
				r.Tally = nil
			}
			rows = append(rows, r)
		}
		if next == "" {
			p.state.Lock()
			for _, id := range p.created { // told meanwhile: named, so that it is not taken away
				rows = append(rows, protocol.Row{ID: id})
			}
			p.created = nil
			p.state.Unlock()
		}
		for _, frame := range pages(number, &page, rows, next == "") {
			p.Send(frame)
		}
		p.room.order.Unlock()
		if err := p.Written(ctx); err != nil {
			return err
		}
		if next == "" {
			break
		}
		sessions, at.After = nil, next
	}
	if wasBehind {
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeBehind, Over: true}))
	}
	return nil
}

// told tells whether the dashboard was told a session's counts since the snapshot was begun.
func (p *proctor) told(session string) bool {
	p.state.Lock()
	defer p.state.Unlock()
	return p.counted[session]
}

// liveRow is a session's row as this node knows it.
func (h *Hub) liveRow(s vigil.Session, policy vigil.Policy, now time.Time, answers []protocol.Progress, gaps []vigil.Gap) protocol.Row {
	page := 0
	if st := h.student(s.ID); st != nil {
		st.mu.Lock()
		st.overlayLocked(&s)
		page = st.page
		st.mu.Unlock()
	}
	r := protocol.RowOf(s.Settled(policy, now), policy, now)
	r.Conn.Page = page
	r.LMS = answers
	r.Lost = protocol.LostOf(policy, gaps)
	return r
}

// pages cuts rows into snapshot frames that fit into a message.
func pages(number int64, page *int, rows []protocol.Row, last bool) [][]byte {
	const room = protocol.MaxMessage - 256
	var out [][]byte
	var buf bytes.Buffer
	begin := func() {
		*page++
		buf = bytes.Buffer{}
		buf.WriteString(`{"t":"snapshot","number":` + strconv.FormatInt(number, 10) + `,"page":` + strconv.Itoa(*page) + `,"rows":[`)
	}
	end := func(last bool) {
		buf.WriteByte(']')
		if last {
			buf.WriteString(`,"last":true`)
		}
		buf.WriteByte('}')
		out = append(out, buf.Bytes())
	}
	begin()
	n := 0
	for _, r := range rows {
		b := protocol.Encode(r)
		if n > 0 && buf.Len()+len(b) > room {
			end(false)
			begin()
			n = 0
		}
		if n > 0 {
			buf.WriteByte(',')
		}
		buf.Write(b)
		n++
	}
	end(last)
	return out
}

// Bounds of what a snapshot says of commands.
const (
	answersSince   = 24 * time.Hour
	answersRecent  = 10 * time.Minute // how a command got on may have been told while the dashboard was away
	answersPerRow  = 16
	answersPerExam = 5000
)

// openAnswers finds the commands whose answer by the platform is not in yet or was bad, and
// those of the last minutes, by session.
func (h *Hub) openAnswers(ctx context.Context, exam string) (map[string][]protocol.Progress, error) {
	out := map[string][]protocol.Progress{}
	n := 0
	for page := (vigil.Page{}); ; {
		commands, next, err := h.store.CommandsOfExam(ctx, exam, h.now().Add(-answersSince), page)
		if err != nil {
			return nil, err
		}
		for _, c := range commands {
			switch c.LMS.State {
			case vigil.LMSWaiting, vigil.LMSRefused, vigil.LMSFailed, vigil.LMSUnknown:
			default:
				if h.now().Sub(c.At) > answersRecent {
					continue
				}
			}
			out[c.SessionID] = last(append(out[c.SessionID], protocol.ProgressOf(c)), answersPerRow)
			n++
		}
		if next == "" || n >= answersPerExam {
			return out, nil
		}
		page.After = next
	}
}

// ledgers reads the gaps of an exam, by session and in order.
func (h *Hub) ledgers(ctx context.Context, exam string) (map[string][]vigil.Gap, error) {
	out := map[string][]vigil.Gap{}
	for page := (vigil.Page{}); ; {
		gaps, next, err := h.store.GapsOfExam(ctx, exam, page)
		if err != nil {
			return nil, err
		}
		for _, g := range gaps {
			out[g.SessionID] = append(out[g.SessionID], g)
		}
		if next == "" {
			return out, nil
		}
		page.After = next
	}
}
