package realtime

import (
	"context"
	"encoding/json"
	"time"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
)

// learn keeps the newest of a session that was read or written.
func (st *student) learn(s vigil.Session) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.learnLocked(s)
}

func (st *student) learnLocked(s vigil.Session) {
	if s.Version > st.life.version {
		st.life = lifeOf(s)
		st.who.Store(st.n.identityOf(s))
		st.watchesLocked()
		st.dismissLocked()
	}
}

// refresh reads the session again because another node moved it past version.
func (st *student) refresh(version int64) {
	st.mu.Lock()
	known := st.life.version
	st.mu.Unlock()
	if version != 0 && known >= version {
		return
	}
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		s, err := st.readAgain(ctx)
		if err != nil {
			return
		}
		st.learn(s)
		if at := session.Over(st.room.Policy(), s); !at.IsZero() { // by another node, which cannot end what is judged here
			st.ended(st.n.now(), at)
		}
	})
}

// dismissLocked lets go of a page of ours that was the connection while its student waited, once
// the attempt runs in a page of the platform's. What that is, its hello tells. st.mu is held.
func (st *student) dismissLocked() {
	if st.owner == nil {
		return
	}
	if sc, ok := st.owner.Peer().(*studentConn); !ok || sc.mayOwnLocked() {
		return
	}
	st.jobs.Add(st.n.tasks, 0, func(context.Context) {
		now := st.n.now()
		st.room.Order.RLock()
		defer st.room.Order.RUnlock()
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.owner == nil {
			return
		}
		if sc, ok := st.owner.Peer().(*studentConn); !ok || sc.mayOwnLocked() {
			return
		}
		st.owner = nil
		st.stepLocked(now, func(p vigil.Presence) (vigil.Presence, vigil.GapChange) {
			return p.Bye(now, vigil.ByeClosing, false), vigil.GapChange{}
		})
	})
}

// setTally takes counts that another node read from the store. They may be older than
// our own, so that our own are read anew soon; what only others change counts at once.
func (st *student) setTally(t vigil.Tally) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.recountLaterLocked()
	st.tally.Unread, st.tally.Hand = t.Unread, t.Hand
	st.tallyGen++
	st.room.changed(st)
}

// catchUp takes in a session as the store has it: another node may have a newer
// connection, or have changed it without our hearing of it.
func (st *student) catchUp(s vigil.Session) {
	st.mu.Lock()
	epoch := st.presence.Epoch
	st.recountLaterLocked()
	st.mu.Unlock()
	if s.Presence.Epoch > epoch {
		st.giveWay(s.Presence.Epoch, came(s.Presence), nil)
		return
	}
	st.mu.Lock()
	old := st.life.session()
	newer := s.Version > old.Version
	if newer {
		st.life = lifeOf(s)
		st.watchesLocked()
		st.dismissLocked()
	}
	st.mu.Unlock()
	if !newer {
		return
	}
	fs := changes(old, s, st.room.Policy(), st.n.now())
	ended := s.State.Ended() && !old.State.Ended()
	if len(fs) > 0 || ended {
		st.deliver(fs, nil, ended)
	}
	if at := session.Over(st.room.Policy(), s); !at.IsZero() {
		st.ended(st.n.now(), at)
	}
}

// changes are the frames that tell a student what became of its session.
func changes(old, s vigil.Session, p vigil.Policy, now time.Time) []json.RawMessage {
	var fs []json.RawMessage
	if s.State != old.State || s.Reason != old.Reason {
		fs = append(fs, protocol.Encode(protocol.StateOf(s)))
	}
	if was, is := protocol.TimeOf(old, p, now), protocol.TimeOf(s, p, now); was != is && !s.State.Ended() {
		fs = append(fs, protocol.Encode(is))
	}
	return fs
}
