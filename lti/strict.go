package lti

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON that others send.
const maxDepth = 32

// object is a strictly decoded JSON object. Names are looked up exactly: encoding/json
// would match "ISS" to a field named iss, and fold ſ and K. Values are string, bool,
// json.Number, nil, []any and object.
type object map[string]any

// parseObject decodes one JSON object strictly: valid UTF-8 without half surrogates, no
// name twice in an object, at most maxDepth deep, nothing after it.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	if loneSurrogate(data) {
		return nil, errors.New("half a surrogate pair")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := decodeValue(dec, 1)
	if err != nil {
		return nil, err
	}
	obj, ok := value.(object)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return obj, nil
}

// decodeValue reads the next value. The input is known to be valid JSON, so tokens come
// in a sensible order; what is left to refuse is depth and repeated names.
func decodeValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d", maxDepth)
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	obj := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("a name is not a string")
		}
		if _, dup := obj[name]; dup {
			return nil, errors.New("a name appears twice")
		}
		if obj[name], err = decodeValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return obj, err
}

// loneSurrogate tells whether valid JSON holds a \u escape of half a surrogate pair,
// which encoding/json would turn into U+FFFD: two different strings would become one.
func loneSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++
		if data[i] != 'u' {
			continue
		}
		first := hex4(data[i+1:])
		i += 4
		switch {
		case first >= 0xDC00 && first <= 0xDFFF:
			return true
		case first >= 0xD800 && first <= 0xDBFF:
			if i+6 >= len(data) || data[i+1] != '\\' || data[i+2] != 'u' {
				return true
			}
			if second := hex4(data[i+3:]); second < 0xDC00 || second > 0xDFFF {
				return true
			}
			i += 6
		}
	}
	return false
}

func hex4(data []byte) uint64 {
	if len(data) < 4 {
		return 0
	}
	n, err := strconv.ParseUint(string(data[:4]), 16, 32)
	if err != nil {
		return 0
	}
	return n
}

// has tells whether a name is present with a value other than null. Platforms send null
// for what they have not got.
func (o object) has(name string) bool { return o[name] != nil }

func (o object) str(name string) (string, bool) {
	s, ok := o[name].(string)
	return s, ok
}

func (o object) array(name string) ([]any, bool) {
	a, ok := o[name].([]any)
	return a, ok
}

func (o object) object(name string) (object, bool) {
	v, ok := o[name].(object)
	return v, ok
}

// number returns a JSON number; a string of digits is not one.
func (o object) number(name string) (float64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false
	}
	return f, true
}

// integer returns a JSON number written as an integer: 1.5, 1.0 and 1e3 are not.
func (o object) integer(name string) (int64, bool) {
	n, ok := o[name].(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	return i, err == nil
}

// strings returns an array whose every item is a string.
func (o object) strings(name string) ([]string, bool) {
	list, ok := o.array(name)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}
