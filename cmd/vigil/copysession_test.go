package main

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// moving is a store that changes while it is read: after the gaps of a session were listed.
type moving struct {
	*sqlite.Store
	reads  atomic.Int64
	change func(read int64, session string)
}

// GapsOfSession implements storage.Gaps.
func (m *moving) GapsOfSession(ctx context.Context, id string) ([]vigil.Gap, error) {
	list, err := m.Store.GapsOfSession(ctx, id)
	m.change(m.reads.Add(1), id)
	return list, err
}

// copyOf copies one store into another as a backup does.
func copyOf(t *testing.T, source *moving) (*copier, *sqlite.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := sqlite.Migrate(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	again := &erasedBefore{}
	target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, NewErasure: again.make})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	cp := &copier{source: source, dump: source, target: target, say: func(string) {}, moment: true, began: time.Now(), again: again}
	if err := cp.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cp, target
}

func TestASessionThatChangesWhileItIsCopiedIsCopiedAgain(t *testing.T) {
	place, e := filledStore(t)
	store := openSQLite(t, strings.TrimPrefix(place, "sqlite:"))
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ana, err := store.SessionsOfUser(t.Context(), e.Issuer, "ana")
	ok(err)
	id := ana[0].ID
	// step is a command that moves the session, with a gap that is decided by it, and a new
	// connection, as a busy moment has them.
	step := func() {
		v, err := store.Session(t.Context(), id)
		ok(err)
		next := v
		next.Version++
		next.DueAt = next.DueAt.Add(time.Minute)
		c := vigil.Command{ID: freshID(), SessionID: id, ExamID: e.ID, Kind: vigil.CommandNote, At: time.Now(), Stage: vigil.StageSeen}
		g := vigil.Gap{ID: freshID(), SessionID: id, ExamID: e.ID, Start: time.Now(), Cause: vigil.CauseServer, Version: 1}
		ok(store.Transition(t.Context(), vigil.Transition{Session: next, From: v.Version, Command: &c, NewGaps: []vigil.Gap{g}}))
		ok(store.SetGroups(t.Context(), id, []vigil.Group{{ID: freshID()}}, v.GroupsVersion+1))
		ok(store.SetPresence(t.Context(), id, vigil.Presence{Connection: vigil.ConnOnline, Since: time.Now(), Heard: time.Now(), Epoch: v.Presence.Epoch + 1, Node: "n2"}))
	}
	same := func(target *sqlite.Store) {
		t.Helper()
		want, _, err := readSession(t.Context(), store, store, id)
		ok(err)
		got, _, err := readSession(t.Context(), target, target, id)
		ok(err)
		a, _ := want.checksum()
		if b, _ := got.checksum(); a != b {
			t.Errorf("got copied\n%+v\nwant\n%+v", got, want)
		}
		if len(got.commands) != len(got.gaps) { // one each in every step, and before
			t.Errorf("got %d commands and %d gaps, want them of one moment", len(got.commands), len(got.gaps))
		}
	}
	var last atomic.Int64
	once := &moving{Store: store, change: func(_ int64, session string) {
		if session == id && last.Add(1) == 2 {
			step()
		}
	}}
	cp, target := copyOf(t, once)
	same(target)
	if cp.moved != (moved{again: 1}) || len(cp.moved.words()) != 1 {
		t.Errorf("got %+v, %q, want one that was copied again", cp.moved, cp.moved.words())
	}
	// Its server has a row, by which who starts on the copy finds it lost.
	nodes, err := target.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].ID != "n2" || nodes[0].Heard.IsZero() {
		t.Errorf("got nodes %+v (%v), want n2", nodes, err)
	}

	never := &moving{Store: store, change: func(_ int64, session string) {
		if session == id {
			step()
		}
	}}
	cp, _ = copyOf(t, never)
	if cp.moved != (moved{again: 1, restless: 1}) || len(cp.moved.words()) != 2 {
		t.Errorf("got %+v, %q, want one that never stood still", cp.moved, cp.moved.words())
	}
}

func TestWhoIsErasedWhileAStoreIsCopiedIsNotInTheCopy(t *testing.T) {
	for _, when := range []string{"before it is read", "after it was copied"} {
		place, e := filledStore(t)
		store := openSQLite(t, strings.TrimPrefix(place, "sqlite:"))
		var did atomic.Bool
		erase := func() {
			if did.CompareAndSwap(false, true) {
				if _, err := store.EraseUser(context.WithoutCancel(t.Context()), e.Issuer, "ana"); err != nil {
					t.Error(err)
				}
			}
		}
		source := &moving{Store: store, change: func(int64, string) {
			if when == "before it is read" {
				erase()
			}
		}}
		late := &lateEraser{moving: source, erase: erase}
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := sqlite.Migrate(t.Context(), path, nil); err != nil {
			t.Fatal(err)
		}
		again := &erasedBefore{}
		target, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, NewErasure: again.make})
		if err != nil {
			t.Fatal(err)
		}
		cp := &copier{source: late, dump: late, target: target, say: func(string) {}, moment: true, began: time.Now(), again: again}
		if err := cp.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !did.Load() {
			t.Fatalf("%s: nothing was erased", when)
		}
		if left, err := target.SessionsOfUser(t.Context(), e.Issuer, "ana"); err != nil || len(left) != 0 {
			t.Errorf("%s: got %d sessions in the copy (%v), want none", when, len(left), err)
		}
		if left, err := target.SessionsOfUser(t.Context(), e.Issuer, "=1+1"); err != nil || len(left) != 1 {
			t.Errorf("%s: got %d sessions of another (%v), want one", when, len(left), err)
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}
}

// lateEraser erases when the sessions are done and their exam's audit entries are read.
type lateEraser struct {
	*moving
	erase func()
}

// AuditOfExam implements storage.Audits.
func (l *lateEraser) AuditOfExam(ctx context.Context, id string, p storage.Page) ([]vigil.Audit, string, error) {
	l.erase()
	return l.moving.AuditOfExam(ctx, id, p)
}
