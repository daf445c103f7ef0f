package sqlite

import (
	"context"

	"vigil"
	"vigil/storage"
)

var _ storage.Dumper = (*Store)(nil)

// ExamIDs implements storage.Dumper.
func (s *Store) ExamIDs(ctx context.Context, page storage.Page) (ids []string, next string, err error) {
	return paged[string]{
		what: "exam", scan: scanText, start: lowest,
		query: `SELECT 0, no, id FROM exams WHERE no > ? ORDER BY no LIMIT ?`,
		args:  func(c cursor) []any { return []any{c.no} },
	}.read(ctx, s, page)
}

// LinksOfPlatform implements storage.Dumper.
func (s *Store) LinksOfPlatform(ctx context.Context, platformID string, page storage.Page) (links []vigil.Link, next string, err error) {
	// The table has no row numbers; a platform's links are few enough to read whole.
	if page.After != "" {
		return nil, "", vigil.Invalid("after", "This is not a place in the list.")
	}
	links, err = list(ctx, s, "link", scanLink, `SELECT `+linkColumns+` FROM links WHERE platform_id = ?`, platformID)
	return links, "", err
}

// Invitations implements storage.Dumper.
func (s *Store) Invitations(ctx context.Context, page storage.Page) (invitations []vigil.Invitation, next string, err error) {
	if page.After != "" {
		return nil, "", vigil.Invalid("after", "This is not a place in the list.")
	}
	invitations, err = list(ctx, s, "invitation", scanInvitation, `SELECT `+invitationColumns+` FROM invitations`)
	return invitations, "", err
}

// DeliveriesOfSession implements storage.Dumper.
func (s *Store) DeliveriesOfSession(ctx context.Context, sessionID string) ([]vigil.Delivery, error) {
	waiting, err := list(ctx, s, "delivery", scanLeasable, `SELECT d.no, `+deliveryColumns+` FROM sessions s
		CROSS JOIN deliveries d INDEXED BY deliveries_waiting WHERE s.id = ? AND d.session = s.no AND d.state = 'waiting' ORDER BY d.version, d.id`, sessionID)
	out := make([]vigil.Delivery, len(waiting))
	for i, l := range waiting {
		out[i] = l.d
	}
	return out, err
}
