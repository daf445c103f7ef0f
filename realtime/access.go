package realtime

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
)

// accessLoop reads again what the proctors here may see and do.
func (h *Hub) accessLoop() {
	t := time.NewTicker(h.cfg.AccessEvery)
	defer t.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-t.C:
		}
		for _, r := range h.allRooms() {
			if r.Open() == 0 {
				continue
			}
			if !r.Exam().Access.Told() { // a server that stored that it is may have died before it told anybody
				if err := r.Reload(h.ctx); err != nil || !r.Exam().Access.Told() {
					continue
				}
			}
			if err := r.ReadAccess(h.ctx); err != nil && h.ctx.Err() == nil {
				h.log.Warn("what proctors may do cannot be read; trying again", "exam", r.exam, "error", err)
			}
		}
	}
}

// Watched are the exams that have dashboards here and whose platform says who may see and do
// what.
func (h *Hub) Watched() []vigil.Exam {
	var out []vigil.Exam
	for _, r := range h.allRooms() {
		if e := r.Exam(); r.Open() > 0 && e.Access.Told() {
			out = append(out, *e)
		}
	}
	return out
}

// Regrouped stores a platform's word on the groups of a session's student, and tells it to the
// dashboards: rows come and go. A word that is not newer than the stored one changes nothing.
// One of a version that is not of our time is CodeInvalid: it would count for ever.
func (h *Hub) Regrouped(ctx context.Context, sessionID string, groups []vigil.Group, version int64) error {
	if err := vigil.CheckAccessVersion(version, h.now()); err != nil {
		return err
	}
	began := h.now()
	err := h.store.SetGroups(ctx, sessionID, groups, version)
	h.noteStore(began, err)
	if err == nil || errors.Is(err, vigil.ErrConflict) {
		// Also what was stored before is told: whoever stored it may not have heard that, and told nobody.
		err = h.tellGroups(ctx, sessionID)
	}
	if err != nil && vigil.Transient(err) { // it may be stored all the same
		h.tasks.Go(func() {
			err := h.reread(h.ctx, "groups", func(ctx context.Context) error { return h.tellGroups(ctx, sessionID) })
			if err != nil && h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				h.log.Error("a student's groups are not told", "session", sessionID, "error", err)
			}
		})
	}
	return err
}

// tellGroups tells a student's groups as they are stored.
func (h *Hub) tellGroups(ctx context.Context, sessionID string) error {
	s, err := h.store.Session(ctx, sessionID)
	if err != nil {
		return err
	}
	if room := h.lookup(s.ExamID); room != nil {
		room.Order.RLock()
		defer room.Order.RUnlock()
	}
	h.toProctors(s.ExamID, dashboard.GroupsDelta(s))
	return nil
}

// Grouped tells the dashboards here of the groups of these sessions, as they were read from the
// store, where they know older ones: who stored them may have died before it told anybody.
func (h *Hub) Grouped(sessions []vigil.Session) {
	for _, s := range sessions {
		if r := h.lookup(s.ExamID); r != nil {
			r.Regroup(s)
		}
	}
}
