//go:build linux

// Command vigil-bench measures Vigil, and the published design beside it, as real
// processes on one machine. docs/performance.md says what its figures mean. It is a
// program of its own so that vigil stays lean.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Exam      examCmd      `cmd:"" help:"Students work, proctors watch: latency, cost, and that nothing is lost."`
	Idle      idleCmd      `cmd:"" help:"Everybody is connected and quiet: memory and CPU."`
	Max       maxCmd       `cmd:"" help:"Look for the highest rate with p99 under a limit and nothing lost."`
	Cut       cutCmd       `cmd:"" help:"Cut connections off: how soon proctors are told."`
	Storm     stormCmd     `cmd:"" help:"Kill a node: how its students come back."`
	CheckIn   checkInCmd   `cmd:"" help:"Launches per second through the complete check list."`
	Dashboard dashboardCmd `cmd:"" help:"Open a large exam's dashboard: the snapshot and the first delta."`
	Day       dayCmd       `cmd:"" help:"An exam day with the rates of a real one: what a student-hour costs, how fast it is, and the largest exam."`
	Compare   compareCmd   `cmd:"" help:"Vigil and the published design in turns, with ratios."`
	Worker    workerCmd    `cmd:"" hidden:"" help:"A process of the load; the others start it."`
	Floor     floorCmd     `cmd:"" hidden:"" help:"A node of plain Go, which day --peers measures."`
}

// common are the settings of every scenario.
type common struct {
	Vigil      string        `help:"The vigil binary to measure. Default: the one beside this program, else the one on the PATH." placeholder:"PATH"`
	Nodes      int           `help:"Nodes of Vigil, or workers of the baseline's cluster (default: ${default})." default:"1"`
	Redis      bool          `help:"One node with Redis, too. More nodes always have it."`
	Store      string        `help:"sqlite, or dynamodb: AWS's DynamoDB Local, whose own speed says nothing of AWS (default: ${default})." enum:"sqlite,dynamodb" default:"sqlite"`
	ServeFlags []string      `name:"serve-flag" sep:"none" help:"Further flag of vigil serve, such as --serve-flag=--ping-every=20s." placeholder:"FLAG"`
	Heartbeat  time.Duration `help:"The baseline's heartbeat: a silent peer is told after one to two of them (default: ${default})." default:"12s"`
	ServerCPUs string        `name:"server-cpus" help:"Processors for servers and Redis, such as 0 or 0-3; none for no pinning. Default: the first half." placeholder:"LIST"`
	LoadCPUs   string        `name:"load-cpus" help:"Processors for the load. Default: the other half." placeholder:"LIST"`
	Workers    int           `help:"Processes of the load. Default: one for every 15,000 sockets." placeholder:"N"`
	AtOnce     int           `help:"Launches and connects under way at once, in each of them (default: ${default})." default:"16"`
	Dir        string        `help:"Folder for the servers' state and logs. Default: one that is removed at the end." placeholder:"PATH" type:"existingdir"`
	Keep       bool          `help:"Leave that folder."`
	Out        string        `help:"Folder for the results as JSON (default: ${default})." default:"bench-results" placeholder:"PATH"`

	metered bool          // DynamoDB Local's units are counted
	limit   time.Duration // of each attempt; 0: none
}

// vigilBinary finds the program to measure.
func (c common) vigilBinary() (string, error) {
	if c.Vigil != "" {
		if _, err := os.Stat(c.Vigil); err != nil {
			return "", fmt.Errorf("--vigil: %w", err)
		}
		return filepath.Abs(c.Vigil)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "vigil")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("vigil")
	if err != nil {
		return "", errors.New("there is no vigil to measure: build it (make bench-build makes both), or name it with --vigil")
	}
	return path, nil
}

// one are the settings of the scenarios of one system.
type one struct {
	common `embed:""`
	System string `help:"vigil or baseline (default: ${default})." enum:"vigil,baseline" default:"vigil"`
}

// streams are where results and progress go.
type streams struct{ out, err io.Writer }

// tell says what is going on.
func (s *streams) tell(format string, args ...any) {
	fmt.Fprintf(s.err, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// errFailed is a measurement that found something lost or missing: the table says what.
var errFailed = errors.New("the checks failed; see above")

// measure seats everybody, runs a scenario, prints and saves its outcome.
func (c one) measure(ctx context.Context, s *streams, sz size, seat bool, do func(*rig) (*outcome, error)) (err error) {
	r, err := newRig(ctx, c.common, sz, c.System, s.tell)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if seat {
		if err := r.seat(ctx); err != nil {
			return err
		}
	}
	o, err := do(r)
	if err != nil {
		return err
	}
	if err := o.print(s.out); err != nil {
		return err
	}
	path, err := save(c.Out, o.Scenario+"-"+o.System, o)
	if err != nil {
		return err
	}
	s.tell("saved as %s", path)
	if len(o.Failures) > 0 {
		return errFailed
	}
	return nil
}

type examCmd struct {
	one    `embed:""`
	size   `embed:""`
	Every  time.Duration `help:"Time between two signals of a student (default: ${default})." default:"5s"`
	For    time.Duration `help:"How long is measured (default: ${default})." default:"60s"`
	Warmup time.Duration `help:"How long before that signals flow already (default: ${default})." default:"10s"`
}

// Run runs the scenario.
func (c examCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, c.size, true, func(r *rig) (*outcome, error) {
		return r.exam(ctx, float64(c.Students)/c.Every.Seconds(), c.Warmup, c.For)
	})
}

type idleCmd struct {
	one    `embed:""`
	size   `embed:""`
	For    time.Duration `help:"How long is measured (default: ${default})." default:"60s"`
	Settle time.Duration `help:"How long after the last connect that begins (default: ${default})." default:"60s"`
}

// Run runs the scenario.
func (c idleCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, c.size, true, func(r *rig) (*outcome, error) { return r.idle(ctx, c.Settle, c.For) })
}

type maxCmd struct {
	one        `embed:""`
	size       `embed:""`
	searchArgs `embed:""`
}

// Run runs the scenario.
func (c maxCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, c.size, true, func(r *rig) (*outcome, error) { return r.most(ctx, c.searchArgs) })
}

// cutArgs is who is cut off.
type cutArgs struct {
	Count int           `help:"Students who are cut off (default: ${default})." default:"100"`
	Over  time.Duration `help:"The time over which they are (default: ${default})." default:"10s"`
	Limit time.Duration `name:"told-within" help:"Until then everybody must have been told (default: ${default})." default:"90s"`
}

type cutCmd struct {
	one     `embed:""`
	size    `embed:""`
	cutArgs `embed:""`
	Way     []Way `help:"How: rst, fin, silent (default: ${default})." default:"rst,fin,silent" enum:"rst,fin,silent"`
}

// Run runs the scenario once for each way.
func (c cutCmd) Run(ctx context.Context, s *streams) error {
	var err error
	for _, way := range c.Way {
		err = errors.Join(err, c.measure(ctx, s, c.size, true, func(r *rig) (*outcome, error) { return r.cut(ctx, way, c.Count, c.Over, c.Limit) }))
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

type stormCmd struct {
	one   `embed:""`
	size  `embed:""`
	Rate  float64       `help:"Signals a second before the node dies (default: ${default})." default:"1000"`
	Limit time.Duration `help:"Until then everybody must be back (default: ${default})." default:"60s"`
}

// Run runs the scenario.
func (c stormCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, c.size, true, func(r *rig) (*outcome, error) { return r.storm(ctx, c.Rate, c.Limit) })
}

type checkInCmd struct {
	one  `embed:""`
	size `embed:""`
}

// Run runs the scenario.
func (c checkInCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, c.size, false, func(r *rig) (*outcome, error) { return r.checkin(ctx) })
}

type dashboardCmd struct {
	one      `embed:""`
	Students int     `help:"Students of the exam (default: ${default})." default:"2000"`
	Rounds   int     `help:"How often the dashboard is opened (default: ${default})." default:"20"`
	Rate     float64 `help:"Signals a second meanwhile (default: ${default})." default:"50"`
}

// Run runs the scenario.
func (c dashboardCmd) Run(ctx context.Context, s *streams) error {
	return c.measure(ctx, s, size{Students: c.Students, Exams: 1, Proctors: 1}, true, func(r *rig) (*outcome, error) {
		return r.dashboard(ctx, c.Rounds, c.Rate)
	})
}

type workerCmd struct{}

// Run serves the parent until it goes.
func (workerCmd) Run() error { return serveWorker(os.Stdin, os.Stdout) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process: 0 is success, 1 a failure at work or of a
// check, 2 a command line that makes no sense.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("vigil-bench"),
		kong.Description("Measures Vigil, and the published design beside it, as real processes on this machine. What the figures mean: docs/performance.md."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Bind(&streams{stdout, stderr}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil { // a mistake in our own struct tags
		fmt.Fprintln(stderr, "vigil-bench:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(stderr, "vigil-bench:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(stderr, "vigil-bench:", err)
		return 1
	}
	return 0
}
