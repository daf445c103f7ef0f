package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// A server that cannot reach the store, or is full, refuses connections. A student who is refused
// and then gets in on another server was kept away by the first one, of which the other knows
// nothing. So each server remembers whom it refused, and when. As soon as it can, it stores that
// for the session, and credits it to the gaps that have ended. Whoever ends a gap later reads it
// after the end is stored: of the two, the later one sees the other's write. Until it can be
// stored, the other servers know it by the relay, should this one not live to store it.

// refusals is whom this node turned away and what other nodes told of theirs.
type refusals struct {
	mu   sync.Mutex
	here map[string][]vigil.Fault // by session, still to be stored
	news map[string]times         // of here, not yet told to other nodes
	told map[string][]vigil.Fault // by other nodes, by session
	busy bool                     // some are being stored
}

const (
	maxTurnedSessions = 4096
	maxTurnedTimes    = 32  // of one session; the oldest are joined
	maxTurnedTold     = 200 // sessions in one message

	turnedRecord     = "turned"
	turnedKept       = 24 * time.Hour
	maxTurnedRecords = 32 // of one session
)

// turnedKey names the nth record of a session. Each server adds one after the last.
func turnedKey(session string, n int) string { return fmt.Sprintf("%s/%d", session, n) }

// add notes that this node refused a session's student.
func (r *refusals) add(session string, f vigil.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here == nil {
		r.here, r.news = map[string][]vigil.Fault{}, map[string]times{}
	}
	if len(r.here) >= maxTurnedSessions && r.here[session] == nil || len(r.news) >= maxTurnedSessions && r.news[session] == nil {
		return
	}
	r.here[session] = join(append(r.here[session], f))
	r.news[session] = last(append(r.news[session], [2]int64{protocol.Millis(f.From), protocol.Millis(f.To)}), maxTurnedTimes)
}

// join keeps to maxTurnedTimes, by joining the two oldest or, where they lie far apart, leaving
// out the oldest.
func join(list []vigil.Fault) []vigil.Fault {
	if len(list) <= maxTurnedTimes {
		return list
	}
	if list[1].From.Sub(list[0].To) <= turnedAway {
		list[1].From = earlier(list[0].From, list[1].From)
	}
	return slices.Delete(list, 0, 1)
}

// untold returns what is to be told to the other nodes, in parts of a message each.
func (r *refusals) untold() []map[string]times {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []map[string]times
	for id, list := range r.news {
		if n := len(out); n == 0 || len(out[n-1]) >= maxTurnedTold {
			out = append(out, map[string]times{})
		}
		out[len(out)-1][id] = list
	}
	clear(r.news)
	return out
}

// hear notes what another node told of a session; false: that is known.
func (r *refusals) hear(session string, list times) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil || len(r.told) >= maxTurnedSessions && r.told[session] == nil {
		r.told = map[string][]vigil.Fault{} // what is older is stored by now, most likely
	}
	for _, f := range list.faults() {
		if !slices.Contains(r.told[session], f) {
			r.told[session] = join(append(r.told[session], f))
			news = true
		}
	}
	return news
}

// pending counts the sessions of which something is to be stored.
func (r *refusals) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.here)
	if r.busy {
		n++
	}
	return n
}

// take returns what is to be stored now and makes the caller the one who does it. Of a full
// server it waits until a session is not turned away any more, so that it is one record.
func (r *refusals) take(now time.Time, full bool) map[string][]vigil.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return nil
	}
	var out map[string][]vigil.Fault
	for id, list := range r.here {
		if full && len(list) < maxTurnedTimes && now.Sub(list[len(list)-1].To) <= turnedAway {
			continue
		}
		if out == nil {
			out = map[string][]vigil.Fault{}
		}
		out[id] = list
		delete(r.here, id)
	}
	r.busy = out != nil
	return out
}

func (r *refusals) stored() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
}

// ourRefusal tells whether a student was refused by a fault of ours. Too many connections at once
// are the student's.
func ourRefusal(err error) bool {
	return err != nil && vigil.Transient(err) && vigil.CodeOf(err) != vigil.CodeTooMany
}

// Refused implements session.Faults: it notes that a student was refused who had asked at a time, by a fault of this
// node. Who gave up within a second was not kept waiting.
func (h *Hub) Refused(ctx context.Context, session string, began time.Time, err error) {
	now := h.now()
	if !h.cfg.Shared || session == "" || !ourRefusal(err) || h.draining.Load() || ctx.Err() != nil && now.Sub(began) < outageLeast {
		return
	}
	h.refusals.add(session, vigil.Fault{From: began, To: now, Cause: vigil.CauseServer})
}

// noteRefused is Refused for a socket that was not opened. The fault may have come before the
// token was looked at.
func (h *Hub) noteRefused(r *http.Request, claims socket.Claims, began time.Time, err error) {
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

// tellTurned tells the other nodes whom this node refused, and stores it once it can.
func (h *Hub) tellTurned() {
	now := h.now()
	for _, part := range h.refusals.untold() {
		for _, r := range h.allRooms() { // of which exam they are could not be read
			h.publish(r.exam, event{Kind: eventTurned, Turned: part})
		}
	}
	saving, full := h.outages.state(now)
	if !saving {
		return
	}
	all := h.refusals.take(now, full && !h.draining.Load())
	if all == nil {
		return
	}
	begun := h.tasks.Go(func() {
		defer h.refusals.stored()
		for _, session := range slices.Sorted(maps.Keys(all)) {
			if err := h.storeTurned(h.ctx, session, all[session]); err != nil && h.ctx.Err() == nil {
				h.log.Error("refused connections not stored", "session", session, "error", err)
				continue
			}
			h.sessions.Recredit(h.ctx, session)
		}
	})
	if !begun {
		h.refusals.stored()
	}
}

// heardTurned takes what another node told of whom it refused.
func (h *Hub) heardTurned(told map[string]times) {
	for _, id := range slices.Sorted(maps.Keys(told)) {
		if !h.refusals.hear(id, told[id]) {
			continue
		}
		if st := h.student(id); st != nil { // who is back already
			st.jobs.Add(h.tasks, 0, func(ctx context.Context) { h.sessions.Recredit(ctx, id) })
		}
	}
}

// times are stretches as they are stored and relayed, in ms.
type times [][2]int64

func (t times) faults() []vigil.Fault {
	out := make([]vigil.Fault, len(t))
	for i, f := range t {
		out[i] = vigil.Fault{From: protocol.Moment(f[0]), To: protocol.Moment(f[1]), Cause: vigil.CauseServer}
	}
	return out
}

// storeTurned adds a record of when a session's student was refused.
func (h *Hub) storeTurned(ctx context.Context, session string, faults []vigil.Fault) error {
	var list times
	for _, f := range faults {
		list = append(list, [2]int64{protocol.Millis(f.From), protocol.Millis(f.To)})
	}
	value := protocol.Encode(list)
	return h.retry(ctx, "refused connections", func(ctx context.Context) error {
		now := h.now()
		for n := range maxTurnedRecords {
			err := h.store.CreateRecord(ctx, vigil.Record{Kind: turnedRecord, Key: turnedKey(session, n), Value: value, Expires: now.Add(turnedKept)}, now)
			if !errors.Is(err, vigil.ErrExists) {
				return err
			}
		}
		return vigil.Errorf(vigil.CodeConflict, "There are %d records of that already.", maxTurnedRecords)
	})
}

// Refusals implements session.Faults: the stretches in which servers refused a session's student.
func (h *Hub) Refusals(ctx context.Context, session string) (faults []vigil.Fault, err error) {
	err = h.reread(ctx, "refused connections", func(ctx context.Context) error {
		faults = nil
		for n := range maxTurnedRecords {
			r, err := h.store.GetRecord(ctx, turnedRecord, turnedKey(session, n), h.now())
			if errors.Is(err, vigil.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			var list times
			if err := json.Unmarshal(r.Value, &list); err != nil {
				return vigil.Wrap(err, vigil.CodeConflict, "The record of refused connections cannot be read.")
			}
			faults = append(faults, list.faults()...)
		}
		return nil
	})
	h.refusals.mu.Lock()
	defer h.refusals.mu.Unlock()
	return append(faults, h.refusals.told[session]...), err
}
