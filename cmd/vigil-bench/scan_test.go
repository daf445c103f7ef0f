//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestFramesAreFoundInObjectsAndArrays(t *testing.T) {
	for msg, want := range map[string][]string{
		`{"t":"ack"}`:                          {`{"t":"ack"}`},
		` [ {"a":"}]"} , {"b":[1,{"c":2}]} ] `: {`{"a":"}]"}`, `{"b":[1,{"c":2}]}`},
		`[]`:                                   nil,
	} {
		var got []string
		if !eachFrame([]byte(msg), func(f []byte) { got = append(got, string(f)) }) {
			t.Errorf("%s: got a refusal, want frames", msg)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: got %q, want %q", msg, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: got %q, want %q", msg, got[i], want[i])
			}
		}
	}
	for _, msg := range []string{``, `x`, `{`, `[`, `[{}`, `[{},]`, `{}{}`, `["a"]`, `{"a":"`} {
		if eachFrame([]byte(msg), func([]byte) {}) {
			t.Errorf("%q: got frames, want a refusal", msg)
		}
	}
}

// FuzzFrames holds the scanner against encoding/json: whatever that takes, the scanner
// takes with the same fields, and nothing makes it fall over.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		`{"t":"signal","session":"s","stream":"x","seq":12,"data":{"length":3}}`, `[{"t":"ack","stream":"a","seqs":[1,2]},{"t":"pulse"}]`,
		`{"a":"\"","b":[{}],"c":null}`, `[`, `{"a":}`, "{\"a\"\n:\t-1.5e3}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var frames [][]byte
		took := eachFrame(msg, func(b []byte) { frames = append(frames, b) })
		var one map[string]json.RawMessage
		var many []map[string]json.RawMessage
		switch {
		case json.Unmarshal(msg, &one) == nil && one != nil:
			many = append(many, one)
		case json.Unmarshal(msg, &many) == nil && many != nil:
		default:
			for _, b := range frames {
				eachField(b, func(_, _ []byte) bool { return true })
			}
			return
		}
		for _, m := range many {
			if m == nil { // [null]
				return
			}
		}
		if !took || len(frames) != len(many) {
			t.Fatalf("got %d frames (%v), want %d", len(frames), took, len(many))
		}
		for i, b := range frames {
			last := map[string]json.RawMessage{}
			if !eachField(b, func(name, v []byte) bool {
				var s string
				if json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &s) == nil {
					last[s] = v
				}
				return true
			}) {
				t.Fatalf("got no fields in %s", b)
			}
			for k, v := range many[i] {
				if !bytes.Equal(bytes.TrimSpace(v), last[k]) {
					t.Errorf("%q: got %s, want %s", k, last[k], v)
				}
			}
		}
	})
}
