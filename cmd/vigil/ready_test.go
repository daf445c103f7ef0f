package main

import (
	"net/http"
	"strings"
	"testing"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/protocol"
)

// readiness reads /readyz.
func (s *site) readiness() (int, string) {
	s.Helper()
	return get(s.T, "http://"+s.admin+"/readyz")
}

// exec changes the server's file beside it.
func (s *site) exec(query string) {
	s.Helper()
	_, err := raw(s.T, s.db).ExecContext(s.Context(), query)
	s.ok(err)
}

// The store answers and takes what the readiness check writes, but no signals.
func TestAServerThatStoresNoSignalsIsNotReady(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve()
	st := s.student(student)
	s.exec(`ALTER TABLE counts RENAME TO elsewhere`)
	st.Signal(vigil.KindCopy, 0, length(3))
	testutil.Until(t, "the server to be not ready", func() bool {
		status, body := s.readiness()
		return status == http.StatusServiceUnavailable && strings.Contains(body, "signals cannot be stored")
	})
	if n := len(st.Outbox()); n == 0 {
		t.Error("got an empty outbox, want the signal kept")
	}
	s.exec(`ALTER TABLE elsewhere RENAME TO counts`)
	s.ok(st.Settled(t.Context()))
	testutil.Until(t, "the server to be ready again", func() bool { status, _ := s.readiness(); return status == http.StatusOK })
}

// A newer program marks the store: this server says why it is not ready, sends everybody
// away, stores what it has, and ends. What browsers notice from then on they keep.
func TestAServerEndsInOrderWhenANewerProgramMarksItsStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve("--drain-time=2s")
	st := s.student(student)
	st.Signal(vigil.KindCopy, 0, length(3))
	s.ok(st.Settled(t.Context()))
	s.exec(`PRAGMA user_version = 9999`)
	testutil.Until(t, "the server to be not ready, and why", func() bool {
		status, body := s.readiness()
		return status == http.StatusServiceUnavailable && strings.Contains(body, "A newer program is changing the store's schema")
	})
	<-server.done
	if server.code != 1 || !strings.Contains(server.log.String(), "this server ends: its program is too old for the store") ||
		!strings.Contains(server.log.String(), "vigil: A newer program is changing") {
		t.Errorf("got exit code %d, want 1 and the reason in the log:\n%s", server.code, server.log)
	}
	testutil.Until(t, "the student to be sent away", func() bool { return st.Closes()[protocol.CloseDrain] == 1 })
	st.Signal(vigil.KindCopy, 0, length(4))
	code, _, errs := command(t.Context(), nil, s.args()...)
	if code != 1 || !strings.Contains(errs, "--stop-old") {
		t.Errorf("another start: got exit code %d, %q, want 1 and who finishes the change", code, errs)
	}
	if n := len(st.Outbox()); n == 0 {
		t.Error("got an empty outbox, want the signal kept")
	}
	s.exec(`PRAGMA user_version = 4`) // the newer program has given up
	s.serve()
	s.ok(st.Settled(t.Context()))
}
