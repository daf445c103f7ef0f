package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"vigil"
)

// secure sets the headers that every answer has. The content security policy lets pages
// load our own files and nothing else; a page that a platform may frame widens
// frame-ancestors by that platform's origins (allowFrame). Nothing is kept in caches but
// what says so itself.
func (s *Server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		// Other sites get no referrer; our own forms keep their Origin, which browsers
		// write as "null" under no-referrer.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "unsafe-none") // registration and sign-on windows speak with their opener
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), display-capture=()")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(s.tool.Origin(), "https:") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.setPolicy(w, nil, "")
		next.ServeHTTP(w, r)
	})
}

// setPolicy writes the content security policy. The nonce, where there is one, lets one
// inline script run. form-action stays ours alone: browsers apply it to the redirects
// that answer a form, too, so a form of ours that ends at a platform is answered by a
// page with a policy of its own (lti.Tool.WritePost), never by a redirect.
func (s *Server) setPolicy(w http.ResponseWriter, ancestors []string, nonce string) {
	script := "'self'"
	if nonce != "" {
		script += " 'nonce-" + nonce + "'"
	}
	w.Header().Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"script-src " + script,
		"style-src 'self'",
		"img-src 'self' data:",
		"font-src 'self'",
		"media-src 'self' data:", // the dashboard's sound
		"connect-src 'self' " + strings.TrimSuffix(s.socketURL(), "/socket"), // 'self' is no socket in older browsers
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors " + strings.Join(append([]string{"'self'"}, ancestors...), " "),
	}, "; "))
}

// allowFrame lets the pages of these origins frame this one.
func (s *Server) allowFrame(w http.ResponseWriter, origins []string) { s.setPolicy(w, origins, "") }

// anyFrame lets every page frame this one. It is for error pages alone, which hold
// nothing that a click could do: in the frame of an LMS whose visit is over or whose
// launch failed, a person would else see an empty box.
func (s *Server) anyFrame(w http.ResponseWriter) { s.setPolicy(w, []string{"*"}, "") }

// framed tells whether the browser loads the page into a frame.
func framed(r *http.Request) bool {
	d := r.Header.Get("Sec-Fetch-Dest")
	return d == "iframe" || d == "frame"
}

// fromElsewhere tells whether another site's page led here.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// recoverer answers for a handler that panicked: a page or a problem, never a stack
// trace, and the log knows.
func (s *Server) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				s.refuse(w, r, vigil.Wrap(recovered(v), vigil.CodeInternal, ""))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// routeOf names the route of a request for the log: never the path, which may hold a
// secret.
func routeOf(r *http.Request) string {
	if rc := chi.RouteContext(r.Context()); rc != nil {
		return rc.RoutePattern()
	}
	return ""
}

// localPath checks a path that a page of ours asked to be taken to: on this server, and
// nothing that a browser could read as another host, or as a page above it.
func localPath(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(raw, "//") || strings.ContainsAny(raw, "\\\r\n\t") {
		return "", false
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." {
			return "", false
		}
	}
	return raw, true
}
