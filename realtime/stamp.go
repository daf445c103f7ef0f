package realtime

import (
	"context"
	"hash/maphash"
	"time"

	"vigil"
)

// maxStamp bounds a stamp, in bytes.
const maxStamp = 16 << 10

// takeStamp takes in what the platform signed into the page: the end of the attempt, and how
// much of the student's absence was its own. It is false where the stamp is refused.
func (st *student) takeStamp(ctx context.Context, stamp string, a arrival) bool {
	sum := maphash.String(st.n.seed, stamp)
	st.mu.Lock()
	again := st.stamp == sum
	if again {
		st.againLocked(a)
	}
	st.mu.Unlock()
	if again {
		return true // the same page, on another socket
	}
	page, err := st.n.cfg.Pages.VerifyPage(ctx, stamp)
	if err == nil && st.n.identity(page.Platform, page.Deployment, page.ResourceLink, page.User, page.Attempt) != st.who.Load() {
		err = vigil.Errorf(vigil.CodeForbidden, "The page stamp is of another attempt.")
	}
	if err != nil {
		st.n.stats.stampsRefused.Add(1)
		st.n.log.Warn("page stamp refused", "session", st.id, "error", err)
		return false
	}
	st.mu.Lock()
	st.stamp = sum
	st.vouchLocked(page, a)
	news := st.life.session().News(page.Report)
	st.mu.Unlock()
	if news {
		err := st.n.retry(ctx, "end of the attempt", func(ctx context.Context) error {
			_, err := st.n.sessions.TakeReport(ctx, st.id, page.Report)
			return err
		})
		if err != nil && ctx.Err() == nil {
			st.n.log.Warn("end of the attempt not taken from its page", "session", st.id, "error", err)
			st.mu.Lock()
			st.stamp = 0 // taken with the next hello
			st.mu.Unlock()
		}
	}
	ahead := st.n.turns.Ahead(st.platform.Value(), page.Answered, a.at)
	asked := vigil.Fault{From: page.Requested.Add(ahead), To: page.Answered.Add(ahead), Cause: vigil.CauseLMS}
	st.mu.Lock()
	if st.crossed.at.Equal(a.at) {
		st.crossed.page = asked
	}
	st.mu.Unlock()
	if !a.from.IsZero() {
		st.n.sessions.Refine(ctx, st.id, a.from, a.at, asked)
	}
	return true
}

// lookBackLocked divides by its page what another node has made of such an arrival, once it has had the
// time for that. The store may be slow, so it looks more than once. st.mu is held.
func (st *student) lookBackLocked(now time.Time) {
	c := st.crossed
	if c.at.IsZero() {
		return
	}
	if now.Sub(c.at) > st.n.cfg.Liveness.LoadLimit {
		st.crossed = crossed{}
	}
	if !c.page.To.IsZero() {
		st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) { st.n.sessions.Refine(ctx, st.id, c.from, c.at, c.page) })
	}
}
