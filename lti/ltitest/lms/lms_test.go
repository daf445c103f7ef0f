package lms_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigil/internal/testutil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/internal/faketool"
	"vigil/lti/ltitest/lms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// demo is a served LMS with a fake tool.
type demo struct {
	*lms.LMS
	tool *faketool.Tool
	clk  *clock
	url  string
}

func serve(t *testing.T, cfg lms.Config) demo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := demo{tool: faketool.New(t), clk: &clock{t: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}, url: "http://" + l.Addr().String()}
	d.tool.Now = d.clk.Now
	cfg.Platform.Issuer, cfg.Platform.Now, cfg.Tool = d.url, d.clk.Now, d.tool.URL
	if d.LMS, err = lms.New(cfg); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(d.LMS)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(func() { s.Close(); d.Close() })
	d.tool.Connect(d.Platform())
	return d
}

func (d demo) open(t *testing.T, b *ltitest.Browser, path string) *ltitest.Page {
	t.Helper()
	page, err := b.Open(t.Context(), d.url+path)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func submit(t *testing.T, b *ltitest.Browser, page *ltitest.Page, form string, v url.Values) *ltitest.Page {
	t.Helper()
	f, ok := page.Form(form)
	if !ok {
		t.Fatalf("no form %s on %s: %s", form, page.URL, page.Body)
	}
	next, err := b.Submit(t.Context(), f, v)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// be signs in through the start page.
func (d demo) be(t *testing.T, user string) *ltitest.Browser {
	t.Helper()
	b := ltitest.NewBrowser(nil)
	page := submit(t, b, d.open(t, b, "/"), "/signin", url.Values{"user": {user}})
	if page.URL.Path != "/course" {
		t.Fatalf("signing in: got %s", page.URL)
	}
	return b
}

// attempt goes from the quiz's page into the attempt.
func (d demo) attempt(t *testing.T, b *ltitest.Browser) *ltitest.Page {
	t.Helper()
	page := submit(t, b, d.open(t, b, "/mod/quiz/view.php"), "/mod/quiz/startattempt.php", nil)
	if page.URL.Path != "/mod/quiz/attempt.php" {
		t.Fatalf("attempt quiz: got %d %s: %s", page.Status, page.URL, page.Body)
	}
	return page
}

func (d demo) control(t *testing.T, action, more string) {
	t.Helper()
	body := `{"user":{"sub":"3"},"resource_link":{"id":"quiz-2"},"attempt_number":1,"action":"` + action + `","incident_time":"` +
		d.clk.Now().Format(time.RFC3339) + `"` + more + `}`
	if status, m, _ := d.tool.Control(t.Context(), ltitest.MediaControl, body); status != http.StatusOK {
		t.Fatalf("%s: got %d %v", action, status, m)
	}
}

func config(t *testing.T, page *ltitest.Page, id string) map[string]any {
	t.Helper()
	text, ok := page.Element(id)
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); !ok || err != nil {
		t.Fatalf("no %s on %s: %v %s", id, page.URL, err, text)
	}
	return m
}

func TestStudentWalksTheWholeQuiz(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	if got := len(d.Platform().Starts()); got != 1 {
		t.Fatalf("starts: got %d, want 1", got)
	}
	vigil := config(t, page, "vigil-config")
	if vigil["tokenEndpoint"] != d.tool.URL+"/api/v1/socket/token" || vigil["lang"] != "en" {
		t.Errorf("monitor: got %v", vigil)
	}
	if i, j := strings.Index(page.Body, `id="vigil-config"`), strings.Index(page.Body, `src="`+d.tool.URL+`/assets/monitor.js"`); i < 0 || j < i {
		t.Error("the monitor does not come after its configuration")
	}
	if !strings.Contains(page.Body, `<div id="vigil-panel"></div>`) {
		t.Error("no panel for the monitor")
	}
	assertion := d.open(t, b, fmt.Sprint(vigil["assertionURL"]))
	if assertion.Status != http.StatusOK || !strings.Contains(assertion.Body, `"assertion":"ey`) {
		t.Errorf("assertion: got %d %s", assertion.Status, assertion.Body)
	}
	page = submit(t, b, page, "responseform", url.Values{"q1": {"The nucleus"}, "q2": {"A cell wall", "Chloroplasts"}, "nextpage": {"1"}})
	if page.URL.Query().Get("page") != "1" || !strings.Contains(page.Body, "diffusion of water") {
		t.Fatalf("second page: got %s", page.URL)
	}
	page = submit(t, b, page, "responseform", url.Values{"q3": {"  osmosis <b> "}, "nextpage": {"0"}})
	f, _ := page.Form("responseform")
	if f.Fields.Get("q1") != "The nucleus" || len(f.Fields["q2"]) != 2 {
		t.Errorf("back on the first page: got %v", f.Fields)
	}
	page = submit(t, b, page, "responseform", url.Values{"q2": nil, "nextpage": {"2"}}) // unticked
	page = submit(t, b, page, "responseform", url.Values{"q5": {"Because."}, "nextpage": {"summary"}})
	if page.URL.Path != "/mod/quiz/summary.php" || !strings.Contains(page.Body, "<b>3 of 6</b>") {
		t.Fatalf("summary: got %s %s", page.URL, page.Body)
	}
	page = submit(t, b, page, "responseform", url.Values{"finishattempt": {"1"}})
	if page.URL.Path != "/mod/quiz/review.php" || !strings.Contains(page.Body, "Your attempt is finished") || !strings.Contains(page.Body, "osmosis &lt;b&gt;") {
		t.Fatalf("review: got %d %s %s", page.Status, page.URL, page.Body)
	}
	launches := d.tool.Launches()
	if got := launches[len(launches)-1][ltitest.ClaimLTI+"message_type"]; got != "LtiEndAssessment" || len(launches) != 2 {
		t.Errorf("last of %d launches: got %v, want LtiEndAssessment", len(launches), got)
	}
	page = d.attempt(t, b)
	if a, ok := d.Platform().FindAttempt("3", lms.LinkID, 2); !ok || a.Status != ltitest.Running {
		t.Errorf("second attempt: got %+v on %s", a, page.URL)
	}
}

func TestEndIsNotSentWhereItIsNotWanted(t *testing.T) {
	d := serve(t, lms.Config{})
	d.tool.Start = func(_, c map[string]any) { delete(c, ltitest.ClaimAP+"end_assessment_return") }
	b := d.be(t, "3")
	page := submit(t, b, d.attempt(t, b), "responseform", url.Values{"finishattempt": {"1"}})
	if page.URL.Path != "/mod/quiz/review.php" || len(d.tool.Launches()) != 1 {
		t.Errorf("got %s and %d launches, want the review and 1", page.URL, len(d.tool.Launches()))
	}
}

func TestPauseKeepsAnswersAndRefusesMore(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	first := d.attempt(t, b)
	f, _ := first.Form("responseform")
	autosave := f
	autosave.Action = d.url + "/mod/quiz/autosave.ajax.php"
	save := func(v string) (int, string) {
		page, err := b.Submit(t.Context(), autosave, url.Values{"q1": {v}})
		if err != nil {
			t.Fatal(err)
		}
		return page.Status, page.Body
	}
	d.control(t, "pause", `,"reason_msg":"Fire alarm"`)
	if got, body := save("The nucleus"); got != http.StatusOK || !strings.Contains(body, `"state":"paused"`) {
		t.Errorf("the last save: got %d %s, want 200", got, body)
	}
	d.clk.Add(11 * time.Second)
	if got, body := save("The ribosomes"); got != http.StatusConflict {
		t.Errorf("a save after the grace: got %d %s, want 409", got, body)
	}
	page := submit(t, b, first, "responseform", url.Values{"q1": {"The ribosomes"}, "nextpage": {"1"}})
	if page.URL.Path != "/mod/quiz/accessrule/vigil/paused.php" || !strings.Contains(page.Body, "Fire alarm") {
		t.Fatalf("got %s %s, want the paused page", page.URL, page.Body)
	}
	config(t, page, "vigil-config")
	before := config(t, page, "quiz-config")
	d.clk.Add(5 * time.Minute)
	after := config(t, d.open(t, b, "/mod/quiz/accessrule/vigil/paused.php?attempt="+f.Fields.Get("attempt")), "quiz-config")
	if got, want := after["end"].(float64)-after["now"].(float64), before["end"].(float64)-before["now"].(float64); got != want {
		t.Errorf("time left while paused: got %v, want %v", got, want)
	}
	d.control(t, "resume", "")
	page = d.open(t, b, page.URL.RequestURI())
	f, _ = page.Form("responseform")
	if page.URL.Path != "/mod/quiz/attempt.php" || f.Fields.Get("q1") != "The nucleus" {
		t.Errorf("resumed: got %s with %v, want the answer saved before", page.URL, f.Fields)
	}
}

// stamp reads the claims of a page's stamp.
func stamp(t *testing.T, page *ltitest.Page) map[string]any {
	t.Helper()
	jwt, _ := config(t, page, "vigil-config")["stamp"].(string)
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("no stamp on %s: %q", page.URL, jwt)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	var m map[string]any
	if err != nil || json.Unmarshal(b, &m) != nil {
		t.Fatalf("the stamp on %s cannot be read: %s", page.URL, b)
	}
	return m
}

func TestPagesCarryStamps(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	id := page.URL.Query().Get("attempt")
	first := stamp(t, page)
	if first["page_requested_at"] != first["page_answered_at"] || first["sub"] != "3" {
		t.Errorf("got %v, want a page that was made at once", first)
	}
	d.SetSlow(func(*http.Request) { d.clk.Add(4 * time.Second) })
	second := stamp(t, d.open(t, b, "/mod/quiz/summary.php?attempt="+id))
	if took := second["page_answered_at"].(float64) - second["page_requested_at"].(float64); took != 4000 || second["jti"] == first["jti"] {
		t.Errorf("got a page of %v ms, want 4000, with a nonce of its own", took)
	}
	d.SetSlow(nil)
	d.control(t, "pause", "")
	if got := stamp(t, d.open(t, b, "/mod/quiz/accessrule/vigil/paused.php?attempt="+id)); got["attempt_paused_at"] != float64(d.clk.Now().Unix()) {
		t.Errorf("paused: got %v", got)
	}
	old := serve(t, lms.Config{Platform: ltitest.Config{Plugin: 1}})
	if got, there := config(t, old.attempt(t, old.be(t, "3")), "vigil-config")["stamp"]; there {
		t.Errorf("an older plugin: got the stamp %v", got)
	}
}

func TestQuizThatIsNotProctoredAnyMore(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	if err := d.Platform().SwitchOff(lms.LinkID); err != nil {
		t.Fatal(err)
	}
	page = d.open(t, b, page.URL.RequestURI())
	if strings.Contains(page.Body, "monitor.js") || strings.Contains(page.Body, "vigil-config") {
		t.Error("the monitor is still there")
	}
	config(t, page, "quiz-config")
	other := d.attempt(t, d.be(t, "4"))
	if len(d.tool.Launches()) != 1 || strings.Contains(other.Body, "monitor.js") {
		t.Errorf("got %d launches, want another student to begin without one", len(d.tool.Launches()))
	}
}

// As Moodle's cron does, a while after the end.
func TestEndsAreReportedByThemselves(t *testing.T) {
	d := serve(t, lms.Config{})
	submit(t, d.be(t, "3"), d.attempt(t, d.be(t, "3")), "responseform", url.Values{"finishattempt": {"1"}})
	d.attempt(t, d.be(t, "4"))
	if got := d.tool.Reports(); len(got) != 0 {
		t.Errorf("got %v at once, want it later", got)
	}
	d.clk.Add(lms.TimeLimit + 3*time.Second)
	testutil.Until(t, "the reports of both ends", func() bool { return len(d.Platform().Owed()) == 0 && len(d.tool.Reports()) >= 2 })
	for _, c := range d.tool.Reports() {
		if c["outcome"] != "submitted" || c["sub"] != "3" && c["sub"] != "4" {
			t.Errorf("got %v", c)
		}
	}
}

func TestExtraTimeMovesTheClock(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	d.control(t, "update", `,"extra_time":5`)
	got := config(t, d.open(t, b, page.URL.RequestURI()), "quiz-config")["end"].(float64)
	if want := config(t, page, "quiz-config")["end"].(float64) + 300_000; got != want {
		t.Errorf("end: got %v, want %v", got, want)
	}
}

func TestTerminateClosesTheAttempt(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	d.control(t, "terminate", `,"reason_msg":"Someone else sat at the desk"`)
	f, _ := page.Form("responseform")
	next := submit(t, b, page, "responseform", url.Values{"q1": {"The nucleus"}, "nextpage": {"1"}})
	if next.URL.Path != "/mod/quiz/review.php" || !strings.Contains(next.Body, "ended this attempt") || strings.Contains(next.Body, "<dd>The nucleus") {
		t.Errorf("got %s %s", next.URL, next.Body)
	}
	if !strings.Contains(next.Body, "Someone else sat") {
		t.Error("the reason is not shown")
	}
	status := d.open(t, b, "/mod/quiz/status.json?attempt="+f.Fields.Get("attempt"))
	if !strings.Contains(status.Body, `"state":"terminated"`) {
		t.Errorf("status: got %s", status.Body)
	}
}

func TestTimeUpTakesTheLastFormAndTellsVigil(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	page := d.attempt(t, b)
	d.clk.Add(lms.TimeLimit + time.Second)
	last := submit(t, b, page, "responseform", url.Values{"q1": {"The nucleus"}, "finishattempt": {"1"}})
	if last.URL.Path != "/mod/quiz/review.php" || !strings.Contains(last.Body, "The nucleus</dd>") || !strings.Contains(last.Body, "time was up") {
		t.Errorf("got %s %s", last.URL, last.Body)
	}
	if got := len(d.tool.Launches()); got != 2 {
		t.Errorf("launches: got %d, want start and end", got)
	}
	d.clk.Add(2 * time.Minute)
	late := submit(t, b, page, "responseform", url.Values{"q1": {"The ribosomes"}, "nextpage": {"1"}})
	if strings.Contains(late.Body, "The ribosomes</dd>") {
		t.Error("a form a minute after the end was saved")
	}
}

func TestAttemptsAreTheirOwners(t *testing.T) {
	d := serve(t, lms.Config{})
	page := d.attempt(t, d.be(t, "3"))
	id := page.URL.Query().Get("attempt")
	other := d.be(t, "4")
	for _, path := range []string{
		"/mod/quiz/attempt.php", "/mod/quiz/summary.php", "/mod/quiz/review.php", "/mod/quiz/accessrule/vigil/paused.php", "/mod/quiz/status.json", "/vigil/assertion",
	} {
		if got := d.open(t, other, path+"?attempt="+id).Status; got != http.StatusNotFound {
			t.Errorf("%s of someone else: got %d, want 404", path, got)
		}
		if got := d.open(t, ltitest.NewBrowser(nil), path+"?attempt="+id); got.URL.Path != "/" && got.Status != http.StatusUnauthorized {
			t.Errorf("%s signed out: got %d %s", path, got.Status, got.URL)
		}
	}
	f, _ := page.Form("responseform")
	for _, path := range []string{"/mod/quiz/processattempt.php", "/mod/quiz/autosave.ajax.php"} {
		f.Action = d.url + path
		if next, err := other.Submit(t.Context(), f, url.Values{"q1": {"The nucleus"}}); err != nil || next.Status != http.StatusNotFound {
			t.Errorf("%s by someone else: got %v %v, want 404", path, next, err)
		}
	}
}

func TestForeignPagesCannotPostOurForms(t *testing.T) {
	d := serve(t, lms.Config{})
	page := d.attempt(t, d.be(t, "3"))
	body := url.Values{"attempt": {page.URL.Query().Get("attempt")}, "finishattempt": {"1"}}.Encode()
	got, _, _ := d.tool.Do(t.Context(), http.MethodPost, d.url+"/mod/quiz/processattempt.php", map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Cookie": d.Platform().Cookie("3").String(), "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example",
	}, body)
	if got != http.StatusForbidden {
		t.Errorf("got %d, want 403", got)
	}
}

func TestInstructorOpensTheDashboardAndAddsAnActivity(t *testing.T) {
	d := serve(t, lms.Config{})
	d.attempt(t, d.be(t, "3"))
	b := d.be(t, "2")
	course := d.open(t, b, "/course")
	if !strings.Contains(course.Body, "Amara Okafor") || !strings.Contains(course.Body, "In progress") {
		t.Error("the instructor does not see the attempt")
	}
	page := submit(t, b, course, "/proctor", nil)
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "membership#Instructor") {
		t.Errorf("live proctoring: got %d %s", page.Status, page.Body)
	}
	page = submit(t, b, course, "/deeplink", nil)
	if page.URL.Path != "/course" || !strings.Contains(page.Body, "Added to the course: Live proctoring") {
		t.Errorf("deep linking: got %d %s %s", page.Status, page.URL, page.Body)
	}
	if page = submit(t, b, page, "/open", url.Values{"link": {d.Platform().Links()[1].ID}}); page.Status != http.StatusOK {
		t.Errorf("the new activity: got %d %s", page.Status, page.Body)
	}
	student := d.be(t, "4")
	f, _ := course.Form("/proctor")
	for _, path := range []string{"/proctor", "/deeplink"} {
		f.Action = d.url + path
		if page, err := student.Submit(t.Context(), f, nil); err != nil || page.Status != http.StatusForbidden {
			t.Errorf("a student at %s: got %v %v, want 403", path, page, err)
		}
	}
}

func TestErrorsOfALaunchAreShownInWords(t *testing.T) {
	d := serve(t, lms.Config{})
	b := d.be(t, "3")
	if got := d.open(t, b, "/mod/quiz/view.php?lti_errormsg=No+consent+%3Cb%3E"); !strings.Contains(got.Body, "No consent &lt;b&gt;") {
		t.Errorf("return with an error: got %s", got.Body)
	}
	d.tool.Start = func(_, c map[string]any) { c["exp"] = 1 }
	page := submit(t, b, d.open(t, b, "/mod/quiz/view.php"), "/mod/quiz/startattempt.php", nil)
	if page.Status != http.StatusUnauthorized || !strings.Contains(page.Body, "Start again from your course") || !strings.Contains(page.Body, "expired") {
		t.Errorf("bad StartAssessment: got %d %s", page.Status, page.Body)
	}
	if got := len(d.Platform().Attempts("3", lms.LinkID)); got != 0 {
		t.Errorf("attempts: got %d, want 0", got)
	}
}

func TestSimulatedStudentsAreAddedOnceAtATime(t *testing.T) {
	gate := make(chan error)
	var d demo
	d = serve(t, lms.Config{AddSimulated: func(ctx context.Context, n int) error {
		d.NewStudents(n)
		select {
		case err := <-gate:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	b := ltitest.NewBrowser(nil)
	state := func() (s struct {
		Running bool
		Added   int
		Error   string
	},
	) {
		if err := json.Unmarshal([]byte(d.open(t, b, "/simulate").Body), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	press := func(result error) {
		submit(t, b, d.open(t, b, "/"), "/simulate", nil)
		page := submit(t, b, d.open(t, b, "/"), "/simulate", nil) // a second press changes nothing
		if !state().Running || !strings.Contains(page.Body, "Adding students") {
			t.Error("not running after the press")
		}
		gate <- result
		for state().Running {
			runtime.Gosched()
		}
	}
	press(nil)
	if s := state(); s.Added != 10 || s.Error != "" || len(d.Platform().Users()) != 17 {
		t.Errorf("got %+v and %d people, want 10 and 17", s, len(d.Platform().Users()))
	}
	press(errors.New("tool is down"))
	if s := state(); s.Added != 10 || s.Error == "" || strings.Contains(s.Error, "tool is down") {
		t.Errorf("got %+v, want an error in words", s)
	}
	if got := strings.Count(d.open(t, b, "/").Body, `name="user"`); got != 7 {
		t.Errorf("people to choose from: got %d, want 7", got)
	}
	submit(t, b, d.open(t, b, "/"), "/simulate", nil) // left running: Close must end it
}

func TestStateOutlivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lms.json")
	d := serve(t, lms.Config{StateFile: file})
	b := d.be(t, "3")
	page := submit(t, b, d.attempt(t, b), "responseform", url.Values{"q1": {"The nucleus"}, "nextpage": {"1"}})
	d.NewStudents(1)
	again, err := lms.New(lms.Config{Platform: ltitest.Config{Issuer: d.url, Now: d.clk.Now}, Tool: d.tool.URL, StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	r := httptest.NewRequest(http.MethodGet, "/mod/quiz/attempt.php?page=0&attempt="+page.URL.Query().Get("attempt"), nil)
	for _, c := range b.Cookies(d.url) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	again.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `value="The nucleus" checked`) {
		t.Errorf("after the restart: got %d %s", w.Code, w.Body)
	}
	if len(again.Platform().Tools()) != 1 || len(again.Platform().Users()) != 8 {
		t.Errorf("got %d tools and %d people, want 1 and 8", len(again.Platform().Tools()), len(again.Platform().Users()))
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state file holds keys: got %v %v, want mode 600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".lms-*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestABrokenStateFileIsSaidSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lms.json")
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"platform":{}}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := lms.New(lms.Config{Platform: ltitest.Config{Issuer: "http://127.0.0.1:1"}, Tool: "http://localhost:1", StateFile: file}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	if _, err := lms.New(lms.Config{Tool: "http://localhost:1"}); err == nil {
		t.Error("no issuer: got no error")
	}
	if _, err := lms.New(lms.Config{Platform: ltitest.Config{Issuer: "http://127.0.0.1:1"}}); err == nil {
		t.Error("no tool: got no error")
	}
}

func TestWithoutAToolTheQuizSaysSo(t *testing.T) {
	l, err := lms.New(lms.Config{Platform: ltitest.Config{Issuer: "http://127.0.0.1:1"}, Tool: "http://localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := httptest.NewRequest(http.MethodPost, "/mod/quiz/startattempt.php", nil)
	r.AddCookie(l.Platform().Cookie("3"))
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "not registered") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
