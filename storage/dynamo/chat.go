package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

func chatKey(sessionID, id string) key { return key{sessionPartition(sessionID), name("m", id)} }

// AddChat implements storage.Chat.
func (s *Store) AddChat(ctx context.Context, l vigil.ChatLine) error {
	if l.At.IsZero() {
		return vigil.Invalid("at", "A chat line needs the time when it came.")
	}
	info, err := s.exam(ctx, l.ExamID)
	if vigil.CodeOf(err) == vigil.CodeNotFound {
		return notFound("session")
	}
	if err != nil {
		return err
	}
	part := s.txCheck(liveKey(l.SessionID), newExpr().present())
	if l.From.Role == vigil.RoleStudent {
		part = s.txChange(liveKey(l.SessionID), newExpr().add("Unread", 1).present())
	}
	places := both(ordered("m#"+s.stamp()+"#"+partName(l.ID)), expiring(l.At.Add(info.chat()+day)))
	return s.addToSession(ctx, "chat line", chatKey(l.SessionID, l.ID), encode(l), places, part)
}

// addToSession adds something to a session that is there, and does what else belongs to
// it, which must have that condition.
func (s *Store) addToSession(ctx context.Context, what string, k key, it item, places extra, session types.TransactWriteItem) error {
	refusals, err := s.transact(ctx, what, s.txPut(k, it, places, newExpr().absent()), session)
	switch {
	case err != nil || refusals == nil:
		return err
	case refusals[1].failed:
		return notFound("session")
	}
	return exists(what)
}

// ChatOfSession implements storage.Chat.
func (s *Store) ChatOfSession(ctx context.Context, sessionID string, page storage.Page) (lines []vigil.ChatLine, next string, err error) {
	info, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	oldest := ms(s.now().Add(-info.chat()))
	l := list{what: "chat", index: indexOrder, pk: sessionPartition(sessionID), prefix: "m#"}
	return paged(ctx, s, l, page, decodeAll(func(c vigil.ChatLine) bool { return there && ms(c.At) > oldest }))
}

// ReadChat implements storage.Chat.
func (s *Store) ReadChat(ctx context.Context, sessionID string) error {
	return s.update(ctx, "unread", liveKey(sessionID), newExpr().set("Unread", num(0)).present(), "session")
}
