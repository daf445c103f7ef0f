package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigil"
)

// timelineRow is an entry worded for the page.
type timelineRow struct {
	entry
	When   time.Time // by the server's clock
	Client time.Time // by the student's, where it differs
	Wrong  bool      // the student's cannot be right
	Far    bool      // and is not kept as it was
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
		row.Wrong, row.Far = e.Impossible, e.Impossible && vigil.FarOff(time.UnixMilli(e.At))
		if d := row.When.Format(time.DateOnly); d != day {
			row.NewDay, day = true, d
		}
		dur := e.Dur
		switch e.Type {
		case "signal":
			row.What = w.signal(e.Kind, e.Severity)
			row.Detail = w.detailOf(e.Kind, e.Data)
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

// signal is what a signal is called. A monitor that missed a question or two, on a phone that froze,
// say, is called neither silent nor altered.
func (w words) signal(kind string, severity float64) string {
	if kind == string(vigil.KindMonitorSilent) && severity == 0 {
		return w.text("monitor.unanswered")
	}
	return w.text("kind." + kind)
}

// detailOf shows a signal's data in short: it is a flat object of short values. What needs a sentence
// has one: sleep is the computer's, and no part of what is said of the student.
func (w words) detailOf(kind string, data []byte) string {
	var values map[string]any
	if len(data) == 0 || json.Unmarshal(data, &values) != nil {
		return ""
	}
	var first, parts, last []string
	for name, v := range values {
		n, isNumber := v.(float64)
		span := w.span(time.Duration(n) * time.Millisecond)
		text, isText := v.(string)
		switch {
		case name == "asleep" && isNumber:
			last = append(last, w.text("detail.asleep", "time", span))
		case name == "reported" && isNumber:
			last = append(last, w.text("detail.reported", "time", span))
		case kind == string(vigil.KindConnected) && name == "browser" && v == true:
			first = append(first, w.text("detail.browser"))
		case name == "continued" && v == true:
			first = append(first, w.text("detail.continued"))
		case kind == string(vigil.KindRefused) && name == "kind" && isText:
			if text == "chat" {
				first = append(first, w.text("detail.chat"))
			} else {
				first = append(first, w.text("kind."+text))
			}
		case isNumber:
			parts = append(parts, name+": "+strconv.FormatFloat(n, 'f', -1, 64))
		default:
			parts = append(parts, fmt.Sprintf("%s: %v", name, v))
		}
	}
	slices.Sort(parts)
	slices.Sort(last)
	return joined(joined(first...), strings.Join(parts, ", "), joined(last...))
}
