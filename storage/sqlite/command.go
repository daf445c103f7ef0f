package sqlite

import (
	"context"
	"time"

	"vigil"
	"vigil/storage"
)

const commandColumns = `c.id, s.id, s.exam_id, c.kind, c.text, c.reason_code, c.time, c.severity, c.given_by, c.at, c.stage, c.problem,
	c.delivered, c.seen, c.lms_state, c.lms_status, c.lms_problem, c.lms_at`

func scanCommand(r row, extra ...any) (c vigil.Command, err error) {
	return c, r.Scan(into(extra, &c.ID, &c.SessionID, &c.ExamID, &c.Kind, &c.Text, &c.ReasonCode, durationInto{&c.Time}, &c.Severity,
		jsonInto{&c.By}, timeInto{&c.At}, &c.Stage, &c.Problem, timeInto{&c.Delivered}, timeInto{&c.Seen},
		&c.LMS.State, &c.LMS.Status, &c.LMS.Problem, timeInto{&c.LMS.At})...)
}

func insertCommand(t tx, session int64, c vigil.Command) error {
	_, err := t.exec(`INSERT INTO commands (session, exam_id, id, kind, text, reason_code, time, severity, given_by, at, stage, problem,
		delivered, seen, lms_state, lms_status, lms_problem, lms_at)
		SELECT no, exam_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sessions WHERE no = ?`,
		c.ID, c.Kind, c.Text, c.ReasonCode, dms(c.Time), c.Severity, toJSON(c.By), ms(c.At), c.Stage, c.Problem,
		ms(c.Delivered), ms(c.Seen), c.LMS.State, c.LMS.Status, c.LMS.Problem, ms(c.LMS.At), session)
	return err
}

// Command implements storage.Commands.
func (s *Store) Command(ctx context.Context, sessionID, id string) (vigil.Command, error) {
	return get(ctx, s, "command", scanCommand, `SELECT `+commandColumns+` FROM sessions s`+ofExam+`CROSS JOIN commands c
		WHERE s.id = ? AND `+liveSession+` AND c.session = s.no AND c.id = ?`, sessionID, ms(s.now()), id)
}

// UpdateCommand implements storage.Commands.
func (s *Store) UpdateCommand(ctx context.Context, c vigil.Command) error {
	type stored struct {
		no    int64
		stage vigil.Stage
	}
	return s.write(ctx, "command", func(t tx) error {
		old, err := one(t, func(r row, _ ...any) (v stored, err error) { return v, r.Scan(&v.no, &v.stage) },
			`SELECT c.no, c.stage FROM sessions s CROSS JOIN commands c WHERE s.id = ? AND c.session = s.no AND c.id = ?`, c.SessionID, c.ID)
		if err != nil {
			return err
		}
		stage := old.stage
		if c.Stage.After(old.stage) {
			stage = c.Stage
		}
		_, err = t.exec(`UPDATE commands SET stage = ?, problem = coalesce(nullif(?, ''), problem),
			delivered = coalesce(nullif(?, 0), delivered), seen = coalesce(nullif(?, 0), seen) WHERE no = ?`,
			stage, c.Problem, ms(c.Delivered), ms(c.Seen), old.no)
		if err == nil && c.LMS.State.Answered() {
			_, err = t.exec(`UPDATE commands SET lms_state = ?, lms_status = ?, lms_problem = ?, lms_at = ? WHERE no = ?`,
				c.LMS.State, c.LMS.Status, c.LMS.Problem, ms(c.LMS.At), old.no)
		}
		return err
	})
}

// CommandsOfSession implements storage.Commands.
func (s *Store) CommandsOfSession(ctx context.Context, sessionID string, page storage.Page) (commands []vigil.Command, next string, err error) {
	return paged[vigil.Command]{
		what: "command", scan: scanCommand, start: lowest,
		query: `SELECT 0, c.no, ` + commandColumns + ` FROM sessions s` + ofExam + `CROSS JOIN commands c INDEXED BY commands_session
			WHERE s.id = ? AND ` + liveSession + ` AND c.session = s.no AND c.no > ? ORDER BY c.no LIMIT ?`,
		args: func(c cursor) []any { return []any{sessionID, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}

// CommandsOfExam implements storage.Commands.
func (s *Store) CommandsOfExam(ctx context.Context, examID string, since time.Time, page storage.Page) (commands []vigil.Command, next string, err error) {
	return paged[vigil.Command]{
		what: "command", scan: scanCommand, start: cursor{at: ms(since), no: 0},
		query: `SELECT c.at, c.no, ` + commandColumns + ` FROM exams e CROSS JOIN commands c INDEXED BY commands_exam
			CROSS JOIN sessions s ON s.no = c.session
			WHERE e.id = ? AND c.exam_id = e.id AND ` + liveSession + ` AND c.at >= ? AND (c.at, c.no) > (?, ?) ORDER BY c.at, c.no LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), ms(since), c.at, c.no} },
	}.read(ctx, s, page)
}
