package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/sqlite"
)

// openStore opens a store of either kind, and makes it where there is none.
func openStore(t *testing.T, place string) storage.Store {
	t.Helper()
	store, err := storeSettings{Store: place, operator: true}.create(t.Context(), func(string) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// hasNothingOf checks that a store has nothing of a user.
func hasNothingOf(t *testing.T, place string, e vigil.Exam, user string) {
	t.Helper()
	code, out, errs := command(t.Context(), nil, "export", "user", "--store", place, e.Issuer, user)
	if code != 1 || out != "" || !strings.Contains(errs, "No attempt of the user") {
		t.Errorf("got code %d, %q, %q for the user %s, want 1 and that there is none", code, out, errs, user)
	}
}

// emptyPlace is where a store of the same kind as another can be made.
func emptyPlace(t *testing.T, like string) string {
	t.Helper()
	if strings.HasPrefix(like, "dynamodb:") {
		return dynamoStoreOf(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "restored.db")
}

func TestABackupIsRestored(t *testing.T) {
	onEach(t, func(t *testing.T, place string, e vigil.Exam) {
		file := filepath.Join(t.TempDir(), "backup.db")
		out := must(t, "backup", "--store", place, file)
		for _, want := range []string{"Backup written to " + file, "1 exams, 2 sessions, 6 signals, 4 incidents, 2 gaps, 2 commands, 2 chat, 5 audits, 0 erasures", "is not in it"} {
			if !strings.Contains(out, want) {
				t.Errorf("got %q, want %q in it", out, want)
			}
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("got mode %v (%v), want 0600", info.Mode(), err)
		}
		if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
			t.Errorf("got %v beside the backup (%v), want nothing", left, err)
		}
		// Never over anything.
		if code, _, errs := command(t.Context(), nil, "backup", "--store", place, file); code != 1 || !strings.Contains(errs, "--force") {
			t.Errorf("got code %d, %q over a file, want 1 and --force", code, errs)
		}
		must(t, "backup", "--store", place, "--force", file)

		for _, to := range []string{emptyPlace(t, "sqlite:"), emptyPlace(t, place)} { // also of another kind
			out = must(t, "restore", file, "--store", to, "--erasures=none")
			if !strings.Contains(out, "Restored and verified, as of 20") {
				t.Errorf("got %q", out)
			}
			want, got := must(t, "export", "exam", "--store", place, e.ID), must(t, "export", "exam", "--store", to, e.ID)
			if withoutVersions(got) != withoutVersions(withoutAccess(want)) {
				t.Errorf("got restored\n%s\nwant\n%s", got, want)
			}
			store := openStore(t, to)
			if list, _, err := store.AccessOfExam(t.Context(), e.ID, storage.Page{}); err != nil || len(list) != 0 {
				t.Errorf("got access records %+v (%v), which may have been taken back since, want none", list, err)
			}
			if _, err := store.Invitation(t.Context(), "valid"); vigil.CodeOf(err) != vigil.CodeNotFound {
				t.Errorf("got %v for an invitation that may have been used since, want none", err)
			}
			keys, err := store.Keys(t.Context(), vigil.KeyLTI)
			if err != nil || len(keys) != 1 || !bytes.Equal(keys[0].Sealed, []byte{1, 2}) {
				t.Errorf("got keys %+v (%v), want the sealed one", keys, err)
			}
			// Never over anything.
			if code, _, errs := command(t.Context(), nil, "restore", file, "--store", to, "--erasures=none"); code != 1 || !strings.Contains(errs, "already") {
				t.Errorf("got code %d, %q over a store, want 1 and that it is there", code, errs)
			}
		}
	})
}

// TestNothingIsBackedUpWhereThereIsNoStore has a test of its own, because a store of any version is
// backed up, and its list of erasures read, without a look at what this program can work with.
func TestNothingIsBackedUpWhereThereIsNoStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vigil.db")
	for _, args := range [][]string{{"backup", filepath.Join(dir, "backup.db")}, {"erasure", "list"}} {
		code, out, errs := command(t.Context(), nil, append(args, "--store=sqlite:"+path)...)
		if code != 1 || out != "" || !strings.Contains(errs, "There is no store at "+path) || len(filesIn(t, dir)) != 0 {
			t.Errorf("%v: got code %d, %q, %q and %v, want 1, which store is not there, and nothing made", args, code, out, errs, filesIn(t, dir))
		}
	}
}

func TestARestoreAsksForTheListOfErasures(t *testing.T) {
	place, _ := filledStore(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	must(t, "backup", "--store", place, file)
	to := filepath.Join(t.TempDir(), "restored.db")
	for what, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"without a list":              {nil, 2, "--erasures=none"},
		"a list that is not there":    {[]string{"--erasures=" + filepath.Join(t.TempDir(), "none.jsonl")}, 2, "erasures"},
		"a list of something else":    {[]string{"--erasures=" + file}, 2, "Line 1"},
		"a store that is not there":   {[]string{"--erasures=sqlite:" + filepath.Join(t.TempDir(), "none.db")}, 1, "none.db"},
		"a store of nothing of ours":  {[]string{"--erasures=sqlite:/dev/null"}, 1, "no store at /dev/null"},
		"tables that are not a store": {[]string{"--erasures=dynamodb:a b"}, 2, "store"},
	} {
		args := append([]string{"restore", file, "--store=sqlite:" + to}, c.args...)
		if code, _, errs := command(t.Context(), nil, args...); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: got code %d, %q, want %d and %q", what, code, errs, c.code, c.says)
		}
		if _, err := os.Stat(to); err == nil {
			t.Fatalf("%s: got a store, want none", what)
		}
	}
}

func TestAFileThatIsNoBackupIsNotRestored(t *testing.T) {
	place, _ := filledStore(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.db")
	must(t, "backup", "--store", place, file)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "restored.db")
	for name, content := range map[string][]byte{"text": []byte("no backup"), "cut": raw[:len(raw)-8192], "empty": nil} {
		bad := filepath.Join(dir, name)
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := command(t.Context(), nil, "restore", bad, "--store=sqlite:"+to, "--erasures=none"); code != 1 || errs == "" {
			t.Errorf("%s: got code %d, %q, want 1 and why", name, code, errs)
		}
		if _, err := os.Stat(to); err == nil {
			t.Fatalf("%s: got a store, want none", name)
		}
	}
}

// TestWhoWasErasedDoesNotComeBack erases a student after a backup, and restores the backup with
// the list of the old store, and with the file that was kept beside it.
func TestWhoWasErasedDoesNotComeBack(t *testing.T) {
	onEach(t, func(t *testing.T, place string, e vigil.Exam) {
		const secret = "Maria Ausgelöscht"
		store := openStore(t, place)
		now := time.Now().UTC().Truncate(time.Millisecond)
		add := func(user string, attempt int, created time.Time) vigil.Session {
			t.Helper()
			v := vigil.Session{
				ID: freshID(), ExamID: e.ID, UserID: user, Name: secret, Attempt: attempt, Generation: 1, State: vigil.StateActive, Version: 1,
				Created: created, Changed: created,
			}
			if err := store.CreateSession(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			if err := store.AddChat(t.Context(), vigil.ChatLine{ID: freshID(), SessionID: v.ID, ExamID: e.ID, Text: secret, At: now}); err != nil {
				t.Fatal(err)
			}
			return v
		}
		add("maria", 1, now)
		add("maria", 2, now)
		first, second := add("ben", 1, now), add("ben", 2, now)
		dir := t.TempDir()
		file, list := filepath.Join(dir, "backup.db"), filepath.Join(dir, "erased.jsonl")
		must(t, "backup", "--store", place, file)

		must(t, "erase", "--store", place, "--erasure-list", list, "--yes", e.Issuer, "maria")
		if n, err := store.EraseAttempt(t.Context(), e.Issuer, "ben", e.ID, 1); err != nil || n != 1 {
			t.Fatalf("got %d, %v", n, err)
		}
		printed := must(t, "erasure", "list", "--store", place)
		if n := strings.Count(printed, "\n"); n != 2 || strings.Contains(printed, "maria") {
			t.Errorf("got list %q, want two entries that name nobody", printed)
		}
		kept, err := os.ReadFile(list)
		if err != nil || !strings.Contains(printed, string(kept)) || strings.Count(string(kept), "\n") != 1 {
			t.Errorf("got file %q (%v), want the entry of the store's list:\n%s", kept, err, printed)
		}
		if err := os.WriteFile(list, []byte(printed), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, erasures := range []string{place, list} {
			to := emptyPlace(t, place)
			out := must(t, "restore", file, "--store", to, "--erasures", erasures)
			if !strings.Contains(out, "2 erasures on the list; 2 people of the backup were erased again") {
				t.Errorf("got %q, want two people", out)
			}
			hasNothingOf(t, to, e, "maria")
			got := must(t, "export", "user", "--store", to, e.Issuer, "ben")
			if strings.Contains(got, first.ID) || !strings.Contains(got, second.ID) {
				t.Errorf("got %s, want the second attempt only", got)
			}
			if got := must(t, "erasure", "list", "--store", to); got != printed {
				t.Errorf("got list %q after the restore, want %q", got, printed)
			}
			if path, ok := strings.CutPrefix(to, "sqlite:"); ok {
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if n := bytes.Count(raw, []byte(secret)); n != 2 { // ben's second attempt: name and line
					t.Errorf("got the name %d times in the file, want twice", n)
				}
			}
		}
		// A backup that has none of them any more forgets nobody who came back.
		again := add("maria", 1, now.Add(time.Hour))
		must(t, "backup", "--store", place, "--force", file)
		to := emptyPlace(t, place)
		must(t, "restore", file, "--store", to, "--erasures", list)
		if got := must(t, "export", "user", "--store", to, e.Issuer, "maria"); !strings.Contains(got, again.ID) {
			t.Errorf("got %q, want the attempt that was begun after the erasure", got)
		}
		// The same by hand, in a store that came back otherwise.
		to = emptyPlace(t, place)
		must(t, "backup", "--store", place, "--force", file)
		must(t, "restore", file, "--store", to, "--erasures=none")
		late := storage.NewErasure(e.Issuer, "ben", "", 0, now.Add(time.Hour))
		line, err := json.Marshal(late)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list, append(line, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := must(t, "erasure", "apply", "--store", to, "--erasures", list); !strings.Contains(out, "1 people found and erased again, with 1 sessions") {
			t.Errorf("got %q, want ben", out)
		}
		if got := must(t, "erasure", "list", "--store", to); strings.Count(got, "\n") != 3 || !strings.Contains(got, late.ID) {
			t.Errorf("got list %q, want three entries, the applied one among them", got)
		}
	})
}

// TestStaffWhoWereErasedDoNotComeBack erases one who has no attempt, but did things.
func TestStaffWhoWereErasedDoNotComeBack(t *testing.T) {
	onEach(t, func(t *testing.T, place string, e vigil.Exam) {
		const secret = "Petra Ausgelöscht"
		store := openStore(t, place)
		ana, err := store.SessionsOfUser(t.Context(), e.Issuer, "ana")
		if err != nil || len(ana) != 1 {
			t.Fatal(ana, err)
		}
		// No audit entry names her.
		petra := vigil.Actor{Role: vigil.RoleProctor, ID: ana[0].PlatformID + "|petra", Name: secret}
		say := func(text string, at time.Time) {
			t.Helper()
			if err := store.AddChat(t.Context(), vigil.ChatLine{ID: freshID(), SessionID: ana[0].ID, ExamID: e.ID, From: petra, Text: text, At: at}); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now()
		say("before", now)
		dir := t.TempDir()
		file, list := filepath.Join(dir, "backup.db"), filepath.Join(dir, "erased.jsonl")
		must(t, "backup", "--store", place, file)
		line, err := json.Marshal(storage.NewErasure(e.Issuer, "petra", "", 0, now.Add(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list, append(line, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		lines := func() string {
			t.Helper()
			to := emptyPlace(t, place)
			must(t, "restore", file, "--store", to, "--erasures", list)
			out := must(t, "export", "exam", "--store", to, "--kind=chat", e.ID)
			if path, ok := strings.CutPrefix(to, "sqlite:"); ok {
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := bytes.Count(raw, []byte(secret)), strings.Count(out, secret); got != want {
					t.Errorf("got the name %d times in the file, want %d", got, want)
				}
			}
			return out
		}
		if got := lines(); strings.Contains(got, secret) || strings.Contains(got, "|petra") || !strings.Contains(got, "before") {
			t.Errorf("got %s, want the line without its author", got)
		}
		// What is of after the erasure alone stays.
		if code, _, errs := command(t.Context(), nil, "erase", "--store", place, "--yes", e.Issuer, "petra"); code != 1 || !strings.Contains(errs, "as staff") {
			t.Fatalf("got code %d, %q from erasing one who has no attempt, want 1 and what was done", code, errs)
		}
		say("after", now.Add(2*time.Minute))
		must(t, "backup", "--store", place, "--force", file)
		if got := lines(); strings.Count(got, secret) != 1 {
			t.Errorf("got %s, want the author of the line that came after", got)
		}
	})
}

func TestAnErasureThatCannotBeListedIsNotDone(t *testing.T) {
	place, e := filledStore(t)
	list := filepath.Join(t.TempDir(), "erased.jsonl")
	if err := os.WriteFile(list, []byte(`{"id":"torn`), 0o600); err != nil { // as a power cut leaves it
		t.Fatal(err)
	}
	must(t, "erase", "--store", place, "--erasure-list", list, "--yes", e.Issuer, "ana")
	raw, err := os.ReadFile(list)
	if err != nil || !strings.HasPrefix(string(raw), `{"id":"torn`+"\n{") {
		t.Errorf("got %q (%v), want the entry on a line of its own", raw, err)
	}
	nowhere := filepath.Join(t.TempDir(), "none", "erased.jsonl")
	if code, _, errs := command(t.Context(), nil, "erase", "--store", place, "--erasure-list", nowhere, "--yes", e.Issuer, "=1+1"); code != 2 || !strings.Contains(errs, "erasure-list") {
		t.Errorf("got code %d, %q, want 2 and the setting", code, errs)
	}
	f := &erasureFile{path: nowhere}
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: strings.TrimPrefix(place, "sqlite:"), NewErasure: f.make})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.EraseUser(t.Context(), e.Issuer, "=1+1"); vigil.CodeOf(err) != vigil.CodeUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if left, err := store.SessionsOfUser(t.Context(), e.Issuer, "=1+1"); err != nil || len(left) != 1 {
		t.Errorf("got %d sessions (%v), want it still there", len(left), err)
	}
}

func TestABackupTooOldForAStoresListIsRefused(t *testing.T) {
	place, _ := filledStore(t)
	dir := t.TempDir()
	file, to := filepath.Join(dir, "backup.db"), "sqlite:"+filepath.Join(dir, "restored.db")
	made := time.Now().Add(-vigil.KeepErasures - time.Hour)
	if err := sqlite.Backup(t.Context(), strings.TrimPrefix(place, "sqlite:"), file, made, nil); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t.Context(), nil, "restore", file, "--store", to, "--erasures", place); code != 1 || !strings.Contains(errs, "--erasure-list") {
		t.Errorf("got code %d, %q, want 1 and where a whole list is", code, errs)
	}
	must(t, "restore", file, "--store", to, "--erasures=none")
}

// TestTablesThatComeBackOtherwiseForgetToo is what AWS's point-in-time recovery leaves: the main table
// as it was, and none of the others.
func TestTablesThatComeBackOtherwiseForgetToo(t *testing.T) {
	prefix, region, endpoint := dynamoTables(t)
	place := "dynamodb:" + prefix + "?region=" + region + "&endpoint=" + endpoint
	store := openStore(t, place)
	e := fillStore(t, store)
	client, end, err := dynamo.NewClient(t.Context(), dynamo.ClientConfig{Region: region, Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for _, name := range []string{prefix + "-records", prefix + "-schema"} {
		if _, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "migrate", "--store", place)
	var lines []byte
	for _, user := range []string{"ana", "tina"} {
		line, err := json.Marshal(storage.NewErasure(e.Issuer, user, "", 0, time.Now().Add(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	list := filepath.Join(t.TempDir(), "erased.jsonl")
	if err := os.WriteFile(list, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "erasure", "apply", "--store", place, "--erasures", list); !strings.Contains(out, "2 people found and erased again, with 1 sessions") {
		t.Errorf("got %q, want ana and the teacher", out)
	}
	hasNothingOf(t, place, e, "ana")
	hasNothingOf(t, place, e, "tina")
}

// TestARestoreIntoTablesGoesOn ends one half-way.
func TestARestoreIntoTablesGoesOn(t *testing.T) {
	place, e := filledStore(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	must(t, "backup", "--store", place, file)
	to := dynamoStoreOf(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := &streams{out: &output{}, err: cancelAt{"exam 1 of 1", cancel}}
	if err := (restoreCmd{storeSettings: storeSettings{Store: to}, File: file, Erasures: erasuresNone}).Run(ctx, s); err == nil {
		t.Fatal("got a whole restore, want it broken off")
	}
	secret := []string{"VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize))}
	if code, _, errs := command(t.Context(), secret, "serve", "--store", to, "--public-url=http://localhost:1", "--listen=127.0.0.1:0"); code != 1 || !strings.Contains(errs, "vigil restore") {
		t.Errorf("got code %d, %q from a server on half a restore, want 1 and what to do", code, errs)
	}
	other := filepath.Join(t.TempDir(), "other.db")
	must(t, "backup", "--store", place, other)
	if code, _, errs := command(t.Context(), nil, "restore", other, "--store", to, "--erasures=none"); code != 1 || !strings.Contains(errs, "Another backup") {
		t.Errorf("got code %d, %q for another backup, want 1", code, errs)
	}
	must(t, "restore", file, "--store", to, "--erasures=none")
	want, got := must(t, "export", "exam", "--store", place, e.ID), must(t, "export", "exam", "--store", to, e.ID)
	if withoutVersions(got) != withoutVersions(withoutAccess(want)) {
		t.Errorf("got restored\n%s\nwant\n%s", got, want)
	}
}

// withoutAccess leaves out access records, which no backup has.
func withoutAccess(export string) string {
	lines := slices.DeleteFunc(strings.Split(export, "\n"), func(l string) bool { return strings.HasPrefix(l, `{"kind":"access"`) })
	return strings.Join(lines, "\n")
}

// cancelAt ends a context when something is told.
type cancelAt struct {
	what string
	end  func()
}

// Write implements io.Writer.
func (c cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.what) {
		c.end()
	}
	return len(p), nil
}
