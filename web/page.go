package web

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"vigil"
	"vigil/lti"
)

//go:embed page/*.html
var pageFiles embed.FS

// pages are the templates, one set a language: the words are bound when they are parsed.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	out := map[string]*template.Template{}
	for _, lang := range languages {
		words := catalogue[lang]
		t := template.New("").Funcs(template.FuncMap{
			"t":     words.text,
			"days":  func(n int) string { return words.count("days", n) },
			"time":  formatTime,
			"clock": formatClock,
			"span":  words.span,
			"asset": hasAsset,
			"iso":   iso,
		})
		out[lang] = template.Must(t.ParseFS(pageFiles, "page/*.html"))
	}
	return out
}

// view is what every page is made of.
type view struct {
	Title  string
	Lang   string
	Page   string // names the page's script and style: /assets/{Page}.js and .css
	Wide   bool
	Config any // for the page's script
	Data   any
	Nonce  string

	Privacy Privacy // set by show
}

// ConfigJSON is the page's configuration for its script. encoding/json escapes <, > and &,
// so it cannot end the script element.
func (v view) ConfigJSON() (template.JS, error) {
	b, err := json.Marshal(v.Config)
	return template.JS(b), err // #nosec G203 -- JSON by encoding/json, see above
}

// show renders a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	if v.Lang == "" {
		v.Lang = pickLang("", r)
	}
	v.Privacy = s.privacy
	var body bytes.Buffer
	if err := pages[v.Lang].ExecuteTemplate(&body, name, v); err != nil {
		s.log.ErrorContext(r.Context(), "page not rendered", "page", name, "error", err)
		http.Error(w, "Vigil could not make this page. Try again.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Lang)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// errorView is what an error page says.
type errorView struct {
	Title        string // default: that it did not work
	Lang         string
	Code         vigil.Code
	Detail       string // in English; other languages have a text of their own for the code
	Reference    string // also in the log
	PlatformText string // as the platform wrote it
	ReturnURL    string
	Resume       bool // offer the page of the launch before
}

// showError says what happened and what to do.
func (s *Server) showError(w http.ResponseWriter, r *http.Request, status int, e errorView) {
	e.Lang = pickLang(e.Lang, r)
	e.Title = catalogue[e.Lang].text(cmp.Or(e.Title, "error.title"))
	s.show(w, r, status, "error.html", view{Title: e.Title, Lang: e.Lang, Page: "error", Data: e})
}

// LaunchRefused is lti.Config.OnError: the page for a login or a launch that did not pass.
// The error is logged already, under its reference.
func (s *Server) LaunchRefused(w http.ResponseWriter, r *http.Request, e *lti.LaunchError) {
	s.anyFrame(w)
	s.showError(w, r, e.Status, errorView{
		Title: "error.launch", Code: vigil.CodeOf(e.Err), Detail: e.Message, Reference: e.Reference, PlatformText: e.PlatformText,
		Resume: errors.Is(e.Err, lti.ErrLaunchState),
	})
}

// home is what one sees who comes here without a launch.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "home.html", view{Title: "Vigil", Page: "home", Data: s.tool.Values()})
}

// endPage is where a student comes to whose LMS wants no return.
func (s *Server) endPage(w http.ResponseWriter, r *http.Request, l lti.Launch) {
	s.allowFrame(w, l.Platform.Origins())
	lang := pickLang(l.Locale, r)
	s.show(w, r, http.StatusOK, "end.html", view{
		Title: catalogue[lang].text("end.title"), Lang: lang, Page: "end",
		Data: map[string]string{"ErrorMsg": l.End.ErrorMsg, "ReturnURL": l.ReturnURL},
	})
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

func formatClock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05")
}

// pickLang chooses the page's language: the launch's locale, else the browser's.
func pickLang(locale string, r *http.Request) string {
	for _, tag := range append([]string{locale}, strings.Split(r.Header.Get("Accept-Language"), ",")...) {
		tag, _, _ = strings.Cut(strings.TrimSpace(tag), ";")
		tag, _, _ = strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
		if tag == "in" { // what older systems call Indonesian
			tag = "id"
		}
		if _, ok := catalogue[tag]; ok {
			return tag
		}
	}
	return languages[0]
}
