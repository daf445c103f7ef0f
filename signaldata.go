package vigil

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// form says what a field of a signal's data may be.
type form int

// The forms; a field may have several.
const (
	formNumber form = 1 << iota
	formTruth
	formText
)

// dataFields lists what is kept of the data of each kind; a kind that is missing has none.
// Each field has its place in docs/privacy.md and docs/protocol.md (tests compare), and in
// the notice that the student reads.
var dataFields = map[Kind]map[string]form{
	KindPageTurned: {"page": formNumber | formText}, // a number, or the name of a page without one
	KindCapabilities: {
		"visibility": formTruth, "fullscreen": formTruth, "clipboard": formTruth, "displays": formTruth, "storage": formTruth, "mobile": formTruth,
	},
	KindRTT:     {"rtt": formNumber, "offset": formNumber}, // milliseconds
	KindBlur:    {"continued": formTruth},                  // the rest of an absence that was reported before it ended
	KindHidden:  {"continued": formTruth},
	KindIdle:    {"continued": formTruth},
	KindCopy:    {"length": formNumber}, // characters
	KindCut:     {"length": formNumber},
	KindPaste:   {"length": formNumber},
	KindResize:  {"width": formNumber, "height": formNumber}, // of the window, in CSS pixels
	KindLost:    {"cause": formText},
	KindHole:    {"missing": formNumber, "restored": formTruth},
	KindRefused: {"code": formText, "kind": formText, "field": formText},
}

// Fields lists what is kept of the data of signals of the kind, in the order of the alphabet.
func (k Kind) Fields() []string {
	var out []string
	for name := range dataFields[k] {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Kept returns a valid signal with no more data than is kept of its kind. The rest, of a
// newer or older monitor, or of someone else's, is dropped: monitors before this version
// send a hash of what was pasted.
func (s Signal) Kept() Signal {
	if len(s.Data) > 0 && !allKept(s.Data, dataFields[s.Kind]) {
		s.Data = keep(s.Data, dataFields[s.Kind])
	}
	return s
}

// allKept recognises data that browsers send and of which every field is kept.
func allKept(b []byte, fields map[string]form) bool {
	if !plainData(b) {
		return false
	}
	for b[0] != '}' {
		name, rest := plainText(b[1:]) // after the brace or a comma
		if fields[string(name)]&formOf(rest[1:]) == 0 {
			return false
		}
		b = plainValue(rest[1:])
	}
	return true
}

// keep copies the fields that are kept; nil where none is left.
func keep(data []byte, fields map[string]form) json.RawMessage {
	out := []byte{'{'}
	dec := json.NewDecoder(bytes.NewReader(data))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var t json.Token
		if t, err = dec.Token(); err != nil {
			break
		}
		var value json.RawMessage
		if err = dec.Decode(&value); err != nil {
			break
		}
		name, _ := t.(string)
		if fields[name]&formOf(value) == 0 {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(append(out, '"'), name...), '"', ':'), value...)
	}
	if err != nil || len(out) == 1 { // an error: it was not validated
		return nil
	}
	return append(out, '}')
}

// formOf tells the form of a JSON value by how it begins; null and what is nested have none.
func formOf(value []byte) form {
	switch c := value[0]; {
	case c == '"':
		return formText
	case c == 't' || c == 'f':
		return formTruth
	case c == '-' || c >= '0' && c <= '9':
		return formNumber
	}
	return 0
}

// validateData allows a flat object of a few short strings, numbers and booleans. The bytes
// of what is kept (Signal.Kept) are shown to proctors as they are, so they are valid UTF-8
// and no name comes twice: the first of two would escape every check that looks at the
// parsed object.
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
