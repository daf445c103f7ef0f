package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"vigil/storage"
	"vigil/storage/sqlite"
	"vigil/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a migrated store in a directory of its own.
func open(t testing.TB, c sqlite.Config) *sqlite.Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "vigil.db")
	}
	if err := sqlite.Migrate(t.Context(), c.Path, nil); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

func TestStoreFulfilsTheContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, sqlite.Config{}) })
}
