package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage/sqlite"
)

// copied is what a copy of filledStore's tells.
const copied = "Copied and verified: 1 access, 5 audit, 2 chat, 2 command, 6 delivery, 1 deployment, 1 exam, 2 gap, 4 incident, 1 invitation, 1 key, 1 link, 1 platform, 2 session, 6 signal."

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
	from, e := filledStore(t)
	to := dynamoStoreOf(t)
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

// TestACopyThatIsKilledGoesOn kills a copy into DynamoDB half-way, as a process.
func TestACopyThatIsKilledGoesOn(t *testing.T) {
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	from, e := filledStore(t)
	source := openSQLite(t, strings.TrimPrefix(from, "sqlite:"))
	now := time.Now().UTC().Truncate(time.Millisecond)
	const more = 150
	var signals []vigil.Signal
	for i := range more {
		v := vigil.Session{
			ID: freshID(), ExamID: e.ID, UserID: fmt.Sprint("user-", i), Attempt: 1, Generation: 1, State: vigil.StateActive, Version: 1,
			Created: now, Changed: now,
		}
		if err := source.CreateSession(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			signals = append(signals, vigil.Signal{
				SessionID: v.ID, Stream: "stream-0123456789", Seq: int64(n + 1), Kind: vigil.KindBlur, Severity: 0.1, At: now, Received: now,
			})
		}
	}
	if _, err := source.AppendSignals(t.Context(), signals); err != nil {
		t.Fatal(err)
	}
	args := []string{"copy", "--from", from, "--to", dynamoStoreOf(t)}
	var log output
	cmd := exec.CommandContext(t.Context(), program, args...) // killed with the test, if nothing else
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Until(t, "100 sessions to be copied", func() bool { return strings.Contains(log.String(), "100 sessions") })
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if !strings.Contains(log.String(), "100 sessions") || strings.Contains(log.String(), "exam 1 of 1") {
		t.Fatalf("got progress %q, want the copy killed half-way", log.String())
	}
	got := must(t, args...)
	if want := "2 chat, 2 command, 6 delivery, 2 gap, 4 incident, 152 session, 306 signal"; !sameWords(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	exported := must(t, "export", "exam", "--store", args[4], "--kind=signal", e.ID)
	if n := strings.Count(exported, "\n"); n != 306 {
		t.Errorf("got %d signals in the copy, want 306", n)
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
	checkpoint := vigil.AuditCheckpoint{ExamID: e.ID, Chain: "c", Head: vigil.AuditHead{Seq: 3, Hash: "h", At: e.Created}, Signature: "s"}
	if err := source.PutAuditCheckpoint(t.Context(), checkpoint); err != nil {
		t.Fatal(err)
	}
	if got := must(t, "copy", "--from", from, "--to", "sqlite:"+path); !sameWords(got, copied) || !sameWords(got, "1 checkpoint") {
		t.Errorf("got %q, want %q", got, copied)
	}
	if got, err := target.AuditCheckpoints(t.Context(), e.ID); err != nil || len(got) != 1 || got[0] != checkpoint {
		t.Errorf("got checkpoints %v, %v, want %v", got, err, checkpoint)
	}

	other := sessions[0]
	other.Version, other.Reason = other.Version+1, "changed since"
	if err := source.Transition(t.Context(), vigil.Transition{Session: other, From: sessions[0].Version}); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "copy", "--from", from, "--to", "sqlite:"+path); code != 1 || !strings.Contains(errs, "differs") {
		t.Errorf("got code %d, %q for a session that has changed, want 1 and that it differs", code, errs)
	}
	audit := vigil.Audit{ID: freshID(), ExamID: e.ID, Action: "report.view", At: time.Now()}
	fresh := filepath.Join(t.TempDir(), "copy.db")
	must(t, "copy", "--from", from, "--to", "sqlite:"+fresh)
	if err := openSQLite(t, fresh).AppendAudit(t.Context(), audit); err != nil {
		t.Fatal(err)
	}
	audit.Action = "report.print" // one of the same id that says something else
	if err := source.AppendAudit(t.Context(), audit); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "copy", "--from", from, "--to", "sqlite:"+fresh); code != 1 || !strings.Contains(errs, "audit entry") {
		t.Errorf("got code %d, %q for an audit entry that differs, want 1 and its kind", code, errs)
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

// withoutVersions leaves out how often incidents were written, which a copy does once, and what
// says that somebody exported.
func withoutVersions(export string) string {
	lines := slices.DeleteFunc(strings.Split(export, "\n"), func(l string) bool { return strings.Contains(l, `"by_role":"operator"`) })
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
