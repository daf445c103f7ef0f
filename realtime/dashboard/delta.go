package dashboard

import (
	"strconv"
	"time"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// Delta is one frame for an exam's proctors. A later one with the same key replaces it
// in the queue of a proctor who is slow.
type Delta struct {
	Key   string
	Level socket.Level
	Frame []byte // nil: only groups are told
	// Session is whose delta it is: only proctors who see the student get it. "": it is of
	// nobody, and for those only who see everyone, unless it is ForAll.
	Session string
	Created bool    // it adds the session
	ForAll  bool    // it tells nothing of any student; it is not relayed
	Groups  *Groups // the session's groups, told behind the frame
}

// Groups is a platform's word on a student's groups.
type Groups struct {
	Version int64         `json:"v"`
	List    []vigil.Group `json:"l"`
}

// groupsOf is what a session knows of its student's groups; of version 0: nothing was told.
func groupsOf(s vigil.Session) *Groups { return &Groups{s.GroupsVersion, s.Groups} }

// SignalDelta tells of a signal.
func SignalDelta(s vigil.Signal) Delta {
	d := Delta{Session: s.SessionID, Level: socket.LevelSignal, Frame: protocol.Encode(protocol.SignalOf(s))}
	if s.Incident {
		d.Level = socket.LevelIncident
	}
	return d
}

// CreatedDelta tells of a new session.
func CreatedDelta(s vigil.Session, p vigil.Policy, now time.Time) Delta {
	d := rowDelta("new/"+s.ID, protocol.RowOf(s, p, now))
	d.Created, d.Groups = true, groupsOf(s)
	return d
}

// ConnDelta tells of a session's connection.
func ConnDelta(session string, c protocol.RowConn) Delta {
	return rowDelta(connKey(session, c), protocol.Row{ID: session, Conn: &c})
}

// LifeDelta tells of a session's life.
func LifeDelta(session string, l protocol.RowLife) Delta {
	return rowDelta(lifeKey(session, l), protocol.Row{ID: session, Life: &l})
}

// TallyDelta tells a session's counts.
func TallyDelta(session string, counts vigil.Tally) Delta {
	t := protocol.TallyOf(counts)
	return rowDelta(tallyKey(session), protocol.Row{ID: session, Tally: &t})
}

// MonitorDelta tells what is known of a session's monitor.
func MonitorDelta(session string, monitor vigil.Monitor) Delta {
	m := protocol.MonitorOf(monitor)
	return rowDelta(monitorKey(session, m), protocol.Row{ID: session, Monitor: &m})
}

// LostDelta tells the sums of a session's ledger.
func LostDelta(session string, l protocol.RowLost) Delta {
	return rowDelta(lostKey(session, l), protocol.Row{ID: session, Lost: &l})
}

// GroupsDelta tells the groups of a session's student, and nothing else.
func GroupsDelta(s vigil.Session) Delta { return Delta{Session: s.ID, Groups: groupsOf(s)} }

// ProgressDelta tells how a command gets on.
func ProgressDelta(c vigil.Command) Delta {
	return Delta{Session: c.SessionID, Key: progressKey(c), Frame: protocol.Encode(protocol.ProgressOf(c))}
}

// GapDelta tells of a gap.
func GapDelta(g vigil.Gap) Delta {
	return Delta{Session: g.SessionID, Key: "gap/" + g.SessionID + "/" + g.ID, Frame: protocol.Encode(protocol.GapOf(g))}
}

// ChatDelta tells of a line of a session's chat.
func ChatDelta(session string, line protocol.ChatDown) Delta {
	return Delta{Session: session, Frame: protocol.Encode(line)}
}

// pulse says that the connection lives, and what time it is.
func pulse(now time.Time) Delta {
	return Delta{Key: "pulse", ForAll: true, Frame: protocol.Encode(protocol.Pulse{T: protocol.TypePulse, Now: protocol.Millis(now)})}
}

func rowDelta(key string, r protocol.Row) Delta {
	return Delta{Session: r.ID, Key: key, Frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: r})}
}

// A delta's key names what a later delta may replace in a dashboard's full queue. What two
// nodes tell of one session may overtake each other on the way, and dashboards keep the
// newer, whichever comes first. So where they compare (Row, Progress), what they compare is
// part of the key: an old delta that comes late does not replace a newer one that waits.

func connKey(session string, c protocol.RowConn) string {
	return "conn/" + session + "/" + strconv.FormatInt(c.Epoch, 36) + "/" + strconv.FormatInt(c.Since, 36)
}

func lifeKey(session string, l protocol.RowLife) string {
	return "life/" + session + "/" + strconv.FormatInt(l.Version, 36)
}

// tallyKey is of counts, which say nothing of their age.
func tallyKey(session string) string { return "tally/" + session }

// monitorKey is of what is known of the monitor.
func monitorKey(session string, m protocol.RowMonitor) string {
	return "monitor/" + session + "/" + strconv.FormatInt(m.Since, 36) + "/" + strconv.FormatInt(m.Heard, 36)
}

// lostKey is of the ledger's sums.
func lostKey(session string, l protocol.RowLost) string {
	return "lost/" + session + "/" + strconv.FormatInt(l.Version, 36)
}

func progressKey(c vigil.Command) string {
	return "progress/" + c.SessionID + "/" + c.ID + "/" + string(c.Stage) + "/" + string(c.LMS.State)
}

// groupsKey is of the student's groups.
func groupsKey(session string, version int64) string {
	return "groups/" + session + "/" + strconv.FormatInt(version, 36)
}
