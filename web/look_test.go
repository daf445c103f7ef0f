package web_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
)

var proctor = vigil.Actor{Role: vigil.RoleProctor, ID: "p|2", Name: "Ingrid Solberg"}

// fill puts a story into a session: signals, an incident, a gap, commands and chat.
func (r *rig) fill(s vigil.Session, signals int) {
	r.Helper()
	ctx, at := r.Context(), r.now().Add(-20*time.Minute).Truncate(time.Millisecond).UTC()
	kinds := []vigil.Kind{"page_turned", "blur", "hidden", "copy", "paste", "rtt", "resize", "fullscreen_left", "idle"}
	list := make([]vigil.Signal, signals)
	for i := range list {
		kind := kinds[i%len(kinds)]
		g := vigil.Signal{
			SessionID: s.ID, ExamID: s.ExamID, Stream: "stream-0123456789", Seq: int64(i + 1), Kind: kind,
			At: at.Add(time.Duration(i)*5*time.Second - 3*time.Second), Received: at.Add(time.Duration(i) * 5 * time.Second), Severity: 0.1,
		}
		switch kind {
		case "hidden":
			g.Duration, g.Severity, g.Incident = 40*time.Second, 0.3, true
		case "paste":
			g.Severity, g.Incident, g.Data = 0.6, true, []byte(`{"length":812}`)
		}
		list[i] = g
	}
	_, err := r.store.AppendSignals(ctx, list)
	r.ok(err)
	r.ok(r.store.CreateGap(ctx, vigil.Gap{ID: "gap-1", SessionID: s.ID, ExamID: s.ExamID, Start: at.Add(time.Minute), End: at.Add(3 * time.Minute), Cause: vigil.CauseStudent}))
	for i, text := range []string{"=HYPERLINK(\"https://evil.example\")", "I cannot see question 2;=1+1", "\u202Eolleh"} {
		r.ok(r.store.AddChat(ctx, vigil.ChatLine{
			ID: fmt.Sprintf("chat-%06d", i), SessionID: s.ID, ExamID: s.ExamID, From: vigil.Actor{Role: vigil.RoleStudent, Name: s.Name}, Text: text, At: at.Add(time.Duration(i) * time.Minute),
		}))
	}
	_, err = r.hub.Sessions().Command(ctx, s.ExamID, proctor, vigil.FullAccess, commandUp(s.ID))
	r.ok(err)
}

// TestTheReportAndTheTimelineTellTheStory reads both, as pages, as data and as files.
func TestTheReportAndTheTimelineTellTheStory(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	empty := l.person(another)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	_, err := r.hub.Sessions().Apply(t.Context(), s.ID, vigil.Change{Event: vigil.EventActivate, At: r.now(), By: proctor})
	r.ok(err)
	r.fill(s, 45)
	quiet := last(empty.attempt(1))
	exam := teacher.dashboard()

	page := teacher.get("/dashboard/" + exam + "/report")
	r.status(page, http.StatusOK)
	for _, text := range []string{"Amara Okafor", "Budi Santoso", "Pasted ×5 · 5 not reviewed", "longest 40 s", "2 min 0 s (1)", "working", "at check-in"} {
		r.contains(page, text)
	}
	if strings.Index(page.Body, "Amara") > strings.Index(page.Body, "Budi") {
		t.Error("got the quiet attempt first, want the one with open incidents")
	}

	page = teacher.get("/dashboard/" + exam + "/sessions/" + s.ID)
	r.status(page, http.StatusOK)
	for _, text := range []string{"Page hidden", "40 s", "length: 812", "Offline (student&#39;s side)", "Ingrid Solberg", "Look at your own screen", "=HYPERLINK", "Message from the student"} {
		r.contains(page, text)
	}
	r.status(teacher.get("/dashboard/"+exam+"/sessions/"+quiet), http.StatusOK)

	api := "/api/v1/exams/" + exam + "/sessions/" + s.ID
	entries := teacher.call("GET", api+"/timeline", "").json(r)["entries"].([]any)
	types, lastAt := map[any]int{}, 0.0
	for _, e := range entries {
		m := e.(map[string]any)
		types[m["type"]]++
		at, _ := m["recv"].(float64)
		if at == 0 {
			at = m["at"].(float64)
		}
		if at < lastAt {
			t.Errorf("got %v out of order", m)
		}
		lastAt = at
	}
	want := map[any]int{"signal": 45, "gap": 1, "command": 1, "chat": 3, "state": 3}
	for k, n := range want {
		r.want(fmt.Sprint(k, " entries"), types[k], n)
	}

	for _, path := range []string{"/report?format=csv", "/sessions/" + s.ID + "?format=csv"} {
		file := teacher.call("GET", "/dashboard/"+exam+path, "")
		r.want("media type", file.header.Get("Content-Type"), "text/csv; charset=utf-8")
		if d := file.header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="vigil-`) {
			t.Errorf("got %q, want a download", d)
		}
		text, bom := strings.CutPrefix(file.text, "\uFEFF")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || !bom || len(rows) < 3 {
			t.Fatalf("got %d rows, %v of %s, want a table with a mark", len(rows), err, path)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") || strings.Contains(cell, ";=") {
					t.Errorf("got cell %q, want it harmless", cell)
				}
			}
		}
	}

	review := func(body string) answer { return teacher.call("POST", api+"/incidents/review", body) }
	var incident map[string]any
	for _, e := range entries {
		if m := e.(map[string]any); m["kind"] == "paste" {
			incident = m
			break
		}
	}
	version := incident["review"].(map[string]any)["version"]
	body := func(to, note string, v any) string {
		b, err := json.Marshal(map[string]any{"id": incident["id"], "review": to, "note": note, "version": v})
		r.ok(err)
		return string(b)
	}
	r.want("status of an illegal step", review(body("overturned", "", version)).status, http.StatusConflict)
	r.want("status of nonsense", review(body("guilty", "", version)).status, http.StatusConflict)
	r.want("status of a bad note", review(body("cleared", "a\x00b", version)).status, http.StatusBadRequest)
	done := review(body("cleared", "quoted <b>her own</b> text", version))
	r.want("status", done.status, http.StatusOK)
	got := done.json(r)["review"].(map[string]any)
	r.want("review", got["state"], "cleared")
	r.want("reviewer", got["by"], "Ingrid Solberg")
	r.want("status of the same decision, sent again", review(body("cleared", "quoted <b>her own</b> text", version)).status, http.StatusOK)
	conflict := review(body("upheld", "", version))
	r.want("status of a second decision", conflict.status, http.StatusConflict)
	r.want("code", conflict.json(r)["code"], "conflict")
	r.want("status of the next step", review(body("pending", "", got["version"])).status, http.StatusOK)
	page = teacher.get("/dashboard/" + exam + "/sessions/" + s.ID)
	r.contains(page, "under review")
}

func TestSettings(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	teacher := l.person(instructor)
	exam := teacher.dashboard()
	path := "/dashboard/" + exam + "/settings"
	page := teacher.get(path)
	r.status(page, http.StatusOK)
	for field, bad := range map[string][]string{
		"attention": {"", "x", "0", "1.5", "NaN", "1e400"}, "lost_time_cap": {"", "-1", "241", "1.5"}, "duration_minutes": {"x", "10081"},
		"link_loss": {"", "always"}, "watch": {"camera"}, "retention.signals": {"0", "3651"}, "retention.audit": {"", "many"},
	} {
		for _, value := range bad {
			out := teacher.submit(page, path, url.Values{field: {value}})
			if out.Status != http.StatusBadRequest || !strings.Contains(out.Body, `id="problem"`) || strings.Contains(out.Body, "field."+field) {
				t.Errorf("got %d for %s=%q, want the form again with the field named:\n%s", out.Status, field, value, out.Body)
			}
		}
	}
	saved := teacher.submit(page, path, url.Values{"attention": {"0.6"}, "watch": {"focus"}, "admission": {"on"}, "pause": nil})
	r.status(saved, http.StatusOK)
	r.contains(saved, "Saved.")
	e, err := r.store.Exam(t.Context(), exam)
	r.ok(err)
	if e.Policy.Attention != 0.6 || !e.Policy.Admission || e.Policy.Pause || len(e.Policy.Watch) != 1 || e.Policy.Retention.Chat != 90 {
		t.Errorf("got policy %+v, want what was sent", e.Policy)
	}

	api := "/api/v1/exams/" + exam
	put := teacher.call("PUT", api+"/policy", `{"watch":["idle"]}`)
	r.want("status", put.status, http.StatusOK)
	e, err = r.store.Exam(t.Context(), exam)
	r.ok(err)
	r.want("watch", fmt.Sprint(e.Policy.Watch), "[idle]")
	r.want("attention", e.Policy.Attention, 0.6)
	bad := teacher.call("PUT", api+"/policy", `{"attention":7}`)
	r.want("status", bad.status, http.StatusBadRequest)
	r.want("field", bad.json(r)["field"], "attention")
}

// TestAQuizSetsItsOwnPolicy has the settings follow the quiz, and only the quiz, for as
// long as it sends a policy.
func TestAQuizSetsItsOwnPolicy(t *testing.T) {
	r := newRig(t)
	cfg := pluginQuiz(`{"attention":0.6}`)
	cfg.Plugin = 2 // whose launches of proctors say nothing here
	l := r.lms(cfg)
	p, teacher := l.person(student), l.person(instructor)
	exam := teacher.dashboard()
	e, err := r.store.Exam(t.Context(), exam)
	r.ok(err)
	r.want("managed before a launch", e.Managed, false)
	p.attempt(1)
	e, err = r.store.Exam(t.Context(), exam)
	r.ok(err)
	r.want("attention", e.Policy.Attention, 0.6)
	r.want("managed", e.Managed, true)
	page := teacher.get("/dashboard/" + exam + "/settings")
	r.contains(page, "The quiz sets these")
	r.contains(page, "disabled")
	got := teacher.call("PUT", "/api/v1/exams/"+exam+"/policy", `{"attention":0.1}`)
	r.want("status", got.status, http.StatusConflict)
	r.want("managed", teacher.call("GET", "/api/v1/exams/"+exam, "").json(r)["managed"], true)

	link, _ := l.Link(quiz)
	link.Settings = `{"vigil":1,"policy":{"attention":0.9}}`
	l.SetLink(link)
	p.attempt(1)
	teacher.dashboard() // a launch without the settings says nothing about the policy
	e, err = r.store.Exam(t.Context(), exam)
	r.ok(err)
	r.want("attention", e.Policy.Attention, 0.9)
	r.want("managed", e.Managed, true)
	link.Settings = `{"vigil":1,"policy":{"attention":9}}`
	l.SetLink(link)
	r.status(p.attempt(1), http.StatusBadRequest)
	link.Settings = "of another tool"
	l.SetLink(link)
	p.attempt(1)
	e, err = r.store.Exam(t.Context(), exam)
	r.ok(err)
	r.want("attention", e.Policy.Attention, 0.9)
	r.want("managed", e.Managed, false)
}

// TestAProctorsLaunchBringsTheQuizsPolicy as our plugin's button does, so that a quiz is
// right before its first student comes. From anyone else it counts for nothing.
func TestAProctorsLaunchBringsTheQuizsPolicy(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{"attention":0.6}`))
	open := func(who, settings string) *ltitest.Page {
		return l.person(who).launch(ltitest.Launch{
			Message: ltitest.ResourceLink, LinkID: quiz, Custom: map[string]string{"vigil_settings": settings},
		})
	}
	exam := last(open(instructor, `{"vigil":1,"policy":{"attention":0.6,"admission":true}}`))
	now := func() vigil.Exam {
		t.Helper()
		e, err := r.store.Exam(t.Context(), exam)
		r.ok(err)
		return e
	}
	r.want("attention of a new exam", now().Policy.Attention, 0.6)
	r.want("admission of a new exam", now().Policy.Admission, true)
	r.want("managed", now().Managed, true)
	open(instructor, `{"vigil":1,"policy":{"attention":0.9}}`)
	r.want("attention after a change", now().Policy.Attention, 0.9)
	r.want("admission after a change", now().Policy.Admission, false)
	r.status(open(instructor, `{"vigil":1,"policy":{"attention":9}}`), http.StatusBadRequest)
	open(student, `{"vigil":1,"policy":{"attention":0.1}}`)
	open(instructor, "")
	open(instructor, "of another tool")
	r.want("attention", now().Policy.Attention, 0.9)
	r.want("managed", now().Managed, true)
}

func TestStatusShowsOnesOwnAttempts(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	p, other := l.person(student), l.person(another)
	none := p.launch(ltitest.Launch{Message: ltitest.ResourceLink, LinkID: quiz})
	r.contains(none, "You have not started an attempt yet.")
	other.attempt(1)
	p.start(p.attempt(1))
	page := p.get(none.URL.Path)
	r.contains(page, "working")
	r.want("attempts", strings.Count(page.Body, "<li>"), 1)
}

func TestMembersTellWhoHasNotCome(t *testing.T) {
	r := newRig(t)
	l := r.lms(ltitest.Config{})
	session := last(l.person(student).attempt(1))
	teacher := l.person(instructor)
	exam := teacher.dashboard()
	members := teacher.call("GET", "/api/v1/exams/"+exam+"/members", "").json(r)["members"].([]any)
	r.want("members", len(members), 6)
	for _, m := range members {
		got := m.(map[string]any)
		if want := got["user"] == student; want != (got["session"] == session) {
			t.Errorf("got %v, want the session of the one who came", got)
		}
	}
	l.SetMischief(ltitest.Mischief{HTTP: func(at ltitest.Endpoint, w http.ResponseWriter, _ *http.Request) bool {
		if at == ltitest.AtMembers {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}})
	r.want("status", teacher.call("GET", "/api/v1/exams/"+exam+"/members", "").status, http.StatusServiceUnavailable)
}
