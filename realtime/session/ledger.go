package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigil/realtime/internal/instant"

	"vigil"
)

// The ledger of lost time. A gap is opened when somebody counts as lost, with the cause that
// is known then. When it ends it is split where the fault changed hands, and the parts are
// stored in one write with the end; later knowledge (a page stamp, many slow page turns at
// once, the end of the attempt) divides what nobody has decided on yet once more. Every step
// may be done again after a fault.

// EndGap ends what is open of a session's ledger, divides it by whose fault it was, and gives
// back what needs nobody's decision. What began after end is another connection's, except own.
func (u *Service) EndGap(ctx context.Context, session string, end time.Time, own string) {
	var base string
	blamed, more := false, true // blamed: somebody may have been, and it turned out that they should not
	var err error
	for err == nil && more {
		wrong := false
		err = u.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) ledgerEdit {
			open := openGaps(gaps, end, own)
			if len(open) > 0 && base == "" {
				base = BaseOf(open[0].gap)
			}
			var did ledgerEdit
			wrong, more = u.endOpen(s, open, &did)
			return did
		})
		blamed = blamed || wrong
	}
	if err == nil {
		var changed bool
		changed, err = u.creditTurned(ctx, session)
		blamed = blamed && !changed // it is cleared already
	}
	if err == nil && blamed {
		err = u.ClearBlame(ctx, session)
	}
	switch {
	case errors.Is(err, vigil.ErrNotFound): // erased
	case err != nil:
		if ctx.Err() == nil {
			u.cfg.Log.Error("end of a gap not stored", "session", session, "error", err)
		}
	default:
		u.compensate(ctx, session, base)
	}
}

// ClearBlame clears incidents of absences that are over and of which nothing is left that is
// the student's. It may be called at any time.
func (u *Service) ClearBlame(ctx context.Context, session string) error {
	return u.cfg.Retry(ctx, "incidents", func(ctx context.Context) error { return u.clearBlameOnce(ctx, session) })
}

func (u *Service) clearBlameOnce(ctx context.Context, session string) error {
	gaps, err := u.cfg.Store.GapsOfSession(ctx, session)
	if err != nil {
		return err
	}
	theirs, why := map[string]bool{}, map[string]vigil.Cause{}
	for _, g := range gaps {
		base := BaseOf(g)
		theirs[base] = theirs[base] || g.End.IsZero() || g.Cause == vigil.CauseStudent && g.End.After(g.Start)
		if why[base].Outranks(g.Cause) {
			continue
		}
		why[base] = g.Cause
	}
	return u.clearLost(ctx, session, func(gap string, _ vigil.Incident) string {
		switch {
		case theirs[gap]:
			return ""
		case why[gap] == vigil.CauseServer:
			return "An outage of Vigil explains this."
		case why[gap] == vigil.CauseLMS:
			return "The learning platform was slow at that time."
		}
		return "It is not clear whose fault this was."
	})
}

// ledgerEdit is what one write does to a session's ledger.
type ledgerEdit struct {
	change, add []vigil.Gap
}

func (l *ledgerEdit) and(more ledgerEdit) {
	l.change, l.add = append(l.change, more.change...), append(l.add, more.add...)
}

// room tells whether one more gap fits into the write, whatever it is divided into.
func (l *ledgerEdit) room() bool {
	return len(l.change)+len(l.add)+vigil.MaxParts <= vigil.MaxTogether
}

// names tells whether a gap is one of the edit's.
func (l *ledgerEdit) names(id string) bool {
	is := func(g vigil.Gap) bool { return g.ID == id }
	return slices.ContainsFunc(l.change, is) || slices.ContainsFunc(l.add, is)
}

// EndLeft ends what a server that is gone left open, though its student had come back to it
// by end.
func (u *Service) EndLeft(ctx context.Context, session string, end time.Time) {
	var left bool
	err := u.cfg.Retry(ctx, "ledger", func(ctx context.Context) error {
		gaps, err := u.cfg.Store.GapsOfSession(ctx, session)
		left = len(openGaps(gaps, end, "")) > 0
		return err
	})
	switch {
	case err != nil && ctx.Err() == nil:
		u.cfg.Log.Error("end of a gap not stored", "session", session, "error", err)
	case left:
		u.EndGap(ctx, session, end, "")
	}
}

// endOpen adds to an edit what ends the gaps that are open. blamed tells whether somebody was
// blamed who should not have been, more that not all of them fit.
func (u *Service) endOpen(s vigil.Session, open []openGap, did *ledgerEdit) (blamed, more bool) {
	for _, o := range open {
		if !did.room() {
			return blamed, true
		}
		if o.gap.Cause == vigil.CauseUnclear || o.gap.Cause == vigil.CauseLMS {
			u.faults.SlowNow(s.PlatformID, s.ID)
		}
		faults := u.faults.Faults(s)
		if o.gap.Cause == vigil.CauseLMS && explained(o.gap, o.end, faults) {
			o.gap.Cause = vigil.CauseUnclear // it was slow for a part of it, which is known
		}
		parts := u.splitGap(s, o.gap, o.end, faults)
		blamed = blamed || o.was == vigil.CauseStudent || !o.gap.Until.IsZero() && o.end.After(o.gap.Until)
		did.and(parts)
	}
	return blamed, false
}

// explained tells whether it is known here when the platform was slow during a gap.
func explained(g vigil.Gap, end time.Time, faults []vigil.Fault) bool {
	return slices.ContainsFunc(faults, func(f vigil.Fault) bool {
		return f.Cause == vigil.CauseLMS && f.From.Before(end) && g.Start.Before(f.To)
	})
}

// openGap is a gap without an end, and the end that it is to have.
type openGap struct {
	gap vigil.Gap
	end time.Time
	was vigil.Cause
}

// openGaps are those gaps without an end that began before end, newest first, which ends there;
// also own, a gap that is known to be over, though it began after that: the server whose clock
// says when the student was back may be behind the one that opened it.
// Those before it should have been ended, by a server that is gone. All that is known of
// their student's return is that it was before the next of them began: it is unclear, not theirs.
func openGaps(gaps []vigil.Gap, end time.Time, own string) []openGap {
	var out []openGap
	next := time.Time{} // when the gap after this one began
	for _, g := range slices.Backward(gaps) {
		if g.Start.After(end) && g.ID != own {
			continue
		}
		if g.End.IsZero() {
			o := openGap{g, end, g.Cause}
			if !next.IsZero() {
				if o.end = next; g.Cause == vigil.CauseStudent {
					o.gap.Cause = vigil.CauseUnclear
				}
			}
			out = append(out, o)
		}
		next = g.Start
	}
	return out
}

// splitGap ends a gap, or divides one that has ended.
func (u *Service) splitGap(s vigil.Session, g vigil.Gap, end time.Time, faults []vigil.Fault) ledgerEdit {
	var out ledgerEdit
	if g.Cause == vigil.CauseServer && !g.Until.IsZero() {
		g.Until = u.faults.OutageUntil(g.Start, g.Until)
	}
	for i, p := range g.Split(instant.Whole(end), faults, u.cfg.Liveness) {
		part := g
		part.Start, part.End, part.Cause, part.Until = p.Start, p.End, p.Cause, time.Time{}
		part.Paused = s.PausedWithin(p.Start, p.End)
		if i == 0 {
			out.change = append(out.change, part)
			continue
		}
		part.ID, part.Version = partID(g, p.Start), 0
		out.add = append(out.add, part)
	}
	return out
}

// partID names a part of a gap by when it begins, so that dividing it again finds it.
func partID(g vigil.Gap, start time.Time) string {
	return fmt.Sprintf("%s.%d", BaseOf(g), start.UnixMilli())
}

// BaseOf is the id of the gap that a part was made from.
func BaseOf(g vigil.Gap) string {
	base, _, _ := strings.Cut(g.ID, ".")
	return base
}

// editLedger changes a session's ledger: edit says how, from the session and its gaps as
// they are stored. The proposals follow. It is one write, conditional on all of it. One whose
// answer is lost is told when it is found to be stored.
func (u *Service) editLedger(ctx context.Context, session string, edit func(s vigil.Session, e vigil.Exam, gaps []vigil.Gap) ledgerEdit) error {
	var lost ledgerEdit
	return u.cfg.Retry(ctx, "ledger", func(ctx context.Context) error {
		for range maxConflicts {
			s, err := u.cfg.Store.Session(ctx, session)
			if err != nil {
				return err
			}
			e, err := u.view.Exam(ctx, s.ExamID)
			if err != nil {
				return err
			}
			gaps, err := u.cfg.Store.GapsOfSession(ctx, session)
			if err != nil {
				return err
			}
			for _, g := range gaps {
				if lost.names(g.ID) {
					u.notify.GapChanged(g)
				}
			}
			lost = ledgerEdit{}
			did := edit(s, e, gaps)
			if len(did.change)+len(did.add) == 0 {
				return nil
			}
			propose(e.Policy, gaps, &did)
			err = u.cfg.Store.Transition(ctx, vigil.Transition{Session: s, From: s.Version, Gaps: did.change, NewGaps: did.add})
			if errors.Is(err, vigil.ErrConflict) || errors.Is(err, vigil.ErrExists) {
				continue
			}
			if err != nil {
				lost = did
				return err
			}
			u.observeGaps(gaps, did)
			for _, g := range slices.Concat(did.change, did.add) {
				u.notify.GapChanged(g)
			}
			return nil
		}
		return errBusy
	})
}

// observeGaps tells of the gaps that an edit of a ledger ended. gaps is the ledger before it.
func (u *Service) observeGaps(gaps []vigil.Gap, did ledgerEdit) {
	ended := map[string]bool{}
	for _, g := range gaps {
		if g.End.IsZero() {
			ended[BaseOf(g)] = true
		}
	}
	for _, g := range slices.Concat(did.change, did.add) {
		if ended[BaseOf(g)] && g.End.After(g.Start) {
			u.cfg.Observer.GapEnded(g.Cause, g.End.Sub(g.Start))
		}
	}
}

// propose fills in what the policy proposes for the gaps of an edit, among all of the
// session's.
func propose(p vigil.Policy, gaps []vigil.Gap, did *ledgerEdit) {
	all := make([]vigil.Gap, 0, len(gaps)+len(did.add))
	for _, g := range gaps {
		if i := slices.IndexFunc(did.change, func(c vigil.Gap) bool { return c.ID == g.ID }); i >= 0 {
			g = did.change[i]
		}
		all = append(all, g)
	}
	all = append(all, did.add...)
	slices.SortStableFunc(all, func(a, b vigil.Gap) int { return a.Start.Compare(b.Start) })
	for _, g := range vigil.ProposeLostTime(p, all) {
		for _, list := range [][]vigil.Gap{did.change, did.add} {
			for i := range list {
				if list[i].ID == g.ID {
					list[i].Proposed = g.Proposed
				}
			}
		}
	}
}

// compensate gives back what is ours without asking, notes what is the student's of the gap
// that was changed, and tells the sums. It looks at the whole ledger for what is to be given
// back: what an earlier call could not do is done now.
func (u *Service) compensate(ctx context.Context, session, base string) {
	err := u.cfg.Retry(ctx, "lost time", func(ctx context.Context) error {
		gaps, err := u.cfg.Store.GapsOfSession(ctx, session)
		if err != nil {
			return err
		}
		for _, g := range gaps {
			if g.Decision != vigil.GapUndecided || g.End.IsZero() {
				continue
			}
			if g.Cause == vigil.CauseServer && g.Proposed >= vigil.MinExtend {
				if err := u.giveBack(ctx, g); err != nil {
					return err
				}
			}
			if BaseOf(g) == base && g.Cause == vigil.CauseStudent && g.End.After(g.Start) {
				if err := u.view.NoteLost(ctx, g); err != nil {
					return err
				}
			}
		}
		if len(gaps) > 0 {
			u.notify.LostTimeChanged(ctx, gaps[0].ExamID, session)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
		u.cfg.Log.Error("lost time not given back", "session", session, "error", err)
	}
}

// LostStream is the stream of the one signal that notes a gap as the student's.
func LostStream(gap string) string { return vigil.ServerStreamPrefix + "lost:" + gap }

// LostIncident is the id of the incident that this signal is.
func LostIncident(gap string) string { return vigil.Signal{Stream: LostStream(gap), Seq: 1}.ID() }

// CloseLedger ends the ledger of an attempt that was over at a time, or whose time was up, before
// we knew: what was noted after that was none of the student's business.
// One that has ended is due until that is done.
func (u *Service) CloseLedger(s vigil.Session, at time.Time) {
	u.cfg.Tasks.Aside(func() {
		err := u.cutLedger(u.cfg.Tasks.Context(), s.ID, at)
		if err == nil {
			err = u.cfg.Retry(u.cfg.Tasks.Context(), "incidents", func(ctx context.Context) error { return u.clearAfter(ctx, s.ID, at) })
		}
		if err == nil {
			u.compensate(u.cfg.Tasks.Context(), s.ID, "")
			err = u.cfg.Retry(u.cfg.Tasks.Context(), "not watched", func(ctx context.Context) error { return u.recordUnwatched(ctx, s.ID) })
		}
		if err == nil && s.State.Ended() {
			err = u.cfg.Retry(u.cfg.Tasks.Context(), "due", func(ctx context.Context) error {
				return IgnoreNewer(u.cfg.Store.SetDue(ctx, s.ID, s.Version, time.Time{}))
			})
		}
		if err != nil && u.cfg.Tasks.Context().Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
			u.cfg.Log.Error("ledger of an ended attempt not closed", "session", s.ID, "error", err)
		}
	})
}

// cutLedger ends at a time what the ledger has from after it.
func (u *Service) cutLedger(ctx context.Context, session string, at time.Time) error {
	for more := true; more; {
		blamed := false
		err := u.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) (did ledgerEdit) {
			did, blamed, more = u.cutAt(s, gaps, at)
			return did
		})
		if err == nil && blamed {
			err = u.ClearBlame(ctx, session)
		}
		if err != nil {
			return err
		}
	}
	_, err := u.creditTurned(ctx, session)
	return err
}

// cutAt ends at a time what the ledger has from after it, also of what was given back before
// the end was known: nothing was lost there. What is open is divided as endGap would.
func (u *Service) cutAt(s vigil.Session, gaps []vigil.Gap, at time.Time) (did ledgerEdit, blamed, more bool) {
	end := at
	if p := u.view.Live(s).Presence; p.Reachable() && p.Since.Before(at) {
		end = p.Since // the student is here, and a server is gone that should have ended it
	}
	open := openGaps(gaps, end, "")
	for i, o := range open {
		if u.endsIt(o.gap, o.end) {
			open[i].end, blamed = o.gap.Start, true
		}
	}
	wrong, more := u.endOpen(s, open, &did)
	blamed = blamed || wrong
	for _, g := range gaps {
		switch {
		case more || did.names(g.ID), g.Start.After(at) && g.End.Equal(g.Start): // is cut already
			continue
		case !g.End.IsZero() && !g.End.After(at) && (g.End.Before(at) || g.End.Equal(g.Start) || !u.endsIt(g, at)):
			continue
		case !did.room():
			return did, blamed, true
		}
		if g.End = at; g.End.Before(g.Start) || u.endsIt(g, at) {
			g.End = g.Start
		}
		g.Paused = s.PausedWithin(g.Start, g.End)
		did.change = append(did.change, g)
	}
	return did, blamed, more
}

// endsIt tells whether an absence is no more than how the attempt ended: whoever hands in leaves the page,
// and the platform's clock, which says when that was, and ours may be apart.
func (u *Service) endsIt(g vigil.Gap, end time.Time) bool {
	return g.Cause != vigil.CauseServer && end.Sub(g.Start) < u.cfg.Drop
}

// clearAfter clears the incidents of connections that were lost after a time at which the
// attempt was over.
func (u *Service) clearAfter(ctx context.Context, session string, at time.Time) error {
	return u.clearLost(ctx, session, func(_ string, i vigil.Incident) string {
		if i.At.Before(at) {
			return ""
		}
		return "This was after the end of the attempt."
	})
}

// clearLost clears incidents of lost connections that turned out to be none of the student's:
// why says the reason, or nothing where it stays. A person's review of them stays.
func (u *Service) clearLost(ctx context.Context, session string, why func(gap string, i vigil.Incident) string) error {
	gaps, err := u.cfg.Store.GapsOfSession(ctx, session)
	if err != nil {
		return err
	}
	cleared, looked := false, map[string]bool{}
	for _, g := range gaps {
		base := BaseOf(g)
		if looked[base] {
			continue
		}
		looked[base] = true
		i, err := u.cfg.Store.Incident(ctx, session, LostIncident(base))
		if errors.Is(err, vigil.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if i.Review == vigil.ReviewCleared && i.Reviewer == system {
			cleared = true // a moment ago perhaps, by a write whose answer was lost
		}
		if i.Review != vigil.ReviewNone {
			continue
		}
		reason := why(base, i)
		if reason == "" {
			continue
		}
		if i, err = i.Decide(vigil.ReviewCleared, system, reason, u.now()); err != nil {
			return err
		}
		if err := u.cfg.Store.UpdateIncident(ctx, i); err != nil && !errors.Is(err, vigil.ErrConflict) {
			return err
		}
		cleared = true
	}
	if cleared {
		return u.notify.Recount(ctx, session)
	}
	return nil
}

// maxConflicts bounds how often a conditional write is tried anew.
const maxConflicts = 16

var errBusy = vigil.Errorf(vigil.CodeUnavailable, "Too many changes at once; try again.")
