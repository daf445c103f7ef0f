package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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

type restoreCmd struct {
	storeSettings `embed:""`
	File          string `arg:"" help:"The backup."`
	Erasures      string `help:"What was erased since the backup: a file as --erasure-list writes it, the old store if it is still there (sqlite:PATH or dynamodb:PREFIX), or none if nobody was." placeholder:"FILE"`
}

// Run makes the store. It is made of a copy that has everything done to it first, so that nothing
// that was erased reaches the store, and a failure leaves none.
func (c restoreCmd) Run(ctx context.Context, s *streams) (err error) {
	if c.Erasures == "" {
		return vigil.Invalid("erasures", "The backup may hold people who were erased after it was made. Say where the list of erasures is: "+
			"--erasures=FILE, as `serve --erasure-list=FILE` kept it; --erasures=sqlite:PATH or dynamodb:PREFIX, the old store, if it can still be read; "+
			"or --erasures=none, if nobody was erased since.")
	}
	entries, err := c.erasuresFrom(ctx, c.Erasures)
	if err != nil {
		return err
	}
	s.tell("verifying " + c.File)
	backup, err := sqlite.Verify(ctx, c.File)
	if err != nil {
		return err
	}
	if err := c.tooOld(backup); err != nil {
		return err
	}
	_, tables, err := c.dynamoPlace()
	if err != nil {
		return err
	}
	to, parent := "", ""
	if !tables {
		if to, err = c.sqlitePath(); err != nil {
			return err
		}
		if err := c.vacant(to); err != nil {
			return err
		}
		unlock, err := c.claimFile(false)
		if err != nil {
			return err
		}
		defer unlock()
		parent = filepath.Dir(to)
	}
	dir, err := os.MkdirTemp(parent, ".vigil-restore-*") // mode 0700
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "No file can be made there. Check the directory and its permissions.")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	work, people, err := c.prepare(ctx, s, dir, entries)
	if err != nil {
		return err
	}
	var holds string
	if tables {
		holds, err = c.intoTables(ctx, s, work)
	} else {
		holds, err = c.intoFile(ctx, s, work, to)
	}
	if err != nil {
		return err
	}
	when := "a time that it does not say"
	if !backup.Made.IsZero() {
		when = backup.Made.Format(time.RFC3339)
	}
	if err := s.sayf("Restored and verified, as of %s: %s.\n", when, holds); err != nil {
		return err
	}
	if err := s.sayf("%d erasures on the list; %d people of the backup were erased again.\n", len(entries), people); err != nil {
		return err
	}
	if err := s.sayf("Invitations, logins and visits are not restored. The server needs the secret of the old one (%s): put it there, then run `vigil doctor` and start.\n", c.secretPlace()); err != nil {
		return err
	}
	return c.with(ctx, s, func(store storage.Store) error {
		return c.record(ctx, s, store, deed{action: "restore", detail: fmt.Sprintf("as of %s, %d people erased again", when, people)})
	})
}

// tooOld refuses a backup that is older than the entries of a store's list are kept. A file of
// erasures keeps them all.
func (c restoreCmd) tooOld(b sqlite.Contents) error {
	inStore := strings.HasPrefix(c.Erasures, "sqlite:") || strings.HasPrefix(c.Erasures, "dynamodb:")
	if !inStore || b.Made.IsZero() || time.Since(b.Made) < vigil.KeepErasures {
		return nil
	}
	return vigil.Errorf(vigil.CodeIllegal, "The backup is of %s, and a store keeps its list of erasures for %d days: some that came after the backup are not on it any more. "+
		"Give the file of --erasure-list instead, or another backup.", b.Made.Format(time.DateOnly), int(vigil.KeepErasures.Hours()/24))
}

// vacant refuses a place where anything is.
func (c restoreCmd) vacant(path string) error {
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			continue
		}
		if err != nil {
			return &vigil.Error{Code: vigil.CodeInvalid, Field: "store", Message: "The place for the store cannot be used.", Err: err}
		}
		return vigil.Errorf(vigil.CodeExists, "%s is there already, and a backup is restored into a new store only. Move it away with %s-wal and %s-shm, if they are there, or name another path. Nothing was changed.",
			name, path, path)
	}
	return nil
}

// prepare makes a copy of the backup with today's schema, without who was erased since.
func (c restoreCmd) prepare(ctx context.Context, s *streams, dir string, entries []vigil.Erasure) (path string, people int, err error) {
	path = filepath.Join(dir, "work.db")
	if err := privateFile(path); err != nil {
		return "", 0, err
	}
	if err := sqlite.Backup(ctx, c.File, path, time.Time{}, func(done, total int64) {
		s.tell(fmt.Sprintf("%s of about %s copied", size(done), size(total)))
	}); err != nil {
		return "", 0, err
	}
	if err := sqlite.Migrate(ctx, path, s.tell); err != nil {
		return "", 0, err
	}
	again := &erasedBefore{}
	store, err := sqlite.Open(ctx, sqlite.Config{Path: path, NewErasure: again.make, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for _, e := range entries {
		if err := store.AddErasure(ctx, e); err != nil {
			return "", 0, err
		}
	}
	again.add(entries)
	if people, _, err = forget(ctx, store, store, entries); err != nil {
		return "", 0, err
	}
	return path, people, store.PutRecord(ctx, vigil.RestoredRecord(time.Now()))
}

// intoFile puts the copy in its place.
func (c restoreCmd) intoFile(ctx context.Context, s *streams, work, to string) (holds string, err error) {
	s.tell("verifying the store")
	contents, err := sqlite.Verify(ctx, work)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(work + "-wal"); err == nil && info.Size() > 0 {
		return "", vigil.Errorf(vigil.CodeInternal, "The copy was not closed in order.")
	}
	if err := c.vacant(to); err != nil {
		return "", err
	}
	return inWords(contents.Counts), place(work, to, true)
}

// restoreKind marks a store into which a backup is being restored. Its value is the backup's
// checksum: only the same backup goes on after an error.
const (
	restoreKind = "restore"
	restoreKey  = "unfinished"
)

// intoTables copies into tables that are empty, or in which an earlier try ended early.
func (c restoreCmd) intoTables(ctx context.Context, s *streams, work string) (holds string, err error) {
	sum, err := fileSum(c.File)
	if err != nil {
		return "", err
	}
	source, err := sqlite.Open(ctx, sqlite.Config{Path: work, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	c.again = &erasedBefore{}
	c.operator = true
	empty, err := c.create(ctx, s.tell, commandLog(s))
	if err != nil {
		return "", err
	}
	err = closing(empty, func(target storage.Store) error {
		mark, err := target.GetRecord(ctx, restoreKind, restoreKey, time.Now())
		switch {
		case err == nil && string(mark.Value) != sum:
			return vigil.Errorf(vigil.CodeConflict, "Another backup was being restored into this store. Go on with that one, or name another prefix.")
		case err == nil:
			s.tell("going on with a restore that did not finish")
		case vigil.CodeOf(err) != vigil.CodeNotFound:
			return err
		default:
			if err := vacantStore(ctx, target); err != nil {
				return err
			}
			if err := target.PutRecord(ctx, vigil.Record{Kind: restoreKind, Key: restoreKey, Value: []byte(sum)}); err != nil {
				return err
			}
		}
		cp := &copier{source: source, dump: source, target: target, say: s.tell, moment: true, began: time.Now()}
		if err := cp.run(ctx); err != nil {
			return fmt.Errorf("restoring (run it again, it goes on): %w", err)
		}
		holds = cp.sum()
		if err := target.PutRecord(ctx, vigil.RestoredRecord(time.Now())); err != nil {
			return err
		}
		return target.DeleteRecord(ctx, restoreKind, restoreKey)
	})
	return holds, err
}

// vacantStore refuses a store in which anything is.
func vacantStore(ctx context.Context, store storage.Store) error {
	dump, err := dumperOf(store)
	if err != nil {
		return err
	}
	n := 0
	for _, look := range []func() (int, error){
		func() (int, error) { list, err := store.Platforms(ctx); return len(list), err },
		func() (n int, err error) {
			for _, use := range vigil.KeyUses {
				list, err := store.Keys(ctx, use)
				if n += len(list); err != nil {
					return n, err
				}
			}
			return n, nil
		},
		func() (int, error) {
			list, _, err := store.Erasures(ctx, storage.Page{Limit: 1})
			return len(list), err
		},
		func() (int, error) {
			list, _, err := store.AuditOfExam(ctx, "", storage.Page{Limit: 1})
			return len(list), err
		},
		func() (int, error) {
			list, err := allOf(func(p storage.Page) ([]string, string, error) { return dump.ExamIDs(ctx, p) })
			return len(list), err
		},
	} {
		found, err := look()
		if err != nil {
			return err
		}
		n += found
	}
	if n > 0 {
		return vigil.Errorf(vigil.CodeExists, "The store holds something already, and a backup is restored into an empty one only. Name another prefix. Nothing was changed.")
	}
	return nil
}

// unfinished refuses a store into which a backup is still being restored.
func unfinished(ctx context.Context, store storage.Store) error {
	_, err := store.GetRecord(ctx, restoreKind, restoreKey, time.Now())
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return vigil.Errorf(vigil.CodeIllegal, "A backup is being restored into this store, or its restore did not finish: run `vigil restore` again, it goes on.")
}

// fileSum is a file's SHA-256.
func fileSum(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
