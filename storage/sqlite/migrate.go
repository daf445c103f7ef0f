package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/pressly/goose/v3"

	"vigil"
	migrations "vigil/migrations/sqlite"
)

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string    // of its file
	Applied time.Time // zero: not yet
}

// Migrate brings the file's schema up to date and makes the file if it is not there,
// readable by its owner only. It tells progress (which may be nil) of each step that it
// applied. Each step is one transaction: after an error the steps before it stay, and
// Migrate may be called again. Two processes may call it at once.
func Migrate(ctx context.Context, path string, progress func(string)) error {
	if path == "" {
		return vigil.Invalid("path", "The path of the database file is empty.")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be made. Check the directory and its permissions.")
	}
	if err := f.Close(); err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be made.")
	}
	var reached int64 // the version of the file before the latest try
	for idle := 0; ; idle++ {
		err := withProvider(path, func(p *goose.Provider) error {
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
				if progress != nil {
					progress(fmt.Sprintf("applied %s in %s", base(r.Source.Path), r.Duration.Round(time.Millisecond)))
				}
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
func Status(ctx context.Context, path string) ([]Migration, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return known()
	}
	var out []Migration
	err := withProvider(path, func(p *goose.Provider) error {
		st, err := p.Status(ctx)
		for _, m := range st {
			out = append(out, Migration{Version: m.Source.Version, Name: base(m.Source.Path), Applied: m.AppliedAt.UTC()})
		}
		return err
	})
	return out, schemaError(err)
}

// checkSchema refuses a file whose schema is not this program's.
func checkSchema(ctx context.Context, path string) error {
	var have, want int64
	err := withProvider(path, func(p *goose.Provider) (err error) {
		have, want, err = p.GetVersions(ctx)
		return err
	})
	switch {
	case err != nil:
		return schemaError(err)
	case have < want:
		return vigil.Errorf(vigil.CodeIllegal, "The database has schema version %d and this program needs %d. Apply the migrations first.", have, want)
	case have > want:
		return vigil.Errorf(vigil.CodeIllegal, "The database has schema version %d, made by a newer program; this one knows %d. Use the newer program.", have, want)
	}
	return nil
}

func withProvider(path string, do func(p *goose.Provider) error) (err error) {
	db, err := openDB(path, defaultLockWait, false)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := provider(db)
	if err != nil {
		return err
	}
	return do(p)
}

func provider(db *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, db, migrations.Files, goose.WithDisableGlobalRegistry(true))
}

// known lists the embedded steps without a file to compare with.
func known() ([]Migration, error) {
	entries, err := migrations.Files.ReadDir(".")
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInternal, "The migrations cannot be read.")
	}
	var out []Migration
	for _, e := range entries {
		v, err := goose.NumericComponent(e.Name())
		if err != nil {
			return nil, vigil.Wrap(err, vigil.CodeInternal, "A migration has no number.")
		}
		out = append(out, Migration{Version: v, Name: e.Name()})
	}
	return out, nil
}

func schemaError(err error) error {
	if err == nil {
		return nil
	}
	if passing(resultCode(err)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return convert("schema", err)
	}
	return vigil.Wrap(err, vigil.CodeInternal, "The database's schema cannot be read or brought up to date.")
}

func base(file string) string { return path.Base(file) }
