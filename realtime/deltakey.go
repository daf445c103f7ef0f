package realtime

import (
	"strconv"

	"vigil"
	"vigil/realtime/protocol"
)

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
