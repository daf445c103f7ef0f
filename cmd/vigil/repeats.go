package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Bounds of what is written of one kind of fault.
const (
	repeatsAtOnce = 3                // lines that are written as they come
	repeatsOften  = 10 * time.Second // between two lines in the first minute, and until the end of a series is told
	repeatsSeldom = time.Minute      // between two lines later, and until a kind that is quiet is forgotten
	repeatsTick   = time.Second
	maxKinds      = 200 // that differ in more than level and message
)

// kindAttrs are the attributes by which faults of the same message differ in kind. Their
// values are few: none of them names a person, an attempt or a request.
var kindAttrs = map[string]bool{
	"action": true, "answer": true, "check": true, "code": true, "doing": true, "key": true, "kind": true,
	"platform": true, "route": true, "stage": true, "status": true, "what": true, "why": true,
}

// repeats is a slog.Handler for which an outage is a few lines a minute: what happens to
// each student and at each try is the same fault many times, and its lines may go to the
// very disk that is full.
//
// Counted are lines at WARN and above, and lines at INFO with an error; all others are
// written as they come. Two are of one kind if level, message and kindAttrs are the same,
// and at ERROR the error's text, too, as normal makes it. The first three of a kind are
// written; then one line at most each 10 seconds, after a minute one each minute, which is
// the last of what it stands for, with repeated (how many, itself included) and in (since
// the line before). Lines without repeated, and the sum of repeated, are exactly what happened.
type repeats struct {
	next  slog.Handler
	with  string // kind of the attributes given by WithAttrs
	kinds *kindTable
}

// kindTable is what all handlers of a logger share. mu is held while a line is written, so
// that lines of a kind are in order; no other lock of ours is taken within.
type kindTable struct {
	mu     sync.Mutex
	kinds  map[string]*repeated
	closed bool // everything is written as it comes
}

// repeated is a kind of fault that was seen a short while ago.
type repeated struct {
	next  slog.Handler
	began time.Time
	told  time.Time // the last line
	lines int
	last  slog.Record
	seen  time.Time
	count int // not told yet
}

// newRepeats counts what repeats on its way to next. stop tells what was not told yet, and
// ends the goroutine that tells the end of a series; later lines are written as they come.
func newRepeats(next slog.Handler) (h *repeats, stop func()) {
	h = &repeats{next: next, kinds: &kindTable{kinds: map[string]*repeated{}}}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(repeatsTick)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				h.kinds.tell(time.Now())
			}
		}
	}()
	return h, sync.OnceFunc(func() {
		close(end)
		<-ended
		h.kinds.close()
	})
}

// Enabled implements slog.Handler.
func (h *repeats) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := h.with
	for _, a := range attrs {
		with += kindOf(a)
	}
	return &repeats{next: h.next.WithAttrs(attrs), with: with, kinds: h.kinds}
}

// WithGroup implements slog.Handler.
func (h *repeats) WithGroup(name string) slog.Handler {
	return &repeats{next: h.next.WithGroup(name), with: h.with, kinds: h.kinds}
}

// Handle implements slog.Handler.
func (h *repeats) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.next.Handle(ctx, r)
	}
	plain := r.Level.String() + " " + r.Message
	kind, failed := plain+h.with, ""
	r.Attrs(func(a slog.Attr) bool {
		kind += kindOf(a)
		if a.Key == "error" {
			failed = " error=" + normal(a.Value.Resolve().String())
		}
		return true
	})
	if r.Level < slog.LevelWarn && failed == "" {
		return h.next.Handle(ctx, r)
	}
	if r.Level >= slog.LevelError {
		kind += failed
	}
	t := h.kinds
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return h.next.Handle(ctx, r)
	}
	now := time.Now()
	e := t.kinds[kind]
	if e == nil && len(t.kinds) >= maxKinds {
		kind = plain // messages are constants of the program, so that this ends
		e = t.kinds[kind]
	}
	if e == nil {
		e = &repeated{began: now, told: now}
		t.kinds[kind] = e
	}
	e.next, e.last, e.seen = h.next, r.Clone(), now
	e.count++
	if e.lines < repeatsAtOnce || e.due(now) {
		return e.tell(now)
	}
	return nil
}

// tell writes what is due, and forgets the kinds that are quiet.
func (t *kindTable) tell(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, e := range t.kinds {
		quiet := now.Sub(e.seen)
		if e.count > 0 && (e.due(now) || quiet >= repeatsOften) {
			_ = e.tell(now) // as slog.Logger does: there is nowhere to say it
		}
		if e.count == 0 && quiet >= repeatsSeldom {
			delete(t.kinds, kind)
		}
	}
}

// close writes what was not told.
func (t *kindTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.kinds {
		if e.count > 0 {
			_ = e.tell(time.Now()) // as slog.Logger does: there is nowhere to say it
		}
	}
	t.kinds, t.closed = nil, true
}

// due tells whether it is time for the next line.
func (e *repeated) due(now time.Time) bool {
	every := repeatsSeldom
	if now.Sub(e.began) < repeatsSeldom {
		every = repeatsOften
	}
	return now.Sub(e.told) >= every
}

// tell writes one line for all that came since the line before.
func (e *repeated) tell(now time.Time) error {
	if e.count > 1 {
		e.last.AddAttrs(slog.Int("repeated", e.count), slog.Duration("in", now.Sub(e.told)))
	}
	e.told, e.count = now, 0
	e.lines++
	return e.next.Handle(context.Background(), e.last)
}

// kindOf is an attribute's part of a kind.
func kindOf(a slog.Attr) string {
	if !kindAttrs[a.Key] {
		return ""
	}
	return " " + a.Key + "=" + short(a.Value.Resolve().String())
}

// normal leaves of an error's text what is the same each time: a word with a digit (an id,
// an address, a number, a moment) is a #.
func normal(text string) string {
	word := func(c rune) bool {
		return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-_./:", c)
	}
	var b strings.Builder
	for text = short(text); text != ""; {
		n := strings.IndexFunc(text, func(c rune) bool { return !word(c) })
		switch n {
		case -1:
			n = len(text)
		case 0:
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		if strings.ContainsFunc(text[:n], unicode.IsDigit) {
			b.WriteByte('#')
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}
