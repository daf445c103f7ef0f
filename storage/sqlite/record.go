package sqlite

import (
	"context"
	"time"

	"vigil"
)

const recordColumns = `kind, key, value, expires`

func scanRecord(r row, extra ...any) (v vigil.Record, err error) {
	return v, r.Scan(into(extra, &v.Kind, &v.Key, &v.Value, timeInto{&v.Expires})...)
}

// CreateRecord implements storage.Records.
func (s *Store) CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error {
	return s.write(ctx, "record", func(t tx) error {
		n, err := t.exec(`INSERT INTO records (`+recordColumns+`) VALUES (?, ?, ?, ?)
			ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
			WHERE records.expires > 0 AND records.expires <= ?`,
			r.Kind, r.Key, r.Value, ms(r.Expires), ms(now))
		if err == nil && n == 0 {
			err = exists("record")
		}
		return err
	})
}

// PutRecord implements storage.Records.
func (s *Store) PutRecord(ctx context.Context, r vigil.Record) error {
	return s.write(ctx, "record", func(t tx) error {
		_, err := t.exec(`INSERT INTO records (`+recordColumns+`) VALUES (?, ?, ?, ?)
			ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, expires = excluded.expires`,
			r.Kind, r.Key, r.Value, ms(r.Expires))
		return err
	})
}

// GetRecord implements storage.Records.
func (s *Store) GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	return get(ctx, s, "record", scanRecord,
		`SELECT `+recordColumns+` FROM records WHERE kind = ? AND key = ? AND (expires = 0 OR expires > ?)`, kind, key, ms(now))
}

// TakeRecord implements storage.Records.
func (s *Store) TakeRecord(ctx context.Context, kind, key string, now time.Time) (r vigil.Record, err error) {
	err = s.write(ctx, "record", func(t tx) error {
		r, err = one(t, scanRecord, `DELETE FROM records WHERE kind = ? AND key = ? RETURNING `+recordColumns, kind, key)
		if err == nil && !r.Expires.IsZero() && !r.Expires.After(now) {
			err = notFound("record") // and it stays removed
		}
		return err
	})
	if err != nil {
		return vigil.Record{}, err
	}
	return r, nil
}

// DeleteRecord implements storage.Records.
func (s *Store) DeleteRecord(ctx context.Context, kind, key string) error {
	return s.write(ctx, "record", func(t tx) error {
		_, err := t.exec(`DELETE FROM records WHERE kind = ? AND key = ?`, kind, key)
		return err
	})
}
