package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

// holdVariable makes the test program a process that holds a database's write lock.
const holdVariable = "VIGIL_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdVariable); path != "" {
		if err := hold(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// hold locks a database until its input ends.
func hold(path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	fmt.Println("locked")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	_, err = tx.ExecContext(context.Background(), "ROLLBACK")
	return err
}

// lock has another process hold a database's write lock until release is called.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), holdVariable+"="+path)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	released := false
	release = func() {
		if released {
			return
		}
		released = true
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the process that held the lock: %v", err)
		}
	}
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("got %q (%v) from the process that takes the lock", line, err)
	}
	return release
}

// open makes a migrated store, in a directory of its own where c names none.
func open(t testing.TB, c sqlite.Config) *sqlite.Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "vigil.db")
	}
	if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
		sqlitetest.Create(t, c.Path)
	} else {
		testutil.OK(t, sqlite.Migrate(t.Context(), c.Path, nil))
	}
	s, err := sqlite.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

func code(t testing.TB, what string, err error, want vigil.Code) {
	t.Helper()
	if got := vigil.CodeOf(err); got != want {
		t.Errorf("%s: got code %q (%v), want %q", what, got, err, want)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// seed stores an exam with some sessions.
func seed(t testing.TB, s *sqlite.Store, n int) []vigil.Session {
	t.Helper()
	now := time.Now()
	e := vigil.Exam{ID: newID(), Issuer: "https://lms.example", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	testutil.OK(t, s.CreateExam(t.Context(), e))
	out := make([]vigil.Session, n)
	for i := range out {
		out[i] = vigil.Session{
			ID: newID(), ExamID: e.ID, UserID: fmt.Sprint("user-", i), Name: "Student Name", Attempt: 1, Generation: 1, PlatformID: newID(),
			DeploymentID: "1", ResourceLinkID: "17", Plugin: true, Locale: "en", ControlURL: "https://lms.example/control",
			ControlActions: []string{"pause", "resume"}, State: vigil.StateActive, Version: 3, Created: now, Ready: now, Started: now,
			Changed: now, Presence: vigil.Presence{Connection: vigil.ConnOnline, Heard: now, Since: now, Node: "n"},
		}
		testutil.OK(t, s.CreateSession(t.Context(), out[i]))
	}
	return out
}

func signal(v vigil.Session, seq int64) vigil.Signal {
	now := time.Now()
	return vigil.Signal{
		SessionID: v.ID, ExamID: v.ExamID, Stream: "stream-0123456789", Seq: seq, Kind: vigil.KindBlur, Severity: 0.1,
		At: now, Duration: time.Second, Received: now, Data: []byte(`{"width":1024,"height":768}`),
	}
}
