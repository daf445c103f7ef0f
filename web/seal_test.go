package web

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"testing"
	"time"

	"vigil"
)

// oneRecord is a store in which every key holds the same value.
type oneRecord struct {
	Store
	kind  string
	value []byte
}

func (o oneRecord) GetRecord(_ context.Context, kind, key string, _ time.Time) (vigil.Record, error) {
	if kind != o.kind || len(key) != 64 { // not an old one
		return vigil.Record{}, vigil.ErrNotFound
	}
	return vigil.Record{Kind: kind, Key: key, Value: o.value}, nil
}

func (o oneRecord) TakeRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	return o.GetRecord(ctx, kind, key, now)
}

func TestASealedRecordOpensUnderItsSecretOnly(t *testing.T) {
	const secret, value = sealedSecret, "Amara Okafor"
	visits := sealedRecords{kind: visitKind}
	r, err := visits.seal(secret, []byte(value), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(r.Value, []byte("Amara")) {
		t.Errorf("got %q, want nothing to be read", r.Value)
	}
	again, err := visits.seal(secret, []byte(value), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Key != r.Key || bytes.Equal(again.Value, r.Value) {
		t.Error("got another key or the same bytes, want one key and fresh bytes each time")
	}
	for _, use := range []string{"name", "encryption"} {
		b, err := visits.derive(secret, use)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(r.Value, b) || use == "encryption" && bytes.Contains([]byte(r.Key), b) {
			t.Errorf("the record holds what is derived for its %s", use)
		}
	}
	for _, row := range []struct {
		name, kind, secret string
		sealed             []byte
		want               string
	}{
		{"its own", visitKind, secret, r.Value, value},
		{"another secret", visitKind, secret + "x", r.Value, ""},
		{"no secret", visitKind, "", r.Value, ""},
		{"another kind", openKind, secret, r.Value, ""},
		{"cut", visitKind, secret, r.Value[:len(r.Value)-1], ""},
		{"short", visitKind, secret, r.Value[:5], ""},
		{"empty", visitKind, secret, nil, ""},
		{"in clear", visitKind, secret, []byte(value), ""},
	} {
		records := sealedRecords{store: oneRecord{kind: row.kind, value: row.sealed}, kind: row.kind, now: time.Now}
		for what, read := range map[string]func(context.Context, string) ([]byte, error){"get": records.get, "take": records.take} {
			got, err := read(t.Context(), row.secret)
			if string(got) != row.want {
				t.Errorf("%s of %s: got %q, want %q", what, row.name, got, row.want)
			}
			if row.want == "" && !errors.Is(err, vigil.ErrNotFound) {
				t.Errorf("%s of %s: got %v, want not found", what, row.name, err)
			}
		}
	}
}

// sealedBefore is "Amara Okafor" as it was sealed as a visit by the first version that did;
// later ones must open it.
const (
	sealedBefore = "9cdf42960c911d12527f251f87482b26d00d7c37f7c42ad99753455f7b0316ccc3cc1daf92bc3e6c"
	sealedSecret = "2Q7ZKXW4JYD3T5M6N8P9R0S1AB"
)

func FuzzAVisitThatCannotBeOpenedIsNone(f *testing.F) {
	genuine, err := hex.DecodeString(sealedBefore)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealedSecret, genuine)
	f.Add("another", genuine)
	f.Add(sealedSecret, genuine[:12])
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, token string, sealed []byte) {
		v := visitStore{sealedRecords{store: oneRecord{kind: visitKind, value: sealed}, kind: visitKind, now: time.Now}, slog.New(slog.DiscardHandler)}
		b, found, err := v.FindCtx(t.Context(), token)
		if err != nil {
			t.Fatalf("got %v, want no visit", err)
		}
		if want := token == sealedSecret && bytes.Equal(sealed, genuine); found != want || found != (string(b) == "Amara Okafor") {
			t.Errorf("got found %v and %q, want only what was sealed", found, b)
		}
	})
}
