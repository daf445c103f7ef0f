package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"

	"vigil"
	migrations "vigil/migrations/sqlite"
	"vigil/storage"
)

// The file keeps Schema.Version in goose's table and Schema.Oldest in user_version, a number
// in the file's header that is there whatever the tables are. 0 is a file from before it was
// written: only programs of its own version work with it.

// schemaSteps are the steps that a program knows, and the version of the last one.
func schemaSteps(files fs.FS) (steps []storage.Step, known int, err error) {
	if steps, err = migrations.Steps(files); err != nil {
		return nil, 0, err
	}
	if len(steps) == 0 {
		return nil, 0, vigil.Errorf(vigil.CodeInternal, "There are no migrations.")
	}
	return steps, steps[len(steps)-1].Version, nil
}

// querier reads one row.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaOf reads where a file of ours stands.
func schemaOf(ctx context.Context, q querier) (s storage.Schema, err error) {
	if err = q.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&s.Version); err != nil {
		return s, err
	}
	if err = q.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&s.Oldest); s.Oldest == 0 {
		s.Oldest = s.Version
	}
	return s, err
}

// look reads where a file stands, and changes nothing. One that is not there, or empty, has
// version 0.
func look(ctx context.Context, path string) (s storage.Schema, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return s, vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be read. Check the directory and its permissions.")
	}
	db, err := lookingDB(path)
	if err != nil {
		return s, err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = schemaError(errors.Join(err, db.Close())) }()
	var ours, tables int
	err = db.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE name = 'goose_db_version'), count(*) FROM sqlite_schema WHERE type = 'table'`).Scan(&ours, &tables)
	switch {
	case err != nil:
		return s, err
	case ours == 0 && tables > 0:
		return s, vigil.Errorf(vigil.CodeIllegal, "The file %s is another program's database.", path)
	case ours == 0:
		return s, nil
	}
	return schemaOf(ctx, db)
}

// CheckSchema implements storage.Store.
func (s *Store) CheckSchema(ctx context.Context) error {
	have, err := schemaOf(ctx, s.readDB)
	if err != nil {
		return convert("schema", err)
	}
	return have.Check(s.w.schema)
}

// fence refuses the transaction that has begun if the schema is not one that this program may
// write to any more: one that slept through a newer program's change could write nonsense. A
// store that is only marked still takes what is to be finished.
func (w *writer) fence() error {
	t := tx{w}
	oldest, err := one(t, number, `PRAGMA user_version`)
	if err != nil || oldest <= int64(w.schema) {
		return err
	}
	version, err := one(t, number, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`)
	if err != nil || version < oldest {
		return err
	}
	return storage.Schema{Version: int(version), Oldest: int(oldest)}.Check(w.schema)
}
