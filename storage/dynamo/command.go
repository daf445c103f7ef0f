package dynamo

import (
	"context"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

func commandKey(sessionID, id string) key { return key{sessionPartition(sessionID), name("c", id)} }

// commandPlaces puts a command into its session's list and its exam's.
func (s *Store) commandPlaces(c vigil.Command) extra {
	stamp := s.stamp() + "#" + partName(c.ID)
	return both(ordered("c#"+stamp), listed(name("xm", c.ExamID), sortable(c.At)+"#"+stamp))
}

// Command implements storage.Commands.
func (s *Store) Command(ctx context.Context, sessionID, id string) (vigil.Command, error) {
	_, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return vigil.Command{}, err
	}
	if !there {
		return vigil.Command{}, notFound("command")
	}
	return read[vigil.Command](ctx, s, "command", s.main, commandKey(sessionID, id))
}

// stages are all that there are.
var stages = []vigil.Stage{vigil.StageQueued, vigil.StageDelivered, vigil.StageSeen, vigil.StageRefused, vigil.StageDone}

// UpdateCommand implements storage.Commands. The first write moves the stage on; where
// that would go back a second one leaves the stage as it is.
func (s *Store) UpdateCommand(ctx context.Context, c vigil.Command) error {
	but := slices.Clone(commandNames)
	for name, unknown := range map[string]bool{
		"Problem": c.Problem == "", "Delivered": c.Delivered.IsZero(), "Seen": c.Seen.IsZero(), "LMS": !c.LMS.State.Answered(),
	} {
		if unknown {
			but = append(but, name)
		}
	}
	rest := func() *expr { return newExpr().set("ID", field(c.ID)).fields(c, but...).present() } // an update must set something
	e := rest().set("Stage", field(c.Stage))
	var before []string
	for _, old := range stages {
		if c.Stage.After(old) {
			before = append(before, e.v(field(old)))
		}
	}
	if len(before) > 0 {
		e.when("%s IN (%s)", e.n("Stage"), strings.Join(before, ", "))
		o, err := s.change(ctx, "command", s.main, commandKey(c.SessionID, c.ID), e)
		if err != nil {
			return err
		}
		if o.done || o.old == nil {
			return o.versioned("command")
		}
	}
	return s.update(ctx, "command", commandKey(c.SessionID, c.ID), rest(), "command")
}

// commandNames are the fields that an update leaves alone.
var commandNames = []string{"ID", "SessionID", "ExamID", "Kind", "Text", "ReasonCode", "Time", "Severity", "By", "At", "Stage"}

// CommandsOfSession implements storage.Commands.
func (s *Store) CommandsOfSession(ctx context.Context, sessionID string, page storage.Page) (commands []vigil.Command, next string, err error) {
	_, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	l := list{what: "command", index: indexOrder, pk: sessionPartition(sessionID), prefix: "c#"}
	return paged(ctx, s, l, page, decodeAll(func(vigil.Command) bool { return there }))
}

// CommandsOfExam implements storage.Commands.
func (s *Store) CommandsOfExam(ctx context.Context, examID string, since time.Time, page storage.Page) (commands []vigil.Command, next string, err error) {
	l := list{what: "command", index: indexList, pk: name("xm", examID), from: sortable(since)}
	return paged(ctx, s, l, page, ofLiveSessions(s, "command", decodeAll[vigil.Command](nil), func(c vigil.Command) string { return c.SessionID }))
}
