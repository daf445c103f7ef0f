// Package sqlitetest makes databases for tests.
package sqlitetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"vigil/storage/sqlite"
)

// empty is a migrated database with nothing in it. Migrating is most of what a short test
// costs, above all under the race detector, so that each process does it once.
var empty = sync.OnceValues(func() (db []byte, err error) {
	dir, err := os.MkdirTemp("", "vigil-sqlitetest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "vigil.db")
	if err := sqlite.Migrate(context.Background(), path, nil); err != nil {
		return nil, err
	}
	// What is still in a log would be missing from the copies.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("migrated database: got a log beside it (%w), want none", err)
	}
	return os.ReadFile(path)
})

// Create makes a migrated, empty database at path, as sqlite.Migrate does. The file must not
// exist. A test in a synctest bubble calls it outside of the bubble.
func Create(t testing.TB, path string) {
	t.Helper()
	db, err := empty()
	if err != nil {
		t.Fatalf("migrating: %v", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(db)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Exec changes a database behind the store's back, as someone can who may write to the file.
func Exec(t testing.TB, path, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), query, args...)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
