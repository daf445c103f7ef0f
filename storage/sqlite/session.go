package sqlite

import (
	"context"
	"math"
	"time"

	"vigil"
	"vigil/storage"
)

// A session lives until its exam's policy says that so much time went by since
// something last happened to it. The fragment's parameter is the present time.
const (
	sessionAge  = `max(s.created, s.changed, s.heard)`
	liveSession = sessionAge + ` > ? - e.keep_sessions`
	ofExam      = ` JOIN exams e ON e.id = s.exam_id `
)

// streamed counts the signals of a session's streams.
const streamed = `coalesce((SELECT sum(c.top - c.missing) FROM streams r CROSS JOIN counts c WHERE r.session = s.no AND c.stream = r.no), 0)`

const sessionColumns = `s.id, s.exam_id, s.user_id, s.attempt, s.generation, s.previous, s.name, s.platform_id, s.deployment_id,
	s.resource_link_id, s.plugin, s.locale, s.control_url, s.control_actions, s.return_url, s.state, s.version, s.created, s.ready,
	s.started, s.ended, s.changed, s.changed_by, s.reason, s.paused_at, s.paused_total, s.end_at, s.end_seen, s.grants, s.carry,
	s.pauses, s.due, s.pause_answered, s.consents, s.in_groups, s.groups_version,
	s.sent, s.opened, s.unwatched, s.unwatched_end, s.unwatched_room,
	s.connection, s.since, s.heard, s.epoch, s.node, s.cause, s.reports, s.watched,
	s.signals + ` + streamed + `, s.incidents, s.open_incidents, s.severity, s.last_kind, s.last_at, s.hand, s.unread, s.monitor`

func scanSession(r row, extra ...any) (s vigil.Session, err error) {
	return s, r.Scan(into(extra,
		&s.ID, &s.ExamID, &s.UserID, &s.Attempt, &s.Generation, &s.Previous, &s.Name, &s.PlatformID, &s.DeploymentID,
		&s.ResourceLinkID, &s.Plugin, &s.Locale, &s.ControlURL, listInto[string]{&s.ControlActions}, &s.ReturnURL, &s.State, &s.Version,
		timeInto{&s.Created}, timeInto{&s.Ready}, timeInto{&s.Started}, timeInto{&s.Ended}, timeInto{&s.Changed}, jsonInto{&s.By},
		&s.Reason, timeInto{&s.PausedAt}, durationInto{&s.PausedTotal}, timeInto{&s.End}, timeInto{&s.EndSeen}, grantsInto{&s.Grants},
		durationInto{&s.Carry}, pausesInto{&s.Pauses}, timeInto{&s.DueAt}, timeInto{&s.PauseAnswered}, consentsInto{&s.Consents},
		listInto[vigil.Group]{&s.Groups}, &s.GroupsVersion,
		timeInto{&s.Sent}, timeInto{&s.Opened}, timeInto{&s.Unwatched}, timeInto{&s.UnwatchedEnd}, &s.UnwatchedRoom,
		&s.Presence.Connection, timeInto{&s.Presence.Since}, timeInto{&s.Presence.Heard}, &s.Presence.Epoch, &s.Presence.Node, &s.Presence.Cause,
		timeInto{&s.Presence.Reports}, durationInto{&s.Presence.Watched},
		&s.Tally.Signals, &s.Tally.Incidents, &s.Tally.Open, &s.Tally.Severity, &s.Tally.LastKind, timeInto{&s.Tally.LastAt},
		timeInto{&s.Tally.Hand}, &s.Tally.Unread, monitorInto{&s.Monitor})...)
}

// CreateSession implements storage.Sessions.
func (s *Store) CreateSession(ctx context.Context, v vigil.Session) error {
	if v.Created.IsZero() {
		return vigil.Invalid("created", "A session needs the time of its creation.")
	}
	now := ms(s.now())
	return s.writeAll(ctx, "session", func(t tx) error {
		// One that expired and was not swept yet is not in the way.
		_, err := removeSessions(t, `SELECT s.no FROM sessions s WHERE exam_id = ? AND user_id = ? AND attempt = ? AND generation = ?
			AND `+sessionAge+` <= ? - (SELECT keep_sessions FROM exams WHERE id = s.exam_id)`,
			v.ExamID, v.UserID, v.Attempt, v.Generation, now)
		if err != nil {
			return err
		}
		p := v.Presence
		_, err = t.exec(`INSERT INTO sessions (id, exam_id, user_id, attempt, generation, previous, name, platform_id, deployment_id,
			resource_link_id, plugin, locale, control_url, control_actions, return_url, state, version, created, ready, started, ended,
			changed, changed_by, reason, paused_at, paused_total, end_at, end_seen, grants, carry, pauses, due, pause_answered, consents,
			in_groups, groups_version, sent, opened, unwatched, unwatched_end, unwatched_room,
			connection, since, heard, epoch, node, cause, reports, watched, epochs, monitor)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			v.ID, v.ExamID, v.UserID, v.Attempt, v.Generation, v.Previous, v.Name, v.PlatformID, v.DeploymentID,
			v.ResourceLinkID, v.Plugin, v.Locale, v.ControlURL, listJSON(v.ControlActions), v.ReturnURL, v.State, v.Version,
			ms(v.Created), ms(v.Ready), ms(v.Started), ms(v.Ended), ms(v.Changed), toJSON(v.By), v.Reason, ms(v.PausedAt),
			dms(v.PausedTotal), ms(v.End), ms(v.EndSeen), grantsJSON(v.Grants), dms(v.Carry), pausesJSON(v.Pauses), ms(v.DueAt), ms(v.PauseAnswered), consentsJSON(v.Consents),
			listJSON(v.Groups), v.GroupsVersion, ms(v.Sent), ms(v.Opened), ms(v.Unwatched), ms(v.UnwatchedEnd), v.UnwatchedRoom,
			p.Connection, ms(p.Since), ms(p.Heard), p.Epoch, p.Node, p.Cause, ms(p.Reports), dms(p.Watched), p.Epoch, monitorJSON(v.Monitor))
		return err
	})
}

// Session implements storage.Sessions.
func (s *Store) Session(ctx context.Context, id string) (vigil.Session, error) {
	return get(ctx, s, "session", scanSession,
		`SELECT `+sessionColumns+` FROM sessions s`+ofExam+`WHERE s.id = ? AND `+liveSession, id, ms(s.now()))
}

// SessionOfAttempt implements storage.Sessions.
func (s *Store) SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error) {
	return get(ctx, s, "session", scanSession, `SELECT `+sessionColumns+` FROM sessions s`+ofExam+`
		WHERE s.exam_id = ? AND s.user_id = ? AND s.attempt = ? AND `+liveSession+` ORDER BY s.generation DESC LIMIT 1`,
		examID, userID, attempt, ms(s.now()))
}

// SessionsOfExam implements storage.Sessions.
func (s *Store) SessionsOfExam(ctx context.Context, examID string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	return paged[vigil.Session]{
		what: "session", scan: scanSession, start: lowest,
		query: `SELECT 0, s.no, ` + sessionColumns + ` FROM exams e CROSS JOIN sessions s INDEXED BY sessions_exam
			WHERE e.id = ? AND s.exam_id = e.id AND ` + liveSession + ` AND s.no > ? ORDER BY s.no LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}

// SetHand implements storage.Sessions.
func (s *Store) SetHand(ctx context.Context, sessionID string, at time.Time) error {
	return s.write(ctx, "session", func(t tx) error {
		return t.session(t.exec(`UPDATE sessions SET hand = ? WHERE id = ?`, ms(at), sessionID))
	})
}

// SetMonitor implements storage.Sessions.
func (s *Store) SetMonitor(ctx context.Context, sessionID string, m vigil.Monitor) error {
	return s.write(ctx, "session", func(t tx) error {
		return t.session(t.exec(`UPDATE sessions SET monitor = ? WHERE id = ?`, monitorJSON(m), sessionID))
	})
}

// SetGroups implements storage.Sessions.
func (s *Store) SetGroups(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error {
	return s.write(ctx, "session's groups", func(t tx) error {
		return t.update("session's groups", `UPDATE sessions SET in_groups = ?, groups_version = ? WHERE id = ? AND groups_version < ?`,
			[]any{listJSON(groups), version, sessionID, version}, `SELECT 1 FROM sessions WHERE id = ?`, sessionID)
	})
}

// session turns "no row changed" into CodeNotFound, for writes that name a session.
func (t tx) session(n int64, err error) error {
	if err == nil && n == 0 {
		return notFound("session")
	}
	return err
}

// removeSessions removes the sessions whose numbers a query finds, and all that is theirs.
func removeSessions(t tx, query string, args ...any) (int, error) {
	found, err := all(t, number, query, args...)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if err := forgotten(t); err != nil {
		return 0, err
	}
	for _, no := range found {
		if _, err := removeSignals(t, due{no: no, cutoff: math.MaxInt64}, math.MaxInt64); err != nil {
			return 0, err
		}
		if _, err := t.exec(`DELETE FROM sessions WHERE no = ?`, no); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}
