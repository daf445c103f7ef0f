package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

// sessionNames are the fields that a transition leaves alone, beside presence and tally.
var sessionNames = []string{"ID", "ExamID", "UserID", "Attempt", "Generation", "Previous", "Created", "Presence", "Tally"}

// Transition implements storage.Sessions. Without a command it is one conditional write.
func (s *Store) Transition(ctx context.Context, t storage.Transition) error {
	v := t.Session
	if v.Version < t.From {
		return vigil.Invalid("version", "A session's version never goes back.")
	}
	e := newExpr().present().is("Version", num(t.From))
	changed := v.Version != t.From
	if changed {
		e.fields(v, sessionNames...)
		if !v.Changed.IsZero() { // it lives on
			e.sets = append(e.sets, e.n(attrTTL)+" = "+e.n("Keep")+" + "+e.v(num(ttl(v.Changed))))
		}
	}
	if t.Command == nil && t.Delivery == nil && changed {
		o, err := s.change(ctx, "transition", s.main, sessionKey(v.ID), e)
		if err != nil {
			return err
		}
		return o.versioned("session")
	}
	var parts []types.TransactWriteItem
	if changed {
		parts = append(parts, s.txChange(sessionKey(v.ID), e))
	} else {
		parts = append(parts, s.txCheck(sessionKey(v.ID), e))
	}
	if t.Command != nil {
		c := *t.Command
		c.SessionID = v.ID
		end, err := s.endOfSession(ctx, c.ExamID)
		if err != nil {
			return err
		}
		parts = append(parts, s.txPut(commandKey(v.ID, c.ID), encode(c), both(s.commandPlaces(c), end), newExpr().absent()))
	}
	if t.Delivery != nil {
		d := *t.Delivery
		d.SessionID = v.ID
		end, err := s.endOfSession(ctx, d.ExamID)
		if err != nil {
			return err
		}
		parts = append(parts, s.txPut(deliveryKey(v.ID, d.ID), encode(d), both(duePlace(d), end), newExpr().absent()))
	}
	refusals, err := s.transact(ctx, "transition", parts...)
	switch {
	case err != nil || refusals == nil:
		return err
	case refusals[0].failed && refusals[0].old == nil:
		return notFound("session")
	case t.Command != nil && refusals[1].failed:
		return exists("command")
	case refusals[0].failed:
		// The command may have been stored by another call since this one read it.
		return s.lost(ctx, t)
	}
	return exists("delivery")
}

// lost is the error of a transition whose session had another version: a command that is
// there already counts more.
func (s *Store) lost(ctx context.Context, t storage.Transition) error {
	if t.Command != nil {
		it, err := s.get(ctx, "command", s.main, commandKey(t.Session.ID, t.Command.ID))
		if err != nil {
			return err
		}
		if it != nil {
			return exists("command")
		}
	}
	return conflict("session")
}

// endOfSession is when something of a session may be removed that comes now and lives as
// long as the session.
func (s *Store) endOfSession(ctx context.Context, examID string) (extra, error) {
	info, err := s.exam(ctx, examID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		info, err = examInfo{keep: vigil.DefaultPolicy().Retention}, nil
	}
	if err != nil {
		return nil, err
	}
	return expiring(s.now().Add(info.sessions() + slack)), nil
}
