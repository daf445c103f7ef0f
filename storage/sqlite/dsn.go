package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver

	"vigil"
)

const defaultLockWait = 5 * time.Second

// openDB opens a pool on the file. The pragmas are part of the name, so that every
// connection of the pool has them.
//
//   - synchronous FULL flushes the log at each commit: acknowledged means stored, even
//     if the power fails.
//   - secure_delete overwrites what is removed: erased is erased.
//   - query_only keeps the readers from writing by mistake.
func openDB(path string, lockWait time.Duration, readOnly bool) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The path of the database file cannot be used.")
	}
	q := url.Values{"_txlock": {"immediate"}, "mode": {"rw"}} // a file that is not there is never made by accident
	for _, p := range []string{
		fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"secure_delete(1)",
		"temp_store(MEMORY)",
		"journal_size_limit(67108864)",
		"wal_autocheckpoint(16000)", // 64 MiB; see checkpointer
	} {
		q.Add("_pragma", p)
	}
	if readOnly { // many, and the system's cache is beneath them
		q.Add("_pragma", "query_only(1)")
		q.Add("_pragma", "cache_size(-2000)")
	} else {
		q.Add("_pragma", "cache_size(-8000)")
	}
	return openURI(abs, q)
}

// lookingDB opens a file as it is, to read what it is.
func lookingDB(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The path of the database file cannot be used.")
	}
	return openURI(abs, url.Values{"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", defaultLockWait.Milliseconds()), "query_only(1)"}})
}

func openURI(abs string, q url.Values) (*sql.DB, error) {
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, convert("store", err)
	}
	return db, nil
}
