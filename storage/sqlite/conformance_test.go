package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
	"vigil/storage/storagetest"
)

func TestStoreFulfilsTheContract(t *testing.T) {
	var mu sync.Mutex
	used := map[string]bool{}
	storagetest.Run(t, func(t *testing.T) storage.Store {
		path := filepath.Join(t.TempDir(), "vigil.db")
		s := open(t, sqlite.Config{Path: path})
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			texts, err := s.Statements(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Error(err)
			}
			for _, q := range texts {
				used[q] = true
			}
		})
		return searched{s, path}
	})
	t.Run("without scanning a table that grows", func(t *testing.T) { noScans(t, used) })
}

// searched is a store whose files are looked through.
type searched struct {
	*sqlite.Store
	path string
}

func (s searched) Holds(t *testing.T, text string) (where []string) { return holds(t, s.path, text) }

// holds looks for a text in all files of a database, byte by byte.
func holds(t *testing.T, path, text string) (where []string) {
	files, err := filepath.Glob(path + "*")
	testutil.OK(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		testutil.OK(t, err)
		if bytes.Contains(b, []byte(text)) {
			where = append(where, filepath.Base(f))
		}
	}
	return where
}

// pair is two stores over one file, which take turns with what concerns signals, and with
// what is leased.
type pair struct {
	*sqlite.Store
	other *sqlite.Store
	path  string
	calls atomic.Int64
}

func (p *pair) next() *sqlite.Store {
	if p.calls.Add(1)%2 == 0 {
		return p.other
	}
	return p.Store
}

func (p *pair) AppendSignals(ctx context.Context, signals []vigil.Signal) ([]storage.Appended, error) {
	return p.next().AppendSignals(ctx, signals)
}

func (p *pair) SignalsOfSession(ctx context.Context, id string, page storage.Page) ([]vigil.Signal, string, error) {
	return p.next().SignalsOfSession(ctx, id, page)
}

func (p *pair) StreamState(ctx context.Context, id, stream string) (count, highest int64, err error) {
	return p.next().StreamState(ctx, id, stream)
}

func (p *pair) Session(ctx context.Context, id string) (vigil.Session, error) {
	return p.next().Session(ctx, id)
}

func (p *pair) Transition(ctx context.Context, t storage.Transition) error {
	return p.next().Transition(ctx, t)
}

func (p *pair) LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error) {
	return p.next().LeaseDue(ctx, now, until, n)
}

func (p *pair) SetDue(ctx context.Context, id string, version int64, at time.Time) error {
	return p.next().SetDue(ctx, id, version, at)
}

func (p *pair) LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error) {
	return p.next().LeaseDeliveries(ctx, owner, now, n)
}

func (p *pair) Holds(t *testing.T, text string) []string { return holds(t, p.path, text) }

func (p *pair) EraseUser(ctx context.Context, issuer, user string) (int, error) {
	return p.next().EraseUser(ctx, issuer, user)
}

func (p *pair) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	return p.next().Sweep(ctx, now, n)
}

func TestTwoStoresOnOneFileFulfilTheContractTakingTurns(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		path := filepath.Join(t.TempDir(), "vigil.db")
		return &pair{Store: open(t, sqlite.Config{Path: path}), other: open(t, sqlite.Config{Path: path}), path: path}
	})
}

// Tables that are read whole on purpose, under the names that the statements give them:
// few rows (platforms, nodes, keys), rows of the statement itself (v, blocks) or of one value (json_each), and exams
// and invitations when sweeping.
var maySCAN = regexp.MustCompile(`^SCAN (platforms|nodes|keys|v|b|blocks|e|exams|invitations|json_each|CONSTANT ROW|\d+[ -](ROW|CONSTANT ROWS?).*|2 CONSTANT ROWS)\b`)

func noScans(t *testing.T, used map[string]bool) {
	s := open(t, sqlite.Config{})
	explained := 0
	for q := range used {
		if !regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE|WITH)`).MatchString(q) {
			continue
		}
		plan, err := s.Plan(t.Context(), q)
		if err != nil {
			t.Errorf("explaining %s: %v", q, err)
		}
		for _, step := range plan {
			if regexp.MustCompile(`^SCAN `).MatchString(step) && !maySCAN.MatchString(step) || regexp.MustCompile(`AUTOMATIC`).MatchString(step) {
				t.Errorf("got plan %q, want no scan, in:\n%s", plan, q)
			}
			if regexp.MustCompile(`USE TEMP B-TREE FOR ORDER BY`).MatchString(step) && regexp.MustCompile(`LIMIT \?$`).MatchString(q) {
				t.Errorf("got plan %q, want no sorting of more than the page, in:\n%s", plan, q)
			}
		}
		explained++
	}
	if explained < 60 {
		t.Errorf("got %d statements, want all of them", explained)
	}
}
