package lti

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
)

// The browser binding is one cookie for all logins of a browser: a cookie for each would
// grow without end. It holds a random value and nothing else; a login's record holds its
// digest, so that a launch comes from the browser that began it.
const (
	cookieHTTPS = "__Host-vigil-lti"
	cookieHTTP  = "vigil-lti" // on a loopback host, where __Host- is refused
	cookieAge   = 24 * 60 * 60
)

func (t *Tool) cookieName() string {
	if t.public.Scheme == "https" {
		return cookieHTTPS
	}
	return cookieHTTP
}

// binding returns the browser's binding value, or "" when it has none that we could have
// made. Of two cookies of the name (one planted by a neighbouring site on plain http)
// neither is believed.
func (t *Tool) binding(r *http.Request) string {
	found := r.CookiesNamed(t.cookieName())
	if len(found) != 1 || !isSecret(found[0].Value) {
		return ""
	}
	return found[0].Value
}

// bind sets the binding cookie. SameSite=None because launches are cross-site posts;
// Partitioned because nothing else survives in a frame; Secure is required by both and
// works on plain-http loopback hosts in browsers that take them for trustworthy.
func (t *Tool) bind(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // SameSite=None: launches are cross-site posts
		Name: t.cookieName(), Value: value, Path: "/", MaxAge: cookieAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode, Partitioned: true,
	})
}

// newSecret returns 32 random bytes in base64url.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isSecret tells whether a string could have come from newSecret.
func isSecret(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32 && len(s) == 43
}
