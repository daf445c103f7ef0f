package dynamo

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"vigil"
)

// shards is the number of lists over which waiting deliveries and due sessions are each
// spread, so that pausing a whole school at once does not meet the limit of one partition.
const shards = 8

func shardOf(sessionID string) int {
	h := fnv.New32a()
	h.Write([]byte(sessionID))
	return int(h.Sum32() % shards)
}

func laterList(shard int) string { return name("later", strconv.Itoa(shard)) }

func laterAt(sessionID string, at time.Time) string { return sortable(at) + "#" + partName(sessionID) }

// laterPlace puts a new session into its due list; nil if it has no DueAt.
func laterPlace(v vigil.Session) extra {
	if v.DueAt.IsZero() {
		return nil
	}
	return listed(laterList(shardOf(v.ID)), laterAt(v.ID, v.DueAt))
}

// later moves a session within its due list, or takes it out if the time is zero.
func (e *expr) later(sessionID string, at time.Time) *expr {
	if at.IsZero() {
		return e.remove(attrList).remove(attrPos)
	}
	return e.set(attrList, str(laterList(shardOf(sessionID)))).set(attrPos, str(laterAt(sessionID, at)))
}

// SetDue implements storage.Sessions.
func (s *Store) SetDue(ctx context.Context, sessionID string, version int64, at time.Time) error {
	e := newExpr().set("DueAt", field(at)).later(sessionID, at).present().is("Version", num(version))
	return s.update(ctx, "due", sessionKey(sessionID), e, "session")
}

// maxLook bounds how many sessions LeaseDue reads and leases at once.
const maxLook = 50

// LeaseDue implements storage.Sessions. The lists tell which sessions may be due; the
// sessions, read consistently, and a conditional write decide.
func (s *Store) LeaseDue(ctx context.Context, now, until time.Time, n int) ([]vigil.Session, error) {
	if ms(until) <= ms(now) {
		return nil, vigil.Invalid("until", "The lease must end after now.")
	}
	out := []vigil.Session{}
	lists := newLaterLists(now)
	for len(out) < n {
		partitions, err := lists.next(ctx, s, min(n-len(out), maxLook))
		if err != nil {
			return given(s, out, err)
		}
		if len(partitions) == 0 {
			break
		}
		found, err := s.sessionsIn(ctx, partitions)
		if err != nil {
			return given(s, out, err)
		}
		leased := make([]*vigil.Session, len(partitions))
		var g errgroup.Group // without a context: one that fails must not cancel the others' leases
		g.SetLimit(s.parallel)
		for i, p := range partitions {
			if v, there := found[p]; there && !v.DueAt.IsZero() && ms(v.DueAt) <= ms(now) {
				g.Go(func() (err error) {
					leased[i], err = s.leaseSession(ctx, v, now, until)
					return err
				})
			}
		}
		err = g.Wait()
		for _, v := range leased {
			if v != nil {
				out = append(out, *v)
			}
		}
		if err != nil {
			return given(s, out, err)
		}
	}
	return out, nil
}

// given is the answer of a lease call that met a fault: what it has leased, since nobody
// else gets that before the leases end, or the error.
func given[T any](s *Store, out []T, err error) ([]T, error) {
	if len(out) == 0 {
		return nil, err
	}
	s.log.Warn("leasing ended early", "leased", len(out), "error", err)
	return out, nil
}

// leaseSession moves the DueAt of a session that is still due; nil if it is not.
func (s *Store) leaseSession(ctx context.Context, v vigil.Session, now, until time.Time) (*vigil.Session, error) {
	e := newExpr().set("DueAt", num(ms(until))).later(v.ID, until).present()
	e.when("%s <= %s", e.n("DueAt"), e.v(num(ms(now))))
	o, err := s.change(ctx, "due", s.main, sessionKey(v.ID), e)
	if err != nil || !o.done {
		return nil, err
	}
	leased, err := decode[vigil.Session](o.new) // it may have changed since it was read
	leased.Presence, leased.Tally, leased.Monitor = v.Presence, v.Tally, v.Monitor
	return &leased, err
}

// laterLists merges the due lists by time.
type laterLists struct {
	high  string
	lists [shards]struct {
		read  []item // and not given out yet
		start item
		ended bool
	}
	seen map[string]bool // the index may show a session at its old and its new place
}

func newLaterLists(now time.Time) *laterLists {
	return &laterLists{high: sortable(now) + "#\u00ff", seen: map[string]bool{}}
}

// next returns the partitions of the next n sessions; fewer or none at the end.
func (l *laterLists) next(ctx context.Context, s *Store, n int) ([]string, error) {
	var out []string
	for len(out) < n {
		first := -1
		for i := range l.lists {
			p := &l.lists[i]
			for len(p.read) == 0 && !p.ended {
				answer, err := s.query(ctx, list{what: "due", index: indexList, pk: laterList(i)}, "0", l.high, p.start, int32(n))
				if err != nil {
					return nil, err
				}
				for _, it := range answer.Items {
					p.read = append(p.read, it)
				}
				p.start = answer.LastEvaluatedKey
				p.ended = len(p.start) == 0
			}
			if len(p.read) > 0 && (first < 0 || p.read[0].text(attrPos) < l.lists[first].read[0].text(attrPos)) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		p := &l.lists[first]
		partition := p.read[0].text(attrPK)
		p.read = p.read[1:]
		if !l.seen[partition] {
			l.seen[partition] = true
			out = append(out, partition)
		}
	}
	return out, nil
}
