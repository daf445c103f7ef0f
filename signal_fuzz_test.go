package vigil

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzPlainData holds the short way against the long one: what it takes must be allowed.
func FuzzPlainData(f *testing.F) {
	for _, s := range []string{
		`{"length":12}`, `{"a":"x","b":true,"c":false,"d":0}`, `{"a":1,"a":2}`, `{"a":01}`, `{"a":-1}`, `{"a":"\u0000"}`, `{"a":"ü"}`,
		`{}`, `{"a":{}}`, `{"a":1}x`, `{"a":1,}`, `{"":1}`, `{"a":tru}`, `{"a" :1}`, `[1]`, `{"a":"` + string(bytes.Repeat([]byte("x"), 129)) + `"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !plainData(b) {
			return
		}
		if !json.Valid(b) {
			t.Errorf("%q is taken and is no JSON", b)
		}
		// A space keeps it from the short way.
		if err := validateData(append([]byte(" "), b...)); err != nil {
			t.Errorf("%q is taken, want %v", b, err)
		}
	})
}

func TestWhatBrowsersSendIsJudgedTheShortWay(t *testing.T) {
	for _, s := range []string{`{"length":12}`, `{"width":800,"height":700}`, `{"page":3,"from":"menu","back":false}`} {
		if !plainData([]byte(s)) {
			t.Errorf("%s: got the long way", s)
		}
	}
}

func BenchmarkValidateData(b *testing.B) {
	data := json.RawMessage(`{"width":800,"height":700}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := validateData(data); err != nil {
			b.Fatal(err)
		}
	}
}
