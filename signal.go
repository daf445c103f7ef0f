package vigil

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kind names what a signal reports.
type Kind string

// The kinds. Severities are in Severity; what the data object of each may hold is in
// docs/protocol.md. None of them carries typed or pasted text.
const (
	KindConnected      Kind = "connected"       // server: a socket opened
	KindPageTurned     Kind = "page_turned"     // the student moved to another page of the quiz
	KindCapabilities   Kind = "capabilities"    // what this browser can and cannot report
	KindRTT            Kind = "rtt"             // measured round trip and clock offset
	KindFocusGained    Kind = "focus_gained"    // the page got the focus back
	KindConsent        Kind = "consent"         // the student agreed to be watched
	KindHandRaised     Kind = "hand_raised"     // the student asks for a proctor
	KindHandLowered    Kind = "hand_lowered"    // the student needs nobody any more
	KindBlur           Kind = "blur"            // the page was without focus for Duration
	KindHidden         Kind = "hidden"          // the page was hidden for Duration
	KindCopy           Kind = "copy"            // data: length
	KindCut            Kind = "cut"             // data: length
	KindPaste          Kind = "paste"           // data: length, hash
	KindContextMenu    Kind = "context_menu"    //
	KindResize         Kind = "resize"          // data: width, height
	KindIdle           Kind = "idle"            // no input for Duration
	KindFullscreenLeft Kind = "fullscreen_left" // without a page turn
	KindFullscreenNo   Kind = "fullscreen_refused"
	KindPrint          Kind = "print"
	KindDisplayMore    Kind = "display_extended" // more than one screen from the start
	KindDisplayAdded   Kind = "display_added"    // a screen was added during the exam
	KindDevtools       Kind = "devtools_suspected"

	KindReconnected    Kind = "reconnected"             // server: back after a drop
	KindLost           Kind = "connection_lost"         // server: out of reach
	KindAddress        Kind = "address_changed"         // server: another network address
	KindAddressBrowser Kind = "address_browser_changed" // server: another address and another browser together
	KindSecondSession  Kind = "second_session"          // server: a second device in the same session
	KindTokenReplay    Kind = "token_replay"            // server: a socket token from elsewhere
	KindTampering      Kind = "sequence_tampering"      // server: a number came again with other content
	KindHole           Kind = "sequence_hole"           // server: numbers are missing after a reconnect
	KindUserMismatch   Kind = "user_mismatch"           // server: the quiz page belongs to someone else
	KindRefused        Kind = "signal_refused"          // server: in the place of a signal that cannot be taken
)

// kindInfo is the catalogue behind Severity, Validate and Watch.
type kindInfo struct {
	severity float64
	server   bool  // made by the server; a browser may not send it
	watch    Watch // the group it belongs to; empty: always on
}

var kinds = map[Kind]kindInfo{
	KindConnected:      {0, true, ""},
	KindPageTurned:     {0, false, ""},
	KindCapabilities:   {0, false, ""},
	KindRTT:            {0, false, ""},
	KindFocusGained:    {0, false, WatchFocus},
	KindConsent:        {0, true, ""},
	KindHandRaised:     {0, false, ""},
	KindHandLowered:    {0, false, ""},
	KindBlur:           {0.1, false, WatchFocus},
	KindHidden:         {0.1, false, WatchFocus},
	KindCopy:           {0.1, false, WatchClipboard},
	KindCut:            {0.1, false, WatchClipboard},
	KindPaste:          {0.1, false, WatchClipboard},
	KindContextMenu:    {0.1, false, WatchWindow},
	KindResize:         {0.1, false, WatchWindow},
	KindIdle:           {0.1, false, WatchIdle},
	KindFullscreenLeft: {0.3, false, WatchFullscreen},
	KindFullscreenNo:   {0.6, false, WatchFullscreen},
	KindPrint:          {0.3, false, WatchWindow},
	KindDisplayMore:    {0.3, false, WatchDisplay},
	KindDisplayAdded:   {0.6, false, WatchDisplay},
	KindDevtools:       {0.3, false, WatchWindow},
	KindReconnected:    {0.1, true, ""},
	KindLost:           {0.3, true, ""},
	KindAddress:        {0.1, true, ""},
	KindAddressBrowser: {0.6, true, ""},
	KindSecondSession:  {0.9, true, ""},
	KindTokenReplay:    {0.9, true, ""},
	KindTampering:      {0.9, true, ""},
	KindHole:           {0.3, true, ""},
	KindUserMismatch:   {0.9, true, ""},
	KindRefused:        {0, true, ""},
}

// Kinds returns every kind of signal. The order is not fixed.
func Kinds() []Kind {
	out := make([]Kind, 0, len(kinds))
	for k := range kinds {
		out = append(out, k)
	}
	return out
}

// WatchOf tells the group that a kind belongs to; "" means that it is always on.
func (k Kind) WatchOf() Watch { return kinds[k].watch }

// FromServer tells whether only the server makes signals of this kind.
func (k Kind) FromServer() bool { return kinds[k].server }

// Known tells whether the kind is in the catalogue.
func (k Kind) Known() bool { _, ok := kinds[k]; return ok }

// Limits of a signal.
const (
	MaxSeq        = 1<<53 - 1 // the largest integer that a browser counts exactly
	MaxSignalData = 1024      // bytes of the data object
	MaxStreamID   = 64        // characters
	LargePaste    = 200       // characters from which a paste is severe
	RepeatedHides = 3         // hidden so often within RepeatWindow counts as repeated
	RepeatWindow  = 10 * time.Minute
	MaxDuration   = 24 * time.Hour
)

// Signal is something that a browser (or the server about it) noticed: an indication,
// never a verdict. Session, stream and sequence number name it; storing it again
// changes nothing.
type Signal struct {
	SessionID string
	ExamID    string
	Stream    string // random id kept with the browser's outbox; ServerStream for ours
	Seq       int64  // 1 to MaxSeq within the stream
	Kind      Kind
	Severity  float64       // 0 to 1, by our catalogue; the browser's word is not asked
	Incident  bool          // at or over the exam's threshold when it came
	At        time.Time     // when it began, by the browser's clock (server's for its own)
	Duration  time.Duration // 0: a moment
	Received  time.Time     // by the server's clock
	Data      json.RawMessage
}

// ServerStreamPrefix begins the stream of signals that the server makes; browsers may
// not use it.
const ServerStreamPrefix = "server:"

// ID names the signal within its session.
func (s Signal) ID() string { return s.Stream + "/" + strconv.FormatInt(s.Seq, 10) }

// Digest is a short hash over what the browser said, by which a repeat is told from a
// number that was used again for something else.
func (s Signal) Digest() string {
	h := fnv.New128a()
	var buf bytes.Buffer
	buf.WriteString(string(s.Kind))
	buf.WriteByte(0)
	buf.WriteString(strconv.FormatInt(s.At.UnixMilli(), 10))
	buf.WriteByte(0)
	buf.WriteString(strconv.FormatInt(s.Duration.Milliseconds(), 10))
	buf.WriteByte(0)
	buf.Write(s.Data)
	h.Write(buf.Bytes())
	return hex.EncodeToString(h.Sum(nil))
}

// Validate checks a signal as a browser may send it and returns CodeInvalid with the
// field at fault. It does not look at Severity, Incident and Received: those are ours.
func (s Signal) Validate() error {
	info, known := kinds[s.Kind]
	switch {
	case !known:
		return Invalid("kind", "There is no kind of signal of this name.")
	case info.server:
		return Invalid("kind", "Only the server reports this kind of signal.")
	case !ValidStream(s.Stream):
		return Invalid("stream", "A stream id has 16 to %d letters, digits, - or _.", MaxStreamID)
	case s.Seq < 1 || s.Seq > MaxSeq:
		return Invalid("seq", "Sequence numbers run from 1 to 2^53-1.")
	case s.At.Before(earliest) || s.At.After(latest):
		return Invalid("at", "The time is out of range.")
	case s.Duration < 0 || s.Duration > MaxDuration:
		return Invalid("dur", "A duration lies between 0 and 24 hours.")
	case len(s.Data) > MaxSignalData:
		return Invalid("data", "The data object is larger than %d bytes.", MaxSignalData)
	}
	return validateData(s.Data)
}

var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ValidStream tells whether a browser's stream id is well formed.
func ValidStream(id string) bool {
	if len(id) < 16 || len(id) > MaxStreamID {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// validateData allows a flat object of a few short strings, numbers and booleans, so
// that no text of the exam can travel in it. The bytes are kept and shown to proctors as
// they are, so they are valid UTF-8 and no name comes twice: the first of two would
// escape every check that looks at the parsed object.
func validateData(data json.RawMessage) error {
	if len(data) == 0 {
		return nil
	}
	if plainData(data) {
		return nil
	}
	notObject := Invalid("data", "The data of a signal is a JSON object.")
	var whole map[string]any // the tokens below do not see everything that is wrong
	if !utf8.Valid(data) || json.Unmarshal(data, &whole) != nil || whole == nil {
		return notObject
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return notObject
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		switch {
		case err != nil || !ok:
			return notObject
		case !fieldName(name):
			return Invalid("data", "A field's name has 1 to 32 letters, digits or _.")
		case seen[name]:
			return Invalid("data", "The data object holds a field twice.")
		case len(seen) == 24:
			return Invalid("data", "The data object holds more than 24 fields.")
		}
		seen[name] = true
		t, err = dec.Token()
		if err != nil {
			return notObject
		}
		switch v := t.(type) {
		case string:
			if len(v) > 128 {
				return Invalid("data", "A text in the data object is longer than 128 bytes.")
			}
		case json.Delim:
			return Invalid("data", "The data object is flat: texts, numbers and booleans only.")
		}
	}
	return nil
}

// plainData recognises what browsers send: a few fields of whole numbers, booleans and
// texts without escapes, without white space. What it takes is allowed; anything else is
// judged by validateData, which costs twenty times as much.
func plainData(b []byte) bool {
	const most = 8
	if len(b) < 2 || b[0] != '{' {
		return false
	}
	var names [most][]byte
	for n := range most {
		b = b[1:] // the brace or a comma
		name, rest := plainText(b)
		if len(rest) < 2 || rest[0] != ':' || !fieldName(string(name)) {
			return false
		}
		for _, other := range names[:n] {
			if bytes.Equal(name, other) {
				return false
			}
		}
		names[n] = name
		if b = plainValue(rest[1:]); len(b) == 0 {
			return false
		}
		switch b[0] {
		case '}':
			return len(b) == 1
		case ',':
		default:
			return false
		}
	}
	return false
}

// plainText reads a text of ASCII without escapes, at most 128 bytes; rest is nil where
// there is none.
func plainText(b []byte) (text, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil
	}
	for i, c := range b[1:] {
		switch {
		case c == '"':
			return b[1 : i+1], b[i+2:]
		case c < ' ' || c >= utf8.RuneSelf || c == '\\' || i == 128:
			return nil, nil
		}
	}
	return nil, nil
}

// plainValue reads a text, a whole number or a boolean, and returns what is left.
func plainValue(b []byte) []byte {
	switch {
	case len(b) == 0:
		return nil
	case b[0] == '"':
		_, rest := plainText(b)
		return rest
	case bytes.HasPrefix(b, []byte("true")):
		return b[4:]
	case bytes.HasPrefix(b, []byte("false")):
		return b[5:]
	}
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == 0 || i > 15 || b[0] == '0' && i > 1 {
		return nil
	}
	return b[i:]
}

func fieldName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return name != "" && len(name) <= 32
}

// Rate gives the signal its severity by the catalogue. recentHides is how many times
// the page was hidden within RepeatWindow before this signal.
func (s Signal) Rate(recentHides int) float64 {
	base := kinds[s.Kind].severity
	switch s.Kind {
	case KindBlur:
		switch {
		case s.Duration > 15*time.Second:
			return 0.3
		case s.Duration >= 5*time.Second:
			return 0.2
		}
	case KindHidden:
		switch {
		case s.Duration > time.Minute || recentHides+1 >= RepeatedHides:
			return 0.6
		case s.Duration >= 5*time.Second:
			return 0.3
		}
	case KindPaste:
		var d struct {
			Length float64 `json:"length"`
		}
		if json.Unmarshal(s.Data, &d) == nil && d.Length >= LargePaste {
			return 0.3
		}
	}
	return base
}
