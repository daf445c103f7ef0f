package protocol

import (
	"bytes"
	"encoding/json"

	"vigil"
)

// fastParse reads a frame as browsers write signals: no white space between, texts without
// escapes, whole numbers, and of the fields only those that a signal has. It tells whether
// that is what it was; anything else is encoding/json's, which takes ten times as long.
// What it takes it reads as encoding/json does, but that f keeps parts of b.
func fastParse(b []byte, f *Up) bool {
	if len(b) < 2 || b[0] != '{' {
		return false
	}
	for {
		name, rest, ok := fastString(b[1:]) // behind the brace or a comma
		if !ok || len(rest) < 2 || rest[0] != ':' {
			return false
		}
		rest = rest[1:]
		switch string(name) {
		case "t":
			var v []byte
			v, b, ok = fastString(rest)
			f.T = Type(v)
		case "kind":
			var v []byte
			v, b, ok = fastString(rest)
			f.Kind = string(v)
		case "seq":
			f.Seq, b, ok = fastNumber(rest)
		case "at":
			f.At, b, ok = fastNumber(rest)
		case "dur":
			f.Dur, b, ok = fastNumber(rest)
		case "data":
			n := objectEnd(rest)
			if ok = n > 0 && json.Valid(rest[:n]); ok {
				f.Data, b = rest[:n:n], rest[n:]
			}
		default:
			return false
		}
		switch {
		case !ok || len(b) == 0:
			return false
		case b[0] == '}':
			return len(b) == 1 && f.T != ""
		case b[0] != ',' || len(b) < 2:
			return false
		}
	}
}

// fastString takes a text of printable ASCII off the front.
func fastString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[1:i], b[i+1:], true
		case c == '\\' || c < ' ' || c > '~':
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// fastNumber takes a whole number off the front.
func fastNumber(b []byte) (n int64, rest []byte, ok bool) {
	const most = 18 // digits that fit for sure
	i := 0
	for i < len(b) && i <= most && b[i] >= '0' && b[i] <= '9' {
		n = 10*n + int64(b[i]-'0')
		i++
	}
	if i == 0 || i > most || b[0] == '0' && i > 1 {
		return 0, nil, false
	}
	return n, b[i:], true
}

// objectEnd is where the object ends that b begins with, if it is JSON; 0: nowhere.
func objectEnd(b []byte) int {
	if len(b) == 0 || b[0] != '{' {
		return 0
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// Parse reads one object, of which the frame may keep parts. Errors are CodeInvalid.
func Parse(raw json.RawMessage) (Up, error) {
	var f Up
	if fastParse(raw, &f) {
		return f, nil
	}
	f = Up{}
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return f, vigil.Invalid("", "A frame is a JSON object.")
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		var field string
		if e, ok := err.(*json.UnmarshalTypeError); ok { //nolint:errorlint // Unmarshal returns it unwrapped
			field = e.Field
		}
		return f, vigil.Invalid(field, "The frame cannot be read: it is not JSON, or a field is of the wrong type.")
	}
	if f.T == "" {
		return f, vigil.Invalid("t", "The frame has no type.")
	}
	if bytes.Equal(f.Data, []byte("null")) {
		f.Data = nil
	}
	return f, nil
}
