package sim

import (
	"context"
	"slices"
	"time"

	"vigil"
	"vigil/realtime"
)

// store is a server's way to the store that all servers share.
type store struct {
	realtime.Store
	bus  *bus
	node *server
}

var errAway = vigil.Errorf(vigil.CodeUnavailable, "The store does not answer.")

// do makes a call, or not, or makes it and loses its answer.
func (s *store) do(ctx context.Context, method, about string, call func() error) error {
	way, err := s.bus.pass(ctx, toStore, s.node.id+" "+method+" "+about, nil)
	switch {
	case err != nil:
		return vigil.Wrap(err, vigil.CodeUnavailable, "The store was given up.")
	case s.node.dead.Load():
		return errAway
	case way == fails:
		return errAway
	case way == lost:
		_ = call() // nobody hears of it
		return errAway
	}
	return call()
}

// get is do for a call with a result.
func get[T any](ctx context.Context, s *store, method, about string, call func() (T, error)) (out T, err error) {
	err = s.do(ctx, method, about, func() (err error) {
		out, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

type listed[T any] struct {
	list []T
	next string
}

func list[T any](ctx context.Context, s *store, method, about string, call func() ([]T, string, error)) ([]T, string, error) {
	l, err := get(ctx, s, method, about, func() (listed[T], error) {
		list, next, err := call()
		return listed[T]{list, next}, err
	})
	return l.list, l.next, err
}

func (s *store) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	return get(ctx, s, "Exam", id, func() (vigil.Exam, error) { return s.Store.Exam(ctx, id) })
}

func (s *store) Session(ctx context.Context, id string) (vigil.Session, error) {
	return get(ctx, s, "Session", id, func() (vigil.Session, error) { return s.Store.Session(ctx, id) })
}

func (s *store) SessionOfAttempt(ctx context.Context, exam, user string, attempt int) (vigil.Session, error) {
	return get(ctx, s, "SessionOfAttempt", user, func() (vigil.Session, error) { return s.Store.SessionOfAttempt(ctx, exam, user, attempt) })
}

func (s *store) SessionsOfExam(ctx context.Context, id string, page vigil.Page) ([]vigil.Session, string, error) {
	return list(ctx, s, "SessionsOfExam", page.After, func() ([]vigil.Session, string, error) { return s.Store.SessionsOfExam(ctx, id, page) })
}

func (s *store) Transition(ctx context.Context, t vigil.Transition) error {
	t.Gaps, t.NewGaps = s.node.world.spoiledGaps(t.Gaps), s.node.world.spoiledGaps(t.NewGaps)
	if t.Command != nil && len(t.Gaps) > 0 && s.node.world.off == GrantedOnce {
		t.Command.Time *= 2
	}
	return s.do(ctx, "Transition", t.Session.ID, func() error { return s.Store.Transition(ctx, t) })
}

func (s *store) SetPresence(ctx context.Context, id string, p vigil.Presence) error {
	return s.do(ctx, "SetPresence", id, func() error {
		if s.node.world.off == OnlineIsNotLost && p.Connection == vigil.ConnOnline {
			return nil
		}
		return s.Store.SetPresence(ctx, id, p)
	})
}

func (s *store) NextEpoch(ctx context.Context, id string) (int64, error) {
	return get(ctx, s, "NextEpoch", id, func() (int64, error) { return s.Store.NextEpoch(ctx, id) })
}

func (s *store) Connected(ctx context.Context, node string, page vigil.Page) ([]vigil.Session, string, error) {
	return list(ctx, s, "Connected", node, func() ([]vigil.Session, string, error) { return s.Store.Connected(ctx, node, page) })
}

func (s *store) SetHand(ctx context.Context, id string, at time.Time) error {
	return s.do(ctx, "SetHand", id, func() error { return s.Store.SetHand(ctx, id, at) })
}

func (s *store) LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error) {
	return get(ctx, s, "LeaseDue", "", func() ([]vigil.Session, error) {
		if s.node.world.off == OverIsOver {
			return nil, nil
		}
		return s.Store.LeaseDue(ctx, now, until, n)
	})
}

func (s *store) SetDue(ctx context.Context, id string, version int64, at time.Time) error {
	return s.do(ctx, "SetDue", id, func() error { return s.Store.SetDue(ctx, id, version, at) })
}

func (s *store) AppendSignals(ctx context.Context, signals []vigil.Signal) ([]vigil.Appended, error) {
	return get(ctx, s, "AppendSignals", signals[0].SessionID, func() ([]vigil.Appended, error) {
		if s.node.world.off == SignalsOnce {
			return slices.Repeat([]vigil.Appended{vigil.Stored}, len(signals)), nil
		}
		return s.Store.AppendSignals(ctx, signals)
	})
}

func (s *store) StreamState(ctx context.Context, id, stream string) (count, highest int64, err error) {
	err = s.do(ctx, "StreamState", id, func() (err error) {
		count, highest, err = s.Store.StreamState(ctx, id, stream)
		return err
	})
	return count, highest, err
}

func (s *store) Incident(ctx context.Context, session, id string) (vigil.Incident, error) {
	return get(ctx, s, "Incident", session, func() (vigil.Incident, error) { return s.Store.Incident(ctx, session, id) })
}

func (s *store) UpdateIncident(ctx context.Context, i vigil.Incident) error {
	return s.do(ctx, "UpdateIncident", i.SessionID, func() error { return s.Store.UpdateIncident(ctx, i) })
}

func (s *store) CreateGap(ctx context.Context, g vigil.Gap) error {
	g = s.node.world.spoiledGaps([]vigil.Gap{g})[0]
	return s.do(ctx, "CreateGap", g.SessionID, func() error { return s.Store.CreateGap(ctx, g) })
}

func (s *store) UpdateGap(ctx context.Context, g vigil.Gap) error {
	return s.do(ctx, "UpdateGap", g.SessionID, func() error { return s.Store.UpdateGap(ctx, g) })
}

func (s *store) GapsOfSession(ctx context.Context, id string) ([]vigil.Gap, error) {
	return get(ctx, s, "GapsOfSession", id, func() ([]vigil.Gap, error) { return s.Store.GapsOfSession(ctx, id) })
}

func (s *store) GapsOfExam(ctx context.Context, id string, page vigil.Page) ([]vigil.Gap, string, error) {
	return list(ctx, s, "GapsOfExam", page.After, func() ([]vigil.Gap, string, error) { return s.Store.GapsOfExam(ctx, id, page) })
}

func (s *store) Command(ctx context.Context, session, id string) (vigil.Command, error) {
	return get(ctx, s, "Command", session+" "+id, func() (vigil.Command, error) { return s.Store.Command(ctx, session, id) })
}

func (s *store) UpdateCommand(ctx context.Context, c vigil.Command) error {
	return s.do(ctx, "UpdateCommand", c.SessionID+" "+c.ID, func() error { return s.Store.UpdateCommand(ctx, c) })
}

func (s *store) CommandsOfSession(ctx context.Context, id string, page vigil.Page) ([]vigil.Command, string, error) {
	return list(ctx, s, "CommandsOfSession", id, func() ([]vigil.Command, string, error) { return s.Store.CommandsOfSession(ctx, id, page) })
}

func (s *store) CommandsOfExam(ctx context.Context, id string, since time.Time, page vigil.Page) ([]vigil.Command, string, error) {
	return list(ctx, s, "CommandsOfExam", page.After, func() ([]vigil.Command, string, error) { return s.Store.CommandsOfExam(ctx, id, since, page) })
}

func (s *store) LeaseDeliveries(ctx context.Context, owner string, now time.Time, n int) ([]vigil.Delivery, error) {
	return get(ctx, s, "LeaseDeliveries", "", func() ([]vigil.Delivery, error) {
		if s.node.world.off == CommandsTold {
			return nil, nil
		}
		return s.Store.LeaseDeliveries(ctx, owner, now, n)
	})
}

func (s *store) SaveDelivery(ctx context.Context, d vigil.Delivery, owner string) error {
	return s.do(ctx, "SaveDelivery", d.SessionID+" "+d.ID, func() error { return s.Store.SaveDelivery(ctx, d, owner) })
}

func (s *store) AddChat(ctx context.Context, l vigil.ChatLine) error {
	return s.do(ctx, "AddChat", l.SessionID, func() error {
		if s.node.world.off == LinesTold {
			return nil
		}
		return s.Store.AddChat(ctx, l)
	})
}

func (s *store) ChatOfSession(ctx context.Context, id string, page vigil.Page) ([]vigil.ChatLine, string, error) {
	return list(ctx, s, "ChatOfSession", id, func() ([]vigil.ChatLine, string, error) { return s.Store.ChatOfSession(ctx, id, page) })
}

func (s *store) ReadChat(ctx context.Context, id string) error {
	return s.do(ctx, "ReadChat", id, func() error { return s.Store.ReadChat(ctx, id) })
}

func (s *store) RenewNode(ctx context.Context, n vigil.Node) error {
	return s.do(ctx, "RenewNode", "", func() error { return s.Store.RenewNode(ctx, n) })
}

func (s *store) Nodes(ctx context.Context) ([]vigil.Node, error) {
	return get(ctx, s, "Nodes", "", func() ([]vigil.Node, error) { return s.Store.Nodes(ctx) })
}

func (s *store) DeleteNode(ctx context.Context, id string) error {
	return s.do(ctx, "DeleteNode", id, func() error { return s.Store.DeleteNode(ctx, id) })
}

func (s *store) CreateRecord(ctx context.Context, r vigil.Record, now time.Time) error {
	return s.do(ctx, "CreateRecord", r.Kind, func() error { return s.Store.CreateRecord(ctx, r, now) })
}

func (s *store) GetRecord(ctx context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	return get(ctx, s, "GetRecord", kind, func() (vigil.Record, error) { return s.Store.GetRecord(ctx, kind, key, now) })
}

func (s *store) AppendAudit(ctx context.Context, entries ...vigil.Audit) error {
	return s.do(ctx, "AppendAudit", "", func() error { return s.Store.AppendAudit(ctx, entries...) })
}
