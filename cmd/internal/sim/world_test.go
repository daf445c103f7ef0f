package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vigil"
	"vigil/lti/ltitest"
	"vigil/realtime"
	"vigil/storage/sqlite"
)

const (
	origin     = "https://lms.example.edu"
	platformID = "platform-1"
	clientID   = "vigil"
	linkID     = "quiz-1"
)

// world is everything of one run.
type world struct {
	t        testing.TB
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
	seed     uint64
	off      Rule       // whose mechanism is switched off; empty: none
	rng      *rand.Rand // the plan's: used by the driver alone
	bus      *bus
	db       *sqlite.Store
	log      *slog.Logger
	exam     vigil.Exam
	tokens   *tokens
	pages    *stamps
	relays   *relays
	lms      *ltitest.Platform
	lmsSkew  time.Duration
	students []*browser
	desks    []*desk

	mu    sync.Mutex
	nodes []*server // in order of their start
	boots int
	ids   map[string]int
	dice  map[string]*rand.Rand // of everybody's jitter, by whose
	ours  []span                // when servers, store or relay were at fault
	slow  []span                // when the platform was

	lmsSlow, lmsAway     bool // the driver's
	storeAway, storeSlow bool
	away                 map[string]time.Time // servers that are cut off from the store, since when
	later                []later
	told                 map[string]bool // reports that a server took
	faults               []string
}

// letters names a number.
func letters(n int) string { return fmt.Sprintf("%03d", n) }

// spawn begins something that the world waits for at its end.
func (w *world) spawn(f func()) { w.wg.Go(f) }

// roll is somebody's jitter: a number from 0 to n-1. Each has dice of their own, so that nobody's
// throws depend on who else throws at the same moment.
func (w *world) roll(whose string, n int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dice[whose]
	if d == nil {
		h := fnv.New64a()
		_, _ = h.Write([]byte(whose)) // never fails
		d = rand.New(rand.NewPCG(w.seed, h.Sum64()))
		w.dice[whose] = d
	}
	return d.Int64N(n)
}

// dicer gives somebody's dice.
func (w *world) dicer(whose string) func(n int64) int64 {
	return func(n int64) int64 { return w.roll(whose, n) }
}

// namer names what a server makes.
func (w *world) namer(node string) func() string {
	return func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ids[node]++
		return fmt.Sprintf("%s-%06d", node, w.ids[node])
	}
}

// all are the processes that have not ended.
func (w *world) all() []*server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

// healthChecks is how long the load balancer gives connections to a server that is not ready.
const healthChecks = 15 * time.Second

// balance is the load balancer: a server that takes connections, or nil.
func (w *world) balance(whose string) *server {
	w.mu.Lock()
	var ready []*server
	for _, n := range w.nodes {
		if from, away := w.away[n.id]; n.ready.Load() && !(away && time.Since(from) > healthChecks) {
			ready = append(ready, n)
		}
	}
	w.mu.Unlock()
	if len(ready) == 0 {
		return nil
	}
	return ready[w.roll(whose, int64(len(ready)))]
}

func (w *world) lmsNow() time.Time { return time.Now().Add(w.lmsSkew) }

// pageTakes tells how long the platform takes for a page, and its scripts.
func (w *world) pageTakes(whose string) (serve, scripts time.Duration) {
	serve = time.Duration(50+w.roll(whose, 500)) * time.Millisecond
	scripts = time.Duration(50+w.roll(whose, 1500)) * time.Millisecond
	w.mu.Lock()
	slow := w.lmsSlow
	w.mu.Unlock()
	if slow {
		serve += time.Duration(3+w.roll(whose, 25)) * time.Second
	}
	return serve, scripts
}

// judge is the bus's: how long a passage takes, and what becomes of it.
func (w *world) judge(p *passage) (time.Duration, verdict) {
	rng := w.bus.dice(p)
	few := func(least, most int) time.Duration {
		return time.Duration(least+rng.IntN(most-least)) * time.Millisecond
	}
	switch p.class {
	case toStore:
		switch {
		case w.storeAway || !w.away[p.by()].IsZero():
			return few(500, 3000), fails
		case w.storeSlow:
			return few(200, 2500), passes
		case rng.IntN(200) == 0:
			now := time.Now() // a server may take it for an outage, until it has stored something again
			w.mu.Lock()
			w.ours = append(w.ours, span{now, now.Add(5 * time.Second), true})
			w.mu.Unlock()
			return few(1, 300), [...]verdict{fails, lost}[rng.IntN(2)]
		}
		return few(1, 8), passes
	case toRelay:
		return few(1, 30), passes
	case toLMS:
		if w.lmsAway {
			return few(1000, 10_000), [...]verdict{fails, lost}[rng.IntN(2)]
		}
		if rng.IntN(20) == 0 {
			return few(100, 5000), lost
		}
		return few(20, 800), passes
	}
	return few(2, 60), passes
}

// run plays until so much later, and what the driver has to do meanwhile.
func (w *world) run(d time.Duration) {
	until := time.Now().Add(d)
	for {
		slices.SortStableFunc(w.later, func(a, b later) int { return a.at.Compare(b.at) })
		if len(w.later) == 0 || w.later[0].at.After(until) {
			w.bus.run(until, w.judge)
			return
		}
		next := w.later[0]
		w.later = w.later[1:]
		w.bus.run(next.at, w.judge)
		next.do()
	}
}

// newWorld makes a world in which nothing has happened yet.
func newWorld(t testing.TB, seed uint64, db *sqlite.Store, handler slog.Handler) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), dice: map[string]*rand.Rand{}, ids: map[string]int{}, db: db, log: slog.New(handler),
		told: map[string]bool{}, away: map[string]time.Time{},
		pages: &stamps{pages: map[string]realtime.Page{}}, tokens: &tokens{known: map[string]vigil.SocketClaims{}},
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.bus = newBus(seed)
	w.relays = &relays{bus: w.bus}
	w.lmsSkew = time.Duration(w.rng.IntN(20_000)-10_000) * time.Millisecond
	limit := time.Duration(6+w.rng.IntN(8)) * time.Minute
	w.lms = ltitest.New(ltitest.Config{
		Issuer: origin, Now: w.lmsNow, Log: slog.New(slog.DiscardHandler),
		Links: []ltitest.Link{{ID: linkID, Title: "Quiz", ClientID: clientID, TimeLimit: limit, Unproctored: true}},
	})
	now := time.Now().UTC()
	w.exam = vigil.Exam{ID: "exam-1", Title: "Quiz", Issuer: origin, ContextID: "course", Policy: vigil.DefaultPolicy(), Created: now, Version: 1}
	w.ok(db.CreateExam(w.ctx, w.exam))
	for i := range 3 + w.rng.IntN(4) {
		w.students = append(w.students, w.student(fmt.Sprintf("student-%d", i+1)))
	}
	w.lms.SetLink(ltitest.Link{ID: linkID, Title: "Quiz", ClientID: clientID, TimeLimit: limit})
	for i := range 2 {
		name := fmt.Sprintf("proctor-%d", i+1)
		w.desks = append(w.desks, &desk{world: w, name: name, line: &line{world: w, name: name}})
	}
	for i := range 2 + w.rng.IntN(2) {
		w.boot(fmt.Sprintf("server-%d", i+1), time.Duration(w.rng.IntN(4000)-2000)*time.Millisecond)
	}
	return w
}

// student is one whose attempt has just begun: the launch and the check-in are behind them.
func (w *world) student(name string) *browser {
	a, err := w.lms.StartUnproctored(ltitest.Launch{ClientID: clientID, UserID: name, LinkID: linkID, Attempt: 1})
	w.ok(err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := vigil.Session{
		ID: "session-of-" + name, ExamID: w.exam.ID, UserID: name, Name: name, Attempt: 1, Generation: 1, PlatformID: platformID, ResourceLinkID: linkID,
		Plugin: true, ControlURL: origin + "/control", ControlActions: []string{"pause", "resume", "terminate", "update", "flag"},
		State: vigil.StateReady, Version: 1, Created: now, Ready: now, Changed: now, Sent: now, End: a.Ends.UTC().Truncate(time.Millisecond), EndSeen: w.lmsNow().UTC().Truncate(time.Millisecond),
		Presence: vigil.Presence{Connection: vigil.ConnNever},
	}
	s.DueAt = s.NextDue(w.exam.Policy)
	w.ok(w.db.CreateSession(w.ctx, s))
	return &browser{world: w, name: name, session: s.ID, attempt: a.ID, line: &line{world: w, name: name}, streams: map[string]int64{}}
}

func (w *world) ok(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// reports does what Moodle's cron does: it ends what is over, and reports what was owed.
func (w *world) reports() {
	now := w.lmsNow()
	for _, s := range w.students {
		w.lms.AttemptByID(s.attempt) // whose time is up is over
	}
	w.spawn(func() {
		for _, r := range w.lms.Owed() {
			w.tell(r, now, "report of "+r.Attempt.UserID)
		}
	})
}

// tellOpened is the plugin's report at the end of the request of the attempt's first page.
func (w *world) tellOpened(b *browser) {
	now := w.lmsNow()
	for _, r := range w.lms.Owed() {
		if r.Attempt.ID == b.attempt && r.Outcome == ltitest.OutcomeOpened {
			w.tell(r, now, "opening of "+b.name)
		}
	}
}

// tell makes one report, unless a server took it before. now is the platform's clock as it signs.
func (w *world) tell(r ltitest.Report, now time.Time, what string) {
	key := r.Attempt.ID + r.Outcome + r.At.String()
	w.mu.Lock()
	told := w.told[key]
	w.mu.Unlock()
	if told {
		return
	}
	if _, err := w.bus.pass(w.ctx, toWeb, what, nil); err != nil {
		return
	}
	n := w.balance("cron")
	if n == nil {
		return
	}
	if (w.off == OutcomeAgrees || w.off == OverIsOver) && r.Outcome != ltitest.OutcomeOpened {
		w.mu.Lock()
		w.told[key] = true
		w.mu.Unlock()
		return
	}
	end := n.hub.Sessions().Ended
	switch r.Outcome {
	case ltitest.OutcomeOpened:
		end = n.hub.Sessions().Opened
	case ltitest.OutcomeDeleted:
		end = n.hub.Sessions().Deleted
	case ltitest.OutcomeSwitchedOff:
		end = n.hub.Sessions().Stopped
	}
	at := r.At.Add(time.Now().Add(n.skew).Sub(now)) // by our clock, as web/ended.go has it
	if _, err := end(w.ctx, "session-of-"+r.Attempt.UserID, vigil.Actor{Role: vigil.RoleLMS, ID: platformID}, at); err == nil {
		w.mu.Lock()
		w.told[key] = true
		w.mu.Unlock()
	}
}

// spoiledGaps are gaps as they are stored: whose they are is not true where that is switched off.
func (w *world) spoiledGaps(gaps []vigil.Gap) []vigil.Gap {
	to, off := map[Rule]vigil.Cause{BlamedRightly: vigil.CauseStudent, GivenRightly: vigil.CauseServer}[w.off]
	if !off {
		return gaps
	}
	gaps = slices.Clone(gaps)
	for i := range gaps {
		gaps[i].Cause = to
	}
	return gaps
}

// close ends everything.
func (w *world) close() {
	for _, s := range w.students {
		s.line.silent.Store(false)
		s.shut(vigil.ByeClosing)
	}
	w.desks[1].line.silent.Store(true) // of this one nobody hears any more
	w.run(3 * time.Second)
	for _, d := range w.desks {
		d.mu.Lock()
		board := d.board
		d.mu.Unlock()
		if board != nil {
			w.spawn(board.Close)
		}
	}
	w.run(time.Minute)
	w.checkLeft()
	w.desks[1].line.silent.Store(false)
	w.stop()
	for _, n := range w.all() {
		w.spawn(n.kill)
	}
	done := make(chan struct{})
	go func() { w.wg.Wait(); close(done) }()
	for {
		w.run(time.Second)
		select {
		case <-done:
			synctest.Wait()
			return
		default:
		}
	}
}
