package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// Proctor is a dashboard: it subscribes at each welcome and merges snapshots and deltas
// into rows, by the rules of docs/protocol.md.
type Proctor struct {
	*link

	mu       sync.Mutex
	rows     map[string]protocol.Row
	number   int64 // of the snapshot that is coming in
	named    map[string]bool
	whole    int // snapshots that came whole
	signals  []protocol.SignalDown
	seen     map[signalKey]bool
	gaps     map[string]protocol.GapDown
	progress map[progressKey]protocol.Progress
	lines    []protocol.ChatDown
	access   protocol.AccessView // as it was told last
	errors   []protocol.Error
	waits    chan struct{}
}

type signalKey struct {
	session, stream string
	seq             int64
}

type progressKey struct{ id, session string }

// keep is how many signals, lines and errors a proctor keeps.
const keep = 100_000

// Watch connects a proctor and waits for the first welcome.
func Watch(ctx context.Context, cfg Config) (*Proctor, error) {
	p := &Proctor{
		link: newLink(cfg), waits: make(chan struct{}), rows: map[string]protocol.Row{}, seen: map[signalKey]bool{},
		gaps: map[string]protocol.GapDown{}, progress: map[progressKey]protocol.Progress{},
	}
	return p, p.begin(ctx, p)
}

func (p *Proctor) greeting() any { return nil }

func (p *Proctor) welcomed(frame json.RawMessage) {
	var w protocol.ProctorWelcome
	if err := json.Unmarshal(frame, &w); err == nil && w.Access != nil {
		p.mu.Lock()
		p.access = *w.Access
		p.mu.Unlock()
	}
	p.open(protocol.Subscribe{T: protocol.TypeSubscribe, Signals: p.cfg.Signals})
}

func (p *Proctor) take(t protocol.Type, frame json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	switch t {
	case protocol.TypeSnapshot:
		var s protocol.Snapshot
		if err = json.Unmarshal(frame, &s); err == nil {
			p.page(s)
		}
	case protocol.TypeSession:
		var d protocol.SessionDelta
		if err = json.Unmarshal(frame, &d); err == nil {
			p.merge(d.Row)
		}
	case protocol.TypeSignal:
		var d protocol.SignalDown
		if err = json.Unmarshal(frame, &d); err == nil {
			if k := (signalKey{d.Session, d.Stream, d.Seq}); !p.seen[k] && len(p.signals) < keep {
				p.seen[k] = true
				p.signals = append(p.signals, d)
			}
		}
	case protocol.TypeGap:
		var d protocol.GapDown
		if err = json.Unmarshal(frame, &d); err == nil {
			p.gaps[d.ID] = d
		}
	case protocol.TypeProgress:
		var d protocol.Progress
		if err = json.Unmarshal(frame, &d); err == nil {
			p.advance(d)
		}
	case protocol.TypeChat:
		var d protocol.ChatDown
		if err = json.Unmarshal(frame, &d); err == nil && len(p.lines) < keep &&
			!slices.ContainsFunc(p.lines, func(l protocol.ChatDown) bool { return l.ID == d.ID && l.Session == d.Session }) {
			p.lines = append(p.lines, d)
		}
	case protocol.TypeAccess:
		var d protocol.AccessDown
		if err = json.Unmarshal(frame, &d); err == nil {
			p.access = d.AccessView
		}
	case protocol.TypeError:
		var d protocol.Error
		if err = json.Unmarshal(frame, &d); err == nil && len(p.errors) < keep {
			p.errors = append(p.errors, d)
		}
	}
	if err != nil {
		p.cfg.Log.Error("a frame cannot be read", "type", t, "error", err)
	}
	close(p.waits)
	p.waits = make(chan struct{})
}

func (p *Proctor) page(s protocol.Snapshot) {
	if s.Page == 1 {
		p.number, p.named = s.Number, map[string]bool{}
	}
	if s.Number != p.number {
		return
	}
	for _, r := range s.Rows {
		p.named[r.ID] = true
		p.merge(r)
		for _, pr := range r.LMS {
			p.advance(pr)
		}
	}
	if s.Last {
		maps.DeleteFunc(p.rows, func(id string, _ protocol.Row) bool { return !p.named[id] })
		p.whole++
	}
}

// advance takes a command's progress, which only moves forward: the answer to the sender, a
// snapshot and what all dashboards are told may overtake each other.
func (p *Proctor) advance(d protocol.Progress) {
	k := progressKey{d.ID, d.Session}
	old, told := p.progress[k]
	if told && old.Stage.After(d.Stage) {
		d.Stage, d.Problem = old.Stage, old.Problem
	}
	if old.LMS != nil && (d.LMS == nil || d.LMS.State == vigil.LMSWaiting && (old.LMS.State != vigil.LMSWaiting || old.LMS.At > d.LMS.At)) {
		d.LMS = old.LMS
	}
	d.At = max(d.At, old.At)
	p.progress[k] = d
}

// merge puts changed groups into a row; one that is older than the row's own is ignored.
func (p *Proctor) merge(d protocol.Row) {
	r := p.rows[d.ID]
	r.ID = d.ID
	if d.Who != nil {
		r.Who = d.Who
	}
	if d.Life != nil && (r.Life == nil || d.Life.Version >= r.Life.Version) {
		r.Life = d.Life
	}
	if d.Conn != nil && (r.Conn == nil || d.Conn.Epoch > r.Conn.Epoch ||
		d.Conn.Epoch == r.Conn.Epoch && d.Conn.Since >= r.Conn.Since) {
		r.Conn = d.Conn
	}
	if d.Monitor != nil {
		r.Monitor = d.Monitor
	}
	if d.Tally != nil {
		r.Tally = d.Tally
	}
	if d.Group != nil && (r.Group == nil || d.Group.Version >= r.Group.Version) {
		r.Group = d.Group
	}
	if d.Lost != nil && (r.Lost == nil || d.Lost.Version >= r.Lost.Version) {
		r.Lost = d.Lost
	}
	p.rows[d.ID] = r
}

// Rows is the merged view.
func (p *Proctor) Rows() map[string]protocol.Row {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.rows)
}

// Row is one session's row; its groups are nil where nothing was told.
func (p *Proctor) Row(session string) protocol.Row {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rows[session]
}

// Connection is what the row says of the session's connection; "" if there is no row.
func (p *Proctor) Connection(session string) vigil.Connection {
	if r := p.Row(session); r.Conn != nil {
		return r.Conn.Conn
	}
	return ""
}

// Access is what the server told last of what the proctor may do.
func (p *Proctor) Access() protocol.AccessView {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.access
}

// Snapshots counts those that came whole.
func (p *Proctor) Snapshots() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.whole
}

// Signals are those that came, each once, in the order in which they came.
func (p *Proctor) Signals() []protocol.SignalDown {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals)
}

// Gaps are those that were told, of one session.
func (p *Proctor) Gaps(session string) []protocol.GapDown {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []protocol.GapDown
	for _, g := range p.gaps {
		if g.Session == session {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b protocol.GapDown) int { return int(a.Start - b.Start) })
	return out
}

// Progress is how far a command got with a session; its stage is "" if nothing was told.
func (p *Proctor) Progress(id, session string) protocol.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.progress[progressKey{id, session}]
}

// Lines is the chat, as far as it came.
func (p *Proctor) Lines() []protocol.ChatDown {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Errors are the error frames.
func (p *Proctor) Errors() []protocol.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errors)
}

// Subscribe asks for a fresh snapshot.
func (p *Proctor) Subscribe(signals string) {
	p.send(protocol.Subscribe{T: protocol.TypeSubscribe, Signals: signals})
}

// Command sends a command; an id is made where it has none, and returned. It is false if
// there was no connection to send it on.
func (p *Proctor) Command(c protocol.CommandUp) (id string, sent bool) {
	c.T = protocol.TypeCommand
	if c.ID == "" {
		c.ID = rand.Text()
	}
	return c.ID, p.send(c)
}

// LostTime grants or refuses what the ledger proposes.
func (p *Proctor) LostTime(grant bool, targets ...string) (id string, sent bool) {
	id = rand.Text()
	return id, p.send(protocol.LostTimeUp{T: protocol.TypeLostTime, ID: id, Targets: targets, Grant: grant})
}

// Chat sends a line to a student.
func (p *Proctor) Chat(session, text string) (id string, sent bool) {
	id = rand.Text()
	return id, p.send(protocol.ChatUp{T: protocol.TypeChat, ID: id, Session: session, Text: text})
}

// Seen says that a session's chat and raised hand are dealt with.
func (p *Proctor) Seen(session string) {
	p.send(protocol.SeenUp{T: protocol.TypeSeen, Session: session})
}

// AskTime asks for the server's time; OnFrame sees the answer.
func (p *Proctor) AskTime() {
	p.send(protocol.TimeUp{T: protocol.TypeTime, At: time.Now().UnixMilli()})
}

// Wait returns when ok does so; it is asked again after each frame.
func (p *Proctor) Wait(ctx context.Context, ok func(*Proctor) bool) error {
	for {
		p.mu.Lock()
		waits := p.waits
		p.mu.Unlock()
		if ok(p) {
			return nil
		}
		select {
		case <-waits:
		case <-p.Done():
			if ok(p) {
				return nil
			}
			return p.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
