package lti

import (
	"bytes"
	"crypto/rand"
	_ "embed" // the pages' files
	"html/template"
	"net/http"
	"strings"

	"vigil"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/again.js
var againJS string

//go:embed page/store.js
var storeJS string

const postJS = `document.getElementById("post").submit();`

var pages = template.Must(template.New("").Parse(pageHTML))

// againPage posts a launch once more, from our own origin.
type againPage struct {
	State, Token       string
	Frame, Origin, Key string
}

// storePage leaves a value with the platform before the browser goes on to its login.
type storePage struct {
	URL                       string
	Frame, Origin, Key, Value string
}

// pageWords are the few words of these pages, seen when a browser is slow or runs no
// script.
type pageWords struct{ Wait, Go, Back string }

var words = map[string]pageWords{
	"en": {"One moment…", "Continue", "Go on to your course"},
	"id": {"Sebentar…", "Lanjutkan", "Lanjut ke kursus Anda"},
}

// pageLanguage picks the language of a page: the first of the browser's that we speak.
func pageLanguage(r *http.Request) string {
	if r == nil {
		return "en"
	}
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		if _, ok := words[tag]; ok {
			return tag
		}
	}
	return "en"
}

func (t *Tool) writeAgainPage(w http.ResponseWriter, r *http.Request, p vigil.Platform, page againPage) {
	t.writePage(w, r, "again", againJS, "'self'", p.Origins(), page)
}

func (t *Tool) writeStorePage(w http.ResponseWriter, r *http.Request, p vigil.Platform, page storePage) {
	t.writePage(w, r, "store", storeJS, "'none'", p.Origins(), page)
}

// WritePost writes the page that carries a message to the platform: a form that posts
// itself. The form may go, and be redirected, to any web address: its own was checked,
// and platforms send the browser on to where their quiz is.
func (t *Tool) WritePost(w http.ResponseWriter, r *http.Request, p Post) {
	noStore(w)
	t.writePage(w, r, "post", postJS, "https: http:", p.origins, p)
}

// writePage writes one of the small pages. Its content security policy lets nothing load
// and only its own script run; it may be framed by the platform it belongs to.
func (t *Tool) writePage(w http.ResponseWriter, r *http.Request, name, script, formAction string, ancestors []string, page any) {
	nonce := rand.Text()
	lang := pageLanguage(r)
	var body bytes.Buffer
	err := pages.ExecuteTemplate(&body, name, map[string]any{
		"Lang": lang, "Words": words[lang], "Nonce": nonce, "Page": page, "Action": t.url(LaunchPath),
		"Script": template.JS(script), // #nosec G203 -- our own embedded file
	})
	if err != nil {
		t.refuse(w, r, "page", vigil.Platform{}, vigil.Wrap(err, vigil.CodeInternal, "Vigil could not make this page. Start again from your course."))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; base-uri 'none'; form-action "+formAction+"; frame-ancestors "+strings.Join(append([]string{"'self'"}, ancestors...), " "))
	_, _ = w.Write(body.Bytes())
}
