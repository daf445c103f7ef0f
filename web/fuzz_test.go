package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"vigil"
)

func FuzzAJSONBodyIsOneObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"watch":["idle"]}`, `{"attention":1e400}`, `{}{}`, `{"a":1}}`, ` {"watch":null}`, `[]`, "null", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p := vigil.DefaultPolicy()
		err := decodeObject(body, &p)
		if err != nil && vigil.CodeOf(err) != vigil.CodeInvalid {
			t.Errorf("got %v, want invalid", err)
		}
		if err == nil && (body[0] == '[' || !strings.HasSuffix(strings.TrimSpace(string(body)), "}")) {
			t.Errorf("got %q taken for an object", body)
		}
	})
}

func FuzzASettingsFormIsAPolicyOrNamesAField(f *testing.F) {
	f.Add("attention=0.3&link_loss=ask&lost_time_cap=1&duration_minutes=0&retention.signals=1&retention.chat=1&retention.sessions=1&retention.audit=1&watch=idle")
	f.Add("attention=NaN&watch=idle&watch=idle")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if r.ParseForm() != nil {
			return
		}
		p, err := policyOf(r)
		if err == nil {
			err = p.Validate()
		}
		if err != nil {
			e, ok := err.(*vigil.Error) //nolint:errorlint // our own rules return it unwrapped
			if !ok || e.Code != vigil.CodeInvalid || catalogue["en"]["field."+e.Field] == "" {
				t.Errorf("got %v, want a field that has words", err)
			}
		}
	})
}

func FuzzALocalPathStaysHere(f *testing.F) {
	for _, s := range []string{"/dashboard/x", "//evil.example", `/\evil`, "/a?b#c", "https://evil.example", "/\t/evil.example", "/%2f/evil", "/..//evil"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, ok := localPath(raw)
		if !ok {
			return
		}
		base, err := url.Parse("https://vigil.example/x")
		if err != nil {
			t.Fatal(err)
		}
		u, err := base.Parse(path)
		if err != nil || u.Host != "vigil.example" || u.Scheme != "https" || strings.Contains(path, `\`) {
			t.Errorf("got %q taken for local; it leads to %v, %v", raw, u, err)
		}
	})
}

func FuzzTextIsTidy(f *testing.F) {
	for _, s := range []string{"Amara", "a\u202Eb", "\x00", strings.Repeat("é", 200), "a\nb", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := tidy(text)
		if len(got) > maxTitle || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || tidy(got) != got {
			t.Errorf("got %q of %q, want a short line", got, text)
		}
	})
}

func FuzzACellIsNoFormula(f *testing.F) {
	for _, s := range []string{"=1+1", "a;=1", " -2", "\t@x", "\"=1", "a\n+1", "＝1", "fine", "a-b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, part := range strings.FieldsFunc(cellOf(text), func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
			if strings.ContainsAny(strings.TrimLeft(part, " \""), "=+-@") && strings.IndexAny(strings.TrimLeft(part, " \""), "=+-@") == 0 {
				t.Errorf("got %q of %q, want no formula in it", part, text)
			}
		}
	})
}
