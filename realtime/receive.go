package realtime

import (
	"encoding/json"
	"errors"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/protocol"
)

// receiver takes what other nodes tell of a room's exam.
type receiver struct {
	h    *Hub
	room *room
}

func (r receiver) unreadable(err error) {
	r.h.log.Error("an entry of the relay cannot be read", "exam", r.room.exam, "error", err)
	r.h.stats.relayBad.Add(1)
}

// Receive implements relay.Receiver: what happened on another node.
func (r receiver) Receive(payload []byte) {
	if dashboard.IsDeltas(payload) {
		if err := r.room.TellRelayed(payload); err != nil {
			r.unreadable(err)
		}
		return
	}
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		r.unreadable(err)
		return
	}
	switch e.Kind {
	case eventStudent:
		if st := r.h.student(e.Session); st != nil {
			st.deliver(e.Frames, e.Command, e.Ended)
		}
	case eventEpoch:
		if st := r.h.student(e.Session); st != nil {
			st.giveWay(e.Epoch, protocol.Moment(e.At), e.Claim)
		}
	case eventGuest:
		if st := r.h.student(e.Session); st != nil && e.Claim != nil {
			st.visited(*e.Claim, protocol.Moment(e.At))
		}
	case eventSession:
		if st := r.h.student(e.Session); st != nil {
			st.refresh(e.Version)
		}
	case eventTally:
		if st := r.h.student(e.Session); st != nil && e.Tally != nil {
			st.setTally(*e.Tally)
		}
	case eventOnline:
		if e.Count > 0 && r.h.cfg.Shared {
			r.h.members.Heard(e.Node)
		}
	case eventGone:
		if e.Node == r.h.boot { // it lives, but cannot reach the store, so nobody can be served here
			r.h.Evict("another server took over")
		}
	case eventRefused:
		r.h.heardRefused(e.Refused)
	case eventExam:
		r.h.tasks.Go(func() {
			err := r.h.reread(r.h.ctx, "exam", r.room.Reload)
			if err != nil && r.h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				r.h.log.Error("the exam cannot be read again", "exam", r.room.exam, "error", err)
			}
		})
	default:
		r.h.stats.relayBad.Add(1)
	}
}

// Hole implements relay.Receiver: entries were lost, so what they told is read from the store.
func (r receiver) Hole() {
	r.h.stats.relayHoles.Add(1)
	r.h.catchUp(r.room)
}
