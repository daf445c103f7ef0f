package dynamo

import (
	"context"

	"vigil/storage"
)

const nodePartition = "nodes"

// keepNode is how long a node that is not heard of any more is remembered.
const keepNode = 7 * day

func nodeKey(id string) key { return key{nodePartition, name("n", id)} }

// RenewNode implements storage.Nodes.
func (s *Store) RenewNode(ctx context.Context, n storage.Node) error {
	n.Schema = s.version
	_, err := s.put(ctx, "node", s.main, nodeKey(n.ID), encode(n), expiring(n.Heard.Add(keepNode)), nil)
	return err
}

// Nodes implements storage.Nodes.
func (s *Store) Nodes(ctx context.Context) ([]storage.Node, error) {
	out, err := allOf[storage.Node](ctx, s, list{what: "node", pk: nodePartition, prefix: "n#"}, nil)
	for i := range out {
		if out[i].Schema == 0 { // of a program from before rows said it
			out[i].Schema = 1
		}
	}
	return out, err
}

// DeleteNode implements storage.Nodes.
func (s *Store) DeleteNode(ctx context.Context, id string) error {
	_, err := s.remove(ctx, "node", s.main, nodeKey(id))
	return err
}
