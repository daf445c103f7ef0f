package vigil

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestANameIsOneShortLineThatSpoilsNothingAroundIt(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë Müller-Ødegård":                "Zoë Müller-Ødegård",
		"محمد عبد الله":                     "محمد عبد الله",
		" O\u0308zil\n\tTab ":               "O\u0308zil Tab",
		"\u202egnik\u202d Evil\u2067\u2069": "gnik Evil",
		"Nu\x00ll":                          "Null",
		"a\xffb":                            "ab",
		"👩\u200d💻 Zoë":                      "👩\u200d💻 Zoë",
		"می\u200cخواهم":                     "می\u200cخواهم",
		" ":                                 "",
		"\u200b\u200b \u200b":               "",
		"\u3164":                            "",
		"\u0301\u0302":                      "",
		"Z" + strings.Repeat("\u0336", 40):  "Z" + strings.Repeat("\u0336", maxMarks),
		strings.Repeat("N", 60):             strings.Repeat("N", 37) + "…",
		strings.Repeat("Ä", 30):             strings.Repeat("Ä", 18) + "…",
	} {
		if got := CleanName(text, 40); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"", "a", " \u200b", "\u202e\u0301", strings.Repeat("ä\u0301", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := CleanName(text, 100)
		if len(got) > 100 || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || got != "" && !visible(got) {
			t.Fatalf("%q: got %q", text, got)
		}
		if again := CleanName(got, 100); again != got {
			t.Fatalf("a second time: got %q, want %q", again, got)
		}
	})
}
