package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"vigil"
)

func insertDelivery(t tx, session int64, d vigil.Delivery) error {
	_, err := t.exec(`INSERT INTO deliveries (session, exam_id, id, command_id, action, extra_minutes, incident_time, severity, reason_code,
		reason, state, tries, sent, created, next_try, lease_owner, lease_ends, version)
		SELECT no, exam_id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM sessions WHERE no = ?`,
		d.ID, d.CommandID, d.Action, d.ExtraMinutes, ms(d.IncidentTime), d.Severity, d.ReasonCode,
		d.Reason, d.State, d.Tries, d.Sent, ms(d.Created), ms(d.NextTry), d.LeaseOwner, ms(d.LeaseEnds), d.Version, session)
	return err
}

const deliveryColumns = `d.id, s.id, s.exam_id, d.command_id, d.action, d.extra_minutes, d.incident_time, d.severity, d.reason_code,
	d.reason, d.state, d.tries, d.sent, d.created, d.next_try, d.lease_owner, d.lease_ends, d.version`

// leasable is an entry with its number in the queue.
type leasable struct {
	no int64
	d  vigil.Delivery
}

func scanLeasable(r row, extra ...any) (l leasable, err error) {
	d := &l.d
	return l, r.Scan(into(extra, &l.no, &d.ID, &d.SessionID, &d.ExamID, &d.CommandID, &d.Action, &d.ExtraMinutes, timeInto{&d.IncidentTime},
		&d.Severity, &d.ReasonCode, &d.Reason, &d.State, &d.Tries, &d.Sent, timeInto{&d.Created}, timeInto{&d.NextTry},
		&d.LeaseOwner, timeInto{&d.LeaseEnds}, &d.Version)...)
}

// LeaseDeliveries implements storage.Commands.
func (s *Store) LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error) {
	if owner == "" {
		return nil, vigil.Invalid("owner", "A lease needs an owner.")
	}
	if n <= 0 {
		return nil, nil
	}
	var out []vigil.Delivery
	err := s.writeAll(ctx, "delivery", func(t tx) error {
		due, err := all(t, scanLeasable, `SELECT d.no, `+deliveryColumns+` FROM deliveries d INDEXED BY deliveries_due
			CROSS JOIN sessions s ON s.no = d.session
			WHERE d.state = 'waiting' AND d.next_try <= ? AND (d.lease_owner = '' OR d.lease_ends <= ?)
			AND NOT EXISTS (SELECT 1 FROM deliveries o INDEXED BY deliveries_waiting
				WHERE o.session = d.session AND o.state = 'waiting' AND (o.version, o.id) < (d.version, d.id))
			ORDER BY d.next_try, d.no LIMIT ?`, ms(now), ms(now), n)
		if err != nil {
			return err
		}
		out = make([]vigil.Delivery, len(due))
		for i, l := range due {
			l.d.Sent = l.d.Sent || l.d.Abandoned(now)
			l.d.LeaseOwner, l.d.LeaseEnds = owner, timeOf(ms(now.Add(vigil.DeliveryLease)))
			_, err := t.exec(`UPDATE deliveries SET lease_owner = ?, lease_ends = ?, sent = ? WHERE no = ?`,
				l.d.LeaseOwner, ms(l.d.LeaseEnds), l.d.Sent, l.no)
			if err != nil {
				return err
			}
			out[i] = l.d
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b vigil.Delivery) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// SaveDelivery implements storage.Commands.
func (s *Store) SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error {
	return s.write(ctx, "delivery", func(t tx) error {
		return t.update("delivery", `UPDATE deliveries SET extra_minutes = ?, state = ?, tries = ?, sent = ?, next_try = ?, lease_owner = ?, lease_ends = ?
			WHERE id = ? AND lease_owner = ? AND lease_owner <> ''`,
			[]any{d.ExtraMinutes, d.State, d.Tries, d.Sent, ms(d.NextTry), d.LeaseOwner, ms(d.LeaseEnds), d.ID, owner},
			`SELECT 1 FROM deliveries WHERE id = ?`, d.ID)
	})
}

// WaitingDeliveries implements storage.Commands.
func (s *Store) WaitingDeliveries(ctx context.Context) (n int, oldest time.Time, err error) {
	type waiting struct {
		n      int
		oldest time.Time
	}
	w, err := get(ctx, s, "delivery", func(r row, _ ...any) (w waiting, err error) { return w, r.Scan(&w.n, timeInto{&w.oldest}) },
		`SELECT count(*), coalesce(min(created), 0) FROM deliveries INDEXED BY deliveries_due WHERE state = 'waiting' AND next_try >= 0`)
	return w.n, w.oldest, err
}
