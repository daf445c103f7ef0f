package realtime

import (
	"encoding/json"

	"vigil"
	"vigil/realtime/outage"
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
	Claim   *newcomer               `json:"m,omitempty"` // epoch, guest
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

// newcomer is what a newer connection says of itself in its hello.
type newcomer struct {
	Stream  string      `json:"s"`
	Address string      `json:"a,omitempty"`
	Browser string      `json:"b,omitempty"`
	Guest   vigil.Guest `json:"g,omitempty"`
}
