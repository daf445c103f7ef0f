package ltitest_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/internal/faketool"
)

// columns are the conditions by the headings of docs/assertion.md.
var columns = map[string]ltitest.Condition{
	"attempt not begun":                 ltitest.NotBegun,
	"running":                           ltitest.InProgress,
	"paused":                            ltitest.OnHold,
	"ended by its student or its clock": ltitest.Over,
	"ended by a proctor":                ltitest.Stopped,
	"deleted":                           ltitest.Deleted,
	"not proctored any more":            ltitest.Unproctored,
}

func cells(line string) []string {
	var out []string
	for _, c := range strings.Split(strings.Trim(line, "| \n"), "|") {
		out = append(out, strings.TrimSpace(c))
	}
	return out
}

// said is a verdict in the words of docs/assertion.md.
func said(v ltitest.Verdict) string {
	switch {
	case v.Applied == vigil.AppliedNo:
		return fmt.Sprintf("no `%s`", v.Reason)
	case v.Or != "":
		return fmt.Sprintf("%s, or no `%s`", v.Applied, v.Or)
	}
	return string(v.Applied)
}

func TestControlTableIsThatOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/assertion.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| action \\|.*\n\\|.*\n((?:\\| `.*\n)+)").FindStringSubmatch(string(text))
	if rows == nil {
		t.Fatal("no table in docs/assertion.md")
	}
	head := cells(strings.SplitN(rows[0], "\n", 2)[0])[1:]
	seen := 0
	for line := range strings.Lines(rows[1]) {
		row := cells(line)
		action := strings.Trim(row[0], "`")
		for i, cell := range row[1:] {
			seen++
			at, ok := columns[head[i]]
			if v, there := ltitest.ControlTable[action][at]; !ok || !there || said(v) != cell {
				t.Errorf("%s, %s: got %q, the document says %q", action, head[i], said(v), cell)
			}
		}
	}
	if want := len(ltitest.ControlTable) * len(ltitest.Conditions); seen != want || len(columns) != len(ltitest.Conditions) {
		t.Errorf("got %d cells in the document, want %d", seen, want)
	}
}

// walker makes attempts in every condition.
type walker struct {
	*testing.T
	p    *ltitest.Platform
	tool *faketool.Tool
	id   ltitest.Tool
	clk  *clock
	n    int
}

// seat is one student's attempt at an activity of their own.
type seat struct {
	*walker
	user, link string
}

// in makes an attempt that stands in a condition; limit 0: without an end.
func (w *walker) in(at ltitest.Condition, limit time.Duration) seat {
	w.Helper()
	w.n++
	s := seat{w, w.p.AddUser(ltitest.User{Given: "Student"}).ID, fmt.Sprint("quiz-", 100+w.n)}
	w.p.SetLink(ltitest.Link{ID: s.link, TimeLimit: limit})
	launch := ltitest.Launch{Message: ltitest.StartProctoring, ClientID: w.id.ClientID, UserID: s.user, LinkID: s.link, Attempt: 1}
	if at == ltitest.NotBegun {
		w.p.Claims(launch, "n")
		return s
	}
	open(w.T, signedIn(w.p, s.user), w.p.Begin(launch))
	id := s.attempt().ID
	var err error
	switch at {
	case ltitest.OnHold:
		s.ask("pause", "earlier", "")
	case ltitest.Over:
		_, err = w.p.HandIn(id)
	case ltitest.Stopped:
		s.ask("terminate", "earlier", "")
	case ltitest.Deleted:
		err = w.p.Delete(id)
	case ltitest.Unproctored:
		err = w.p.SwitchOff(s.link)
	}
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (s seat) attempt() ltitest.Attempt {
	s.Helper()
	a, ok := s.p.FindAttempt(s.user, s.link, 1)
	if !ok {
		s.Fatal("no attempt began")
	}
	return a
}

// ask sends a request; id "" leaves it out.
func (s seat) ask(action, id, more string) (int, map[string]any) {
	s.Helper()
	if id != "" {
		more += `,"request_id":"` + id + `"`
	}
	status, m, _ := s.tool.Control(s.Context(), ltitest.MediaControl, fmt.Sprintf(
		`{"user":{"sub":%q},"resource_link":{"id":%q},"attempt_number":1,"action":%q,"incident_time":%q%s}`,
		s.user, s.link, action, s.clk.Now().Format(time.RFC3339Nano), more))
	return status, m
}

func minutes(action string) string {
	if action == "update" {
		return `,"extra_time":5`
	}
	return ""
}

var statusOf = map[ltitest.Condition]string{
	ltitest.NotBegun: "none", ltitest.InProgress: "running", ltitest.OnHold: "paused", ltitest.Over: "complete",
	ltitest.Stopped: "terminated", ltitest.Deleted: "none", ltitest.Unproctored: "running",
}

// The plugin's own tests hold it to the table that they have; it is this one.
func TestThePluginIsHeldToTheSameTable(t *testing.T) {
	text, err := os.ReadFile("../../moodle-plugin/quizaccess_vigil/tests/local/control_test.php")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?s)DOCUMENTED = <<<'END'\n(.*?)\n +END;").FindStringSubmatch(string(text))
	if rows == nil {
		t.Fatal("no table in the plugin's tests")
	}
	lines := strings.Split(rows[1], "\n")
	head := cells(strings.TrimSpace(lines[0]))[1:]
	seen := 0
	for _, line := range lines[1:] {
		row := cells(strings.TrimSpace(line))
		for i, got := range row[1:] {
			seen++
			v := ltitest.ControlTable[row[0]][ltitest.Condition(head[i])]
			want := string(v.Applied)
			if v.Applied == vigil.AppliedNo {
				want += " " + string(v.Reason)
			}
			if got != want {
				t.Errorf("%s, %s: the plugin's tests say %q, the table %q", row[0], head[i], got, want)
			}
		}
	}
	if want := len(ltitest.ControlTable) * len(ltitest.Conditions); seen != want {
		t.Errorf("got %d cells, want %d", seen, want)
	}
}

// statusAfter is the status that an action leads to, if it does.
var statusAfter = map[string]string{"pause": "paused", "resume": "running", "terminate": "terminated"}

func newWalker(t *testing.T, cfg ltitest.Config) *walker {
	t.Helper()
	p, tool, id, clk := setup(t, cfg)
	return &walker{T: t, p: p, tool: tool, id: id, clk: clk}
}

func TestControlActsByTheTable(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	for _, action := range slices.Sorted(maps.Keys(ltitest.ControlTable)) {
		for _, at := range ltitest.Conditions {
			v := ltitest.ControlTable[action][at]
			s := w.in(at, time.Hour)
			w.clk.Add(time.Minute)
			want := statusOf[at]
			if after := statusAfter[action]; v.Applied == vigil.AppliedNow && after != "" {
				want = after
			}
			expect := func(what string, applied vigil.Applied, reason vigil.NoReason) {
				t.Helper()
				status, m := s.ask(action, "r1", minutes(action))
				got := fmt.Sprint(status, m["applied"], m["reason"], m["status"])
				words := any(nil)
				if reason != "" {
					words = reason
				}
				if wanted := fmt.Sprint(200, applied, words, want); got != wanted {
					t.Errorf("%s, %s, %s: got %s, want %s", action, at, what, got, wanted)
				}
			}
			expect("first", v.Applied, v.Reason)
			extra := 0
			if v.Applied == vigil.AppliedNow && action == "update" {
				extra = 5
			}
			if a, ok := w.p.FindAttempt(s.user, s.link, 1); ok && a.Extra != extra {
				t.Errorf("%s, %s: got %d minutes, want %d", action, at, a.Extra, extra)
			}
			if v.Applied == vigil.AppliedNo {
				expect("again", v.Applied, v.Reason)
				continue
			}
			expect("again", vigil.AppliedBefore, "")
			w.clk.Add(time.Minute) // a repeat is known by its id
			expect("again, later", vigil.AppliedBefore, "")
			if a := s.attempt(); a.Extra != extra || action == "flag" && len(a.Flags) != 1 {
				t.Errorf("%s, %s: a repeat was done: %+v", action, at, a)
			}
			if err := w.p.Delete(s.attempt().ID); err != nil {
				t.Fatal(err)
			}
			want = "none"
			expect("again, after it was deleted", vigil.AppliedBefore, "")
		}
	}
}

func TestControlThatProvesImpossible(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	for _, row := range []struct {
		name   string
		at     ltitest.Condition
		action string
		change func(s seat)
		want   vigil.NoReason
	}{
		{"extra time without an end", ltitest.InProgress, "update", func(s seat) { _, _ = w.p.MoveEnd(s.attempt().ID, time.Time{}) }, vigil.NoEnd},
		{"the same while paused", ltitest.OnHold, "update", func(s seat) { _, _ = w.p.MoveEnd(s.attempt().ID, time.Time{}) }, vigil.NoEnd},
		{"reopening a marked attempt", ltitest.Stopped, "resume", func(s seat) {
			_, _ = w.p.UpdateAttempt(s.attempt().ID, func(a *ltitest.Attempt) error { a.Marked = true; return nil })
		}, vigil.NoCannotReopen},
		{"reopening with a later attempt", ltitest.Stopped, "resume", func(s seat) {
			open(t, signedIn(w.p, s.user), w.p.Begin(ltitest.Launch{
				Message: ltitest.StartProctoring, ClientID: w.id.ClientID, UserID: s.user, LinkID: s.link, Attempt: 2,
			}))
		}, vigil.NoCannotReopen},
		{"times that the quiz refuses", ltitest.InProgress, "update", func(seat) {
			w.p.SetMischief(ltitest.Mischief{Control: func(ltitest.Control) ltitest.Fault { return ltitest.Fault{No: vigil.NoOverride} }})
		}, vigil.NoOverride},
	} {
		s := w.in(row.at, time.Hour)
		row.change(s)
		before := s.attempt()
		if status, m := s.ask(row.action, "r1", minutes(row.action)); status != 200 || m["applied"] != "no" || m["reason"] != string(row.want) {
			t.Errorf("%s: got %d %v, want no, %s", row.name, status, m, row.want)
		}
		if after := s.attempt(); after.Status != before.Status || !after.Ends.Equal(before.Ends) || len(after.Requests) != len(before.Requests) {
			t.Errorf("%s: got %+v, want it unchanged: %+v", row.name, after, before)
		}
		w.p.SetMischief(ltitest.Mischief{})
	}
	if status, m, _ := w.tool.Control(t.Context(), ltitest.MediaControl, order("pause", `,"request_id":"r1"`)); status != http.StatusNotFound {
		t.Errorf("an attempt nobody knows: got %d %v, want 404", status, m)
	}
	for _, id := range []string{`""`, `7`, `null`, `"` + strings.Repeat("x", 65) + `"`} {
		if status, _, _ := w.tool.Control(t.Context(), ltitest.MediaControl, order("pause", `,"request_id":`+id)); status != http.StatusBadRequest {
			t.Errorf("request_id %.10s: got %d, want 400", id, status)
		}
	}
}

// An older Vigil names no requests: it gets what it always got. So does everyone from an
// older plugin.
func TestControlWithoutIDs(t *testing.T) {
	for _, version := range []int{-1, 1, 2} {
		w := newWalker(t, ltitest.Config{Plugin: version})
		id := ""
		if version < 2 {
			id = "r1"
		}
		for at, want := range statusOf {
			if version < 2 && at == ltitest.Unproctored {
				want = "paused" // it does not know that
			}
			if at == ltitest.InProgress {
				want = "paused"
			}
			s := w.in(at, time.Hour)
			status, m := s.ask("pause", id, "")
			_, has := m["applied"]
			if status != http.StatusOK || m["status"] != want || has {
				t.Errorf("version %d, %s: got %d %v, want 200, %s and no more", version, at, status, m, want)
			}
		}
		s := w.in(ltitest.InProgress, time.Hour)
		for range 2 { // the same incident_time
			s.ask("update", id, minutes("update"))
		}
		w.clk.Add(time.Second)
		s.ask("update", id, minutes("update"))
		if got := s.attempt().Extra; got != 10 {
			t.Errorf("version %d: got %d minutes, want 10", version, got)
		}
		s = w.in(ltitest.Stopped, time.Hour)
		_, _ = w.p.UpdateAttempt(s.attempt().ID, func(a *ltitest.Attempt) error { a.Marked = true; return nil })
		if status, _ := s.ask("resume", id, ""); status != http.StatusForbidden {
			t.Errorf("version %d: reopening a marked attempt: got %d, want 403", version, status)
		}
	}
}

func TestReopeningGivesTheTimeBack(t *testing.T) {
	w := newWalker(t, ltitest.Config{})
	s := w.in(ltitest.InProgress, time.Hour)
	ends := s.attempt().Ends
	s.ask("pause", "p", "")
	w.clk.Add(10 * time.Minute)
	s.ask("terminate", "t", "")
	w.clk.Add(20 * time.Minute)
	if owed := w.p.Owed(); len(owed) != 1 || owed[0].Outcome != "submitted" {
		t.Errorf("got %v owed, want its end", owed)
	}
	if _, m := s.ask("resume", "r", ""); m["applied"] != "now" || m["status"] != "running" {
		t.Errorf("got %v, want it opened", m)
	}
	a := s.attempt()
	if want := ends.Add(30 * time.Minute); !a.Ends.Equal(want) || !slices.Equal(a.Requests, []string{"r"}) {
		t.Errorf("got the end %s with %v, want %s with r", a.Ends, a.Requests, want)
	}
	if owed := w.p.Owed(); len(owed) != 0 {
		t.Errorf("got %v owed, want nothing: it goes on", owed)
	}
}
