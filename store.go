package vigil

import (
	"context"
	"iter"
	"time"
)

// Page asks for part of a list: After is opaque and comes from the page before; a Limit
// of 0 is the backend's largest.
type Page struct {
	After string
	Limit int
}

// Pages are the pages of a list that read reads one of, to its end. An error is the last of them.
func Pages[T any](read func(Page) (list []T, next string, err error)) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var page Page
		for {
			list, next, err := read(page)
			if !yield(list, err) || err != nil || next == "" {
				return
			}
			page.After = next
		}
	}
}

// Each is all that is in a list that read reads a page of, to its end. An error is the last.
func Each[T any](read func(Page) (list []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for list, err := range Pages(read) {
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
		}
	}
}

// EachOf is Each of a list that belongs to something, such as the sessions of an exam.
func EachOf[T any](ctx context.Context, read func(ctx context.Context, id string, p Page) (list []T, next string, err error), id string) iter.Seq2[T, error] {
	return Each(func(p Page) ([]T, string, error) { return read(ctx, id, p) })
}

// Transition is one conditional change of a session, and what belongs to it. All of it
// is stored, or none. Command, deliveries and gaps are the session's, whatever session
// they name.
type Transition struct {
	Session Session  // as it becomes; Groups, GroupsVersion, Presence and Tally are not written
	From    int64    // the version it was made from; the session is not written if it equals Session.Version
	Command *Command // added; if (session, id) is there already: CodeExists, and nothing changes
	// Deliveries are added (CodeExists if one is there).
	Deliveries []Delivery
	// Gaps are changed, each if its stored version is Gap.Version (else CodeConflict), and get
	// the next one; NewGaps are added (CodeExists if one is there).
	Gaps    []Gap
	NewGaps []Gap
}

// MaxTogether bounds what one Transition may store beside the session and its command:
// deliveries, gaps and new gaps together.
const MaxTogether = 64

// Validate reports what no store can write at once, as CodeInvalid: a version that goes
// back, more than MaxTogether, or the same id twice.
func (t Transition) Validate() error {
	if t.Session.Version < t.From {
		return Invalid("version", "A session's version never goes back.")
	}
	if n := len(t.Deliveries) + len(t.Gaps) + len(t.NewGaps); n > MaxTogether {
		return Invalid("transition", "A transition takes at most %d deliveries and gaps, not %d.", MaxTogether, n)
	}
	deliveries, gaps := map[string]bool{}, map[string]bool{}
	for _, d := range t.Deliveries {
		if deliveries[d.ID] {
			return Invalid("deliveries", "Delivery %s appears twice.", d.ID)
		}
		deliveries[d.ID] = true
	}
	for _, list := range [][]Gap{t.Gaps, t.NewGaps} {
		for _, g := range list {
			if gaps[g.ID] {
				return Invalid("gaps", "Gap %s appears twice.", g.ID)
			}
			gaps[g.ID] = true
		}
	}
	return nil
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
	// Schema is the version of the store's schema that the node's program knows; the store
	// writes its own, whatever is given to it.
	Schema int
}
