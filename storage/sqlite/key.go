package sqlite

import (
	"context"

	"vigil"
)

const keyColumns = `id, use, state, sealed, public_key, created, since, version`

func scanKey(r row, extra ...any) (k vigil.Key, err error) {
	return k, r.Scan(into(extra, &k.ID, &k.Use, &k.State, &k.Sealed, &k.Public, timeInto{&k.Created}, timeInto{&k.Since}, &k.Version)...)
}

// Keys implements storage.Keys.
func (s *Store) Keys(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error) {
	return list(ctx, s, "key", scanKey, `SELECT `+keyColumns+` FROM keys WHERE use = ? ORDER BY created, id`, use)
}

// CreateKey implements storage.Keys.
func (s *Store) CreateKey(ctx context.Context, k vigil.Key) error {
	return s.write(ctx, "key", func(t tx) error {
		_, err := t.exec(`INSERT INTO keys (`+keyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Use, k.State, k.Sealed, k.Public, ms(k.Created), ms(k.Since), k.Version)
		return err
	})
}

// UpdateKey implements storage.Keys.
func (s *Store) UpdateKey(ctx context.Context, k vigil.Key) error {
	return s.write(ctx, "key", func(t tx) error {
		return t.update("key", `UPDATE keys SET use = ?, state = ?, sealed = ?, public_key = ?, created = ?, since = ?,
			version = version + 1 WHERE id = ? AND version = ?`,
			[]any{k.Use, k.State, k.Sealed, k.Public, ms(k.Created), ms(k.Since), k.ID, k.Version},
			`SELECT 1 FROM keys WHERE id = ?`, k.ID)
	})
}

// DeleteKey implements storage.Keys.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.write(ctx, "key", func(t tx) error {
		n, err := t.exec(`DELETE FROM keys WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = notFound("key")
		}
		return err
	})
}
