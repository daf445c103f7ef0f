package realtime

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"time"

	"vigil"
)

// Page is what a page stamp says (docs/assertion.md): whose page of which attempt it is,
// when the platform was asked for it and when it had answered, by its clock, and when the
// attempt ends.
type Page struct {
	Platform     string // our id
	Deployment   string
	ResourceLink string
	User         string
	Attempt      int
	Nonce        string
	Requested    time.Time
	Answered     time.Time
	Report       vigil.Report
}

// PageVerifier checks a page stamp's signature and form. An error of CodeUnavailable means
// that it could not be told now; every other one refuses the stamp.
type PageVerifier interface {
	VerifyPage(ctx context.Context, stamp string) (Page, error)
}

// maxStamp bounds a stamp, in bytes.
const maxStamp = 16 << 10

// arrival is what a hello brings beside its stamp: when the socket was open, and since when
// the student had been away.
type arrival struct {
	at   time.Time
	from time.Time // zero: nobody was lost
}

// takeStamp takes in what the platform signed into the page: the end of the attempt, and how
// much of the student's absence was its own.
func (st *student) takeStamp(ctx context.Context, stamp string, a arrival) {
	sum := maphash.String(st.h.seed, stamp)
	st.mu.Lock()
	again := st.stamp == sum
	st.mu.Unlock()
	if again {
		return // the same page, on another socket
	}
	page, err := st.h.cfg.Pages.VerifyPage(ctx, stamp)
	if err == nil && st.h.identity(page.Platform, page.Deployment, page.ResourceLink, page.User, page.Attempt) != st.who.Load() {
		err = vigil.Errorf(vigil.CodeForbidden, "The page stamp is of another attempt.")
	}
	if err != nil {
		st.h.stats.stampsRefused.Add(1)
		st.h.log.Warn("page stamp refused", "session", st.id, "error", err)
		return
	}
	st.mu.Lock()
	st.stamp = sum
	known := st.life.session()
	ready, news := known.Ready, known.News(page.Report)
	st.mu.Unlock()
	if news {
		if _, err := st.h.ReportEnd(ctx, st.id, page.Report); err != nil && ctx.Err() == nil {
			st.h.log.Warn("end of the attempt not taken from its page", "session", st.id, "error", err)
			st.mu.Lock()
			st.stamp = 0 // taken with the next hello
			st.mu.Unlock()
		}
	}
	atLeast, atMost, sure := st.h.turns.came(st.platform.Value(), page.Answered, ready, a.at)
	if a.from.IsZero() {
		return
	}
	st.h.refine(ctx, st.id, a, loading{
		begun: page.Requested.Add(atLeast), asked: page.Requested.Add(atMost), written: page.Answered.Add(atLeast), sure: sure,
	})
}

// loading is how a page came, by our clock: the platform was asked for it not before begun
// and not after asked, and had not written it before written. If that is not sure, nobody may be
// blamed by it.
type loading struct {
	begun, asked, written time.Time
	sure                  bool
}

// identity is a hash of what names an attempt at its platform.
func (h *Hub) identity(platform, deployment, link, user string, attempt int) uint64 {
	var m maphash.Hash
	m.SetSeed(h.seed)
	for _, s := range []string{platform, deployment, link, user, strconv.Itoa(attempt)} {
		_, _ = m.WriteString(s) // never fails
		_ = m.WriteByte(0)
	}
	return m.Sum64()
}

// identityOf is that of a session's attempt.
func (h *Hub) identityOf(s vigil.Session) uint64 {
	return h.identity(s.PlatformID, s.DeploymentID, s.ResourceLinkID, s.UserID, s.Attempt)
}

// refine divides the gaps of an absence that has just ended by what the page stamp shows:
// from the request to the answer it was the platform's. Of a page turn, what came before the
// page was asked for is the student's, who had no page open; what came after it was written is
// unclear, scripts and the way here, and so is whatever the clocks are not known well enough for.
func (h *Hub) refine(ctx context.Context, session string, a arrival, l loading) {
	var base string
	err := h.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		turned := false
		for _, g := range gaps {
			if g.End.IsZero() || g.Start.Before(a.from) || g.End.After(a.at) {
				continue
			}
			turned = turned || g.Cause == vigil.CauseUnclear || g.Cause == vigil.CauseLMS
			if g.Decision != vigil.GapUndecided || g.Cause == vigil.CauseServer || g.Cause == vigil.CauseLMS {
				continue
			}
			known := append(h.faultsOf(s), vigil.Fault{From: l.asked, To: l.written, Cause: vigil.CauseLMS})
			cause := g.Cause
			base = baseOf(g)
			if turned && l.sure {
				g.Cause = vigil.CauseStudent
				known = append(known, vigil.Fault{From: l.begun, To: g.End, Cause: vigil.CauseUnclear})
			}
			parts := h.splitGap(s, g, g.End, known)
			if len(parts.add) == 0 && cause == parts.change[0].Cause {
				continue
			}
			did.change, did.add = append(did.change, parts.change...), append(did.add, parts.add...)
		}
		return did
	})
	if errors.Is(err, vigil.ErrNotFound) || err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		err = h.clearBlame(ctx, session)
	}
	if err != nil {
		h.log.Error("absence not divided by its page stamp", "session", session, "error", err)
		return
	}
	h.settleLedger(ctx, session, base)
}

// reblame divides the gaps of a session once more, because more is known by now of when its
// platform was slow.
func (h *Hub) reblame(ctx context.Context, session string) {
	err := h.editLedger(ctx, session, func(s vigil.Session, _ vigil.Exam, gaps []vigil.Gap) ledgerEdit {
		var did ledgerEdit
		for _, g := range gaps {
			if g.End.IsZero() || g.Decision != vigil.GapUndecided || g.Cause != vigil.CauseUnclear && g.Cause != vigil.CauseStudent {
				continue
			}
			if parts := h.splitGap(s, g, g.End, h.faultsOf(s)); len(parts.add) > 0 || parts.change[0].Cause != g.Cause {
				did.change, did.add = append(did.change, parts.change...), append(did.add, parts.add...)
			}
		}
		return did
	})
	if err == nil {
		err = h.clearBlame(ctx, session)
	}
	if err == nil {
		h.settleLedger(ctx, session, "")
	} else if ctx.Err() == nil && !errors.Is(err, vigil.ErrNotFound) {
		h.log.Error("gaps not divided anew", "session", session, "error", err)
	}
}
