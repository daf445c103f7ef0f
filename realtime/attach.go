package realtime

import (
	"hash/maphash"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
)

// attachLocked makes the socket the session's owner, unless a newer one is there already
// (false). Its hello does that, and nothing else: who only opens a socket, to test the way
// say, is nobody's connection. st.mu and room.order (for reading) are held.
func (sc *studentConn) attachLocked(now time.Time) bool {
	st := sc.st
	st.used.Store(now.UnixMilli())
	if sc.epoch < st.presence.Epoch {
		return false
	}
	superseded := st.presence.Connection == vigil.ConnSuperseded
	if p := sc.stored; superseded && (p.Epoch >= st.presence.Epoch || p.Connection == vigil.ConnLost) {
		// What the other node made of it, or what nobody has ended: a connection of before that was
		// never stored, because this node had to give it up, has left the gap open.
		epoch := max(p.Epoch, st.presence.Epoch)
		st.presence = *p
		st.presence.Epoch = epoch
	}
	if p := sc.stored; superseded || p.Epoch > st.presence.Epoch { // what it was watched elsewhere
		st.presence.Reports, st.presence.Watched = p.Reports, p.Watched
	}
	sc.stored = nil
	was := st.presence
	for _, old := range st.conns {
		st.supersedeLocked(old, now)
	}
	sc.owned, sc.arrived = true, now
	st.owner = sc.Conn
	st.arriveLocked(sc, was, now)
	elsewhere := was.Node != "" && was.Node != st.n.boot
	if elsewhere || superseded {
		st.recountLaterLocked()
	}
	if elsewhere {
		st.moved = moved{was.Node, now, was.Connection == vigil.ConnOnline}
		st.crossed = crossed{}
		if was.Reachable() || sc.epoch > was.Epoch+1 { // no goodbye is known of, or not the last connection
			st.crossed = crossed{at: now, from: sinceLost(was, now)}
		}
	}
	if was.Connection == vigil.ConnLost {
		sc.away = sinceLost(was, was.Since)
	}
	st.n.turns.End(st.platform.Value(), st.id, now)
	st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
		return p.Connect(now, sc.epoch, st.n.cfg.Node)
	})
	st.restoredLocked(was, now)
	st.n.publish(st.room.exam, event{Kind: eventEpoch, Session: st.id, Epoch: sc.epoch, At: protocol.Millis(now)})
	return true
}

// restoredLocked notes what a restart in order took from a student who is back before anybody
// was there to call them lost: nobody was, until the next process came.
func (st *student) restoredLocked(was vigil.Presence, now time.Time) {
	if was.Connection != vigil.ConnDegraded || was.Cause != vigil.CauseServer || !st.life.state.Started() || st.life.state.Ended() ||
		now.Sub(was.Since) <= st.n.drop() {
		return
	}
	st.openGap(vigil.GapChange{Open: true, Start: was.Since, Cause: vigil.CauseServer})
	st.closeGap(now)
}

// awayMost is how long before somebody counted as lost the absence can have begun, where that
// is not known.
const awayMost = 5 * time.Minute

// sinceLost is when an absence began at the earliest that was known of at a time.
func sinceLost(p vigil.Presence, known time.Time) time.Time {
	if !p.Heard.IsZero() {
		return p.Heard.Add(-time.Second)
	}
	return known.Add(-awayMost)
}

// arriveLocked notes what a new socket tells by where it comes from.
func (st *student) arriveLocked(sc *studentConn, was vigil.Presence, now time.Time) {
	here := fromOf(sc.Conn)
	switch was.Connection {
	case vigil.ConnNever, vigil.ConnClosed, "":
		st.noteLocked(vigil.KindConnected, now)
	case vigil.ConnLost, vigil.ConnDegraded:
		st.noteLocked(vigil.KindReconnected, now)
	}
	replayed := sc.replayedLocked(now)
	if st.lastFrom.known() && !replayed {
		switch {
		case st.lastFrom.both(here):
			st.noteLocked(vigil.KindAddressBrowser, now)
		case st.lastFrom.address != here.address:
			st.noteLocked(vigil.KindAddress, now)
		case st.lastFrom.browser != here.browser: // a device after another, or an update: no more than a note
			st.emitLocked(st.ownSignal(vigil.KindConnected, now, protocol.Encode(map[string]bool{"browser": true})), nil)
		}
	}
	st.lastFrom = here
}

// replayedLocked notes a token that came before from elsewhere. Each socket is looked at once.
func (sc *studentConn) replayedLocked(now time.Time) bool {
	st, here := sc.st, fromOf(sc.Conn)
	claims := sc.Claims()
	id := claims.ID
	if id == "" {
		return false
	}
	claims.ID = "" // nobody else looks at it, and the next token has another one
	token := maphash.String(st.n.seed, id)
	i := slices.IndexFunc(st.tokens, func(u use) bool { return u.token == token })
	if i < 0 {
		st.tokens = lists.Newest(append(st.tokens, use{token, here}), maxTokens)
		return false
	}
	if st.tokens[i].from.both(here) {
		st.noteLocked(vigil.KindTokenReplay, now)
		return true
	}
	return false
}
