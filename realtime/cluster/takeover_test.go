package cluster

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigil"
	"vigil/realtime/internal/tasks"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deaf is a live state of which nothing is asked.
type deaf struct{ Live }

func (deaf) TellGone(string) {}

func TestOfManySurvivorsExactlyOneTakesOver(t *testing.T) {
	t.Parallel()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	ok(err)
	t.Cleanup(func() { ok(db.Close()) })
	var members []*Membership
	for i := range 8 {
		members = append(members, New(Config{
			Node: "node-" + strconv.Itoa(i), Shared: true, Every: time.Hour, Lease: time.Hour, Store: db,
			Tasks: tasks.NewGroup(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
		}, deaf{}))
		ok(members[i].Renew(t.Context()))
	}
	for _, m := range members {
		ok(m.Look(t.Context()))
	}
	for range 20 {
		dead := vigil.Node{ID: "dead-" + rand.Text(), Host: "h", Heard: time.Now().UTC().Truncate(time.Millisecond)}
		ok(db.RenewNode(t.Context(), dead))
		var claimed atomic.Int32
		var all sync.WaitGroup
		for _, m := range members {
			all.Go(func() {
				is, err := m.claim(t.Context(), dead)
				if err != nil {
					t.Error(err)
				}
				if is {
					claimed.Add(1)
				}
			})
		}
		all.Wait()
		if n := claimed.Load(); n != 1 {
			t.Fatalf("got %d that take over, want one", n)
		}
	}
}
