package web

import (
	"cmp"
	"context"
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"vigil"
)

// reportRow is one session in the exam's report.
type reportRow struct {
	Session  vigil.Session
	Name     string
	Gaps     int
	Lost     time.Duration
	Granted  time.Duration
	Severity string // the words of the highest
	Worst    []vigil.Incident
	Commands int
}

// report is the exam's summary.
type report struct {
	Rows      []reportRow
	Ended     int
	Incidents int
	Open      int
	Lost      time.Duration
	More      bool // the bound cut it
}

// worstShown is how many of a session's incidents the report names.
const worstShown = 3

func (s *Server) report(ctx context.Context, exam vigil.Exam) (report, error) {
	var out report
	now := s.now()
	sessions, more, err := all(maxEntries, func(p vigil.Page) ([]vigil.Session, string, error) {
		return s.store.SessionsOfExam(ctx, exam.ID, p)
	})
	if err != nil {
		return out, err
	}
	incidents, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Incident, string, error) {
		return s.store.IncidentsOfExam(ctx, exam.ID, p)
	})
	if err != nil {
		return out, err
	}
	more = more || cut
	gaps, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Gap, string, error) { return s.store.GapsOfExam(ctx, exam.ID, p) })
	if err != nil {
		return out, err
	}
	more = more || cut
	commands, cut, err := all(maxEntries, func(p vigil.Page) ([]vigil.Command, string, error) {
		return s.store.CommandsOfExam(ctx, exam.ID, time.Time{}, p)
	})
	if err != nil {
		return out, err
	}
	out.More = more || cut

	worst := map[string][]vigil.Incident{}
	for _, i := range incidents {
		worst[i.SessionID] = append(worst[i.SessionID], i)
	}
	lost, count := map[string]time.Duration{}, map[string]int{}
	for _, g := range gaps {
		lost[g.SessionID] += g.Lost(now)
		count[g.SessionID]++
	}
	given := map[string]int{}
	for _, c := range commands {
		given[c.SessionID]++
	}
	for _, session := range sessions {
		session = s.hub.Live(session).Settled(exam.Policy, now)
		row := reportRow{
			Session: session, Name: firstOf(session.Name, session.UserID), Gaps: count[session.ID], Lost: lost[session.ID],
			Worst: worst[session.ID], Commands: given[session.ID],
		}
		for _, g := range session.Grants {
			if g.State == vigil.GrantConfirmed {
				row.Granted += g.Time
			}
		}
		slices.SortStableFunc(row.Worst, func(a, b vigil.Incident) int { return cmp.Compare(b.Severity, a.Severity) })
		row.Worst = row.Worst[:min(worstShown, len(row.Worst))]
		row.Severity = severityWord(session.Tally.Severity)
		if session.State.Ended() {
			out.Ended++
		}
		out.Incidents += session.Tally.Incidents
		out.Open += session.Tally.Open
		out.Lost += row.Lost
		out.Rows = append(out.Rows, row)
	}
	slices.SortStableFunc(out.Rows, func(a, b reportRow) int {
		return cmp.Or(cmp.Compare(b.Session.Tally.Open, a.Session.Tally.Open),
			cmp.Compare(b.Session.Tally.Severity, a.Session.Tally.Severity), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}

// severityWord names a severity's step, for the words' key severity.*.
func severityWord(v float64) string {
	switch {
	case v >= 0.9:
		return "critical"
	case v >= 0.6:
		return "high"
	case v >= 0.3:
		return "medium"
	case v > 0:
		return "low"
	}
	return "none"
}

func (s *Server) reportPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p, exam, err := s.proctor(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	rep, err := s.report(ctx, exam)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	lang := pickLang(p.Lang, r)
	if r.URL.Query().Get("format") == "csv" {
		s.audit(ctx, exam.ID, "", "report.download", actorOf(p), "")
		s.writeReportCSV(w, r, rep)
		return
	}
	s.audit(ctx, exam.ID, "", "report.view", actorOf(p), "")
	allowFrame(w, p.Frame)
	s.show(w, r, http.StatusOK, "report.html", view{
		Title: exam.Title, Lang: lang, Page: "report", Wide: true,
		Config: map[string]any{"lang": lang, "page": "report", "now": s.now().UnixMilli()},
		Data:   map[string]any{"Exam": exam, "Report": rep, "Base": "/dashboard/" + exam.ID, "Now": s.now()},
	})
}

func (s *Server) writeReportCSV(w http.ResponseWriter, r *http.Request, rep report) {
	rows := [][]string{{
		"name", "user", "attempt", "generation", "state", "started", "ended", "signals", "incidents", "open_incidents",
		"highest_severity", "gaps", "lost_seconds", "granted_seconds", "commands", "session",
	}}
	for _, row := range rep.Rows {
		x := row.Session
		rows = append(rows, []string{
			x.Name, x.UserID, strconv.Itoa(x.Attempt), strconv.Itoa(x.Generation), string(x.State), iso(x.Started), iso(x.Ended),
			strconv.Itoa(x.Tally.Signals), strconv.Itoa(x.Tally.Incidents), strconv.Itoa(x.Tally.Open),
			strconv.FormatFloat(x.Tally.Severity, 'g', -1, 64), strconv.Itoa(row.Gaps), seconds(row.Lost), seconds(row.Granted),
			strconv.Itoa(row.Commands), x.ID,
		})
	}
	s.writeCSV(w, r, "report-"+chi.URLParam(r, "exam"), rows)
}

func (s *Server) writeTimelineCSV(w http.ResponseWriter, r *http.Request, entries []entry) {
	rows := [][]string{{"type", "client_time", "server_time", "kind", "severity", "incident", "duration_seconds", "text", "by", "stage", "lms", "review", "data", "id"}}
	for _, e := range entries {
		kind, dur := firstOf(e.Kind, string(e.State), string(e.Cause), string(e.From)), e.Dur
		if e.Type == "gap" && e.End != 0 {
			dur = e.End - e.At
		}
		row := []string{
			e.Type, iso(time.UnixMilli(e.At)), "", kind, "", "", "", e.Text, firstOf(e.By, e.Name), string(e.Stage), "", "", string(e.Data), e.ID,
		}
		if e.Recv != 0 {
			row[2] = iso(time.UnixMilli(e.Recv))
		}
		if e.Type == "signal" {
			row[4], row[5] = strconv.FormatFloat(e.Severity, 'g', -1, 64), strconv.FormatBool(e.Incident)
		}
		if dur != 0 {
			row[6] = seconds(time.Duration(dur) * time.Millisecond)
		}
		if e.LMS != nil {
			row[10] = string(e.LMS.State)
		}
		if e.Review != nil {
			row[11] = string(e.Review.State)
		}
		rows = append(rows, row)
	}
	s.writeCSV(w, r, "timeline-"+chi.URLParam(r, "session"), rows)
}

// writeCSV sends a table. A cell that a spreadsheet would take for a formula is quoted
// with an apostrophe: names and chat are other people's text.
func (s *Server) writeCSV(w http.ResponseWriter, r *http.Request, name string, rows [][]string) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="vigil-`+name+`.csv"`)
	h.Set("Cache-Control", "no-store")
	c := csv.NewWriter(w)
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
		if err := c.Write(row); err != nil {
			s.log.WarnContext(r.Context(), "download broke off", "error", err)
			return
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		s.log.WarnContext(r.Context(), "download broke off", "error", err)
	}
}

func iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// timelineRow is an entry worded for the page.
type timelineRow struct {
	entry
	When, Client string
	What         string
	Step         string // of the severity
	Long         string
	Detail       string
}

func rowsOf(entries []entry, w words) []timelineRow {
	out := make([]timelineRow, len(entries))
	for i, e := range entries {
		row := timelineRow{entry: e, When: formatClock(time.UnixMilli(e.order())), Step: severityWord(e.Severity)}
		if e.Recv != 0 && e.Recv != e.At {
			row.Client = formatClock(time.UnixMilli(e.At))
		}
		dur := e.Dur
		switch e.Type {
		case "signal":
			row.What = w.text("kind." + e.Kind)
			row.Detail = detailOf(e.Data)
		case "gap":
			row.What = w.text("gap." + string(e.Cause))
			if e.End != 0 {
				dur = e.End - e.At
			} else {
				row.Detail = w.text("gap.open")
			}
			if e.Decision != "" {
				row.Detail = w.text("gap." + string(e.Decision))
			}
		case "command":
			row.What = w.text("command." + e.Kind)
			row.Detail = firstOf(e.Problem, e.Text)
			if e.Seconds != 0 {
				row.Detail = strings.TrimSpace(w.span(time.Duration(e.Seconds)*time.Second) + " " + row.Detail)
			}
		case "chat":
			row.What = w.text("chat." + string(e.From))
			row.Detail = e.Text
		case "state":
			row.What = w.text("state." + string(e.State))
			row.Detail = e.Reason
		}
		if dur != 0 {
			row.Long = w.span(time.Duration(dur) * time.Millisecond)
		}
		out[i] = row
	}
	return out
}

// detailOf shows a signal's data in short: it is a flat object of short values.
func detailOf(data []byte) string {
	return strings.NewReplacer(`{`, "", `}`, "", `"`, "", `:`, ": ", `,`, ", ").Replace(string(data))
}
