package realtime_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/realtime"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// asked makes the minute short.
func asked(c *realtime.Config) {
	c.Liveness = calm
	c.Liveness.PingEvery, c.Liveness.PongWait = 50*time.Millisecond, 40*time.Millisecond
	c.AliveEvery, c.AliveWait, c.HoleWait = 150*time.Millisecond, 40*time.Millisecond, 50*time.Millisecond
}

// silences are the data of a session's monitor_silent, with a mark where it is an incident.
func (r *rig) silences(session string) []string {
	r.Helper()
	var out []string
	for _, s := range r.stored(session) {
		if s.Kind != vigil.KindMonitorSilent {
			continue
		}
		var d struct {
			Missed int    `json:"missed"`
			Why    string `json:"why"`
		}
		r.ok(json.Unmarshal(s.Data, &d))
		out = append(out, strings.TrimSpace(fmt.Sprint(d.Missed, " ", d.Why, map[bool]string{true: " incident"}[s.Incident])))
	}
	return out
}

const canHello = `{"t":"hello","stream":"abcdefghijklmnop","next":1,"can":["alive"]}`

// word is what a monitor says; id "" is none.
func word(id, doc string, visible, hidden, given int64, more string) string {
	return fmt.Sprintf(`{"t":"alive","id":%q,"doc":%q,"pages":1,"visible":%d,"hidden":%d,"focus":1,"focused":0,"given":%d%s}`, id, doc, visible, hidden, given, more)
}

func (w *wire) asked() string {
	w.r.Helper()
	var a protocol.Alive
	w.next(protocol.TypeAlive, &a)
	return a.ID
}

func TestAMonitorThatAnswersIsKnownByItsTotals(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	p := r.proctor()
	s := r.session(proctored)
	st := r.student(s)
	r.until("answers", func() bool { m := p.Row(s.ID).Monitor; return m != nil && m.State == vigil.MonitorAnswers })
	st.Signal(vigil.KindCopy, 0, nil)
	time.Sleep(500 * time.Millisecond)
	st.Turn(2)
	time.Sleep(400 * time.Millisecond)
	st.Bye(vigil.ByeClosing)
	r.until("stored when it left", func() bool {
		m := r.read(s.ID).Monitor
		return m.State == vigil.MonitorAnswers && m.Pages == 2 && m.Given == 1 && m.Visible > 300*time.Millisecond && m.Visible == m.Focused
	})
	if got := r.silences(s.ID); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestAMonitorThatDoesNotAnswerIsANoteAndThenAnIncident(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	p := r.proctor()
	s := r.session(proctored)
	r.student(s, func(c *client.Config) { c.Mute = true })
	r.until("note", func() bool { return len(r.silences(s.ID)) == 1 })
	r.until("incident", func() bool { return len(r.silences(s.ID)) == 2 })
	time.Sleep(800 * time.Millisecond)
	if got := strings.Join(r.silences(s.ID), ", "); got != "1, 3 silent incident" {
		t.Errorf("got %q, want a note and one incident", got)
	}
	m := p.Row(s.ID).Monitor
	if m == nil || m.State != vigil.MonitorSilent || m.Since == 0 || r.read(s.ID).Monitor.State != vigil.MonitorSilent {
		t.Errorf("got %+v, want silent since the first question", m)
	}
	if got := p.Connection(s.ID); got != vigil.ConnOnline {
		t.Errorf("connection: got %s, want online: it answers pings", got)
	}
}

func TestComingAgainDoesNotMakeASilentMonitorHonest(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	s := r.session(proctored)
	st := r.student(s, func(c *client.Config) { c.Mute = true })
	for n := 0; len(r.silences(s.ID)) < 2 && n < 60; n++ {
		time.Sleep(200 * time.Millisecond)
		st.Turn(n + 2)
	}
	if got := strings.Join(r.silences(s.ID), ", "); got != "1, 3 silent incident" {
		t.Errorf("got %q, want a note and one incident", got)
	}
}

func TestTheTimeOfASilentMonitorIsNotWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	s := r.session(proctored)
	st := r.student(s, func(c *client.Config) { c.Mute = true })
	r.until("silent", func() bool { return len(r.silences(s.ID)) == 2 })
	r.until("nothing reports", func() bool { return r.read(s.ID).Presence.Reports.IsZero() })
	st.Turn(2) // the next page of a silent monitor is not watched either
	r.until("back", func() bool { p := r.read(s.ID).Presence; return p.Connection == vigil.ConnOnline && p.Epoch > 1 })
	if v := r.read(s.ID); !v.Presence.Reports.IsZero() || v.Presence.Watched > v.OpenFor(time.Now())/2 && v.Presence.Watched > time.Second {
		t.Errorf("got %+v, want what was before the first question", v.Presence)
	}
	st.Close()
	r.wire(studentClaims(s)) // one that only tests
	w := r.wire(studentClaims(s))
	w.write(strings.Replace(canHello, `"next":1`, `"next":1,"page":3`, 1))
	w.write(word(w.asked(), "page-three", 100, 0, 0, ""))
	r.until("it answers, and is watched", func() bool { return !r.read(s.ID).Presence.Reports.IsZero() })
}

func TestAnOldMonitorIsNotSupportedAndNotSuspicious(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	p := r.proctor()
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(hello)
	r.until("unsupported", func() bool { m := p.Row(s.ID).Monitor; return m != nil && m.State == vigil.MonitorUnsupported })
	time.Sleep(600 * time.Millisecond)
	if got := r.silences(s.ID); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestAHiddenPageThatDoesNotAnswerIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked, func(c *realtime.Config) {
		c.Liveness.PingEvery, c.Liveness.PongWait, c.AliveWait = 300*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond
	})
	p := r.proctor()
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(canHello)
	w.write(word(w.asked(), "page-one", 100, 0, 0, ""))
	w.write(word("", "page-one", 150, 0, 0, `,"away":true`)) // and its browser stops it
	r.until("away", func() bool { m := p.Row(s.ID).Monitor; return m != nil && m.State == vigil.MonitorAway })
	r.until("a note that it was hidden", func() bool { return len(r.silences(s.ID)) > 0 })
	w.write(word("", "page-one", 150, 900, 0, ""))
	r.until("answers", func() bool { return p.Row(s.ID).Monitor.State == vigil.MonitorAnswers })
	if got := strings.Join(r.silences(s.ID), ", "); got != "3 away" {
		t.Errorf("got %q, want a note that it was hidden, and no incident", got)
	}
}

func TestWhatAMonitorSaysMustFitWhatItSent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		play func(w *wire)
		want string
	}{
		{"totals that go back", func(w *wire) {
			w.write(word(w.asked(), "page-one", 5000, 0, 0, ""))
			w.write(word(w.asked(), "page-one", 4000, 0, 0, ""))
			w.write(word(w.asked(), "page-one", 3000, 0, 0, "")) // once is enough
		}, "0 totals incident"},
		{"another page begins anew", func(w *wire) {
			w.write(word(w.asked(), "page-one", 5000, 0, 0, ""))
			w.write(word(w.asked(), "page-two", 10, 0, 0, ""))
		}, ""},
		{"signals that were given and never came", func(w *wire) {
			w.write(word(w.asked(), "page-one", 100, 0, 3, ""))
			w.write(word(w.asked(), "page-one", 200, 0, 3, ""))
			w.write(word(w.asked(), "page-one", 300, 0, 3, ""))
		}, "0 numbers incident"},
		{"signals that were given and came", func(w *wire) {
			w.write(`{"t":"signal","seq":1,"kind":"copy","at":1790000000000}`)
			w.write(word(w.asked(), "page-one", 100, 0, 1, ""))
			w.write(word(w.asked(), "page-one", 200, 0, 1, ""))
			w.write(word(w.asked(), "page-one", 300, 0, 1, ""))
		}, ""},
		{"one that is just on its way", func(w *wire) {
			w.write(word(w.asked(), "page-one", 100, 0, 1, ""))
			w.write(`{"t":"signal","seq":1,"kind":"copy","at":1790000000000}`)
			w.write(word(w.asked(), "page-one", 200, 0, 1, ""))
			w.write(word(w.asked(), "page-one", 300, 0, 1, ""))
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, asked)
			s := r.session(proctored)
			w := r.wire(studentClaims(s))
			w.write(canHello)
			row.play(w)
			w.write(`{"t":"bye","reason":"navigating"}`)
			if row.want != "" {
				r.until("noted", func() bool { return len(r.silences(s.ID)) > 0 })
			}
			time.Sleep(200 * time.Millisecond)
			if got := strings.Join(r.silences(s.ID), ", "); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestAStreamThatBeginsAnewIsAltered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	w := r.comes(s)
	w.write(`{"t":"signal","seq":1,"kind":"copy","at":1790000000000}`)
	r.until("stored", func() bool { return r.kinds(s.ID)[vigil.KindCopy] == 1 })
	r.leave(s, w)
	r.wire(studentClaims(s)).write(`{"t":"hello","stream":"abcdefghijklmnop","next":2}`) // as an outbox does
	r.until("online", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnOnline })
	if got := r.silences(s.ID); len(got) != 0 {
		t.Fatalf("got %v of an outbox that goes on, want none", got)
	}
	r.wire(studentClaims(s)).write(hello)
	r.until("altered", func() bool { return strings.Join(r.silences(s.ID), ", ") == "0 next incident" })
	r.until("stored as altered", func() bool { return r.read(s.ID).Monitor.State == vigil.MonitorAltered })
}

func TestAliveFramesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	refused := func(what, msg, field string) {
		t.Helper()
		w.write(msg)
		var e protocol.Error
		w.next(protocol.TypeError, &e)
		if e.Code != vigil.CodeInvalid || e.Field != field || e.Duty != protocol.DutyDrop {
			t.Errorf("%s: got %+v, want %s refused", what, e, field)
		}
	}
	refused("before the hello", word("", "page-one", 1, 0, 0, ""), "t")
	w.write(canHello)
	refused("nothing of the id was asked", word("alive-1", "page-one", 1, 0, 0, ""), "id")
	refused("another id", word("12345678", "page-one", 1, 0, 0, ""), "id")
	refused("no page", word("", "", 1, 0, 0, ""), "doc")
	refused("less than nothing", word("", "page-one", -1, 0, 0, ""), "visible")
	refused("more than can be", word("", "page-one", 1<<62, 0, 0, ""), "visible")
	refused("numbers beyond the last", word("", "page-one", 1, 0, 1<<60, ""), "visible")
}

func TestAMutedMonitorThatTurnsPagesQuicklyIsSeen(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedNote, func(c *realtime.Config) {
		c.AliveEvery, c.AliveWait = 1200*time.Millisecond, 300*time.Millisecond
	})
	s := r.session(proctored)
	turn := func(n int, answers bool) {
		w := r.wire(studentClaims(s))
		w.write(asksHello(pages.of(s, fmt.Sprint("page-", n))))
		var welcome protocol.Welcome
		w.next(protocol.TypeWelcome, &welcome)
		if answers {
			w.write(word(w.asked(), "page-one", 10, 0, 0, ""))
		}
		time.Sleep(150 * time.Millisecond)
		w.write(`{"t":"bye","reason":"navigating"}`)
		_ = w.ws.Close(1000, "")
	}
	n := 0
	for ; len(r.silences(s.ID)) < 2 && n < 60; n++ {
		turn(n, false)
	}
	if got := strings.Join(r.silences(s.ID), ", "); got != "1, 3 silent incident" {
		t.Fatalf("got %q after %d pages, want a note and one incident", got, n)
	}
	turn(n, false)
	if got := signer.of(fmt.Sprint("page-", n)); len(got) != 0 {
		t.Errorf("got %v: it was vouched for a page whose monitor does not answer", got)
	}
	turn(n+1, true)
	r.until("vouched for again", func() bool { return len(signer.of(fmt.Sprint("page-", n+1))) > 0 })
}

// TestAServerThatIsNewToASessionAsksWhenThatIsDue: each page of who is sent from server to server is
// too short for its first question.
func TestAServerThatIsNewToASessionAsksWhenThatIsDue(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		heard time.Duration // ago
		asked bool
	}{
		"heard long ago":   {time.Hour, true},
		"heard just now":   {time.Second, false},
		"never, but began": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *realtime.Config) { c.AliveEvery, c.AliveWait = 10*time.Minute, time.Minute })
			s := r.session(proctored, func(s *vigil.Session) { s.Started = time.Now().Add(-time.Hour) })
			if row.heard > 0 {
				r.ok(r.db.SetMonitor(r.ctx, s.ID, vigil.Monitor{State: vigil.MonitorAnswers, Since: s.Started, Heard: time.Now().Add(-row.heard)}))
			}
			w := r.another(silent("other")).wire(studentClaims(s))
			w.write(asksHello(""))
			var welcome protocol.Welcome
			w.next(protocol.TypeWelcome, &welcome)
			if row.asked {
				w.asked()
				return
			}
			w.write(`{"t":"time","at":1}`)
			for f := range w.in {
				var head protocol.Head
				r.ok(json.Unmarshal(f, &head))
				switch head.T {
				case protocol.TypeAlive:
					t.Fatal("asked at once, though it answered elsewhere just now")
				case protocol.TypeTime:
					return
				}
			}
		})
	}
}

// A page that slept has missed what it was asked, and comes with a new socket when it wakes.
func TestWhoComesAgainWithAQuestionUnansweredIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		away string
		want vigil.MonitorState
	}{
		"of a page that was shown":  {"", vigil.MonitorSilent},
		"of a page that was hidden": {`,"away":true`, vigil.MonitorAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			r, pages, _ := asking(t, vigil.UnwatchedNote, c.by, func(c *realtime.Config) {
				c.Liveness.PingEvery, c.Liveness.PongWait = 50*time.Millisecond, 40*time.Millisecond
				c.AliveEvery, c.AliveWait, c.ReceiptEvery = 6*time.Minute, 30*time.Second, time.Hour
			})
			s := r.session(proctored)
			w := r.wire(studentClaims(s))
			w.write(asksHello(pages.of(s, "page-1")))
			w.receipt()
			w.write(word("", "page-one", 10, 0, 0, row.away))
			c.add(70 * time.Second)
			w.asked()
			c.add(40 * time.Second)
			r.until("missed", func() bool { return r.read(s.ID).Monitor.State == row.want })
			_ = w.ws.CloseNow()
			w = r.wire(studentClaims(s))
			w.write(asksHello("page-1"))
			w.write(word(w.asked(), "page-one", 20, 0, 0, ""))
			if got := w.receipt(); got.Page != "page-1" {
				t.Errorf("got a receipt of %q", got.Page)
			}
		})
	}
}

func TestQuickPagesWhoseMonitorAnswersAreNotSilent(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	s := r.session(proctored)
	st := r.student(s)
	for n := range 40 {
		time.Sleep(20 * time.Millisecond)
		st.Turn(n + 2)
	}
	if got := r.silences(s.ID); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestNothingVouchesForAHiddenPageThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r, pages, signer := asking(t, vigil.UnwatchedHold, func(c *realtime.Config) {
		c.Liveness.PingEvery, c.Liveness.PongWait = 300*time.Millisecond, 250*time.Millisecond
		c.AliveEvery, c.AliveWait = 300*time.Millisecond, 500*time.Millisecond
	})
	s := r.session(proctored)
	w := r.wire(studentClaims(s))
	w.write(asksHello(pages.of(s, "page-1")))
	w.receipt()
	w.write(word(w.asked(), "page-one", 10, 0, 0, ""))
	w.write(word("", "page-one", 20, 0, 0, `,"away":true`))
	r.until("noted, as no incident", func() bool { return strings.Join(r.silences(s.ID), ", ") == "3 away" })
	before := len(signer.of("page-1"))
	time.Sleep(time.Second)
	if got := len(signer.of("page-1")); got != before {
		t.Errorf("got %d receipts for a page that says it is hidden and answers nothing, want none", got-before)
	}
	w.write(word("", "page-one", 30, 700, 0, ""))
	r.until("a receipt when it is back", func() bool { return len(signer.of("page-1")) > before })
	if got := strings.Join(r.silences(s.ID), ", "); got != "3 away" {
		t.Errorf("got %q, want the note alone", got)
	}
}

func TestAMonitorThatCouldBeAskedAndCannotAnyMoreIsNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t, asked)
	s := r.session(proctored)
	st := r.student(s)
	r.until("answers", func() bool { return r.read(s.ID).Monitor.State == vigil.MonitorAnswers })
	st.Bye(vigil.ByeNavigating)
	w := r.wire(studentClaims(s))
	w.write(hello)
	r.until("noted", func() bool { return strings.Join(r.silences(s.ID), ", ") == "0 can" })
}

func TestAPageOfANewerPluginWhoseMonitorCannotBeAskedIsNotedOnce(t *testing.T) {
	t.Parallel()
	r, pages, _ := asking(t, vigil.UnwatchedNote, asked)
	p := r.proctor()
	s := r.session(proctored)
	newer := func(page *realtime.Page) { page.Receipts = true }
	w := r.wire(studentClaims(s))
	w.write(helloWith(pages.print(s, "page-1", func(*realtime.Page) {}))) // of an older plugin
	r.until("unsupported", func() bool { m := p.Row(s.ID).Monitor; return m != nil && m.State == vigil.MonitorUnsupported })
	if got := r.silences(s.ID); len(got) != 0 {
		t.Errorf("an older plugin: got %v, want none", got)
	}
	for _, page := range []string{"page-2", "page-3"} {
		w.write(`{"t":"bye","reason":"navigating"}`)
		_ = w.ws.CloseNow()
		w = r.wire(studentClaims(s))
		w.write(helloWith(pages.print(s, page, newer)))
		r.until("noted", func() bool { return len(r.silences(s.ID)) > 0 })
	}
	w.write(`{"t":"bye","reason":"finished"}`)
	_ = w.ws.CloseNow()
	r.until("gone", func() bool { return r.read(s.ID).Presence.Connection == vigil.ConnLost })
	if got := strings.Join(r.silences(s.ID), ", "); got != "0 can" {
		t.Errorf("got %q, want one note", got)
	}
}

func TestTotalsOfAShownPageGoWithTheTime(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		passed time.Duration // between two answers
		more   [2]int64      // visible, hidden, by what they say
		want   string
	}{
		{"as much as has passed", time.Minute, [2]int64{60_000, 0}, ""},
		{"a line that stood for half a minute", time.Minute, [2]int64{30_000, 0}, ""},
		{"the same again", time.Minute, [2]int64{0, 0}, "0 totals incident"},
		{"an hour at once", time.Minute, [2]int64{3_600_000, 0}, "0 totals incident"},
		{"asleep while hidden", time.Minute, [2]int64{0, 1000}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			r := newRig(t, asked, func(c *realtime.Config) {
				c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				c.AliveWait = 2 * time.Minute
			})
			s := r.session(proctored)
			w := r.wire(studentClaims(s))
			w.write(canHello)
			w.write(word(w.asked(), "page-one", 1000, 0, 0, ""))
			r.until("answers", func() bool { return r.read(s.ID).Monitor.State == vigil.MonitorAnswers })
			ahead.Store(int64(row.passed))
			w.write(word(w.asked(), "page-one", 1000+row.more[0], row.more[1], 0, ""))
			if row.want != "" {
				r.until("noted", func() bool { return len(r.silences(s.ID)) > 0 })
			}
			time.Sleep(200 * time.Millisecond)
			if got := strings.Join(r.silences(s.ID), ", "); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
