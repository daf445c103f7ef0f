package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
)

// EraseUser implements storage.People. It may be repeated after an error: the items of
// the attempts go last, so that nothing is left that could not be found again. What the user did
// as staff lies anywhere: it is found by reading the whole table (Config.Scan).
func (s *Store) EraseUser(ctx context.Context, issuer, userID string) (int, error) {
	if s.scanner == nil {
		return 0, errNoScan
	}
	if err := s.listErasure(ctx, issuer, userID, "", 0); err != nil {
		return 0, err
	}
	attempts, err := s.all(ctx, list{what: "attempt", pk: userPartition(issuer, userID)})
	if err != nil {
		return 0, err
	}
	erased, err := s.erase(ctx, attempts)
	if err != nil {
		return erased, err
	}
	if err := s.removePartition(ctx, "access", accessPartition(issuer, userID)); err != nil {
		return erased, err
	}
	return erased, s.eraseActor(ctx, issuer, userID)
}

// EraseAttempt implements storage.People, and may be repeated like EraseUser.
func (s *Store) EraseAttempt(ctx context.Context, issuer, userID, examID string, attempt int) (int, error) {
	if err := s.listErasure(ctx, issuer, userID, examID, attempt); err != nil {
		return 0, err
	}
	attempts, err := s.all(ctx, list{what: "attempt", pk: userPartition(issuer, userID), prefix: attemptPrefix(examID, attempt)})
	if err != nil {
		return 0, err
	}
	ids := make([]string, len(attempts))
	for i, it := range attempts {
		ids[i] = it.text("Session")
	}
	if err := s.eraseFromAudits(ctx, examID, userID, ids); err != nil {
		return 0, err
	}
	return s.erase(ctx, attempts)
}

// erase removes the sessions of attempts, and the attempts' items.
func (s *Store) erase(ctx context.Context, attempts []item) (int, error) {
	erased := 0
	for _, it := range attempts {
		id := it.text("Session")
		there, err := s.eraseSession(ctx, id)
		if err != nil {
			return erased, err
		}
		// Unless the attempt has begun again since: then it is another session's.
		k := keyOf(it)
		if _, err := s.transact(ctx, "attempt", s.txDelete(k, newExpr().is("Session", str(id)))); err != nil {
			return erased, err
		}
		if there {
			erased++
		}
	}
	return erased, nil
}

// actors are the attributes that name who did something.
var actors = []string{"By", "From", "Reviewer"}

// eraseActor takes id and name of a user from everything that they did, in the issuer's exams.
func (s *Store) eraseActor(ctx context.Context, issuer, userID string) error {
	e := newExpr()
	var conditions []string
	for _, a := range actors {
		conditions = append(conditions, fmt.Sprintf("contains(%s.%s, %s)", e.n(a), e.n("ID"), e.v(str("|"+userID))))
	}
	in := &dynamodb.ScanInput{
		TableName: &s.main, FilterExpression: aws.String(strings.Join(conditions, " OR ")), ConsistentRead: aws.Bool(true),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}
	for {
		out, err := s.scan(ctx, in)
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			if err := s.eraseActorOf(ctx, issuer, userID, it); err != nil {
				return err
			}
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}

func (s *Store) scan(ctx context.Context, in *dynamodb.ScanInput) (*dynamodb.ScanOutput, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	out, err := s.scanner.Scan(ctx, in)
	return out, convert(err)
}

// eraseActorOf takes a user from one item.
func (s *Store) eraseActorOf(ctx context.Context, issuer, userID string, it item) error {
	info, err := s.exam(ctx, it.text("ExamID"))
	if vigil.CodeOf(err) == vigil.CodeNotFound || err == nil && info.issuer != issuer {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(it.text(attrPK), examAudits("")) {
		return s.erasePerson(ctx, it, userID)
	}
	change := newExpr().present()
	for _, name := range actors {
		m, ok := it[name].(*types.AttributeValueMemberM)
		if !ok {
			continue
		}
		by, err := decode[vigil.Actor](m.Value)
		if err != nil {
			return err
		}
		if by.IsUser(userID) { // and still, when it is written
			change.set(name, field(vigil.Actor{Role: by.Role})).is(name, m)
		}
	}
	if len(change.sets) == 0 {
		return nil // another user, whose id only holds this one's
	}
	_, err = s.change(ctx, "user", s.main, keyOf(it), change)
	return err
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
