package main

import (
	"encoding/csv"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/storage"
	"vigil/storage/sqlite"
	"vigil/storage/sqlite/sqlitetest"
)

// filledStore makes a store with an exam of two students, and closes it.
func filledStore(t *testing.T) (place string, e vigil.Exam) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vigil.db")
	sqlitetest.Create(t, path)
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	e = fillStore(t, store)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path, e
}

// onEach runs a test on either backend, each with what fillStore stores.
func onEach(t *testing.T, test func(t *testing.T, place string, e vigil.Exam)) {
	t.Run("SQLite", func(t *testing.T) {
		place, e := filledStore(t)
		test(t, place, e)
	})
	t.Run("DynamoDB", func(t *testing.T) {
		place := dynamoStoreOf(t)
		store, err := storeSettings{Store: place}.create(t.Context(), func(string) {}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e := fillStore(t, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		test(t, place, e)
	})
}

func freshID() string { return uuid.Must(uuid.NewV7()).String() }

func fillStore(t *testing.T, store storage.Store) vigil.Exam {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
	p := vigil.Platform{ID: freshID(), Issuer: "https://lms.example", ClientID: "client", Name: "LMS", State: vigil.PlatformActive, Created: now, Version: 3, Plugin: 2}
	ok(store.CreatePlatform(ctx, p))
	ok(store.SaveDeployment(ctx, vigil.Deployment{PlatformID: p.ID, ID: "1", State: vigil.DeploymentActive, Created: now}))
	ok(store.CreateKey(ctx, vigil.Key{ID: "kid-1", Use: vigil.KeyLTI, State: vigil.KeyActive, Sealed: []byte{1, 2}, Public: []byte("{}"), Created: now, Since: now, Version: 1}))
	for hash, expires := range map[string]time.Time{"valid": now.Add(time.Hour), "expired": now.Add(-time.Hour)} {
		ok(store.CreateInvitation(ctx, vigil.Invitation{Hash: hash, Created: now, Expires: expires}))
	}
	e := vigil.Exam{ID: freshID(), Title: "Quiz", Issuer: p.Issuer, ContextID: "course", Policy: vigil.DefaultPolicy(), Created: now, Version: 4}
	e.Access = vigil.AccessSource{PlatformID: p.ID, URL: "https://lms.example/mod/lti/services.php/access?resource_link=quiz-12"}
	ok(store.CreateExam(ctx, e))
	ok(store.CreateLink(ctx, vigil.Link{PlatformID: p.ID, DeploymentID: "1", ResourceLinkID: "17", ExamID: e.ID, Created: now}))
	ok(store.AppendAudit(ctx, vigil.Audit{ID: freshID(), ExamID: e.ID, Action: "report.view", At: now}))
	ok(store.PutAccess(ctx, vigil.Access{
		ExamID: e.ID, UserID: "tina", Version: 7, At: now, Groups: []vigil.Group{{ID: "12", Name: "Group A"}}, Rights: []vigil.Right{vigil.RightWatch, vigil.RightTalk},
	}))
	for _, user := range []string{"ana", "=1+1"} {
		v := vigil.Session{
			ID: freshID(), ExamID: e.ID, UserID: user, Name: user, Attempt: 1, Generation: 1, PlatformID: p.ID, State: vigil.StateActive, Version: 5,
			Created: now, Changed: now, DueAt: now.Add(time.Hour),
			Grants:   []vigil.Grant{{CommandID: "c", ID: "r", Time: time.Minute, Taken: 2 * time.Minute, State: vigil.GrantConfirmed, At: now, Held: true, Own: true}},
			Pauses:   []vigil.Pause{{From: now.Add(-time.Minute), To: now, ID: "r2"}},
			Consents: []vigil.Consent{{Notice: "0123456789abcdef", At: now}},
			Groups:   []vigil.Group{{ID: "12", Name: "Group A"}}, GroupsVersion: 3,
		}
		ok(store.CreateSession(ctx, v))
		head := vigil.AuditHead{}
		for i, a := range []vigil.Audit{
			{Action: "command.pause", By: vigil.Actor{Role: vigil.RoleProctor, ID: p.ID + "|pat", Name: "Pat"}},
			{Action: "session.consent", By: vigil.Actor{Role: vigil.RoleStudent, ID: p.ID + "|" + user, Name: user}},
		} {
			a.ID, a.ExamID, a.Sessions, a.From, a.At = freshID(), e.ID, []string{v.ID}, "192.0.2.9", now.Add(time.Duration(10*len(user)+i)*time.Millisecond)
			a = a.After("c-"+v.ID, head, []byte{1, 2})
			head = a.Head()
			ok(store.AppendAudit(ctx, a))
		}
		var signals []vigil.Signal
		for i := range 3 {
			signals = append(signals, vigil.Signal{
				SessionID: v.ID, ExamID: e.ID, Stream: "stream-0123456789", Seq: int64(i + 1), Kind: vigil.KindHidden, Severity: 0.6, Incident: i > 0,
				At: now, Received: now.Add(time.Duration(i) * time.Millisecond), Duration: time.Second, Data: []byte(`{"length":3}`),
			})
		}
		_, err := store.AppendSignals(ctx, signals)
		ok(err)
		in := vigil.IncidentOf(signals[1])
		in.Review, in.Note, in.Reviewed = vigil.ReviewCleared, "nothing", now
		ok(store.UpdateIncident(ctx, in))
		ok(store.CreateGap(ctx, vigil.Gap{ID: freshID(), SessionID: v.ID, ExamID: e.ID, Start: now, Cause: vigil.CauseServer, Until: now.Add(time.Minute), Paused: time.Second, Version: 2}))
		c := vigil.Command{ID: freshID(), SessionID: v.ID, ExamID: e.ID, Kind: vigil.CommandPause, At: now, Stage: vigil.StageSeen, By: vigil.Actor{Role: vigil.RoleProctor}}
		d := vigil.Delivery{
			ID: freshID(), SessionID: v.ID, ExamID: e.ID, CommandID: c.ID, Action: vigil.ActionPause, IncidentTime: now, Severity: 0.5,
			Version: v.Version, State: vigil.DeliveryWaiting, NextTry: now.Add(time.Hour),
		}
		more := d // of one command, and of none that is kept
		more.ID, more.Action = freshID(), vigil.ActionUpdate
		other := d
		other.ID, other.CommandID = freshID(), "not kept"
		ok(store.Transition(ctx, vigil.Transition{Session: v, From: v.Version, Command: &c, Deliveries: []vigil.Delivery{d, more, other}}))
		ok(store.AddChat(ctx, vigil.ChatLine{ID: freshID(), SessionID: v.ID, ExamID: e.ID, From: vigil.Actor{Role: vigil.RoleStudent}, Text: "hello, \"you\"", At: now}))
	}
	return e
}

func TestAnExamIsExportedAsJSONLines(t *testing.T) {
	onEach(t, exportsJSONLines)
}

func exportsJSONLines(t *testing.T, place string, e vigil.Exam) {
	kinds := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(must(t, "export", "exam", "--store", place, e.ID)), "\n") {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("got line %q: %v", line, err)
		}
		kind, _ := row["kind"].(string)
		kinds[kind]++
		if kind == "signal" && (row["signal_kind"] != "hidden" || row["duration_ms"] != 1000.0 || row["data"].(map[string]any)["length"] != 3.0) {
			t.Errorf("got signal %s, want its kind, duration and data", line)
		}
		if kind == "session" && (row["user_id"] == nil || !strings.Contains(line, `"grants":[{"command_id":"c","id":"r","time_ms":60000,"taken_ms":120000,"state":"confirmed"`) ||
			!strings.Contains(line, `"held":true,"own":true}`) || !strings.Contains(line, `"pauses":[{"from":"20`) || row["due_at"] == nil) {
			t.Errorf("got session %s, want its user, grants, pauses and when it is due", line)
		}
		if kind == "session" && !strings.Contains(line, `"groups":[{"id":"12","name":"Group A","hidden":false}]`) {
			t.Errorf("got session %s, want its groups", line)
		}
		if kind == "access" && !(row["user_id"] == "tina" && row["exam_id"] == e.ID && row["all"] == false && row["version"] == 7.0 &&
			strings.Contains(line, `"groups":[{"id":"12","name":"Group A","hidden":false}],"rights":["watch","talk"]`)) {
			t.Errorf("got access record %s, want whose it is, groups and rights", line)
		}
		if kind == "gap" && (row["until"] == nil || row["paused_ms"] != 1000.0) {
			t.Errorf("got gap %s, want to when its cause holds, and the pause in it", line)
		}
	}
	want := map[string]int{"exam": 1, "session": 2, "signal": 6, "incident": 4, "gap": 2, "command": 2, "chat": 2, "access": 1, "audit": 5}
	for kind, n := range want {
		if kinds[kind] != n {
			t.Errorf("got %d lines of %s, want %d", kinds[kind], kind, n)
		}
		rows, err := csv.NewReader(strings.NewReader(must(t, "export", "exam", "--store", place, "--format=csv", "--kind="+kind, e.ID))).ReadAll()
		if kind == "audit" { // each export adds an entry that says so
			n = max(n, len(rows)-1)
		}
		if err != nil || len(rows) != n+1 {
			t.Errorf("got %d rows of CSV of %s, %v, want a heading and %d", len(rows), kind, err, n)
		}
	}
	if code, _, errs := command(t.Context(), nil, "export", "exam", "--store", place, "nobody"); code != 1 || !strings.Contains(errs, `no exam with the id "nobody"`) || !strings.Contains(errs, "vigil exam list") {
		t.Errorf("unknown exam: got code %d, %q", code, errs)
	}
}

func TestACSVHasOneKindAndNoFormulas(t *testing.T) {
	onEach(t, exportsCSV)
}

func exportsCSV(t *testing.T, place string, e vigil.Exam) {
	rows, err := csv.NewReader(strings.NewReader(must(t, "export", "exam", "--store", place, "--format=csv", "--kind=session", e.ID))).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "id" {
		t.Fatalf("got rows %v, %v, want a heading and two sessions", rows, err)
	}
	for i, name := range rows[0] {
		if name == "user_id" && (rows[1][i] != "ana" || rows[2][i] != "'=1+1") {
			t.Errorf("got users %q and %q, want the formula disarmed", rows[1][i], rows[2][i])
		}
	}
	if code, _, errs := command(t.Context(), nil, "export", "exam", "--store", place, "--format=csv", e.ID); code != 2 || !strings.Contains(errs, "kind") {
		t.Errorf("without a kind: got code %d, %q, want 2", code, errs)
	}
}

func TestAUserIsExportedAndErased(t *testing.T) {
	onEach(t, exportsAndErases)
}

func exportsAndErases(t *testing.T, place string, e vigil.Exam) {
	if got := must(t, "export", "user", "--store", place, e.Issuer, "ana"); strings.Count(got, `"kind":"signal"`) != 3 || strings.Contains(got, "=1+1") ||
		strings.Count(got, `"action":"session.consent"`) != 1 || strings.Count(got, `"action":"command.pause"`) != 1 || strings.Contains(got, "Pat") ||
		!strings.Contains(got, `"consents":[{"notice":"0123456789abcdef","at":"20`) || !strings.Contains(got, `"groups":[{"id":"12","name":"Group A","hidden":false}]`) ||
		strings.Contains(got, "tina") {
		t.Errorf("got %q, want the one user's only, with the consent and the groups, and with what was done to them but not by whom", got)
	}
	if got := must(t, "erase", "--store", place, e.Issuer, "ana"); !strings.HasPrefix(got, "1 sessions would be erased") {
		t.Errorf("got %q without --yes", got)
	}
	if got := must(t, "erase", "--store", place, "--yes", e.Issuer, "ana"); got != "1 sessions erased.\n" {
		t.Errorf("got %q, want one erased", got)
	}
	for _, row := range []struct{ issuer, user, want string }{
		{e.Issuer, "ana", "No attempt of the user"}, // she was erased
		{"https://lms.exmaple", "=1+1", "Registered are: " + e.Issuer},
	} {
		for _, args := range [][]string{{"export", "user"}, {"erase"}, {"erase", "--yes"}} {
			code, out, errs := command(t.Context(), nil, append(args, "--store", place, row.issuer, row.user)...)
			if code != 1 || out != "" || !strings.Contains(errs, row.want) {
				t.Errorf("%v of %s at %s: got code %d, %q, %q, want 1 and %q", args, row.user, row.issuer, code, out, errs, row.want)
			}
		}
	}
	if got := must(t, "export", "exam", "--store", place, "--kind=session", e.ID); strings.Count(got, "\n") != 1 {
		t.Errorf("got %q, want the other's session", got)
	}
	if got := must(t, "audit", "export", "--store", place, e.ID); strings.Contains(got, "ana") || !strings.Contains(got, "Pat") || !strings.Contains(got, "session.consent") {
		t.Errorf("got audit entries %q, want the consent without the person, and the proctor", got)
	}
	got := must(t, "audit", "export", "--store", place, "none")
	for _, action := range []string{`"export.user"`, `"erase.user"`} {
		if !strings.Contains(got, action) || strings.Contains(got, "ana") {
			t.Errorf("got operators' entries %q, want %s, without the person", got, action)
		}
	}
}

func TestStaffAreExportedAndErased(t *testing.T) {
	onEach(t, func(t *testing.T, place string, e vigil.Exam) {
		if got := must(t, "export", "user", "--store", place, e.Issuer, "tina"); strings.Count(got, "\n") != 1 ||
			!strings.Contains(got, `"kind":"access"`) || !strings.Contains(got, `"rights":["watch","talk"]`) {
			t.Errorf("got %q, want the access record", got)
		}
		if got := must(t, "erase", "--store", place, e.Issuer, "tina"); !strings.HasPrefix(got, "0 sessions would be erased, with all that belongs to them and 1 access record.") {
			t.Errorf("got %q without --yes", got)
		}
		if got := must(t, "erase", "--store", place, "--yes", e.Issuer, "tina"); got != "0 sessions and 1 access record erased.\n" {
			t.Errorf("got %q, want one record erased", got)
		}
		hasNothingOf(t, place, e, "tina")
	})
}

func TestNamesInExports(t *testing.T) {
	for name, want := range map[string]string{"SessionID": "session_id", "ID": "id", "LMS": "lms", "ControlURL": "control_url", "LastAt": "last_at", "AtURLNow": "at_url_now"} {
		if got := snake(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
