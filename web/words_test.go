package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
		"review.": stringsOf(vigil.ReviewStates), "watch.": append(stringsOf(vigil.AllWatches), "connection", "elsewhere", "people"), "severity.": {"none", "low", "medium", "high", "critical"},
		"role.":        {"student", "proctor", "system", "lms"},
		"chat.":        {"student", "proctor", "system"},
		"monitor.":     {"answers", "unsupported", "silent", "away", "unanswered", "altered"},
		"gap.":         {"student", "server", "lms", "unclear", "open", "granted", "refused"},
		"fault.":       {"student", "server", "lms", "unclear"},
		"lms.":         {"waiting", "accepted", "refused", "failed", "unknown"},
		"reason.":      append(slices.Clone(vigil.ReasonCodes), "deadline"),
		"notice.kept.": {"signals", "chat", "sessions", "audit"},
		"code.":        stringsOf([]vigil.Code{vigil.CodeInvalid, vigil.CodeUnauthorized, vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeExists, vigil.CodeConflict, vigil.CodeIllegal, vigil.CodeTooMany, vigil.CodeUnavailable, vigil.CodeInternal}),
		"field.":       {"attention", "link_loss", "lost_time_cap", "duration_minutes", "watch", "retention.signals", "retention.chat", "retention.sessions", "retention.audit"},
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
	fixed := []string{"span.s", "span.ms", "span.hm", "lms.none", "error.title", "days.one", "days.other"}
	for _, k := range slices.Sorted(maps.Keys(catalogue["en"])) {
		if !slices.Contains(keys, k) && !slices.Contains(fixed, k) {
			t.Errorf("got words for %q, which nothing uses", k)
		}
	}
}

// TestTheNoticesWordsHaveAVersion fails when a word of the notice changes. If it says something
// else than before, raise noticeWords too, so that students are asked again; if it only says
// it better, write the new sum here alone.
func TestTheNoticesWordsHaveAVersion(t *testing.T) {
	const version, want = 2, "30a459565b38b5d7"
	sum := sha256.New()
	for _, lang := range languages {
		for _, key := range slices.Sorted(maps.Keys(catalogue[lang])) {
			if strings.HasPrefix(key, "notice.") || strings.HasPrefix(key, "watch.") {
				fmt.Fprintf(sum, "%s\n%s\n%s\n", lang, key, catalogue[lang][key])
			}
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != want || noticeWords != version {
		t.Errorf("got words %s of version %d, want %s of version %d", got, noticeWords, want, version)
	}
}

func TestTheNoticesVersionFollowsWhatItSays(t *testing.T) {
	s := &Server{}
	session := vigil.Session{Plugin: true, ControlURL: "https://lms.example", ControlActions: []string{"flag"}}
	p := vigil.DefaultPolicy()
	version := s.noticeOf(session, p).Version()
	turned := p
	turned.Watch = slices.Clone(p.Watch)
	slices.Reverse(turned.Watch)
	turned.Attention, turned.LostTimeCap, turned.Admission = 0.9, 1, true
	if got := s.noticeOf(session, turned).Version(); got != version {
		t.Error("got another version for what the notice does not say")
	}
	seen := map[string]string{version: "as it is"}
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"watch", func() { p.Watch = p.Watch[1:] }},
		{"retention.signals", func() { p.Retention.Signals++ }},
		{"retention.chat", func() { p.Retention.Chat++ }},
		{"retention.sessions", func() { p.Retention.Sessions++ }},
		{"retention.audit", func() { p.Retention.Audit++ }},
		{"policy url", func() { s.privacy.PolicyURL = "https://school.example" }},
		{"contact", func() { s.privacy.Contact = "the dean" }},
		{"control", func() { session.ControlURL = "" }},
		{"plugin", func() { session.Plugin = false }},
	} {
		c.change()
		got := s.noticeOf(session, p).Version()
		if other, ok := seen[got]; ok {
			t.Errorf("%s: got the version of %s, want another", c.name, other)
		}
		seen[got] = c.name
	}
}

func stringsOf[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
