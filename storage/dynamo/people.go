package dynamo

import (
	"context"
)

// EraseUser implements storage.People. It may be repeated after an error: the items of
// the attempts go last, so that nothing is left that could not be found again.
func (s *Store) EraseUser(ctx context.Context, issuer, userID string) (int, error) {
	return s.erase(ctx, list{what: "attempt", pk: userPartition(issuer, userID)})
}

// EraseAttempt implements storage.People, and may be repeated like EraseUser.
func (s *Store) EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error) {
	return s.erase(ctx, list{what: "attempt", pk: userPartition(issuer, userID), prefix: attemptPrefix(examID, attempt)})
}

// erase removes the sessions of listed attempts, and the attempts' items.
func (s *Store) erase(ctx context.Context, l list) (int, error) {
	attempts, err := s.all(ctx, l)
	if err != nil {
		return 0, err
	}
	erased := 0
	for _, it := range attempts {
		id := it.text("Session")
		there, err := s.eraseSession(ctx, id)
		if err != nil {
			return erased, err
		}
		// Unless the attempt has begun again since: then it is another session's.
		k := key{it.text(attrPK), it.text(attrSK)}
		if _, err := s.transact(ctx, "attempt", s.txDelete(k, newExpr().is("Session", str(id)))); err != nil {
			return erased, err
		}
		if there {
			erased++
		}
	}
	return erased, nil
}

// eraseSession removes a session and all that is its own but the item of its attempt,
// and tells whether there was anything. The live item and the session go first, before the
// rest is listed: without the live item nothing can be added, without the session no
// transition can be made. The entry in the exam's list is found by the session and goes before
// it, so that this may be repeated.
func (s *Store) eraseSession(ctx context.Context, id string) (there bool, err error) {
	s.forget(id)
	live, err := s.remove(ctx, "session", s.main, liveKey(id))
	if err != nil {
		return false, err
	}
	main, err := s.get(ctx, "session", s.main, sessionKey(id))
	if err != nil {
		return false, err
	}
	if main != nil {
		entry := key{examSessions(main.text("ExamID")), main.text("Place")}
		if _, err := s.remove(ctx, "session", s.main, entry); err != nil {
			return false, err
		}
		if _, err := s.remove(ctx, "session", s.main, sessionKey(id)); err != nil {
			return false, err
		}
	}
	if err := s.removePartition(ctx, "session", sessionPartition(id)); err != nil {
		return false, err
	}
	s.forget(id)
	return live != nil || main != nil, nil
}
