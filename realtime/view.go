package realtime

import (
	"time"

	"vigil"
)

// How things of the root package look on the wire.

func examView(e vigil.Exam) ExamView {
	watch := e.Policy.Watch
	if watch == nil {
		watch = []vigil.Watch{}
	}
	return ExamView{
		ID: e.ID, Title: e.Title, Course: e.Course, Watch: watch, Fullscreen: e.Policy.Fullscreen,
		Pause: e.Policy.Pause, Admission: e.Policy.Admission, Attention: e.Policy.Attention,
	}
}

// row is the whole row of a session that is settled.
func row(s vigil.Session, p vigil.Policy, now time.Time) Row {
	life := rowLife(s, p, now)
	conn := rowConn(s.Presence, 0)
	tally := rowTally(s.Tally)
	who := RowWho{Name: s.Name, User: s.UserID, Attempt: s.Attempt, Created: ms(s.Created)}
	if s.Generation > 1 {
		who.Generation = s.Generation
	}
	r := Row{ID: s.ID, Who: &who, Life: &life, Conn: &conn, Tally: &tally}
	if s.Monitor.State != vigil.MonitorUnknown {
		m := rowMonitor(s.Monitor)
		r.Monitor = &m
	}
	return r
}

func rowLife(s vigil.Session, p vigil.Policy, now time.Time) RowLife {
	l := RowLife{
		Version: s.Version, State: s.State, Changed: ms(s.Changed), By: s.By.Name, Reason: s.Reason,
		Started: ms(s.Started), Ended: ms(s.Ended), End: ms(s.Deadline(p)),
	}
	l.Left = pausedLeft(s, p, now)
	l.Opened, l.Counted = ms(s.Opened), s.Counted()
	for _, p := range s.Pauses {
		l.Pauses = append(l.Pauses, RowPause{From: ms(p.From), To: ms(p.To)})
	}
	if !s.Unwatched.IsZero() {
		l.Unwatched, l.UnwatchedEnd, l.UnwatchedRoom, l.UnwatchedMaybe = ms(s.Unwatched), ms(s.UnwatchedEnd), s.UnwatchedRoom, !s.BegunKnown()
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

// pausedLeft is the time that stands still, while paused.
func pausedLeft(s vigil.Session, p vigil.Policy, now time.Time) int64 {
	if s.State != vigil.StatePaused {
		return 0
	}
	left, ok := s.Left(p, now)
	if !ok {
		return 0
	}
	return left.Milliseconds()
}

func rowConn(p vigil.Presence, page int) RowConn {
	c := p.Connection
	if c == "" {
		c = vigil.ConnNever
	}
	return RowConn{
		Conn: c, Since: ms(p.Since), Heard: ms(p.Heard), Epoch: p.Epoch, Cause: p.Cause, Page: page,
		Reports: ms(p.Reports), Watched: p.Watched.Milliseconds(),
	}
}

func rowTally(t vigil.Tally) RowTally {
	return RowTally{
		Signals: t.Signals, Incidents: t.Incidents, Open: t.Open, Severity: t.Severity,
		LastKind: t.LastKind, LastAt: ms(t.LastAt), Hand: ms(t.Hand), Unread: t.Unread,
	}
}

func rowMonitor(m vigil.Monitor) RowMonitor {
	return RowMonitor{
		State: m.State, Since: ms(m.Since), Heard: ms(m.Heard), Pages: m.Pages, Visible: m.Visible.Milliseconds(),
		Hidden: m.Hidden.Milliseconds(), Focus: m.Focuses, Focused: m.Focused.Milliseconds(),
	}
}

// rowLost sums up the gaps of a session's ledger that have ended; nil where it is empty.
func rowLost(p vigil.Policy, gaps []vigil.Gap) *RowLost {
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

func signalDelta(s vigil.Signal) delta {
	d := delta{session: s.SessionID, level: levelSignal, frame: encode(SignalDown{
		T: TypeSignal, Session: s.SessionID, Stream: s.Stream, Seq: s.Seq, Kind: s.Kind, Severity: s.Severity,
		Incident: s.Incident, At: ms(s.At), Recv: ms(s.Received), Dur: s.Duration.Milliseconds(), Data: s.Data,
	})}
	if s.Incident {
		d.level = levelIncident
	}
	return d
}

func gapDown(g vigil.Gap) GapDown {
	return GapDown{
		T: TypeGap, Session: g.SessionID, ID: g.ID, Start: ms(g.Start), End: ms(g.End), Cause: g.Cause,
		Proposed: g.Proposed.Milliseconds(), Decision: g.Decision,
	}
}

func chatDown(l vigil.ChatLine) ChatDown {
	return ChatDown{
		T: TypeChat, ID: l.ID, Session: l.SessionID, From: l.From.Role, Name: l.From.Name,
		Text: l.Text, Urgent: l.Urgent, At: ms(l.At),
	}
}

func commandDown(c vigil.Command) CommandDown {
	return CommandDown{
		T: TypeCommand, ID: c.ID, Kind: c.Kind, Text: c.Text, By: c.By.Name,
		Secs: int64(c.Time / time.Second), At: ms(c.At),
	}
}

func progress(c vigil.Command) Progress {
	p := Progress{
		T: TypeProgress, ID: c.ID, Session: c.SessionID, Kind: c.Kind, Stage: c.Stage,
		Problem: c.Problem, At: ms(c.At), By: c.By.Name,
	}
	for _, t := range []time.Time{c.Delivered, c.Seen, c.LMS.At} {
		p.At = max(p.At, ms(t))
	}
	if c.LMS.State != "" && c.LMS.State != vigil.LMSNone {
		p.LMS = &LMSProgress{State: c.LMS.State, Status: c.LMS.Status, Problem: c.LMS.Problem, At: ms(c.LMS.At)}
	}
	return p
}

func stateDown(s vigil.Session) StateDown {
	return StateDown{T: TypeState, State: s.State, Version: s.Version, Reason: s.Reason, At: ms(s.Changed)}
}

// timeDown tells a student the end of the attempt. While paused there is only time left.
func timeDown(s vigil.Session, p vigil.Policy, now time.Time) Time {
	return Time{T: TypeTime, Now: ms(now), End: ms(s.Deadline(p)), Left: pausedLeft(s, p, now)}
}
