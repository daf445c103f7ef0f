// Package sqlite is the embedded store: one file, one host, no server. It fulfils the
// contract of package storage on modernc.org/sqlite, which needs no C compiler.
//
// One connection writes and a few read. The file is in WAL mode with synchronous=FULL:
// a commit returns after the log was flushed to the disk, so what a method has stored
// outlives a power failure. A third connection copies the log into the file, so that no
// write waits for that (see checkpointer). Writes that arrive while a commit is in flight are
// committed together by the next one (see writer), which is what makes that affordable.
package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"vigil"
	migrations "vigil/migrations/sqlite"
	"vigil/storage"
)

// Config says where the store is. Path is required, the rest has defaults.
type Config struct {
	Path     string           // of the database file; Migrate makes it
	Now      func() time.Time // time.Now; by it retention is judged
	Logger   *slog.Logger     // slog.Default
	LockWait time.Duration    // how long to wait for another process's write; 5 s
	Readers  int              // connections that read; 4
	Queue    int              // writes that may wait for the next commit; 1024. Further callers block.
	Steps    fs.FS            // of the schema that this program knows; its own. Only tests have others.

	NewErasure storage.ErasureMaker // makes the entries of the list of erasures; storage.NewErasure
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.LockWait <= 0 {
		c.LockWait = defaultLockWait
	}
	if c.Readers <= 0 {
		c.Readers = 4
	}
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.Steps == nil {
		c.Steps = migrations.Files
	}
	if c.NewErasure == nil {
		c.NewErasure = func(_ context.Context, issuer, userID, examID string, attempt int) (vigil.Erasure, error) {
			return storage.NewErasure(issuer, userID, examID, attempt, c.Now()), nil
		}
	}
	return c
}

// Store is the embedded backend. All methods may be called at the same time.
type Store struct {
	now      func() time.Time
	log      *slog.Logger
	path     string
	lockWait time.Duration
	readDB   *sql.DB
	w        *writer
	check    *checkpointer

	newErasure storage.ErasureMaker

	mu    sync.Mutex
	reads map[string]*sql.Stmt // by their text: a fixed number of queries
}

var _ storage.Store = (*Store)(nil)

// Open opens a store whose schema this program can work with: its own, or a newer one that
// says so. It makes and applies nothing by itself: a file that is not there, or whose schema
// is another, is CodeIllegal; call Migrate first. The caller ends the store with Close.
func Open(ctx context.Context, c Config) (*Store, error) {
	c = c.withDefaults()
	if c.Path == "" {
		return nil, vigil.Invalid("path", "The path of the database file is empty.")
	}
	_, known, err := schemaSteps(c.Steps)
	if err != nil {
		return nil, err
	}
	have, err := look(ctx, c.Path)
	if err == nil {
		err = have.Check(known)
	}
	if err != nil {
		return nil, err
	}
	write, err := openDB(c.Path, c.LockWait, false)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := openDB(c.Path, c.LockWait, true)
	if err != nil {
		return nil, closing(write, err)
	}
	read.SetMaxOpenConns(c.Readers)
	read.SetMaxIdleConns(c.Readers)
	s := &Store{now: c.Now, log: c.Logger, path: c.Path, lockWait: c.LockWait, readDB: read, newErasure: c.NewErasure, reads: map[string]*sql.Stmt{}}
	if s.w, err = startWriter(ctx, write, c, known); err != nil {
		return nil, closing(write, closing(read, err))
	}
	if s.check, err = startCheckpointer(ctx, s.w, c); err != nil {
		return nil, closing(s.w, closing(read, err))
	}
	if err := read.PingContext(ctx); err != nil {
		return nil, closing(s, convert("store", err))
	}
	return s, nil
}

// Close finishes the writes that are waiting, and ends the store.
func (s *Store) Close() error {
	s.check.close()
	err := s.w.close()
	if e := s.readDB.Close(); err == nil && e != nil {
		err = convert("store", e)
	}
	return err
}

// Ping writes one row and reads it back, so that it notices a full disk.
func (s *Store) Ping(ctx context.Context) error {
	now := ms(s.now())
	err := s.write(ctx, "store", func(t tx) error {
		_, err := t.exec(`INSERT INTO pings (one, at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at`, now)
		return err
	})
	if err != nil {
		return err
	}
	_, err = get(ctx, s, "store", func(r row, _ ...any) (n int64, err error) { return n, r.Scan(&n) }, `SELECT at FROM pings WHERE one = 1`)
	return err
}

// closing ends something after an error, which stays the one that is reported.
func closing(c interface{ Close() error }, err error) error {
	if e := c.Close(); e != nil {
		slog.Warn("closing a store that could not be opened", "error", e)
	}
	return err
}
