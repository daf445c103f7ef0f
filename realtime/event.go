package realtime

import (
	"encoding/json"
	"errors"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/outage"
	"vigil/realtime/protocol"
)

// eventKind says what one node tells the others.
type eventKind string

const (
	eventStudent eventKind = "student" // frames for the session's owner, wherever it is
	eventEpoch   eventKind = "epoch"   // a session has a newer connection
	eventSession eventKind = "session" // a session's lifecycle moved
	eventTally   eventKind = "tally"   // counts of a session, as the store has them
	eventExam    eventKind = "exam"    // the exam's settings changed
	eventOnline  eventKind = "online"  // how many students of the exam are on a node
	eventGuest   eventKind = "guest"   // somebody was at a session without owning it
	eventGone    eventKind = "gone"    // a node is being taken over from
	eventRefused eventKind = "turned"  // students whom a node refused
)

// event is the payload that the relay carries between nodes of one version of Vigil,
// unless it is one of deltas.
type event struct {
	Kind    eventKind               `json:"k"`
	Session string                  `json:"s,omitempty"`
	Frames  []json.RawMessage       `json:"f,omitempty"`
	Command *sentCommand            `json:"c,omitempty"` // student: progress to tell when delivered
	Ended   bool                    `json:"e,omitempty"` // student: the socket is to be closed then
	Epoch   int64                   `json:"n,omitempty"`
	At      int64                   `json:"a,omitempty"` // epoch: when it connected, ms
	Claim   *claim                  `json:"m,omitempty"` // epoch, guest
	Version int64                   `json:"v,omitempty"`
	Tally   *vigil.Tally            `json:"t,omitempty"`
	Node    string                  `json:"o,omitempty"`
	Count   int                     `json:"i,omitempty"`
	Refused map[string]outage.Times `json:"r,omitempty"` // by session
}

// sentCommand names a command within frames for a student.
type sentCommand struct {
	ID string `json:"id"`
}

func frames(bs ...[]byte) []json.RawMessage {
	out := make([]json.RawMessage, len(bs))
	for i, b := range bs {
		out[i] = b
	}
	return out
}

// publish tells the other nodes, if there are any.
func (h *Hub) publish(exam string, e event) {
	if h.alone {
		return
	}
	h.cfg.Relay.Publish(exam, protocol.Encode(e))
}

func (r *room) unreadable(err error) {
	r.h.log.Error("an entry of the relay cannot be read", "exam", r.exam, "error", err)
	r.h.stats.relayBad.Add(1)
}

// Receive implements Receiver: what happened on another node.
func (r *room) Receive(payload []byte) {
	if dashboard.IsDeltas(payload) {
		if err := r.TellRelayed(payload); err != nil {
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
			st.outdo(e.Epoch, protocol.Moment(e.At), e.Claim)
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
			err := r.h.reread(r.h.ctx, "exam", r.Reload)
			if err != nil && r.h.ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
				r.h.log.Error("the exam cannot be read again", "exam", r.exam, "error", err)
			}
		})
	default:
		r.h.stats.relayBad.Add(1)
	}
}

// Hole implements Receiver: entries were lost, so what they told is read from the store.
func (r *room) Hole() {
	r.h.stats.relayHoles.Add(1)
	r.catchUp()
}
