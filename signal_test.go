package vigil

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// report makes a valid signal of a browser.
func report(k Kind) Signal {
	return Signal{Stream: "stream-0123456789", Seq: 1, Kind: k, At: t0, Received: t0}
}

// TestSeveritiesFollowTheCatalogue is the table of the design's chapter 10.
func TestSeveritiesFollowTheCatalogue(t *testing.T) {
	length := func(n int) string { return fmt.Sprintf(`{"length":%d}`, n) }
	tests := []struct {
		kind  Kind
		dur   time.Duration
		hides int
		data  string
		want  float64
	}{
		{KindConnected, 0, 0, "", 0},
		{KindPageTurned, 0, 0, "", 0},
		{KindCapabilities, 0, 0, "", 0},
		{KindRTT, 0, 0, "", 0},
		{KindFocusGained, 0, 0, "", 0},
		{KindConsent, 0, 0, "", 0},
		{KindHandRaised, 0, 0, "", 0},
		{KindHandLowered, 0, 0, "", 0},

		{KindBlur, 0, 0, "", 0.1},
		{KindBlur, 5*time.Second - 1, 9, "", 0.1},
		{KindBlur, 5 * time.Second, 0, "", 0.2},
		{KindBlur, 15 * time.Second, 0, "", 0.2},
		{KindBlur, 15*time.Second + 1, 0, "", 0.3},
		{KindBlur, time.Hour, 0, "", 0.3},
		{KindHidden, 0, 0, "", 0.1},
		{KindHidden, 5*time.Second - 1, 0, "", 0.1},
		{KindHidden, 5 * time.Second, 0, "", 0.3},
		{KindHidden, time.Minute, 0, "", 0.3},
		{KindHidden, time.Minute + 1, 0, "", 0.6},
		{KindHidden, time.Second, 1, "", 0.1},
		{KindHidden, time.Second, 2, "", 0.6}, // the third time
		{KindHidden, 10 * time.Second, 3, "", 0.6},

		{KindCopy, 0, 0, length(100_000), 0.1},
		{KindCut, 0, 0, length(100_000), 0.1},
		{KindPaste, 0, 0, "", 0.1},
		{KindPaste, 0, 0, length(LargePaste - 1), 0.1},
		{KindPaste, 0, 0, length(LargePaste), 0.3},
		{KindPaste, 0, 0, `{"length":"long"}`, 0.1},
		{KindContextMenu, 0, 0, "", 0.1},
		{KindResize, 0, 0, "", 0.1},
		{KindIdle, time.Hour, 0, "", 0.1},
		{KindReconnected, 0, 0, "", 0.1},
		{KindAddress, 0, 0, "", 0.1},
		{KindRefused, 0, 0, "", 0},

		{KindFullscreenLeft, 0, 0, "", 0.3},
		{KindPrint, 0, 0, "", 0.3},
		{KindDisplayMore, 0, 0, "", 0.3},
		{KindLost, time.Hour, 0, "", 0.3},
		{KindDevtools, 0, 0, "", 0.3},
		{KindHole, 0, 0, "", 0.3},
		{KindMonitorSilent, 0, 0, "", 0.6},

		{KindFullscreenNo, 0, 0, "", 0.6},
		{KindDisplayAdded, 0, 0, "", 0.6},
		{KindAddressBrowser, 0, 0, "", 0.6},
		{KindUnwatched, time.Hour, 0, "", 0.6},

		{KindSecondSession, 0, 0, "", 0.9},
		{KindTokenReplay, 0, 0, "", 0.9},
		{KindTampering, 0, 0, "", 0.9},
		{KindUserMismatch, 0, 0, "", 0.9},
	}
	covered := map[Kind]bool{}
	for _, tt := range tests {
		covered[tt.kind] = true
		s := Signal{Kind: tt.kind, Duration: tt.dur, Data: json.RawMessage(tt.data), Severity: 1}
		if got := s.Rate(tt.hides); got != tt.want {
			t.Errorf("%s for %v after %d, %s: got %v, want %v", tt.kind, tt.dur, tt.hides, tt.data, got, tt.want)
		}
	}
	for _, k := range Kinds() {
		if !covered[k] {
			t.Errorf("no row for %s", k)
		}
	}
}

func TestBrowsersSendOnlyTheirKinds(t *testing.T) {
	server := map[Kind]bool{
		KindConnected: true, KindConsent: true, KindReconnected: true, KindLost: true, KindAddress: true, KindAddressBrowser: true,
		KindSecondSession: true, KindTokenReplay: true, KindTampering: true, KindHole: true, KindUserMismatch: true, KindRefused: true,
		KindUnwatched: true, KindMonitorSilent: true,
	}
	for _, k := range Kinds() {
		want := ""
		if server[k] {
			want = "kind"
		}
		if got := fieldOf(report(k).Validate()); got != want {
			t.Errorf("%s: got field %q, want %q", k, got, want)
		}
		if k.FromServer() != server[k] || !k.Known() {
			t.Errorf("%s: from the server is %v, known %v, want %v, true", k, k.FromServer(), k.Known(), server[k])
		}
		if w := k.WatchOf(); w != "" && !DefaultPolicy().Watches(w) {
			t.Errorf("%s: belongs to %q, which no notice names", k, w)
		}
	}
	if Kind("keylog").Known() {
		t.Error("an unknown kind is known")
	}
}

func TestSignalValidateNamesTheField(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"f%d":1`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	data := func(s string) func(*Signal) { return func(x *Signal) { x.Data = json.RawMessage(s) } }
	tests := []struct {
		name  string
		spoil func(*Signal)
		field string
	}{
		{"as it should be", func(*Signal) {}, ""},
		{"unknown kind", func(s *Signal) { s.Kind = "keylog" }, "kind"},
		{"the server's stream", func(s *Signal) { s.Stream = ServerStreamPrefix + "0123456789abcdef" }, "stream"},
		{"a short stream", func(s *Signal) { s.Stream = "0123456789abcde" }, "stream"},
		{"a long stream", func(s *Signal) { s.Stream = strings.Repeat("a", MaxStreamID+1) }, "stream"},
		{"number 0", func(s *Signal) { s.Seq = 0 }, "seq"},
		{"a negative number", func(s *Signal) { s.Seq = -1 }, "seq"},
		{"the last number", func(s *Signal) { s.Seq = MaxSeq }, ""},
		{"past the last number", func(s *Signal) { s.Seq = MaxSeq + 1 }, "seq"},
		{"no time", func(s *Signal) { s.At = time.Time{} }, "at"},
		{"a time far ahead", func(s *Signal) { s.At = t0.AddDate(500, 0, 0) }, "at"},
		{"a wrong clock is no reason", func(s *Signal) { s.At = t0.AddDate(-9, 0, 0) }, ""},
		{"a negative duration", func(s *Signal) { s.Duration = -1 }, "dur"},
		{"days", func(s *Signal) { s.Duration = 70 * time.Hour }, ""},
		{"a year", func(s *Signal) { s.Duration = MaxDuration }, ""},
		{"more than a year", func(s *Signal) { s.Duration = MaxDuration + 1 }, "dur"},

		{"data", data(`{"continued":true,"length":12,"on":true,"off":false,"none":null}`), ""},
		{"an empty object", data(` {} `), ""},
		{"24 fields", data(many(24)), ""},
		{"25 fields", data(many(25)), "data"},
		{"not an object", data(`[1]`), "data"},
		{"null", data(`null`), "data"},
		{"a text", data(`"x"`), "data"},
		{"not JSON", data(`{`), "data"},
		{"two objects", data(`{}{}`), "data"},
		{"rubbish behind", data(`{}x`), "data"},
		{"nested object", data(`{"a":{}}`), "data"},
		{"nested array", data(`{"a":[]}`), "data"},
		{"a text of 128 bytes", data(`{"a":"` + strings.Repeat("x", 128) + `"}`), "data"},
		{"a longer text", data(`{"a":"` + strings.Repeat("x", 129) + `"}`), "data"},
		{"a longer text hidden by a second of its name", data(`{"a":"` + strings.Repeat("x", 500) + `","a":1}`), "data"},
		{"an object hidden by a second of its name", data(`{"a":{"b":1},"a":1}`), "data"},
		{"the same name, escaped", data(`{"a":1,"\u0061":2}`), "data"},
		{"a long name", data(`{"` + strings.Repeat("x", 33) + `":1}`), "data"},
		{"a sentence as name", data(`{"the answer is":1}`), "data"},
		{"no name", data(`{"":1}`), "data"},
		{"not UTF-8", data("{\"a\":\"\xff\"}"), "data"},
		{"a number that no browser has", data(`{"a":1e999}`), "data"},
		{"too large", data(`{"a":1` + strings.Repeat(" ", MaxSignalData) + `}`), "data"},
	}
	for _, tt := range tests {
		s := report(KindBlur)
		tt.spoil(&s)
		if got := fieldOf(s.Validate()); got != tt.field {
			t.Errorf("%s: got field %q, want %q", tt.name, got, tt.field)
		}
	}
}

// FuzzSignalData checks what gets through by a reader of its own: a flat object, each
// name once, no long text anywhere.
func FuzzSignalData(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"a":1}`, `{"a":"x","a":1}`, `{"a":{"a":1}}`, `{"a":1,"b":null,"c":true,"d":-1.5e3}`, "{\"\xff\":1}", `{"a":"\ud800"}`, `null`, `{"a":1}{"b":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := report(KindPaste)
		s.Data = data
		if err := s.Validate(); err != nil {
			if fieldOf(err) != "data" {
				t.Fatalf("got %v, want field data", err)
			}
			return
		}
		if got := s.Rate(0); got != 0.1 && got != 0.3 {
			t.Fatalf("rated %v", got)
		}
		if len(data) == 0 {
			return
		}
		if len(data) > MaxSignalData || !utf8.Valid(data) {
			t.Fatalf("let through %d bytes, UTF-8: %v", len(data), utf8.Valid(data))
		}
		if _, err := json.Marshal(s.Data); err != nil {
			t.Fatalf("cannot be sent on: %v", err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		depth, names, isName := 0, map[string]bool{}, true
		for {
			tok, err := dec.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch v := tok.(type) {
			case json.Delim:
				if v == '[' || v == ']' {
					t.Fatal("let an array through")
				}
				if v == '{' {
					depth++
				}
				continue
			case string:
				if isName {
					if names[v] || len(v) > 32 {
						t.Fatalf("let the name %q through", v)
					}
					names[v] = true
				} else if len(v) > 128 {
					t.Fatalf("let a text of %d bytes through", len(v))
				}
			}
			isName = !isName
		}
		kept := s.Kept()
		for name := range names {
			if !slices.Contains(KindPaste.Fields(), name) && bytes.Contains(kept.Data, []byte(`"`+name+`"`)) {
				t.Fatalf("kept %q of %s", name, data)
			}
		}
		if kept.Validate() != nil || string(kept.Kept().Data) != string(kept.Data) || kept.Digest() != s.Digest() {
			t.Fatalf("kept %s of %s", kept.Data, data)
		}
		if depth != 1 || len(names) > 24 {
			t.Fatalf("let %d objects of %d fields through", depth, len(names))
		}
	})
}

var (
	streamForm = regexp.MustCompile(`\A[A-Za-z0-9_-]{16,64}\z`)
	idForm     = regexp.MustCompile(`\A[A-Za-z0-9_-]{8,64}\z`)
)

func FuzzIDs(f *testing.F) {
	for _, s := range []string{
		"", "1234567", "12345678", "0123456789abcde", "0123456789abcdef", "server:0123456789", "a b c d e f g h", "äöüäöüäöü", "01234567\n",
		strings.Repeat("a", 64), strings.Repeat("a", 65), "01234567/", "a\x00aaaaaaaaaaaaaaaaaaaa",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidStream(s), streamForm.MatchString(s); got != want {
			t.Errorf("stream %q: got %v, want %v", s, got, want)
		}
		if got, want := ValidID(s), idForm.MatchString(s); got != want {
			t.Errorf("id %q: got %v, want %v", s, got, want)
		}
	})
}

func TestOnlyWhatIsListedIsKeptOfASignalsData(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind Kind
		data string
		want string
	}{
		{"as it is sent", KindPaste, `{"length":12}`, `{"length":12}`},
		{"a negative length", KindPaste, `{"length":-12}`, ``},
		{"a page by what is no name", KindPageTurned, `{"page":"the answer"}`, ``},
		{"a page by a long name", KindPageTurned, `{"page":"` + strings.Repeat("x", 33) + `"}`, ``},
		{"nothing", KindPaste, ``, ``},
		{"a hash", KindPaste, `{"length":12,"hash":"9f86d081"}`, `{"length":12}`},
		{"a hash first", KindPaste, `{"hash":"9f86d081","length":12}`, `{"length":12}`},
		{"a hash and nothing else", KindPaste, `{"hash":"9f86d081"}`, ``},
		{"white space", KindPaste, ` { "hash" : "9f86d081", "length" : 12.5 } `, `{"length":12.5}`},
		{"a name that is escaped", KindPaste, `{"\u006cength":12}`, `{"length":12}`},
		{"a text for a number", KindCopy, `{"length":"the answer"}`, ``},
		{"null", KindCopy, `{"length":null}`, ``},
		{"a field of another kind", KindBlur, `{"length":12,"continued":true}`, `{"continued":true}`},
		{"a kind without fields", KindPrint, `{"page":"the answer"}`, ``},
		{"a page by its number", KindPageTurned, `{"page":3}`, `{"page":3}`},
		{"a page by its name", KindPageTurned, `{"page":"summary"}`, `{"page":"summary"}`},
		{"a negative number", KindRTT, `{"rtt":4,"offset":-1.5e3}`, `{"rtt":4,"offset":-1.5e3}`},
	} {
		s := report(tt.kind)
		s.Data = json.RawMessage(tt.data)
		if got := string(s.Kept().Data); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestEachKindHasItsRuleOfData: a new kind is not there until what its data may hold is said.
func TestEachKindHasItsRuleOfData(t *testing.T) {
	for _, k := range Kinds() {
		if _, ok := dataFields[k]; !ok {
			t.Errorf("%s: dataFields does not say what its data may hold", k)
		}
	}
}

// TestNoKindTakesATextThatSomebodyMayHaveTyped sends every kind that a browser may send a text under
// a name of its own, and under each of its fields.
func TestNoKindTakesATextThatSomebodyMayHaveTyped(t *testing.T) {
	for _, k := range Kinds() {
		if k.FromServer() {
			continue
		}
		for _, name := range append([]string{"typed", "text", "hash"}, k.Fields()...) {
			for _, text := range []string{`"secret text"`, `"s\u0065cret text"`, `"das Geheimnis: ä"`, `""`} {
				for _, form := range []string{`{"%s":%s}`, ` { "%s" : %s , "more": 1.5 }`} {
					s := report(k)
					s.Data = json.RawMessage(fmt.Sprintf(form, name, text))
					if got := fieldOf(s.Validate()); got != "data" {
						t.Errorf("%s with %s: got field %q, want data", k, s.Data, got)
					}
				}
			}
		}
	}
}

func TestADataFieldOfAnotherFormIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind Kind
		data string
		want string
	}{
		{"a hash of an older monitor", KindPaste, `{"length":3,"hash":"ba7816bf8f01cfea"}`, ""},
		{"a hash that is none", KindPaste, `{"length":3,"hash":"the answer"}`, "data"},
		{"a hash that is too short", KindPaste, `{"length":3,"hash":"42"}`, "data"},
		{"a hash of what was copied, which no monitor sends", KindCopy, `{"length":3,"hash":"ba7816bf8f01cfea"}`, "data"},
		{"a negative length", KindPaste, `{"length":-3}`, "data"},
		{"a length that is true", KindPaste, `{"length":true}`, "data"},
		{"a number for a truth", KindHidden, `{"continued":1}`, "data"},
		{"a negative sleep", KindHidden, `{"asleep":-1}`, "data"},
		{"a sleep", KindHidden, `{"continued":true,"asleep":1200000}`, ""},
		{"null", KindCopy, `{"length":null}`, ""},
		{"a number of a newer monitor", KindPrint, `{"pages":3,"color":true}`, ""},
		{"a page by its name", KindPageTurned, `{"page":"summary"}`, ""},
		{"a page by its number", KindPageTurned, `{"page":3}`, ""},
		{"an offset of a clock that is ahead", KindRTT, `{"rtt":4,"offset":-1500}`, ""},
	} {
		s := report(tt.kind)
		s.Data = json.RawMessage(tt.data)
		if got := fieldOf(s.Validate()); got != tt.want {
			t.Errorf("%s: got field %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNobodyIsBlamedForAComputerThatSlept(t *testing.T) {
	for _, tt := range []struct {
		kind Kind
		dur  time.Duration
		data string
		want float64
	}{
		{KindHidden, 20*time.Minute + 4*time.Second, `{"asleep":1200000}`, 0.1},
		{KindHidden, 20*time.Minute + 10*time.Second, `{"asleep":1200000}`, 0.3},
		{KindHidden, 22 * time.Minute, `{"asleep":1200000}`, 0.6},
		{KindHidden, time.Minute, `{"asleep":1200000}`, 0.1}, // more than it lasted
		{KindHidden, time.Hour, `{"asleep":1e300}`, 0.1},
		{KindHidden, time.Hour, `{"asleep":"yes"}`, 0.6},
		{KindBlur, time.Hour, `{"asleep":3599000}`, 0.1},
		{KindBlur, time.Hour, `{"asleep":3590000}`, 0.2},
	} {
		s := report(tt.kind)
		s.Duration, s.Data = tt.dur, json.RawMessage(tt.data)
		if got := s.Rate(0); got != tt.want {
			t.Errorf("%s of %v with %s: got %v, want %v", tt.kind, tt.dur, tt.data, got, tt.want)
		}
		if got := IncidentOf(s).Duration; got != s.Awake() {
			t.Errorf("%s of %v with %s: got an incident of %v, want %v", tt.kind, tt.dur, tt.data, got, s.Awake())
		}
	}
}

// TestNothingLastedLongerThanTheServersClockHasRoomFor: what is sent again is the same, though there
// is more room then.
func TestNothingLastedLongerThanTheServersClockHasRoomFor(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind Kind
		dur  time.Duration
		data string
		want time.Duration
		kept string
	}{
		{"in its room", KindHidden, 10 * time.Minute, ``, 10 * time.Minute, ``},
		{"clocks that are a little apart", KindHidden, 10*time.Minute + 4*time.Second, ``, 10*time.Minute + 4*time.Second, ``},
		{"too long", KindHidden, 20 * time.Minute, ``, 10 * time.Minute, `{"reported":1200000}`},
		{"too long, with data", KindIdle, 20 * time.Minute, `{"continued":true}`, 10 * time.Minute, `{"reported":1200000,"continued":true}`},
		{"too long a sleep", KindHidden, 20 * time.Minute, `{"asleep":1200000}`, 10 * time.Minute, `{"reported":1200000}`},
		{"a browser that says it was bounded", KindHidden, time.Minute, `{"reported":5}`, time.Minute, ``},
		{"longer than any", KindBlur, MaxDuration, ``, 10 * time.Minute, `{"reported":31622400000}`},
		{"what lasts no time", KindCopy, time.Hour, `{"length":1}`, time.Hour, `{"length":1}`},
	} {
		s := report(tt.kind)
		s.Duration, s.Data = tt.dur, json.RawMessage(tt.data)
		s.Received = t0.Add(10 * time.Minute)
		got := s.Bounded(t0)
		if got.Duration != tt.want || string(got.Data) != tt.kept {
			t.Errorf("%s: got %v with %s, want %v with %s", tt.name, got.Duration, got.Data, tt.want, tt.kept)
		}
		for _, after := range []time.Duration{13 * time.Minute, 30 * time.Minute, 2 * MaxDuration} {
			again := s
			again.Received = t0.Add(after)
			if again = again.Bounded(t0); again.Digest() != got.Digest() || again.WithoutSleep().Digest() != got.Digest() {
				t.Errorf("%s: sent again %v later it is another", tt.name, after)
			}
		}
	}
}

func TestADurationOfAnyLengthIsKept(t *testing.T) {
	for ms, want := range map[int64]time.Duration{
		-1: -1, 0: 0, 1204: 1204 * time.Millisecond, 70 * 3600_000: 70 * time.Hour, 400 * 24 * 3600_000: MaxDuration, 1<<63 - 1: MaxDuration,
	} {
		if got := PossibleDuration(ms); got != want {
			t.Errorf("%d ms: got %v, want %v", ms, got, want)
		}
	}
}

func TestATimeThatCannotBeIsKnown(t *testing.T) {
	created, received := t0, t0.Add(time.Hour)
	for _, tt := range []struct {
		name string
		at   time.Time
		want bool
	}{
		{"as it was", t0.Add(59 * time.Minute), false},
		{"a clock that is a little ahead", received.Add(50 * time.Second), false},
		{"a clock that is a little behind", created.Add(-50 * time.Second), false},
		{"after it came", received.Add(2 * time.Minute), true},
		{"before the session", created.Add(-2 * time.Minute), true},
		{"three years behind", t0.AddDate(-3, 0, 0), true},
		{"kept as the nearest that can be", earliest, true},
	} {
		s := report(KindHidden)
		s.At, s.Received = tt.at, received
		if got := s.Impossible(created); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if got, want := FarOff(s.At), s.At.Equal(earliest); got != want {
			t.Errorf("%s: got far off %v, want %v", tt.name, got, want)
		}
	}
}

func TestDigestTellsRepeatsFromOthers(t *testing.T) {
	base := report(KindPaste)
	base.Data = json.RawMessage(`{"length":1}`)
	same := base
	same.Received, same.Severity, same.Incident, same.SessionID = t0.Add(time.Hour), 0.9, true, "s"
	if base.Digest() != same.Digest() {
		t.Error("what the server adds changed the digest")
	}
	same.Data = json.RawMessage(`{"length":1,"hash":"9f86d081"}`) // as it was stored before
	if base.Digest() != same.Digest() {
		t.Error("what is not kept any more changed the digest")
	}
	for name, change := range map[string]func(*Signal){
		"kind":     func(s *Signal) { s.Kind = KindCopy },
		"time":     func(s *Signal) { s.At = s.At.Add(time.Millisecond) },
		"duration": func(s *Signal) { s.Duration = time.Millisecond },
		"data":     func(s *Signal) { s.Data = json.RawMessage(`{"length":2}`) },
	} {
		other := base
		change(&other)
		if base.Digest() == other.Digest() {
			t.Errorf("another %s has the same digest", name)
		}
	}
}
