//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Way is how connections are cut.
type Way string

// The ways.
const (
	WayReset  Way = "rst"    // as when a machine has forgotten the connection
	WayFinish Way = "fin"    // as when a browser's process ends
	WaySilent Way = "silent" // the path is dropped; nobody says anything
)

// CutArgs cuts some students off.
type CutArgs struct {
	Count int
	Way   Way
	Over  time.Duration // evenly spread over this time
	Limit time.Duration // until proctors must have been told
}

// CutReply is when the proctors were told, from the moment of the cut.
type CutReply struct {
	Cut    int
	Told   int                    // that they are degraded or lost, of Cut times the proctors
	First  *hdrhistogram.Snapshot // either
	Lost   *hdrhistogram.Snapshot // that they are lost
	Gone   int                    // told as lost
	Wanted int
}

// Cut cuts students off, who do not come back, and waits until the proctors know.
func (w *Worker) Cut(a CutArgs, r *CutReply) error {
	w.comeBack.Store(false)
	w.cutting.Store(true)
	order := shuffled(w.students)
	if a.Count > len(order) {
		return fmt.Errorf("there are only %d students to cut off", len(order))
	}
	order = order[:a.Count]
	from := w.now()
	for i, s := range order {
		if wait := from + a.Over*time.Duration(i)/time.Duration(len(order)) - w.now(); wait > 0 && !sleep(w.ctx, wait) {
			return w.ctx.Err()
		}
		sock := s.socket()
		if sock == nil {
			return errors.New("a student had lost the connection before it was cut")
		}
		s.stop.Store(true)
		s.cutAt.Store(int64(w.now()))
		switch a.Way {
		case WayReset:
			sock.cut(true)
		case WayFinish:
			sock.cut(false)
		case WaySilent:
			s.line.drop(sock.c)
		default:
			return fmt.Errorf("there is no way %q", a.Way)
		}
	}
	r.Cut = a.Count
	end := time.Now().Add(a.Limit)
	for {
		first, lost := newHistogram(), newHistogram()
		r.Told, r.Gone, r.Wanted = 0, 0, 0
		for _, s := range order {
			for _, p := range s.exam.proctors {
				r.Wanted++
				p.seen.Lock()
				t := p.told[s.index]
				p.seen.Unlock()
				if t.lost > 0 {
					r.Gone++
					lost.add(t.lost)
				}
				if t.degraded == 0 || t.lost > 0 && t.lost < t.degraded {
					t.degraded = t.lost
				}
				if t.degraded > 0 {
					r.Told++
					first.add(t.degraded)
				}
			}
		}
		r.First, r.Lost = first.export(), lost.export()
		if r.Told == r.Wanted && r.Gone == r.Wanted || time.Now().After(end) {
			return nil
		}
		if !sleep(w.ctx, 50*time.Millisecond) {
			return w.ctx.Err()
		}
	}
}

// ArmArgs names the node that is about to die.
type ArmArgs struct {
	Node   int
	Return bool // the same node comes back; else its students go to the others
}

// Arm makes the students of a node come back when it dies.
func (w *Worker) Arm(a ArmArgs, armed *int) error { //nolint:unparam // net/rpc wants an error
	w.comeBack.Store(true)
	w.mu.Lock()
	w.dead[a.Node] = !a.Return
	clear(w.retries)
	w.mu.Unlock()
	for _, s := range w.students {
		s.mu.Lock()
		there := s.node == a.Node
		s.mu.Unlock()
		if there {
			s.tries.Store(0)
			s.cutAt.Store(int64(w.now()))
			*armed++
		}
	}
	return nil
}

// StormArgs says when the node died.
type StormArgs struct {
	Died  int64 // Unix nanoseconds
	Limit time.Duration
}

// StormReply is how the students came back.
type StormReply struct {
	Armed     int
	Back      *hdrhistogram.Snapshot // from the node's death until something new was acknowledged
	Returned  int
	Tries     int64
	Peak      int // tries in the busiest tenth of a second
	Unacked   int
	Exchanges int64
	Notes     []string
}

// Storm waits until everybody whose node died is back.
func (w *Worker) Storm(a StormArgs, r *StormReply) error {
	died := w.at(a.Died)
	exchanges := w.exchanges.Load()
	end := time.Now().Add(a.Limit)
	for {
		back := newHistogram()
		r.Armed, r.Returned, r.Tries, r.Unacked = 0, 0, 0, 0
		for _, s := range w.students {
			if s.cutAt.Load() == 0 {
				continue
			}
			r.Armed++
			r.Tries += s.tries.Load()
			r.Unacked += s.box.waiting(0)
			if at := time.Duration(s.backAt.Load()); at > 0 {
				r.Returned++
				back.add(at - died)
			}
		}
		r.Back = back.export()
		if r.Returned == r.Armed && r.Unacked == 0 || time.Now().After(end) {
			break
		}
		if !sleep(w.ctx, 20*time.Millisecond) {
			return w.ctx.Err()
		}
	}
	r.Exchanges = w.exchanges.Load() - exchanges
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.retries {
		r.Peak = max(r.Peak, n)
	}
	r.Notes = append([]string(nil), w.notes...)
	return nil
}

// DashboardArgs opens a dashboard again and again while signals come in.
type DashboardArgs struct {
	Rounds int
	Rate   float64 // signals a second meanwhile
}

// DashboardReply is how long it took from the first byte sent.
type DashboardReply struct {
	Snapshot, Delta *hdrhistogram.Snapshot
	Rows            int
	Bytes           int64 // of the last snapshot, and what came with it
}

// Dashboard opens the first exam's first proctor's socket again and again.
func (w *Worker) Dashboard(a DashboardArgs, r *DashboardReply) error {
	p := w.exams[0].proctors[0]
	w.comeBack.Store(false)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		order := shuffled(w.exams[0].students)
		var buf []byte
		for k := 0; ; k++ {
			buf, _ = order[k%len(order)].give(buf, false)
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(float64(time.Second) / a.Rate)):
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	snapshot, delta := newHistogram(), newHistogram()
	for range a.Rounds {
		if sock := p.socket(); sock != nil {
			sock.cut(false)
		}
		for p.socket() != nil {
			if !sleep(w.ctx, time.Millisecond) {
				return w.ctx.Err()
			}
		}
		for _, c := range []chan time.Duration{p.whole, p.firstUp} {
			select {
			case <-c:
			default:
			}
		}
		p.seen.Lock()
		p.bytes, p.waiting = 0, false
		p.seen.Unlock()
		p.forget() // opening the page gets a token, too
		from := w.now()
		if err := p.connect(w.ctx); err != nil {
			return err
		}
		snapshot.add(<-p.whole - from)
		select {
		case at := <-p.firstUp:
			delta.add(at - from)
		case <-time.After(upgradeTime):
			return errors.New("no delta came after the snapshot")
		}
		p.seen.Lock()
		r.Rows, r.Bytes = p.rows, p.bytes
		p.seen.Unlock()
	}
	r.Snapshot, r.Delta = snapshot.export(), delta.export()
	return nil
}
