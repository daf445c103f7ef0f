package realtime

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
		list, err := split(msg)
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
			frame, err := parse(raw)
			if err != nil {
				if vigil.CodeOf(err) != vigil.CodeInvalid {
					t.Fatalf("parse: got %v, want invalid", err)
				}
				continue
			}
			if frame.T == "" || frame.Data != nil && !json.Valid(frame.Data) {
				t.Fatalf("taken: %+v", frame)
			}
			_ = frame.ref()
			s := vigil.Signal{Stream: "abcdefghijklmnop", Seq: frame.Seq, Kind: vigil.Kind(frame.Kind), At: moment(frame.At), Data: frame.Data}
			if s.Validate() == nil {
				s.Received = time.Unix(1, 0)
				if d := signalDelta(s); !json.Valid(d.frame) || len(d.frame) > MaxMessage {
					t.Fatalf("a valid signal makes a bad frame: %q", d.frame)
				}
			}
		}
		if !bytes.Equal(before, msg) {
			t.Fatal("the message was changed")
		}
	})
}

// FuzzOffered feeds subprotocol headers: whatever is offered, at most one token comes of
// it, and only beside ours.
func FuzzOffered(f *testing.F) {
	for _, s := range []string{"vigil.v1, vigil.token.abc", "vigil.token.abc", "vigil.v1", "", ",", "vigil.v1,vigil.token.a,vigil.token.b", "VIGIL.V1, vigil.token.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		token, err := offered(map[string][]string{"Sec-Websocket-Protocol": {line}})
		if err == nil && (token == "" || strings.ContainsAny(token, ", ") || !strings.Contains(line, Subprotocol)) {
			t.Fatalf("%q: got the token %q", line, token)
		}
	})
}

// FuzzEvent feeds the relay's entries: one of another version, or a broken one, must not
// panic.
func FuzzEvent(f *testing.F) {
	f.Add(appendDelta(appendDelta(nil, delta{key: "tally/s", level: levelSignal, frame: []byte(`{"t":"pulse"}`)}), delta{key: "new/s", session: "s", created: true, frame: []byte(`{}`), groups: &groupWord{Version: 1}}))
	f.Add([]byte{deltasMark, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	for _, s := range []string{`{"k":"student","s":"x","f":[1]}`, `{"k":"epoch","n":5}`, `{`, `null`, `[]`} {
		f.Add([]byte(s))
	}
	h := &Hub{log: Config{}.withDefaults().Log, rooms: map[string]*room{}, students: map[string]*student{}}
	h.stopped = true
	r := &room{h: h, exam: "exam", dirty: map[*student]struct{}{}, groups: map[string]groupWord{}}
	r.proctors.Store(&[]*proctor{})
	f.Fuzz(func(_ *testing.T, payload []byte) { r.Receive(payload) })
}

// FuzzPlain holds the quick reading of signals against encoding/json: what it takes it
// must read alike.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{
		`{"t":"signal","seq":1,"kind":"copy","at":1790000000000,"data":{"length":3}}`, `{"t":"signal","seq":01}`, `{"t":"signal","seq":1,}`,
		`{"t":"signal","dur":5,"data":{"a":"}\\\"","b":{}}}`, `{"t":"signal","t":"bye"}`, `{"t":""}`, `{"t":"x","data":{"a":1}{}}`, `{"t":"x","at":999999999999999999}`,
		`{"t":"x","seq":-1}`, `{"t":"x"} `, `{"t":"x","kind":"<&>"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want up
		if !plain(b, &got) {
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

func TestPlainTakesWhatBrowsersSend(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		`{"t":"signal","seq":1,"kind":"copy","at":1790000000000,"data":{"length":3}}`,
		`{"t":"signal","seq":12,"kind":"hidden","at":1790000000000,"dur":5000}`,
	} {
		var f up
		if !plain([]byte(s), &f) {
			t.Errorf("%s is read the slow way", s)
		}
	}
}

// FuzzTotals feeds frames to the reader of a monitor's totals: what it takes is possible, adds up
// without wrapping around, and does not contradict itself.
func FuzzTotals(f *testing.F) {
	for _, s := range []string{
		`{"t":"alive","doc":"abcdefgh","visible":60000,"focused":1000,"given":3}`, `{"t":"alive","doc":"abcdefgh","visible":9223372036854775807}`,
		`{"t":"alive","doc":"abcdefgh","hidden":-1}`, `{"t":"alive","doc":"a b","pages":-5}`, `{"t":"alive","doc":"abcdefgh","focus":9007199254740992}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		frame, err := parse(msg)
		if err != nil {
			return
		}
		totals, err := totalsOf(&frame)
		if err != nil {
			if vigil.CodeOf(err) != vigil.CodeInvalid {
				t.Fatalf("got %v, want CodeInvalid", err)
			}
			return
		}
		now := time.UnixMilli(1_790_000_000_000)
		m := vigil.Monitor{}.Add(now, vigil.Totals{}, totals, true)
		if !totals.Valid() || totals.Contradicts(totals, 0) || m.Visible < 0 || m.Hidden < 0 || m.Focused < 0 || m.Given != totals.Given {
			t.Errorf("got %+v of %+v", m, totals)
		}
	})
}
