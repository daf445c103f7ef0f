package realtime

import (
	"time"

	"vigil"
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
		created: ms(s.Created), started: ms(s.Started), ended: ms(s.Ended), changed: ms(s.Changed), pausedAt: ms(s.PausedAt), pauseAnswered: ms(s.PauseAnswered), end: ms(s.End), endSeen: ms(s.EndSeen),
		unwatched: ms(s.Unwatched), unwatchedEnd: ms(s.UnwatchedEnd),
		pausedTotal: s.PausedTotal, pauses: s.Pauses, grants: s.Grants, plugin: s.Plugin,
	}
}

// session is the life as a session, for its rules; whatever else a session has is empty.
func (l life) session() vigil.Session {
	return vigil.Session{
		State: l.state, Version: l.version, Name: l.name, Reason: l.reason, Plugin: l.plugin,
		Created: moment(l.created), Started: moment(l.started), Ended: moment(l.ended), Changed: moment(l.changed),
		PausedAt: moment(l.pausedAt), PauseAnswered: moment(l.pauseAnswered), End: moment(l.end), EndSeen: moment(l.endSeen),
		Unwatched: moment(l.unwatched), UnwatchedEnd: moment(l.unwatchedEnd),
		PausedTotal: l.pausedTotal, Pauses: l.pauses, Grants: l.grants,
	}
}
