package realtime

import (
	"time"

	"vigil"
	"vigil/realtime/protocol"
)

// life is what is kept here of a session: what its student's clock and the judgement of
// its end need. There is one for everybody who is connected, and a whole session is five
// times as large.
type life struct {
	state   vigil.State
	version int64
	name    string
	reason  string
	// ms since 1970, 0: none
	created, started, ended, changed, pausedAt, pauseAnswered, end, endSeen int64
	unwatched, unwatchedEnd                                                 int64
	pausedTotal                                                             time.Duration
	pauses                                                                  []vigil.Pause
	grants                                                                  []vigil.Grant
	plugin                                                                  bool
}

func lifeOf(s vigil.Session) life {
	return life{
		state: s.State, version: s.Version, name: s.Name, reason: s.Reason,
		created: protocol.Millis(s.Created), started: protocol.Millis(s.Started), ended: protocol.Millis(s.Ended), changed: protocol.Millis(s.Changed), pausedAt: protocol.Millis(s.PausedAt), pauseAnswered: protocol.Millis(s.PauseAnswered), end: protocol.Millis(s.End), endSeen: protocol.Millis(s.EndSeen),
		unwatched: protocol.Millis(s.Unwatched), unwatchedEnd: protocol.Millis(s.UnwatchedEnd),
		pausedTotal: s.PausedTotal, pauses: s.Pauses, grants: s.Grants, plugin: s.Plugin,
	}
}

// session is the life as a session, for its rules; whatever else a session has is empty.
func (l life) session() vigil.Session {
	return vigil.Session{
		State: l.state, Version: l.version, Name: l.name, Reason: l.reason, Plugin: l.plugin,
		Created: protocol.Moment(l.created), Started: protocol.Moment(l.started), Ended: protocol.Moment(l.ended), Changed: protocol.Moment(l.changed),
		PausedAt: protocol.Moment(l.pausedAt), PauseAnswered: protocol.Moment(l.pauseAnswered), End: protocol.Moment(l.end), EndSeen: protocol.Moment(l.endSeen),
		Unwatched: protocol.Moment(l.unwatched), UnwatchedEnd: protocol.Moment(l.unwatchedEnd),
		PausedTotal: l.pausedTotal, Pauses: l.pauses, Grants: l.grants,
	}
}
