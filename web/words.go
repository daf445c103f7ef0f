package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// languages are those of the server's pages; the first is the fallback.
var languages = []string{"en", "id"}

//go:embed words/*.json
var wordFiles embed.FS

// words are the texts of one language by key. A text may hold {name} placeholders, filled
// from pairs of names and values.
type words map[string]string

var catalogue = loadWords()

func loadWords() map[string]words {
	out := map[string]words{}
	for _, lang := range languages {
		b, err := wordFiles.ReadFile("words/" + lang + ".json")
		var w words
		if err == nil {
			err = json.Unmarshal(b, &w)
		}
		if err != nil { // our own embedded file
			panic(fmt.Sprintf("web: words of %s: %v", lang, err))
		}
		out[lang] = w
	}
	return out
}

// text returns a text; a key that a language lacks falls back to English, and then to the
// key itself (a test sees to it that neither happens).
func (w words) text(key string, pairs ...any) string {
	text, ok := w[key]
	if !ok {
		if text, ok = catalogue[languages[0]][key]; !ok {
			text = key
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%v}", pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return text
}

// count returns the text for a number: key.one for 1, else key.other.
func (w words) count(key string, n int) string {
	form := ".other"
	if n == 1 {
		form = ".one"
	}
	return w.text(key+form, "n", n)
}

// span words a duration for people: the two largest units.
func (w words) span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return w.text("span.s", "s", int(d/time.Second))
	case d < time.Hour:
		return w.text("span.ms", "m", int(d/time.Minute), "s", int(d%time.Minute/time.Second))
	}
	return w.text("span.hm", "h", int(d/time.Hour), "m", int(d%time.Hour/time.Minute))
}
