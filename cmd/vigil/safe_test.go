package main

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	sqlitesteps "vigil/migrations/sqlite"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/sqlite"
)

// readers are the commands that need a store that is there.
func readers() map[string][]string {
	return map[string][]string{
		"invite":            {"invite", "--public-url=http://localhost:1"},
		"platform list":     {"platform", "list"},
		"platform activate": {"platform", "activate", "x"},
		"platform disable":  {"platform", "disable", "x"},
		"platform replace":  {"platform", "replace", "x", "y"},
		"platform remove":   {"platform", "remove", "x", "--yes"},
		"platform add": {
			"platform", "add", "--issuer=https://lms.example", "--client-id=c", "--auth-url=https://lms.example/auth",
			"--token-url=https://lms.example/token", "--key-set-url=https://lms.example/keys",
		},
		"keys list":         {"keys", "list"},
		"keys rotate":       {"keys", "rotate", "lti"},
		"export exam":       {"export", "exam", "x"},
		"export user":       {"export", "user", "https://lms.example", "x"},
		"audit verify":      {"audit", "verify"},
		"audit export":      {"audit", "export", "none"},
		"audit checkpoints": {"audit", "checkpoints"},
		"exam list":         {"exam", "list"},
		"erase":             {"erase", "--yes", "https://lms.example", "x"},
	}
}

// filesIn lists what is in a folder.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestACommandMakesNoStoreWhereThereIsNone(t *testing.T) {
	t.Parallel()
	for name, args := range readers() {
		dir := t.TempDir()
		empty := filepath.Join(dir, "empty.db")
		if err := os.WriteFile(empty, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{filepath.Join(dir, "vigil.db"), filepath.Join(dir, "no", "vigil.db"), empty} {
			code, out, errs := command(t.Context(), nil, append(append([]string{}, args...), "--store=sqlite:"+path)...)
			if code != 1 || out != "" || !strings.Contains(errs, "There is no store at "+path) || !strings.Contains(errs, "vigil migrate") {
				t.Errorf("%s: got code %d, %q, %q, want 1, which store is not there, and what to do", name, code, out, errs)
			}
		}
		if info, err := os.Stat(empty); err != nil || info.Size() != 0 || len(filesIn(t, dir)) != 1 {
			t.Errorf("%s: got %v (%v), want nothing made or changed", name, filesIn(t, dir), err)
		}
	}
}

func TestTheDoctorMakesNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "vigil.db")
	code, out, _ := command(t.Context(), nil, "doctor", "--public-url=http://localhost:1", "--store=sqlite:"+path)
	if code != 1 || !strings.Contains(out, "There is no store at "+path) || len(filesIn(t, dir)) != 0 {
		t.Errorf("got code %d, %q and %v, want 1, which store is not there, and nothing made", code, out, filesIn(t, dir))
	}
}

func TestACopyMakesNothingWithoutItsSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	code, _, errs := command(t.Context(), nil, "copy", "--from=sqlite:"+from, "--to=sqlite:"+to)
	if code != 1 || !strings.Contains(errs, "There is no store at "+from) || len(filesIn(t, dir)) != 0 {
		t.Errorf("got code %d, %q and %v, want 1, which store is not there, and nothing made", code, errs, filesIn(t, dir))
	}
}

func TestADatabaseOfAnotherProgramStaysAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.db")
	db := raw(t, path)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE theirs (a)`); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"migrate"},
		{"migrate", "status"},
		{"keys", "list"},
		{"serve", "--public-url=http://localhost:1", "--listen=127.0.0.1:0", "--admin-listen=off"},
	} {
		code, _, errs := command(t.Context(), nil, append(args, "--store=sqlite:"+path)...)
		if code != 1 || !strings.Contains(errs, "another program's database") {
			t.Errorf("%v: got code %d, %q, want 1 and that it is another program's", args, code, errs)
		}
	}
	var tables int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil || tables != 1 {
		t.Errorf("got %d tables, %v, want theirs only", tables, err)
	}
}

func TestACommandMakesNoTablesWhereThereAreNone(t *testing.T) {
	prefix, region, endpoint := dynamoTables(t)
	secret := "VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, keyFileSize))
	for name, args := range readers() {
		code, out, errs := command(t.Context(), []string{secret}, append(args, "--store=dynamodb:"+prefix+"?region="+region+"&endpoint="+endpoint)...)
		if code != 1 || out != "" || !strings.Contains(errs, "There is no store at dynamodb:"+prefix+" in "+region) || !strings.Contains(errs, "vigil migrate") {
			t.Errorf("%s: got code %d, %q, %q, want 1, which store is not there, and what to do", name, code, out, errs)
		}
	}
	noTables(t, prefix, region, endpoint)
}

// noTables checks that there are none of a prefix.
func noTables(t *testing.T, prefix, region, endpoint string) {
	t.Helper()
	client, end, err := dynamo.NewClient(t.Context(), dynamo.ClientConfig{Region: region, Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	tables := dynamodb.NewListTablesPaginator(client, &dynamodb.ListTablesInput{})
	for tables.HasMorePages() {
		page, err := tables.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range page.TableNames {
			if strings.HasPrefix(name, prefix) {
				t.Errorf("got table %s, want none made", name)
			}
		}
	}
}

// A secret that cannot be used is found before there is a store that nobody could use.
func TestABadSecretIsFoundBeforeAStoreIsMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("c2hvcnQ="), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := []string{"serve", "--public-url=http://localhost:1", "--listen=127.0.0.1:0", "--admin-listen=off"}
	short := "VIGIL_KEY_SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, 31))
	for _, row := range []struct {
		name string
		args []string
		env  string
		want string
	}{
		{"a short secret", serve, short, "32 bytes"},
		{"a secret that is no base64", serve, "VIGIL_KEY_SECRET=%%%", "32 bytes"},
		{"a key of KMS that is none", serve, "VIGIL_KEY_SECRET=kms:", "kms:KEY"},
		{"a key file of other bytes", append(serve, "--key-file="+file), "", "32 bytes"},
		{"a key file that is a folder", append(serve, "--key-file="+filepath.Dir(file)), "", "cannot be read"},
		{"a key file in no folder", append(serve, "--key-file="+filepath.Join(file+"s", "key")), "", "cannot be made"},
		{"a short secret for migrate", []string{"migrate"}, short, "32 bytes"},
		{"a key file of other bytes for migrate", []string{"migrate", "--key-file=" + file}, "", "32 bytes"},
	} {
		dir := t.TempDir()
		code, _, errs := command(t.Context(), []string{row.env}, append(append([]string{}, row.args...), "--store=sqlite:"+filepath.Join(dir, "vigil.db"))...)
		if code != 2 || !strings.Contains(errs, row.want) || len(filesIn(t, dir)) != 0 {
			t.Errorf("%s: got code %d, %q and %v, want 2, %q, and nothing made", row.name, code, errs, filesIn(t, dir), row.want)
		}
	}
	demo := filepath.Join(t.TempDir(), "vigil.db")
	code, _, errs := command(t.Context(), []string{short}, "demo", "--dir="+t.TempDir(), "--demo-store=sqlite:"+demo)
	if code != 2 || !strings.Contains(errs, "32 bytes") || len(filesIn(t, filepath.Dir(demo))) != 0 {
		t.Errorf("demo: got code %d, %q and %v, want 2, and nothing made", code, errs, filesIn(t, filepath.Dir(demo)))
	}
	prefix, region, endpoint := dynamoTables(t)
	for _, env := range []string{"", short, "VIGIL_KEY_SECRET=kms:k?zone=a"} {
		for _, args := range [][]string{serve, {"migrate"}} {
			if env == "" && args[0] == "migrate" { // who only makes the tables needs none
				continue
			}
			code, _, errs := command(t.Context(), []string{env}, append(append([]string{}, args...), "--store=dynamodb:"+prefix+"?region="+region+"&endpoint="+endpoint)...)
			if code != 2 || !strings.Contains(errs, "key-secret") {
				t.Errorf("%s with %q: got code %d, %q, want 2 and the setting", args[0], env, code, errs)
			}
		}
	}
	noTables(t, prefix, region, endpoint)
}

// A server of an older program may be at work: only migrate and serve change its schema.
func TestACommandLeavesAnOlderSchemaAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "vigil.db")
	olderFile(t, path)
	before := schemaOfFile(t, path)
	for name, args := range readers() {
		code, out, errs := command(t.Context(), nil, append(args, "--store=sqlite:"+path)...)
		if code != 1 || out != "" || !strings.Contains(errs, path) || !strings.Contains(errs, "Run `vigil migrate`") {
			t.Errorf("%s: got code %d, %q, %q, want 1 and that the schema is older", name, code, out, errs)
		}
	}
	must(t, "migrate", "--status", "--store=sqlite:"+path)
	must(t, "migrate", "--dry-run", "--store=sqlite:"+path)
	if got := schemaOfFile(t, path); got != before {
		t.Errorf("got schema %q, want it as it was:\n%q", got, before)
	}
	must(t, "migrate", "--store=sqlite:"+path)
	must(t, "platform", "list", "--store=sqlite:"+path)
}

// olderFile makes a database as a program left it that knew 4 steps, and not yet how to tell
// others who may work with it.
func olderFile(t *testing.T, path string) {
	t.Helper()
	steps := fstest.MapFS{}
	for _, s := range sqliteSteps(t)[:4] {
		raw, err := sqlitesteps.Files.ReadFile(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		steps[s.Name] = &fstest.MapFile{Data: raw}
	}
	if err := sqlite.MigrateWith(t.Context(), sqlite.MigrateOptions{Path: path, Steps: steps}); err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t, path).ExecContext(t.Context(), `PRAGMA user_version = 0`); err != nil {
		t.Fatal(err)
	}
}

func sqliteSteps(t *testing.T) []storage.Step {
	t.Helper()
	steps, err := sqlitesteps.Steps(sqlitesteps.Files)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// schemaOfFile is all that there is of a schema in a file.
func schemaOfFile(t *testing.T, path string) (out string) {
	t.Helper()
	db := raw(t, path)
	err := db.QueryRowContext(t.Context(), `SELECT group_concat(sql, ';') || (SELECT ' steps ' || group_concat(version_id) FROM goose_db_version)
		|| (SELECT ' oldest ' || user_version FROM pragma_user_version) FROM sqlite_schema`).Scan(&out)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}
