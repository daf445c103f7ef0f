package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

// sessionNames are the attributes that a transition leaves alone. The groups have a version of their own.
var sessionNames = []string{"ID", "ExamID", "UserID", "Attempt", "Generation", "Previous", "Created", "Groups", "GroupsVersion"}

// Transition implements storage.Sessions. A change of the session alone is one conditional
// write, everything else a transaction.
func (s *Store) Transition(ctx context.Context, t storage.Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	v := t.Session
	e := newExpr().present().is("Version", num(t.From))
	changed := v.Version != t.From
	if changed {
		e.fields(v, sessionNames...).later(v.ID, v.DueAt)
		if !v.Changed.IsZero() { // it lives on
			e.sets = append(e.sets, e.n(attrTTL)+" = "+e.n("Keep")+" + "+e.v(num(ttl(v.Changed))))
		}
	}
	parts, err := s.partsOf(ctx, t)
	if err != nil {
		return err
	}
	if len(parts) == 0 && changed {
		return s.update(ctx, "transition", sessionKey(v.ID), e, "session")
	}
	session := s.txCheck(sessionKey(v.ID), e)
	if changed {
		session = s.txChange(sessionKey(v.ID), e)
	}
	items := []types.TransactWriteItem{session}
	for _, p := range parts {
		items = append(items, p.write)
	}
	refusals, err := s.transact(ctx, "transition", items...)
	if err != nil || refusals == nil {
		return err
	}
	return s.refusedError(ctx, t, parts, refusals)
}

// part is one write of a transition beside the session, and the error if its condition fails.
type part struct {
	write   types.TransactWriteItem
	refused func(old item) error
}

// partsOf makes the writes beside the session, in the order in which their errors count:
// command, gaps, new gaps, deliveries.
func (s *Store) partsOf(ctx context.Context, t storage.Transition) ([]part, error) {
	var parts []part
	id := t.Session.ID
	taken := func(what string) func(item) error { return func(item) error { return exists(what) } }
	if t.Command != nil {
		c := *t.Command
		c.SessionID = id
		end, err := s.endOfSession(ctx, c.ExamID)
		if err != nil {
			return nil, err
		}
		put := s.txPut(commandKey(id, c.ID), encode(c), both(s.commandPlaces(c), end), newExpr().absent())
		parts = append(parts, part{put, taken("command")})
	}
	for _, g := range t.Gaps {
		parts = append(parts, part{s.txChange(gapKey(id, g.ID), gapChange(g)), func(old item) error { return outcome{old: old}.versioned("gap") }})
	}
	for _, g := range t.NewGaps {
		g.SessionID = id
		places, err := s.gapPlaces(ctx, g)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{s.txPut(gapKey(id, g.ID), encode(g), places, newExpr().absent()), taken("gap")})
	}
	for _, d := range t.Deliveries {
		d.SessionID = id
		end, err := s.endOfSession(ctx, d.ExamID)
		if err != nil {
			return nil, err
		}
		put := s.txPut(deliveryKey(id, d.ID), encode(d), both(duePlace(d), end), newExpr().absent())
		parts = append(parts, part{put, taken("delivery")})
	}
	return parts, nil
}

// refusedError is the error of a transaction whose conditions failed; refusals[0] is the
// session's. The service does not check all conditions at the same moment, so the command may
// have been stored since its own was checked: that counts more than a lost race.
func (s *Store) refusedError(ctx context.Context, t storage.Transition, parts []part, refusals []refusal) error {
	if refusals[0].failed && refusals[0].old == nil {
		return notFound("session")
	}
	if t.Command != nil && refusals[1].failed {
		return exists("command")
	}
	if err := s.repeated(ctx, t); err != nil {
		return err
	}
	if refusals[0].failed {
		return conflict("session")
	}
	for i, p := range parts {
		if r := refusals[i+1]; r.failed {
			return p.refused(r.old)
		}
	}
	return conflict("session") // not reached: a condition failed
}

// repeated is CodeExists if the transition's command is stored already.
func (s *Store) repeated(ctx context.Context, t storage.Transition) error {
	if t.Command == nil {
		return nil
	}
	it, err := s.get(ctx, "command", s.main, commandKey(t.Session.ID, t.Command.ID))
	if err == nil && it != nil {
		err = exists("command")
	}
	return err
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
