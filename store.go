package vigil

import "time"

// Page asks for part of a list: After is opaque and comes from the page before; a Limit
// of 0 is the backend's largest.
type Page struct {
	After string
	Limit int
}

// Transition is one conditional change of a session, and what belongs to it. All of it
// is stored, or none.
type Transition struct {
	Session  Session   // as it becomes; Presence and Tally are not written
	From     int64     // the version it was made from; the session is not written if it equals Session.Version
	Command  *Command  // added; if (session, id) is there already: CodeExists, and nothing changes
	Delivery *Delivery // added
}

// Appended says what became of one signal that was given to a store.
type Appended int

// What a store answers for each signal.
const (
	Stored   Appended = iota // new
	Repeated                 // was there already, with the same content
	Differs                  // was there already with other content; nothing changed
)

// Node is one running Vigil process, as the store knows it.
type Node struct {
	ID    string // new at each start
	Host  string // of the machine
	Heard time.Time
}
