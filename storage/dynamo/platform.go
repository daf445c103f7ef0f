package dynamo

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"vigil"
)

// A platform's partition holds the platform, its deployments and its links. Beside it an
// item for its client, by which it is found and by which the client is taken once, and
// one in the directory of all.

func platformKey(id string) key { return key{name("p", id), "a"} }

func clientKey(issuer, clientID string) key { return key{name("pc", issuer, clientID), "a"} }

const directory = "platforms"

func directoryKey(id string) key { return key{directory, name("p", id)} }

func deploymentKey(platformID, id string) key { return key{name("p", platformID), name("d", id)} }

// Platform implements storage.Platforms.
func (s *Store) Platform(ctx context.Context, id string) (vigil.Platform, error) {
	return read[vigil.Platform](ctx, s, "platform", s.main, platformKey(id))
}

// PlatformByClient implements storage.Platforms.
func (s *Store) PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error) {
	it, err := s.get(ctx, "platform", s.main, clientKey(issuer, clientID))
	if err != nil {
		return vigil.Platform{}, err
	}
	if it == nil {
		return vigil.Platform{}, notFound("platform")
	}
	return s.Platform(ctx, it.text("Platform"))
}

// Platforms implements storage.Platforms.
func (s *Store) Platforms(ctx context.Context) ([]vigil.Platform, error) {
	entries, err := s.all(ctx, list{what: "platform", pk: directory, prefix: "p#"})
	if err != nil {
		return nil, err
	}
	keys := make([]key, len(entries))
	for i, it := range entries {
		keys[i] = platformKey(it.text("Platform"))
	}
	found, err := s.batchGet(ctx, "platform", keys)
	if err != nil {
		return nil, err
	}
	out, err := decodeList[vigil.Platform](slices.Collect(maps.Values(found)), nil)
	slices.SortFunc(out, func(a, b vigil.Platform) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// CreatePlatform implements storage.Platforms.
func (s *Store) CreatePlatform(ctx context.Context, p vigil.Platform) error {
	refusals, err := s.transact(ctx, "platform",
		s.txPut(platformKey(p.ID), encode(p), nil, newExpr().absent()),
		s.txPut(clientKey(p.Issuer, p.ClientID), item{"Platform": str(p.ID)}, nil, newExpr().absent()),
		s.txPut(directoryKey(p.ID), item{"Platform": str(p.ID)}, nil, nil),
	)
	if err == nil && refusals != nil {
		err = exists("platform")
	}
	return err
}

// UpdatePlatform implements storage.Platforms. Only a platform that changes its client
// needs a transaction.
func (s *Store) UpdatePlatform(ctx context.Context, p vigil.Platform) error {
	old, err := s.Platform(ctx, p.ID)
	if err != nil {
		return err
	}
	if old.Version != p.Version {
		return conflict("platform")
	}
	version := newExpr().present().is("Version", num(p.Version))
	p.Version++
	if old.Issuer == p.Issuer && old.ClientID == p.ClientID {
		o, err := s.put(ctx, "platform", s.main, platformKey(p.ID), encode(p), nil, version)
		if err != nil {
			return err
		}
		return o.versioned("platform")
	}
	refusals, err := s.transact(ctx, "platform",
		s.txPut(platformKey(p.ID), encode(p), nil, version),
		s.txPut(clientKey(p.Issuer, p.ClientID), item{"Platform": str(p.ID)}, nil, newExpr().absent()),
		s.txDelete(clientKey(old.Issuer, old.ClientID), nil),
	)
	switch {
	case err != nil:
		return err
	case refusals == nil:
		return nil
	case refusals[0].failed:
		return conflict("platform")
	}
	return exists("platform")
}

// DeletePlatform implements storage.Platforms. The platform itself goes first: what is
// left of its partition if this ends half-way leads nowhere, and a second call cannot
// find it; ids are never used again.
func (s *Store) DeletePlatform(ctx context.Context, id string) error {
	p, err := s.Platform(ctx, id)
	if err != nil {
		return err
	}
	refusals, err := s.transact(ctx, "platform",
		s.txDelete(platformKey(id), newExpr().present()),
		s.txDelete(clientKey(p.Issuer, p.ClientID), nil),
		s.txDelete(directoryKey(id), nil),
	)
	if err != nil {
		return err
	}
	if refusals != nil {
		return notFound("platform")
	}
	return s.removePartition(ctx, "platform", name("p", id))
}

// removePartition deletes all items of one partition.
func (s *Store) removePartition(ctx context.Context, what, pk string) error {
	items, err := s.all(ctx, list{what: what, pk: pk})
	if err != nil {
		return err
	}
	keys := make([]key, len(items))
	for i, it := range items {
		keys[i] = keyOf(it)
	}
	return s.removeAll(ctx, what, keys)
}

// Deployment implements storage.Platforms.
func (s *Store) Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error) {
	return read[vigil.Deployment](ctx, s, "deployment", s.main, deploymentKey(platformID, id))
}

// Deployments implements storage.Platforms.
func (s *Store) Deployments(ctx context.Context, platformID string) ([]vigil.Deployment, error) {
	out, err := allOf[vigil.Deployment](ctx, s, list{what: "deployment", pk: name("p", platformID), prefix: "d#"}, nil)
	slices.SortFunc(out, func(a, b vigil.Deployment) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// SaveDeployment implements storage.Platforms.
func (s *Store) SaveDeployment(ctx context.Context, d vigil.Deployment) error {
	if _, err := s.Platform(ctx, d.PlatformID); err != nil {
		return err
	}
	_, err := s.put(ctx, "deployment", s.main, deploymentKey(d.PlatformID, d.ID), encode(d), nil, nil)
	return err
}
