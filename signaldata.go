package vigil

import (
	"bytes"
	"encoding/json"
	"maps"
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
	formName // a text that is a name of ours: letters, digits, - and _, at most maxName
	formSpan // milliseconds or a count: a number that is not negative
)

const maxName = 32

// dataFields lists what the data of each kind may hold: every kind is here, one without data with
// none. A text has a place only where it is a name of ours, so that no typed or copied text gets
// through. Each field has its place in docs/privacy.md and docs/protocol.md (tests compare), and
// in the notice that the student reads.
var dataFields = map[Kind]map[string]form{
	KindPageTurned: {"page": formSpan | formName}, // a number, or the name of a page without one
	KindCapabilities: {
		"visibility": formTruth, "fullscreen": formTruth, "clipboard": formTruth, "displays": formTruth, "storage": formTruth, "mobile": formTruth,
	},
	KindRTT:            {"rtt": formSpan, "offset": formNumber}, // milliseconds
	KindBlur:           lasting,
	KindHidden:         lasting,
	KindIdle:           lasting,
	KindCopy:           {"length": formSpan}, // characters
	KindCut:            {"length": formSpan},
	KindPaste:          {"length": formSpan},
	KindResize:         {"width": formSpan, "height": formSpan}, // of the window, in CSS pixels
	KindLost:           {"cause": formName},
	KindHole:           {"missing": formSpan, "restored": formTruth},
	KindUnwatched:      {"begun": formName, "room": formTruth}, // begun: "unknown"
	KindMonitorSilent:  {"missed": formSpan, "why": formName},
	KindRefused:        {"code": formName, "kind": formName, "field": formName},
	KindConnected:      {"browser": formTruth}, // another one than before, from the same address
	KindFocusGained:    nil,
	KindConsent:        nil,
	KindHandRaised:     nil,
	KindHandLowered:    nil,
	KindContextMenu:    nil,
	KindFullscreenLeft: nil,
	KindFullscreenNo:   nil,
	KindPrint:          nil,
	KindDisplayMore:    nil,
	KindDisplayAdded:   nil,
	KindDevtools:       nil,
	KindReconnected:    nil,
	KindAddress:        nil,
	KindAddressBrowser: nil,
	KindSecondSession:  nil,
	KindTokenReplay:    nil,
	KindTampering:      nil,
	KindUserMismatch:   nil,
}

// lasting is what is kept of an absence beside its length.
var lasting = map[string]form{
	"continued": formTruth, // the rest of one that was reported before it ended
	"asleep":    formSpan,  // of its length: the computer slept for so long, in ms
	"reported":  formSpan,  // the length that the browser told, in ms, where that cannot be; see Signal.Bounded
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

// without returns the signal without these fields of its data.
func (s Signal) without(names ...string) Signal {
	if len(s.Data) == 0 {
		return s
	}
	rest := maps.Clone(dataFields[s.Kind])
	for _, name := range names {
		delete(rest, name)
	}
	if !allKept(s.Data, rest) {
		s.Data = keep(s.Data, rest)
	}
	return s
}

// withField adds a field of ours to data that has none of this name.
func withField(data json.RawMessage, name, value string) json.RawMessage {
	out := append([]byte(`{"`), name...)
	out = append(append(out, '"', ':'), value...)
	if len(data) > 2 {
		out = append(append(out, ','), data[1:]...)
		return out
	}
	return append(out, '}')
}

// allKept recognises data that browsers send and of which every field is kept.
func allKept(b []byte, fields map[string]form) bool {
	if !plainData(b) {
		return false
	}
	for b[0] != '}' {
		name, rest := plainText(b[1:]) // after the brace or a comma
		if !fields[string(name)].fits(rest[1:]) {
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
		if !fields[name].fits(value) {
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

// fits tells whether a JSON value, which may have more behind it, is of one of the forms; null and
// what is nested are of none.
func (f form) fits(value []byte) bool {
	switch c := value[0]; {
	case c == '"':
		return f&formText != 0 || f&formName != 0 && isName(value)
	case c == 't' || c == 'f':
		return f&formTruth != 0
	case c == '-':
		return f&formNumber != 0
	case c >= '0' && c <= '9':
		return f&(formNumber|formSpan) != 0
	}
	return false
}

// isName tells whether a JSON text is a name of ours.
func isName(value []byte) bool {
	for i, c := range value[1:] {
		switch {
		case c == '"':
			return i > 0
		case i == maxName || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'):
			return false
		}
	}
	return false
}

// checkFields refuses data that is none of the kind's: a field of another form than the kind's own,
// and any text that the kind has no place for, which may be what somebody typed. Other numbers and
// booleans are of a newer monitor, and are dropped (Signal.Kept). It was validated before.
func checkFields(k Kind, data json.RawMessage) error {
	fields := dataFields[k]
	if len(data) == 0 || allKept(data, fields) {
		return nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(data, &values) != nil {
		return Invalid("data", "The data of a signal is a JSON object.")
	}
	for name, value := range values {
		want, known := fields[name]
		switch {
		case value[0] == 'n' || want.fits(value):
		case known:
			return Invalid("data", "The field %s of this kind of signal is of another form.", name)
		case value[0] == '"' && !(k == KindPaste && name == "hash" && isHash(value)):
			return Invalid("data", "This kind of signal has no text %s.", name)
		}
	}
	return nil
}

// isHash tells whether a JSON text is the hash that monitors before this version send with a paste.
func isHash(value []byte) bool {
	if len(value) < 8+2 || len(value) > 64+2 {
		return false
	}
	for _, c := range value[1 : len(value)-1] {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
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
