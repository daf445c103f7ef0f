package realtime

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/outage"
	"vigil/realtime/socket"
)

// A server that cannot reach the store, or is full, refuses connections. A student who is refused
// and then gets in on another server was kept away by the first one, of which the other knows
// nothing. So each server remembers whom it refused, and when. As soon as it can, it stores that
// for the session, and credits it to the gaps that have ended. Whoever ends a gap later reads it
// after the end is stored: of the two, the later one sees the other's write. Until it can be
// stored, the other servers know it by the relay, should this one not live to store it.

// ourRefusal tells whether a student was refused by a fault of ours. Too many connections at once
// are the student's.
func ourRefusal(err error) bool {
	return err != nil && vigil.Transient(err) && vigil.CodeOf(err) != vigil.CodeTooMany
}

// Refused implements session.Faults: it notes that a student was refused who had asked at a time, by a fault of this
// node. Who gave up within a second was not kept waiting.
func (h *Hub) Refused(ctx context.Context, session string, began time.Time, err error) {
	now := h.now()
	if !h.cfg.Shared || session == "" || !ourRefusal(err) || h.draining.Load() || ctx.Err() != nil && now.Sub(began) < outage.Least {
		return
	}
	h.refusals.Add(session, vigil.Fault{From: began, To: now, Cause: vigil.CauseServer})
}

// noteRefused is Refused for a socket that was not opened. The fault may have come before the
// token was looked at.
func (h *Hub) noteRefused(r *http.Request, claims vigil.SocketClaims, began time.Time, err error) {
	if !h.cfg.Shared || !ourRefusal(err) || h.draining.Load() {
		return
	}
	if claims.Role == "" {
		token, lost := socket.OfferedToken(r.Header)
		if lost != nil {
			return
		}
		if claims, lost = h.cfg.Verifier.VerifySocket(r.Context(), token); lost != nil {
			return
		}
	}
	if claims.Role == vigil.RoleStudent {
		h.Refused(r.Context(), claims.Session, began, err)
	}
}

// tellRefused tells the other nodes whom this node refused, and stores it once it can.
func (h *Hub) tellRefused() {
	now := h.now()
	for _, part := range h.refusals.Untold() {
		for _, r := range h.allRooms() { // of which exam they are could not be read
			h.publish(r.exam, event{Kind: eventRefused, Refused: part})
		}
	}
	saving, full := h.outages.State(now)
	if !saving {
		return
	}
	all := h.refusals.Take(now, full && !h.draining.Load())
	if all == nil {
		return
	}
	begun := h.tasks.Go(func() {
		defer h.refusals.Stored()
		for _, session := range slices.Sorted(maps.Keys(all)) {
			if err := h.storeRefused(h.ctx, session, all[session]); err != nil && h.ctx.Err() == nil {
				h.log.Error("refused connections not stored", "session", session, "error", err)
				continue
			}
			h.sessions.Recredit(h.ctx, session)
		}
	})
	if !begun {
		h.refusals.Stored()
	}
}

// heardRefused takes what another node told of whom it refused.
func (h *Hub) heardRefused(told map[string]outage.Times) {
	for _, id := range slices.Sorted(maps.Keys(told)) {
		if !h.refusals.Hear(id, told[id]) {
			continue
		}
		if st := h.student(id); st != nil { // who is back already
			st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.Recredit(ctx, id) })
		}
	}
}

// storeRefused adds a record of when a session's student was refused.
func (h *Hub) storeRefused(ctx context.Context, session string, faults []vigil.Fault) error {
	return h.retry(ctx, "refused connections", func(ctx context.Context) error {
		return outage.Record(ctx, h.store, h.now(), session, faults)
	})
}

// Refusals implements session.Faults: the stretches in which servers refused a session's student.
func (h *Hub) Refusals(ctx context.Context, session string) (faults []vigil.Fault, err error) {
	err = h.reread(ctx, "refused connections", func(ctx context.Context) error {
		faults, err = outage.Recorded(ctx, h.store, h.now(), session)
		return err
	})
	return append(faults, h.refusals.Told(session)...), err
}
