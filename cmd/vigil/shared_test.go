//go:build unix

package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/relay/redisrelay/redistest"
)

// beside is another server of the site, on ports of its own.
func (s *site) beside() *site {
	s.Helper()
	return &site{T: s.T, dir: s.dir, db: s.db, tool: s.tool, lms: s.lms, listen: freeAddress(s.T), admin: freeAddress(s.T)}
}

func TestASecondServerOnAFileIsRefusedUnlessBothShareARedis(t *testing.T) {
	s := newSite(t)
	redis := "--redis=redis://" + redistest.Start(t).Address
	refused := func(what string, more ...string) {
		t.Helper()
		code, _, errs := command(t.Context(), nil, s.beside().args(more...)...)
		if code != 2 || !strings.Contains(errs, "Another server works with "+s.db) {
			t.Errorf("%s: got code %d, %q, want 2 and that another server works with the file", what, code, errs)
		}
	}
	alone := s.serve()
	refused("alone beside one that is alone")
	refused("with Redis beside one that is alone", redis)
	alone.end()
	s.serve(redis)
	refused("alone beside one with Redis")
	s.beside().serve(redis)
}

// front is what stands before the servers: it gives each connection to one of them.
func (s *site) front() (to func(server *site)) {
	s.Helper()
	var at atomic.Pointer[url.URL]
	l, err := net.Listen("tcp", s.listen)
	s.ok(err)
	server := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: headerTime, Handler: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(at.Load()); r.Out.Host = r.In.Host },
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Transport: &http.Transport{DisableKeepAlives: true},
	}}}
	server.Start()
	s.Cleanup(server.Close)
	return func(server *site) { at.Store(&url.URL{Scheme: "http", Host: server.listen}) }
}

// TestServersOfOneHostShareAFile has a student on one server and a proctor on another.
// When the student's is killed, the other one reports the student lost, by our fault, and
// takes over.
func TestServersOfOneHostShareAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a server is known to be dead")
	}
	s := newSite(t)
	redis := "--redis=redis://" + redistest.Start(t).Address
	to := s.front()
	one, two := s.beside(), s.beside()
	dies := one.process(redis)
	survives := two.process(redis)

	to(one)
	st := s.student(student)
	session := st.Welcome().Session
	to(two)
	w := s.proctor()
	to(one) // the student's way stays the dead server's until we say otherwise
	seen := func(n int) {
		t.Helper()
		testutil.Until(t, "the signals on the other server's dashboard", func() bool {
			row := w.Row(session)
			return row.Tally != nil && row.Tally.Signals >= n
		})
	}
	give := func(n int) {
		t.Helper()
		for range n {
			st.Signal(vigil.KindCopy, 0, length(3))
		}
	}
	give(5)
	s.ok(st.Settled(t.Context()))
	seen(5)

	dies.kill()
	give(1)
	testutil.Until(t, "the student lost by our fault", func() bool {
		c := w.Row(session).Conn
		return c != nil && c.Conn == vigil.ConnLost && c.Cause == vigil.CauseServer
	})
	to(two)
	s.ok(st.Settled(t.Context()))
	seen(6)
	if code := survives.end(); code != 0 {
		t.Errorf("got exit code %d from the one that took over, want 0:\n%s", code, survives.log)
	}
	given := map[int64]int{}
	for _, g := range signalsOf(t, s.open(s.db), session) {
		if g.Stream == st.Stream() {
			given[g.Seq]++
		}
	}
	for seq := range int64(6) {
		if given[seq+1] != 1 {
			t.Errorf("signal %d: got it %d times in the store, want once", seq+1, given[seq+1])
		}
	}
}
