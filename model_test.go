package vigil

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// platformModel is how our plugin keeps an attempt's time, by its own clock and in whole
// seconds (docs/assertion.md).
type platformModel struct {
	ahead    time.Duration // its clock before ours
	end      time.Time
	paused   time.Time // zero: running
	done     map[string]bool
	requests []string
}

func (m *platformModel) clock(now time.Time) time.Time { return now.Add(m.ahead).Truncate(time.Second) }

func (m *platformModel) status() string {
	if m.paused.IsZero() {
		return StatusRunning
	}
	return StatusPaused
}

// control does a request, once.
func (m *platformModel) control(d Delivery, now time.Time) Result {
	out := Result{State: LMSAccepted, Applied: AppliedNow}
	standing := d.Action == ActionPause && !m.paused.IsZero() || d.Action == ActionResume && m.paused.IsZero()
	switch at := m.clock(now); {
	case m.done[d.ID] || standing:
		out.Applied = AppliedBefore
	case d.Action == ActionPause:
		m.paused = at
	case d.Action == ActionResume:
		m.end, m.paused = m.end.Add(at.Sub(m.paused)), time.Time{}
	case d.Action == ActionUpdate:
		m.end = m.end.Add(time.Duration(d.ExtraMinutes) * time.Minute)
	}
	if !m.done[d.ID] && d.Action != ActionPause {
		m.requests = append(m.requests, d.ID)
	}
	m.done[d.ID] = true
	out.Status = m.status()
	return out
}

// page is what a page says that is served now.
func (m *platformModel) page(now time.Time) Report {
	return Report{Version: 2, At: now.Add(m.ahead), End: m.end, PausedAt: m.paused, Requests: slices.Clone(m.requests)}
}

// TestBothSidesAgreeOnTheEnd plays commands, requests whose answers are lost, or that never
// reach the platform, and pages that arrive late, again and in any order, with clocks up to a
// minute apart. When nothing is on its way any more, both sides have the same state, and the
// same end but for the time that requests took; a page that is served then makes it exact.
func TestBothSidesAgreeOnTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy()
		s := running()
		s.End = t0.Add(12 * time.Hour)
		m := &platformModel{
			ahead: time.Duration(rapid.IntRange(-60_000, 60_000).Draw(t, "ms by which the platform's clock is ahead")) * time.Millisecond,
			end:   s.End, done: map[string]bool{},
		}
		s.EndSeen = t0.Add(m.ahead)
		now := t0
		var queue []entry
		var pages []Report
		var slack time.Duration // by which the ends may differ until a page is read
		unsure := false         // nobody here can know how it stands there until a page is read
		n := 0
		id := func() string { n++; return fmt.Sprintf("request-%04d", n) }
		trace := func(what string) {
			t.Logf("%v %s: here %s, end +%v, %d pauses; there %s, end +%v", now.Sub(t0), what, s.State, s.Deadline(p).Sub(t0), len(s.Pauses), m.status(), m.end.Sub(t0))
		}
		command := func(kind CommandKind) {
			c := Command{ID: fmt.Sprintf("command-%04d", n+1), Kind: kind}
			if kind == CommandExtend {
				c.Time = time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second
			}
			plan, err := s.Do(p, c, now, id())
			if err != nil {
				return // a resumption of what is running, say
			}
			s = plan.Session
			if plan.Delivery != nil {
				queue = append(queue, entry{plan.Command, *plan.Delivery})
			}
			trace(string(kind))
		}
		read := func(r Report) {
			if next, news := s.Told(r, p, now); news {
				s = next
			}
			trace(fmt.Sprintf("page of %v, end +%v, paused %v, holds %v", r.At.Sub(t0), r.End.Sub(t0), !r.PausedAt.IsZero(), r.Requests))
		}
		// send makes one try of the first request: it is answered, its answer is lost, or it
		// does not get there, for the last time or not.
		send := func(outcomes ...string) {
			if len(queue) == 0 {
				return
			}
			e := &queue[0]
			e.d = s.Prepare(e.d)
			var r Result
			outcome := rapid.SampledFrom(outcomes).Draw(t, "outcome")
			switch {
			case e.d.Action == ActionUpdate && e.d.ExtraMinutes == 0:
				r = Result{State: LMSAccepted}
			case outcome == "lost":
				m.control(e.d, now)
				r = Result{State: LMSUnknown, Retry: true}
			case outcome == "unreachable":
				r = Result{State: LMSFailed, Retry: true}
			case outcome == "unknown for good":
				if rapid.Bool().Draw(t, "it did it") {
					m.control(e.d, now)
				}
				r, unsure = Result{State: LMSUnknown}, true
			case outcome == "given up":
				r = Result{State: LMSFailed}
				if e.d.Sent {
					r.Retry = true
				}
			default:
				r = m.control(e.d, now)
			}
			slack += time.Second // each side counts in its own seconds
			if e.d.Action != ActionUpdate {
				slack += now.Sub(e.cmd.At)
			}
			trace(outcome + " " + string(e.cmd.Kind))
			// What comes meanwhile is read before the answer.
			for range rapid.IntRange(0, 2).Draw(t, "pages read before the answer") {
				if len(pages) > 0 {
					read(rapid.SampledFrom(pages).Draw(t, "page"))
				}
				if rapid.Bool().Draw(t, "one is served") {
					pages = append(pages, m.page(now))
				}
			}
			d, a := e.d.Settle(r, true, now)
			d.Tries = min(d.Tries, MaxTries-2)
			s, e.cmd, _ = s.Answer(e.cmd, d, a, now)
			s = s.Settled(p, now)
			e.d = d
			if d.State == DeliveryDone {
				queue = queue[1:]
			}
			trace("answer " + string(a.State) + " to " + string(e.cmd.Kind))
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 7: // a teacher lets the attempt go on
				if !m.paused.IsZero() {
					m.end, m.paused, unsure = m.end.Add(m.clock(now).Sub(m.paused)), time.Time{}, true
					trace("let go on there")
				}
			case 0:
				command(CommandPause)
			case 1:
				command(CommandResume)
			case 2:
				command(CommandExtend)
			case 3, 4:
				send("answered", "answered", "lost", "unreachable", "given up", "unknown for good")
			case 5:
				pages = append(pages, m.page(now))
			case 6:
				if len(pages) > 0 {
					read(rapid.SampledFrom(pages).Draw(t, "page"))
				}
			}
		}
		for len(queue) > 0 {
			now = now.Add(time.Duration(rapid.IntRange(1, 5_000).Draw(t, "ms")) * time.Millisecond)
			send("answered")
		}
		for _, r := range pages { // late
			read(r)
		}
		agree := func(when string) {
			if here := map[State]string{StateActive: StatusRunning, StatePaused: StatusPaused}[s.State]; here != m.status() {
				t.Fatalf("%s: here %s, there %s", when, s.State, m.status())
			}
		}
		if !unsure {
			agree("at rest")
		}
		if apart := s.Deadline(p).Sub(m.end).Abs(); !unsure && apart > slack {
			t.Fatalf("at rest: the end here is +%v, there +%v, apart by %v, want at most %v", s.Deadline(p).Sub(t0), m.end.Sub(t0), apart, slack)
		}
		now = now.Add(3 * time.Minute)
		read(m.page(now))
		agree("after a fresh page")
		for _, r := range pages {
			read(r)
		}
		if got := s.Deadline(p); !got.Equal(m.end) {
			t.Fatalf("after a fresh page: the end here is +%v, there +%v", got.Sub(t0), m.end.Sub(t0))
		}
	})
}
