package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"vigil"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/sqlite"
)

type erasureCmd struct {
	List  erasureListCmd  `cmd:"" help:"Print the list of what was erased, as JSON Lines. It names nobody."`
	Apply erasureApplyCmd `cmd:"" help:"Erase again what a list says, in a store that was brought back without vigil restore (DynamoDB's point-in-time recovery)."`
}

type erasureListCmd struct {
	storeSettings `embed:""`
}

// Run prints the entries, oldest first.
func (c erasureListCmd) Run(ctx context.Context, s *streams) error {
	entries, err := c.readErasures(ctx)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(s.out)
	for _, e := range entries {
		if err := writeErasure(w, e); err != nil {
			return err
		}
	}
	return w.Flush()
}

type erasureApplyCmd struct {
	storeSettings `embed:""`
	Erasures      string `help:"The list: a file as --erasure-list writes it or erasure list prints it, or a store that has it, sqlite:PATH or dynamodb:PREFIX." required:"" placeholder:"FILE"`
}

// Run erases again, and adds the entries to the store's own list.
func (c erasureApplyCmd) Run(ctx context.Context, s *streams) error {
	entries, err := c.erasuresFrom(ctx, c.Erasures)
	if err != nil {
		return err
	}
	again := &erasedBefore{}
	again.add(entries)
	c.again = again
	return c.with(ctx, s, func(store storage.Store) error {
		dump, err := dumperOf(store)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := store.AddErasure(ctx, e); err != nil {
				return err
			}
		}
		users, sessions, err := forget(ctx, store, dump, entries)
		if err != nil {
			return err
		}
		if err := s.sayf("%d erasures on the list; %d people found and erased again, with %d sessions.\n", len(entries), users, sessions); err != nil {
			return err
		}
		return c.record(ctx, s, store, deed{action: "erasure.apply", detail: attempts(sessions)})
	})
}

// erasuresNone says that nothing was erased since a backup.
const erasuresNone = "none"

// erasuresFrom reads a list from where the operator says: a file of JSON Lines or a store. The
// flags for DynamoDB are s's.
func (s storeSettings) erasuresFrom(ctx context.Context, place string) ([]vigil.Erasure, error) {
	if place == erasuresNone {
		return nil, nil
	}
	if strings.HasPrefix(place, "sqlite:") || strings.HasPrefix(place, "dynamodb:") {
		s.Store = place
		return s.readErasures(ctx)
	}
	f, err := os.Open(place)
	if err != nil {
		return nil, &vigil.Error{Code: vigil.CodeInvalid, Field: "erasures", Message: "The list of erasures cannot be read.", Err: err}
	}
	defer f.Close()
	return parseErasures(f, place)
}

// readErasures reads the list of a store as it is: nothing is made, and no schema is changed.
func (s storeSettings) readErasures(ctx context.Context) (entries []vigil.Erasure, err error) {
	place, ok, err := s.dynamoPlace()
	if err != nil {
		return nil, err
	}
	if !ok {
		path, err := s.sqlitePath()
		if err != nil {
			return nil, err
		}
		entries, err := sqlite.ReadErasures(ctx, path)
		if vigil.CodeOf(err) == vigil.CodeIllegal {
			err = byStore(err, path)
		}
		return entries, err
	}
	client, end, err := dynamo.NewClient(ctx, place.client)
	if err != nil {
		return nil, err
	}
	defer end()
	store, err := dynamo.Open(ctx, dynamo.Config{Client: client, Prefix: place.prefix, Steps: testSteps("dynamodb")})
	if vigil.CodeOf(err) == vigil.CodeIllegal {
		err = byStore(err, place.words())
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return allOf(func(p storage.Page) ([]vigil.Erasure, string, error) { return store.Erasures(ctx, p) })
}

func writeErasure(w io.Writer, e vigil.Erasure) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// parseErasures reads JSON Lines. What is no entry is an error: one that is skipped would let
// somebody come back.
func parseErasures(r io.Reader, name string) (entries []vigil.Erasure, err error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var e vigil.Erasure
		err := json.Unmarshal(lines.Bytes(), &e)
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			return nil, &vigil.Error{
				Code: vigil.CodeInvalid, Field: "erasures", Err: err,
				Message: fmt.Sprintf("Line %d of %s is no entry of a list of erasures. If it is the torn end of a write, remove it: that erasure was not done.", n, name),
			}
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

// erasureFile appends each erasure to a file, on another disk than the store's.
type erasureFile struct {
	path string
	mu   sync.Mutex
}

// make is a storage.ErasureMaker: the entry is on the disk before anything is erased.
func (f *erasureFile) make(_ context.Context, issuer, userID, examID string, attempt int) (vigil.Erasure, error) {
	e := storage.NewErasure(issuer, userID, examID, attempt, time.Now())
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.append(e); err != nil {
		return e, vigil.Wrap(err, vigil.CodeUnavailable, "The erasure cannot be added to the list %s (--erasure-list): nothing was erased.", f.path)
	}
	return e, nil
}

func (f *erasureFile) append(e vigil.Erasure) (err error) {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var line strings.Builder
	if torn, err := endsTorn(file); err != nil {
		return err
	} else if torn {
		line.WriteByte('\n')
	}
	if err := writeErasure(&line, e); err != nil {
		return err
	}
	if _, err := file.WriteString(line.String()); err != nil { // one write: other servers of the host append, too
		return err
	}
	return file.Sync()
}

// endsTorn tells whether a file's last line has no end, because the machine went down.
func endsTorn(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)
	return last[0] != '\n', err
}

// check makes sure that the list can be written, before a server serves.
func (f *erasureFile) check() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return &vigil.Error{Code: vigil.CodeInvalid, Field: "erasure-list", Message: "The list of erasures cannot be written. Check the directory and its permissions.", Err: err}
	}
	return nil
}

// erasures is how a store that is opened makes its entries: those that are on a list already
// stay what they are, new ones go to the file too, if there is one.
func (s storeSettings) erasures() (storage.ErasureMaker, error) {
	if s.again != nil {
		return s.again.make, nil
	}
	if s.ErasureList == "" {
		return nil, nil
	}
	f := &erasureFile{path: s.ErasureList}
	return f.make, f.check()
}

// erasedBefore are entries that are applied again.
type erasedBefore struct {
	mu      sync.Mutex
	entries []vigil.Erasure
}

func (l *erasedBefore) add(entries []vigil.Erasure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entries...)
}

// make is a storage.ErasureMaker: an erasure that is done again is the one that it was.
func (l *erasedBefore) make(_ context.Context, issuer, userID, examID string, attempt int) (vigil.Erasure, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if (e.ExamID == "" || e.ExamID == examID && e.Attempt == attempt) && e.Is(issuer, userID) {
			return e, nil
		}
	}
	return storage.NewErasure(issuer, userID, examID, attempt, time.Now()), nil
}
