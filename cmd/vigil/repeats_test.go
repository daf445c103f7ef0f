package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// logLine is a line of the log as JSON.
type logLine struct {
	Level, Msg, Error, Reference, Session, Node, In string
	Repeated                                        int
}

// counted runs a logger in a bubble of its own, where the time is made, and returns what it
// wrote until it was stopped.
func counted(t *testing.T, do func(log *slog.Logger, lines func() []logLine)) (out []logLine) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log, stop := logSettings{LogLevel: "info", LogFormat: "json"}.logger(&b)
		defer stop()
		read := func() []logLine {
			synctest.Wait()
			var all []logLine
			for line := range strings.Lines(b.String()) {
				var l logLine
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatalf("got %q: %v", line, err)
				}
				all = append(all, l)
			}
			return all
		}
		do(log, read)
		stop()
		out = read()
	})
	return out
}

// events is how many events lines of a message stand for.
func events(lines []logLine, msg string) (n int) {
	for _, l := range lines {
		if l.Msg == msg {
			n += max(1, l.Repeated)
		}
	}
	return n
}

var errFull = errors.New("database or disk is full (13)")

func TestAnOutageIsAFewLinesAMinuteAndNothingOfItIsLost(t *testing.T) {
	const each, long = 100 * time.Millisecond, 10 * time.Minute
	n := int(long / each)
	lines := counted(t, func(log *slog.Logger, _ func() []logLine) {
		for i := range n {
			log.Error("gap not stored", "session", fmt.Sprintf("01a22ac3-6463-7c42-%04d", i), "error", fmt.Errorf("session %d: %w", i, errFull))
			time.Sleep(each)
		}
	})
	if got := events(lines, "gap not stored"); got != n {
		t.Errorf("the lines stand for %d events, want %d", got, n)
	}
	if len(lines) > 3+6+10+1 {
		t.Errorf("got %d lines for 10 minutes, want at most 20", len(lines))
	}
	for i, l := range lines {
		if first := i < repeatsAtOnce; first != (l.Repeated == 0) {
			t.Errorf("line %d: got %+v, want the first %d as they came and the others counted", i, l, repeatsAtOnce)
		}
	}
	if got := lines[repeatsAtOnce]; got.In != "9.8s" && got.In != "10s" {
		t.Errorf("got %+v, want a count of the first 10 s", got)
	}
}

func TestTheEndOfASeriesIsToldAndALaterOneIsNew(t *testing.T) {
	counted(t, func(log *slog.Logger, lines func() []logLine) {
		const msg = "node row not renewed"
		for range 5 {
			log.Warn(msg, "error", errFull)
		}
		if got := lines(); len(got) != 3 {
			t.Fatalf("got %d lines at once, want 3", len(got))
		}
		time.Sleep(repeatsOften + repeatsTick)
		if got := lines(); len(got) != 4 || got[3].Repeated != 2 {
			t.Fatalf("got %+v, want a fourth line for the two that were counted", got[3:])
		}
		time.Sleep(repeatsSeldom)
		log.Warn(msg, "error", errFull)
		if got := lines(); len(got) != 5 || got[4].Repeated != 0 {
			t.Errorf("got %+v, want the next series to begin at once", got[4:])
		}
	})
}

func TestAFaultThatComesSeldomIsToldAtOnce(t *testing.T) {
	const n = 20
	counted(t, func(log *slog.Logger, lines func() []logLine) {
		for i := range n {
			log.Warn("keys not tended", "error", errFull)
			if got := lines(); len(got) != i+1 {
				t.Fatalf("got %d lines after %d events, want each", len(got), i+1)
			}
			time.Sleep(repeatsSeldom)
		}
	})
}

func TestErrorsOfDifferentKindsAreEachShown(t *testing.T) {
	lines := counted(t, func(log *slog.Logger, _ func() []logLine) {
		for i := range 100 {
			log.Error("gap not stored", "session", fmt.Sprint(i), "error", errFull)
		}
		log.Error("gap not stored", "session", "s", "error", errors.New("attempt to write a readonly database (8)"))
		log.Error("presence not stored", "session", "s", "error", errFull)
		log.With("what", "sweep").Error("housekeeping failed", "error", errFull)
		log.With("what", "keys").Error("housekeeping failed", "error", errFull)
		log.WithGroup("store").Warn("gap not stored", "error", errFull)
	})
	shown := map[string]bool{}
	for _, l := range lines {
		shown[l.Level+l.Msg+l.Error] = true
	}
	if len(shown) != 5 || len(lines) != 3+5+1 {
		t.Errorf("got %d lines of %d kinds, want 9 of 5: %v", len(lines), len(shown), lines)
	}
}

func TestTheSameFaultOfManyIdsIsOneKind(t *testing.T) {
	for _, ids := range [][2]string{
		{"session 01a22ac3-6463-7c42-b637-30b97bb53af7 is gone", "session 01b45ac3-ffff-7bf7-8478-35e046920017 is gone"},
		{`dial tcp 127.0.0.1:6379: read 127.0.0.1:54012->127.0.0.1:6379: reset`, `dial tcp 127.0.0.1:6379: read 127.0.0.1:9->127.0.0.1:6379: reset`},
		{"RequestID: K7QJ2M, api error", "RequestID: 9ABCDE, api error"},
		{"é 1\xff", "é 2\xff"},
	} {
		if a, b := normal(ids[0]), normal(ids[1]); a != b {
			t.Errorf("got kinds %q and %q, want one", a, b)
		}
	}
	if a, b := normal("disk is full"), normal("disk is gone"); a == b {
		t.Errorf("got one kind %q of two", a)
	}
}

func TestWhatWasDoneIsNotCounted(t *testing.T) {
	lines := counted(t, func(log *slog.Logger, _ func() []logLine) {
		for i := range 50 {
			log.Info("launch", "reference", fmt.Sprint("R", i))
		}
		for range 50 {
			log.Info("request refused", "route", "/x", "status", 404, "error", errors.New("not there"))
		}
	})
	if got := len(lines); got != 50+repeatsAtOnce+1 {
		t.Errorf("got %d lines, want each launch and the refusals counted", got)
	}
	if got := events(lines, "request refused"); got != 50 {
		t.Errorf("the lines stand for %d refusals, want 50", got)
	}
}

func TestManyKindsTakeBoundedMemoryAndLoseNothing(t *testing.T) {
	const n = 20 * maxKinds
	lines := counted(t, func(log *slog.Logger, _ func() []logLine) {
		for i := range n {
			word := strings.Map(func(c rune) rune { return c - '0' + 'a' }, fmt.Sprint(i))
			log.Error("gap not stored", "error", errors.New(word))
		}
		h, ok := log.Handler().(*repeats)
		if !ok {
			t.Fatalf("got a %T", log.Handler())
		}
		if got := len(h.kinds.kinds); got > maxKinds+1 {
			t.Errorf("got %d kinds in memory, want at most %d and one for the rest", got, maxKinds)
		}
	})
	if got := events(lines, "gap not stored"); got != n {
		t.Errorf("the lines stand for %d events, want %d", got, n)
	}
	if len(lines) > maxKinds+repeatsAtOnce+1 {
		t.Errorf("got %d lines, want at most one for each of %d kinds and a few for the rest", len(lines), maxKinds)
	}
}

func TestAfterTheStopLinesAreWrittenAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log, stop := logSettings{LogLevel: "info", LogFormat: "json"}.logger(&b)
		stop()
		stop()
		for range 10 {
			log.Error("x")
		}
		if got := strings.Count(b.String(), "\n"); got != 10 {
			t.Errorf("got %d lines, want 10", got)
		}
	})
}

func TestDurationsAndLongTextsLookTheSameInBothFormats(t *testing.T) {
	for format, want := range map[string][]string{
		"json": {`"pause":"1.5s"`, `"after":"1h0m1s"`, `"g":{"in":"2ms"}`, `"text":"a\nb"`},
		"text": {`pause=1.5s`, `after=1h0m1s`, `g.in=2ms`, `text="a\nb"`},
	} {
		var b bytes.Buffer
		log := slog.New(logHandler(&b, format, slog.LevelInfo))
		log.Info("x", "pause", 1500*time.Millisecond, "after", time.Hour+time.Second+time.Millisecond, slog.Group("g", "in", 2*time.Millisecond+200*time.Nanosecond),
			"text", "a\nb", "long", strings.Repeat("é", 4000), "error", errors.New(strings.Repeat("x", 4000)))
		if strings.Count(b.String(), "\n") != 1 || b.Len() > 2*maxLogText+400 {
			t.Errorf("%s: got %d bytes, want one line with its texts cut: %s", format, b.Len(), b.String())
		}
		for _, part := range want {
			if !strings.Contains(b.String(), part) {
				t.Errorf("%s: got %s, want %s in it", format, b.String(), part)
			}
		}
	}
}

func TestAPanicOfARequestIsLoggedAsAnError(t *testing.T) {
	var b bytes.Buffer
	log := slog.NewLogLogger(httpLog{slog.New(logHandler(&b, "json", slog.LevelInfo))}, slog.LevelInfo)
	log.Print("http: panic serving 127.0.0.1:4711: index out of range\ngoroutine 7 [running]:\nmain.f()")
	log.Print("http: TLS handshake error from 127.0.0.1:4711: EOF")
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"ERROR"`) || !strings.Contains(got, "goroutine 7") ||
		!strings.Contains(got, `"error":"index out of range"`) || strings.Contains(got, "4711") {
		t.Errorf("got %q, want one line at ERROR with the stack and without the browser's address", got)
	}
}

func TestAnErrorOfAConnectionDoesNotNameTheBrowser(t *testing.T) {
	for err, want := range map[error]string{
		&net.OpError{
			Op: "write", Net: "tcp", Err: syscall.EPIPE,
			Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Addr: &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711},
		}: "write tcp: broken pipe",
		errors.New("read tcp 10.0.0.1:443->10.9.8.7:4711: i/o timeout"):                                  "read tcp: i/o timeout",
		errors.New("a: read tcp 10.0.0.1:443->10.9.8.7:4711, then read tcp 10.0.0.1:443->10.9.8.7:4711"): "a: read tcp, then read tcp",
		errors.New("dial tcp 10.0.0.9:6379: connect: connection refused"):                                "dial tcp 10.0.0.9:6379: connect: connection refused",
		errors.New("a -> b ->"): "a -> b ->",
	} {
		var b bytes.Buffer
		slog.New(logHandler(&b, "json", slog.LevelInfo)).Warn("download broke off", "error", err)
		var l logLine
		if e := json.Unmarshal(b.Bytes(), &l); e != nil || l.Error != want {
			t.Errorf("got %q, %v, want %q", l.Error, e, want)
		}
	}
}
