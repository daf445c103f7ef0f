package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

const gapColumns = `g.id, s.id, s.exam_id, g.start_at, g.end_at, g.cause, g.proposed, g.decision, g.command_id, g.version, g.until_at, g.paused`

func scanGap(r row, extra ...any) (g vigil.Gap, err error) {
	return g, r.Scan(into(extra, &g.ID, &g.SessionID, &g.ExamID, timeInto{&g.Start}, timeInto{&g.End}, &g.Cause,
		durationInto{&g.Proposed}, &g.Decision, &g.CommandID, &g.Version, timeInto{&g.Until}, durationInto{&g.Paused})...)
}

// CreateGap implements storage.Gaps.
func (s *Store) CreateGap(ctx context.Context, g vigil.Gap) error {
	return s.write(ctx, "gap", func(t tx) error { return t.session(insertGap(t, g)) })
}

// insertGap adds a gap to the session that it names and returns 0 if that is not there.
func insertGap(t tx, g vigil.Gap) (int64, error) {
	return t.exec(`INSERT INTO gaps (session, exam_id, id, start_at, end_at, cause, proposed, decision, command_id, version, until_at, paused)
		SELECT no, exam_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sessions WHERE id = ?`,
		g.ID, ms(g.Start), ms(g.End), g.Cause, dms(g.Proposed), g.Decision, g.CommandID, g.Version, ms(g.Until), dms(g.Paused), g.SessionID)
}

// UpdateGap implements storage.Gaps.
func (s *Store) UpdateGap(ctx context.Context, g vigil.Gap) error {
	return s.write(ctx, "gap", func(t tx) error { return updateGap(t, g) })
}

func updateGap(t tx, g vigil.Gap) error {
	return t.update("gap", `UPDATE gaps SET start_at = ?, end_at = ?, cause = ?, proposed = ?, decision = ?, command_id = ?, until_at = ?,
		paused = ?, version = version + 1 WHERE session = (SELECT no FROM sessions WHERE id = ?) AND id = ? AND version = ?`,
		[]any{
			ms(g.Start), ms(g.End), g.Cause, dms(g.Proposed), g.Decision, g.CommandID, ms(g.Until), dms(g.Paused),
			g.SessionID, g.ID, g.Version,
		},
		`SELECT 1 FROM gaps WHERE session = (SELECT no FROM sessions WHERE id = ?) AND id = ?`, g.SessionID, g.ID)
}

// GapsOfSession implements storage.Gaps.
func (s *Store) GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error) {
	return list(ctx, s, "gap", scanGap, `SELECT `+gapColumns+` FROM sessions s`+ofExam+`CROSS JOIN gaps g
		WHERE s.id = ? AND `+liveSession+` AND g.session = s.no ORDER BY g.start_at, g.no`, sessionID, ms(s.now()))
}

// GapsOfExam implements storage.Gaps.
func (s *Store) GapsOfExam(ctx context.Context, examID string, page storage.Page) (gaps []vigil.Gap, next string, err error) {
	return paged[vigil.Gap]{
		what: "gap", scan: scanGap, start: lowest,
		query: `SELECT 0, g.no, ` + gapColumns + ` FROM exams e CROSS JOIN gaps g INDEXED BY gaps_exam CROSS JOIN sessions s ON s.no = g.session
			WHERE e.id = ? AND g.exam_id = e.id AND ` + liveSession + ` AND g.no > ? ORDER BY g.no LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}
