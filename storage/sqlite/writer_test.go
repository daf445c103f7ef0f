package sqlite_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

// together runs calls so that they are all committed by one transaction: another
// process holds the lock until all of them wait.
func together(t *testing.T, s *sqlite.Store, path string, calls ...func() error) []error {
	t.Helper()
	release := lock(t, path)
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
	}
	testutil.Until(t, "all wait", func() bool { return s.Stats().Waiting == len(calls)-1 }) // the first waits for the lock
	release()
	wg.Wait()
	return errs
}

func TestWritesThatWaitAreCommittedTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path, LockWait: time.Minute})
	sessions := seed(t, s, 10)
	before := s.Stats()
	var calls []func() error
	for i := range 50 {
		calls = append(calls, func() error {
			_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(sessions[i%10], int64(i+1))})
			return err
		}, func() error {
			return s.SetPresence(t.Context(), sessions[i%10].ID, vigil.Presence{Connection: vigil.ConnOnline, Epoch: 1})
		})
	}
	for _, err := range together(t, s, path, calls...) {
		testutil.OK(t, err)
	}
	after := s.Stats()
	if got := after.Commits - before.Commits; got != 1 {
		t.Errorf("got %d commits, want 1", got)
	}
	if got := after.Writes - before.Writes; got != 100 {
		t.Errorf("got %d writes, want 100", got)
	}
}

func TestOneWriteOfAGroupThatFailsLeavesTheOthersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path, LockWait: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	v := seed(t, s, 1)[0]
	next := v
	next.Version, next.Reason = v.Version+1, "must not be written"
	c := vigil.Command{ID: "command-1", Kind: vigil.CommandNote, Stage: vigil.StageDone}
	d := vigil.Delivery{ID: "delivery-1", State: vigil.DeliveryWaiting, NextTry: time.Now()}
	testutil.OK(t, s.Transition(t.Context(), vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d}}))
	second := c
	second.ID = "command-2"
	bad := signal(v, 1)
	bad.Severity = math.NaN() // no number: the table refuses it
	answers := make([][]storage.Appended, 3)
	add := func(i int, g vigil.Signal) func() error {
		return func() (err error) {
			answers[i], err = s.AppendSignals(t.Context(), []vigil.Signal{g})
			return err
		}
	}
	errs := together(t, s, path,
		add(0, signal(v, 2)),
		add(1, bad),
		// The command and the session are written before the delivery's id is found taken.
		func() error {
			return s.Transition(t.Context(), vigil.Transition{Session: next, From: v.Version, Command: &second, Deliveries: []vigil.Delivery{d}})
		},
		add(2, signal(v, 3)),
		func() error { return s.SetHand(t.Context(), v.ID, time.Now()) },
	)
	for i, want := range []vigil.Code{"", vigil.CodeInternal, vigil.CodeExists, "", ""} {
		code(t, fmt.Sprint("call ", i), errs[i], want)
	}
	for _, i := range []int{0, 2} {
		if len(answers[i]) != 1 || answers[i][0] != storage.Stored {
			t.Errorf("got answer %v, want Stored", answers[i])
		}
	}
	got, err := s.Session(t.Context(), v.ID)
	testutil.OK(t, err)
	if got.Version != v.Version || got.Tally.Signals != 2 || got.Tally.Hand.IsZero() {
		t.Errorf("got version %d, %d signals, hand %v, want %d, 2 and raised", got.Version, got.Tally.Signals, got.Tally.Hand, v.Version)
	}
	_, err = s.Command(t.Context(), v.ID, second.ID)
	code(t, "the failed transition's command", err, vigil.CodeNotFound)
}

func TestALockedDatabaseIsUnavailableAndAcknowledgesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path, LockWait: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	v := seed(t, s, 1)[0]
	release := lock(t, path)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, int64(i+1))})
			code(t, "append", err, vigil.CodeUnavailable)
		})
	}
	wg.Wait()
	code(t, "ping", s.Ping(t.Context()), vigil.CodeUnavailable)
	if _, err := s.Session(t.Context(), v.ID); err != nil {
		t.Errorf("got %v, want that reading goes on", err)
	}
	release()
	count, _, err := s.StreamState(t.Context(), v.ID, "stream-0123456789")
	testutil.OK(t, err)
	if count != 0 {
		t.Errorf("got %d signals stored, want none of those that were refused", count)
	}
	got, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, 1)})
	testutil.OK(t, err)
	if got[0] != storage.Stored {
		t.Errorf("got %v after the lock was gone, want Stored", got)
	}
	if s.Stats().Failures == 0 {
		t.Error("got no failure counted")
	}
}

func TestAWriteWhoseContextEndsBeforeItBeganIsWithdrawn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path, LockWait: time.Minute})
	v := seed(t, s, 1)[0]
	release := lock(t, path)
	errs := make(chan error)
	contexts := make([]context.CancelFunc, 5)
	for i := range contexts {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		contexts[i] = cancel
		go func() {
			_, err := s.AppendSignals(ctx, []vigil.Signal{signal(v, int64(i+1))})
			errs <- err
		}()
	}
	testutil.Until(t, "all wait", func() bool { return s.Stats().Waiting == 4 })
	for _, cancel := range contexts {
		cancel()
	}
	for range contexts { // they return while the lock is still held
		code(t, "append", <-errs, vigil.CodeUnavailable)
	}
	release()
	testutil.OK(t, s.Ping(t.Context())) // a later write: those before it are through
	count, _, err := s.StreamState(t.Context(), v.ID, "stream-0123456789")
	testutil.OK(t, err)
	if count != 0 {
		t.Errorf("got %d signals stored, want 0", count)
	}
}

func TestAFullQueueMakesCallersWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	s := open(t, sqlite.Config{Path: path, LockWait: time.Minute, Queue: 2})
	v := seed(t, s, 1)[0]
	release := lock(t, path)
	errs := make(chan error, 20)
	for i := range 20 {
		go func() {
			_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, int64(i+1))})
			errs <- err
		}()
	}
	testutil.Until(t, "the queue is full", func() bool { return s.Stats().Waiting == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	code(t, "a caller that cannot wait", s.SetHand(ctx, v.ID, time.Now()), vigil.CodeUnavailable)
	release()
	for range 20 {
		testutil.OK(t, <-errs)
	}
}

func TestClosingFinishesWhatWaitsAndRefusesWhatComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, LockWait: time.Minute})
	testutil.OK(t, err)
	v := seed(t, s, 1)[0]
	release := lock(t, path)
	errs := make(chan error, 10)
	for i := range 10 {
		go func() {
			_, err := s.AppendSignals(t.Context(), []vigil.Signal{signal(v, int64(i+1))})
			errs <- err
		}()
	}
	testutil.Until(t, "all wait", func() bool { return s.Stats().Waiting == 9 })
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	testutil.Until(t, "it refuses", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return vigil.CodeOf(s.SetHand(ctx, "nobody", time.Now())) == vigil.CodeUnavailable
	})
	release()
	testutil.OK(t, <-closed)
	for range 10 {
		testutil.OK(t, <-errs)
	}
	code(t, "append after closing", s.SetHand(t.Context(), v.ID, time.Now()), vigil.CodeUnavailable)
	again := open(t, sqlite.Config{Path: path})
	count, _, err := again.StreamState(t.Context(), v.ID, "stream-0123456789")
	testutil.OK(t, err)
	if count != 10 {
		t.Errorf("got %d signals, want 10", count)
	}
}
