package sqlite_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

func TestAFullDiskIsUnavailableAndAcknowledgesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a small file system cannot be mounted here (%v); the test with max_page_count covers most of it", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	testutil.OK(t, os.WriteFile(ballast, bytes.Repeat([]byte{1}, 1<<20), 0o600))
	path := filepath.Join(dir, "vigil.db")
	testutil.OK(t, sqlite.Migrate(t.Context(), path, nil))
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	testutil.OK(t, err)
	v := seed(t, s, 1)[0]
	stored := fillUp(t, s, v)
	t.Logf("%d signals were acknowledged before the disk was full", len(stored))
	if len(stored) == 0 {
		t.Fatal("got no signal stored before the disk was full")
	}
	exactly(t, s, v, stored)

	// It goes on by itself when there is room again.
	testutil.OK(t, os.Remove(ballast))
	testutil.OK(t, s.Ping(t.Context()))
	got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 900_000)})
	testutil.OK(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v once there was room, want Stored", got)
	}
	stored[900_000] = true
	testutil.OK(t, s.Close())

	again, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	testutil.OK(t, err)
	exactly(t, again, v, stored)
	testutil.OK(t, again.Close())
}
