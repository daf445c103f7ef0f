package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vigil"
	migrations "vigil/migrations/sqlite"
)

// backupKind is the kind of the record that says when a backup was made. It is the only record
// in one.
const backupKind = "backup"

// Backup writes a copy of the database at path, as it is at one moment, into a file that is
// empty or not there, and flushes it to the disk. Servers may be at work on the database; no
// schema is changed. What is in use is copied and nothing else, so nothing that was erased
// travels along. Nor does what lives for a moment: records (logins, visits), invitations,
// leases, access records (a right that was taken away since must not come back). What waits to be told to a platform is marked as perhaps told, for by the time of a
// restore it may have been. made (if not zero) is remembered as the time of the backup;
// progress (which may be nil) hears of bytes from time to time.
func Backup(ctx context.Context, path, to string, made time.Time, progress func(done, total int64)) error {
	have, err := look(ctx, path)
	if err == nil && have.Version == 0 {
		err = have.Check(0)
	}
	if err != nil {
		return err
	}
	if err := copyInto(ctx, path, to, progress); err != nil {
		return err
	}
	db, err := openCopy(to)
	if err != nil {
		return err
	}
	err = tidy(ctx, db, made)
	if err := errors.Join(err, db.Close()); err != nil {
		return convert("backup", err)
	}
	return syncFile(to)
}

func copyInto(ctx context.Context, path, to string, progress func(done, total int64)) (err error) {
	from, err := openFile(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, convert("store", from.Close())) }()
	return convert("store", vacuumInto(ctx, from, to, progress))
}

// vacuumInto copies in one read transaction.
func vacuumInto(ctx context.Context, from *sql.DB, to string, progress func(done, total int64)) error {
	if progress != nil {
		var pages, free, size int64
		if err := from.QueryRowContext(ctx, `SELECT p.page_count, f.freelist_count, s.page_size
			FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s`).Scan(&pages, &free, &size); err != nil {
			return err
		}
		ended, stopped := make(chan struct{}), make(chan struct{})
		defer func() { close(ended); <-stopped }()
		go func() {
			defer close(stopped)
			tick := time.NewTicker(backupTold)
			defer tick.Stop()
			for {
				select {
				case <-ended:
					return
				case <-tick.C:
					if info, err := os.Stat(to); err == nil {
						progress(info.Size(), (pages-free)*size)
					}
				}
			}
		}()
	}
	_, err := from.ExecContext(ctx, `VACUUM INTO ?`, to)
	return err
}

// backupTold is how often Backup tells its progress.
const backupTold = 2 * time.Second

// tidy takes out of a copy what lives for a moment.
func tidy(ctx context.Context, db *sql.DB, made time.Time) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to take back
	moment := []string{
		`DELETE FROM records`,
		`DELETE FROM invitations`,
		`UPDATE deliveries SET sent = 1, lease_owner = '', lease_ends = 0 WHERE state = 'waiting'`,
	}
	if there, err := hasTable(ctx, tx, "accesses"); err != nil { // an older schema has not
		return err
	} else if there {
		moment = append(moment, `DELETE FROM accesses`)
	}
	for _, q := range moment {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	have, err := schemaOf(ctx, tx)
	if err != nil {
		return err
	}
	if have.Oldest > have.Version { // marked for a change that is not going on in the copy
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, have.Version)); err != nil {
			return err
		}
	}
	if !made.IsZero() {
		_, err := tx.ExecContext(ctx, `INSERT INTO records (kind, key, value, expires) VALUES (?, 'made', ?, 0)`, backupKind, []byte(strconv.FormatInt(ms(made), 10)))
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// hasTable tells whether a file has a table, which those of an older schema may not have.
func hasTable(ctx context.Context, q querier, name string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?`, name).Scan(&n)
	return n > 0, err
}

// Contents says what a file holds.
type Contents struct {
	Schema int       // version
	Made   time.Time // when Backup made it; zero: it did not
	Counts []Count
}

// Count is how many rows of a kind there are.
type Count struct {
	What string
	N    int64
}

// Verify reads a database through: whether its pages and its references are in order, and what
// it holds. It changes nothing. What is no store of Vigil's, is damaged, or was made by a
// newer program is CodeIllegal.
func Verify(ctx context.Context, path string) (c Contents, err error) {
	db, err := openFile(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, convert("store", db.Close())) }()
	if err := intact(ctx, db); err != nil {
		return c, err
	}
	have, err := schemaOf(ctx, db)
	if err != nil {
		return c, &vigil.Error{Code: vigil.CodeIllegal, Message: path + " is no store of Vigil's.", Err: err}
	}
	_, known, err := schemaSteps(migrations.Files)
	if err != nil {
		return c, err
	}
	if have.Version >= known || have.Oldest > known { // an older one can be brought up to date
		if err := have.Check(known); err != nil {
			return c, err
		}
	}
	c.Schema = have.Version
	for _, table := range []string{"platforms", "exams", "sessions", "signals", "incidents", "gaps", "commands", "chat", "audits", "erasures"} {
		var n int64
		if there, err := hasTable(ctx, db, table); err != nil {
			return c, convert("store", err)
		} else if !there { // an older schema
			continue
		}
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			return c, convert("store", err)
		}
		c.Counts = append(c.Counts, Count{table, n})
	}
	var made []byte
	err = db.QueryRowContext(ctx, `SELECT value FROM records WHERE kind = ? AND key = 'made'`, backupKind).Scan(&made)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	at, parseErr := strconv.ParseInt(string(made), 10, 64)
	c.Made = timeOf(at)
	return c, convert("store", errors.Join(err, parseErr))
}

// intact looks at every page.
func intact(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT integrity_check FROM pragma_integrity_check
		UNION ALL SELECT 'a row of ' || "table" || ' belongs to nothing' FROM pragma_foreign_key_check`)
	if err != nil {
		return damaged(err, "")
	}
	found, err := collect(rows, scanText)
	if err != nil {
		return damaged(err, "")
	}
	for _, f := range found {
		if f != "ok" {
			return damaged(nil, f)
		}
	}
	return nil
}

func damaged(err error, what string) error {
	if err != nil && passing(resultCode(err)) {
		return convert("store", err)
	}
	if what != "" {
		err = errors.New(what)
	}
	return vigil.Wrap(err, vigil.CodeIllegal, "The file is damaged, or no database. Use another backup.")
}

// ReadErasures reads the list of erasures of a file, of whatever version, without changing it.
func ReadErasures(ctx context.Context, path string) (entries []vigil.Erasure, err error) {
	have, err := look(ctx, path)
	if err == nil && have.Version == 0 {
		err = have.Check(0)
	}
	if err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, convert("store", db.Close())) }()
	rows, err := db.QueryContext(ctx, `SELECT `+erasureColumns+` FROM erasures ORDER BY at, no`)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") {
			return nil, vigil.Wrap(err, vigil.CodeIllegal, "The store %s keeps no list of erasures: it is of a version that did not yet.", path)
		}
		return nil, convert("store", err)
	}
	entries, err = collect(rows, scanErasure)
	return entries, convert("store", err)
}

// openFile opens a database to read from, whoever else has it open. The driver falls back to
// reading only where the file cannot be written.
func openFile(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, vigil.Wrap(err, vigil.CodeNotFound, "The file %s cannot be read.", path)
	}
	return openAs(path, url.Values{"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", defaultLockWait.Milliseconds()), "temp_store(MEMORY)"}})
}

// openCopy opens a copy that nobody else knows of, to write to. It becomes one file, without a
// log beside it.
func openCopy(path string) (*sql.DB, error) {
	return openAs(path, url.Values{"mode": {"rw"}, "_pragma": {"journal_mode(DELETE)", "synchronous(FULL)", "secure_delete(1)", "temp_store(MEMORY)"}})
}

func openAs(path string, how url.Values) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The path of the database file cannot be used.")
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: how.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, convert("store", err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// syncFile flushes a file to the disk.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The copy cannot be flushed to the disk.")
	}
	return nil
}
