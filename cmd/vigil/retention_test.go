package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/sqlite"
)

// expiring is a store of which so much has expired.
type expiring struct {
	expired int
	sweep   error
	append  error
	audits  []vigil.Audit
}

func (e *expiring) Sweep(_ context.Context, _ time.Time, n int) (int, error) {
	if e.sweep != nil {
		return 0, e.sweep
	}
	n = min(n, e.expired)
	e.expired -= n
	return n, nil
}

func (e *expiring) AppendAudit(_ context.Context, entries ...vigil.Audit) error {
	if e.append == nil {
		e.audits = append(e.audits, entries...)
	}
	return e.append
}

func TestRetentionTellsOnceADayWhatItRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &expiring{}
		r := &retention{store: store, now: time.Now, log: slog.New(slog.DiscardHandler)}
		run := func(expired int) {
			t.Helper()
			store.expired = expired
			if err := r.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := func(details ...string) {
			t.Helper()
			var got []string
			for _, a := range store.audits {
				got = append(got, a.Detail)
				if a.Action != "retention.sweep" || a.ExamID != "" || a.By.Role != vigil.RoleSystem || a.At.IsZero() || a.ID == "" {
					t.Errorf("got entry %+v, want the system's, of no exam", a)
				}
			}
			if strings.Join(got, "; ") != strings.Join(details, "; ") {
				t.Errorf("got entries %q, want %q", got, details)
			}
		}
		run(0)
		want()
		if s := r.Stats(); !s.LastRun.Equal(time.Now()) || s.Removed != 0 {
			t.Errorf("got %+v, want a run that removed nothing", s)
		}
		time.Sleep(time.Hour)
		run(3*sweepAtOnce + 7)
		first := fmt.Sprintf("removed %d things that had expired", 3*sweepAtOnce+7)
		want(first)
		time.Sleep(time.Hour)
		run(5)
		run(6)
		want(first)
		time.Sleep(24 * time.Hour)
		run(0)
		want(first, "removed 11 things that had expired")
		time.Sleep(24 * time.Hour)
		run(0)
		want(first, "removed 11 things that had expired")
		if s := r.Stats(); !s.LastRun.Equal(time.Now()) || s.Removed != 3*sweepAtOnce+18 || s.Failed != 0 {
			t.Errorf("got %+v, want all counted", s)
		}
	})
}

func TestRetentionThatFailsSaysSoAndGoesOnLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &expiring{expired: 4}
		r := &retention{store: store, now: time.Now, log: slog.New(slog.DiscardHandler)}
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := r.Stats().LastRun
		time.Sleep(25 * time.Hour)
		store.sweep = errors.New("disk")
		if err := r.run(t.Context()); !errors.Is(err, store.sweep) {
			t.Errorf("got %v, want the store's error", err)
		}
		if s := r.Stats(); s.Failed != 1 || !s.LastRun.Equal(began) {
			t.Errorf("got %+v, want one failed run, and the last one as it was", s)
		}
		store.sweep, store.append, store.expired = nil, errors.New("disk"), 2
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.append = nil
		if err := r.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(store.audits) != 2 || !strings.Contains(store.audits[1].Detail, "removed 2 ") {
			t.Errorf("got entries %+v, want the second though the store failed at first", store.audits)
		}
	})
}

// TestRetentionShowsThatItRan starts a server on a store with an old audit entry.
func TestRetentionShowsThatItRan(t *testing.T) {
	s := newSite(t)
	with := func(do func(store *sqlite.Store) error) {
		t.Helper()
		store, err := sqlite.Open(t.Context(), sqlite.Config{Path: s.db})
		s.ok(err)
		s.ok(errors.Join(do(store), store.Close()))
	}
	with(func(store *sqlite.Store) error {
		return store.AppendAudit(t.Context(), vigil.Audit{ID: freshID(), Action: "old", At: time.Now().AddDate(0, 0, -401)})
	})
	n := s.serve()
	admin := "http://" + s.admin
	testutil.Until(t, "a run of the retention", func() bool { return scrape(t, admin+"/metrics")["vigil_retention_last_success_timestamp_seconds"] > 0 })
	if m := scrape(t, admin+"/metrics"); m["vigil_retention_removed_total"] != 1 || m["vigil_retention_failures_total"] != 0 ||
		time.Since(time.Unix(int64(m["vigil_retention_last_success_timestamp_seconds"]), 0)) > time.Minute {
		t.Errorf("got %v, want one thing removed just now", m)
	}
	n.end()
	with(func(store *sqlite.Store) error {
		entries, _, err := store.AuditOfExam(t.Context(), "", storage.Page{})
		found := 0
		for _, a := range entries {
			if a.Action == "retention.sweep" {
				found++
			}
		}
		if found != 1 {
			t.Errorf("got %d entries of the retention in %+v, want one", found, entries)
		}
		return err
	})
}
