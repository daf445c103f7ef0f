package web

import (
	"cmp"
	"encoding/csv"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

func (s *Server) writeReportCSV(w http.ResponseWriter, r *http.Request, rep report) {
	rows := [][]string{{
		"name", "user", "attempt", "generation", "state", "started", "ended", "signals", "incidents", "open_incidents",
		"highest_severity", "gaps", "lost_seconds", "granted_seconds", "commands", "session",
	}}
	for _, c := range causes {
		rows[0] = append(rows[0], "lost_"+string(c)+"_seconds")
	}
	rows[0] = append(rows[0], "groups", "opened", "watched_minutes", "open_minutes", "not_watched_seconds",
		"monitor", "monitor_since", "visible_seconds", "hidden_seconds", "focused_seconds")
	for _, row := range rep.Rows {
		x := row.Session
		cells := []string{
			x.Name, x.UserID, strconv.Itoa(x.Attempt), strconv.Itoa(x.Generation), string(x.State), iso(x.Started), iso(x.Ended),
			strconv.Itoa(x.Tally.Signals), strconv.Itoa(x.Tally.Incidents), strconv.Itoa(x.Tally.Open),
			strconv.FormatFloat(x.Tally.Severity, 'g', -1, 64), strconv.Itoa(row.Gaps), seconds(row.Lost), seconds(row.Granted),
			strconv.Itoa(row.Commands), x.ID,
		}
		for _, c := range causes {
			cells = append(cells, seconds(row.lostBy(c)))
		}
		cells = append(cells, strings.Join(row.Groups, "; "), iso(x.Opened))
		if row.Counted {
			cells = append(cells, minutes(row.Watched), minutes(row.Open), seconds(row.Unwatched))
		} else {
			cells = append(cells, "", "", "")
		}
		m := x.Monitor
		rows = append(rows, append(cells, string(m.State), iso(m.Since), seconds(m.Visible), seconds(m.Hidden), seconds(m.Focused)))
	}
	s.writeCSV(w, r, "report-"+chi.URLParam(r, "exam"), rows)
}

func (s *Server) writeTimelineCSV(w http.ResponseWriter, r *http.Request, entries []entry) {
	rows := [][]string{{"type", "client_time", "server_time", "kind", "severity", "incident", "duration_seconds", "text", "by", "stage", "lms", "review", "data", "id", "client_time_impossible"}}
	for _, e := range entries {
		kind, dur := cmp.Or(e.Kind, string(e.State), string(e.Cause), string(e.From)), e.Dur
		if e.Type == "gap" && e.End != 0 {
			dur = e.End - e.At
		}
		row := []string{
			e.Type, iso(time.UnixMilli(e.At)), "", kind, "", "", "", e.Text, cmp.Or(e.By, e.Name), string(e.Stage), "", "", string(e.Data), e.ID, "",
		}
		if e.Recv != 0 {
			row[2] = iso(time.UnixMilli(e.Recv))
		}
		if e.Type == "signal" {
			row[4], row[5] = strconv.FormatFloat(e.Severity, 'g', -1, 64), strconv.FormatBool(e.Incident)
			row[14] = strconv.FormatBool(e.Impossible)
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

// formula finds what a spreadsheet could take for the beginning of a formula: at the
// beginning of a cell, and after what some of them split cells at.
var formula = regexp.MustCompile(`(^|[;\t\r\n])([ "']*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])`)

// cellOf makes a cell harmless: names and chat are other people's text.
func cellOf(text string) string { return formula.ReplaceAllString(text, "$1'$2") }

// writeCSV sends a table. It begins with a byte order mark, without which spreadsheets
// read names in the wrong alphabet.
func (s *Server) writeCSV(w http.ResponseWriter, r *http.Request, name string, rows [][]string) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="vigil-`+name+`.csv"`)
	c := csv.NewWriter(w)
	_, err := io.WriteString(w, "\uFEFF")
	for _, row := range rows {
		if err != nil {
			break
		}
		for i, cell := range row {
			row[i] = cellOf(cell)
		}
		err = c.Write(row)
	}
	c.Flush()
	if err = cmp.Or(err, c.Error()); err != nil {
		s.log.WarnContext(r.Context(), "download broke off", "error", err)
	}
}

func iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// minutes is a duration in minutes, to a tenth.
func minutes(d time.Duration) string { return strconv.FormatFloat(d.Minutes(), 'f', 1, 64) }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
