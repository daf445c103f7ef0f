package realtime

import (
	"context"
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
	Issuer       string // the platform's own name
	Client       string // our id at it
	Deployment   string
	ResourceLink string
	User         string
	Attempt      int
	Nonce        string
	Requested    time.Time
	Answered     time.Time
	Receipts     bool // the platform wants them for this page, whatever the exam's policy was at the last launch
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
	at    time.Time
	from  time.Time // zero: nobody was lost
	epoch int64     // the socket's
}

// takeStamp takes in what the platform signed into the page: the end of the attempt, and how
// much of the student's absence was its own. It is false where the stamp is refused.
func (st *student) takeStamp(ctx context.Context, stamp string, a arrival) bool {
	sum := maphash.String(st.h.seed, stamp)
	st.mu.Lock()
	again := st.stamp == sum
	if again {
		st.againLocked(a)
	}
	st.mu.Unlock()
	if again {
		return true // the same page, on another socket
	}
	page, err := st.h.cfg.Pages.VerifyPage(ctx, stamp)
	if err == nil && st.h.identity(page.Platform, page.Deployment, page.ResourceLink, page.User, page.Attempt) != st.who.Load() {
		err = vigil.Errorf(vigil.CodeForbidden, "The page stamp is of another attempt.")
	}
	if err != nil {
		st.h.stats.stampsRefused.Add(1)
		st.h.log.Warn("page stamp refused", "session", st.id, "error", err)
		return false
	}
	st.mu.Lock()
	st.stamp = sum
	st.vouchLocked(page, a)
	news := st.life.session().News(page.Report)
	st.mu.Unlock()
	if news {
		err := st.h.retry(ctx, "end of the attempt", func(ctx context.Context) error {
			_, err := st.h.sessions.TakeReport(ctx, st.id, page.Report)
			return err
		})
		if err != nil && ctx.Err() == nil {
			st.h.log.Warn("end of the attempt not taken from its page", "session", st.id, "error", err)
			st.mu.Lock()
			st.stamp = 0 // taken with the next hello
			st.mu.Unlock()
		}
	}
	ahead := st.h.turns.Ahead(st.platform.Value(), page.Answered, a.at)
	asked := vigil.Fault{From: page.Requested.Add(ahead), To: page.Answered.Add(ahead), Cause: vigil.CauseLMS}
	st.mu.Lock()
	if st.crossed.at.Equal(a.at) {
		st.crossed.page = asked
	}
	st.mu.Unlock()
	if !a.from.IsZero() {
		st.h.sessions.Refine(ctx, st.id, a.from, a.at, asked)
	}
	return true
}

// crossed is an arrival from another node that had not heard a goodbye: it may call the student lost
// before it hears of the arrival, and does not know the page that explains the absence.
type crossed struct {
	at   time.Time   // zero: there is none
	from time.Time   // when the absence began, at the earliest
	page vigil.Fault // from the request for the page to its answer; zero: no stamp came
}

// lookBackLocked divides by its page what another node has made of such an arrival, once it has had the
// time for that. The store may be slow, so it looks more than once. st.mu is held.
func (st *student) lookBackLocked(now time.Time) {
	c := st.crossed
	if c.at.IsZero() {
		return
	}
	if now.Sub(c.at) > st.h.cfg.Liveness.LoadLimit {
		st.crossed = crossed{}
	}
	if !c.page.To.IsZero() {
		st.jobs.Add(st.h.tasks, 0, func(ctx context.Context) { st.h.sessions.Refine(ctx, st.id, c.from, c.at, c.page) })
	}
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
