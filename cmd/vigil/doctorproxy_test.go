package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"vigil/internal/testutil"
	"vigil/lti/ltitest/lms"
)

// doctor runs the doctor as a process, which trusts the authority, through the public URL.
func (s *site) doctor(a *authority, more ...string) (code int, out string) {
	s.Helper()
	path, err := binary()
	s.ok(err)
	cmd := exec.CommandContext(s.Context(), path, append([]string{"doctor", "--store", s.store(), "--public-url", s.tool}, more...)...)
	cmd.Env = append([]string{"SSL_CERT_FILE=" + a.roots, "SSL_CERT_DIR=" + a.dir + "/none"}, s.env...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// said tells whether a check came out so: "ok", "warn" or "FAIL", with these words.
func said(out, how, check, words string) bool {
	for _, part := range strings.Split("\n"+out, "\n"+how) {
		part, _, _ = strings.Cut(part, "\nok ")
		part, _, _ = strings.Cut(part, "\nwarn ")
		part, _, _ = strings.Cut(part, "\nFAIL ")
		if strings.HasPrefix(strings.TrimSpace(part), check+" ") && strings.Contains(part, words) {
			return true
		}
	}
	return false
}

// newSiteBehind is a site whose public URL is an address that nothing listens on yet.
func newSiteBehind(t *testing.T, scheme string) (s *site, front string) {
	t.Helper()
	front = freeAddress(t)
	return newSite(t, func(c *lms.Config) { c.Tool = scheme + "://localhost:" + portOf(front) }), front
}

// listenOn listens on an address that was freed a moment ago.
func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	var l net.Listener
	testutil.Until(t, "the port to be free", func() bool {
		var err error
		l, err = net.Listen("tcp", address)
		return err == nil
	})
	return l
}

// proxyOn is a proxy to a server; edit may change what it passes on.
func proxyOn(l net.Listener, target string, edit func(r *httputil.ProxyRequest)) *httptest.Server {
	return &httptest.Server{Listener: l, Config: &http.Server{
		ReadHeaderTimeout: headerTime, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: &httputil.ReverseProxy{Transport: plain.Transport, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			edit(r)
		}},
	}}
}

// oldProtocol is a proxy that speaks HTTP/1.0 to the server, as nginx does when it is not
// told otherwise.
func oldProtocol(t *testing.T, l net.Listener, target string) (end func()) {
	t.Helper()
	server := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: headerTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n", r.URL.RequestURI(), r.Host)
		res, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	})}}
	server.Start()
	return server.Close
}

// impatient passes bytes on, and closes what was quiet for too long.
func impatient(l net.Listener, target string, limit time.Duration) (end func()) {
	done := make(chan struct{})
	pass := func(near net.Conn) {
		defer near.Close()
		far, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer far.Close()
		quiet := time.AfterFunc(limit, func() { _ = near.Close(); _ = far.Close() })
		defer quiet.Stop()
		copying := func(to, from net.Conn) {
			b := make([]byte, 32<<10)
			for {
				n, err := from.Read(b)
				quiet.Reset(limit)
				if _, werr := to.Write(b[:n]); err != nil || werr != nil {
					_ = to.Close()
					return
				}
			}
		}
		back := make(chan struct{})
		go func() { defer close(back); copying(near, far) }()
		copying(far, near)
		<-back
	}
	go func() {
		defer close(done)
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			pass(near) // one after the other is enough for the doctor
		}
	}()
	return func() { _ = l.Close(); <-done }
}

func TestTheDoctorFindsWhatIsWrongOnTheWay(t *testing.T) {
	s, front := newSiteBehind(t, "http")
	s.serve(quickPings...)
	plainly := func(*httputil.ProxyRequest) {}
	started := func(server *httptest.Server) func() { server.Start(); return server.Close }
	for _, row := range []struct {
		name, how, check, says string
		proxy                  func(l net.Listener) (end func())
	}{
		{"all is well", "ok", "timeouts", "may stay quiet for 1s", func(l net.Listener) func() { return started(proxyOn(l, s.listen, plainly)) }},
		{"HTTP/1.0", "FAIL", "proxy", "proxy_http_version 1.1", func(l net.Listener) func() { return oldProtocol(t, l, s.listen) }},
		{"a short timeout", "FAIL", "timeouts", "proxy_read_timeout", func(l net.Listener) func() { return impatient(l, s.listen, 300*time.Millisecond) }},
		{"not trusted", "warn", "proxy", "VIGIL_TRUSTED_PROXIES", func(l net.Listener) func() {
			return started(proxyOn(l, s.listen, func(r *httputil.ProxyRequest) { r.SetXForwarded() }))
		}},
		{"an older server", "FAIL", "proxy", "update the servers", func(l net.Listener) func() {
			return started(proxyOn(l, s.listen, func(r *httputil.ProxyRequest) { r.Out.URL.Path = strings.TrimSuffix(r.Out.URL.Path, probePath) }))
		}},
		{"nobody there", "FAIL", "public url", "see that the proxy runs", func(l net.Listener) func() { _ = l.Close(); return func() {} }},
	} {
		end := row.proxy(listenOn(t, front))
		code, out, errs := command(t.Context(), nil, "doctor", "--store", s.store(), "--public-url", s.tool)
		end()
		if (code == 1) != (row.how == "FAIL") || !said(out, row.how, row.check, row.says) {
			t.Errorf("%s: got code %d, %s%s, want %s of %s with %q", row.name, code, out, errs, row.how, row.check, row.says)
		}
	}
	code, out, errs := command(t.Context(), nil, "doctor", "--store", s.store(), "--public-url", "https://vigil.invalid")
	if code != 1 || !said(out, "FAIL", "certificate", "DNS") {
		t.Errorf("a name that is not there: got code %d, %s%s, want 1 and the DNS", code, out, errs)
	}
}

// The proxy's own Date is right: only what the server says of itself shows its clock.
func TestTheDoctorFindsAWrongClockBehindAProxy(t *testing.T) {
	s := newSite(t)
	s.env = []string{testClock + "=-7s"}
	s.process(quickPings...)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: plain.Transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: s.listen}) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			return nil
		},
	})
	defer proxy.Close()
	code, out, errs := command(t.Context(), nil, "doctor", "--store", s.store(), "--public-url", proxy.URL)
	if code != 1 || !said(out, "FAIL", "clock", "differ by 7") {
		t.Errorf("got code %d, %s%s, want 1 and clocks that differ by 7 s", code, out, errs)
	}
}

func TestTheDoctorNamesWhatIsWrongWithACertificate(t *testing.T) {
	s, front := newSiteBehind(t, "https")
	s.serve(quickPings...)
	a, stranger := newAuthority(t), newAuthority(t)
	now := time.Now()
	day := 24 * time.Hour
	for _, row := range []struct {
		name        string
		by          *authority
		host        string
		from, until time.Time
		how, says   string
	}{
		{"valid", a, "localhost", now.Add(-day), now.Add(90 * day), "ok", "valid until"},
		{"ends soon", a, "localhost", now.Add(-87 * day), now.Add(3 * day), "warn", "expires in 72h"},
		{"of a short kind", a, "localhost", now.Add(-day), now.Add(5 * day), "ok", "valid until"},
		{"expired", a, "localhost", now.Add(-90 * day), now.Add(-day), "FAIL", "has expired on"},
		{"not valid yet", a, "localhost", now.Add(day), now.Add(90 * day), "FAIL", "clock first"},
		{"for another name", a, "other.example.edu", now.Add(-day), now.Add(90 * day), "FAIL", "for other.example.edu, not for localhost"},
		{"by an unknown authority", stranger, "localhost", now.Add(-day), now.Add(90 * day), "FAIL", "whole chain"},
	} {
		cert, key := row.by.issue(row.host, row.from, row.until)
		pair, err := tls.LoadX509KeyPair(cert, key)
		s.ok(err)
		proxy := proxyOn(listenOn(t, front), s.listen, func(*httputil.ProxyRequest) {})
		proxy.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		proxy.StartTLS()
		code, out := s.doctor(a)
		proxy.Close()
		if !said(out, row.how, "certificate", row.says) || (row.how == "FAIL") != (code == 1) {
			t.Errorf("%s: got code %d, %s, want %s with %q", row.name, code, out, row.how, row.says)
		}
	}
}

// What anyone may open is bounded, and ends with the server.
func TestQuietSocketsAreFewAndEndWithTheServer(t *testing.T) {
	s := newSite(t)
	n := s.serve("--ping-every=4m", "--pong-wait=1m")
	dial := func(origin string) (*websocket.Conn, int) {
		ws, res, err := websocket.Dial(t.Context(), "http://"+s.listen+probePath, &websocket.DialOptions{
			HTTPClient: plain, HTTPHeader: http.Header{"Origin": {origin}},
		})
		if err == nil {
			return ws, http.StatusSwitchingProtocols
		}
		if res == nil {
			t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	if _, status := dial("https://elsewhere.example"); status != http.StatusForbidden {
		t.Errorf("got %d for another origin, want 403", status)
	}
	var open []*websocket.Conn
	for range maxQuiet {
		ws, status := dial(s.tool)
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("got %d, want 101", status)
		}
		open = append(open, ws)
	}
	if _, status := dial(s.tool); status != http.StatusServiceUnavailable {
		t.Errorf("got %d for one too many, want 503", status)
	}
	closed := make(chan error, len(open))
	for _, ws := range open {
		go func() { _, _, err := ws.Read(t.Context()); closed <- err }()
	}
	if code := n.end(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	for range open {
		if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("got %v, want that the server goes away", err)
		}
	}
}
