package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

// place is where a session is stored and what version it has.
type place struct {
	no      int64
	version int64
}

func scanPlace(r row, extra ...any) (p place, err error) {
	return p, r.Scan(into(extra, &p.no, &p.version)...)
}

// Transition implements storage.Sessions.
func (s *Store) Transition(ctx context.Context, c storage.Transition) error {
	if err := c.Validate(); err != nil {
		return err
	}
	v := c.Session
	return s.writeAll(ctx, "session", func(t tx) error {
		p, err := one(t, scanPlace, `SELECT no, version FROM sessions WHERE id = ?`, v.ID)
		if err != nil {
			return err
		}
		if c.Command != nil { // first, so that a repeated command is told from a lost race
			if err := insertCommand(t, p.no, *c.Command); err != nil {
				return convert("command", err)
			}
		}
		if p.version != c.From {
			return conflict("session")
		}
		if v.Version != c.From {
			if err := updateSession(t, p.no, v); err != nil {
				return err
			}
		}
		for _, g := range c.Gaps {
			g.SessionID = v.ID
			if err := updateGap(t, g); err != nil {
				return convert("gap", err)
			}
		}
		for _, g := range c.NewGaps {
			g.SessionID = v.ID
			if _, err := insertGap(t, g); err != nil {
				return convert("gap", err)
			}
		}
		for _, d := range c.Deliveries {
			if err := insertDelivery(t, p.no, d); err != nil {
				return convert("delivery", err)
			}
		}
		return nil
	})
}

// updateSession writes everything but the session's names, its groups, its presence and its tally.
func updateSession(t tx, no int64, v vigil.Session) error {
	_, err := t.exec(`UPDATE sessions SET name = ?, platform_id = ?, deployment_id = ?, resource_link_id = ?, plugin = ?, locale = ?,
		control_url = ?, control_actions = ?, return_url = ?, state = ?, version = ?, ready = ?, started = ?, ended = ?, changed = ?,
		changed_by = ?, reason = ?, paused_at = ?, paused_total = ?, end_at = ?, end_seen = ?, grants = ?, carry = ?, pauses = ?,
		due = ?, pause_answered = ?, consents = ?, sent = ?, opened = ?, unwatched = ?, unwatched_end = ?, unwatched_room = ? WHERE no = ?`,
		v.Name, v.PlatformID, v.DeploymentID, v.ResourceLinkID, v.Plugin, v.Locale,
		v.ControlURL, listJSON(v.ControlActions), v.ReturnURL, v.State, v.Version, ms(v.Ready), ms(v.Started), ms(v.Ended), ms(v.Changed),
		toJSON(v.By), v.Reason, ms(v.PausedAt), dms(v.PausedTotal), ms(v.End), ms(v.EndSeen), grantsJSON(v.Grants), dms(v.Carry),
		pausesJSON(v.Pauses), ms(v.DueAt), ms(v.PauseAnswered), consentsJSON(v.Consents),
		ms(v.Sent), ms(v.Opened), ms(v.Unwatched), ms(v.UnwatchedEnd), v.UnwatchedRoom, no)
	return err
}
