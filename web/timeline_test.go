package web_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigil"
)

// TestTimelinePagesFollowEachOther reads a long timeline page by page, while entries come in
// that stand before the end of what was read: a gap is known long after it began.
func TestTimelinePagesFollowEachOther(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	exam := teacher.dashboard()

	// Fifty arrive at each moment, so that a page ends among those of one moment.
	const n = 1130
	at := r.now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	list := make([]vigil.Signal, n)
	for i := range list {
		received := at.Add(time.Duration(i/50) * time.Minute)
		list[i] = vigil.Signal{SessionID: s.ID, ExamID: s.ExamID, Stream: "stream-0123456789", Seq: int64(i + 1), Kind: "copy", At: received, Received: received}
	}
	for part := range 12 {
		_, err := r.store.AppendSignals(t.Context(), list[part*100:min(n, (part+1)*100)])
		r.ok(err)
	}
	gap := func(id string, start time.Time) {
		r.ok(r.store.CreateGap(t.Context(), vigil.Gap{
			ID: id, SessionID: s.ID, ExamID: s.ExamID, Start: start, End: start.Add(time.Minute), Cause: vigil.CauseUnclear,
		}))
	}
	gap("gap-000", at)

	path := "/api/v1/exams/" + exam + "/sessions/" + s.ID + "/timeline"
	seen := map[string]int{}
	order, pages := int64(-1), 0
	for after := ""; ; pages++ {
		body := teacher.call("GET", path+"?after="+url.QueryEscape(after), "").json(r)
		entries := body["entries"].([]any)
		if len(entries) > 500 {
			t.Fatalf("got %d entries in a page, want at most 500", len(entries))
		}
		for _, e := range entries {
			m := e.(map[string]any)
			if m["type"] != "signal" && m["type"] != "gap" {
				continue
			}
			seen[m["id"].(string)]++
			if m["type"] == "signal" {
				seq := int64(m["seq"].(float64))
				if seq <= order {
					t.Fatalf("got signal %d after %d", seq, order)
				}
				order = seq
			}
		}
		next, _ := body["next"].(string)
		if next == "" {
			break
		}
		if next == after || pages > 5 {
			t.Fatalf("got %q after %q, want the timeline to end", next, after)
		}
		after = next
		gap("gap-late-"+string(rune('a'+pages)), at.Add(30*time.Second)) // before all that was read
	}
	r.want("pages before the last", pages, 2)
	r.want("signals and gaps read", len(seen), n+1)
	for id, times := range seen {
		if times != 1 {
			t.Errorf("got %q %d times, want it once", id, times)
		}
	}
	whole := teacher.call("GET", path, "").json(r)["entries"].([]any)
	r.want("entries of a page read anew", len(whole), 500)
}

// TestReadingATimelineIsRecorded: the dashboard's panel reads by the API, from any place, and whoever
// reads there leaves the entry that the page leaves.
func TestReadingATimelineIsRecorded(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	exam := teacher.dashboard()
	path := "/api/v1/exams/" + exam + "/sessions/" + s.ID + "/timeline"
	for n, after := range []string{"", "?after=0.0.0.", "?after=9999999999999.4.0.z"} {
		r.want("status", teacher.call("GET", path+after, "").status, http.StatusOK)
		entries, _, err := r.store.AuditOfExam(t.Context(), exam, vigil.Page{})
		r.ok(err)
		looks := 0
		for _, e := range entries {
			if e.Action == "timeline.view" && len(e.Sessions) == 1 && e.Sessions[0] == s.ID && e.By.Role == vigil.RoleProctor {
				looks++
			}
		}
		r.want("looks recorded after "+after, looks, min(n+1, 2)) // nothing stands after the end
	}
}

// TestTimelineRefusesForeignPlaces asks for what stands after no place at all.
func TestTimelineRefusesForeignPlaces(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	path := "/api/v1/exams/" + teacher.dashboard() + "/sessions/" + s.ID + "/timeline?after="
	for _, after := range []string{"x", "-1", "50", "1e3", "1.2.3", "1.9.0.a", "1.-1.0.a", "a.0.0.a", "99999999999999999999.0.0.a", "1.0.0." + string(make([]byte, 300))} {
		r.want("status after "+after, teacher.call("GET", path+url.QueryEscape(after), "").status, http.StatusBadRequest)
	}
	r.want("entries after the end", len(teacher.call("GET", path+"9999999999999.4.0.z", "").json(r)["entries"].([]any)), 0)
	if len(teacher.call("GET", path+"0.0.0.", "").json(r)["entries"].([]any)) == 0 {
		t.Error("got no entries after the beginning, want all")
	}
}

// TestLossesAreToldByTheirCause: what the student's side did not lose is never shown as
// theirs, and what older servers called navigation is unclear.
func TestLossesAreToldByTheirCause(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	base := "/dashboard/" + teacher.dashboard()
	at := r.now().Add(-time.Hour)
	for i, c := range []vigil.Cause{vigil.CauseStudent, vigil.CauseServer, vigil.CauseLMS, vigil.CauseUnclear, vigil.CauseNavigation} {
		start := at.Add(time.Duration(i) * 5 * time.Minute)
		r.ok(r.store.CreateGap(t.Context(), vigil.Gap{
			ID: "gap-" + string(c), SessionID: s.ID, ExamID: s.ExamID, Start: start, End: start.Add(time.Duration(i+1) * time.Minute), Cause: c,
		}))
	}
	after := at.Add(50 * time.Minute) // an absence after the end of the attempt, which was not known then
	r.ok(r.store.CreateGap(t.Context(), vigil.Gap{ID: "gap-none", SessionID: s.ID, ExamID: s.ExamID, Start: after, End: after, Cause: vigil.CauseStudent}))

	r.ok(r.store.SetMonitor(t.Context(), s.ID, vigil.Monitor{
		State: vigil.MonitorSilent, Since: time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC), Visible: 90 * time.Second, Hidden: 30 * time.Second, Focused: time.Minute,
	}))
	report := teacher.get(base + "/report")
	for _, text := range []string{"15 min 0 s (5)", "student&#39;s side 1 min 0 s", "our side 2 min 0 s", "learning platform 3 min 0 s", "unclear 9 min 0 s", "Monitor: silent since 2026-09-01 08:00"} {
		r.contains(report, text)
	}
	timeline := teacher.get(base + "/sessions/" + s.ID)
	for text, times := range map[string]int{
		"Offline (student&#39;s side)": 1, "Offline (our side)": 1, "Offline (learning platform was slow)": 1, "Offline (unclear: between two pages)": 2,
	} {
		r.want(text, strings.Count(timeline.Body, text), times)
	}

	_, text, _ := strings.Cut(teacher.call("GET", base+"/report?format=csv", "").text, "\uFEFF")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	r.ok(err)
	want := map[string]string{
		"lost_seconds": "900", "lost_student_seconds": "60", "lost_server_seconds": "120", "lost_lms_seconds": "180", "lost_unclear_seconds": "540",
		"monitor": "silent", "monitor_since": "2026-09-01T08:00:00.000Z", "visible_seconds": "90", "hidden_seconds": "30", "focused_seconds": "60",
	}
	for i, name := range rows[0] {
		if seconds, ok := want[name]; ok {
			r.want(name, rows[1][i], seconds)
			delete(want, name)
		}
	}
	r.want("columns that are missing", len(want), 0)
	file := teacher.call("GET", base+"/sessions/"+s.ID+"?format=csv", "").text
	r.want("gaps in the file that are unclear", strings.Count(file, ",unclear,"), 2)
	r.want("gaps in the file under an old name", strings.Count(file, "navigation"), strings.Count(file, "gap-navigation"))
}

// TestCheckinOfAStoppedSession says that the attempt goes on, not that it is over.
func TestCheckinOfAStoppedSession(t *testing.T) {
	r := newRig(t)
	p := r.lms(pluginQuiz(`{}`)).person(student)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	lms := vigil.Actor{Role: vigil.RoleLMS}
	for _, event := range []vigil.Event{vigil.EventActivate, vigil.EventStop} {
		_, err := r.hub.Sessions().Apply(t.Context(), s.ID, vigil.Change{Event: event, At: r.now(), By: lms})
		r.ok(err)
	}
	page := p.get("/checkin/" + s.ID)
	r.contains(page, "Proctoring was switched off")
	r.contains(page, "go on working in your quiz")
	if strings.Contains(page.Body, "has ended") {
		t.Errorf("got %s, want no word of an end", page.Body)
	}
}

// TestATimeThatCannotBeIsMarked: what a computer's clock made impossible is kept, stands where it
// arrived, and says so; what a computer slept is a statement of its own.
func TestATimeThatCannotBeIsMarked(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	received := r.now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	far, _ := vigil.PossibleTime(1)
	list := []vigil.Signal{
		{Kind: vigil.KindHidden, At: received.Add(-4 * time.Second), Duration: 4 * time.Second},
		{Kind: vigil.KindPrint, At: received.AddDate(-3, 0, 0)},
		{Kind: vigil.KindHandRaised, At: far},
		{Kind: vigil.KindCopy, At: received.Add(time.Hour)},
		{Kind: vigil.KindIdle, At: received.Add(-20 * time.Minute), Duration: 20 * time.Minute, Data: []byte(`{"asleep":1140000,"continued":true}`)},
		{Kind: vigil.KindBlur, At: received.Add(-20 * time.Minute), Duration: 20 * time.Minute, Data: []byte(`{"reported":7200000}`)},
	}
	for i := range list {
		g := &list[i]
		g.SessionID, g.ExamID, g.Stream, g.Seq, g.Received = s.ID, s.ExamID, "stream-0123456789", int64(i+1), received
	}
	_, err := r.store.AppendSignals(t.Context(), list)
	r.ok(err)
	want := map[string]bool{"hidden": false, "print": true, "hand_raised": true, "copy": true, "idle": false, "blur": false}

	exam := teacher.dashboard()
	for _, e := range teacher.call("GET", "/api/v1/exams/"+exam+"/sessions/"+s.ID+"/timeline", "").json(r)["entries"].([]any) {
		m := e.(map[string]any)
		if impossible, ok := want[fmt.Sprint(m["kind"])]; ok {
			r.want(fmt.Sprint(m["kind"], " impossible"), m["impossible"] == true, impossible)
		}
	}
	page := teacher.get("/dashboard/" + exam + "/sessions/" + s.ID)
	r.want("marks", strings.Count(page.Body, "cannot be:"), 2)
	for _, text := range []string{"decades off", "the computer slept for 19 min 0 s", "went on", "the browser said 2 h 0 min, which cannot be", list[1].At.Format("2006-01-02 15:04:05") + " UTC"} {
		r.contains(page, text)
	}

	_, text, _ := strings.Cut(teacher.call("GET", "/dashboard/"+exam+"/sessions/"+s.ID+"?format=csv", "").text, "\uFEFF")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	r.ok(err)
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	found := 0
	for _, row := range rows[1:] {
		for _, name := range []string{"client_time", "server_time"} {
			if at := row[column[name]]; at != "" && !strings.HasSuffix(at, "Z") {
				t.Errorf("%s: got %q, want it in UTC, said by its Z", name, at)
			}
		}
		if impossible, ok := want[row[column["kind"]]]; ok {
			found++
			r.want("column of "+row[column["kind"]], row[column["client_time_impossible"]], strconv.FormatBool(impossible))
		}
	}
	r.want("rows", found, len(want))
}

// TestAMonitorThatMissedAQuestionIsNotCalledAltered: a phone that froze for a minute is no accusation.
func TestAMonitorThatMissedAQuestionIsNotCalledAltered(t *testing.T) {
	r := newRig(t)
	l := r.lms(pluginQuiz(`{}`))
	p, teacher := l.person(student), l.person(instructor)
	checkin := p.attempt(1)
	s := r.session(last(checkin))
	p.start(checkin)
	at := r.now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	note := vigil.Signal{SessionID: s.ID, ExamID: s.ExamID, Stream: "server:0123456789abcdef", Seq: 1, Kind: vigil.KindMonitorSilent, At: at, Received: at, Data: []byte(`{"missed":1}`)}
	_, err := r.store.AppendSignals(t.Context(), []vigil.Signal{note})
	r.ok(err)
	path := "/dashboard/" + teacher.dashboard() + "/sessions/" + s.ID
	page := teacher.get(path)
	r.contains(page, "The monitor did not answer")
	r.want("silent or altered", strings.Contains(page.Body, "silent or altered"), false)
	note.Seq, note.Severity, note.Incident, note.Data = 2, 0.6, true, []byte(`{"missed":3,"why":"silent"}`)
	_, err = r.store.AppendSignals(t.Context(), []vigil.Signal{note})
	r.ok(err)
	r.contains(teacher.get(path), "The monitor is silent or altered")
}
