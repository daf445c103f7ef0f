package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// sink takes the rows of an export.
type sink interface {
	row(kind string, v any) error
	end() error // writes what is left
}

// cell is one field of a row, with the name that it has in exports.
type cell struct {
	name  string
	value any // string, bool, number, json.RawMessage, or nil for none
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	rawType      = reflect.TypeFor[json.RawMessage]()
)

// cells makes a row of a struct: nested structs are flattened, times are RFC 3339 in
// UTC, durations milliseconds, lists JSON.
func cells(v any) []cell {
	var out []cell
	flatten(&out, "", reflect.ValueOf(v))
	return out
}

func flatten(out *[]cell, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+snake(v.Type().Field(i).Name)
		switch {
		case f.Type() == timeType:
			t, _ := f.Interface().(time.Time)
			*out = append(*out, cell{name, none(stampOf(t))})
		case f.Type() == durationType:
			*out = append(*out, cell{name + "_ms", time.Duration(f.Int()).Milliseconds()})
		case f.Type() == rawType:
			var raw any
			if f.Len() > 0 {
				raw, _ = f.Interface().(json.RawMessage)
			}
			*out = append(*out, cell{name, raw})
		case f.Kind() == reflect.Struct:
			flatten(out, name+"_", f)
		case f.Kind() == reflect.Slice:
			*out = append(*out, cell{name, list(f)})
		case f.Kind() == reflect.String:
			*out = append(*out, cell{name, f.String()})
		default:
			*out = append(*out, cell{name, f.Interface()})
		}
	}
}

// list makes JSON of a list: of texts as they are, of structs as rows are.
func list(v reflect.Value) any {
	out := make([]any, v.Len())
	for i := range out {
		if e := v.Index(i); e.Kind() == reflect.Struct {
			out[i] = object(cells(e.Interface()))
		} else {
			out[i] = e.Interface()
		}
	}
	b, err := json.Marshal(out)
	if err != nil { // texts, numbers and booleans always have a JSON form
		return nil
	}
	return json.RawMessage(b)
}

func none(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// snake writes a field's name as exports do: SessionID is session_id.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		lowerNext := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || lowerNext) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// object keeps the order of its fields.
type object []cell

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, c := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, c.name), ':')
		v, err := json.Marshal(c.value)
		if err != nil {
			return nil, err
		}
		b = append(b, v...)
	}
	return append(b, '}'), nil
}

type jsonSink struct{ w *bufio.Writer }

func newJSONSink(w io.Writer) *jsonSink { return &jsonSink{bufio.NewWriter(w)} }

func (s *jsonSink) row(kind string, v any) error {
	b, err := json.Marshal(object(append([]cell{{"kind", kind}}, prefixed(kind, cells(v))...)))
	if err != nil {
		return err
	}
	_, err = s.w.Write(append(b, '\n'))
	return err
}

// prefixed keeps a field of the name "kind" apart from the row's.
func prefixed(kind string, row []cell) []cell {
	for i := range row {
		if row[i].name == "kind" {
			row[i].name = kind + "_kind"
		}
	}
	return row
}

func (s *jsonSink) end() error { return s.w.Flush() }

type csvSink struct {
	w     *csv.Writer
	begun bool
}

func newCSVSink(w io.Writer) *csvSink { return &csvSink{w: csv.NewWriter(w)} }

func (s *csvSink) row(kind string, v any) error {
	row := prefixed(kind, cells(v))
	if !s.begun {
		s.begun = true
		head := make([]string, len(row))
		for i, c := range row {
			head[i] = c.name
		}
		if err := s.w.Write(head); err != nil {
			return err
		}
	}
	out := make([]string, len(row))
	for i, c := range row {
		switch v := c.value.(type) {
		case nil:
		case string:
			out[i] = harmless(v)
		case json.RawMessage:
			out[i] = harmless(string(v))
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return s.w.Write(out)
}

// harmless keeps a spreadsheet from taking what people typed for a formula.
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (s *csvSink) end() error {
	s.w.Flush()
	return s.w.Error()
}
