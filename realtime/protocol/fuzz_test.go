package protocol

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"vigil"
)

// FuzzMessage feeds messages to the outer parser and what comes of it to the inner one:
// neither may panic, and what they take keeps the bounds that docs/protocol.md states.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"t":"hello","stream":"abcdefghijklmnop","next":1,"can":["alive"]}`,
		`{"t":"alive","id":"alive-1","doc":"abcdefgh","pages":1,"visible":60000,"hidden":0,"focus":1,"focused":59000,"given":3,"away":true}`,
		`[{"t":"signal","seq":1,"kind":"copy","at":1790000000000,"data":{"length":3}},{"t":"time","at":5}]`,
		`{"t":"command","id":"abcdefgh","kind":"pause","targets":["a","b"],"severity":0.5,"all":false}`,
		`{"t":"chat","id":"abcdefgh","text":"a\u0000\"\\"}`, `[[[[[[[[[[[[[[[[[[`, `"`, `[]`, `{}`, "\xff", `{"t":null}`, `nul`,
		`{"t":"signal","data":null}`, `{"T":"HELLO","t":"bye"}`, strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		list, err := Split(msg)
		if err != nil {
			if vigil.CodeOf(err) != vigil.CodeInvalid {
				t.Fatalf("split: got %v, want invalid", err)
			}
			return
		}
		if len(list) > MaxBatch {
			t.Fatalf("%d objects, want at most %d", len(list), MaxBatch)
		}
		for _, raw := range list {
			frame, err := Parse(raw)
			if err != nil {
				if vigil.CodeOf(err) != vigil.CodeInvalid {
					t.Fatalf("parse: got %v, want invalid", err)
				}
				continue
			}
			if frame.T == "" || frame.Data != nil && !json.Valid(frame.Data) {
				t.Fatalf("taken: %+v", frame)
			}
			_ = frame.Ref()
			s := vigil.Signal{Stream: "abcdefghijklmnop", Seq: frame.Seq, Kind: vigil.Kind(frame.Kind), At: Moment(frame.At), Data: frame.Data}
			if s.Validate() == nil {
				s.Received = time.Unix(1, 0)
				if frame := Encode(SignalOf(s)); !json.Valid(frame) || len(frame) > MaxMessage {
					t.Fatalf("a valid signal makes a bad frame: %q", frame)
				}
			}
		}
		if !bytes.Equal(before, msg) {
			t.Fatal("the message was changed")
		}
	})
}

// FuzzFastParse holds the quick reading of signals against encoding/json: what it takes it
// must read alike.
func FuzzFastParse(f *testing.F) {
	for _, s := range []string{
		`{"t":"signal","seq":1,"kind":"copy","at":1790000000000,"data":{"length":3}}`, `{"t":"signal","seq":01}`, `{"t":"signal","seq":1,}`,
		`{"t":"signal","dur":5,"data":{"a":"}\\\"","b":{}}}`, `{"t":"signal","t":"bye"}`, `{"t":""}`, `{"t":"x","data":{"a":1}{}}`, `{"t":"x","at":999999999999999999}`,
		`{"t":"x","seq":-1}`, `{"t":"x"} `, `{"t":"x","kind":"<&>"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want Up
		if !fastParse(b, &got) {
			return
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%q was taken: %v", b, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, want %+v", b, got, want)
		}
	})
}

func TestFastParseTakesWhatBrowsersSend(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		`{"t":"signal","seq":1,"kind":"copy","at":1790000000000,"data":{"length":3}}`,
		`{"t":"signal","seq":12,"kind":"hidden","at":1790000000000,"dur":5000}`,
	} {
		var f Up
		if !fastParse([]byte(s), &f) {
			t.Errorf("%s is read the slow way", s)
		}
	}
}
