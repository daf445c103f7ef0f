package sqlite

import (
	"context"
	"time"

	"vigil"
)

const invitationColumns = `hash, private, review, tries, platform_id, created, expires`

func scanInvitation(r row, extra ...any) (i vigil.Invitation, err error) {
	return i, r.Scan(into(extra, &i.Hash, &i.Private, &i.Review, &i.Tries, &i.PlatformID, timeInto{&i.Created}, timeInto{&i.Expires})...)
}

// CreateInvitation implements storage.Platforms.
func (s *Store) CreateInvitation(ctx context.Context, i vigil.Invitation) error {
	return s.write(ctx, "invitation", func(t tx) error {
		_, err := t.exec(`INSERT INTO invitations (`+invitationColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			i.Hash, i.Private, i.Review, i.Tries, i.PlatformID, ms(i.Created), ms(i.Expires))
		return err
	})
}

// Invitation implements storage.Platforms.
func (s *Store) Invitation(ctx context.Context, hash string) (vigil.Invitation, error) {
	return get(ctx, s, "invitation", scanInvitation, `SELECT `+invitationColumns+` FROM invitations WHERE hash = ?`, hash)
}

// TryInvitation implements storage.Platforms.
func (s *Store) TryInvitation(ctx context.Context, hash string, now time.Time) (i vigil.Invitation, err error) {
	err = s.write(ctx, "invitation", func(t tx) error {
		i, err = one(t, scanInvitation, `UPDATE invitations SET tries = tries + 1
			WHERE hash = ? AND platform_id = '' AND expires > ? AND tries < ? RETURNING `+invitationColumns,
			hash, ms(now), vigil.MaxInvitationTries)
		return err
	})
	if err != nil {
		return vigil.Invitation{}, err
	}
	return i, nil
}

// SpendInvitation implements storage.Platforms.
func (s *Store) SpendInvitation(ctx context.Context, hash, platformID string, _ time.Time) error {
	if platformID == "" {
		return vigil.Invalid("platform", "An invitation is spent for a platform.")
	}
	return s.write(ctx, "invitation", func(t tx) error {
		return t.update("invitation", `UPDATE invitations SET platform_id = ? WHERE hash = ? AND platform_id = ''`,
			[]any{platformID, hash}, `SELECT 1 FROM invitations WHERE hash = ?`, hash)
	})
}
