package realtime

import (
	"context"
	"errors"

	"vigil"
)

// Recover judges what nodes that are gone left behind, before the first socket is served:
// their students are lost, by our fault, since the node was last heard. A node that
// stopped in order left its students as dropped by us: they get a while to come back
// and are lost only then. A Shared hub judges nobody at its start, because it cannot know
// yet who lives; it does so whenever it has seen a node's row stand still for NodeLease.
// Sessions whose time ran out while no server ran are ended here, too.
func (h *Hub) Recover(ctx context.Context) error {
	if h.cfg.OneHost {
		if err := h.members.OnlyHost(ctx); err != nil {
			return err
		}
	}
	if err := h.readRestored(ctx); err != nil {
		return err
	}
	if err := h.members.Join(ctx); err != nil {
		return err
	}
	return h.sessions.WorkDue(ctx)
}

// readRestored learns whether the store was brought back from a backup. A server is started after
// that, not before.
func (h *Hub) readRestored(ctx context.Context) error {
	r, err := h.store.GetRecord(ctx, vigil.RestoredKind, vigil.RestoredKey, h.now())
	if errors.Is(err, vigil.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	h.restored, err = vigil.RestoredAt(r)
	return err
}
