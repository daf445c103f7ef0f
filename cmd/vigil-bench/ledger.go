//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept from a microsecond to ten minutes, three digits exact.
const (
	histLowest  = 1
	histHighest = int64(10 * time.Minute / time.Microsecond)
	histDigits  = 3
)

// histogram counts durations; several may count at once.
type histogram struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newHistogram() *histogram {
	return &histogram{h: hdrhistogram.New(histLowest, histHighest, histDigits)}
}

func (h *histogram) add(d time.Duration) {
	us := min(max(d.Microseconds(), histLowest), histHighest)
	h.mu.Lock()
	_ = h.h.RecordValue(us) // it lies within the bounds
	h.mu.Unlock()
}

func (h *histogram) export() *hdrhistogram.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.h.Export()
}

func (h *histogram) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.h.Reset()
}

// spread is what a histogram says, in milliseconds.
type spread struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// merged puts the histograms of several workers together.
func merged(list ...*hdrhistogram.Snapshot) spread {
	all := hdrhistogram.New(histLowest, histHighest, histDigits)
	for _, s := range list {
		if s != nil {
			all.Merge(hdrhistogram.Import(s))
		}
	}
	ms := func(us int64) float64 { return float64(us) / 1000 }
	if all.TotalCount() == 0 {
		return spread{}
	}
	return spread{
		Count: all.TotalCount(), P50: ms(all.ValueAtQuantile(50)), P90: ms(all.ValueAtQuantile(90)), P99: ms(all.ValueAtQuantile(99)),
		P999: ms(all.ValueAtQuantile(99.9)), Max: ms(all.Max()),
	}
}

// mark is one signal of a student.
type mark struct {
	sent     time.Duration // on the worker's clock, when it was written; the first time
	acked    bool
	again    bool // it was sent more than once: proctors may see it more than once
	measured bool // its latency counts
	what     what
	page     int // of the quiz
}

// what is what a signal tells.
type what uint8

// The kinds of signals that students give.
const (
	whatCopy  what = iota // no incident
	whatAway              // an absence that is an incident
	whatTurn              // a page was turned
	whatHand              // the hand is up
	whatLower             // and down
)

// outbox is what a student's stream holds: signal n is marks[n-1].
type outbox struct {
	mu    sync.Mutex
	marks []mark
	acked int
}

// give numbers a new signal.
func (o *outbox) give(m mark) (seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.marks = append(o.marks, m)
	return int64(len(o.marks))
}

// acknowledge takes an acknowledgement; fresh is false for a repeated one or one for what
// was never given.
func (o *outbox) acknowledge(seq int64) (m mark, fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seq < 1 || seq > int64(len(o.marks)) || o.marks[seq-1].acked {
		return mark{}, false
	}
	o.marks[seq-1].acked = true
	o.acked++
	return o.marks[seq-1], true
}

func (o *outbox) mark(seq int64) (mark, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seq < 1 || seq > int64(len(o.marks)) {
		return mark{}, false
	}
	return o.marks[seq-1], true
}

// repeat is a signal that is about to be sent again, unless it was acknowledged meanwhile.
func (o *outbox) repeat(seq int64) (m mark, waits bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seq < 1 || seq > int64(len(o.marks)) || o.marks[seq-1].acked {
		return mark{}, false
	}
	o.marks[seq-1].again = true
	return o.marks[seq-1], true
}

func (o *outbox) given() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.marks)
}

// waiting counts what is not acknowledged, from a number on.
func (o *outbox) waiting(from int) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.acked == len(o.marks) {
		return 0
	}
	for i := from; i < len(o.marks); i++ {
		if !o.marks[i].acked {
			n++
		}
	}
	return n
}

// unacked are the numbers that a reconnect sends again; they are marked so.
func (o *outbox) unacked() []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []int64
	for i := range o.marks {
		if !o.marks[i].acked {
			o.marks[i].again = true
			out = append(out, int64(i+1))
		}
	}
	return out
}

// verdict is what the check of the sequence numbers found.
type verdict struct {
	Expected int64 // deliveries that there should be
	Missing  int64 // never came
	Doubled  int64 // came again though sent once
	Repeated int64 // came again, and were sent again: dashboards tell them by their number
	Disorder int64 // came after a later one
	Foreign  int64 // of nobody, or of a number never given
	Examples []string
}

func (v *verdict) add(o verdict) {
	v.Expected += o.Expected
	v.Missing += o.Missing
	v.Doubled += o.Doubled
	v.Repeated += o.Repeated
	v.Disorder += o.Disorder
	v.Foreign += o.Foreign
	for _, e := range o.Examples {
		v.example("%s", e)
	}
}

func (v *verdict) bad() int64 { return v.Missing + v.Doubled + v.Disorder + v.Foreign }

func (v *verdict) example(format string, args ...any) {
	if len(v.Examples) < 5 {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// view is what one proctor has seen of one student.
type view struct {
	counts []uint8 // by number
	last   int64   // the highest number so far
}

// see counts a delivery; disorder says that a later one came before. A repeat is never
// out of order.
func (v *view) see(seq int64) (first, disorder bool) {
	for int64(len(v.counts)) < seq {
		v.counts = append(v.counts, 0)
	}
	first = v.counts[seq-1] == 0
	if v.counts[seq-1] < 255 {
		v.counts[seq-1]++
	}
	disorder = first && seq < v.last
	v.last = max(v.last, seq)
	return first, disorder
}

// judge compares what a proctor saw of a student with what that one gave, from a number
// on.
func (v *view) judge(o *outbox, from int, who string, out *verdict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := from; i < len(o.marks); i++ {
		out.Expected++
		n := uint8(0)
		if i < len(v.counts) {
			n = v.counts[i]
		}
		switch {
		case n == 0:
			out.Missing++
			out.example("signal %d of %s never came to a proctor", i+1, who)
		case n > 1 && o.marks[i].again:
			out.Repeated += int64(n - 1)
		case n > 1:
			out.Doubled += int64(n - 1)
			out.example("signal %d of %s came %d times to a proctor", i+1, who, n)
		}
	}
}
