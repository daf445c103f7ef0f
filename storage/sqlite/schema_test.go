package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/sqlite"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// Steps that a later program might bring. The breaking one says nothing of older programs.
const (
	additive = "-- +goose Up\n-- vigil:oldest=6\nALTER TABLE nodes ADD COLUMN more TEXT NOT NULL DEFAULT '';\n"
	breaking = "-- +goose Up\nALTER TABLE signals RENAME COLUMN data TO content;\n"
)

// withStep is this program's steps and one more, of version 9001.
func withStep(t *testing.T, step string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{"9001_more.sql": {Data: []byte(step)}}
	steps, err := migrations.Steps(migrations.Files)
	testutil.OK(t, err)
	for _, s := range steps {
		raw, err := migrations.Files.ReadFile(s.Name)
		testutil.OK(t, err)
		out[s.Name] = &fstest.MapFile{Data: raw}
	}
	return out
}

// lived is a file with a server of this program on it, beside which a newer one migrates.
type lived struct {
	*testing.T
	path  string
	store *sqlite.Store
	beat  time.Time
}

func newLived(t *testing.T) *lived {
	t.Helper()
	l := &lived{T: t, path: filepath.Join(t.TempDir(), "vigil.db"), beat: time.Now()}
	l.store = open(t, sqlite.Config{Path: l.path})
	l.renew()
	return l
}

func (l *lived) renew() {
	l.Helper()
	l.beat = l.beat.Add(time.Millisecond)
	testutil.OK(l.T, l.store.RenewNode(l.Context(), storage.Node{ID: "old", Host: "host", Heard: l.beat}))
}

// migrate is the newer program's; see is called with each line of progress, gone is for how long
// a row has to stand still.
func (l *lived) migrate(step string, stop bool, gone time.Duration, see func(line string)) error {
	l.Helper()
	return sqlite.MigrateWith(l.Context(), sqlite.MigrateOptions{
		Path: l.path, Steps: withStep(l.T, step), StopOld: stop, Progress: see,
		Poll: 5 * time.Millisecond, Gone: gone, Wait: 2 * time.Second,
	})
}

// beating renews the old server's row until it is stopped.
func (l *lived) beating() (stop func()) {
	ctx, cancel := context.WithCancel(l.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				l.renew()
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (l *lived) version() (v int) {
	l.Helper()
	db, err := sql.Open("sqlite", "file:"+l.path)
	testutil.OK(l.T, err)
	testutil.OK(l.T, db.QueryRowContext(l.Context(), `SELECT max(version_id) FROM goose_db_version`).Scan(&v))
	testutil.OK(l.T, db.Close())
	return v
}

func TestAnAdditiveStepLeavesOlderServersAndLetsThemStart(t *testing.T) {
	l := newLived(t)
	stop := l.beating()
	defer stop()
	testutil.OK(t, l.migrate(additive, false, time.Minute, func(line string) {
		if !strings.HasPrefix(line, "applied ") {
			t.Errorf("got progress %q, want nobody waited for", line)
		}
	}))
	if got := l.version(); got != 9001 {
		t.Errorf("got version %d, want 9001", got)
	}
	testutil.OK(t, l.store.CheckSchema(t.Context()))
	testutil.OK(t, l.store.Ping(t.Context()))
	testutil.OK(t, sqlite.Migrate(t.Context(), l.path, func(line string) { t.Errorf("got progress %q from the older program, want nothing to do", line) }))
	again, err := sqlite.Open(t.Context(), sqlite.Config{Path: l.path})
	testutil.OK(t, err)
	testutil.OK(t, again.Ping(t.Context()))
	testutil.OK(t, again.Close())
}

func TestABreakingStepIsRefusedWhileAnOlderServerRuns(t *testing.T) {
	l := newLived(t)
	before := l.version()
	stop := l.beating()
	defer stop()
	err := l.migrate(breaking, false, time.Minute, nil)
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "old on host") || !strings.Contains(err.Error(), "--stop-old") {
		t.Errorf("got %v, want a refusal that names the server and what to do", err)
	}
	if got := l.version(); got != before {
		t.Errorf("got version %d, want %d as before", got, before)
	}
	testutil.OK(t, l.store.CheckSchema(t.Context()))
}

func TestABreakingStepMakesOlderServersEndAndThenKeepsThemOut(t *testing.T) {
	l := newLived(t)
	before, copied := l.version(), filepath.Join(t.TempDir(), "copy.db")
	vacuum(t, l.path, copied)
	v := seed(t, l.store, 1)[0]
	stop := l.beating()
	waited := false
	testutil.OK(t, l.migrate(breaking, true, 300*time.Millisecond, func(line string) {
		if waited || !strings.HasPrefix(line, "waiting ") {
			return
		}
		waited = true
		code(t, "the old server's check once the store is marked", l.store.CheckSchema(t.Context()), vigil.CodeIllegal)
		if got := l.version(); got != before {
			t.Errorf("got version %d while the old server lives, want %d", got, before)
		}
		// What it has accepted is still stored.
		got, err := l.store.AppendSignals(t.Context(), []vigil.Signal{signal(v, 1)})
		testutil.OK(t, err)
		if got[0] != storage.Stored {
			t.Errorf("got %v, want Stored", got[0])
		}
		stop()
	}))
	if got := l.version(); !waited || got != 9001 {
		t.Errorf("got version %d, waited: %v, want 9001 after waiting", got, waited)
	}
	// One that slept through all this, or does not look, writes nothing any more.
	_, err := l.store.AppendSignals(t.Context(), []vigil.Signal{signal(v, 2)})
	code(t, "a signal", err, vigil.CodeUnavailable)
	code(t, "a row", l.store.RenewNode(t.Context(), storage.Node{ID: "old", Heard: time.Now()}), vigil.CodeUnavailable)
	code(t, "readiness", l.store.Ping(t.Context()), vigil.CodeUnavailable)
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: l.path})
	code(t, "another start", err, vigil.CodeIllegal)
	code(t, "its migration", sqlite.Migrate(t.Context(), l.path, nil), vigil.CodeIllegal)

	// The way back is the copy from before.
	back, err := sqlite.Open(t.Context(), sqlite.Config{Path: copied})
	testutil.OK(t, err)
	testutil.OK(t, back.CheckSchema(t.Context()))
	testutil.OK(t, back.Close())
}

// vacuum copies a database that is in use.
func vacuum(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+from)
	testutil.OK(t, err)
	_, err = db.ExecContext(t.Context(), `VACUUM INTO ?`, to)
	testutil.OK(t, errors.Join(err, db.Close()))
}

func TestAServerThatDoesNotEndKeepsItsSchema(t *testing.T) {
	l := newLived(t)
	before := l.version()
	stop := l.beating()
	err := l.migrate(breaking, true, time.Minute, nil)
	stop()
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "have not ended") {
		t.Errorf("got %v, want word of the server that did not end", err)
	}
	if got := l.version(); got != before {
		t.Errorf("got version %d, want %d as before", got, before)
	}
	testutil.OK(t, l.store.CheckSchema(t.Context()))
	testutil.OK(t, l.store.Ping(t.Context()))
}

// A server whose row stands still may hold the file all the same.
func TestABreakingStepClaimsTheFile(t *testing.T) {
	l := newLived(t)
	before := l.version()
	held := errors.New("held")
	var asked []bool
	migrate := func(err error) error {
		return sqlite.MigrateWith(t.Context(), sqlite.MigrateOptions{
			Path: l.path, Steps: withStep(t, breaking), Poll: 5 * time.Millisecond, Gone: 50 * time.Millisecond,
			Claim: func(shared bool) (func(), error) {
				asked = append(asked, shared)
				return func() {}, err
			},
		})
	}
	if err := migrate(held); !errors.Is(err, held) {
		t.Errorf("got %v, want that the file is held", err)
	}
	if got := l.version(); got != before {
		t.Errorf("got version %d, want %d as before", got, before)
	}
	testutil.OK(t, l.store.CheckSchema(t.Context()))
	db, err := sql.Open("sqlite", "file:"+l.path)
	testutil.OK(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO nodes (id, host, heard, schema) VALUES ('new', 'host', ?, 9001)`, time.Now().UnixMilli())
	testutil.OK(t, errors.Join(err, db.Close()))
	testutil.OK(t, migrate(nil))
	if len(asked) != 2 || asked[0] || !asked[1] {
		t.Errorf("got claims shared: %v, want alone, then beside one that may stay", asked)
	}
}

// A file from before programs could be told has servers that know its very version.
func TestServersFromBeforeTheyCouldBeToldAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	do := older(t, path, 4)
	migrate := func(step string) error {
		return sqlite.MigrateWith(t.Context(), sqlite.MigrateOptions{Path: path, Steps: withStep(t, step), Poll: 5 * time.Millisecond, Gone: time.Minute})
	}
	do(`INSERT INTO nodes (id, host, heard) VALUES ('old', 'host', ?)`, time.Now().UnixMilli())
	failed := make(chan error)
	go func() { failed <- migrate(breaking) }()
	var err error
	for n := int64(1); err == nil; n++ {
		select {
		case err = <-failed:
			if err == nil {
				t.Fatal("got no error, want a refusal")
			}
		case <-time.After(20 * time.Millisecond):
			do(`UPDATE nodes SET heard = ?`, time.Now().UnixMilli()+n)
		}
	}
	if vigil.CodeOf(err) != vigil.CodeConflict || !strings.Contains(err.Error(), "knows version 4") {
		t.Errorf("got %v, want a refusal that names the server", err)
	}
	testutil.OK(t, migrate("-- +goose Up\n-- vigil:oldest=4\nSELECT 1;\n")) // the first steps that say it are additive
	do(`UPDATE nodes SET heard = heard + 1`)                                // and the server goes on
	do(`INSERT INTO nodes (id, host, heard) VALUES ('other', 'host', 0)`)
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	testutil.OK(t, err)
	nodes, err := s.Nodes(t.Context())
	testutil.OK(t, err)
	for _, n := range nodes {
		if n.Schema != 4 {
			t.Errorf("node %s: got schema %d, want 4", n.ID, n.Schema)
		}
	}
	testutil.OK(t, s.Close())
}

func TestLookingAtAFileChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "other.db")
	db, err := sql.Open("sqlite", "file:"+path)
	testutil.OK(t, err)
	_, err = db.ExecContext(t.Context(), `CREATE TABLE theirs (a)`)
	testutil.OK(t, errors.Join(err, db.Close()))
	before, err := os.ReadFile(path)
	testutil.OK(t, err)
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	code(t, "open", err, vigil.CodeIllegal)
	_, err = sqlite.Status(t.Context(), sqlite.MigrateOptions{Path: path})
	code(t, "status", err, vigil.CodeIllegal)
	code(t, "migrate", sqlite.Migrate(t.Context(), path, nil), vigil.CodeIllegal)
	after, err := os.ReadFile(path)
	testutil.OK(t, err)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	testutil.OK(t, err)
	if string(after) != string(before) || len(left) != 1 {
		t.Errorf("got another file, or files %v, want it as it was", left)
	}
}
