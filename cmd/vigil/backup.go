package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

type backupCmd struct {
	storeSettings `embed:""`
	File          string `arg:"" help:"The file to write. Only its owner may read it."`
	Force         bool   `help:"Replace the file if it is there."`
}

// Run writes the backup beside the file first, so that the file is whole or not there. It is an
// SQLite store, whatever it was made of.
func (c backupCmd) Run(ctx context.Context, s *streams) (err error) {
	if err := c.mayWrite(); err != nil {
		return err
	}
	began := time.Now()
	dir, err := os.MkdirTemp(filepath.Dir(c.File), ".vigil-backup-*") // mode 0700
	if err != nil {
		return &vigil.Error{Code: vigil.CodeInvalid, Field: "file", Message: "No file can be written there. Check the directory and its permissions.", Err: err}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied, notes, err := c.write(ctx, s, dir, began)
	if err != nil {
		return err
	}
	s.tell("verifying the backup")
	contents, err := sqlite.Verify(ctx, copied)
	if err != nil {
		return err
	}
	info, err := os.Stat(copied)
	if err != nil {
		return err
	}
	if err := place(copied, c.File, c.Force); err != nil {
		return err
	}
	if err := s.sayf("Backup written to %s: %s in %v, schema version %d.\nIt holds %s.\n", c.File, size(info.Size()),
		vigil.Span(time.Since(began)), contents.Schema, inWords(contents.Counts)); err != nil {
		return err
	}
	for _, n := range notes {
		if err := s.sayf("%s\n", n); err != nil {
			return err
		}
	}
	if err := s.sayf("The secret that opens Vigil's private keys is not in it (%s): keep that elsewhere, the backup is of no use without it.\n", c.secretPlace()); err != nil {
		return err
	}
	// A store whose schema is older than this program can be backed up, and takes no entry.
	if err := c.with(ctx, s, func(store storage.Store) error { return c.record(ctx, s, store, deed{action: "backup"}) }); err != nil {
		s.tell("The backup is made, but not noted among the audit entries: " + forPeople(err))
	}
	return nil
}

// mayWrite refuses to replace anything that was not meant.
func (c backupCmd) mayWrite() error {
	info, err := os.Stat(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &vigil.Error{Code: vigil.CodeInvalid, Field: "file", Message: "The place for the backup cannot be used.", Err: err}
	}
	if path, ok := strings.CutPrefix(c.Store, "sqlite:"); ok {
		if store, err := os.Stat(path); err == nil && os.SameFile(info, store) {
			return vigil.Invalid("file", "%s is the store itself.", c.File)
		}
	}
	if !info.Mode().IsRegular() {
		return vigil.Invalid("file", "%s is no file.", c.File)
	}
	if !c.Force {
		return vigil.Errorf(vigil.CodeExists, "%s is there already. Give another name, or --force to replace it.", c.File)
	}
	return nil
}

// write makes the copy in a directory, and says what else is to be said.
func (c backupCmd) write(ctx context.Context, s *streams, dir string, made time.Time) (path string, notes []string, err error) {
	path = filepath.Join(dir, "backup.db")
	if err := privateFile(path); err != nil {
		return "", nil, err
	}
	from := ""
	if _, tables, err := c.dynamoPlace(); err != nil {
		return "", nil, err
	} else if tables {
		if from, notes, err = c.collect(ctx, s, dir); err != nil {
			return "", nil, err
		}
	} else if from, err = c.sqlitePath(); err != nil {
		return "", nil, err
	}
	err = sqlite.Backup(ctx, from, path, made, func(done, total int64) {
		s.tell(fmt.Sprintf("%s of about %s copied", size(done), size(total)))
	})
	if vigil.CodeOf(err) == vigil.CodeIllegal {
		err = byStore(err, from)
	}
	return path, notes, err
}

// collect copies the tables of DynamoDB into an SQLite file, while servers may be at work on them.
func (c backupCmd) collect(ctx context.Context, s *streams, dir string) (path string, notes []string, err error) {
	path = filepath.Join(dir, "copy.db")
	if err := sqlite.Migrate(ctx, path, nil); err != nil {
		return "", nil, err
	}
	again := &erasedBefore{}
	target, err := sqlite.Open(ctx, sqlite.Config{Path: path, NewErasure: again.make, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	err = c.with(ctx, s, func(source storage.Store) error {
		dump, err := dumperOf(source)
		if err != nil {
			return err
		}
		cp := &copier{source: source, dump: dump, target: target, say: s.tell, moment: true, again: again, began: time.Now()}
		if err := cp.run(ctx); err != nil {
			return err
		}
		notes = cp.moved.words()
		return nil
	})
	return path, notes, err
}

// words tell an operator what changed while it was copied.
func (m moved) words() (out []string) {
	if m.again > 0 {
		out = append(out, fmt.Sprintf("%d attempts changed while they were copied, and were copied again.", m.again))
	}
	if m.restless > 0 {
		out = append(out, fmt.Sprintf("%d of them changed %d times in a row: the backup may have parts of them from different moments, seconds apart.", m.restless, maxReads))
	}
	if m.gone > 0 {
		out = append(out, fmt.Sprintf("%d attempts were erased or expired while the store was copied, and are not in the backup.", m.gone))
	}
	return out
}

// secretPlace is where the operator's secret is.
func (s storeSettings) secretPlace() string {
	if key, ok := strings.CutPrefix(s.KeySecret, "kms:"); ok {
		return "the key " + key + " of AWS KMS"
	}
	if s.KeySecret != "" {
		return "VIGIL_KEY_SECRET"
	}
	if path, err := s.keyPath(); err == nil {
		return "the file " + path
	}
	return "what the servers have as VIGIL_KEY_SECRET"
}

// privateFile makes an empty file that only its owner may read.
func privateFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// place moves a file that is on the disk to its name, over what is there only if it may. The
// move is on the disk when this returns.
func place(from, to string, replace bool) error {
	move := os.Rename
	if !replace {
		move = os.Link // which replaces nothing, also what came meanwhile
	}
	err := move(from, to)
	if !replace && err != nil && !errors.Is(err, fs.ErrExist) { // no links on this disk
		if _, statErr := os.Lstat(to); errors.Is(statErr, fs.ErrNotExist) {
			err = os.Rename(from, to)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return vigil.Wrap(err, vigil.CodeExists, "%s is there by now. Nothing was changed.", to)
	}
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "%s cannot be made.", to)
	}
	return syncDir(filepath.Dir(to))
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KB", (n+1023)/1024)
}

func inWords(counts []sqlite.Count) string {
	parts := make([]string, len(counts))
	for i, c := range counts {
		parts[i] = fmt.Sprintf("%d %s", c.N, c.What)
	}
	return strings.Join(parts, ", ")
}
