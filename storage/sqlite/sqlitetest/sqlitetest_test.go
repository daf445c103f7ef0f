package sqlitetest_test

import (
	"os"
	"path/filepath"
	"testing"

	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

func TestACreatedDatabaseIsAMigratedOneOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.db", "b.db"} {
		path := filepath.Join(dir, name)
		sqlitetest.Create(t, path)
		if err := sqlite.Migrate(t.Context(), path, func(step string) { t.Errorf("%s: %s, want nothing left to apply", name, step) }); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s: got mode %o, want 600", name, got)
		}
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
