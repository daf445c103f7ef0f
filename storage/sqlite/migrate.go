package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/pressly/goose/v3"

	"vigil"
	migrations "vigil/migrations/sqlite"
	"vigil/storage"
)

// MigrateOptions say what to migrate, and how. Path is required.
type MigrateOptions struct {
	Path     string
	Progress func(string)                                  // told of each step that was applied; may be nil
	StopOld  bool                                          // make servers of older programs end where a step needs that
	Steps    fs.FS                                         // of the schema; this program's. Only tests have others.
	Claim    func(shared bool) (release func(), err error) // see storage.Upgrade

	Poll, Gone, Wait time.Duration // see storage.Upgrade
}

func (o MigrateOptions) withDefaults() MigrateOptions {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Steps == nil {
		o.Steps = migrations.Files
	}
	return o
}

// Migrate is MigrateWith without options.
func Migrate(ctx context.Context, path string, progress func(string)) error {
	return MigrateWith(ctx, MigrateOptions{Path: path, Progress: progress})
}

// MigrateWith brings the file's schema up to date and makes the file if it is not there,
// readable by its owner only. Each step is one transaction: after an error the steps before
// it stay, and it may be called again. Two processes may call it at once. A step that servers
// of older programs cannot live beside is refused while such servers run, with CodeConflict;
// StopOld makes them end first. A newer schema that this program may work with is left as it
// is.
func MigrateWith(ctx context.Context, o MigrateOptions) error {
	o = o.withDefaults()
	if o.Path == "" {
		return vigil.Invalid("path", "The path of the database file is empty.")
	}
	steps, known, err := schemaSteps(o.Steps)
	if err != nil {
		return err
	}
	have, err := look(ctx, o.Path)
	if err != nil {
		return err
	}
	if have.Version >= known || have.Oldest > known {
		return have.Check(known)
	}
	f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be made. Check the directory and its permissions.")
	}
	if err := f.Close(); err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be made.")
	}
	db, err := openDB(o.Path, defaultLockWait, false)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	u := storage.Upgrade{
		Have: have, Oldest: have.OldestAfter(steps), Stop: o.StopOld, Claim: o.Claim, Progress: o.Progress, Poll: o.Poll, Gone: o.Gone, Wait: o.Wait,
		Nodes: func(ctx context.Context) ([]storage.Node, error) { return nodesOf(ctx, db, have) },
		Mark: func(ctx context.Context, oldest int) error {
			_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", oldest))
			return schemaError(err)
		},
	}
	return errors.Join(u.Run(ctx, o.apply), schemaError(db.Close()))
}

// nodesOf lists the nodes in a file that may be of an older version. Rows that do not say
// what their program knows are of programs that worked with no other version than the file's.
func nodesOf(ctx context.Context, db *sql.DB, have storage.Schema) (out []storage.Node, err error) {
	var says bool
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_info('nodes') WHERE name = 'schema'`).Scan(&says); err != nil {
		return nil, schemaError(err)
	}
	query := `SELECT id, host, heard, schema FROM nodes`
	if !says {
		query = fmt.Sprintf(`SELECT id, host, heard, %d FROM nodes`, have.Version)
	}
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, schemaError(err)
	}
	defer func() { err = schemaError(errors.Join(err, rows.Close())) }()
	for rows.Next() {
		var n storage.Node
		if err := rows.Scan(&n.ID, &n.Host, timeInto{&n.Heard}, &n.Schema); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// apply applies the steps.
func (o MigrateOptions) apply(ctx context.Context) error {
	var reached int64 // the version of the file before the latest try
	for idle := 0; ; idle++ {
		err := o.withProvider(func(p *goose.Provider) error {
			if v, err := p.GetDBVersion(ctx); err == nil && v > reached {
				reached, idle = v, 0
			}
			for {
				r, err := p.UpByOne(ctx)
				if errors.Is(err, goose.ErrNoNextVersion) {
					return nil
				}
				if err != nil {
					return err
				}
				o.Progress(fmt.Sprintf("applied %s in %s", base(r.Source.Path), vigil.Span(r.Duration)))
			}
		})
		if err == nil || ctx.Err() != nil || idle == 2 {
			return schemaError(err)
		}
		// Another process may have applied the same step at the same time: try again as long
		// as somebody gets on. What is really wrong fails again, with the file no further.
	}
}

// Status lists the steps of the schema that this program knows, and which of them the
// file has. It changes nothing; a file that is not there has none.
func Status(ctx context.Context, o MigrateOptions) ([]storage.Migration, error) {
	o = o.withDefaults()
	steps, _, err := schemaSteps(o.Steps)
	if err != nil {
		return nil, err
	}
	have, err := look(ctx, o.Path)
	if err != nil {
		return nil, err
	}
	out := have.Migrations(steps)
	if have.Version == 0 {
		return out, nil
	}
	err = o.withProvider(func(p *goose.Provider) error {
		st, err := p.Status(ctx)
		for i, m := range st {
			out[i].Applied = m.AppliedAt.UTC()
		}
		return err
	})
	return out, schemaError(err)
}

func (o MigrateOptions) withProvider(do func(p *goose.Provider) error) (err error) {
	db, err := openDB(o.Path, defaultLockWait, false)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, o.Steps, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	return do(p)
}

func schemaError(err error) error {
	if err == nil {
		return nil
	}
	var own *vigil.Error
	if errors.As(err, &own) {
		return err
	}
	if passing(resultCode(err)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return convert("schema", err)
	}
	return vigil.Wrap(err, vigil.CodeInternal, "The database's schema cannot be read or brought up to date.")
}

func base(file string) string { return path.Base(file) }
