package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/storage/sqlite"
)

// copied is what a copy of filledStore's tells.
const copied = "Copied and verified: 1 audit, 2 chat, 2 command, 1 deployment, 1 exam, 2 gap, 4 incident, 1 key, 1 link, 1 platform, 2 session, 6 signal."

func TestAStoreIsCopiedAndVerified(t *testing.T) {
	from, e := filledStore(t)
	to := "sqlite:" + filepath.Join(t.TempDir(), "copy.db")
	for range 2 { // the second time finds everything there
		if got := must(t, "copy", "--from", from, "--to", to); !sameWords(got, copied) {
			t.Errorf("got %q, want %q", got, copied)
		}
	}
	want, got := must(t, "export", "exam", "--store", from, e.ID), must(t, "export", "exam", "--store", to, e.ID)
	if withoutVersions(got) != withoutVersions(want) {
		t.Errorf("got copy\n%s\nwant\n%s", got, want)
	}
}

func TestAStoreIsCopiedToDynamoDB(t *testing.T) {
	server := dynamoLocal(t)
	from, e := filledStore(t)
	to := "dynamodb:copy?region=eu-central-1&endpoint=" + server.URL
	for range 2 {
		if got := must(t, "copy", "--from", from, "--to", to); !sameWords(got, copied) {
			t.Errorf("got %q, want %q", got, copied)
		}
	}
	want, got := must(t, "export", "exam", "--store", from, e.ID), must(t, "export", "exam", "--store", to, e.ID)
	if withoutVersions(got) != withoutVersions(want) {
		t.Errorf("got copy\n%s\nwant\n%s", got, want)
	}
}

func TestACopyGoesOnAndNoticesWhatDiffers(t *testing.T) {
	from, e := filledStore(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, "migrate", "--store=sqlite:"+path)
	source, target := openSQLite(t, strings.TrimPrefix(from, "sqlite:")), openSQLite(t, path)
	sessions, err := source.SessionsOfUser(t.Context(), e.Issuer, "ana")
	if err != nil || len(sessions) != 1 {
		t.Fatal(err)
	}
	if err := target.CreateExam(t.Context(), e); err != nil { // as an earlier copy left it
		t.Fatal(err)
	}
	if err := target.CreateSession(t.Context(), sessions[0]); err != nil {
		t.Fatal(err)
	}
	if got := must(t, "copy", "--from", from, "--to", "sqlite:"+path); !sameWords(got, copied) {
		t.Errorf("got %q, want %q", got, copied)
	}

	other := sessions[0]
	other.Version, other.Reason = other.Version+1, "changed since"
	if err := source.Transition(t.Context(), vigil.Transition{Session: other, From: sessions[0].Version}); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "copy", "--from", from, "--to", "sqlite:"+path); code != 1 || !strings.Contains(errs, "differs") {
		t.Errorf("got code %d, %q for a session that has changed, want 1 and that it differs", code, errs)
	}
	if err := source.RenewNode(t.Context(), vigil.Node{ID: "n", Host: "h", Heard: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "copy", "--from", from, "--to", "sqlite:"+path); code != 1 || !strings.Contains(errs, "server runs") {
		t.Errorf("got code %d, %q beside a server, want 1 and to stop it", code, errs)
	}
	if code, _, errs := command(t.Context(), nil, "copy", "--from", from, "--to", from); code != 2 || !strings.Contains(errs, "same") {
		t.Errorf("got code %d, %q for one store, want 2", code, errs)
	}
}

func openSQLite(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sameWords compares a told sum, whatever its order.
func sameWords(got, want string) bool {
	for _, part := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(want, "Copied and verified: "), "."), ", ") {
		if !strings.Contains(got, part) {
			return false
		}
	}
	return strings.HasPrefix(got, "Copied and verified: ")
}

// withoutVersions leaves out how often incidents were written, which a copy does once.
func withoutVersions(export string) string {
	lines := strings.Split(export, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, `{"kind":"incident"`) {
			for v := range 5 {
				l = strings.Replace(l, fmt.Sprintf(`"version":%d`, v), `"version":0`, 1)
			}
			lines[i] = l
		}
	}
	return strings.Join(lines, "\n")
}
