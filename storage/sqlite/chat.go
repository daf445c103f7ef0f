package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

const chatColumns = `l.id, s.id, s.exam_id, l.sender, l.text, l.urgent, l.at`

func scanChat(r row, extra ...any) (l vigil.ChatLine, err error) {
	return l, r.Scan(into(extra, &l.ID, &l.SessionID, &l.ExamID, jsonInto{&l.From}, &l.Text, &l.Urgent, timeInto{&l.At})...)
}

// AddChat implements storage.Chat.
func (s *Store) AddChat(ctx context.Context, l vigil.ChatLine) error {
	if l.At.IsZero() {
		return vigil.Invalid("at", "A chat line needs the time when it came.")
	}
	return s.writeAll(ctx, "chat line", func(t tx) error {
		err := t.session(t.exec(`INSERT INTO chat (session, exam_id, id, sender, text, urgent, at)
			SELECT no, exam_id, ?, ?, ?, ?, ? FROM sessions WHERE id = ?`, l.ID, toJSON(l.From), l.Text, l.Urgent, ms(l.At), l.SessionID))
		if err != nil || l.From.Role != vigil.RoleStudent {
			return err
		}
		_, err = t.exec(`UPDATE sessions SET unread = unread + 1 WHERE id = ?`, l.SessionID)
		return err
	})
}

// ChatOfSession implements storage.Chat.
func (s *Store) ChatOfSession(ctx context.Context, sessionID string, page storage.Page) (lines []vigil.ChatLine, next string, err error) {
	now := ms(s.now())
	return paged[vigil.ChatLine]{
		what: "chat line", scan: scanChat, start: lowest,
		query: `SELECT 0, l.no, ` + chatColumns + ` FROM sessions s` + ofExam + `CROSS JOIN chat l INDEXED BY chat_session
			WHERE s.id = ? AND ` + liveSession + ` AND l.session = s.no AND l.at > ? - e.keep_chat AND l.no > ? ORDER BY l.no LIMIT ?`,
		args: func(c cursor) []any { return []any{sessionID, now, now, c.no} },
	}.read(ctx, s, page)
}

// ReadChat implements storage.Chat.
func (s *Store) ReadChat(ctx context.Context, sessionID string) error {
	return s.write(ctx, "session", func(t tx) error {
		return t.session(t.exec(`UPDATE sessions SET unread = 0 WHERE id = ?`, sessionID))
	})
}
