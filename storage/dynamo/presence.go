package dynamo

import (
	"context"

	"vigil"
	"vigil/storage"
)

// connected tells whether a presence is listed under its node.
func connected(p vigil.Presence) bool {
	switch p.Connection {
	case vigil.ConnOnline, vigil.ConnDegraded, vigil.ConnNavigating:
		return true
	}
	return false
}

func nodeSessions(node string) string { return name("n", node) }

// SetPresence implements storage.Sessions.
func (s *Store) SetPresence(ctx context.Context, sessionID string, p vigil.Presence) error {
	e := newExpr().fields(p).present()
	epoch, since := e.n("Epoch"), e.n("Since")
	e.when("%s < %s OR %s = %s AND (attribute_not_exists(%s) OR %s <= %s)",
		epoch, e.v(num(p.Epoch)), epoch, e.v(num(p.Epoch)), since, since, e.v(num(ms(p.Since))))
	if connected(p) {
		e.set(attrList, str(nodeSessions(p.Node)))
		e.sets = append(e.sets, e.n(attrPos)+" = "+e.n("Place"))
	} else {
		e.remove(attrList).remove(attrPos)
	}
	if !p.Heard.IsZero() { // it lives on
		e.sets = append(e.sets, e.n(attrTTL)+" = "+e.n("Keep")+" + "+e.v(num(ttl(p.Heard))))
	}
	return s.update(ctx, "presence", liveKey(sessionID), e, "session")
}

// NextEpoch implements storage.Sessions. Two steps are needed only when a presence was
// stored whose epoch was not given out here.
func (s *Store) NextEpoch(ctx context.Context, sessionID string) (int64, error) {
	e := newExpr().add("Epochs", 1).present()
	for {
		o, err := s.change(ctx, "epoch", s.main, liveKey(sessionID), e)
		if err != nil {
			return 0, err
		}
		if !o.done && o.old == nil {
			return 0, notFound("session")
		}
		it := o.new
		if !o.done {
			it = o.old
		}
		given, stored := it.number("Epochs"), it.number("Epoch")
		if o.done && given > stored {
			return given, nil
		}
		e = newExpr().set("Epochs", num(max(given, stored)+1)).present().is("Epochs", num(given))
	}
}

// Connected implements storage.Sessions.
func (s *Store) Connected(ctx context.Context, node string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	l := list{what: "connected", index: indexList, pk: nodeSessions(node)}
	return paged(ctx, s, l, page, func(ctx context.Context, listed []item) ([]*vigil.Session, error) {
		items, err := s.full(ctx, "connected", listed)
		if err != nil {
			return nil, err
		}
		out, err := s.listedSessions(ctx, items)
		for i, v := range out {
			if v != nil && (v.Presence.Node != node || !connected(v.Presence)) {
				out[i] = nil
			}
		}
		return out, err
	})
}
