package storage

import (
	"context"

	"vigil"
)

// Dumper is the power of a backend to list what no request path ever lists, so that a
// whole store can be copied. Its lists go in any order.
type Dumper interface {
	DeliveryLister
	// ExamIDs lists all exams.
	ExamIDs(ctx context.Context, page Page) (ids []string, next string, err error)
	LinksOfPlatform(ctx context.Context, platformID string, page Page) (links []vigil.Link, next string, err error)
	// Invitations lists those that have not been removed yet.
	Invitations(ctx context.Context, page Page) (invitations []vigil.Invitation, next string, err error)
}

// DeliveryLister is the part of it that both ends of a copy have.
type DeliveryLister interface {
	// DeliveriesOfSession lists the entries that wait.
	DeliveriesOfSession(ctx context.Context, sessionID string) ([]vigil.Delivery, error)
}
