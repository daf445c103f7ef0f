package web

import (
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vigil"
)

// TestEveryWordIsThereInEveryLanguage compares the languages key by key, their
// placeholders too.
func TestEveryWordIsThereInEveryLanguage(t *testing.T) {
	placeholder := regexp.MustCompile(`\{[a-z]+\}`)
	names := func(text string) []string {
		return slices.Compact(slices.Sorted(slices.Values(placeholder.FindAllString(text, -1))))
	}
	en := catalogue["en"]
	for _, lang := range languages {
		for key, text := range en {
			other, ok := catalogue[lang][key]
			if !ok {
				t.Errorf("got no %q in %s", key, lang)
			}
			if other == "" && text != "" {
				t.Errorf("got nothing for %q in %s", key, lang)
			}
			if !slices.Equal(names(text), names(other)) {
				t.Errorf("got placeholders %v for %q in %s, want %v", names(other), key, lang, names(text))
			}
		}
		for key := range catalogue[lang] {
			if _, ok := en[key]; !ok {
				t.Errorf("got %q in %s, which English lacks", key, lang)
			}
		}
	}
}

// TestEveryKeyThatIsUsedHasWords looks for the keys in the templates, in the code, and in
// vigil's own lists.
func TestEveryKeyThatIsUsedHasWords(t *testing.T) {
	var keys, prefixes []string
	collect := func(text string, key, prefix *regexp.Regexp) {
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			keys = append(keys, m[1])
		}
		for _, m := range prefix.FindAllStringSubmatch(text, -1) {
			prefixes = append(prefixes, m[1])
		}
	}
	key, prefix := regexp.MustCompile(`\bt "([^"]+)"`), regexp.MustCompile(`\bt \(print "([^"]+)" `)
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, readErr := pageFiles.ReadFile(name)
			collect(string(b), key, prefix)
			return readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	key = regexp.MustCompile(`(?:\.text\(|\.word\(r, |Title: )"([a-z][a-z.]+)"[,)]`)
	prefix = regexp.MustCompile(`\.text\("([a-z]+\.)" ?\+`)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go") {
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			collect(string(b), key, prefix)
		}
	}
	lists := map[string][]string{
		"kind.": stringsOf(vigil.Kinds()), "state.": stringsOf(vigil.States), "command.": stringsOf(vigil.CommandKinds),
		"review.": stringsOf(vigil.ReviewStates), "watch.": stringsOf(vigil.AllWatches), "severity.": {"none", "low", "medium", "high", "critical"},
		"role.":   {"student", "proctor", "system", "lms"},
		"chat.":   {"student", "proctor", "system"},
		"gap.":    {"student", "server", "lms", "unclear", "open", "granted", "refused"},
		"fault.":  {"student", "server", "lms", "unclear"},
		"lms.":    {"waiting", "accepted", "refused", "failed", "unknown"},
		"reason.": append(slices.Clone(vigil.ReasonCodes), "deadline"),
		"code.":   stringsOf([]vigil.Code{vigil.CodeInvalid, vigil.CodeUnauthorized, vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeExists, vigil.CodeConflict, vigil.CodeIllegal, vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal}),
		"field.":  {"attention", "link_loss", "lost_time_cap", "duration_minutes", "watch", "retention.signals", "retention.chat", "retention.sessions", "retention.audit"},
	}
	for _, p := range prefixes {
		if _, ok := lists[p]; !ok {
			t.Errorf("got keys made of %q, which this test does not know", p)
		}
	}
	for p, names := range lists {
		for _, name := range names {
			keys = append(keys, p+name)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) < 150 {
		t.Errorf("got %d keys, want this test to find them all", len(keys))
	}
	for _, k := range keys {
		if _, ok := catalogue["en"][k]; !ok {
			t.Errorf("got no words for %q", k)
		}
	}
	fixed := []string{"span.s", "span.ms", "span.hm", "lms.none", "watch.connection", "error.title"}
	for _, k := range slices.Sorted(maps.Keys(catalogue["en"])) {
		if !slices.Contains(keys, k) && !slices.Contains(fixed, k) {
			t.Errorf("got words for %q, which nothing uses", k)
		}
	}
}

func stringsOf[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
