package dynamo

import (
	"context"

	"vigil"
	"vigil/storage"
)

// The list of erasures is one partition: there are few.
const erasurePartition = "erasures"

// AddErasure implements storage.Erasures. The same entry has the same key.
func (s *Store) AddErasure(ctx context.Context, e vigil.Erasure) error {
	if err := e.Validate(); err != nil {
		return err
	}
	k := key{erasurePartition, sortable(e.At) + "#" + partName(e.ID)}
	_, err := s.put(ctx, "erasure", s.main, k, encode(e), expiring(e.At.Add(vigil.KeepErasures+day)), nil)
	return err
}

// Erasures implements storage.Erasures.
func (s *Store) Erasures(ctx context.Context, page storage.Page) (entries []vigil.Erasure, next string, err error) {
	oldest := ms(s.now().Add(-vigil.KeepErasures))
	l := list{what: "erasure", pk: erasurePartition}
	return paged(ctx, s, l, page, decodeAll(func(e vigil.Erasure) bool { return ms(e.At) > oldest }))
}

// listErasure makes the entry of an erasure before anything is removed, so that none is missed.
func (s *Store) listErasure(ctx context.Context, issuer, userID, examID string, attempt int) error {
	e, err := s.newErasure(ctx, issuer, userID, examID, attempt)
	if err != nil {
		return err
	}
	return s.AddErasure(ctx, e)
}
