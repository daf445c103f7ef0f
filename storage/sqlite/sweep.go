package sqlite

import (
	"context"
	"math"
	"time"
)

// Sweep implements storage.Store. What goes with a session by cascade (incidents, gaps,
// commands, chat) is not counted.
// Removed rows are overwritten; the file does not shrink, its room is used again.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (removed int, err error) {
	if n <= 0 {
		return 0, nil
	}
	for _, sweep := range []func(t tx, now int64, n int) (int, error){
		sweepRecords, sweepInvitations, sweepAccess, sweepSignals, sweepSignalsOfSessions, sweepChat, sweepSessions, sweepAudits, sweepOtherAudits, sweepErasures,
	} {
		if removed >= n {
			break
		}
		// Each in a write of its own, so that others' do not wait for all of it.
		err := s.writeAll(ctx, "expired data", func(t tx) error {
			k, err := sweep(t, ms(now), n-removed)
			if err == nil {
				removed += k
			}
			return err
		})
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func sweepRecords(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM records WHERE (kind, key) IN
		(SELECT kind, key FROM records INDEXED BY records_expires WHERE expires > 0 AND expires <= ? LIMIT ?)`, now, n))
}

func sweepInvitations(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM invitations WHERE hash IN (SELECT hash FROM invitations WHERE expires <= ? LIMIT ?)`, now, n))
}

// due is a session with signals that came up to a time and are to be removed.
type due struct{ no, cutoff int64 }

func scanDue(r row, _ ...any) (d due, err error) { return d, r.Scan(&d.no, &d.cutoff) }

// sweepSignals removes signals that expired.
func sweepSignals(t tx, now int64, n int) (int, error) {
	sessions, err := all(t, scanDue, `SELECT s.no, ? - e.keep_signals FROM exams e CROSS JOIN sessions s INDEXED BY sessions_signals
		WHERE s.exam_id = e.id AND s.signals_from > 0 AND s.signals_from <= ? - e.keep_signals LIMIT ?`, now, now, n)
	if err != nil {
		return 0, err
	}
	return sweepSignalsOf(t, sessions, n)
}

// sweepSignalsOfSessions removes the signals of sessions that expired before them, so
// that removing the session is a small step.
func sweepSignalsOfSessions(t tx, now int64, n int) (int, error) {
	sessions, err := all(t, scanDue, `SELECT s.no, ? FROM exams e CROSS JOIN sessions s INDEXED BY sessions_created
		WHERE s.exam_id = e.id AND s.created <= ? - e.keep_sessions AND `+sessionAge+` <= ? - e.keep_sessions
		AND s.signals_from > 0 LIMIT ?`, int64(math.MaxInt64), now, now, n)
	if err != nil {
		return 0, err
	}
	return sweepSignalsOf(t, sessions, n)
}

// sweepSignalsOf removes up to n signals of some sessions, and notes in each when the
// oldest of the rest came.
func sweepSignalsOf(t tx, sessions []due, n int) (int, error) {
	if len(sessions) == 0 {
		return 0, nil
	}
	if err := forgotten(t); err != nil {
		return 0, err
	}
	removed := 0
	for _, d := range sessions {
		k, err := removeSignals(t, d, n-removed)
		if err != nil {
			return 0, err
		}
		removed += k
		if removed >= n {
			break // perhaps more of this session's; the next call goes on
		}
		_, err = t.exec(blocksOf+`UPDATE sessions SET signals_from = coalesce((SELECT min(g.received) FROM blocks b
			CROSS JOIN signals g INDEXED BY signals_block WHERE g.no >> 12 = b.block AND g.session = ?1), 0) WHERE no = ?1`, d.no, 0)
		if err != nil {
			return 0, err
		}
	}
	return removed, nil
}

// removeSignals removes up to n signals of a session.
func removeSignals(t tx, d due, n int) (int, error) {
	return count(t.exec(blocksOf+`DELETE FROM signals WHERE no IN (SELECT g.no FROM blocks b CROSS JOIN signals g INDEXED BY signals_block
		WHERE g.no >> 12 = b.block AND g.session = ?1 AND g.received <= ?3 LIMIT ?4)`, d.no, 0, d.cutoff, n))
}

func sweepChat(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM chat WHERE no IN (SELECT l.no FROM exams e CROSS JOIN chat l INDEXED BY chat_exam
		WHERE l.exam_id = e.id AND l.at <= ? - e.keep_chat LIMIT ?)`, now, n))
}

func sweepSessions(t tx, now int64, n int) (int, error) {
	return removeSessions(t, `SELECT s.no FROM exams e CROSS JOIN sessions s INDEXED BY sessions_created
		WHERE s.exam_id = e.id AND s.created <= ? - e.keep_sessions AND `+sessionAge+` <= ? - e.keep_sessions
		AND s.signals_from = 0 LIMIT ?`, now, now, n)
}

func sweepAudits(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM audits WHERE no IN (SELECT a.no FROM exams e CROSS JOIN audits a INDEXED BY audits_exam
		WHERE a.exam_id = e.id AND a.at <= ? - e.keep_audit LIMIT ?)`, now, n))
}

// sweepOtherAudits removes entries about no exam.
func sweepOtherAudits(t tx, now int64, n int) (int, error) {
	return count(t.exec(`DELETE FROM audits WHERE no IN (SELECT no FROM audits INDEXED BY audits_exam
		WHERE exam_id = '' AND at <= ? LIMIT ?)`, now-keepAuditElse, n))
}

func count(n int64, err error) (int, error) { return int(n), err }
