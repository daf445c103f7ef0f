package realtime

import (
	"context"
	"errors"
	"strings"

	"vigil"
	"vigil/realtime/protocol"
)

// reasonLostTime marks the extend commands that give back what the ledger proposes.
const reasonLostTime = "lost_time"

// giveBackID names the command that gives back one of our own outages.
func giveBackID(gap vigil.Gap) string { return "gap-" + strings.ReplaceAll(gap.ID, ".", "_") }

// giveBack gives a gap of our own making back without asking: the gap is decided and the
// time given in one write. Where the attempt has no clock, or has ended, the gap stays as it is.
func (h *Hub) giveBack(ctx context.Context, gap vigil.Gap) error {
	exam, err := h.exam(ctx, gap.ExamID)
	if err != nil {
		return err
	}
	_, err = h.commandOne(ctx, exam, gap.SessionID, vigil.FullAccess, vigil.Command{
		ID: giveBackID(gap), Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: system,
	}, h.fromGaps(func(g vigil.Gap) bool { return g.ID == gap.ID }))
	return err
}

// maxDecided is how many gaps are decided on in one write; more are proposed again.
const maxDecided = vigil.MaxTogether / 2

// fromGaps makes an extension of what the ledger proposes for the undecided gaps that are
// wanted, and decides on them with it.
func (h *Hub) fromGaps(want func(g vigil.Gap) bool) fitting {
	return func(ctx context.Context, s vigil.Session, e vigil.Exam, c *vigil.Command) ([]vigil.Gap, bool, error) {
		gaps, err := h.store.GapsOfSession(ctx, s.ID)
		if err != nil {
			return nil, false, err
		}
		var decided []vigil.Gap
		c.Time = 0
		for _, g := range vigil.ProposeLostTime(e.Policy, gaps) {
			g.Proposed = min(g.Proposed, vigil.MaxExtend)
			if g.Decision != vigil.GapUndecided || g.Proposed <= 0 || !want(g) || c.Time+g.Proposed > vigil.MaxExtend || len(decided) == maxDecided {
				continue // what does not fit is proposed again
			}
			c.Time += g.Proposed
			g.Decision, g.CommandID = vigil.GapGranted, c.ID
			decided = append(decided, g)
		}
		return decided, c.Time >= vigil.MinExtend, nil
	}
}

// LostTime decides on what the ledger proposes for the targets. Granted time is an extend
// command with the given id; so is its progress. A refusal has the stage done. Of access
// holds what Command says.
func (h *Hub) LostTime(ctx context.Context, examID string, by vigil.Actor, access func() vigil.Access, l protocol.LostTimeUp) ([]protocol.Progress, error) {
	if err := access().Allow(vigil.RightTime); err != nil {
		return nil, err
	}
	if !vigil.ValidID(l.ID) {
		return nil, vigil.Invalid("id", "An id has 8 to 64 letters, digits, - or _.")
	}
	if len(l.Targets) == 0 {
		return nil, vigil.Invalid("targets", "Name the attempts.")
	}
	targets, err := distinct(l.Targets)
	if err != nil {
		return nil, err
	}
	exam, err := h.exam(ctx, examID)
	if err != nil {
		return nil, err
	}
	out := make([]protocol.Progress, 0, len(targets))
	done := make([]*protocol.Progress, len(targets))
	for i, id := range targets {
		p, err := h.lostTimeOne(ctx, exam, id, by, access, l)
		if err != nil {
			return out, err
		}
		done[i] = &p
		out = append(out, p)
	}
	action := "lost_time.refuse"
	if l.Grant {
		action = "lost_time.grant"
	}
	h.audit(ctx, exam.ID, reached(targets, done), action, by, "")
	return out, nil
}

func (h *Hub) lostTimeOne(ctx context.Context, exam vigil.Exam, session string, by vigil.Actor, access func() vigil.Access, l protocol.LostTimeUp) (protocol.Progress, error) {
	c := vigil.Command{ID: l.ID, SessionID: session, ExamID: exam.ID, Kind: vigil.CommandExtend, ReasonCode: reasonLostTime, By: by, At: h.now()}
	s, err := h.store.Session(ctx, session)
	if err == nil {
		err = reaches(access(), vigil.RightTime, exam, s)
	}
	switch {
	case errors.Is(err, vigil.ErrNotFound):
		c.Stage, c.Problem = vigil.StageRefused, errNoAttempt.Message
		return protocol.ProgressOf(c), nil
	case errors.Is(err, errNoMore):
		c.Stage, c.Problem = vigil.StageRefused, errNoMore.Message
		return protocol.ProgressOf(c), nil
	case err != nil:
		return protocol.Progress{}, err
	}
	before, err := h.store.Command(ctx, session, l.ID)
	switch {
	case err == nil && before.ExamID == exam.ID:
		return h.tellAgain(ctx, session, l.ID)
	case err != nil && !errors.Is(err, vigil.ErrNotFound):
		return protocol.Progress{}, err
	}
	if !l.Grant {
		return h.refuseLost(ctx, exam, c)
	}
	p, err := h.commandOne(ctx, exam, session, access, c, h.fromGaps(func(vigil.Gap) bool { return true }))
	if err != nil {
		return protocol.Progress{}, err
	}
	if p.Stage == "" {
		c.Stage, c.Problem = vigil.StageRefused, "Nothing is proposed for this attempt."
		return protocol.ProgressOf(c), nil
	}
	h.tellLost(ctx, exam.ID, session)
	return p, nil
}

// refuseLost decides that nothing is given for what the ledger proposes. That is no command:
// nothing is stored but the gaps' decisions, and doing it again finds nothing to decide.
func (h *Hub) refuseLost(ctx context.Context, exam vigil.Exam, c vigil.Command) (protocol.Progress, error) {
	decided := 0
	err := h.editLedger(ctx, c.SessionID, func(_ vigil.Session, e vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		for _, g := range vigil.ProposeLostTime(e.Policy, gaps) {
			if g.Decision == vigil.GapUndecided && g.Proposed > 0 && len(did.change) < maxDecided {
				g.Decision, g.CommandID = vigil.GapRefused, ""
				did.change = append(did.change, g)
			}
		}
		decided = max(decided, len(did.change)) // where an answer was lost there is nothing left the second time
		return did
	})
	if err != nil {
		return protocol.Progress{}, err
	}
	if decided == 0 {
		c.Stage, c.Problem = vigil.StageRefused, "Nothing is proposed for this attempt."
		return protocol.ProgressOf(c), nil
	}
	c.Stage = vigil.StageDone
	p := protocol.ProgressOf(c)
	h.tellLost(ctx, exam.ID, c.SessionID)
	h.toProctors(exam.ID, delta{session: c.SessionID, frame: protocol.Encode(p)})
	return p, nil
}

func (h *Hub) tellGap(g vigil.Gap) {
	h.toProctors(g.ExamID, delta{session: g.SessionID, key: "gap/" + g.SessionID + "/" + g.ID, frame: protocol.Encode(protocol.GapOf(g))})
}

// tellLost tells the sums of a session's ledger, as it is by now: another node may have
// written into it meanwhile. Where that cannot be read now, it is told later.
func (h *Hub) tellLost(ctx context.Context, exam, session string) {
	e, err := h.exam(ctx, exam)
	if err == nil {
		err = h.tellLostOnce(ctx, e, session)
	}
	if err != nil {
		h.tellLater(session)
	}
}

func (h *Hub) tellLostOnce(ctx context.Context, e vigil.Exam, session string) error {
	gaps, err := h.store.GapsOfSession(ctx, session)
	if err != nil {
		return err
	}
	if lost := protocol.LostOf(e.Policy, gaps); lost != nil {
		h.toProctors(e.ID, delta{session: session, key: lostKey(session, *lost), frame: protocol.Encode(protocol.SessionDelta{T: protocol.TypeSession, Row: protocol.Row{ID: session, Lost: lost}})})
	}
	return nil
}
