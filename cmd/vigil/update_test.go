package main

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigil"
	dynamosteps "vigil/migrations/dynamodb"
	sqlitesteps "vigil/migrations/sqlite"
	"vigil/realtime/client"
)

// beforeMarks is the last commit whose program does not see that a store is marked, and works
// with its own version of the schema only.
const beforeMarks = "3071e48"

// laterStep is one that a later program has. A breaking one does not say that older programs may live beside it.
type laterStep struct{ sqlite, dynamo string }

var (
	additiveStep = laterStep{"-- +goose Up\n-- vigil:oldest=4\nCREATE TABLE later (a INTEGER) STRICT;\n", `{"version": 9001, "oldest": 1, "tables": [{"name": "later", "partition": "pk"}]}`}
	breakingStep = laterStep{"-- +goose Up\nCREATE TABLE later (a INTEGER) STRICT;\n", `{"version": 9001, "tables": [{"name": "later", "partition": "pk"}]}`}
)

// later is the environment in which the tests' binary is a later program, which has one step more.
func later(t *testing.T, more laterStep) (env string) {
	t.Helper()
	dir := t.TempDir()
	put := func(kind string, from fs.FS, name, text string) {
		to := filepath.Join(dir, kind)
		if err := os.CopyFS(to, from); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("sqlite", sqlitesteps.Files, "9001_later.sql", more.sqlite)
	put("dynamodb", dynamosteps.Files(), "9001_later.json", more.dynamo)
	return testFolder + "=" + dir
}

// update is a site with a server of an older program, and the environment of a later one.
type update struct {
	*site
	later []string
}

func newUpdate(t *testing.T, place string, more laterStep) *update {
	t.Helper()
	u := &update{site: newSiteOn(t, place)}
	if place != "" {
		u.env = []string{
			"VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize)),
			"AWS_ACCESS_KEY_ID=vigiltest", "AWS_SECRET_ACCESS_KEY=vigiltest", "AWS_EC2_METADATA_DISABLED=true",
		}
	}
	u.later = append([]string{later(t, more)}, u.env...)
	return u
}

// run runs a command of the later program.
func (u *update) run(args ...string) (code int, text string) {
	u.Helper()
	path, err := binary()
	u.ok(err)
	cmd := exec.CommandContext(u.Context(), path, args...)
	cmd.Env = u.later
	out, _ := cmd.CombinedOutput() // the exit code says it
	return cmd.ProcessState.ExitCode(), string(out)
}

// becomes starts the later program's server.
func (u *update) becomes() *node {
	u.Helper()
	u.bin, u.env = "", u.later
	return u.process()
}

// noticed has a student notice something, and waits until it is stored.
func (u *update) noticed(st *client.Student) {
	u.Helper()
	st.Signal(vigil.KindCopy, 0, length(3))
	u.ok(st.Settled(u.Context()))
}

// onBoth runs a test on an SQLite file and on DynamoDB Local.
func onBoth(t *testing.T, test func(t *testing.T, place string)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, "") })
	t.Run("DynamoDB", func(t *testing.T) { t.Parallel(); test(t, dynamoStoreOf(t)) })
}

// An earlier release serves an exam while a later program brings an additive step, and the
// later one takes over. The earlier one was from before programs agreed on who may go on: it
// does, but cannot be started on the newer schema again; the copy from before is the way back.
func TestAnEarlierReleaseGoesOnBesideAnAdditiveStep(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an older program")
	}
	earlier := olderTool(t, beforeMarks)
	onBoth(t, func(t *testing.T, place string) {
		u := newUpdate(t, place, additiveStep)
		u.bin = earlier
		if place == "" { // the tables are as the earlier release makes them
			u.db = filepath.Join(u.dir, "earlier.db")
			u.register()
		}
		server := u.process()
		st := u.student(student)
		u.noticed(st)
		copied := u.backup()

		if code, text := u.run("keys", "list", "--store", u.store()); code != 1 || !strings.Contains(text, "Run `vigil migrate`") {
			t.Errorf("another command: got exit code %d, %q, want 1 and that the schema is older", code, text)
		}
		if code, text := u.run("migrate", "--store", u.store()); code != 0 || !strings.Contains(text, "applied 9001_later") || strings.Contains(text, "waiting for servers") {
			t.Fatalf("got exit code %d, %q, want the step applied at once", code, text)
		}
		if status, body := u.readiness(); status != http.StatusOK {
			t.Errorf("got %d, %q from the earlier release, want it ready", status, body)
		}
		u.noticed(st)
		u.noticed(u.student(another))
		if code := server.end(); code != 0 {
			t.Errorf("got exit code %d, want 0:\n%s", code, server.log)
		}
		out, err := u.again(earlier)
		if err == nil || !strings.Contains(out, "newer program") {
			t.Errorf("got %q, %v from another start of the earlier release, want it refused", out, err)
		}
		st.Signal(vigil.KindCopy, 0, length(4))
		server = u.becomes()
		u.ok(st.Settled(t.Context()))
		if server.end(); copied == "" {
			return
		}
		u.restore(copied)
		u.bin = earlier
		u.process()
		u.noticed(u.student(u.lms.NewStudents(1)[0].ID))
	})
}

// A step that older programs cannot live beside is refused while one serves. Told to, that one
// ends in order, and what its students notice meanwhile comes to the later one.
func TestABreakingStepEndsOlderServersInOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until servers are gone")
	}
	onBoth(t, func(t *testing.T, place string) {
		u := newUpdate(t, place, breakingStep)
		older := u.process()
		st := u.student(student)
		u.noticed(st)
		copied := u.backup()

		code, text := u.run("migrate", "--store", u.store())
		if code != 1 || !strings.Contains(text, "--stop-old") || !strings.Contains(text, "Nothing was changed") {
			t.Errorf("without --stop-old: got exit code %d, %q, want 1 and what to do", code, text)
		}
		second := u.beside()
		second.place = u.place
		if code, text := u.run(second.args()...); code == 0 || !strings.Contains(text, "top") { // stop it, or --stop-old
			t.Errorf("another server: got exit code %d, %q, want it refused", code, text)
		}
		if status, body := u.readiness(); status != http.StatusOK {
			t.Errorf("got %d, %q from the older server, want it ready", status, body)
		}
		u.noticed(st)

		migrated := make(chan string, 1)
		go func() {
			code, text := u.run("migrate", "--stop-old", "--store", u.store())
			if code != 0 {
				t.Errorf("with --stop-old: got exit code %d, %q, want 0", code, text)
			}
			migrated <- text
		}()
		<-older.done
		if older.code != 1 || !strings.Contains(older.log.String(), "this server ends: its program is too old for the store") {
			t.Errorf("got exit code %d, want 1 and why:\n%s", older.code, older.log)
		}
		st.Signal(vigil.KindCopy, 0, length(4)) // nobody is there
		if text := <-migrated; !strings.Contains(text, "applied 9001_later") {
			t.Errorf("got %q, want the step applied", text)
		}
		path, err := binary()
		u.ok(err)
		out, err := u.again(path)
		if err == nil || !strings.Contains(out, "newer program") {
			t.Errorf("got %q, %v from another start of the older program, want it refused", out, err)
		}
		env := u.env
		newer := u.becomes()
		u.ok(st.Settled(t.Context()))
		if c := st.Counts(); c.Acked != c.Given || c.Dropped != 0 {
			t.Errorf("got %+v, want all acknowledged and nothing dropped", c)
		}
		if newer.end(); copied == "" {
			return
		}
		u.restore(copied)
		u.env = env
		u.process()
		u.noticed(u.student(u.lms.NewStudents(1)[0].ID))
	})
}

// again starts a server of a program, which is to be refused.
func (u *update) again(program string) (string, error) {
	u.Helper()
	cmd := exec.CommandContext(u.Context(), program, u.args()...)
	cmd.Env = u.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	u.ok(cmd.Start())
	stop := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// backup copies an SQLite file that is in use; "" for tables, which AWS itself brings back.
func (u *update) backup() string {
	u.Helper()
	if u.place != "" {
		return ""
	}
	to := filepath.Join(u.dir, "backup.db")
	_, err := raw(u.T, u.db).ExecContext(u.Context(), `VACUUM INTO ?`, to)
	u.ok(err)
	return to
}

// restore puts a copy into the file's place.
func (u *update) restore(copied string) {
	u.Helper()
	for _, more := range []string{"-wal", "-shm"} {
		u.ok(os.RemoveAll(u.db + more))
	}
	u.ok(os.Rename(copied, u.db))
}
