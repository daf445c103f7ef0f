//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// settleTime is how long nothing may come before what is missing counts as lost. Vigil's
// outbox sends again what a busy node refused, after a second or more.
const settleTime = 10 * time.Second

// stretch is one run of signals over all workers.
type stretch struct {
	sent, skipped, seen int64
	shown, stored, late spread
	verdict             verdict
	unacked, own, bad   int64
	ends                map[string]int
	notes               []string
	settling            time.Duration
	used                usage
	took                time.Duration
}

// run sends signals at a rate, and measures what that costs after a warm-up.
func (r *rig) run(ctx context.Context, rate float64, warmup, length time.Duration) (s stretch, err error) {
	start := time.Now().Add(500 * time.Millisecond)
	type answer struct {
		replies []RunReply
		err     error
	}
	answered := make(chan answer, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shares := r.shares()
	go func() {
		replies, err := ask[RunReply](ctx, r.fleet, "Run", func(i int) any {
			return RunArgs{Start: start.UnixNano(), Rate: rate * shares[i], Warmup: warmup, For: length, Settle: r.patience}
		})
		answered <- answer{replies, err}
	}()
	s.used, s.took, err = r.during(ctx, start.Add(warmup), start.Add(warmup+length))
	if err != nil {
		cancel()
		<-answered
		return s, err
	}
	got := <-answered
	if got.err != nil {
		return s, got.err
	}
	s.ends = map[string]int{}
	for _, a := range got.replies {
		s.sent += a.Sent
		s.skipped += a.Skipped
		s.seen += a.Seen
		s.unacked += a.Unacked
		s.own += a.Others
		s.bad += a.Errors
		s.verdict.add(a.Verdict)
		s.notes = append(s.notes, a.Notes...)
		s.settling = max(s.settling, a.Settling)
		for k, v := range a.Ends {
			s.ends[k] += v
		}
	}
	s.shown = merged(snapshots(got.replies, func(a RunReply) *hdrhistogram.Snapshot { return a.Shown })...)
	s.stored = merged(snapshots(got.replies, func(a RunReply) *hdrhistogram.Snapshot { return a.Stored })...)
	s.late = merged(snapshots(got.replies, func(a RunReply) *hdrhistogram.Snapshot { return a.Late })...)
	return s, nil
}

// shares are the workers' parts of the students.
func (r *rig) shares() []float64 {
	out := make([]float64, len(r.fleet.clients))
	for e := range r.size.Exams {
		students := r.size.Students / r.size.Exams
		if e < r.size.Students%r.size.Exams {
			students++
		}
		out[e%len(out)] += float64(students) / float64(r.size.Students)
	}
	return out
}

// pause lets a system settle between two stretches.
const pause = 2 * time.Second

// lateBound is how late the load may be before its figures say more of it than of the
// servers.
const lateBound = 20

// judge puts what went wrong into the outcome.
func (s *stretch) judge(o *outcome) {
	v := s.verdict
	for _, f := range []struct {
		n    int64
		what string
	}{
		{v.Missing, "deliveries to proctors are missing"},
		{v.Doubled, "deliveries to proctors came twice"},
		{v.Disorder, "deliveries to proctors came out of order"},
		{v.Foreign, "deliveries were of nobody's signals"},
		{s.unacked, "signals were never acknowledged"},
		{s.skipped, "signals could not be sent for want of a connection"},
	} {
		if f.n > 0 {
			o.fail("%d %s", f.n, f.what)
		}
	}
	for _, e := range v.Examples {
		o.note("%s", e)
	}
	for _, n := range s.notes {
		o.note("%s", n)
	}
	for why, n := range maps.All(s.ends) {
		o.note("%d sockets were %s", n, why)
	}
	if s.late.P99 > lateBound {
		o.note("the load was late (p99 %s ms): it had too little of the machine, and the figures say so as well", digits(s.late.P99))
	}
}

// figures puts what was measured into the outcome.
func (s *stretch) figures(o *outcome) {
	seconds := s.took.Seconds()
	o.add("signals sent", float64(s.sent)/seconds, "/s")
	o.add("deliveries", float64(s.seen)/seconds, "/s")
	o.spread("latency", s.shown)
	o.spread("acknowledged", s.stored)
	if s.seen > 0 {
		million := float64(s.seen) / 1e6
		o.add("server CPU per million deliveries", s.used.server.Seconds()/million, "s")
		if s.used.redis > 0 {
			o.add("Redis CPU per million deliveries", s.used.redis.Seconds()/million, "s")
		}
		o.add("load CPU per million deliveries", s.used.load.Seconds()/million, "s")
	}
	if s.used.commands > 0 && s.sent > 0 {
		o.add("Redis commands per 1000 signals", float64(s.used.commands)*1000/float64(s.sent), "")
	}
	o.add("server CPU", 100*s.used.server.Seconds()/seconds, "% of a core")
	o.add("load sent late p99", s.late.P99, "ms")
	o.add("missing", float64(s.verdict.Missing), "")
	o.add("doubled", float64(s.verdict.Doubled), "")
	o.add("out of order", float64(s.verdict.Disorder), "")
	if s.verdict.Repeated > 0 {
		o.add("repeated after a resend", float64(s.verdict.Repeated), "")
	}
	if s.own > 0 {
		o.add("signals of the server's own", float64(s.own), "")
	}
}

// memory adds what the servers hold.
func (r *rig) memory(o *outcome) error {
	now, err := pssOf(r.sys.servers()...)
	if err != nil {
		return err
	}
	n := float64(r.size.sockets())
	o.add("server memory (PSS)", float64(now)/(1<<20), "MiB")
	o.add("memory per socket, whole process", float64(now)/n/1024, "KiB")
	o.add("memory per socket, beyond the empty server", float64(now-r.empty)/n/1024, "KiB")
	return nil
}

// verify compares the store with what was given, once the servers are stopped.
func (r *rig) verify(ctx context.Context, o *outcome, records []Record) (err error) {
	if r.vigil == nil {
		return nil
	}
	r.tell("%s: comparing the store with what students gave", r.name)
	store, end, err := r.vigil.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	k, err := checkStore(ctx, store, records)
	if err != nil {
		return err
	}
	o.add("in the store", float64(k.Stored), "of "+strconv.FormatInt(k.Given, 10))
	if k.Missing > 0 {
		o.fail("%d acknowledged signals are not in the store", k.Missing)
	}
	if k.Doubled > 0 {
		o.fail("%d signals are in the store twice", k.Doubled)
	}
	if k.Open > 0 {
		o.fail("%d attempts that were handed in are not over in the store", k.Open)
	}
	for _, e := range k.Examples {
		o.note("%s", e)
	}
	return nil
}

// records are what the workers gave.
func (r *rig) records(ctx context.Context) ([]Record, error) {
	replies, err := ask[[]Record](ctx, r.fleet, "Records", same(None{}))
	var out []Record
	for _, l := range replies {
		out = append(out, l...)
	}
	return out, err
}

// within runs a scenario on a system that is up, ends it and compares the store.
func (r *rig) within(ctx context.Context, a ConnectArgs, o *outcome, do func() error) (err error) {
	if err := r.up(ctx, a); err != nil {
		return errors.Join(err, r.down(context.WithoutCancel(ctx)))
	}
	if err := do(); err != nil {
		return errors.Join(err, r.down(context.WithoutCancel(ctx)))
	}
	records, err := r.records(ctx)
	if err = errors.Join(err, r.down(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	return r.verify(ctx, o, records)
}

// exam is the plain case: everybody works, proctors watch.
func (r *rig) exam(ctx context.Context, rate float64, warmup, length time.Duration) (*outcome, error) {
	o := r.outcome(ctx, "exam", "rate", digits(rate)+"/s", "for", length.String())
	return o, r.within(ctx, ConnectArgs{}, o, func() error {
		r.tell("%s: %s signals a second for %s", r.name, digits(rate), warmup+length)
		s, err := r.run(ctx, rate, warmup, length)
		if err != nil {
			return err
		}
		s.figures(o)
		s.judge(o)
		return r.memory(o)
	})
}

// idle is what it costs that everybody is there.
func (r *rig) idle(ctx context.Context, settle, length time.Duration) (*outcome, error) {
	o := r.outcome(ctx, "idle", "for", length.String())
	return o, r.within(ctx, ConnectArgs{}, o, func() error {
		r.tell("%s: %d sockets idle for %s", r.name, r.size.sockets(), settle+length)
		used, took, err := r.during(ctx, time.Now().Add(settle), time.Now().Add(settle+length))
		if err != nil {
			return err
		}
		o.add("server CPU while idle", used.server.Seconds()*60/took.Seconds(), "s/min")
		o.add("Redis CPU while idle", used.redis.Seconds()*60/took.Seconds(), "s/min")
		open, err := ask[int](ctx, r.fleet, "Open", same(None{}))
		if err != nil {
			return err
		}
		total := 0
		for _, n := range open {
			total += n
		}
		o.add("sockets still open", float64(total), "of "+strconv.Itoa(r.size.sockets()))
		if total != r.size.sockets() {
			o.fail("%d sockets did not stay open", r.size.sockets()-total)
		}
		return r.memory(o)
	})
}

// searchArgs is how the highest rate is looked for.
type searchArgs struct {
	From   float64       `help:"First rate, signals a second (default: ${default})." default:"1000"`
	Limit  float64       `help:"Latency that p99 must stay under, ms (default: ${default})." default:"100"`
	Step   time.Duration `help:"How long each rate is held, after a warm-up of a fifth of it (default: ${default})." default:"15s"`
	Within float64       `help:"The search ends when the answer is known this well (default: ${default})." default:"0.05"`
}

// most looks for the highest rate with p99 under the limit and nothing lost: it grows by
// a half until a rate fails twice, and then halves the distance.
func (r *rig) most(ctx context.Context, a searchArgs) (*outcome, error) {
	o := r.outcome(ctx, "max", "limit", digits(a.Limit)+"ms", "step", a.Step.String())
	return o, r.within(ctx, ConnectArgs{}, o, func() error {
		search := climb{rate: a.From, within: a.Within}
		var best, last stretch
		why, again := "", false
		for !search.done() {
			rate := search.rate
			s, err := r.run(ctx, rate, a.Step/5, a.Step)
			if err != nil {
				return err
			}
			last = s
			trouble := s.over(a.Limit)
			if trouble == "" {
				r.tell("  %s/s holds: p99 %s ms", digits(rate), digits(s.shown.P99))
				best, again = s, false
				search.took(true)
			} else {
				r.tell("  %s/s does not: %s", digits(rate), trouble)
				if again = !again; !again { // once may be the machine's
					why = trouble
					search.took(false)
				}
			}
			if !search.done() && !sleep(ctx, pause) {
				return ctx.Err()
			}
		}
		o.add("highest rate", search.good, "signals/s")
		o.add("deliveries at that rate", search.good*float64(r.size.Proctors), "/s")
		if search.good > 0 {
			best.figures(o)
		}
		o.note("%s/s failed: %s", digits(search.bad), why)
		if len(last.ends) > 0 {
			o.note("sockets ended while the rate was too high: %v", last.ends)
		}
		return nil
	})
}

// over says why a rate is too high, or "".
func (s *stretch) over(limit float64) string {
	switch {
	case s.verdict.Missing > 0:
		return fmt.Sprintf("%d deliveries are missing", s.verdict.Missing)
	case s.verdict.bad() > 0:
		return fmt.Sprintf("%d deliveries are wrong", s.verdict.bad())
	case s.unacked > 0:
		return fmt.Sprintf("%d signals were not acknowledged", s.unacked)
	case s.skipped > 0 || len(s.ends) > 0:
		return "sockets were lost"
	case s.shown.P99 >= limit:
		return "p99 is " + digits(s.shown.P99) + " ms"
	case s.late.P99 > lateBound:
		return "the load itself was late (p99 " + digits(s.late.P99) + " ms): this is its limit, not the servers'"
	}
	return ""
}

// cut tells how soon proctors hear that someone is gone.
func (r *rig) cut(ctx context.Context, way Way, count int, over, limit time.Duration) (*outcome, error) {
	o := r.outcome(ctx, "cut "+string(way), "cut", strconv.Itoa(count))
	if way == WaySilent { // the relay's two ends are in the load's processes, too
		limit, err := openFiles()
		if err != nil {
			return o, err
		}
		if err := checkFiles(limit, "A process of the load, with the paths that can be dropped,", each(3*r.size.sockets(), len(r.fleet.clients)), "give fewer students"); err != nil {
			return o, err
		}
	}
	return o, r.within(ctx, ConnectArgs{ByLine: way == WaySilent}, o, func() error {
		r.tell("%s: cutting off %d students (%s)", r.name, count, way)
		shares := r.shares()
		left := count
		counts := make([]int, len(shares))
		for i := range shares {
			counts[i] = min(left, int(float64(count)*shares[i]+0.5))
			if i == len(shares)-1 {
				counts[i] = left
			}
			left -= counts[i]
		}
		replies, err := ask[CutReply](ctx, r.fleet, "Cut", func(i int) any {
			return CutArgs{Count: counts[i], Way: way, Over: over, Limit: limit}
		})
		if err != nil {
			return err
		}
		wanted, told, gone := 0, 0, 0
		for _, a := range replies {
			wanted, told, gone = wanted+a.Wanted, told+a.Told, gone+a.Gone
		}
		o.spread("told", merged(snapshots(replies, func(a CutReply) *hdrhistogram.Snapshot { return a.First })...))
		o.spread("told as lost", merged(snapshots(replies, func(a CutReply) *hdrhistogram.Snapshot { return a.Lost })...))
		if told < wanted || gone < wanted {
			o.fail("of %d times that a proctor had to be told, %d came as degraded or lost and %d as lost within %s", wanted, told, gone, limit)
		}
		return nil
	})
}

// storm kills a node and waits until its students are back.
func (r *rig) storm(ctx context.Context, rate float64, limit time.Duration) (*outcome, error) {
	if r.vigil == nil {
		return nil, errors.New("the storm is of Vigil's clients: their duties after a drop are part of its protocol")
	}
	o := r.outcome(ctx, "storm", "rate", digits(rate)+"/s")
	return o, r.within(ctx, ConnectArgs{ComeBack: true}, o, func() error {
		r.tell("%s: a few seconds of work", r.name)
		if _, err := r.run(ctx, rate, 0, 5*time.Second); err != nil {
			return err
		}
		k, err := r.killNode(ctx, limit)
		if err != nil {
			return err
		}
		all, used := k.all, k.used
		for _, n := range all.Notes {
			o.note("%s", n)
		}
		if k.ready > 0 {
			o.add("node ready again after", float64(k.ready.Milliseconds()), "ms")
		}
		o.add("students to come back", float64(all.Armed), "")
		o.spread("back and acknowledged", k.back)
		o.add("tries per student", float64(all.Tries)/float64(max(1, all.Armed)), "")
		o.add("tries in the busiest tenth of a second", float64(all.Peak), "")
		o.add("assertions exchanged", float64(all.Exchanges), "")
		o.add("server CPU", used.server.Seconds(), "s")
		if used.commands > 0 {
			o.add("Redis commands", float64(used.commands), "")
		}
		if all.Returned < all.Armed || all.Unacked > 0 {
			o.fail("%d of %d students did not come back within %s, %d signals are not acknowledged", all.Armed-all.Returned, all.Armed, limit, all.Unacked)
		}
		return nil
	})
}

// killed is what became of a node's death.
type killed struct {
	ready time.Duration // until a single node was ready again
	all   StormReply    // of all workers
	back  spread        // from the death until each student got something new acknowledged
	used  usage         // from the death on, by the other nodes
}

// killNode kills a node, starts it again where it is the only one, and waits until its students
// are back.
func (r *rig) killNode(ctx context.Context, limit time.Duration) (k killed, err error) {
	victim := len(r.vigil.nodes) - 1
	alone := len(r.vigil.nodes) == 1
	armed, err := ask[int](ctx, r.fleet, "Arm", same(ArmArgs{Node: victim, Return: alone}))
	if err != nil {
		return k, err
	}
	total := 0
	for _, n := range armed {
		total += n
	}
	r.tell("%s: killing node %d, which %d students are on", r.name, victim, total)
	if err := r.vigil.nodes[victim].kill(); err != nil {
		return k, err
	}
	died := time.Now()
	if alone {
		if err := r.vigil.startNode(ctx, victim); err != nil {
			return k, err
		}
		k.ready = time.Since(died)
	} else {
		r.vigil.nodes = r.vigil.nodes[:victim]
	}
	before, err := r.usage(ctx)
	if err != nil {
		return k, err
	}
	replies, err := ask[StormReply](ctx, r.fleet, "Storm", same(StormArgs{Died: died.UnixNano(), Limit: limit}))
	if err != nil {
		return k, err
	}
	after, err := r.usage(ctx)
	if err != nil {
		return k, err
	}
	k.used = after.since(before)
	for _, a := range replies {
		k.all.Armed += a.Armed
		k.all.Returned += a.Returned
		k.all.Tries += a.Tries
		k.all.Peak += a.Peak
		k.all.Unacked += a.Unacked
		k.all.Exchanges += a.Exchanges
		k.all.Notes = append(k.all.Notes, a.Notes...)
	}
	k.back = merged(snapshots(replies, func(a StormReply) *hdrhistogram.Snapshot { return a.Back })...)
	return k, nil
}

// checkin tells what launches cost.
func (r *rig) checkin(ctx context.Context) (*outcome, error) {
	if r.vigil == nil {
		return nil, errors.New("the baseline has no launches")
	}
	o := r.outcome(ctx, "check-in", "at once", strconv.Itoa(r.c.AtOnce))
	if err := r.sys.start(ctx); err != nil {
		return o, err
	}
	for _, phase := range []struct{ method, name string }{
		{"Launch", "launches"}, {"Agree", "check-ins"}, {"Exchange", "exchanges"},
	} {
		r.tell("%s: %s of %d students", r.name, phase.name, r.size.Students)
		before, err := r.usage(ctx)
		if err != nil {
			return o, errors.Join(err, r.sys.stop())
		}
		from := time.Now()
		replies, err := ask[CrowdReply](ctx, r.fleet, phase.method, same(CrowdArgs{AtOnce: r.c.AtOnce}))
		if err != nil {
			return o, errors.Join(err, r.sys.stop())
		}
		took := time.Since(from)
		after, err := r.usage(ctx)
		if err != nil {
			return o, errors.Join(err, r.sys.stop())
		}
		n := float64(r.size.Students)
		used := after.since(before)
		o.add(phase.name, n/took.Seconds(), "/s")
		o.add(phase.name+" per second of a core", n/max(used.server.Seconds(), 0.01), "")
		o.spread(phase.name+" took", merged(snapshots(replies, func(a CrowdReply) *hdrhistogram.Snapshot { return a.Took })...))
	}
	return o, r.sys.stop()
}

// dashboard tells how soon a proctor of a large exam sees it.
func (r *rig) dashboard(ctx context.Context, rounds int, rate float64) (*outcome, error) {
	if r.vigil == nil {
		return nil, errors.New("the baseline has no snapshots")
	}
	o := r.outcome(ctx, "dashboard", "rounds", strconv.Itoa(rounds), "rate", digits(rate)+"/s")
	return o, r.within(ctx, ConnectArgs{}, o, func() error {
		r.tell("%s: opening the dashboard %d times", r.name, rounds)
		replies, err := ask[DashboardReply](ctx, r.fleet, "Dashboard", same(DashboardArgs{Rounds: rounds, Rate: rate}))
		if err != nil {
			return err
		}
		a := replies[0]
		o.spread("snapshot whole", merged(a.Snapshot))
		o.spread("first delta", merged(a.Delta))
		o.add("rows", float64(a.Rows), "of "+strconv.Itoa(r.size.Students))
		o.add("bytes", float64(a.Bytes)/1024, "KiB")
		if a.Rows != r.size.Students {
			o.fail("the snapshot has %d rows, there are %d students", a.Rows, r.size.Students)
		}
		return nil
	})
}
