package dynamo

import (
	"context"
	"time"

	"vigil"
	"vigil/storage"
)

// A user's access records have a partition of their own, apart from that of their attempts:
// programs from before there were any take each item there for an attempt's.

func accessPartition(issuer, userID string) string { return name("ua", issuer, userID) }

func accessKey(issuer, userID, examID string) key {
	return key{accessPartition(issuer, userID), name("r", examID)}
}

func examAccesses(examID string) string { return name("xr", examID) }

// accessEnd is when a record has expired.
func accessEnd(at time.Time) time.Time { return at.Add(vigil.AccessKept) }

// currentAccess tells whether a record is there, and has not expired.
func (s *Store) currentAccess(a vigil.Access) bool {
	return a.UserID != "" && ms(accessEnd(a.At)) > ms(s.now())
}

// putAccessTries bounds how often a record is tried that others write at the same time. Each of
// their writes decides, so that two are enough.
const putAccessTries = 4

// PutAccess implements storage.Accesses. Most of what a platform tells is known already: that
// is one write of a time, which no index has.
func (s *Store) PutAccess(ctx context.Context, a vigil.Access) error {
	return s.putAccess(ctx, a, true)
}

// RenewAccess implements storage.Accesses.
func (s *Store) RenewAccess(ctx context.Context, a vigil.Access) error {
	err := s.putAccess(ctx, a, false)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		err = notFound("access record") // also where the exam is gone
	}
	return err
}

func (s *Store) putAccess(ctx context.Context, a vigil.Access, create bool) error {
	if err := a.Validate(); err != nil {
		return err
	}
	info, err := s.exam(ctx, a.ExamID)
	if err != nil {
		return err
	}
	k := accessKey(info.issuer, a.UserID, a.ExamID)
	for range putAccessTries {
		expired := num(ms(s.now().Add(-vigil.AccessKept)))
		again := newExpr().set("At", num(ms(a.At))).set(attrTTL, num(ttl(accessEnd(a.At)))).is("Version", num(a.Version))
		again.when("%s > %s AND %s < %s", again.n("At"), again.v(expired), again.n("At"), again.v(num(ms(a.At))))
		o, err := s.change(ctx, "access", s.main, k, again)
		if err != nil || o.done {
			return err
		}
		stored, err := decode[vigil.Access](o.old)
		if err != nil {
			return err
		}
		switch current := s.currentAccess(stored); {
		case !current && !create:
			return notFound("access record")
		case current:
			if stored.Version > a.Version {
				return conflict("access record")
			}
			if stored.Version == a.Version && ms(stored.At) >= ms(a.At) {
				return nil
			}
		}
		free := newExpr()
		if create {
			free.when("attribute_not_exists(%s) OR %s < %s OR %s <= %s",
				free.n(attrPK), free.n("Version"), free.v(num(a.Version)), free.n("At"), free.v(expired))
		} else {
			free.when("%s < %s AND %s > %s", free.n("Version"), free.v(num(a.Version)), free.n("At"), free.v(expired))
		}
		places := both(listed(examAccesses(a.ExamID), partName(a.UserID)), expiring(accessEnd(a.At)))
		o, err = s.put(ctx, "access", s.main, k, encode(a), places, free)
		if err != nil || o.done {
			return err
		}
	}
	return vigil.Errorf(vigil.CodeUnavailable, "The store is too busy with this. Try again.")
}

// Access implements storage.Accesses.
func (s *Store) Access(ctx context.Context, examID, userID string) (vigil.Access, error) {
	info, err := s.exam(ctx, examID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return vigil.Access{}, notFound("access record")
	}
	if err != nil {
		return vigil.Access{}, err
	}
	a, err := read[vigil.Access](ctx, s, "access record", s.main, accessKey(info.issuer, userID, examID))
	if err == nil && !s.currentAccess(a) {
		err = notFound("access record")
	}
	if err != nil {
		return vigil.Access{}, err
	}
	return a, nil
}

// AccessOfExam implements storage.Accesses.
func (s *Store) AccessOfExam(ctx context.Context, examID string, page storage.Page) (records []vigil.Access, next string, err error) {
	l := list{what: "access", index: indexList, pk: examAccesses(examID)}
	return paged(ctx, s, l, page, func(ctx context.Context, listed []item) ([]*vigil.Access, error) {
		items, err := s.full(ctx, "access", listed)
		if err != nil {
			return nil, err
		}
		return decodeAll(s.currentAccess)(ctx, items)
	})
}

// AccessOfUser implements storage.Accesses.
func (s *Store) AccessOfUser(ctx context.Context, issuer, userID string) ([]vigil.Access, error) {
	return allOf(ctx, s, list{what: "access", pk: accessPartition(issuer, userID)}, s.currentAccess)
}
