package vigil

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"time"
)

// Kind names what a signal reports.
type Kind string

// The kinds. Their severities are in kinds, and what the data object of each may hold in
// dataFields. None of them carries typed, copied or pasted text, nor a hash of it.
const (
	KindConnected      Kind = "connected"    // server: a socket opened
	KindPageTurned     Kind = "page_turned"  // the student moved to another page of the quiz
	KindCapabilities   Kind = "capabilities" // what this browser can and cannot report
	KindRTT            Kind = "rtt"          // measured round trip and clock offset
	KindFocusGained    Kind = "focus_gained" // the page got the focus back
	KindConsent        Kind = "consent"      // the student agreed to be watched
	KindHandRaised     Kind = "hand_raised"  // the student asks for a proctor
	KindHandLowered    Kind = "hand_lowered" // the student needs nobody any more
	KindBlur           Kind = "blur"         // the page was without focus for Duration
	KindHidden         Kind = "hidden"       // the page was hidden for Duration
	KindCopy           Kind = "copy"
	KindCut            Kind = "cut"
	KindPaste          Kind = "paste"
	KindContextMenu    Kind = "context_menu"
	KindResize         Kind = "resize"
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
	KindUnwatched      Kind = "not_watched"             // server: the attempt was open and nothing reported
	KindMonitorSilent  Kind = "monitor_silent"          // server: the monitor does not answer, or contradicts itself
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
	KindUnwatched:      {0.6, true, ""},
	KindMonitorSilent:  {0.6, true, ""},
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
	MaxDuration   = 366 * 24 * time.Hour // longer ones are kept as this: see PossibleDuration
)

// boundSlack is by how much a length may differ from the server's count before that stands.
const boundSlack = 5 * time.Second

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
	At        time.Time     // when it began, by the browser's clock (server's for its own); see PossibleTime
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
// number that was used again for something else. Of the data only what is kept counts
// (Signal.Kept): a signal that was stored with more is the same. So is one of which the server
// did not believe the length (Bounded), or the sleep (WithoutSleep).
func (s Signal) Digest() string {
	h := fnv.New128a()
	s = s.asReported()
	var buf bytes.Buffer
	buf.WriteString(string(s.Kind))
	buf.WriteByte(0)
	buf.WriteString(strconv.FormatInt(s.At.UnixMilli(), 10))
	buf.WriteByte(0)
	buf.WriteString(strconv.FormatInt(s.Duration.Milliseconds(), 10))
	buf.WriteByte(0)
	buf.Write(s.Kept().Data)
	h.Write(buf.Bytes())
	return hex.EncodeToString(h.Sum(nil))
}

// asReported is what the browser said, without what the server makes of it.
func (s Signal) asReported() Signal {
	if _, lasts := dataFields[s.Kind]["reported"]; !lasts || len(s.Data) == 0 {
		return s
	}
	var d struct {
		Reported *int64 `json:"reported"`
	}
	if json.Unmarshal(s.Data, &d) == nil && d.Reported != nil {
		s.Duration = PossibleDuration(*d.Reported)
	}
	return s.without("asleep", "reported")
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
		return Invalid("dur", "A duration lies between 0 and a year.")
	case len(s.Data) > MaxSignalData:
		return Invalid("data", "The data object is larger than %d bytes.", MaxSignalData)
	}
	if err := validateData(s.Data); err != nil {
		return err
	}
	return checkFields(s.Kind, s.Data)
}

var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// PossibleTime is the moment that is kept of what a browser's clock says, in milliseconds since
// 1970. Where that cannot be, because the clock is decades off, it is the nearest that can be, by
// which people see it: what the browser noticed happened all the same. false: that was so.
func PossibleTime(ms int64) (time.Time, bool) {
	switch {
	case ms < earliest.UnixMilli():
		return earliest, false
	case ms > latest.UnixMilli():
		return latest, false
	}
	return time.UnixMilli(ms).UTC(), true
}

// PossibleDuration is the length that is kept of what a browser reports, in milliseconds: an absence
// of any length is kept. What no attempt lasts is kept as MaxDuration; less than nothing stays
// invalid.
func PossibleDuration(ms int64) time.Duration {
	switch {
	case ms < 0:
		return -1
	case ms > MaxDuration.Milliseconds():
		return MaxDuration
	}
	return time.Duration(ms) * time.Millisecond
}

// Bounded returns the signal with no longer a duration than the server's own clock has room for:
// nothing lasted longer than from begin, the moment before which nobody was watched, to when the
// signal was received. What the browser said is kept as reported.
func (s Signal) Bounded(begin time.Time) Signal {
	if _, lasts := dataFields[s.Kind]["reported"]; !lasts {
		return s
	}
	s = s.without("reported") // no browser's word
	room := max(0, s.Received.Sub(begin))
	if s.Duration <= room+boundSlack {
		return s
	}
	said := strconv.FormatInt(s.Duration.Milliseconds(), 10)
	s.Duration = room.Truncate(time.Millisecond)
	s.Data = withField(s.without("asleep").Data, "reported", said)
	return s
}

// Asleep is how much of the signal's duration the computer slept, by what its browser and the
// server's clock say together.
func (s Signal) Asleep() time.Duration {
	var d struct {
		Asleep float64 `json:"asleep"`
	}
	if len(s.Data) == 0 || json.Unmarshal(s.Data, &d) != nil || !(d.Asleep > 0) {
		return 0
	}
	if d.Asleep >= float64(s.Duration.Milliseconds()) {
		return s.Duration
	}
	return time.Duration(d.Asleep) * time.Millisecond
}

// Awake is the part of the signal's duration by which it is rated: nobody is blamed for a computer
// that slept.
func (s Signal) Awake() time.Duration { return s.Duration - s.Asleep() }

// WithoutSleep returns the signal without the claim that the computer slept.
func (s Signal) WithoutSleep() Signal { return s.without("asleep") }

// impossibleBy is how far a computer's clock may be off before what it says of a signal's moment is
// called impossible.
const impossibleBy = time.Minute

// Impossible tells that the signal cannot have been noticed when the browser's clock said: after it
// was received, or before the session was created. Received is true then, and shown in its place.
func (s Signal) Impossible(created time.Time) bool {
	return !s.Kind.FromServer() && (s.At.After(s.Received.Add(impossibleBy)) || s.At.Before(created.Add(-impossibleBy)))
}

// FarOff tells that a signal's moment is only the nearest that is kept (PossibleTime): what the
// browser's clock said is further away.
func FarOff(at time.Time) bool { return !at.After(earliest) || !at.Before(latest) }

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

// Rate gives the signal its severity by the catalogue. recentHides is how many times
// the page was hidden within RepeatWindow before this signal.
func (s Signal) Rate(recentHides int) float64 {
	base := kinds[s.Kind].severity
	switch s.Kind {
	case KindBlur:
		switch awake := s.Awake(); {
		case awake > 15*time.Second:
			return 0.3
		case awake >= 5*time.Second:
			return 0.2
		}
	case KindHidden:
		switch awake := s.Awake(); {
		case awake > time.Minute || recentHides+1 >= RepeatedHides:
			return 0.6
		case awake >= 5*time.Second:
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
