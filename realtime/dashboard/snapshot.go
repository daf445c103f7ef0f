package dashboard

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
)

// snapshot sends the exam's rows, page by page, each when the one before was written.
// Deltas flow from its beginning on.
func (p *proctor) snapshot(ctx context.Context) error {
	p.state.Lock()
	first := !p.subscribed
	p.state.Unlock()
	if first && !p.access.Load().All { // else deltas would come of students of whom it is not known yet
		if err := p.board.learnGroups(ctx); err != nil {
			return err
		}
	}
	p.state.Lock()
	wasBehind := p.behind
	p.subscribed, p.behind = true, false
	p.state.Unlock()
	exam := *p.board.known.Load()
	answers, err := p.board.openAnswers(ctx)
	if err != nil {
		return err
	}
	gaps, err := p.board.ledgers(ctx)
	if err != nil {
		return err
	}
	number := p.board.env.snapshots.Add(1)
	page := 0
	at := vigil.Page{Limit: p.board.env.Rows}
	var sessions []vigil.Session // to be sent: full pages, so that they tell nothing of those who are left out
	for {
		list, next, err := p.board.env.Store.SessionsOfExam(ctx, exam.ID, at)
		if err != nil {
			return err
		}
		p.board.Order.RLock()
		for _, s := range list {
			if p.access.Load().Sees(p.board.newestGroups(s).List) {
				sessions = append(sessions, s)
			}
		}
		p.board.Order.RUnlock()
		if next != "" && len(sessions) < p.board.env.Rows {
			at.After = next
			continue
		}
		p.board.Order.Lock()
		now := p.board.env.Now()
		rows := make([]protocol.Row, 0, len(sessions))
		access := p.access.Load()
		for _, s := range sessions {
			groups := p.board.newestGroups(s)
			if !access.Sees(groups.List) { // any more
				continue
			}
			r := p.board.liveRow(s, exam.Policy, now, answers[s.ID], gaps[s.ID])
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
		p.board.Order.Unlock()
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
func (b *Board) liveRow(s vigil.Session, policy vigil.Policy, now time.Time, answers []protocol.Progress, gaps []vigil.Gap) protocol.Row {
	page := b.env.Live.Overlay(&s)
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
func (b *Board) openAnswers(ctx context.Context) (map[string][]protocol.Progress, error) {
	out := map[string][]protocol.Progress{}
	n := 0
	pages := vigil.Pages(func(page vigil.Page) ([]vigil.Command, string, error) {
		return b.env.Store.CommandsOfExam(ctx, b.exam, b.env.Now().Add(-answersSince), page)
	})
	for commands, err := range pages {
		if err != nil {
			return nil, err
		}
		for _, c := range commands {
			switch c.LMS.State {
			case vigil.LMSWaiting, vigil.LMSRefused, vigil.LMSFailed, vigil.LMSUnknown:
			default:
				if b.env.Now().Sub(c.At) > answersRecent {
					continue
				}
			}
			out[c.SessionID] = lists.Newest(append(out[c.SessionID], protocol.ProgressOf(c)), answersPerRow)
			n++
		}
		if n >= answersPerExam {
			break
		}
	}
	return out, nil
}

// ledgers reads the gaps of an exam, by session and in order.
func (b *Board) ledgers(ctx context.Context) (map[string][]vigil.Gap, error) {
	out := map[string][]vigil.Gap{}
	for g, err := range vigil.EachOf(ctx, b.env.Store.GapsOfExam, b.exam) {
		if err != nil {
			return nil, err
		}
		out[g.SessionID] = append(out[g.SessionID], g)
	}
	return out, nil
}

// learnGroups reads the groups of all students of the exam, so that what is told from then on
// can be given to those who see only some.
func (b *Board) learnGroups(ctx context.Context) error {
	pages := vigil.Pages(func(page vigil.Page) ([]vigil.Session, string, error) {
		return b.env.Store.SessionsOfExam(ctx, b.exam, page)
	})
	for sessions, err := range pages {
		if err != nil {
			return err
		}
		b.Order.RLock()
		for _, s := range sessions {
			b.newestGroups(s)
		}
		b.Order.RUnlock()
	}
	return nil
}
