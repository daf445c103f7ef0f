package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigil"
	"vigil/internal/testutil"
)

// faults reads the log: its lines at WARN and above, and how many events they stand for.
func faults(t *testing.T, n *node) (lines, events int) {
	t.Helper()
	for line := range strings.Lines(n.log.String()) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("got a line %q: %v", line, err)
		}
		if l.Level == "WARN" || l.Level == "ERROR" {
			lines++
			events += max(1, l.Repeated)
		}
	}
	return lines, events
}

func TestAFullDiskDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	const students, enough, few = 10, 400, 100
	disk := smallDisk(t, "8m")
	s := newSite(t)
	s.db = filepath.Join(disk, "vigil.db")
	server := s.serve()
	s.register()
	r := fill(s, students)
	ballast := filepath.Join(disk, "ballast")
	fillUp(t, ballast)
	testutil.Until(t, "many faults", func() bool {
		for _, st := range r.students {
			if len(st.Outbox()) == 0 {
				st.Signal(vigil.KindPaste, 0, length(300))
			}
			st.Cut() // it comes again, and asks for a token
		}
		_, events := faults(t, server)
		return events >= enough
	})
	lines, events := faults(t, server)
	t.Logf("%d lines for %d faults", lines, events)
	if lines > few {
		t.Errorf("got %d lines for %d faults, want at most %d:\n%s", lines, events, few, server.log)
	}
	s.ok(os.Remove(ballast))
	for _, st := range r.students {
		s.ok(st.Settled(t.Context()))
	}
	if code := server.end(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}
