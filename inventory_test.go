package vigil

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inventory says for each field that is stored in which row of docs/privacy.md it is told. A
// new field fails until it is here, and so until somebody has thought of whom it concerns.
var inventory = map[string]map[string]string{
	"Session": {
		"ID": "attempt", "ExamID": "attempt", "UserID": "attempt", "Name": "name", "Attempt": "attempt", "Generation": "attempt", "Previous": "attempt",
		"PlatformID": "attempt", "DeploymentID": "attempt", "ResourceLinkID": "attempt", "Plugin": "attempt", "Locale": "attempt",
		"ControlURL": "attempt", "ControlActions": "attempt", "ReturnURL": "attempt", "Consents": "consent",
		"State": "attempt", "Version": "attempt", "Created": "attempt", "Ready": "attempt", "Started": "attempt", "Ended": "attempt", "Changed": "attempt",
		"By": "attempt", "Reason": "attempt", "PausedAt": "attempt", "PauseAnswered": "attempt", "PausedTotal": "attempt", "Pauses": "attempt",
		"End": "attempt", "EndSeen": "attempt", "Grants": "attempt", "Carry": "attempt", "DueAt": "attempt",
		"Sent": "attempt", "Opened": "attempt", "Unwatched": "attempt", "UnwatchedEnd": "attempt", "UnwatchedRoom": "attempt",
		"Groups": "groups", "GroupsVersion": "groups", "Presence": "presence", "Tally": "tally", "Monitor": "monitor",
	},
	"Group": {"ID": "groups", "Name": "groups", "Hidden": "groups"},
	"Access": {
		"ExamID": "access", "UserID": "access", "Version": "access", "At": "access", "All": "access", "Groups": "access", "Rights": "access",
	},
	"Consent": {"Notice": "consent", "At": "consent"},
	"Presence": {
		"Connection": "presence", "Since": "presence", "Heard": "presence", "Epoch": "presence", "Node": "presence", "Cause": "presence",
		"Reports": "presence", "Watched": "presence",
	},
	"Tally": {
		"Signals": "tally", "Incidents": "tally", "Open": "tally", "Severity": "tally", "LastKind": "tally", "LastAt": "tally", "Hand": "tally", "Unread": "tally",
	},
	"Monitor": {
		"State": "monitor", "Since": "monitor", "Heard": "monitor", "Pages": "monitor", "Visible": "monitor", "Hidden": "monitor", "Focused": "monitor",
		"Focuses": "monitor", "Given": "monitor",
	},
	"Signal": {
		"SessionID": "signal", "ExamID": "signal", "Stream": "signal", "Seq": "signal", "Kind": "signal", "Severity": "signal", "Incident": "signal",
		"At": "signal", "Duration": "signal", "Received": "signal", "Data": "signal",
	},
	"Incident": {
		"ID": "incident", "SessionID": "incident", "ExamID": "incident", "Kind": "incident", "Severity": "incident", "At": "incident", "Duration": "incident",
		"Review": "incident", "Reviewer": "incident", "Note": "incident", "Reviewed": "incident", "Version": "incident",
	},
	"Gap": {
		"ID": "gap", "SessionID": "gap", "ExamID": "gap", "Start": "gap", "End": "gap", "Cause": "gap", "Until": "gap", "Paused": "gap",
		"Proposed": "gap", "Decision": "gap", "CommandID": "gap", "Version": "gap",
	},
	"Command": {
		"ID": "command", "SessionID": "command", "ExamID": "command", "Kind": "command", "Text": "command", "ReasonCode": "command", "Time": "command",
		"Severity": "command", "By": "command", "At": "command", "Stage": "command", "Problem": "command", "Delivered": "command", "Seen": "command", "LMS": "command",
	},
	"Delivery": {
		"ID": "delivery", "SessionID": "delivery", "ExamID": "delivery", "CommandID": "delivery", "Version": "delivery", "Action": "delivery",
		"ExtraMinutes": "delivery", "IncidentTime": "delivery", "Severity": "delivery", "ReasonCode": "delivery", "Reason": "delivery", "State": "delivery",
		"Tries": "delivery", "Sent": "delivery", "Created": "delivery", "NextTry": "delivery", "LeaseOwner": "delivery", "LeaseEnds": "delivery",
	},
	"Erasure":  {"ID": "erasure", "Salt": "erasure", "Hash": "erasure", "ExamID": "erasure", "Attempt": "erasure", "At": "erasure"},
	"ChatLine": {"ID": "chat", "SessionID": "chat", "ExamID": "chat", "From": "chat", "Text": "chat", "Urgent": "chat", "At": "chat"},
}

// stored are the things that inventory lists by field. An audit entry and a record are told as
// a whole: what they say is not in their fields' names.
var stored = []any{Session{}, Consent{}, Presence{}, Tally{}, Monitor{}, Signal{}, Incident{}, Gap{}, Command{}, Delivery{}, ChatLine{}, Erasure{}, Group{}, Access{}}

var wholes = []string{"audit", "checkpoint", "visit", "records"}

func TestEachStoredFieldHasItsPlaceInTheInventory(t *testing.T) {
	rows := privacyRows(t, "## In the store", 4)
	told := slices.Clone(wholes)
	for _, v := range stored {
		typ := reflect.TypeOf(v)
		fields := inventory[typ.Name()]
		for i := range typ.NumField() {
			name := typ.Field(i).Name
			row := fields[name]
			if _, ok := rows[row]; !ok {
				t.Errorf("%s.%s: got row %q of docs/privacy.md, want one that is there", typ.Name(), name, row)
			}
			told = append(told, row)
		}
		if len(fields) != typ.NumField() {
			t.Errorf("%s: got %d fields in the inventory, want its %d", typ.Name(), len(fields), typ.NumField())
		}
	}
	for row, cells := range rows {
		if !slices.Contains(told, row) {
			t.Errorf("docs/privacy.md: row %q is of nothing that is stored", row)
		}
		for i, cell := range cells {
			if cell == "" {
				t.Errorf("docs/privacy.md: row %q says nothing in column %d", row, i+2)
			}
		}
	}
	for _, row := range wholes {
		if rows[row] == nil {
			t.Errorf("docs/privacy.md has no row %q", row)
		}
	}
}

// TestEachKindOfSignalIsInTheInventory compares each kind with its row: what of its data is
// kept, and the group by which the notice names it.
func TestEachKindOfSignalIsInTheInventory(t *testing.T) {
	rows := privacyRows(t, "### Signals", 4)
	for _, k := range Kinds() {
		cells, ok := rows[string(k)]
		if !ok {
			t.Errorf("docs/privacy.md has no row for %s", k)
			continue
		}
		delete(rows, string(k))
		if got, want := words(cells[0]), k.Fields(); !slices.Equal(got, want) {
			t.Errorf("%s: docs/privacy.md says that %v is kept, the code keeps %v", k, got, want)
		}
		group := "always"
		if w := k.WatchOf(); w != "" {
			group = "`" + string(w) + "`"
		}
		if cells[1] != group {
			t.Errorf("%s: docs/privacy.md has group %s, the code %s", k, cells[1], group)
		}
	}
	for name := range rows {
		t.Errorf("docs/privacy.md: there is no kind %q", name)
	}
	for k := range dataFields {
		if !k.Known() {
			t.Errorf("data is kept of %q, which is no kind", k)
		}
	}
}

var codeWord = regexp.MustCompile("`([a-z_]+)`")

func words(cell string) []string {
	var out []string
	for _, m := range codeWord.FindAllStringSubmatch(cell, -1) {
		out = append(out, m[1])
	}
	return out
}

// privacyRows reads a table of docs/privacy.md: the cells after the first, by each code word
// of the first.
func privacyRows(t *testing.T, heading string, columns int) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/privacy.md has no %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	rows := map[string][]string{}
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "|") || len(words(cells[0])) == 0 {
			continue
		}
		if len(cells) != columns {
			t.Fatalf("docs/privacy.md: got %d cells, want %d: %s", len(cells), columns, line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		for _, w := range words(cells[0]) {
			if rows[w] != nil {
				t.Errorf("docs/privacy.md has %q twice", w)
			}
			rows[w] = cells[1:]
		}
	}
	return rows
}
