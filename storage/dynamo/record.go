package dynamo

import (
	"context"
	"time"

	"vigil"
)

// Records have a table of their own: they are secrets of a moment, so it has no
// point-in-time recovery that would keep them for weeks.

func recordKey(kind, k string) key { return key{name("r", kind, k), "r"} }

// recordExpiry is the extra of a record: nothing where it has no end.
func recordExpiry(r vigil.Record) extra {
	if r.Expires.IsZero() {
		return nil
	}
	return expiring(r.Expires)
}

// CreateRecord implements storage.Records.
func (s *Store) CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error {
	e := newExpr()
	e.when("attribute_not_exists(%s) OR %s <= %s", e.n(attrPK), e.n("Expires"), e.v(num(ms(now))))
	return s.create(ctx, "record", s.records, recordKey(r.Kind, r.Key), encode(r), recordExpiry(r), e)
}

// PutRecord implements storage.Records.
func (s *Store) PutRecord(ctx context.Context, r vigil.Record) error {
	_, err := s.put(ctx, "record", s.records, recordKey(r.Kind, r.Key), encode(r), recordExpiry(r), nil)
	return err
}

// liveRecord reads a record; one that has expired is not there.
func liveRecord(it item, now time.Time) (vigil.Record, error) {
	if it == nil {
		return vigil.Record{}, notFound("record")
	}
	r, err := decode[vigil.Record](it)
	if err != nil {
		return vigil.Record{}, err
	}
	if !r.Expires.IsZero() && ms(r.Expires) <= ms(now) {
		return vigil.Record{}, notFound("record")
	}
	return r, nil
}

// GetRecord implements storage.Records.
func (s *Store) GetRecord(ctx context.Context, kind, k string, now time.Time) (vigil.Record, error) {
	it, err := s.get(ctx, "record", s.records, recordKey(kind, k))
	if err != nil {
		return vigil.Record{}, err
	}
	return liveRecord(it, now)
}

// TakeRecord implements storage.Records. If the service's answer to the delete is lost
// and the client asks again, nobody gets the record: whoever needed it begins anew.
func (s *Store) TakeRecord(ctx context.Context, kind, k string, now time.Time) (vigil.Record, error) {
	it, err := s.remove(ctx, "record", s.records, recordKey(kind, k))
	if err != nil {
		return vigil.Record{}, err
	}
	return liveRecord(it, now)
}

// DeleteRecord implements storage.Records.
func (s *Store) DeleteRecord(ctx context.Context, kind, k string) error {
	_, err := s.remove(ctx, "record", s.records, recordKey(kind, k))
	return err
}
