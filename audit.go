package vigil

import "time"

// Audit is an entry of the record of who did what: commands, reviews, looking at
// reports, changes of policy and of platforms. Entries are only ever added.
type Audit struct {
	ID        string // UUIDv7
	ExamID    string // empty: not about an exam
	SessionID string // empty: not about a session
	Action    string // "command.pause", "incident.review", "report.view", ...
	By        Actor
	Detail    string // for people; no secrets, no chat text
	At        time.Time
}
