package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

const incidentColumns = `i.id, s.id, s.exam_id, i.kind, i.severity, i.at, i.duration, i.review, i.reviewer, i.note, i.reviewed, i.version`

func scanIncident(r row, extra ...any) (i vigil.Incident, err error) {
	return i, r.Scan(into(extra, &i.ID, &i.SessionID, &i.ExamID, &i.Kind, &i.Severity, timeInto{&i.At}, durationInto{&i.Duration},
		&i.Review, jsonInto{&i.Reviewer}, &i.Note, timeInto{&i.Reviewed}, &i.Version)...)
}

func insertIncident(t tx, session int64, i vigil.Incident) error {
	_, err := t.exec(`INSERT INTO incidents (session, exam_id, id, kind, severity, at, duration, review, reviewer, note, reviewed, version)
		SELECT no, exam_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sessions WHERE no = ? ON CONFLICT (session, id) DO NOTHING`,
		i.ID, i.Kind, i.Severity, ms(i.At), dms(i.Duration), i.Review, toJSON(i.Reviewer), i.Note, ms(i.Reviewed), i.Version, session)
	return err
}

// IncidentsOfExam implements storage.Signals.
func (s *Store) IncidentsOfExam(ctx context.Context, examID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	return paged[vigil.Incident]{
		what: "incident", scan: scanIncident, start: lowest,
		query: `SELECT 0, i.no, ` + incidentColumns + ` FROM exams e CROSS JOIN incidents i INDEXED BY incidents_exam
			CROSS JOIN sessions s ON s.no = i.session
			WHERE e.id = ? AND i.exam_id = e.id AND ` + liveSession + ` AND i.no > ? ORDER BY i.no LIMIT ?`,
		args: func(c cursor) []any { return []any{examID, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}

// IncidentsOfSession implements storage.Signals.
func (s *Store) IncidentsOfSession(ctx context.Context, sessionID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	return paged[vigil.Incident]{
		what: "incident", scan: scanIncident, start: lowest,
		query: `SELECT 0, i.no, ` + incidentColumns + ` FROM sessions s` + ofExam + `CROSS JOIN incidents i INDEXED BY incidents_session
			WHERE s.id = ? AND ` + liveSession + ` AND i.session = s.no AND i.no > ? ORDER BY i.no LIMIT ?`,
		args: func(c cursor) []any { return []any{sessionID, ms(s.now()), c.no} },
	}.read(ctx, s, page)
}

// Incident implements storage.Signals.
func (s *Store) Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error) {
	return get(ctx, s, "incident", scanIncident, `SELECT `+incidentColumns+` FROM sessions s`+ofExam+`CROSS JOIN incidents i
		WHERE s.id = ? AND `+liveSession+` AND i.session = s.no AND i.id = ?`, sessionID, ms(s.now()), id)
}

// open is 1 for an incident that still waits for a decision.
func open(r vigil.ReviewState) int {
	switch r {
	case vigil.ReviewCleared, vigil.ReviewUpheld, vigil.ReviewOverturned:
		return 0
	}
	return 1
}

// UpdateIncident implements storage.Signals.
func (s *Store) UpdateIncident(ctx context.Context, i vigil.Incident) error {
	type stored struct {
		no, session, version int64
		review               vigil.ReviewState
	}
	return s.writeAll(ctx, "incident", func(t tx) error {
		old, err := one(t, func(r row, _ ...any) (v stored, err error) {
			return v, r.Scan(&v.no, &v.session, &v.version, &v.review)
		}, `SELECT i.no, i.session, i.version, i.review FROM sessions s CROSS JOIN incidents i
			WHERE s.id = ? AND i.session = s.no AND i.id = ?`, i.SessionID, i.ID)
		if err != nil {
			return err
		}
		if old.version != i.Version {
			return conflict("incident")
		}
		_, err = t.exec(`UPDATE incidents SET review = ?, reviewer = ?, note = ?, reviewed = ?, version = version + 1 WHERE no = ?`,
			i.Review, toJSON(i.Reviewer), i.Note, ms(i.Reviewed), old.no)
		if err != nil || open(i.Review) == open(old.review) {
			return err
		}
		_, err = t.exec(`UPDATE sessions SET open_incidents = max(0, open_incidents + ?) WHERE no = ?`,
			open(i.Review)-open(old.review), old.session)
		return err
	})
}
