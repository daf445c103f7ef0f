package web_test

import (
	"net/http"
	"testing"

	"vigil/web"
)

func TestAboutIsForEveryone(t *testing.T) {
	r := newRig(t, func(c *web.Config) { c.Version = "v1.2.3" })
	got := r.call(stranger(), "GET", "/api/v1/about", "")
	if want := `{"name":"Vigil","version":"v1.2.3","assertion":3}`; got.status != http.StatusOK || got.text != want {
		t.Errorf("got %d %s, want %s", got.status, got.text, want)
	}
	if cache, media := got.header.Get("Cache-Control"), got.header.Get("Content-Type"); cache != "public, max-age=60" || media != "application/json" {
		t.Errorf("got %q, %q, want it kept for a minute", cache, media)
	}
	if got.header.Get("Set-Cookie") != "" {
		t.Errorf("got a cookie: %s", got.header.Get("Set-Cookie"))
	}
	if got := r.call(stranger(), "GET", "/api/v1/about?x=1", ""); got.status != http.StatusOK {
		t.Errorf("with a query: got %d, want 200", got.status)
	}
}
