package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"vigil"
	"vigil/realtime/client"
	"vigil/realtime/protocol"
)

// event is something that happens in a run, at a time, in a way that only its own seed decides: so
// the others happen as before when it is left out.
type event struct {
	at   time.Duration
	kind string
	seed uint64
}

func (e event) String() string { return fmt.Sprintf("%v %s (%d)", e.at, e.kind, e.seed) }

// happen is what can happen, and how often among the others.
var happen = []struct {
	kind string
	much int
	do   func(w *world, r *rand.Rand)
}{
	{"a signal", 20, func(w *world, r *rand.Rand) {
		kind := []vigil.Kind{vigil.KindBlur, vigil.KindCopy, vigil.KindIdle}[r.IntN(3)]
		w.anyone(r).signal(kind)
	}},
	{"the device's clock is set", 1, func(w *world, r *rand.Rand) {
		b := w.anyone(r)
		b.mu.Lock()
		b.skew = time.Duration(r.IntN(7200)-3600) * time.Second
		b.mu.Unlock()
	}},
	{"the student goes back", 3, func(w *world, r *rand.Rand) { w.anyone(r).back() }},
	{"a second device", 2, func(w *world, r *rand.Rand) { w.anyone(r).elsewhere() }},
	{"the student writes", 3, func(w *world, r *rand.Rand) {
		w.anyone(r).with(func(s *client.Student) { s.Chat("What a student writes.") })
	}},
	{"a proctor writes", 3, func(w *world, r *rand.Rand) {
		w.desks[r.IntN(len(w.desks))].chat(w.anyone(r).session)
	}},
	{"a proctor has seen it", 2, func(w *world, r *rand.Rand) {
		w.desks[r.IntN(len(w.desks))].seen(w.anyone(r).session)
	}},
	{"a hand", 2, func(w *world, r *rand.Rand) {
		up := r.IntN(3) > 0
		w.anyone(r).with(func(s *client.Student) { s.Hand(up) })
	}},
	{"a page turn", 20, func(w *world, r *rand.Rand) { w.anyone(r).turn() }},
	{"the line is cut", 4, func(w *world, r *rand.Rand) { w.anyone(r).offline(false, seconds(r, 1, 90)) }},
	{"the line is silent", 4, func(w *world, r *rand.Rand) { w.anyone(r).offline(true, seconds(r, 1, 90)) }},
	{"the browser is closed", 3, func(w *world, r *rand.Rand) {
		b := w.anyone(r)
		b.leave(vigil.ByeClosing, seconds(r, 5, 120))
	}},
	{"the student hands in", 2, func(w *world, r *rand.Rand) { w.anyone(r).handIn() }},
	{"a pause", 3, func(w *world, r *rand.Rand) { w.order(r, vigil.CommandPause, 0) }},
	{"a resumption", 4, func(w *world, r *rand.Rand) { w.order(r, vigil.CommandResume, 0) }},
	{"extra time", 4, func(w *world, r *rand.Rand) { w.order(r, vigil.CommandExtend, 30*(1+r.IntN(20))) }},
	{"an end", 1, func(w *world, r *rand.Rand) { w.order(r, vigil.CommandTerminate, 0) }},
	{"a message", 2, func(w *world, r *rand.Rand) { w.order(r, vigil.CommandMessage, 0) }},
	{"lost time is given back", 4, func(w *world, r *rand.Rand) {
		who := w.anyone(r).session
		for _, d := range w.desks[:1+r.IntN(len(w.desks))] {
			d.lostTime(true, who)
		}
	}},
	{"a teacher moves the end", 2, func(w *world, r *rand.Rand) {
		b := w.anyone(r)
		if a, ok := w.lms.AttemptByID(b.attempt); ok && a.Open() {
			if end := a.Ends.Add(time.Duration(r.IntN(600)-120) * time.Second); end.After(w.lmsNow().Add(time.Minute)) {
				_, _ = w.lms.MoveEnd(b.attempt, end) // it may be over by now
			}
		}
	}},
	{"a server is killed", 2, func(w *world, r *rand.Rand) { w.restart(r, (*server).kill, seconds(r, 1, 30)) }},
	{"a server is drained", 2, func(w *world, r *rand.Rand) { w.restart(r, (*server).drain, seconds(r, 0, 5)) }},
	{"the store is away", 1, func(w *world, r *rand.Rand) { w.fault(&w.storeAway, seconds(r, 1, 25)) }},
	{"the store is slow", 1, func(w *world, r *rand.Rand) { w.fault(&w.storeSlow, seconds(r, 1, 25)) }},
	{"a server is cut off from the store", 1, func(w *world, r *rand.Rand) { w.adrift(r, seconds(r, 1, 60)) }},
	{"a server is cut off from the relay", 2, func(w *world, r *rand.Rand) { w.cutOff(r, seconds(r, 1, 40)) }},
	{"the platform is slow", 2, func(w *world, r *rand.Rand) { w.slowPlatform(seconds(r, 5, 60)) }},
	{"the platform takes no requests", 1, func(w *world, r *rand.Rand) { w.during(&w.lmsAway, seconds(r, 5, 60)) }},
	{"the platform reports", 6, func(w *world, _ *rand.Rand) { w.reports() }},
	{"a reload of a page that is slow", 4, func(w *world, r *rand.Rand) {
		b := w.anyone(r)
		b.turn()
		w.later = append(w.later, later{time.Now().Add(seconds(r, 1, 12)), b.turn})
	}},
}

// rare is what happens once at most, and in few runs, for nothing goes on after it.
var rare = map[string]func(w *world, r *rand.Rand){
	"proctoring is switched off": func(w *world, _ *rand.Rand) { w.ok(w.lms.SwitchOff(linkID)) },
	"the attempt is deleted":     func(w *world, r *rand.Rand) { w.ok(w.lms.Delete(w.anyone(r).attempt)) },
}

func seconds(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least*1000+r.IntN((most-least)*1000)) * time.Millisecond
}

// plan makes the events of a run.
func plan(r *rand.Rand) []event {
	total := 0
	for _, h := range happen {
		total += h.much
	}
	var events []event
	for range 20 + r.IntN(60) {
		n := r.IntN(total)
		for _, h := range happen {
			if n -= h.much; n < 0 {
				events = append(events, event{at: time.Duration(r.IntN(300_000)) * time.Millisecond, kind: h.kind, seed: r.Uint64()})
				break
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(rare)) {
		if r.IntN(8) == 0 {
			events = append(events, event{at: time.Duration(r.IntN(300_000)) * time.Millisecond, kind: kind, seed: r.Uint64()})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return events
}

func (w *world) happens(e event) {
	w.bus.note("-- %s", e)
	for _, h := range happen {
		if h.kind == e.kind {
			h.do(w, rand.New(rand.NewPCG(e.seed, 0)))
		}
	}
	if do := rare[e.kind]; do != nil {
		do(w, rand.New(rand.NewPCG(e.seed, 0)))
	}
}

// play plays a run: the students open the quiz, the events happen, and the world comes to rest.
func (w *world) play(events []event) {
	began := time.Now()
	w.run(500 * time.Millisecond)
	for _, d := range w.desks {
		d.open()
	}
	for _, s := range w.students {
		s.open()
	}
	w.run(5 * time.Second)
	for _, e := range events {
		w.run(time.Until(began.Add(10*time.Second + e.at)))
		w.happens(e)
	}
	w.rest()
}

// rest lets everything heal, and waits until every attempt is over and that is known.
func (w *world) rest() {
	w.bus.note("-- heals")
	w.storeAway, w.storeSlow, w.lmsAway = false, false, false
	w.mu.Lock()
	w.lmsSlow = false
	clear(w.away)
	w.mu.Unlock()
	for _, n := range w.all() {
		n.cut.Store(false)
	}
	w.run(2 * time.Minute) // as long as a line is away at most, and a server restarts
	for _, s := range w.students {
		s.open()
	}
	for range 3 {
		w.reports()
		w.run(time.Minute)
	}
	for _, s := range w.students {
		s.turn()
	}
	w.run(time.Minute)
	w.atRest("running")
	for range 60 {
		open := false
		for _, s := range w.students {
			a, ok := w.lms.AttemptByID(s.attempt)
			if ok && a.Status == "paused" {
				w.desks[0].command(protocol.CommandUp{Kind: vigil.CommandResume, Targets: []string{s.session}})
			}
			open = open || ok && a.Open()
		}
		if !open {
			break
		}
		w.run(time.Minute)
		w.reports()
	}
	for range 5 { // a report that did not get there is made again
		w.run(time.Minute)
		w.reports()
		w.run(time.Minute)
		if !slices.ContainsFunc(w.students, w.owes) {
			break
		}
	}
	w.run(2 * time.Minute)
	w.atRest("over")
}

// anyone is a student, chosen by the event.
func (w *world) anyone(r *rand.Rand) *browser { return w.students[r.IntN(len(w.students))] }

// order has a proctor give a command to a student, or to all.
func (w *world) order(r *rand.Rand, kind vigil.CommandKind, secs int) {
	d := w.desks[r.IntN(len(w.desks))]
	targets := []string{w.anyone(r).session}
	if r.IntN(6) == 0 {
		targets = nil
		for _, s := range w.students {
			targets = append(targets, s.session)
		}
	}
	c := protocol.CommandUp{Kind: kind, Seconds: int64(secs), Targets: targets}
	if kind == vigil.CommandMessage || kind == vigil.CommandTerminate {
		c.Text = "What a proctor writes."
	}
	d.command(c)
}

// leave closes the browser and comes back.
func (b *browser) leave(reason vigil.ByeReason, d time.Duration) {
	from := time.Now()
	b.shut(reason)
	b.world.spawn(func() {
		time.Sleep(d)
		b.mu.Lock()
		b.away = append(b.away, span{from: from, to: time.Now()})
		b.mu.Unlock()
		b.open()
	})
}

// restart ends a server, and starts another one on its machine a while later.
func (w *world) restart(r *rand.Rand, end func(*server), d time.Duration) {
	w.mu.Lock()
	var up []*server
	for _, n := range w.nodes {
		if n.ready.Load() {
			up = append(up, n)
		}
	}
	w.mu.Unlock()
	if len(up) == 0 {
		return
	}
	n := up[r.IntN(len(up))]
	from := time.Now()
	w.spawn(func() {
		end(n)
		time.Sleep(d)
		w.mu.Lock()
		w.ours = append(w.ours, span{from: from, to: time.Now()})
		w.mu.Unlock()
		if w.ctx.Err() == nil {
			w.boot(n.name, n.skew)
		}
	})
}

// during sets a switch of the driver's for a while.
func (w *world) during(what *bool, d time.Duration) {
	*what = true
	w.later = append(w.later, later{time.Now().Add(d), func() { *what = false }})
}

// fault is during for a fault that is ours.
func (w *world) fault(what *bool, d time.Duration) {
	from := time.Now()
	w.during(what, d)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ours = append(w.ours, span{from: from, to: from.Add(d)})
}

func (w *world) slowPlatform(d time.Duration) {
	from := time.Now()
	w.mu.Lock()
	w.lmsSlow = true
	w.slow = append(w.slow, span{from: from, to: from.Add(d + 30*time.Second)})
	w.mu.Unlock()
	w.later = append(w.later, later{from.Add(d), func() {
		w.mu.Lock()
		w.lmsSlow = false
		w.mu.Unlock()
	}})
}

func (w *world) cutOff(r *rand.Rand, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.nodes) == 0 {
		return
	}
	n := w.nodes[r.IntN(len(w.nodes))]
	n.cut.Store(true)
	w.later = append(w.later, later{time.Now().Add(d), func() { n.cut.Store(false) }})
}

// adrift cuts one server off from the store, for which the others go on. The load balancer
// notices after a while.
func (w *world) adrift(r *rand.Rand, d time.Duration) {
	nodes := w.all()
	if len(nodes) == 0 {
		return
	}
	n, from := nodes[r.IntN(len(nodes))], time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away[n.id] = from
	w.ours = append(w.ours, span{from: from, to: from.Add(d)})
	w.later = append(w.later, later{from.Add(d), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.away, n.id)
	}})
}

// later is what the driver does at a time.
type later struct {
	at time.Time
	do func()
}
