package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil"
)

// timelineRow is an entry worded for the page.
type timelineRow struct {
	entry
	When   time.Time // by the server's clock
	Client time.Time // by the student's, where it differs
	NewDay bool      // the first of its day
	What   string
	Step   string // of the severity
	Long   string
	Detail string
	Who    string
}

func rowsOf(entries []entry, w words) []timelineRow {
	out := make([]timelineRow, len(entries))
	day := ""
	for i, e := range entries {
		row := timelineRow{entry: e, When: time.UnixMilli(e.order()).UTC(), Step: severityWord(e.Severity), Who: w.role(e.By)}
		if e.Recv != 0 && e.Recv/1000 != e.At/1000 {
			row.Client = time.UnixMilli(e.At).UTC()
		}
		if d := row.When.Format(time.DateOnly); d != day {
			row.NewDay, day = true, d
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
			row.Detail = joined(spanOf(w, e.Seconds), w.reason(e.Reason), e.Text, e.Problem)
		case "chat":
			row.What = w.text("chat." + string(e.From))
			row.Detail, row.Who = e.Text, e.Name
		case "state":
			row.What = w.text("state." + string(e.State))
			row.Detail = w.reason(e.Reason)
		}
		if dur != 0 {
			row.Long = w.span(time.Duration(dur) * time.Millisecond)
		}
		out[i] = row
	}
	return out
}

func spanOf(w words, seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return w.span(time.Duration(seconds) * time.Second)
}

func joined(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, " · ")
}

// role words an actor who has no name; names stay as they are.
func (w words) role(by string) string {
	switch r := vigil.Role(by); r {
	case vigil.RoleStudent, vigil.RoleProctor, vigil.RoleSystem, vigil.RoleLMS:
		return w.text("role." + by)
	}
	return by
}

// reason words a reason code; what a person typed stays as it is.
func (w words) reason(reason string) string {
	if reason == "deadline" || slices.Contains(vigil.ReasonCodes, reason) {
		return w.text("reason." + reason)
	}
	return reason
}

// detailOf shows a signal's data in short: it is a flat object of short values.
func detailOf(data []byte) string {
	var values map[string]any
	if len(data) == 0 || json.Unmarshal(data, &values) != nil {
		return ""
	}
	parts := make([]string, 0, len(values))
	for name, v := range values {
		parts = append(parts, fmt.Sprintf("%s: %v", name, v))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
