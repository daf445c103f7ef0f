package web

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vigil"
)

// fewRecords is a store of records only.
type fewRecords struct {
	Store
	held map[string]vigil.Record
}

func (s fewRecords) PutRecord(_ context.Context, r vigil.Record) error {
	s.held[r.Kind+" "+r.Key] = r
	return nil
}

func (s fewRecords) GetRecord(_ context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	r, ok := s.held[kind+" "+key]
	if !ok || !r.Expires.After(now) {
		return vigil.Record{}, vigil.ErrNotFound
	}
	return r, nil
}

func (s fewRecords) DeleteRecord(_ context.Context, kind, key string) error {
	delete(s.held, kind+" "+key)
	return nil
}

func newVisitStore(log *bytes.Buffer) (visitStore, fewRecords) {
	s := fewRecords{held: map[string]vigil.Record{}}
	return visitStore{sealedRecords{s, visitKind, time.Now}, slog.New(slog.NewTextHandler(log, nil))}, s
}

func wantVisit(t *testing.T, v visitStore, what, token, want string) {
	t.Helper()
	b, found, err := v.FindCtx(t.Context(), token)
	if err != nil || string(b) != want || found != (want != "") {
		t.Errorf("%s: got %q, %v, %v, want %q", what, b, found, err, want)
	}
}

// TestAVisitFromBeforeVisitsWereSealedIsReadUntilItEnds has a record as scs named them with
// HashTokenInStore.
func TestAVisitFromBeforeVisitsWereSealedIsReadUntilItEnds(t *testing.T) {
	var log bytes.Buffer
	v, s := newVisitStore(&log)
	old := vigil.Record{Kind: visitKind, Key: "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A", Value: []byte("old"), Expires: time.Now().Add(visitLife)}
	if err := s.PutRecord(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	wantVisit(t, v, "an old visit", "token", "old")
	wantVisit(t, v, "another token", "other", "")
	if err := v.CommitCtx(t.Context(), "token", []byte("new"), old.Expires); err != nil {
		t.Fatal(err)
	}
	wantVisit(t, v, "what was sealed meanwhile", "token", "new")
	if err := v.DeleteCtx(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	wantVisit(t, v, "a visit that ended", "token", "")
	if len(s.held) != 0 {
		t.Errorf("got %v, want nothing left of a visit that ended", s.held)
	}
}

func TestADamagedVisitIsNoneAndTheLogSaysSo(t *testing.T) {
	var log bytes.Buffer
	v, s := newVisitStore(&log)
	if err := v.CommitCtx(t.Context(), "token", []byte("value"), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantVisit(t, v, "a visit", "token", "value")
	for key, r := range s.held {
		r.Value[20] ^= 1
		s.held[key] = r
	}
	wantVisit(t, v, "a damaged visit", "token", "")
	if got := log.String(); !strings.Contains(got, "visit not readable") || strings.Contains(got, "token") {
		t.Errorf("got %q in the log, want that it cannot be read, and no token", got)
	}
}
