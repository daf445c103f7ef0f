package protocol

import (
	"time"

	"vigil"
)

// How things of the root package look on the wire.

// ExamOf is what a client needs to know of an exam.
func ExamOf(e vigil.Exam) ExamView {
	watch := e.Policy.Watch
	if watch == nil {
		watch = []vigil.Watch{}
	}
	return ExamView{
		ID: e.ID, Title: e.Title, Course: e.Course, Watch: watch, Fullscreen: e.Policy.Fullscreen,
		Pause: e.Policy.Pause, Admission: e.Policy.Admission, Attention: e.Policy.Attention,
	}
}

// RowOf is the whole row of a session that is settled.
func RowOf(s vigil.Session, p vigil.Policy, now time.Time) Row {
	life := LifeOf(s, p, now)
	conn := ConnOf(s.Presence, 0)
	tally := TallyOf(s.Tally)
	who := RowWho{Name: s.Name, User: s.UserID, Attempt: s.Attempt, Created: Millis(s.Created)}
	if s.Generation > 1 {
		who.Generation = s.Generation
	}
	r := Row{ID: s.ID, Who: &who, Life: &life, Conn: &conn, Tally: &tally}
	if s.Monitor.State != vigil.MonitorUnknown {
		m := MonitorOf(s.Monitor)
		r.Monitor = &m
	}
	return r
}

// LifeOf is the lifecycle and the clock of a session that is settled.
func LifeOf(s vigil.Session, p vigil.Policy, now time.Time) RowLife {
	l := RowLife{
		Version: s.Version, State: s.State, Changed: Millis(s.Changed), By: s.By.Name, Reason: s.Reason,
		Started: Millis(s.Started), Ended: Millis(s.Ended), End: Millis(s.Deadline(p)),
	}
	l.Left = PausedLeft(s, p, now)
	l.Opened, l.Counted = Millis(s.Opened), s.Counted()
	for _, p := range s.Pauses {
		l.Pauses = append(l.Pauses, RowPause{From: Millis(p.From), To: Millis(p.To)})
	}
	if !s.Unwatched.IsZero() {
		l.Unwatched, l.UnwatchedEnd, l.UnwatchedRoom, l.UnwatchedMaybe = Millis(s.Unwatched), Millis(s.UnwatchedEnd), s.UnwatchedRoom, !s.BegunKnown()
	}
	var granted time.Duration
	for _, g := range s.Grants {
		if g.State != vigil.GrantRefused {
			granted += g.Time
		}
	}
	l.Granted = granted.Milliseconds()
	if s.ControlURL != "" {
		l.Control = s.ControlActions
	}
	return l
}

// PausedLeft is the time that stands still, while paused.
func PausedLeft(s vigil.Session, p vigil.Policy, now time.Time) int64 {
	if s.State != vigil.StatePaused {
		return 0
	}
	left, ok := s.Left(p, now)
	if !ok {
		return 0
	}
	return left.Milliseconds()
}

// ConnOf is a connection, with the page of the quiz that the student is on; 0: not known.
func ConnOf(p vigil.Presence, page int) RowConn {
	c := p.Connection
	if c == "" {
		c = vigil.ConnNever
	}
	return RowConn{
		Conn: c, Since: Millis(p.Since), Heard: Millis(p.Heard), Epoch: p.Epoch, Cause: p.Cause, Page: page,
		Reports: Millis(p.Reports), Watched: p.Watched.Milliseconds(),
	}
}

// TallyOf is a session's counts.
func TallyOf(t vigil.Tally) RowTally {
	return RowTally{
		Signals: t.Signals, Incidents: t.Incidents, Open: t.Open, Severity: t.Severity,
		LastKind: t.LastKind, LastAt: Millis(t.LastAt), Hand: Millis(t.Hand), Unread: t.Unread,
	}
}

// MonitorOf is what is known of a session's monitor.
func MonitorOf(m vigil.Monitor) RowMonitor {
	return RowMonitor{
		State: m.State, Since: Millis(m.Since), Heard: Millis(m.Heard), Pages: m.Pages, Visible: m.Visible.Milliseconds(),
		Hidden: m.Hidden.Milliseconds(), Focus: m.Focuses, Focused: m.Focused.Milliseconds(),
	}
}

// LostOf sums up the gaps of a session's ledger that have ended; nil where it is empty.
func LostOf(p vigil.Policy, gaps []vigil.Gap) *RowLost {
	if len(gaps) == 0 {
		return nil
	}
	var l RowLost
	for _, g := range vigil.ProposeLostTime(p, gaps) {
		l.Version += g.Version + 1
		if g.End.IsZero() {
			continue
		}
		l.Gaps++
		l.Total += g.Lost(g.End).Milliseconds()
		switch g.Decision {
		case vigil.GapUndecided:
			l.Proposed += g.Proposed.Milliseconds()
		case vigil.GapGranted:
			l.Granted += g.Proposed.Milliseconds()
		}
	}
	return &l
}

// SignalOf is a signal as proctors see it.
func SignalOf(s vigil.Signal) SignalDown {
	return SignalDown{
		T: TypeSignal, Session: s.SessionID, Stream: s.Stream, Seq: s.Seq, Kind: s.Kind, Severity: s.Severity,
		Incident: s.Incident, At: Millis(s.At), Recv: Millis(s.Received), Dur: s.Duration.Milliseconds(), Data: s.Data,
	}
}

// GapOf is a gap as proctors see it.
func GapOf(g vigil.Gap) GapDown {
	return GapDown{
		T: TypeGap, Session: g.SessionID, ID: g.ID, Start: Millis(g.Start), End: Millis(g.End), Cause: g.Cause,
		Proposed: g.Proposed.Milliseconds(), Decision: g.Decision,
	}
}

// ChatOf is a chat line as everybody sees it.
func ChatOf(l vigil.ChatLine) ChatDown {
	return ChatDown{
		T: TypeChat, ID: l.ID, Session: l.SessionID, From: l.From.Role, Name: l.From.Name,
		Text: l.Text, Urgent: l.Urgent, At: Millis(l.At),
	}
}

// CommandOf is a command as its student gets it.
func CommandOf(c vigil.Command) CommandDown {
	return CommandDown{
		T: TypeCommand, ID: c.ID, Kind: c.Kind, Text: c.Text, By: c.By.Name,
		Secs: int64(c.Time / time.Second), At: Millis(c.At),
	}
}

// ProgressOf is how far a command got.
func ProgressOf(c vigil.Command) Progress {
	p := Progress{
		T: TypeProgress, ID: c.ID, Session: c.SessionID, Kind: c.Kind, Stage: c.Stage,
		Problem: c.Problem, At: Millis(c.At), By: c.By.Name,
	}
	for _, t := range []time.Time{c.Delivered, c.Seen, c.LMS.At} {
		p.At = max(p.At, Millis(t))
	}
	if c.LMS.State != "" && c.LMS.State != vigil.LMSNone {
		p.LMS = &LMSProgress{State: c.LMS.State, Status: c.LMS.Status, Problem: c.LMS.Problem, At: Millis(c.LMS.At)}
	}
	return p
}

// StateOf is the state that a student is told.
func StateOf(s vigil.Session) StateDown {
	return StateDown{T: TypeState, State: s.State, Version: s.Version, Reason: s.Reason, At: Millis(s.Changed)}
}

// TimeOf tells a student the end of the attempt. While paused there is only time left.
func TimeOf(s vigil.Session, p vigil.Policy, now time.Time) Time {
	return Time{T: TypeTime, Now: Millis(now), End: Millis(s.Deadline(p)), Left: PausedLeft(s, p, now)}
}

// GroupsOf are the groups as a row shows them to somebody; nil: nothing was told.
func GroupsOf(a vigil.Access, version int64, groups []vigil.Group) *RowGroups {
	if version == 0 {
		return nil
	}
	list := []vigil.Group{}
	names := 0
	for _, group := range a.Shown(groups) {
		group.Hidden = false // of no use to whom it is shown
		if names += len(group.Name); names > maxRowNames {
			group.Name = ""
		}
		if list = append(list, group); len(list) == maxRowGroups {
			break
		}
	}
	return &RowGroups{version, list}
}

// Bounds of the groups in a row, which must fit into a message: more groups than anybody is in,
// and bytes of their names.
const (
	maxRowGroups = 200
	maxRowNames  = 8 << 10
)

// AccessOf is what an access record allows.
func AccessOf(a vigil.Access) AccessView {
	v := AccessView{Rights: []vigil.Right{}, All: a.All}
	for _, r := range vigil.Rights {
		if a.May(r) {
			v.Rights = append(v.Rights, r)
		}
	}
	return v
}
