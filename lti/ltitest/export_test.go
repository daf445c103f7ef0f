package ltitest

import (
	"encoding/json"
	"net/url"
	"testing"
)

// CheckControl checks what parseControl promises of any body.
func CheckControl(t *testing.T, b []byte, like int) {
	c, err := parseControl(b, Like(like&1))
	if err != nil {
		return
	}
	if c.UserID == "" || c.LinkID == "" || c.Attempt < 1 || c.Extra < 0 || c.Severity < 0 || c.Severity > 1 || !json.Valid(b) {
		t.Errorf("%q was taken: %+v", b, c)
	}
}

func TestDecodeObjectIsStrict(t *testing.T) {
	for _, bad := range []string{``, `[]`, `1`, `{"a":1,"a":2}`, `{"a":1} {}`, `{"a":"` + "\xff" + `"}`, nested(40), `{"a":1,}`} {
		if m, err := decodeObject([]byte(bad)); err == nil {
			t.Errorf("%.40s: got %v, want an error", bad, m)
		}
	}
	if m, err := decodeObject([]byte(nested(20))); err != nil || m["a"] == nil {
		t.Errorf("got %v, %v", m, err)
	}
}

func nested(n int) string {
	s := "1"
	for range n {
		s = `{"a":` + s + `}`
	}
	return s
}

func FuzzForms(f *testing.F) {
	f.Add(`<form action=/x method=post><input name=a value=1><textarea name=b>x</textarea></form><script>f.submit()</script>`)
	base, _ := url.Parse("http://127.0.0.1/")
	f.Fuzz(func(_ *testing.T, s string) {
		parseForms(base, s)
		(&Page{Body: s}).Element("x")
	})
}
