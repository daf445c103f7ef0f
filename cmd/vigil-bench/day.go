//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// lengths are those of a day's phases.
type lengths struct {
	Arrive time.Duration `help:"Everybody presses Start within this time (default: ${default})." default:"3m"`
	Steady time.Duration `help:"The steady phase: pages, signals, hands, lines (default: ${default})." default:"10m"`
	Outage time.Duration `help:"For half of this time a part of the students has no network, then they come back; 0 leaves it out (default: ${default})." default:"90s"`
	HandIn time.Duration `name:"hand-in" help:"Everybody hands in within this time (default: ${default})." default:"1m"`
	NoKill bool          `name:"no-kill" help:"Kill no server."`
	Hours  float64       `help:"Length of the exam that the figures per student-hour are of: the day as it was measured, with a longer steady phase (default: ${default})." default:"2"`
}

type dayCmd struct {
	common  `embed:""`
	size    `embed:""`
	lengths `embed:""`
	Rates   `embed:""`

	Seed    uint64  `help:"The same seed makes the same day (default: ${default})." default:"1"`
	Peers   bool    `help:"The published design, with one worker a node and with two, and plain Go have the same day afterwards."`
	JSON    string  `name:"json" help:"Write all figures into this file." placeholder:"FILE"`
	Profile string  `help:"Write a CPU profile of each server's steady phase, its first minute at most, into this folder. It costs the servers a few percent." placeholder:"DIR"`
	Find    bool    `help:"Look for the largest exam that the servers' processors hold: days of more and more students, beginning with --students, until p99 of opening a socket exceeds 250 ms, or of a command 1 s, or anything is lost. The proportion of --exams to --students stays."`
	Within  float64 `help:"--find ends when the answer is known this well (default: ${default})." default:"0.1"`
}

// Help says what happens on the day.
func (dayCmd) Help() string {
	return `The real protocol, with the rates of a real exam. Only the steady phase is shorter.

Arrival: students are launched from the LMS, read the notice, agree, and open the first page.

Steady: pages are turned, each with a stamp and a socket of its own; signals, hands, lines, messages of proctors, details; some connections break.

Outage: some students' network is away, and comes back.

Kill: a server is killed; a single one is started again.

Hand-in: everybody hands in.

Nothing may be lost. The load has processors of its own; a run in which it used more than 90 % of them is void, and ends with an error, as one does that lost something. Nothing else should run on the machine. With --store=dynamodb the units that DynamoDB Local accounts for are counted, and its speed is no figure.`
}

// errVoid is a run whose figures mean nothing.
var errVoid = errors.New("the run is void: give the load more processors (--load-cpus) or fewer students; see above")

// Run runs the day.
func (c dayCmd) Run(ctx context.Context, s *streams) error {
	if err := c.check(); err != nil {
		return err
	}
	file := &dayFile{Format: dayFormat, Began: time.Now().UTC(), Command: strings.Join(os.Args[1:], " ")}
	err := c.run(ctx, s, file)
	if len(file.Runs) == 0 {
		return err
	}
	path, saved := save(c.Out, "day", file)
	if saved == nil {
		s.tell("saved as %s", path)
	}
	if c.JSON != "" {
		saved = errors.Join(saved, file.write(c.JSON))
	}
	return errors.Join(err, saved)
}

func (c dayCmd) check() error {
	switch {
	case c.Arrive < time.Second || c.Steady < time.Second || c.HandIn < time.Second:
		return errors.New("--arrive, --steady and --hand-in must be at least 1s")
	case c.PageLeast <= 0 || c.PageMost < c.PageLeast:
		return errors.New("--page-least must be more than 0, and --page-most not less")
	case c.Hours <= 0:
		return errors.New("--hours must be more than 0")
	case c.Find && c.Peers:
		return errors.New("--find looks at Vigil alone: leave out --peers")
	case c.Within <= 0 || c.Within >= 1:
		return errors.New("--within must lie between 0 and 1")
	}
	for _, share := range []float64{c.Hands, c.Chats, c.Drops, c.Away} {
		if share < 0 || share > 1 {
			return errors.New("--hands, --chats, --drops and --away are shares, from 0 to 1")
		}
	}
	if c.Profile != "" {
		if err := os.MkdirAll(c.Profile, 0o750); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	return nil
}

func (c dayCmd) run(ctx context.Context, s *streams, file *dayFile) error {
	if c.Find {
		return c.find(ctx, s, file)
	}
	r, err := c.one(ctx, s, file, systemVigil, c.common, c.size)
	if err != nil {
		return err
	}
	results := []error{r.verdict()}
	if c.Peers {
		for _, peer := range c.peers(ctx, s) {
			r, err := c.one(ctx, s, file, peer.system, peer.common, c.size)
			if err != nil {
				results = append(results, fmt.Errorf("%s: %w", peer.system, err))
				continue
			}
			results = append(results, r.verdict())
		}
	}
	return errors.Join(results...)
}

// verdict is the error that a run ends with.
func (r *dayRun) verdict() error {
	switch {
	case r.Void != "":
		return errVoid
	case len(r.Lost) > 0:
		return errFailed
	}
	return nil
}

// peer is another system that has the same day.
type peer struct {
	system string
	common common
}

// peers are those that can run here. The published design has one worker a node, and two.
func (c dayCmd) peers(ctx context.Context, s *streams) (list []peer) {
	if err := checkNode(ctx); err != nil {
		s.tell("%v: it is left out", err)
	} else {
		two := c.common
		two.Nodes *= 2
		list = append(list, peer{systemBaseline, c.common}, peer{systemBaseline, two})
	}
	return append(list, peer{systemFloor, c.common})
}

// one has a day of one system, prints it and keeps it.
func (c dayCmd) one(ctx context.Context, s *streams, file *dayFile, system string, settings common, sz size) (run *dayRun, err error) {
	settings.metered, settings.limit = true, time.Duration(c.Hours*float64(time.Hour))+time.Hour
	r, err := newRig(ctx, settings, sz, system, s.tell)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	o := r.outcome(ctx, "day")
	run, err = r.day(ctx, c)
	if err != nil {
		return nil, err
	}
	run.Notes = append(o.Notes, run.Notes...)
	if file.Machine == nil { // Vigil's is the first, and knows its version
		file.Machine = o.Machine
	}
	file.Runs = append(file.Runs, run)
	return run, run.print(s.out)
}

// day is the whole day of a rig.
func (r *rig) day(ctx context.Context, c dayCmd) (*dayRun, error) {
	run := &dayRun{
		System: r.name, Students: r.size.Students, Exams: r.size.Exams, Proctors: r.size.Proctors, Nodes: r.c.Nodes, Workers: len(r.fleet.clients),
		Seed: c.Seed, Rates: c.Rates, Hours: c.Hours,
	}
	if r.vigil != nil {
		run.Store = r.c.Store
	}
	d := &dayRig{rig: r, cmd: c, run: run}
	if err := r.sys.start(ctx); err != nil {
		return run, errors.Join(err, r.sys.stop())
	}
	if err := d.phases(ctx); err != nil {
		return run, errors.Join(err, r.down(context.WithoutCancel(ctx)))
	}
	records, err := r.records(ctx)
	if err = errors.Join(err, r.down(context.WithoutCancel(ctx))); err != nil {
		return run, err
	}
	stored := &outcome{}
	if err := r.verify(ctx, stored, records); err != nil {
		return run, err
	}
	for _, f := range stored.Figures {
		run.Notes = append(run.Notes, fmt.Sprintf("%s: %s %s", f.Name, digits(f.Value), f.Unit))
	}
	run.Notes = append(run.Notes, append(stored.Failures, stored.Notes...)...)
	run.phase(PhaseHandIn).Lost.NotStored = int64(len(stored.Failures))
	run.finish()
	return run, nil
}

// dayRig is a rig on an exam day.
type dayRig struct {
	*rig
	cmd dayCmd
	run *dayRun
}

// phases lets the day happen, until everybody has handed in.
func (d *dayRig) phases(ctx context.Context) error {
	if _, err := ask[None](ctx, d.fleet, "DayBegin", same(None{})); err != nil {
		return err
	}
	crowd := CrowdArgs{AtOnce: d.c.AtOnce}
	if d.vigil != nil {
		d.tell("%s: launching %d proctors", d.name, d.size.Exams*d.size.Proctors)
		if _, err := ask[CrowdReply](ctx, d.fleet, "Staff", same(crowd)); err != nil {
			return err
		}
	}
	if _, err := ask[CrowdReply](ctx, d.fleet, "Connect", same(ConnectArgs{AtOnce: d.c.AtOnce, ComeBack: true, Staff: true})); err != nil {
		return err
	}
	for _, p := range []struct {
		name Phase
		long time.Duration
	}{{PhaseArrive, d.cmd.Arrive}, {PhaseSteady, d.cmd.Steady}, {PhaseOutage, d.cmd.Outage}, {PhaseKill, 0}, {PhaseHandIn, d.cmd.HandIn}} {
		var err error
		switch {
		case p.name == PhaseKill:
			if d.vigil != nil && !d.cmd.NoKill { // the peers' clients would lose what they gave: it is stored nowhere
				err = d.kill(ctx)
			}
		case p.long > 0:
			err = d.phase(ctx, p.name, p.long)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if p.name == PhaseSteady {
			if d.run.Memory, err = pssOf(d.sys.servers()...); err != nil {
				return err
			}
		}
	}
	return nil
}

// phase lets one happen, and keeps what it cost and what became of it.
func (d *dayRig) phase(ctx context.Context, name Phase, long time.Duration) error {
	d.tell("%s: %s, %s", d.name, name, long)
	start := time.Now().Add(500 * time.Millisecond)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		replies []DayReply
		err     error
	}
	answered := make(chan answer, 1)
	go func() {
		replies, err := ask[DayReply](ctx, d.fleet, "Day", same(DayArgs{
			Phase: name, Start: start.UnixNano(), For: long, Seed: d.cmd.Seed, Rates: d.cmd.Rates, Settle: d.patience,
		}))
		answered <- answer{replies, err}
	}()
	profiled := make(chan error, 1)
	if d.vigil != nil && name == PhaseSteady && d.cmd.Profile != "" {
		go func() { profiled <- d.profile(ctx, min(long, time.Minute)) }()
	} else {
		profiled <- nil
	}
	before, err := d.traffic(ctx)
	if err != nil {
		cancel()
		return errors.Join(err, (<-answered).err, <-profiled)
	}
	used, took, err := d.during(ctx, start, start.Add(long))
	if err != nil {
		cancel()
		return errors.Join(err, (<-answered).err, <-profiled)
	}
	got := <-answered
	if err := errors.Join(got.err, <-profiled); err != nil {
		return err
	}
	after, err := d.traffic(ctx)
	if err != nil {
		return err
	}
	p := d.add(name, used, took, after.since(before))
	lost := DayLost{}
	counts := &p.Counts
	for _, a := range got.replies {
		lost.add(a.Lost)
		counts.add(a.Counts)
		d.run.Notes = append(d.run.Notes, append(a.Notes, a.Verdict.Examples...)...)
		for why, n := range maps.All(a.Ends) {
			d.run.Notes = append(d.run.Notes, fmt.Sprintf("%s: %d sockets were %s", name, n, why))
		}
		for h := range a.Latency {
			p.Latency[h] = spread{}
		}
	}
	for h := range p.Latency {
		p.Latency[h] = merged(snapshots(got.replies, func(a DayReply) *hdrhistogram.Snapshot { return a.Latency[h] })...)
	}
	maps.DeleteFunc(p.Latency, func(_ string, s spread) bool { return s.Count == 0 })
	p.Lost = lost
	return nil
}

// add begins the account of a phase.
func (d *dayRig) add(name Phase, used usage, took time.Duration, carried Traffic) *dayPhase {
	p := &dayPhase{Name: name, Seconds: took.Seconds(), LoadCPU: used.load.Seconds(), Latency: map[string]spread{}}
	p.Used = cost{
		ServerCPU: used.server.Seconds(), RedisCPU: used.redis.Seconds(), RedisCommands: float64(used.commands), StoreReads: used.reads, StoreWrites: used.writes,
		DiskBytes: used.disk, MessagesUp: float64(carried.Up), MessagesDown: float64(carried.Down), BytesUp: float64(carried.UpBytes), BytesDown: float64(carried.DownBytes),
	}
	cores := coresOf(d.loadCPUs)
	if cores == 0 {
		cores = runtime.NumCPU()
	}
	share, why := overload(used.load, took, cores)
	p.Share, d.run.LoadShare = share, max(d.run.LoadShare, share)
	if why != "" && d.run.Void == "" {
		d.run.Void = string(name) + ": " + why
	}
	d.run.Phases = append(d.run.Phases, p)
	return p
}

// returnTime is how long students may take to be back from a server that was killed.
const returnTime = 60 * time.Second

// kill kills a server, and waits until its students are back.
func (d *dayRig) kill(ctx context.Context) error {
	before, err := d.traffic(ctx)
	if err != nil {
		return err
	}
	from := time.Now()
	k, err := d.killNode(ctx, returnTime)
	if err != nil {
		return err
	}
	took := time.Since(from)
	after, err := d.traffic(ctx)
	if err != nil {
		return err
	}
	p := d.add(PhaseKill, k.used, took, after.since(before))
	p.Latency[latencyReturn] = k.back
	p.Lost.Away, p.Lost.Unacked = int64(k.all.Armed-k.all.Returned), int64(k.all.Unacked)
	p.Counts.Exchanges = k.all.Exchanges
	d.run.Notes = append(d.run.Notes, k.all.Notes...)
	return nil
}

// Traffic is what sockets carried, as clients see it.
type Traffic struct{ Up, Down, UpBytes, DownBytes int64 }

func (t Traffic) since(before Traffic) Traffic {
	return Traffic{t.Up - before.Up, t.Down - before.Down, t.UpBytes - before.UpBytes, t.DownBytes - before.DownBytes}
}

// Carried tells what the worker's sockets carried so far.
func (w *Worker) Carried(_ None, r *Traffic) error { //nolint:unparam // net/rpc wants an error
	t := &w.traffic
	*r = Traffic{t.up.Load(), t.down.Load(), t.upBytes.Load(), t.downBytes.Load()}
	return nil
}

func (d *dayRig) traffic(ctx context.Context) (t Traffic, err error) {
	replies, err := ask[Traffic](ctx, d.fleet, "Carried", same(None{}))
	for _, a := range replies {
		t.Up, t.Down, t.UpBytes, t.DownBytes = t.Up+a.Up, t.Down+a.Down, t.UpBytes+a.UpBytes, t.DownBytes+a.DownBytes
	}
	return t, err
}

func (c *DayCounts) add(o DayCounts) {
	c.Signals += o.Signals
	c.Turns += o.Turns
	c.Pages += o.Pages
	c.Vouched += o.Vouched
	c.Receipts += o.Receipts
	c.Alives += o.Alives
	c.Orders += o.Orders
	c.Postponed += o.Postponed
	c.Resent += o.Resent
	c.Exchanges += o.Exchanges
}

// profile writes a CPU profile of each server.
func (d *dayRig) profile(ctx context.Context, long time.Duration) error {
	results := make(chan error, len(d.vigil.admin))
	for i, address := range d.vigil.admin {
		go func() {
			results <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, int(long.Seconds())), filepath.Join(d.cmd.Profile, fmt.Sprintf("vigil-%d.pprof", i)))
		}()
	}
	var err error
	for range d.vigil.admin {
		err = errors.Join(err, <-results)
	}
	return err
}

// fetch gets what a server answers into a file.
func fetch(ctx context.Context, address, path string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, res.Status)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, res.Body)
	return err
}

// find looks for the largest exam.
func (c dayCmd) find(ctx context.Context, s *streams, file *dayFile) error {
	perExam := float64(c.Students) / float64(c.Exams)
	out := &largest{}
	var tried error
	servers, _, err := processors(c.ServerCPUs, c.LoadCPUs, runtime.NumCPU())
	if err != nil {
		return err
	}
	out.Cores = float64(coresOf(servers))
	search := climb{rate: float64(c.Students), within: c.Within}
	for !search.done() {
		n := int(search.rate)
		s.tell("a day of %d students", n)
		sz := size{n, max(1, int(float64(n)/perExam)), c.Proctors}
		run, err := c.one(ctx, s, file, systemVigil, c.common, sz)
		if err != nil {
			return err
		}
		why := run.over()
		if run.Void != "" {
			out.AtLeast, out.Why = true, run.Void
			if tried = errVoid; search.good > 0 {
				tried = nil // what was found before is a figure
			}
			break
		}
		if why != "" {
			s.tell("  %d students are too many: %s", n, why)
			out.Why = fmt.Sprintf("%d students: %s", n, why)
		}
		search.took(why == "")
	}
	out.Students = int(search.good)
	file.Largest = out
	least := ""
	if out.AtLeast {
		least = "at least "
	}
	_, err = fmt.Fprintf(s.out, "\nlargest exam: %s%d students on %s of the servers. Not more: %s\n", least, out.Students, cores(out.Cores), out.Why)
	return errors.Join(tried, err)
}

func cores(n float64) string {
	switch n {
	case 0:
		return "all processors"
	case 1:
		return "one processor"
	}
	return digits(n) + " processors"
}

// climb looks for the highest rate that holds: it grows by a half until one does not, and then
// halves the distance.
type climb struct {
	rate, within float64
	good, bad    float64 // the highest that held, the lowest that did not
}

// took says how the last rate went, and chooses the next one.
func (c *climb) took(held bool) {
	if held {
		c.good = c.rate
	} else {
		c.bad = c.rate
	}
	switch {
	case c.bad == 0:
		c.rate = c.good * 1.5
	case c.good == 0:
		c.rate = c.bad / 2
	default:
		c.rate = (c.good + c.bad) / 2
	}
}

// done tells that the answer is known.
func (c *climb) done() bool {
	return c.bad > 0 && (c.good == 0 && c.bad < 2 || c.bad-c.good <= c.within*c.bad)
}
