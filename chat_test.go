package vigil

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCleanText(t *testing.T) {
	tests := []struct{ text, want, field string }{
		{"  Hello \n", "Hello", ""},
		{"two\nlines\tand a tab", "two\nlines\tand a tab", ""},
		{"Selamat pagi, שלום 👋🏽", "Selamat pagi, שלום 👋🏽", ""},
		{"0123456789012345678901234567890123456789", "0123456789012345678901234567890123456789", ""},
		{"01234567890123456789012345678901234567890", "", "f"},
		{"", "", "f"},
		{" \t\n\u00a0", "", "f"},
		{"a\x00b", "", "f"},
		{"a\x1bb", "", "f"},
		{"a\rb", "", "f"},
		{"a\x7fb", "", "f"},
		{"a\u0085b", "", "f"},
		{"a\u009fb", "", "f"},
		{"a\xffb", "", "f"},
		{"\u200b\u200b\u200b", "", "f"},
		{"\u2800", "", "f"},
		{"\u0301", "", "f"},
		{"\u202eabc\u202c", "abc", ""},
		{"\u202e", "", "f"},
		{"a" + strings.Repeat("\u0301", 16), "a" + strings.Repeat("\u0301", 5), ""},
		{"👩\u200d💻", "👩\u200d💻", ""},
	}
	for _, tt := range tests {
		got, err := CleanText("f", tt.text, 40)
		if got != tt.want || fieldOf(err) != tt.field {
			t.Errorf("%q: got %q, %v, want %q, field %q", tt.text, got, err, tt.want, tt.field)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	for _, s := range []string{"", "a", " a ", "a\x00", "\xff", "a\u0085", strings.Repeat("ä", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := CleanText("f", text, 100)
		if err != nil {
			if got != "" || fieldOf(err) != "f" {
				t.Fatalf("got %q, %v, want nothing and the field", got, err)
			}
			return
		}
		if got == "" || len(got) > 100 || !utf8.ValidString(got) || strings.TrimSpace(got) != got {
			t.Fatalf("let %q through", got)
		}
		for _, r := range got {
			if unicode.Is(unicode.Cc, r) && r != '\n' && r != '\t' {
				t.Fatalf("let %q through", got)
			}
		}
		if again, err := CleanText("f", got, 100); err != nil || again != got {
			t.Fatalf("a second time: got %q, %v, want %q", again, err, got)
		}
	})
}
