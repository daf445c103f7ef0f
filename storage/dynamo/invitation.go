package dynamo

import (
	"context"
	"time"

	"vigil"
)

// keepInvitation is how long one stays after its end: it can still be spent then.
const keepInvitation = 7 * day

const day = 24 * time.Hour

func invitationKey(hash string) key { return key{name("i", hash), "a"} }

// CreateInvitation implements storage.Platforms.
func (s *Store) CreateInvitation(ctx context.Context, i vigil.Invitation) error {
	return s.create(ctx, "invitation", s.main, invitationKey(i.Hash), encode(i), expiring(i.Expires.Add(keepInvitation)), newExpr().absent())
}

// Invitation implements storage.Platforms.
func (s *Store) Invitation(ctx context.Context, hash string) (vigil.Invitation, error) {
	return read[vigil.Invitation](ctx, s, "invitation", s.main, invitationKey(hash))
}

// TryInvitation implements storage.Platforms.
func (s *Store) TryInvitation(ctx context.Context, hash string, now time.Time) (vigil.Invitation, error) {
	e := newExpr().add("Tries", 1).present()
	e.when("attribute_not_exists(%s)", e.n("PlatformID"))
	e.when("%s > %s", e.n("Expires"), e.v(num(ms(now))))
	e.when("%s < %s", e.n("Tries"), e.v(num(vigil.MaxInvitationTries)))
	o, err := s.change(ctx, "invitation", s.main, invitationKey(hash), e)
	if err != nil {
		return vigil.Invitation{}, err
	}
	if !o.done {
		return vigil.Invitation{}, notFound("invitation")
	}
	return decode[vigil.Invitation](o.new)
}

// SpendInvitation implements storage.Platforms.
func (s *Store) SpendInvitation(ctx context.Context, hash, platformID string, _ time.Time) error {
	if platformID == "" {
		return vigil.Invalid("platform", "An invitation is spent for a platform.")
	}
	e := newExpr().set("PlatformID", str(platformID)).present()
	e.when("attribute_not_exists(%s)", e.n("PlatformID"))
	return s.update(ctx, "invitation", invitationKey(hash), e, "invitation")
}
