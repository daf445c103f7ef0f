package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// Student is a student's monitor: it numbers signals and keeps them, in memory, until
// they are acknowledged, and sends again what was not after each welcome. All methods may
// be called at the same time.
type Student struct {
	*link

	mu      sync.Mutex
	next    int64
	page    int
	signals []protocol.SignalUp // the outbox, by number
	chats   []protocol.ChatUp
	counts  Counts
	welcome protocol.Welcome
	state   vigil.State
	end     int64
	left    int64
	lines   []protocol.ChatDown
	got     []protocol.CommandDown
	doc     string    // the page's id
	began   time.Time // when it was opened
	pages   int64
	waits   chan struct{} // closed and replaced at each change
}

// Counts is what a student has done so far.
type Counts struct {
	Given   int64 // signals numbered
	Acked   int64
	Dropped int64 // refused for good
	Resent  int64
	Errors  int64 // error frames
	Chats   int64 // lines acknowledged
}

// Dial connects a student and waits for the first welcome. The client then lives, and
// reconnects as its duties say, until Close or until the server says stop.
func Dial(ctx context.Context, cfg Config) (*Student, error) {
	s := &Student{link: newLink(cfg), waits: make(chan struct{})}
	s.next, s.page = s.cfg.Next, s.cfg.Page
	s.opened()
	return s, s.begin(ctx, s)
}

func (s *Student) greeting() any {
	stamp := ""
	if s.cfg.Stamp != nil {
		stamp = s.cfg.Stamp()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return protocol.Hello{T: protocol.TypeHello, Stream: s.cfg.Stream, Next: s.next, Page: s.page, Stamp: stamp, Can: []string{"alive"}}
}

func (s *Student) welcomed(frame json.RawMessage) {
	var w protocol.Welcome
	if err := json.Unmarshal(frame, &w); err != nil {
		s.cfg.Log.Error("a welcome cannot be read", "error", err)
		return
	}
	s.mu.Lock()
	s.welcome, s.state, s.end, s.left = w, w.State, w.End, w.Left
	s.lines = slices.Clone(w.Chat)
	signals, chats := slices.Clone(s.signals), slices.Clone(s.chats)
	s.counts.Resent += int64(len(signals))
	s.changedLocked()
	s.open(nil) // under mu: the outbox comes before any newer signal
	for _, f := range signals {
		s.send(f)
	}
	for _, f := range chats {
		s.send(f)
	}
	s.mu.Unlock()
	for _, c := range w.Commands {
		s.command(c)
	}
}

func (s *Student) take(t protocol.Type, frame json.RawMessage) {
	switch t {
	case protocol.TypeAlive:
		var a protocol.Alive
		if json.Unmarshal(frame, &a) == nil {
			s.answer(a)
		}
	case protocol.TypeAck:
		var a protocol.Ack
		if json.Unmarshal(frame, &a) == nil {
			s.ack(a)
		}
	case protocol.TypeError:
		var e protocol.Error
		if json.Unmarshal(frame, &e) == nil {
			s.refused(e)
		}
	case protocol.TypeCommand:
		var c protocol.CommandDown
		if json.Unmarshal(frame, &c) == nil {
			s.command(c)
		}
	case protocol.TypeState:
		var d protocol.StateDown
		if json.Unmarshal(frame, &d) == nil {
			s.mu.Lock()
			s.state = d.State
			s.changedLocked()
			s.mu.Unlock()
		}
	case protocol.TypeTime:
		var d protocol.Time
		if json.Unmarshal(frame, &d) == nil {
			s.mu.Lock()
			s.end, s.left = d.End, d.Left
			s.changedLocked()
			s.mu.Unlock()
		}
	case protocol.TypeChat:
		var c protocol.ChatDown
		if json.Unmarshal(frame, &c) == nil {
			s.mu.Lock()
			if !slices.ContainsFunc(s.lines, func(l protocol.ChatDown) bool { return l.ID == c.ID }) {
				s.lines = append(s.lines, c)
			}
			s.changedLocked()
			s.mu.Unlock()
		}
	}
}

// opened begins a page. s.mu is held, or nobody else has s.
func (s *Student) opened() {
	s.doc, s.began = rand.Text(), time.Now()
	s.pages++
}

// answer tells the totals of the page, which is always shown and in front.
func (s *Student) answer(a protocol.Alive) {
	if s.cfg.Mute {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := time.Since(s.began).Milliseconds()
	s.send(protocol.AliveUp{
		T: protocol.TypeAlive, ID: a.ID, Doc: s.doc, Pages: s.pages, Visible: shown, Focus: 1, Focused: shown, Given: s.next - 1,
	})
}

func (s *Student) ack(a protocol.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changedLocked()
	if a.ID != "" {
		before := len(s.chats)
		s.chats = slices.DeleteFunc(s.chats, func(c protocol.ChatUp) bool { return c.ID == a.ID })
		s.counts.Chats += int64(before - len(s.chats))
		return
	}
	if a.Stream != s.cfg.Stream {
		return
	}
	for _, seq := range a.Seqs {
		if s.forgetLocked(seq) {
			s.counts.Acked++
		}
	}
}

func (s *Student) forgetLocked(seq int64) bool {
	i, ok := slices.BinarySearchFunc(s.signals, seq, func(f protocol.SignalUp, n int64) int { return int(f.Seq - n) })
	if ok {
		s.signals = slices.Delete(s.signals, i, i+1)
	}
	return ok
}

// refused follows the duty of an error: forget the frame, or send it again later.
func (s *Student) refused(e protocol.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changedLocked()
	s.counts.Errors++
	seq, err := strconv.ParseInt(e.Ref, 10, 64)
	isSignal := err == nil && slices.ContainsFunc(s.signals, func(f protocol.SignalUp) bool { return f.Seq == seq })
	switch e.Duty {
	case protocol.DutyDrop:
		if isSignal && s.forgetLocked(seq) {
			s.counts.Dropped++
		}
		s.chats = slices.DeleteFunc(s.chats, func(c protocol.ChatUp) bool { return c.ID == e.Ref })
	case protocol.DutyRetry:
		connects := s.Connects()
		time.AfterFunc(time.Duration(e.Wait)*time.Millisecond, func() { s.again(e.Ref, seq, isSignal, connects) })
	}
}

// again sends a frame of the outbox once more, unless a welcome did so meanwhile.
func (s *Student) again(ref string, seq int64, isSignal bool, connects int) {
	if s.Connects() != connects {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if isSignal {
		for _, f := range s.signals {
			if f.Seq == seq {
				s.counts.Resent++
				s.send(f)
			}
		}
		return
	}
	for _, c := range s.chats {
		if c.ID == ref {
			s.send(c)
		}
	}
}

func (s *Student) command(c protocol.CommandDown) {
	s.mu.Lock()
	known := slices.ContainsFunc(s.got, func(g protocol.CommandDown) bool { return g.ID == c.ID })
	if !known {
		s.got = append(s.got, c)
	}
	s.changedLocked()
	s.mu.Unlock()
	if !s.cfg.KeepUnseen {
		s.Seen(c.ID)
	}
}

func (s *Student) changedLocked() {
	close(s.waits)
	s.waits = make(chan struct{})
}

// Signal gives a signal its number and sends it, now or after the next welcome. data must
// be a small flat object, or nil.
func (s *Student) Signal(kind vigil.Kind, dur time.Duration, data json.RawMessage) int64 {
	return s.SignalAt(time.Now(), kind, dur, data)
}

// SignalAt is Signal for something that began at another time.
func (s *Student) SignalAt(at time.Time, kind vigil.Kind, dur time.Duration, data json.RawMessage) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := protocol.SignalUp{
		T: protocol.TypeSignal, Seq: s.next, Kind: kind, At: at.UnixMilli(), Dur: dur.Milliseconds(), Data: data,
	}
	s.next++
	s.counts.Given++
	s.signals = append(s.signals, f)
	s.send(f)
	return f.Seq
}

// Hand raises or lowers the hand.
func (s *Student) Hand(up bool) int64 {
	if up {
		return s.Signal(vigil.KindHandRaised, 0, nil)
	}
	return s.Signal(vigil.KindHandLowered, 0, nil)
}

// Chat sends a line, now or after the next welcome, and returns its id.
func (s *Student) Chat(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := protocol.ChatUp{T: protocol.TypeChat, ID: rand.Text(), Text: text}
	s.chats = append(s.chats, f)
	s.send(f)
	return f.ID
}

// Seen acknowledges a command.
func (s *Student) Seen(id string) { s.send(protocol.SeenUp{T: protocol.TypeSeen, ID: id}) }

// Turn is a page turn: goodbye, and a new connection at once, with the same outbox.
func (s *Student) Turn(page int) {
	s.mu.Lock()
	s.page = page
	s.opened()
	s.mu.Unlock()
	s.goodbye(protocol.Bye{T: protocol.TypeBye, Reason: vigil.ByeNavigating})
	s.leave(true)
}

// Bye says goodbye and ends the client.
func (s *Student) Bye(reason vigil.ByeReason) {
	s.goodbye(protocol.Bye{T: protocol.TypeBye, Reason: reason})
	s.leave(false)
	s.Close()
}

// AskTime asks for the server's time; OnFrame sees the answer.
func (s *Student) AskTime() {
	s.send(protocol.TimeUp{T: protocol.TypeTime, At: time.Now().UnixMilli()})
}

// Counts returns what was done so far.
func (s *Student) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Outbox is what is not acknowledged yet.
func (s *Student) Outbox() []protocol.SignalUp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signals)
}

// Stream is the outbox's id.
func (s *Student) Stream() string { return s.cfg.Stream }

// Welcome is the newest welcome.
func (s *Student) Welcome() protocol.Welcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.welcome
}

// State is the session's, as last told.
func (s *Student) State() vigil.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Clock is the end of the attempt and, while paused, the time left (ms), as last told.
func (s *Student) Clock() (end, left int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end, s.left
}

// Lines is the chat, as far as it was told.
func (s *Student) Lines() []protocol.ChatDown {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Commands are those that came, each once.
func (s *Student) Commands() []protocol.CommandDown {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Wait returns when ok does so for the student as it is; it is asked again at each
// change. The error is the context's, or why the client ended.
func (s *Student) Wait(ctx context.Context, ok func(*Student) bool) error {
	for {
		s.mu.Lock()
		waits := s.waits
		s.mu.Unlock()
		if ok(s) {
			return nil
		}
		select {
		case <-waits:
		case <-s.Done():
			if ok(s) {
				return nil
			}
			return s.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Settled waits until everything given is acknowledged or refused for good.
func (s *Student) Settled(ctx context.Context) error {
	return s.Wait(ctx, func(s *Student) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.signals) == 0 && len(s.chats) == 0
	})
}
