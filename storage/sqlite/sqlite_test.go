package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

func TestOpeningAppliesNothingByItself(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: missing})
	code(t, "no file", err, vigil.CodeIllegal)
	if _, err := os.Stat(missing); err == nil {
		t.Error("got a file made by Open, want none")
	}
	empty := filepath.Join(dir, "empty.db")
	testutil.OK(t, os.WriteFile(empty, nil, 0o600))
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: empty})
	code(t, "an empty file", err, vigil.CodeIllegal)
	_, err = sqlite.Open(t.Context(), sqlite.Config{})
	code(t, "no path", err, vigil.CodeInvalid)
	other := filepath.Join(dir, "other.db")
	testutil.OK(t, os.WriteFile(other, bytes.Repeat([]byte("this is no database"), 1000), 0o600))
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: other})
	code(t, "a file of another kind", err, vigil.CodeInternal)
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	testutil.OK(t, sqlite.Migrate(t.Context(), path, nil))
	db, err := sql.Open("sqlite", "file:"+path)
	testutil.OK(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1); PRAGMA user_version = 9999`)
	testutil.OK(t, err)
	testutil.OK(t, db.Close())
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	code(t, "open", err, vigil.CodeIllegal)
	if err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("got %v, want it to speak of a newer program", err)
	}
}

func TestMigratingTellsItsProgressAndIsDoneOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "an odd ?#% name.db")
	before, err := sqlite.Status(t.Context(), sqlite.MigrateOptions{Path: path})
	testutil.OK(t, err)
	if len(before) == 0 || !before[0].Applied.IsZero() {
		t.Errorf("got status %v, want steps that are not applied", before)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("got a file made by Status, want none")
	}
	var told []string
	testutil.OK(t, sqlite.Migrate(t.Context(), path, func(s string) { told = append(told, s) }))
	if len(told) != len(before) || !strings.Contains(told[0], before[0].Name) {
		t.Errorf("got progress %q, want one line for each of %v", told, before)
	}
	testutil.OK(t, sqlite.Migrate(t.Context(), path, func(s string) { t.Errorf("got progress %q by the second run, want none", s) }))
	after, err := sqlite.Status(t.Context(), sqlite.MigrateOptions{Path: path})
	testutil.OK(t, err)
	if len(after) != len(before) || after[0].Applied.IsZero() || after[0].Name != before[0].Name {
		t.Errorf("got status %v, want %v applied", after, before)
	}
	info, err := os.Stat(path)
	testutil.OK(t, err)
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("got mode %o, want 600", got)
	}
	code(t, "no path", sqlite.Migrate(t.Context(), "", nil), vigil.CodeInvalid)
	code(t, "no directory", sqlite.Migrate(t.Context(), filepath.Join(path, "x"), nil), vigil.CodeUnavailable)
}

func TestSeveralProcessesMayMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := sqlite.Migrate(t.Context(), path, nil); err != nil {
				t.Errorf("got %v, want none", err)
			}
		})
	}
	wg.Wait()
	open(t, sqlite.Config{Path: path})
}

func TestEveryConnectionHasItsPragmas(t *testing.T) {
	s := open(t, sqlite.Config{LockWait: 1234 * time.Millisecond})
	for name, want := range map[string]struct{ writer, reader int64 }{
		"synchronous":   {2, 2}, // FULL: a commit is on the disk when it returns
		"foreign_keys":  {1, 1},
		"busy_timeout":  {1234, 1234},
		"secure_delete": {1, 1},
		"query_only":    {0, 1},
	} {
		w, err := s.WriterPragma(t.Context(), name)
		testutil.OK(t, err)
		r, err := s.ReaderPragma(t.Context(), name)
		testutil.OK(t, err)
		if w != want.writer || r != want.reader {
			t.Errorf("%s: got %d and %d, want %d and %d", name, w, r, want.writer, want.reader)
		}
	}
}

func TestTwoStoresOnOneFileSeeEachOthersWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	a, b := open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})
	v := seed(t, a, 1)[0]
	got, err := b.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	got.Version++
	testutil.OK(t, b.Transition(t.Context(), vigil.Transition{Session: got, From: v.Version}))
	got.Version++
	code(t, "from the old version", a.Transition(t.Context(), vigil.Transition{Session: got, From: v.Version}), vigil.CodeConflict)
	for seq := range int64(20) {
		for _, s := range []*sqlite.Store{a, b} {
			_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, seq+1)})
			testutil.OK(t, err)
		}
	}
	got, err = a.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	if got.Tally.Signals != 20 {
		t.Errorf("got a tally of %d, want 20", got.Tally.Signals)
	}
}

func TestTwoStoresOnOneFileWriteAtTheSameTime(t *testing.T) {
	const callers, each = 8, 25
	path := filepath.Join(t.TempDir(), "vigil.db")
	stores := []*sqlite.Store{open(t, sqlite.Config{Path: path}), open(t, sqlite.Config{Path: path})}
	sessions := seed(t, stores[0], 3)
	var g errgroup.Group
	for i := range callers {
		s, v := stores[i%2], sessions[i%3]
		g.Go(func() error {
			for n := range each {
				if _, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, int64(i*each+n+1))}); err != nil {
					return err
				}
				if _, err := s.NextEpoch(t.Context(), sessions[0].ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	testutil.OK(t, g.Wait())
	total := 0
	for _, v := range sessions {
		got, err := stores[1].Session(t.Context(), v.ID)
		testutil.OK(t, err)
		total += got.Tally.Signals
	}
	if total != callers*each {
		t.Errorf("got tallies of %d, want %d", total, callers*each)
	}
	epoch, err := stores[1].NextEpoch(t.Context(), sessions[0].ID)
	testutil.OK(t, err)
	if epoch != callers*each+1 {
		t.Errorf("got epoch %d, want %d", epoch, callers*each+1)
	}
}

func TestErasingLeavesNothingInTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path})
	v := seed(t, s, 3)[1]
	const secret = "what-only-this-student-wrote"
	line := vigil.ChatLine{ID: "line-0001", SessionID: v.ID, From: vigil.Actor{Role: vigil.RoleStudent}, Text: secret, At: time.Now()}
	testutil.OK(t, s.AddChat(t.Context(), line))
	if !inFiles(t, path, secret) {
		t.Fatal("got nothing in the files before erasing: the test is wrong")
	}
	n, err := s.EraseUser(t.Context(), "https://lms.example", v.UserID)
	testutil.OK(t, err)
	if n != 1 {
		t.Errorf("got %d sessions erased, want 1", n)
	}
	for _, text := range []string{secret, v.ID} {
		if inFiles(t, path, text) {
			t.Errorf("got %q in the files after erasing, want nothing", text)
		}
	}
}

func inFiles(t *testing.T, path, text string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	testutil.OK(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		testutil.OK(t, err)
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

func TestWhatIsGoneIsJudgedByTheStoresClock(t *testing.T) {
	now := time.Now()
	s := open(t, sqlite.Config{Now: func() time.Time { return now }})
	v := seed(t, s, 1)[0]
	_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 1)})
	testutil.OK(t, err)
	count := func() int {
		list, _, err := s.SignalsOfSession(t.Context(), v.ID, storage.Page{})
		testutil.OK(t, err)
		return len(list)
	}
	now = now.Add(89 * 24 * time.Hour)
	if got := count(); got != 1 {
		t.Errorf("got %d signals after 89 days, want 1", got)
	}
	now = now.Add(2 * 24 * time.Hour)
	if got := count(); got != 0 {
		t.Errorf("got %d signals after 91 days, want 0", got)
	}
	now = now.Add(320 * 24 * time.Hour)
	_, err = s.Session(t.Context(), v.ID)
	code(t, "session after 411 days", err, vigil.CodeNotFound)
}

func TestAnErrorOfTheDriverIsNotSentToPeople(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := open(t, sqlite.Config{})
	_, err := s.Session(ctx, "x")
	var e *vigil.Error
	if !errors.As(err, &e) || strings.Contains(e.Message, "context") || e.Err == nil {
		t.Errorf("got %v, want a message for people with the cause behind it", err)
	}
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "0.0", "-1y2p0ij32e8e8.1", "1.", ".1", "zz.zz.zz", "1y2p0ij32e8e8.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, after string) {
		text, err := sqlite.ParseCursor(after)
		if err != nil {
			code(t, "a place that is none", err, vigil.CodeInvalid)
			return
		}
		again, err := sqlite.ParseCursor(text)
		testutil.OK(t, err)
		if again != text {
			t.Errorf("got %q, want %q", again, text)
		}
	})
}
