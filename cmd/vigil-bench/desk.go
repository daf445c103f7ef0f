//go:build linux

package main

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// desk is what a student has open on an exam day: a page of the quiz, and lines that wait for
// their acknowledgement. Its zero value is the one page of the other scenarios.
type desk struct {
	busy   atomic.Bool  // a page is being turned
	away   atomic.Bool  // the network is down
	opened atomic.Int64 // on the worker's clock, when the last socket was begun
	turned atomic.Int64 // when the page's first one was
	handed atomic.Int64 // when the attempt was handed in; 0: it was not

	mu        sync.Mutex
	number    int // of the page; 0: there is no exam day
	stamp     string
	doc       string // the page's id
	began     time.Duration
	receipted bool
	waiting   map[string][]byte // lines, by id
}

// turn opens the next page.
func (d *desk) turn(stamp string, now time.Duration) (number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	d.stamp, d.doc, d.began, d.receipted = stamp, rand.Text(), now, false
	d.turned.Store(int64(now))
	return d.number
}

func (d *desk) pageNumber() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.number
}

// page appends what a hello says of the page.
func (d *desk) page(b []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b = strconv.AppendInt(append(b, `,"page":`...), int64(max(1, d.number)), 10)
	if d.number == 0 {
		return b
	}
	if d.stamp != "" {
		b = append(append(append(b, `,"stamp":"`...), d.stamp...), '"')
	}
	return append(b, `,"can":["alive"]`...)
}

// write keeps a line until it is acknowledged.
func (d *desk) write(id string, line []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = map[string][]byte{}
	}
	d.waiting[id] = line
}

func (d *desk) acked(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, id)
}

// lines are those that are not acknowledged.
func (d *desk) lines() (out [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.waiting {
		out = append(out, line)
	}
	return out
}

// alive answers the server's question with the totals of a page that is shown and in front.
func (d *desk) alive(id string, given int, now time.Duration) protocol.AliveUp {
	d.mu.Lock()
	defer d.mu.Unlock()
	shown := (now - d.began).Milliseconds()
	return protocol.AliveUp{
		T: protocol.TypeAlive, ID: id, Doc: d.doc, Pages: int64(d.number), Visible: shown, Focus: 1, Focused: shown, Given: int64(given),
	}
}

// answer answers the server's question to the monitor.
func (s *student) answer(sock *socket, f []byte) {
	var a protocol.Alive
	if s.w.day == nil || json.Unmarshal(f, &a) != nil {
		return
	}
	s.w.day.alives.Add(1)
	if err := sock.send(opText, protocol.Encode(s.desk.alive(a.ID, s.box.given(), s.w.now()))); err != nil {
		sock.cut(false) // the reader goes on from here
	}
}

// receipt counts the first one of each page apart.
func (s *student) receipt() {
	d := s.w.day
	if d == nil {
		return
	}
	d.receipts.Add(1)
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	if !s.desk.receipted {
		s.desk.receipted = true
		d.vouched.Add(1)
	}
}

// welcomed takes what a welcome brings that came while there was no connection.
func (s *student) welcomed(f []byte, now time.Duration) {
	if s.w.day == nil {
		return
	}
	eachField(f, func(name, v []byte) bool {
		switch string(name) {
		case "commands":
			eachFrame(v, func(c []byte) { s.commanded(c, now) })
		case "chat":
			eachFrame(v, func(c []byte) { s.chatted(c, now) })
		}
		return true
	})
}

// commanded takes a command and says that it was seen.
func (s *student) commanded(f []byte, now time.Duration) {
	d := s.w.day
	if d == nil {
		return
	}
	id := idOf(f)
	d.reached(id, s, nil, now)
	if sock := s.socket(); sock != nil {
		if err := sock.send(opText, protocol.Encode(protocol.SeenUp{T: protocol.TypeSeen, ID: id})); err != nil {
			sock.cut(false) // the reader goes on from here
		}
	}
}

func (s *student) chatted(f []byte, now time.Duration) {
	if s.w.day != nil {
		s.w.day.reached(idOf(f), s, nil, now)
	}
}

func (p *proctor) chatted(f []byte, now time.Duration) {
	if p.w.day != nil {
		p.w.day.reached(idOf(f), nil, p, now)
	}
}

// progress takes how far a command got.
func (p *proctor) progress(f []byte, now time.Duration) {
	d := p.w.day
	if d == nil {
		return
	}
	var pr protocol.Progress
	if json.Unmarshal(f, &pr) == nil && pr.Stage == vigil.StageSeen {
		d.confirmed(pr.ID, p, now)
	}
}

func idOf(f []byte) (id string) {
	eachField(f, func(name, v []byte) bool {
		if string(name) == "id" {
			id = string(text(v))
			return false
		}
		return true
	})
	return id
}

// sight is what a proctor's dashboard shows of a student.
type sight struct {
	page int
	over bool // the attempt has ended
}

// glance is what an exam day looks at in a row.
type glance struct {
	ID   string `json:"id"`
	Conn *struct {
		C    vigil.Connection `json:"c"`
		Page int              `json:"page"`
	} `json:"conn"`
	Life *struct {
		State vigil.State `json:"state"`
	} `json:"life"`
}

// look looks at a changed row; p.seen is held.
func (p *proctor) look(f []byte, now time.Duration) {
	eachField(f, func(name, v []byte) bool {
		if string(name) == "row" {
			p.lookAt(v, now)
			return false
		}
		return true
	})
}

// lookAt looks at a row; now is negative for one of a snapshot, which tells nothing of how soon.
func (p *proctor) lookAt(row []byte, now time.Duration) {
	var g glance
	if json.Unmarshal(row, &g) != nil {
		return
	}
	i, ok := p.exam.find([]byte(g.ID))
	if !ok {
		return
	}
	d, s, seen := p.w.day, p.exam.students[i], &p.sights[i]
	if g.Conn != nil && g.Conn.Page > seen.page {
		seen.page = g.Conn.Page
		if now >= 0 && seen.page == s.desk.pageNumber() && seen.page > 1 {
			d.turned.add(now - time.Duration(s.desk.turned.Load()))
		}
	}
	// The peers know no end of an attempt but that of its connection.
	over := g.Life != nil && g.Life.State.Ended() || s.seat == nil && g.Conn != nil && g.Conn.C == vigil.ConnLost
	if at := time.Duration(s.desk.handed.Load()); over && at > 0 && !seen.over {
		seen.over = true
		if now >= 0 {
			d.handed.add(now - at)
		}
	}
}
