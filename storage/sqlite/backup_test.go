package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

func TestABackupIsOneMomentOfAStoreAtWork(t *testing.T) {
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "vigil.db")})
	v := seed(t, s, 1)[0]
	stop := make(chan struct{})
	var working sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); working.Wait() })
	defer end()
	began := make(chan struct{})
	once := sync.OnceFunc(func() { close(began) })
	working.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.AppendSignals(context.WithoutCancel(t.Context()), []vigil.Signal{signal(v, n)}); err != nil {
				t.Error(err)
				return
			}
			if n == 20 {
				once()
			}
		}
	})
	<-began
	made := time.Now().UTC().Truncate(time.Millisecond)
	for range 3 {
		to := filepath.Join(t.TempDir(), "copy.db")
		testutil.OK(t, sqlite.Backup(t.Context(), s.Path(), to, made, func(int64, int64) {}))
		c, err := sqlite.Verify(t.Context(), to)
		testutil.OK(t, err)
		if !c.Made.Equal(made) || c.Schema == 0 {
			t.Errorf("got a backup of %v with schema %d, want of %v", c.Made, c.Schema, made)
		}
		if _, err := os.Stat(to + "-wal"); err == nil {
			t.Error("got a log beside the backup, want one file")
		}
		b := open(t, sqlite.Config{Path: to})
		n, top, err := b.StreamState(t.Context(), v.ID, "stream-0123456789")
		testutil.OK(t, err)
		w, err := b.Session(t.Context(), v.ID)
		testutil.OK(t, err)
		if n < 20 || n != top || int64(w.Tally.Signals) != n {
			t.Errorf("got %d signals up to %d and a tally of %d, want the same of each", n, top, w.Tally.Signals)
		}
	}
	end()
}

func TestABackupHoldsNothingThatWasErasedNorWhatLivesForAMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path})
	v := seed(t, s, 3)[0]
	now := time.Now().UTC().Truncate(time.Millisecond)
	line := vigil.ChatLine{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Text: "SECRET-ERASED", At: now}
	testutil.OK(t, s.AddChat(t.Context(), line))
	_, err := s.EraseUser(t.Context(), "https://lms.example", v.UserID)
	testutil.OK(t, err)
	testutil.OK(t, s.PutRecord(t.Context(), vigil.Record{Kind: "visit", Key: "k", Value: []byte("SECRET-VISIT")}))
	testutil.OK(t, s.CreateInvitation(t.Context(), vigil.Invitation{Hash: "SECRET-INVITATION", Created: now, Expires: now.Add(time.Hour)}))
	other, err := s.SessionsOfUser(t.Context(), "https://lms.example", "user-1")
	testutil.OK(t, err)
	d := vigil.Delivery{
		ID: newID(), SessionID: other[0].ID, ExamID: v.ExamID, Action: vigil.ActionUpdate, ExtraMinutes: 5, State: vigil.DeliveryWaiting, NextTry: now,
		Version: other[0].Version,
	}
	testutil.OK(t, s.Transition(t.Context(), vigil.Transition{Session: other[0], From: other[0].Version, Deliveries: []vigil.Delivery{d}}))
	if leased, err := s.LeaseDeliveries(t.Context(), "node", now, 1); err != nil || len(leased) != 1 {
		t.Fatalf("got %v, %v, want a lease", leased, err)
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	testutil.OK(t, sqlite.Backup(t.Context(), path, to, now, nil))
	raw, err := os.ReadFile(to)
	testutil.OK(t, err)
	for _, secret := range []string{"SECRET-ERASED", "SECRET-VISIT", "SECRET-INVITATION"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("got %s in the backup", secret)
		}
	}
	if !bytes.Contains(raw, []byte("user-1")) {
		t.Error("got nobody in the backup: this test finds nothing")
	}
	b := open(t, sqlite.Config{Path: to})
	// Nobody knows whether it was sent since: extra time is not given twice.
	waiting, err := b.DeliveriesOfSession(t.Context(), other[0].ID)
	testutil.OK(t, err)
	if len(waiting) != 1 || !waiting[0].Sent || waiting[0].LeaseOwner != "" {
		t.Errorf("got deliveries %+v, want one that was perhaps sent and that nobody leases", waiting)
	}
	erased, _, err := b.Erasures(t.Context(), storage.Page{})
	testutil.OK(t, err)
	if len(erased) != 1 || !erased[0].Is("https://lms.example", v.UserID) {
		t.Errorf("got erasures %+v, want the one", erased)
	}
	read, err := sqlite.ReadErasures(t.Context(), path)
	testutil.OK(t, err)
	if len(read) != 1 || read[0].ID != erased[0].ID {
		t.Errorf("got %+v from the file, want %+v", read, erased)
	}
}

func TestADamagedOrForeignFileIsNotVerified(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vigil.db")
	s := open(t, sqlite.Config{Path: path})
	v := seed(t, s, 1)[0]
	var signals []vigil.Signal
	for n := range int64(2000) {
		signals = append(signals, signal(v, n+1))
	}
	_, err := s.AppendSignals(t.Context(), signals)
	testutil.OK(t, err)
	good := filepath.Join(dir, "good.db")
	testutil.OK(t, sqlite.Backup(t.Context(), path, good, time.Time{}, nil))
	c, err := sqlite.Verify(t.Context(), good)
	testutil.OK(t, err)
	if !c.Made.IsZero() {
		t.Errorf("got a time %v, want none", c.Made)
	}
	raw, err := os.ReadFile(good)
	testutil.OK(t, err)
	for name, content := range map[string][]byte{
		"text":      []byte("no database at all, but long enough to look like one if nobody looks at its head ..................."),
		"cut":       raw[:len(raw)/2],
		"scrambled": append(append(bytes.Clone(raw[:len(raw)/2]), bytes.Repeat([]byte{0x5a}, 8192)...), raw[len(raw)/2+8192:]...),
		"empty":     nil,
	} {
		bad := filepath.Join(dir, name)
		testutil.OK(t, os.WriteFile(bad, content, 0o600))
		_, err := sqlite.Verify(t.Context(), bad)
		code(t, name, err, vigil.CodeIllegal)
	}
	_, err = sqlite.Verify(t.Context(), filepath.Join(dir, "none"))
	code(t, "a file that is not there", err, vigil.CodeNotFound)
	older(t, filepath.Join(dir, "older.db"), 4)
	_, err = sqlite.ReadErasures(t.Context(), filepath.Join(dir, "older.db"))
	code(t, "the erasures of an older store", err, vigil.CodeIllegal)
	c, err = sqlite.Verify(t.Context(), filepath.Join(dir, "older.db"))
	testutil.OK(t, err)
	if c.Schema != 4 {
		t.Errorf("got schema %d, want 4", c.Schema)
	}
}

// TestABackupKeepsWhoMayWorkWithItButNoMark backs up a store, and then one that a newer program has
// marked for a change: in the copy that change is not going on.
func TestABackupKeepsWhoMayWorkWithItButNoMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path})
	oldest, err := s.WriterPragma(t.Context(), "user_version")
	testutil.OK(t, err)
	c, err := sqlite.Verify(t.Context(), path)
	testutil.OK(t, err)
	for mark, want := range map[int64]int64{oldest: oldest, int64(c.Schema) + 1: int64(c.Schema)} {
		_, err := s.WriterPragma(t.Context(), fmt.Sprintf("user_version = %d", mark))
		if err != nil && !strings.Contains(err.Error(), "no such") { // it answers with no row
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "copy.db")
		testutil.OK(t, sqlite.Backup(t.Context(), path, to, time.Now(), nil))
		b := open(t, sqlite.Config{Path: to})
		got, err := b.WriterPragma(t.Context(), "user_version")
		testutil.OK(t, err)
		if got != want || oldest == 0 {
			t.Errorf("marked with %d: got %d in the backup, want %d", mark, got, want)
		}
	}
}
