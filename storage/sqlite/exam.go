package sqlite

import (
	"context"
	"time"

	"vigil"
	"vigil/storage"
)

const examColumns = `id, title, issuer, context_id, course, policy, managed, access_platform, access_url, created, version`

func scanExam(r row, extra ...any) (e vigil.Exam, err error) {
	e.Policy = vigil.DefaultPolicy() // what an older program did not store keeps its default
	return e, r.Scan(into(extra, &e.ID, &e.Title, &e.Issuer, &e.ContextID, &e.Course, jsonInto{&e.Policy}, &e.Managed,
		&e.Access.PlatformID, &e.Access.URL, timeInto{&e.Created}, &e.Version)...)
}

// days is a number of days in milliseconds.
func days(n int) int64 { return int64(n) * (24 * time.Hour).Milliseconds() }

// Exam implements storage.Exams.
func (s *Store) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	return get(ctx, s, "exam", scanExam, `SELECT `+examColumns+` FROM exams WHERE id = ?`, id)
}

// CreateExam implements storage.Exams.
func (s *Store) CreateExam(ctx context.Context, e vigil.Exam) error {
	keep := e.Policy.Retention
	return s.write(ctx, "exam", func(t tx) error {
		_, err := t.exec(`INSERT INTO exams (`+examColumns+`, keep_signals, keep_chat, keep_sessions, keep_audit)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.ID, e.Title, e.Issuer, e.ContextID, e.Course, toJSON(e.Policy), e.Managed, e.Access.PlatformID, e.Access.URL, ms(e.Created), e.Version,
			days(keep.Signals), days(keep.Chat), days(keep.Sessions), days(keep.Audit))
		return err
	})
}

// UpdateExam implements storage.Exams.
func (s *Store) UpdateExam(ctx context.Context, e vigil.Exam) error {
	keep := e.Policy.Retention
	return s.write(ctx, "exam", func(t tx) error {
		return t.update("exam", `UPDATE exams SET title = ?, issuer = ?, context_id = ?, course = ?, policy = ?, managed = ?,
			access_platform = ?, access_url = ?, created = ?, keep_signals = ?, keep_chat = ?, keep_sessions = ?, keep_audit = ?, version = version + 1
			WHERE id = ? AND version = ?`, []any{
			e.Title, e.Issuer, e.ContextID, e.Course, toJSON(e.Policy), e.Managed,
			e.Access.PlatformID, e.Access.URL, ms(e.Created), days(keep.Signals), days(keep.Chat), days(keep.Sessions), days(keep.Audit), e.ID, e.Version,
		}, `SELECT 1 FROM exams WHERE id = ?`, e.ID)
	})
}

// ExamsOfContext implements storage.Exams.
func (s *Store) ExamsOfContext(ctx context.Context, issuer, contextID string, page storage.Page) (exams []vigil.Exam, next string, err error) {
	return paged[vigil.Exam]{
		what: "exam", scan: scanExam, start: highest,
		query: `SELECT created, no, ` + examColumns + ` FROM exams WHERE issuer = ? AND context_id = ? AND (created, no) < (?, ?)
			ORDER BY created DESC, no DESC LIMIT ?`,
		args: func(c cursor) []any { return []any{issuer, contextID, c.at, c.no} },
	}.read(ctx, s, page)
}

const linkColumns = `platform_id, deployment_id, resource_link_id, exam_id, created`

func scanLink(r row, extra ...any) (l vigil.Link, err error) {
	return l, r.Scan(into(extra, &l.PlatformID, &l.DeploymentID, &l.ResourceLinkID, &l.ExamID, timeInto{&l.Created})...)
}

// Link implements storage.Exams.
func (s *Store) Link(ctx context.Context, platformID, deploymentID, resourceLinkID string) (vigil.Link, error) {
	return get(ctx, s, "link", scanLink,
		`SELECT `+linkColumns+` FROM links WHERE platform_id = ? AND deployment_id = ? AND resource_link_id = ?`,
		platformID, deploymentID, resourceLinkID)
}

// CreateLink implements storage.Exams.
func (s *Store) CreateLink(ctx context.Context, l vigil.Link) error {
	return s.write(ctx, "link", func(t tx) error {
		_, err := t.exec(`INSERT INTO links (`+linkColumns+`) VALUES (?, ?, ?, ?, ?)`,
			l.PlatformID, l.DeploymentID, l.ResourceLinkID, l.ExamID, ms(l.Created))
		return err
	})
}

// MoveLinks implements storage.Exams.
func (s *Store) MoveLinks(ctx context.Context, from, to string) (moved int, err error) {
	if from == to {
		return 0, nil
	}
	err = s.write(ctx, "link", func(t tx) error {
		old, err := all(t, scanText, `SELECT DISTINCT deployment_id FROM links WHERE platform_id = ? LIMIT 2`, from)
		if err != nil {
			return err
		}
		own, err := all(t, scanText, `SELECT id FROM deployments WHERE platform_id = ? LIMIT 2`, to)
		if err != nil {
			return err
		}
		var n int64
		if len(old) == 1 && len(own) == 1 {
			n, err = t.exec(`UPDATE OR IGNORE links SET platform_id = ?, deployment_id = ? WHERE platform_id = ?`, to, own[0], from)
		} else {
			n, err = t.exec(`UPDATE OR IGNORE links SET platform_id = ? WHERE platform_id = ?`, to, from)
		}
		moved = int(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

// scanText reads a single text.
func scanText(r row, extra ...any) (s string, err error) { return s, r.Scan(into(extra, &s)...) }
