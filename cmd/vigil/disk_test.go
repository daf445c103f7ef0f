package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// raw opens a database file beside the server, as another process would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// bumpSchema makes a file look as if a newer program had made it.
func bumpSchema(t *testing.T, path string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
}

// lock keeps every other writer out of a database until it is called off.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	c, err := raw(t, path).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string) {
		t.Helper()
		if _, err := c.ExecContext(context.Background(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	return func() { t.Helper(); exec("ROLLBACK"); c.Close() }
}
