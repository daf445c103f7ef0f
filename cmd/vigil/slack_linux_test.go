package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestAServersThreadsMayBeWokenALittleLate also shows that the server is still the process
// that was started.
func TestAServersThreadsMayBeWokenALittleLate(t *testing.T) {
	s := newSite(t)
	n := s.process()
	pid := strconv.Itoa(n.cmd.Process.Pid)
	threads, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
	s.ok(err)
	for _, thread := range threads {
		got, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if errors.Is(err, fs.ErrPermission) {
			t.Skip("the slack of another process may not be read here")
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		s.ok(err)
		if want := strconv.FormatInt(int64(timerSlack), 10); strings.TrimSpace(string(got)) != want {
			t.Errorf("thread %s: got a slack of %s ns, want %s", thread.Name(), got, want)
		}
	}
	if code := n.end(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}
