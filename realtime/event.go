package realtime

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"

	"vigil"
	"vigil/realtime/outage"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/socket"
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

// Deltas for an exam's proctors are most of what is relayed. They are no JSON but, after
// deltasMark, one after the other: a byte for the level, with createdMark where it adds a
// session, then key, session, groups (groupWord as JSON, or nothing) and frame, each a uvarint
// of its length and its bytes.
const (
	deltasMark  = relay.Format
	createdMark = 0x80
)

// size is what a delta takes on its way, at most, but for the groups.
func (d delta) size() int {
	return 1 + len(d.key) + len(d.session) + len(d.frame) + 4*binary.MaxVarintLen32
}

// appendDelta appends one to a payload, which it begins if there is none yet.
func appendDelta(b []byte, d delta) []byte {
	if len(b) == 0 {
		b = append(b, deltasMark)
	}
	head := byte(d.level)
	if d.created {
		head |= createdMark
	}
	b = append(b, head)
	var groups []byte
	if d.groups != nil {
		groups = protocol.Encode(d.groups)
	}
	b = append(binary.AppendUvarint(b, uint64(len(d.key))), d.key...)
	b = append(binary.AppendUvarint(b, uint64(len(d.session))), d.session...)
	b = append(binary.AppendUvarint(b, uint64(len(groups))), groups...)
	return append(binary.AppendUvarint(b, uint64(len(d.frame))), d.frame...)
}

var errDeltas = errors.New("this is no list of deltas of this version of Vigil")

// cutDelta takes the first delta off a list. Its frame is a part of b.
func cutDelta(b []byte) (d delta, rest []byte, err error) {
	if len(b) == 0 || b[0]&^createdMark > byte(socket.LevelIncident) {
		return delta{}, nil, errDeltas
	}
	d.level, d.created = socket.Level(b[0]&^createdMark), b[0]&createdMark != 0
	b = b[1:]
	var parts [4][]byte
	for i := range parts {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return delta{}, nil, errDeltas
		}
		parts[i], b = b[used:used+int(n):used+int(n)], b[used+int(n):]
	}
	d.key, d.session = string(parts[0]), string(parts[1])
	if len(parts[2]) > 0 {
		if err := json.Unmarshal(parts[2], &d.groups); err != nil {
			return delta{}, nil, errDeltas
		}
	}
	if len(parts[3]) > 0 {
		d.frame = parts[3]
	}
	return d, b, nil
}

// receiveDeltas tells the deltas of another node.
func (r *room) receiveDeltas(list []byte) {
	for len(list) > 0 {
		d, rest, err := cutDelta(list)
		if err != nil {
			r.unreadable(err)
			return
		}
		r.order.RLock() // no snapshot's page, which is older, follows it
		r.tell(d)
		r.order.RUnlock()
		list = rest
	}
}

func (r *room) unreadable(err error) {
	r.h.log.Error("an entry of the relay cannot be read", "exam", r.exam, "error", err)
	r.h.stats.relayBad.Add(1)
}

// Receive implements Receiver: what happened on another node.
func (r *room) Receive(payload []byte) {
	if len(payload) > 0 && payload[0] == deltasMark {
		r.receiveDeltas(payload[1:])
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
			err := r.h.reread(r.h.ctx, "exam", r.reload)
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

// reload reads the exam again, whose settings may have changed.
func (r *room) reload(ctx context.Context) error {
	e, err := r.h.store.Exam(ctx, r.exam)
	if err == nil {
		r.learn(e)
	}
	return err
}
