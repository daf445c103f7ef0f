package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// raw opens a database file beside the server, as another process would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// bumpSchema makes a file look as if a newer program had made it.
func bumpSchema(t *testing.T, path string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1); PRAGMA user_version = 9999`); err != nil {
		t.Fatal(err)
	}
}

// lock keeps every other writer out of a database until it is called off.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	c, err := raw(t, path).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string) {
		t.Helper()
		if _, err := c.ExecContext(context.Background(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	return func() { t.Helper(); exec("ROLLBACK"); c.Close() }
}

// room is a set of students who remember the server's notices.
type room struct {
	*site
	students []*client.Student

	mu   sync.Mutex
	told int // notices that saving waits
	over int // that it goes on
}

// fill seats some students, each with something stored.
func fill(s *site, n int) *room {
	s.Helper()
	r := &room{site: s}
	for _, u := range s.lms.NewStudents(n) {
		r.students = append(r.students, s.student(u.ID, func(c *client.Config) {
			c.OnFrame = func(t protocol.Type, raw json.RawMessage) {
				var n protocol.Notice
				if t != protocol.TypeNotice || json.Unmarshal(raw, &n) != nil || n.Kind != protocol.NoticeSaving {
					return
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				if n.Over {
					r.over++
				} else {
					r.told++
				}
			}
		}))
	}
	r.give()
	for _, st := range r.students {
		s.ok(st.Settled(s.Context()))
	}
	return r
}

// give lets each student notice something.
func (r *room) give() {
	for _, st := range r.students {
		st.Signal(vigil.KindPaste, 0, length(300))
	}
}

func (r *room) acked() (n int64) {
	for _, st := range r.students {
		n += st.Counts().Acked
	}
	return n
}

func (r *room) settled() bool {
	for _, st := range r.students {
		if len(st.Outbox()) > 0 {
			return false
		}
	}
	return true
}

func (r *room) notices() (told, over int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told, r.over
}

// fails checks what happens while the store cannot save, and after.
func (r *room) fails(server *node, p *client.Proctor, mend func()) {
	r.Helper()
	testutil.Until(r.T, "every student to be told that saving waits", func() bool {
		if r.settled() { // a little at a time: floods are refused
			r.give()
		}
		told, _ := r.notices()
		return told >= len(r.students)
	})
	before, retries := r.acked(), scrape(r.T, "http://"+r.admin+"/metrics")["vigil_store_retries_total"]
	r.give()
	testutil.Until(r.T, "the store to be asked again", func() bool {
		return scrape(r.T, "http://"+r.admin+"/metrics")["vigil_store_retries_total"] >= retries+2
	})
	if got := r.acked(); got != before {
		r.Errorf("acknowledged while nothing can be stored: got %d, want 0", got-before)
	}
	if status, _ := get(r.T, "http://"+r.admin+"/readyz"); status != http.StatusServiceUnavailable {
		r.Errorf("got %d for readiness, want 503", status)
	}
	if len(p.Signals()) == 0 {
		r.Error("got no signals on the dashboard, want them shown though they wait")
	}
	mend()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	for _, st := range r.students {
		r.ok(st.Settled(ctx))
	}
	testutil.Until(r.T, "every student to be told that it is over", func() bool { _, over := r.notices(); return over >= len(r.students) })
	for _, st := range r.students {
		st.Close()
	}
	p.Close()
	if code := server.end(); code != 0 {
		r.Errorf("got exit code %d, want 0:\n%s", code, server.log)
	}
	store := r.open(r.db)
	total := 0
	for _, st := range r.students {
		held := map[int64]int{}
		for _, g := range signalsOf(r.T, store, st.Welcome().Session) {
			if g.Stream == st.Stream() {
				held[g.Seq]++
			}
		}
		c := st.Counts()
		for seq := range c.Given {
			if held[seq+1] != 1 {
				r.Errorf("signal %d: got it %d times, want once", seq+1, held[seq+1])
			}
		}
		if c.Acked != c.Given || c.Dropped != 0 || int64(len(held)) != c.Given {
			r.Errorf("got %+v and %d stored, want all acknowledged and stored", c, len(held))
		}
		total += len(held)
	}
	r.Logf("%d signals, %d of them acknowledged before; each stored once", total, before)
}

func TestALockedDatabaseAcknowledgesNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve()
	r := fill(s, 5)
	p := s.proctor() // before the lock: a launch writes
	r.fails(server, p, lock(t, s.db))
}

func TestAFullDiskAcknowledgesNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "8m")
	s := newSite(t)
	s.db = filepath.Join(disk, "vigil.db")
	server := s.serve()
	s.register()
	r := fill(s, 5)
	p := s.proctor()
	ballast := filepath.Join(disk, "ballast")
	fillUp(t, ballast)
	r.fails(server, p, func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	})
}

// fillUp writes a file until the disk is full.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 20 {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the disk does not get full")
}
