//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// What is timed on an exam day.
const (
	latencyOpening = "opening"   // from the dial of a student's socket until its welcome
	latencyTurn    = "page turn" // from that dial until a dashboard shows the page
	latencySignal  = "signal"    // from its write until a proctor reads it
	latencyStored  = "stored"    // from the same write until its acknowledgement
	latencyCommand = "command"   // from the proctor's write until the student reads it
	latencySeen    = "confirmed" // until the proctor reads that the student saw it
	latencyChat    = "line"      // a line, either way
	latencyDetails = "details"   // the request for an attempt's details
	latencyLaunch  = "launch"    // from "Attempt quiz" to the check-in page
	latencyCheckIn = "check-in"  // from its button to the attempt
	latencyReturn  = "return"    // from the end of an outage until the student's welcome
	latencyHandIn  = "hand-in"   // from the end of the attempt until a dashboard shows it
	latencyLate    = "load late" // the load itself, behind its plan
)

// latencies is their order in tables.
var latencies = []string{
	latencyLaunch, latencyCheckIn, latencyOpening, latencyTurn, latencySignal, latencyStored, latencyCommand, latencySeen, latencyChat, latencyDetails,
	latencyReturn, latencyHandIn, latencyLate,
}

// dayFormat names the form of the JSON, for programs that read it: what is added changes nothing.
const dayFormat = "vigil-bench day 1"

// dayFile is what --json writes.
type dayFile struct {
	Format  string            `json:"format"`
	Began   time.Time         `json:"began"`
	Machine map[string]string `json:"machine"`
	Command string            `json:"command"`
	Runs    []*dayRun         `json:"runs"`
	Largest *largest          `json:"largest,omitempty"`
}

// largest is what --find found.
type largest struct {
	Students int     `json:"students"`               // 0: even the first exam was too large
	Cores    float64 `json:"server_cores,omitempty"` // that the servers had; 0: not bound to any
	Why      string  `json:"why_not_more"`
	AtLeast  bool    `json:"at_least,omitempty"` // the load ended before the servers did
}

// dayRun is one exam day of one system.
type dayRun struct {
	System   string  `json:"system"`
	Store    string  `json:"store,omitempty"`
	Students int     `json:"students"`
	Exams    int     `json:"exams"`
	Proctors int     `json:"proctors_of_an_exam"`
	Nodes    int     `json:"nodes"`
	Workers  int     `json:"load_processes"`
	Seed     uint64  `json:"seed"`
	Rates    Rates   `json:"rates"`
	Hours    float64 `json:"hours"` // of the exam that per_student_hour is of

	Phases         []*dayPhase      `json:"phases"`
	PerStudentHour cost             `json:"per_student_hour"`
	Memory         int64            `json:"memory_bytes"` // PSS of the servers at the end of the steady phase
	LoadShare      float64          `json:"load_share"`   // of the load's processors, in the phase where it was highest
	Lost           map[string]int64 `json:"lost"`         // empty: nothing was
	Void           string           `json:"void,omitempty"`
	Notes          []string         `json:"notes,omitempty"`
}

// cost is what was used. What was not measured is missing.
type cost struct {
	ServerCPU     float64  `json:"server_cpu_s"`
	RedisCPU      float64  `json:"redis_cpu_s"`
	RedisCommands float64  `json:"redis_commands"`
	StoreReads    *float64 `json:"store_read_units,omitempty"` // DynamoDB's
	StoreWrites   *float64 `json:"store_write_units,omitempty"`
	DiskBytes     *float64 `json:"disk_write_bytes,omitempty"` // of the servers, by /proc/<pid>/io
	MessagesUp    float64  `json:"messages_up"`                // WebSocket messages, of students and proctors
	MessagesDown  float64  `json:"messages_down"`
	BytesUp       float64  `json:"bytes_up"` // their payload
	BytesDown     float64  `json:"bytes_down"`
}

// each calls f for every figure of both; it is there only where both have it.
func (c cost) combine(o cost, f func(a, b float64) float64) cost {
	maybe := func(a, b *float64) *float64 {
		if a == nil || b == nil {
			return nil
		}
		v := f(*a, *b)
		return &v
	}
	return cost{
		f(c.ServerCPU, o.ServerCPU), f(c.RedisCPU, o.RedisCPU), f(c.RedisCommands, o.RedisCommands), maybe(c.StoreReads, o.StoreReads),
		maybe(c.StoreWrites, o.StoreWrites), maybe(c.DiskBytes, o.DiskBytes), f(c.MessagesUp, o.MessagesUp), f(c.MessagesDown, o.MessagesDown),
		f(c.BytesUp, o.BytesUp), f(c.BytesDown, o.BytesDown),
	}
}

func (c cost) plus(o cost) cost { return c.combine(o, func(a, b float64) float64 { return a + b }) }

func (c cost) times(n float64) cost { return c.combine(c, func(a, _ float64) float64 { return a * n }) }

// dayPhase is one phase of a day.
type dayPhase struct {
	Name    Phase             `json:"name"`
	Seconds float64           `json:"seconds"`
	Used    cost              `json:"used"`
	LoadCPU float64           `json:"load_cpu_s"`
	Share   float64           `json:"load_share"` // of the load's processors
	Counts  DayCounts         `json:"counts"`
	Latency map[string]spread `json:"latency"`
	Lost    DayLost           `json:"lost"`
}

// mostLoad is the share of its processors that the load may use: beyond it what is measured is the load.
const mostLoad = 0.9

// overload says why a run is void by the processor time that the load used, or "".
func overload(used, took time.Duration, cores int) (share float64, why string) {
	if took <= 0 || cores < 1 {
		return 0, ""
	}
	share = used.Seconds() / (took.Seconds() * float64(cores))
	if share > mostLoad {
		why = fmt.Sprintf("the load used %.0f %% of its processors, and may use %.0f %%: the figures are its own", 100*share, 100*mostLoad)
	}
	return share, why
}

// perStudentHour is what a student costs in an hour of an exam of so many hours: the day as it was
// measured, with the steady phase as long as in such an exam.
func perStudentHour(phases []*dayPhase, students int, hours float64) cost {
	var all, steady cost
	first := true
	left, steadyTime := hours*3600, 0.0
	for _, p := range phases {
		if p.Name == PhaseSteady {
			steady, steadyTime = p.Used, p.Seconds
			continue
		}
		left -= p.Seconds
		if first {
			all, first = p.Used, false
		} else {
			all = all.plus(p.Used)
		}
	}
	if steadyTime > 0 {
		steady = steady.times(max(0, left) / steadyTime)
		if first {
			all = steady
		} else {
			all = all.plus(steady)
		}
	}
	return all.times(1 / (float64(students) * hours))
}

// finish sums the phases up.
func (r *dayRun) finish() {
	r.PerStudentHour = perStudentHour(r.Phases, r.Students, r.Hours)
	r.Lost = map[string]int64{}
	for _, p := range r.Phases {
		for _, l := range p.Lost.list() {
			if l.n > 0 {
				r.Lost[string(p.Name)+": "+l.what] += l.n
			}
		}
	}
}

// phase is one by its name, or an empty one.
func (r *dayRun) phase(name Phase) *dayPhase {
	for _, p := range r.Phases {
		if p.Name == name {
			return p
		}
	}
	return &dayPhase{}
}

// Bounds of an exam that a system holds.
const (
	openingBound = 250  // ms, p99
	commandBound = 1000 // ms, p99
)

// over says why an exam is too large for a system, or "".
func (r *dayRun) over() string {
	for _, name := range []Phase{PhaseArrive, PhaseSteady} {
		if s := r.phase(name).Latency[latencyOpening]; s.P99 > openingBound {
			return fmt.Sprintf("p99 of opening a socket was %s ms (%s)", digits(s.P99), name)
		}
	}
	if s := r.phase(PhaseSteady).Latency[latencyCommand]; s.P99 > commandBound {
		return fmt.Sprintf("p99 of a command was %s ms", digits(s.P99))
	}
	for _, p := range r.Phases { // in their order
		for _, l := range p.Lost.list() {
			if l.n > 0 {
				return fmt.Sprintf("%s: %d %s", p.Name, l.n, l.what)
			}
		}
	}
	return ""
}

// print writes the run as tables.
func (r *dayRun) print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nday, %s (students=%d exams=%d proctors=%d nodes=%d", r.System, r.Students, r.Exams, r.Proctors, r.Nodes)
	if r.Store != "" {
		fmt.Fprintf(&b, " store=%s", r.Store)
	}
	fmt.Fprintf(&b, " seed=%d)\n\n", r.Seed)
	c := r.PerStudentHour
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "per student-hour, of an exam of %s h\t\t\n", digits(r.Hours))
	for _, f := range []struct {
		name  string
		value *float64
		by    float64
		unit  string
	}{
		{"server CPU", &c.ServerCPU, 0.001, "ms"},
		{"Redis CPU", c.ofRedis(c.RedisCPU), 0.001, "ms"},
		{"Redis commands", c.ofRedis(c.RedisCommands), 1, ""},
		{"store read units", c.StoreReads, 1, ""},
		{"store write units", c.StoreWrites, 1, ""},
		{"written to disk", c.DiskBytes, 1 << 10, "KiB"},
		{"messages up", &c.MessagesUp, 1, ""},
		{"messages down", &c.MessagesDown, 1, ""},
	} {
		if f.value != nil {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", f.name, digits(*f.value/f.by), f.unit)
		}
	}
	fmt.Fprintf(t, "server memory (PSS)\t%s\tMiB\n", digits(float64(r.Memory)/(1<<20)))
	fmt.Fprintf(t, "  of a student\t%s\tKiB\n", digits(float64(r.Memory)/1024/float64(r.Students)))
	fmt.Fprintf(t, "highest load\t%s\t%% of its processors\n\n", digits(100*r.LoadShare))
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tms\tp50\tp99\tmax\tcount\t")
	for _, p := range r.Phases {
		for _, name := range latencies {
			if s := p.Latency[name]; s.Count > 0 {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t\n", p.Name, name, digits(s.P50), digits(s.P99), digits(s.Max), s.Count)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(&b)
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tseconds\tserver CPU %\tload CPU %\tpages\twithout receipt\tsignals\tresent\ttokens\tlost\t")
	for _, p := range r.Phases {
		without := "–"
		if r.System == systemVigil {
			without = strconv.FormatInt(p.Counts.Pages-p.Counts.Vouched, 10)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t\n", p.Name, p.Seconds, digits(100*p.Used.ServerCPU/p.Seconds), digits(100*p.LoadCPU/p.Seconds),
			p.Counts.Pages, without, p.Counts.Signals, p.Counts.Resent, p.Counts.Exchanges, p.Lost.total())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(&b)
	for _, p := range r.Phases {
		if s := p.Latency[latencyLate]; s.P99 > lateBound {
			fmt.Fprintf(&b, "note: the load was late (%s, p99 %s ms): it had too little of the machine, and the figures say so as well\n", p.Name, digits(s.P99))
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	for _, what := range slices.Sorted(maps.Keys(r.Lost)) {
		fmt.Fprintf(&b, "LOST: %s: %d\n", what, r.Lost[what])
	}
	if r.Void != "" {
		fmt.Fprintf(&b, "VOID: %s\n", r.Void)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ofRedis is a figure of Redis, where there is one.
func (c cost) ofRedis(v float64) *float64 {
	if c.RedisCommands == 0 {
		return nil
	}
	return &v
}

// write puts the file where it is wanted.
func (f *dayFile) write(path string) error {
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}

// coresOf counts the processors of a list such as 0-3,6; 0 where it is none.
func coresOf(list string) (n int) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, span := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b := a
		if span {
			if b, err = strconv.Atoi(to); err != nil || b < a {
				continue
			}
		}
		n += b - a + 1
	}
	return n
}
