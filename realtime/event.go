package realtime

import (
	"encoding/json"

	"vigil"
)

// eventKind says what one node tells the others.
type eventKind string

const (
	eventProctors eventKind = "proctors" // frames for the exam's proctors
	eventStudent  eventKind = "student"  // frames for the session's owner, wherever it is
	eventEpoch    eventKind = "epoch"    // a session has a newer connection
	eventSession  eventKind = "session"  // a session's lifecycle moved
	eventTally    eventKind = "tally"    // counts of a session, as the store has them
	eventExam     eventKind = "exam"     // the exam's settings changed
	eventOnline   eventKind = "online"   // how many students of the exam are on a node
)

// event is the payload that the relay carries between nodes of one version of Vigil.
type event struct {
	Kind    eventKind         `json:"k"`
	Session string            `json:"s,omitempty"`
	Key     string            `json:"key,omitempty"`
	Level   level             `json:"l,omitempty"`
	Frames  []json.RawMessage `json:"f,omitempty"`
	Command *sentCommand      `json:"c,omitempty"` // student: progress to tell when delivered
	Ended   bool              `json:"e,omitempty"` // student: the socket is to be closed then
	Epoch   int64             `json:"n,omitempty"`
	Claim   *claim            `json:"m,omitempty"`
	Version int64             `json:"v,omitempty"`
	Tally   *vigil.Tally      `json:"t,omitempty"`
	Node    string            `json:"o,omitempty"`
	Count   int               `json:"i,omitempty"`
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
	h.cfg.Relay.Publish(exam, encode(e))
}

// Receive implements Receiver: what happened on another node.
func (r *room) Receive(payload []byte) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		r.h.log.Error("an entry of the relay cannot be read", "exam", r.exam, "error", err)
		r.h.stats.relayBad.Add(1)
		return
	}
	switch e.Kind {
	case eventProctors:
		for _, f := range e.Frames {
			r.tell(delta{key: e.Key, level: e.Level, frame: f, created: e.Session})
		}
	case eventStudent:
		if st := r.h.student(e.Session); st != nil {
			st.deliver(e.Frames, e.Command, e.Ended)
		}
	case eventEpoch:
		if st := r.h.student(e.Session); st != nil {
			st.outdo(e.Epoch, e.Claim)
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
		r.heardOnline(e.Node, e.Count)
	case eventExam:
		r.h.spawn(func() { r.h.reloadExam(r) })
	default:
		r.h.stats.relayBad.Add(1)
	}
}

// Hole implements Receiver: entries were lost, so what they told is read from the store.
func (r *room) Hole() {
	r.h.stats.relayHoles.Add(1)
	r.catchUp()
}

func (h *Hub) reloadExam(r *room) {
	e, err := h.store.Exam(h.ctx, r.exam)
	if err != nil {
		h.log.Warn("the exam cannot be read again", "exam", r.exam, "error", err)
		return
	}
	r.learn(e)
}
