package ltitest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vigil/lti/ltitest"
)

func TestBrowserFollowsRedirectsAndForms(t *testing.T) {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	mux.HandleFunc("/a", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "1", Secure: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/b", http.StatusFound)
	})
	mux.HandleFunc("/b", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!-- <form action="/no"> --><form method="POST" action="/c"><input type="hidden" name="x" value="a&amp;b"></form><script>document.forms[0].submit();</script>`)
	})
	mux.HandleFunc("/c", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		c, err := r.Cookie("c")
		_, _ = fmt.Fprintf(w, `<p id="seen">%s %s %v %v</p><script id="cfg" type="application/json">{"a":1}</script>
<form id="f" action="/d"><input name="t" value="1"><input type=checkbox name=q checked><input type=radio name=r value=1><input type=radio name=r value=2 checked>
<select name=s><option value=o1><option value=o2 selected></select><textarea name=ta>hi &lt;</textarea><button name=b value=1>Go</button></form>`,
			r.PostForm.Get("x"), r.Method, c, err)
	})
	mux.HandleFunc("/d", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.RawQuery) })
	b := ltitest.NewBrowser(nil)
	page := open(t, b, s.URL+"/a")
	if got, _ := page.Element("seen"); got != "a&b POST c=1 <nil>" {
		t.Errorf("got %q", got)
	}
	if got, _ := page.Element("cfg"); got != `{"a":1}` {
		t.Errorf("script: got %q", got)
	}
	if got := len(page.Trail); got != 3 {
		t.Errorf("trail: got %v", page.Trail)
	}
	f, ok := page.Form("f")
	if !ok {
		t.Fatalf("no form: %+v", page.Forms)
	}
	page, err := b.Submit(t.Context(), f, url.Values{"t": {"2"}, "q": nil})
	if err != nil || page.Body != "r=2&s=o2&t=2&ta=hi+%3C" {
		t.Errorf("got %q, %v", page.Body, err)
	}
}

func TestBrowserKeepsLaxCookiesFromForeignPosts(t *testing.T) {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	other := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	mux.HandleFunc("/set", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "lax", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "none", Value: "1", SameSite: http.SameSiteNoneMode, Secure: true})
	})
	mux.HandleFunc("/form", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<form method=post action="%s/see" data-autosubmit></form>`, s.URL)
	})
	mux.HandleFunc("/see", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Header.Get("Cookie"), " ", r.Header.Get("Sec-Fetch-Site"), " ", r.Header.Get("Origin"))
	})
	b := ltitest.NewBrowser(nil)
	open(t, b, s.URL+"/set")
	if got, want := open(t, b, other+"/form").Body, "none=1 cross-site "+other; got != want {
		t.Errorf("from another site: got %q, want %q", got, want)
	}
	if got, want := open(t, b, s.URL+"/form").Body, "lax=1; none=1 same-origin "+s.URL; got != want {
		t.Errorf("from its own: got %q, want %q", got, want)
	}
}

func TestBrowserGivesUpOnLoops(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("/again", http.StatusFound))
	defer s.Close()
	if _, err := ltitest.NewBrowser(nil).Open(t.Context(), s.URL); err == nil {
		t.Error("got no error")
	}
}
