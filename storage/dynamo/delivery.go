package dynamo

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"vigil"
)

func deliveryKey(sessionID, id string) key { return key{sessionPartition(sessionID), name("d", id)} }

func dueList(shard int) string { return name("due", strconv.Itoa(shard)) }

func dueListOf(sessionID string) string { return dueList(shardOf(sessionID)) }

// dueAt is where an entry stands among those that are due: it is not looked at before
// its next try, nor while it is leased.
func dueAt(d vigil.Delivery) string {
	at := d.NextTry
	if d.LeaseOwner != "" && d.LeaseEnds.After(at) {
		at = d.LeaseEnds
	}
	return sortable(at) + "#" + partName(d.ID)
}

// duePlace lists an entry as long as it waits.
func duePlace(d vigil.Delivery) extra {
	if d.State != vigil.DeliveryWaiting {
		return nil
	}
	return listed(dueListOf(d.SessionID), dueAt(d))
}

// LeaseDeliveries implements storage.Commands. The lists tell where something may be due;
// what the session's own partition says, read consistently, and a conditional write
// decide.
func (s *Store) LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error) {
	if owner == "" {
		return nil, vigil.Invalid("owner", "A lease needs an owner.")
	}
	out := []vigil.Delivery{}
	seen := map[string]bool{} // sessions that were looked at
	first := rand.IntN(shards)
	for i := 0; i < shards && len(out) < n; i++ {
		l := list{what: "due", index: indexList, pk: dueList((first + i) % shards)}
		var start item
		for len(out) < n {
			answer, err := s.query(ctx, l, "0", sortable(now)+"#\u00ff", start, 100)
			if err != nil {
				return given(s, out, err)
			}
			for _, it := range answer.Items {
				session := item(it).text(attrPK)
				if seen[session] || len(out) >= n {
					continue
				}
				seen[session] = true
				d, err := s.leaseFirst(ctx, session, owner, now)
				if err != nil {
					return given(s, out, err)
				}
				if d != nil {
					out = append(out, *d)
				}
			}
			if start = answer.LastEvaluatedKey; len(start) == 0 {
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b vigil.Delivery) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// leaseFirst leases the first waiting entry of a session; nil if it is not due or
// somebody else has it.
func (s *Store) leaseFirst(ctx context.Context, partition, owner string, now time.Time) (*vigil.Delivery, error) {
	waiting, err := s.waiting(ctx, partition)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	return s.lease(ctx, waiting[0], owner, now)
}

// waiting lists the entries of a session that wait, in the order in which they are sent.
func (s *Store) waiting(ctx context.Context, partition string) ([]vigil.Delivery, error) {
	l := list{what: "delivery", pk: partition, prefix: "d#"}
	out, err := allOf(ctx, s, l, func(d vigil.Delivery) bool { return d.State == vigil.DeliveryWaiting })
	slices.SortFunc(out, func(a, b vigil.Delivery) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// DeliveriesOfSession implements storage.DeliveryLister.
func (s *Store) DeliveriesOfSession(ctx context.Context, sessionID string) ([]vigil.Delivery, error) {
	return s.waiting(ctx, sessionPartition(sessionID))
}

func (s *Store) lease(ctx context.Context, d vigil.Delivery, owner string, now time.Time) (*vigil.Delivery, error) {
	if d.NextTry.After(now) || d.LeaseOwner != "" && !d.Abandoned(now) {
		return nil, nil
	}
	e := newExpr().present().is("State", field(d.State)).is("NextTry", num(ms(d.NextTry)))
	if d.LeaseOwner == "" {
		e.when("attribute_not_exists(%s)", e.n("LeaseOwner"))
	} else {
		e.is("LeaseOwner", str(d.LeaseOwner)).is("LeaseEnds", num(ms(d.LeaseEnds)))
	}
	d.Sent = d.Sent || d.Abandoned(now)
	d.LeaseOwner, d.LeaseEnds = owner, whole(now.Add(vigil.DeliveryLease))
	e.set("LeaseOwner", str(owner)).set("LeaseEnds", field(d.LeaseEnds)).set("Sent", field(d.Sent)).set(attrPos, str(dueAt(d)))
	o, err := s.change(ctx, "delivery", s.main, deliveryKey(d.SessionID, d.ID), e)
	if err != nil || !o.done {
		return nil, err
	}
	return &d, nil
}

// SaveDelivery implements storage.Commands.
func (s *Store) SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error {
	e := newExpr().set("ExtraMinutes", field(d.ExtraMinutes)).set("State", field(d.State)).set("Tries", field(d.Tries)).
		set("Sent", field(d.Sent)).set("NextTry", field(d.NextTry)).set("LeaseOwner", field(d.LeaseOwner)).
		set("LeaseEnds", field(d.LeaseEnds)).present()
	if owner == "" { // nobody holds a lease without a name
		e.when("attribute_not_exists(%s)", e.n(attrPK))
	} else {
		e.is("LeaseOwner", str(owner))
	}
	if d.State == vigil.DeliveryWaiting {
		e.set(attrList, str(dueListOf(d.SessionID))).set(attrPos, str(dueAt(d)))
	} else {
		e.remove(attrList).remove(attrPos)
	}
	return s.update(ctx, "delivery", deliveryKey(d.SessionID, d.ID), e, "delivery")
}

// WaitingDeliveries implements storage.Commands. Ids sort by the time at which entries were made.
func (s *Store) WaitingDeliveries(ctx context.Context) (n int, oldest time.Time, err error) {
	var waiting []item
	for shard := range shards {
		items, err := s.all(ctx, list{what: "due", index: indexList, pk: dueList(shard)})
		if err != nil {
			return 0, time.Time{}, err
		}
		waiting = append(waiting, items...)
	}
	slices.SortFunc(waiting, func(a, b item) int { return cmp.Compare(a.text(attrSK), b.text(attrSK)) })
	for i, it := range waiting {
		d, err := read[vigil.Delivery](ctx, s, "delivery", s.main, keyOf(it))
		switch {
		case err == nil && d.State == vigil.DeliveryWaiting:
			return len(waiting) - i, d.Created, nil
		case err != nil && !errors.Is(err, vigil.ErrNotFound):
			return 0, time.Time{}, err
		}
	}
	return 0, time.Time{}, nil // the list lags behind what it lists
}
