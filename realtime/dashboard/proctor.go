package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/internal/lockorder"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
	"vigil/realtime/socket"
)

// Peer makes of a socket a dashboard of the exam, by what its proctor may see and do.
func (b *Board) Peer(c *socket.Conn, access vigil.Access) socket.Peer {
	p := &proctor{Conn: c, board: b}
	p.access.Store(&access)
	return p
}

// proctor is a socket that watches an exam.
type proctor struct {
	*socket.Conn
	board  *Board
	access atomic.Pointer[vigil.Access] // what it may see and do; replaced, never changed

	state      lockorder.Mutex[lockorder.Dashboard] // within it only a job is queued
	subscribed bool                                 // deltas flow: from its first snapshot on
	signals    string                               // which signals are wanted
	behind     bool                                 // deltas are dropped until a fresh snapshot
	asked      bool                                 // a snapshot waits or is under way
	again      bool                                 // another one must follow it
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
	if !p.board.add(p) {
		return vigil.Errorf(vigil.CodeTooMany, "Too many dashboards of this exam are open.")
	}
	exam := *p.board.known.Load()
	welcome := protocol.ProctorWelcome{
		T: protocol.TypeWelcome, Role: vigil.RoleProctor, Exam: protocol.ExamOf(exam), Now: protocol.Millis(p.board.env.Now()),
		Ping: p.board.env.Liveness.PingEvery.Milliseconds(), Name: p.Claims().Name,
	}
	if exam.Access.Told() {
		view := protocol.AccessOf(*p.access.Load())
		welcome.Access = &view
	}
	p.Welcome(socket.Item{Frame: protocol.Encode(welcome)})
	if !p.board.env.Live.Saving() {
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeSaving}))
	}
	if p.board.away.Load() {
		p.Send(protocol.Encode(protocol.Notice{T: protocol.TypeNotice, Kind: protocol.NoticeRelay}))
	}
	return nil
}

func (p *proctor) Heard(time.Time) {}

func (p *proctor) Missed(time.Time, int) {}

func (p *proctor) Due(time.Time) {}

func (p *proctor) Gone(time.Time, websocket.StatusCode) { p.board.remove(p) }

// Allowed checks that the proctor may still watch this exam.
func (p *proctor) Allowed(ctx context.Context) error {
	claims := *p.Claims()
	if err := p.board.Reload(ctx); err != nil {
		return socket.ForbidMissing(err)
	}
	if p.board.env.Allow != nil {
		if err := p.board.env.Allow(ctx, claims, ""); err != nil {
			return err
		}
	}
	return p.access.Load().Allow(vigil.RightWatch)
}

// push gives a delta to a subscribed proctor who may see it.
func (p *proctor) push(d Delta) {
	p.state.Lock()
	want := p.subscribed && !p.behind
	switch {
	case d.Level == socket.LevelSignal && p.signals != signalsAll,
		d.Level == socket.LevelIncident && p.signals == signalsNone:
		want = false
	}
	if p.asked && d.Created {
		p.created = append(p.created, d.Session)
	}
	if id, ok := strings.CutPrefix(d.Key, tallyKey("")); p.asked && ok {
		p.counted[id] = true
	}
	dropped := p.subscribed && p.behind
	p.state.Unlock()
	if dropped {
		p.board.env.Counters.FramesDropped.Add(1)
	}
	if want {
		p.PutDelta(d.Key, d.Level, d.Frame)
	}
}

// Overflow is a queue that was full: its deltas were dropped, and a fresh snapshot
// follows when what is left has been written.
func (p *proctor) Overflow() {
	now := p.board.env.Now()
	p.state.Lock()
	first := !p.behind
	p.behind = true
	if first {
		p.falls = lists.Newest(append(p.falls, now), maxFalls)
	}
	hopeless := len(p.falls) == maxFalls && now.Sub(p.falls[0]) < fallWindow
	p.state.Unlock()
	if hopeless {
		p.Close(protocol.CloseSlow, "")
		return
	}
	if first {
		p.board.env.Behind.Add(1)
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
			p.board.env.Log.Warn("a snapshot could not be made; trying again", "exam", p.board.exam, "error", err)
			p.SendError(nil, err, 0)
			p.board.env.Tasks.Go(func() { // the dashboard is blind until there is one
				if tasks.Sleep(p.board.env.Tasks.Context(), p.board.env.RetryMost) && p.Closed() == 0 {
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
	if claims.Role != vigil.RoleProctor || claims.Exam != p.board.exam {
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
		p.Send(protocol.Encode(protocol.Time{T: protocol.TypeTime, At: f.At, Now: protocol.Millis(p.board.env.Now())}))
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
		done, err := p.board.env.UseCases.Command(session.WithAddress(ctx, p.Address()), p.board.exam, p.Claims().Actor(), p.mayNow, c)
		p.answer(ctx, done)
		return err
	})
}

func (p *proctor) lostTime(f *protocol.Up) {
	l := protocol.LostTimeUp{ID: f.ID, Targets: f.Targets, Grant: f.Grant}
	p.Later(&protocol.Up{ID: f.ID}, func(ctx context.Context) error {
		done, err := p.board.env.UseCases.LostTime(session.WithAddress(ctx, p.Address()), p.board.exam, p.Claims().Actor(), p.mayNow, l)
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
	s, err := p.board.env.Store.Session(ctx, id)
	if errors.Is(err, vigil.ErrNotFound) || err == nil && (s.ExamID != p.board.exam || !p.access.Load().Sees(s.Groups)) {
		return s, session.ErrNoAttempt
	}
	return s.Settled(p.board.Policy(), p.board.env.Now()), err
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
			return session.ErrEnded
		}
		line := vigil.ChatLine{
			ID: ref.ID, SessionID: s.ID, ExamID: s.ExamID, From: p.Claims().Actor(), Text: text, At: p.board.env.Now(),
		}
		down := protocol.ChatOf(line)
		err = p.board.env.Store.AddChat(ctx, line)
		if errors.Is(err, vigil.ErrExists) { // came before; whoever stored it may not have heard that, and told nobody
			down, err = p.board.env.Live.StoredLine(ctx, s.ID, ref.ID)
		}
		if err != nil {
			return err
		}
		frame := protocol.Encode(down)
		p.board.env.Live.ToStudent(s.ExamID, s.ID, []json.RawMessage{frame}) // a page shows each line once
		p.board.Publish(Delta{Session: s.ID, Frame: frame})
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
		err = p.board.env.Store.ReadChat(ctx, s.ID)
		if err == nil {
			err = p.board.env.Store.SetHand(ctx, s.ID, time.Time{})
			if !s.Tally.Hand.IsZero() && (err == nil || vigil.Transient(err)) { // it may be stored all the same
				p.board.env.Live.ToStudent(s.ExamID, s.ID, []json.RawMessage{protocol.Encode(protocol.HandDown{T: protocol.TypeHand})})
			}
		}
		if err == nil {
			err = p.board.env.Live.Recount(ctx, s.ID)
		}
		if err != nil {
			p.board.env.Live.RetellLater(s.ID) // as much of it as may be stored
		}
		return err
	})
}
