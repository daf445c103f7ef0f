package realtime

import (
	"slices"
	"time"

	"vigil"
	"vigil/realtime/internal/instant"
	"vigil/realtime/internal/lists"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// supersedeLocked closes an older socket and remembers it, if it was alive, until the newer
// one has said whose it is.
func (st *student) supersedeLocked(old *socket.Conn, now time.Time) {
	sc, ok := old.Peer().(*studentConn)
	if !ok || !sc.owned || old.Closed() == protocol.CloseSuperseded {
		return
	}
	if st.owner == old {
		sc.leaveOpenLocked(now)
	}
	if !sc.bye && st.owner == old && st.presence.Connection == vigil.ConnOnline {
		st.superseded = lists.Newest(append(st.superseded, superseded{sc.epoch, sc.stream, fromOf(old), now}), maxSuperseded)
	}
	old.Close(protocol.CloseSuperseded, "")
}

// giveWay closes this node's sockets because the session has a newer connection elsewhere,
// since a time. With a newcomer, the newer one has said whose it is.
func (st *student) giveWay(epoch int64, since time.Time, c *newcomer) {
	now := st.n.now()
	st.room.Order.RLock()
	defer st.room.Order.RUnlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if c != nil {
		st.judgeLocked(epoch, *c, now)
		return
	}
	if epoch <= st.presence.Epoch {
		return
	}
	st.lookBackLocked(now)
	for _, old := range st.conns {
		st.supersedeLocked(old, now)
	}
	st.owner = nil
	st.n.turns.End(st.platform.Value(), st.id, instant.Earlier(since, now))
	if st.presence.Connection == vigil.ConnLost { // the other node may not have known it
		st.closeGap(since)
	}
	st.presence = vigil.Presence{Connection: vigil.ConnSuperseded, Since: now, Heard: st.presence.Heard, Epoch: epoch}
	st.reachable.Store(false)
	st.stopTimerLocked()
}

// judgeLocked compares a newer connection with the sockets that it put out while they
// were alive: another outbox, or another address and browser, at the same time is a
// second session.
func (st *student) judgeLocked(epoch int64, c newcomer, now time.Time) {
	second := false
	st.superseded = slices.DeleteFunc(st.superseded, func(o superseded) bool {
		if o.epoch >= epoch {
			return false
		}
		if now.Sub(o.at) < supersededFor && (o.stream != c.Stream || o.from.both(from{c.Address, c.Browser})) && o.stream != "" {
			second = true
		}
		return true
	})
	if second {
		st.noteLocked(vigil.KindSecondSession, now)
	}
}
