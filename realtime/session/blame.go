package session

import (
	"context"
	"errors"
	"time"

	"vigil/realtime/internal/instant"

	"vigil"
)

// Refine divides the gaps of an absence that has just ended by what the page stamp shows:
// from the request to the answer it was the platform's, and if it began with that page, it was
// a page turn though nobody said goodbye. It blames nobody: a student who asks for a page that
// does not come once more has only the last one's stamp.
func (u *Service) Refine(ctx context.Context, session string, from, at time.Time, slow vigil.Fault) {
	var base string
	err := u.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		for _, g := range gaps {
			if g.End.IsZero() || g.Start.Before(from) || g.End.After(at) || g.Decision != vigil.GapUndecided ||
				g.Cause == vigil.CauseServer || g.Cause == vigil.CauseLMS || !did.room() {
				continue
			}
			base = BaseOf(g)
			faults := append(u.faults.Faults(s), slow)
			if turn, ok := u.cfg.Liveness.Turned(beganOf(gaps, base), slow); ok {
				faults = append(faults, turn)
			}
			if parts := u.splitGap(s, g, g.End, faults); len(parts.add) > 0 || parts.change[0].Cause != g.Cause {
				did.and(parts)
			}
		}
		return did
	})
	if errors.Is(err, vigil.ErrNotFound) || err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		err = u.ClearBlame(ctx, session)
	}
	if err != nil {
		u.cfg.Log.Error("absence not divided by its page stamp", "session", session, "error", err)
		return
	}
	u.compensate(ctx, session, base)
}

// beganOf is when an absence began, of which gaps has the parts.
func beganOf(gaps []vigil.Gap, base string) time.Time {
	var began time.Time
	for _, g := range gaps {
		if BaseOf(g) == base && (began.IsZero() || g.Start.Before(began)) {
			began = g.Start
		}
	}
	return began
}

// Reblame divides the gaps of a session once more, because more is known by now of when its
// platform was slow, or no server lived.
func (u *Service) Reblame(ctx context.Context, session string) {
	err := u.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		for _, g := range gaps {
			if g.End.IsZero() || g.Decision != vigil.GapUndecided || g.Cause != vigil.CauseUnclear && g.Cause != vigil.CauseStudent {
				continue
			}
			faults := u.faults.Faults(s)
			if since, ours := serverBefore(gaps, g); ours { // an outage upon it, see outages.upTo
				faults = append(faults, vigil.Fault{From: g.Start, To: u.faults.OutageUntil(since, g.Start), Cause: vigil.CauseServer})
			}
			if parts := u.splitGap(s, g, g.End, faults); did.room() && (len(parts.add) > 0 || parts.change[0].Cause != g.Cause) {
				did.and(parts)
			}
		}
		return did
	})
	if err == nil {
		err = u.ClearBlame(ctx, session)
	}
	if err == nil {
		u.compensate(ctx, session, "")
	} else if ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
		u.cfg.Log.Error("gaps not divided anew", "session", session, "error", err)
	}
}

// serverBefore tells since when an absence was our fault up to the beginning of a part of it.
func serverBefore(gaps []vigil.Gap, part vigil.Gap) (since time.Time, ours bool) {
	for _, g := range gaps {
		if g.Cause == vigil.CauseServer && g.End.Equal(part.Start) && BaseOf(g) == BaseOf(part) {
			return g.Start, true
		}
	}
	return time.Time{}, false
}

// Recredit is creditTurned for gaps that may have ended long ago.
func (u *Service) Recredit(ctx context.Context, session string) {
	changed, err := u.creditTurned(ctx, session)
	switch {
	case err == nil && changed:
		u.compensate(ctx, session, "")
	case err != nil && ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound):
		u.cfg.Log.Error("gaps not divided by refused connections", "session", session, "error", err)
	}
}

// creditTurned divides the gaps of a session that have ended by when its student was refused by
// servers. changed: there was something to divide; what somebody was blamed for by it is cleared.
func (u *Service) creditTurned(ctx context.Context, session string) (changed bool, err error) {
	if !u.cfg.Shared { // no other server refused anybody
		return false, nil
	}
	turned, err := u.faults.Refusals(ctx, session)
	if err != nil || len(turned) == 0 {
		return false, err
	}
	for more := true; more; {
		more = false
		err := u.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) (did ledgerEdit) {
			more = false
			for _, g := range gaps {
				if g.End.IsZero() || g.Decision != vigil.GapUndecided || !vigil.CauseServer.Outranks(g.Cause) {
					continue
				}
				parts := u.splitGap(s, g, g.End, during(absence(gaps, g), turned, u.cfg.Liveness.ReturnGrace))
				if len(parts.add) == 0 && parts.change[0].Cause == g.Cause {
					continue
				}
				if !did.room() {
					more = true
					break
				}
				did.and(parts)
				changed = true
			}
			return did
		})
		if err != nil {
			return changed, err
		}
	}
	if changed {
		err = u.ClearBlame(ctx, session)
	}
	return changed, err
}

// absence is the whole of the absence that a part of the ledger was divided from.
func absence(gaps []vigil.Gap, part vigil.Gap) (whole vigil.Fault) {
	whole = vigil.Fault{From: part.Start, To: part.End}
	for _, g := range gaps {
		if BaseOf(g) != BaseOf(part) {
			continue
		}
		whole.From, whole.To = instant.Earlier(whole.From, g.Start), instant.Later(whole.To, g.End)
	}
	return whole
}

// during is what being refused explains of an absence: from the request that was refused on, and
// as long after it as an outage explains that somebody is not back, but for no later absence.
// Before the first request the student was away for another reason.
func during(away vigil.Fault, turned []vigil.Fault, grace time.Duration) []vigil.Fault {
	var out []vigil.Fault
	for _, f := range turned {
		if f.From.After(away.To) || f.To.Before(away.From) {
			continue
		}
		if f.To = f.To.Add(grace); f.To.After(away.To) {
			f.To = away.To
		}
		out = append(out, f)
	}
	return out
}
