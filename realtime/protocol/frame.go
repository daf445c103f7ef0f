package protocol

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"vigil"
)

// Up is any frame that a client sends: the union of their fields. Which of them count
// depends on T.
type Up struct {
	T        Type            `json:"t"`
	Stream   string          `json:"stream"`
	Next     int64           `json:"next"`
	Page     int             `json:"page"`
	Stamp    string          `json:"stamp"`
	Seq      int64           `json:"seq"`
	Kind     string          `json:"kind"`
	At       int64           `json:"at"`
	Dur      int64           `json:"dur"`
	Data     json.RawMessage `json:"data"`
	ID       string          `json:"id"`
	Session  string          `json:"session"`
	Text     string          `json:"text"`
	Reason   string          `json:"reason"`
	Signals  string          `json:"signals"`
	Targets  []string        `json:"targets"`
	All      bool            `json:"all"`
	Seconds  int64           `json:"seconds"`
	Severity float64         `json:"severity"`
	Grant    bool            `json:"grant"`
	Can      []string        `json:"can"`
	Doc      string          `json:"doc"`
	Pages    int64           `json:"pages"`
	Visible  int64           `json:"visible"`
	Hidden   int64           `json:"hidden"`
	Focus    int64           `json:"focus"`
	Focused  int64           `json:"focused"`
	Given    int64           `json:"given"`
	Away     bool            `json:"away"`
}

// Ref names the frame in an error.
func (f *Up) Ref() string {
	switch {
	case f.ID != "":
		return f.ID
	case f.Seq != 0:
		return strconv.FormatInt(f.Seq, 10)
	}
	return ""
}

// Split checks a message's outer form (UTF-8, depth, number of objects) and returns its
// objects, each still unread. Errors are CodeInvalid and speak of the whole message.
func Split(msg []byte) ([]json.RawMessage, error) {
	if !utf8.Valid(msg) {
		return nil, vigil.Invalid("", "The message is not valid UTF-8.")
	}
	if depth(msg) > MaxDepth {
		return nil, vigil.Invalid("", "The message is nested more than %d deep.", MaxDepth)
	}
	msg = bytes.TrimLeft(msg, " \t\r\n")
	if len(msg) == 0 || msg[0] != '[' {
		return []json.RawMessage{msg}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(msg, &list); err != nil {
		return nil, vigil.Invalid("", "The message is not JSON.")
	}
	if len(list) > MaxBatch {
		return nil, vigil.Invalid("", "The array holds more than %d objects.", MaxBatch)
	}
	return list, nil
}

// depth is how deep a text nests, judged by its brackets outside strings; it need not be
// valid JSON.
func depth(msg []byte) int {
	d, most := 0, 0
	quoted, escaped := false, false
	for _, c := range msg {
		switch {
		case escaped:
			escaped = false
		case quoted:
			switch c {
			case '\\':
				escaped = true
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			d++
			most = max(most, d)
		case c == '}' || c == ']':
			d--
		}
	}
	return most
}

// Encode is json.Marshal for our own frames, which always can be.
func Encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("protocol: a frame of ours cannot be encoded: " + err.Error())
	}
	return b
}

// AppendAck appends an Ack of signals; it is the most frequent frame to students.
func AppendAck(b []byte, stream string, seqs []int64) []byte {
	b = append(b, `{"t":"ack","stream":"`...)
	b = append(b, stream...) // a valid stream id needs no escapes
	b = append(b, `","seqs":[`...)
	for i, n := range seqs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return append(b, "]}"...)
}

// Millis is a moment on the wire; the zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Moment reads one from the wire.
func Moment(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}
