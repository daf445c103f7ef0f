//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The systems.
const (
	systemVigil    = "vigil"
	systemBaseline = "baseline"
	systemFloor    = "plain Go"
)

// size is how many people there are.
type size struct {
	Students int `help:"Students (default: ${default})." default:"5000"`
	Exams    int `help:"Exams that they sit, evenly spread (default: ${default})." default:"50"`
	Proctors int `help:"Proctors of each exam (default: ${default})." default:"2"`
}

func (s size) sockets() int { return s.Students + s.Exams*s.Proctors }

func (s size) check() error {
	switch {
	case s.Students < 1 || s.Exams < 1 || s.Proctors < 0:
		return errors.New("--students and --exams must be at least 1, --proctors at least 0")
	case s.Exams > s.Students:
		return errors.New("there are more exams than students: give fewer --exams")
	}
	return nil
}

// rig is a system under test and the load for it.
type rig struct {
	c        common
	size     size
	name     string // of the system
	sys      system
	vigil    *vigilSystem // nil for the baseline
	fleet    *fleet
	dir      string
	made     bool // dir is ours to remove
	loadCPUs string
	tell     func(string, ...any)
	empty    int64 // PSS of the servers before anybody was connected

	patience time.Duration // how long nothing may come before the rest counts as lost
}

// workerSockets is how many sockets a worker holds; there may be a limit of 20,000 files.
const workerSockets = 15_000

// spread says over how many workers the load is spread, or that there are too few files
// for so many sockets.
func (c common) spread(sz size) (workers int, err error) {
	limit, err := openFiles()
	if err != nil {
		return 0, err
	}
	if err := checkFiles(limit, "A server", each(sz.sockets(), c.Nodes), "give more --nodes or fewer --students"); err != nil {
		return 0, err
	}
	if workers = c.Workers; workers == 0 {
		workers = each(sz.sockets(), workerSockets)
	}
	workers = min(workers, sz.Exams)
	return workers, checkFiles(limit, "A process of the load", each(sz.sockets(), workers), "give more --workers (and at least as many --exams)")
}

// each is how many of n fall to each of some, rounded up.
func each(n, of int) int { return (n + of - 1) / of }

// newRig starts the workers and prepares the system; it does not run yet.
func newRig(ctx context.Context, c common, sz size, name string, tell func(string, ...any)) (_ *rig, err error) {
	if err := sz.check(); err != nil {
		return nil, err
	}
	workers, err := c.spread(sz)
	if err != nil {
		return nil, err
	}
	servers, load, err := processors(c.ServerCPUs, c.LoadCPUs, runtime.NumCPU())
	if err != nil {
		return nil, err
	}
	r := &rig{c: c, size: sz, name: name, dir: c.Dir, tell: tell, patience: settleTime, loadCPUs: load}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "vigil-bench-"); err != nil {
			return nil, err
		}
		r.made = true
	} else if r.dir, err = os.MkdirTemp(r.dir, name+"-"); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if name == systemVigil {
		if r.vigil, err = newVigil(ctx, c, r.dir, servers, tell); err != nil {
			return nil, err
		}
		r.sys = r.vigil
	} else if name == systemFloor {
		if r.sys, err = newFloor(ctx, c, r.dir, servers); err != nil {
			return nil, err
		}
	} else if r.sys, err = newBaseline(ctx, c, r.dir, servers, tell); err != nil {
		return nil, err
	}
	if r.fleet, err = newFleet(ctx, workers, load, tell); err != nil {
		return nil, err
	}
	return r, r.found(ctx)
}

// found spreads exams and people over the workers and makes their LMSs known.
func (r *rig) found(ctx context.Context) error {
	args := make([]FoundArgs, len(r.fleet.clients))
	for i := range args {
		args[i] = FoundArgs{Index: i, Vigil: r.vigil != nil, Nodes: r.sys.addresses(), Proctors: r.size.Proctors, Limit: r.c.limit, Tool: "http://" + r.sys.addresses()[0]}
		if r.vigil != nil {
			args[i].Tool = r.vigil.tool
		}
	}
	for e := range r.size.Exams {
		a := &args[e%len(args)]
		a.Exams = append(a.Exams, fmt.Sprintf("quiz-%d", e+1))
		students := r.size.Students / r.size.Exams
		if e < r.size.Students%r.size.Exams {
			students++
		}
		a.Students = append(a.Students, students)
	}
	founded, err := ask[Founded](ctx, r.fleet, "Found", func(i int) any { return args[i] })
	if err != nil || r.vigil == nil {
		return err
	}
	for _, f := range founded {
		if err := r.vigil.register(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// seat launches everybody, on servers that are stopped afterwards: what is measured later
// starts afresh.
func (r *rig) seat(ctx context.Context) (err error) {
	if r.vigil == nil {
		return nil
	}
	r.tell("launching %d students and %d proctors through the check-in", r.size.Students, r.size.Exams*r.size.Proctors)
	if err := r.sys.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.sys.stop()) }()
	from := time.Now()
	if _, err = ask[CrowdReply](ctx, r.fleet, "Seat", same(CrowdArgs{AtOnce: r.c.AtOnce})); err == nil {
		r.tell("  everybody is in after %s", time.Since(from).Round(time.Second))
	}
	return err
}

// up starts the system and connects everybody.
func (r *rig) up(ctx context.Context, a ConnectArgs) error {
	r.tell("%s: starting", r.name)
	if err := r.sys.start(ctx); err != nil {
		return err
	}
	var err error
	if r.empty, err = pssOf(r.sys.servers()...); err != nil {
		return err
	}
	a.AtOnce = r.c.AtOnce
	r.tell("%s: connecting %d sockets", r.name, r.size.sockets())
	_, err = ask[CrowdReply](ctx, r.fleet, "Connect", same(a))
	return err
}

// down ends sockets and system.
func (r *rig) down(ctx context.Context) error {
	from := time.Now()
	_, err := ask[None](ctx, r.fleet, "Leave", same(None{}))
	left := time.Since(from)
	err = errors.Join(err, r.sys.stop())
	if took := time.Since(from); took > 5*time.Second {
		r.tell("%s: its end took %s, of which the sockets took %s", r.name, took.Round(time.Second), left.Round(time.Second))
	}
	return err
}

// close ends everything and removes what it left.
func (r *rig) close() error {
	err := r.fleet.close()
	if r.vigil != nil {
		err = errors.Join(err, r.vigil.close())
	} else if r.sys != nil {
		err = errors.Join(err, r.sys.stop())
	}
	if r.made && !r.c.Keep {
		err = errors.Join(err, os.RemoveAll(r.dir))
	} else if r.dir != "" {
		r.tell("the servers' state and logs are in %s", r.dir)
	}
	return err
}

// usage is what has been used up to a moment.
type usage struct {
	server, redis, load time.Duration
	commands            int64    // of Redis
	reads, writes       *float64 // units of the store; nil where there is none that accounts for them
	disk                *float64 // bytes that the servers wrote; nil where the system does not tell
}

func (r *rig) usage(ctx context.Context) (u usage, err error) {
	if u.server, err = cpuOf(r.sys.servers()...); err != nil {
		return u, err
	}
	if u.redis, err = cpuOf(r.sys.broker()); err != nil {
		return u, err
	}
	if u.load, err = cpuOf(r.fleet.procs...); err != nil {
		return u, err
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return u, err
	}
	u.load += time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if c := r.sys.redis(); c != nil {
		if u.commands, err = c.commands(ctx); err != nil {
			return u, err
		}
	}
	if r.vigil != nil && r.vigil.units != nil {
		reads, writes := r.vigil.units.units()
		u.reads, u.writes = &reads, &writes
	}
	if n, err := writtenBy(r.sys.servers()...); err == nil { // not every system lets us know
		disk := float64(n)
		u.disk = &disk
	}
	return u, nil
}

// since is what was used in between.
func (u usage) since(before usage) usage {
	less := func(a, b *float64) *float64 {
		if a == nil || b == nil {
			return nil
		}
		d := *a - *b
		return &d
	}
	return usage{
		u.server - before.server, u.redis - before.redis, u.load - before.load, u.commands - before.commands,
		less(u.reads, before.reads), less(u.writes, before.writes), less(u.disk, before.disk),
	}
}

// during measures what is used from one moment to another.
func (r *rig) during(ctx context.Context, from, to time.Time) (usage, time.Duration, error) {
	if !sleep(ctx, time.Until(from)) {
		return usage{}, 0, ctx.Err()
	}
	began := time.Now()
	before, err := r.usage(ctx)
	if err != nil {
		return usage{}, 0, err
	}
	if !sleep(ctx, time.Until(to)) {
		return usage{}, 0, ctx.Err()
	}
	after, err := r.usage(ctx)
	return after.since(before), time.Since(began), err
}

// outcome begins one.
func (r *rig) outcome(ctx context.Context, scenario string, more ...string) *outcome {
	o := &outcome{
		Scenario: scenario, System: r.name, Began: time.Now().UTC(),
		Settings: map[string]string{
			"students": strconv.Itoa(r.size.Students), "exams": strconv.Itoa(r.size.Exams), "proctors": strconv.Itoa(r.size.Proctors),
			"nodes": strconv.Itoa(r.c.Nodes), "workers": strconv.Itoa(len(r.fleet.clients)),
		},
	}
	bin := ""
	if r.vigil != nil {
		bin = r.vigil.bin
		o.Settings["store"] = r.c.Store
	} else if r.name == systemFloor {
		o.note("plain Go checks no token, stores nothing, sends no pings and knows no commands: it is the floor of a simple design")
	} else {
		o.Settings["heartbeat"] = r.c.Heartbeat.String()
		o.note("the baseline checks no token and stores nothing, which favours it")
	}
	o.Machine = machineNow(ctx, bin)
	for i := 0; i+1 < len(more); i += 2 {
		o.Settings[more[i]] = more[i+1]
	}
	return o
}

// snapshots picks one histogram of each reply.
func snapshots[R any](replies []R, of func(R) *hdrhistogram.Snapshot) []*hdrhistogram.Snapshot {
	out := make([]*hdrhistogram.Snapshot, 0, len(replies))
	for _, r := range replies {
		out = append(out, of(r))
	}
	return out
}
