package dynamo

import (
	"cmp"
	"context"
	"slices"

	"vigil"
)

// Our signing keys are few: one partition.
const keyPartition = "keys"

func signingKey(id string) key { return key{keyPartition, name("k", id)} }

// Keys implements storage.Keys.
func (s *Store) Keys(ctx context.Context, use vigil.KeyUse) ([]vigil.Key, error) {
	l := list{what: "key", pk: keyPartition, prefix: "k#"}
	out, err := allOf(ctx, s, l, func(k vigil.Key) bool { return k.Use == use })
	slices.SortFunc(out, func(a, b vigil.Key) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return out, err
}

// CreateKey implements storage.Keys.
func (s *Store) CreateKey(ctx context.Context, k vigil.Key) error {
	return s.create(ctx, "key", s.main, signingKey(k.ID), encode(k), nil, newExpr().absent())
}

// UpdateKey implements storage.Keys.
func (s *Store) UpdateKey(ctx context.Context, k vigil.Key) error {
	cond := newExpr().present().is("Version", num(k.Version))
	k.Version++
	o, err := s.put(ctx, "key", s.main, signingKey(k.ID), encode(k), nil, cond)
	if err != nil {
		return err
	}
	return o.versioned("key")
}

// DeleteKey implements storage.Keys.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	old, err := s.remove(ctx, "key", s.main, signingKey(id))
	if err == nil && old == nil {
		err = notFound("key")
	}
	return err
}
