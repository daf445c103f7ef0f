package sqlite

import (
	"context"

	"vigil/storage"
)

// RenewNode implements storage.Nodes.
func (s *Store) RenewNode(ctx context.Context, n storage.Node) error {
	return s.write(ctx, "node", func(t tx) error {
		_, err := t.exec(`INSERT INTO nodes (id, host, heard, schema) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET host = excluded.host, heard = excluded.heard, schema = excluded.schema`, n.ID, n.Host, ms(n.Heard), t.w.schema)
		return err
	})
}

// Nodes implements storage.Nodes.
func (s *Store) Nodes(ctx context.Context) ([]storage.Node, error) {
	return list(ctx, s, "node", func(r row, _ ...any) (n storage.Node, err error) {
		return n, r.Scan(&n.ID, &n.Host, timeInto{&n.Heard}, &n.Schema)
	}, `SELECT id, host, heard, schema FROM nodes ORDER BY id`)
}

// DeleteNode implements storage.Nodes.
func (s *Store) DeleteNode(ctx context.Context, id string) error {
	return s.write(ctx, "node", func(t tx) error {
		_, err := t.exec(`DELETE FROM nodes WHERE id = ?`, id)
		return err
	})
}
