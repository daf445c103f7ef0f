package dynamo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

// A session's partition holds the session ("a"), what changes often and apart from its
// version ("b": presence, tally, epochs), and everything that belongs to it. Beside it
// are the item of its attempt, in the partition of its user, and its place in the exam's
// list. These four are made together.

func sessionPartition(id string) string { return name("s", id) }
func sessionKey(id string) key          { return key{sessionPartition(id), "a"} }
func liveKey(id string) key             { return key{sessionPartition(id), "b"} }

func userPartition(issuer, userID string) string { return name("u", issuer, userID) }

func attemptPrefix(examID string, attempt int) string {
	return name("a", examID, fmt.Sprintf("%010d", attempt)) + "#"
}

func attemptKey(issuer string, v vigil.Session) key {
	return key{userPartition(issuer, v.UserID), attemptPrefix(v.ExamID, v.Attempt) + fmt.Sprintf("%010d", v.Generation)}
}

func examSessions(examID string) string { return name("xs", examID) }

// slack is how much longer than its policy says the items of a session stay that are not
// written again when it lives on. Readers judge by the policy.
const slack = 30 * day

// sessionAge is the last of the times from which a session's age counts.
func sessionAge(v vigil.Session) time.Time {
	age := v.Created
	for _, t := range []time.Time{v.Changed, v.Presence.Heard} {
		if t.After(age) {
			age = t
		}
	}
	return age
}

// life is what is remembered of a session, so that the lists of things of sessions need
// not read each session again: its age only grows.
type life struct {
	exam string
	age  time.Time
}

func (s *Store) lives(v vigil.Session, info examInfo) bool {
	age := sessionAge(v)
	alive := ms(age) > ms(s.now().Add(-info.sessions()))
	if alive {
		s.mu.Lock()
		if len(s.known) >= maxLives {
			clear(s.known)
		}
		s.known[v.ID] = life{exam: v.ExamID, age: age}
		s.mu.Unlock()
	}
	return alive
}

// alive tells which of some sessions are there and have not expired.
func (s *Store) alive(ctx context.Context, ids []string) (map[string]bool, error) {
	out := make(map[string]bool, len(ids))
	var ask []string
	for _, id := range ids {
		if _, seen := out[id]; seen || id == "" {
			continue
		}
		out[id] = false
		s.mu.Lock()
		l, ok := s.known[id]
		s.mu.Unlock()
		if ok {
			info, err := s.exam(ctx, l.exam)
			if err == nil && ms(l.age) > ms(s.now().Add(-info.sessions())) {
				out[id] = true
				continue
			}
		}
		ask = append(ask, id)
	}
	if len(ask) == 0 {
		return out, nil
	}
	found, err := s.sessionsByID(ctx, ask)
	for id := range found {
		out[id] = true
	}
	return out, err
}

// forget drops what is remembered of a session that is erased.
func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, id)
}

// CreateSession implements storage.Sessions.
func (s *Store) CreateSession(ctx context.Context, v vigil.Session) error {
	if v.Created.IsZero() {
		return vigil.Invalid("created", "A session needs the time of its creation.")
	}
	info, err := s.exam(ctx, v.ExamID)
	if err != nil {
		return err
	}
	guard := newExpr().absent()
	for range 3 {
		refusals, err := s.createSession(ctx, v, info, guard)
		if err != nil || refusals == nil {
			return err
		}
		if !refusals[0].failed {
			return exists("session") // the id
		}
		// One that expired and was not removed yet is not in the way.
		old := refusals[0].old.text("Session")
		_, err = s.Session(ctx, old)
		if vigil.CodeOf(err) != vigil.CodeNotFound {
			if err == nil {
				err = exists("session")
			}
			return err
		}
		if _, err := s.eraseSession(ctx, old); err != nil {
			return err
		}
		guard = newExpr().is("Session", str(old))
	}
	return exists("session")
}

func (s *Store) createSession(ctx context.Context, v vigil.Session, info examInfo, guard *expr) ([]refusal, error) {
	place := sortable(v.Created) + "#" + s.stamp() + "#" + partName(v.ID)
	age := sessionAge(v)
	end := expiring(age.Add(info.sessions() + slack))
	keep := int64((info.sessions() + slack) / time.Second)
	names := func(it item) {
		it["Place"], it["Issuer"], it["Keep"] = str(place), str(info.issuer), num(keep)
		end(it)
	}
	main := encode(v)
	live := encode(v.Presence)
	maps.Copy(live, encode(vigil.Tally{}))
	maps.Copy(live, encode(monitored{v.Monitor}))
	live["Session"], live["ExamID"], live["Epochs"], live["Round"] = str(v.ID), str(v.ExamID), num(v.Presence.Epoch), num(0)
	var node extra
	if connected(v.Presence) {
		node = listed(nodeSessions(v.Presence.Node), place)
	}
	return s.transact(ctx, "session",
		s.txPut(attemptKey(info.issuer, v), item{"Session": str(v.ID), "Place": str(place)}, end, guard),
		s.txPut(sessionKey(v.ID), main, both(names, laterPlace(v)), newExpr().absent()),
		s.txPut(liveKey(v.ID), live, both(names, node), newExpr().absent()),
		s.txPut(key{examSessions(v.ExamID), place}, item{"Session": str(v.ID)}, end, nil),
	)
}

// joined makes a session of its two items.
func joined(main, live item) (vigil.Session, error) {
	v, err := decode[vigil.Session](main)
	if err == nil {
		err = decodeInto(live, &v.Presence)
	}
	if err == nil {
		err = decodeInto(live, &v.Tally)
	}
	if err == nil {
		var m monitored
		err = decodeInto(live, &m)
		v.Monitor = m.Monitor
	}
	return v, err
}

// Session implements storage.Sessions.
func (s *Store) Session(ctx context.Context, id string) (vigil.Session, error) {
	v, _, err := s.session(ctx, id)
	return v, err
}

// session reads a session that has not expired, and its exam's retention.
func (s *Store) session(ctx context.Context, id string) (vigil.Session, examInfo, error) {
	l := list{what: "session", pk: sessionPartition(id)}
	out, err := s.query(ctx, l, "a", "b", nil, 0)
	if err != nil {
		return vigil.Session{}, examInfo{}, err
	}
	if len(out.Items) != 2 {
		return vigil.Session{}, examInfo{}, notFound("session")
	}
	v, err := joined(out.Items[0], out.Items[1])
	if err != nil {
		return vigil.Session{}, examInfo{}, err
	}
	info, err := s.exam(ctx, v.ExamID)
	if err != nil {
		return vigil.Session{}, examInfo{}, err
	}
	if !s.lives(v, info) {
		return vigil.Session{}, examInfo{}, notFound("session")
	}
	return v, info, nil
}

// sessionsByID reads sessions, those that are there and have not expired.
func (s *Store) sessionsByID(ctx context.Context, ids []string) (map[string]vigil.Session, error) {
	partitions := make([]string, len(ids))
	for i, id := range ids {
		partitions[i] = sessionPartition(id)
	}
	found, err := s.sessionsIn(ctx, partitions)
	out := make(map[string]vigil.Session, len(found))
	for _, v := range found {
		out[v.ID] = v
	}
	return out, err
}

// sessionsIn reads the sessions of some partitions, those that are there and have not
// expired.
func (s *Store) sessionsIn(ctx context.Context, partitions []string) (map[string]vigil.Session, error) {
	keys := make([]key, 0, 2*len(partitions))
	for _, p := range partitions {
		keys = append(keys, key{p, "a"}, key{p, "b"})
	}
	found, err := s.batchGet(ctx, "session", keys)
	if err != nil {
		return nil, err
	}
	out := make(map[string]vigil.Session, len(partitions))
	for _, p := range partitions {
		main, live := found[key{p, "a"}], found[key{p, "b"}]
		if main == nil || live == nil {
			continue
		}
		v, err := joined(main, live)
		if err != nil {
			return nil, err
		}
		info, err := s.exam(ctx, v.ExamID)
		if vigil.CodeOf(err) == vigil.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.lives(v, info) {
			out[p] = v
		}
	}
	return out, nil
}

// listedSessions resolves items that name sessions.
func (s *Store) listedSessions(ctx context.Context, items []item) ([]*vigil.Session, error) {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.text("Session")
	}
	found, err := s.sessionsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*vigil.Session, len(items))
	for i, id := range ids {
		if v, ok := found[id]; ok {
			out[i] = &v
		}
	}
	return out, nil
}

// SessionOfAttempt implements storage.Sessions.
func (s *Store) SessionOfAttempt(ctx context.Context, examID, userID string, attempt int) (vigil.Session, error) {
	info, err := s.exam(ctx, examID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return vigil.Session{}, notFound("session")
	}
	if err != nil {
		return vigil.Session{}, err
	}
	l := list{what: "attempt", pk: userPartition(info.issuer, userID), prefix: attemptPrefix(examID, attempt), desc: true}
	found, _, err := paged(ctx, s, l, storage.Page{Limit: 1}, s.listedSessions)
	if err != nil {
		return vigil.Session{}, err
	}
	if len(found) == 0 {
		return vigil.Session{}, notFound("session")
	}
	return found[0], nil
}

// SessionsOfExam implements storage.Sessions.
func (s *Store) SessionsOfExam(ctx context.Context, examID string, page storage.Page) (sessions []vigil.Session, next string, err error) {
	return paged(ctx, s, list{what: "sessions", pk: examSessions(examID)}, page, s.listedSessions)
}

// SetHand implements storage.Sessions.
func (s *Store) SetHand(ctx context.Context, sessionID string, at time.Time) error {
	return s.update(ctx, "hand", liveKey(sessionID), newExpr().set("Hand", field(at)).present(), "session")
}

// SetMonitor implements storage.Sessions.
func (s *Store) SetMonitor(ctx context.Context, sessionID string, m vigil.Monitor) error {
	return s.update(ctx, "monitor", liveKey(sessionID), newExpr().set("Monitor", field(m)).present(), "session")
}

// SetGroups implements storage.Sessions. A session of an older program has no version of them.
func (s *Store) SetGroups(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error {
	e := newExpr().set("Groups", field(groups)).set("GroupsVersion", num(version)).present()
	stored := e.n("GroupsVersion")
	if version > 0 {
		e.when("attribute_not_exists(%s) OR %s < %s", stored, stored, e.v(num(version)))
	} else {
		e.when("%s < %s", stored, e.v(num(version)))
	}
	return s.update(ctx, "groups", sessionKey(sessionID), e, "session's groups")
}

// SessionsOfUser implements storage.People.
func (s *Store) SessionsOfUser(ctx context.Context, issuer, userID string) ([]vigil.Session, error) {
	attempts, err := s.all(ctx, list{what: "attempt", pk: userPartition(issuer, userID)})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(attempts, func(a, b item) int { return strings.Compare(a.text("Place"), b.text("Place")) })
	found, err := s.listedSessions(ctx, attempts)
	if err != nil {
		return nil, err
	}
	var out []vigil.Session
	for _, v := range found {
		if v != nil {
			out = append(out, *v)
		}
	}
	return out, nil
}
