//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

type compareCmd struct {
	common     `embed:""`
	size       `embed:""`
	searchArgs `embed:""`
	cutArgs    `embed:""`

	Rounds      int           `help:"Rounds, in each of which both systems are measured, in turns (default: ${default})." default:"3"`
	Only        []string      `help:"What is measured (default: ${default})." enum:"exam,max,idle,cut" default:"exam,max,idle,cut"`
	Rates       []float64     `help:"Signals a second of the exams (default: ${default})." default:"1000,3000"`
	For         time.Duration `help:"How long each exam and each idle time is measured (default: ${default})." default:"60s"`
	Warmup      time.Duration `help:"How long before that signals flow already (default: ${default})." default:"10s"`
	Idle        int           `help:"Students who are idle (default: ${default}); on more nodes if a process may not hold so many files open." default:"20000"`
	Settle      time.Duration `help:"How long after the last connect idle time begins (default: ${default})." default:"60s"`
	CutStudents int           `help:"Students of whom some are cut off (default: ${default})." default:"500"`
}

// step is one measurement of a round.
type step struct {
	name string
	c    common
	size size
	do   func(ctx context.Context, r *rig) (*outcome, error)
}

// wanted is a figure of the table, and what it should come to beside the baseline.
type wanted struct{ figure, target string }

// table are the figures of a scenario.
var table = map[string][]wanted{
	"exam": {
		{"latency p50", ""},
		{"latency p99", "≤ 0.3 at 1000/s"},
		{"latency max", "≤ 0.2 at 1000/s"},
		{"acknowledged p99", "≤ 100 ms at 1000/s"},
		{"server CPU per million deliveries", "≤ 0.5 at 3000/s"},
		{"Redis CPU per million deliveries", "≤ 0.5 at 3000/s"},
		{"Redis commands per 1000 signals", "≤ 300"},
		{"load sent late p99", ""},
	},
	"max":        {{"highest rate", "≥ 2"}, {"server CPU per million deliveries", ""}},
	"idle":       {{"memory per socket, whole process", "≤ 0.8, ≤ 8 KiB"}, {"server CPU while idle", "≤ 1"}},
	"cut rst":    {{"told p50", ""}, {"told p99", "≤ 50 ms"}},
	"cut silent": {{"told p50", ""}, {"told max", ""}, {"told as lost max", "≤ 25 s"}},
}

// steps are the measurements of one round.
func (c compareCmd) steps() ([]step, error) {
	var out []step
	has := func(name string) bool { return slices.Contains(c.Only, name) }
	if has("exam") {
		for _, rate := range c.Rates {
			out = append(out, step{"exam at " + digits(rate) + "/s", c.common, c.size, func(ctx context.Context, r *rig) (*outcome, error) {
				return r.exam(ctx, rate, c.Warmup, c.For)
			}})
		}
	}
	if has("max") {
		out = append(out, step{"max", c.common, c.size, func(ctx context.Context, r *rig) (*outcome, error) { return r.most(ctx, c.searchArgs) }})
	}
	if has("idle") {
		limit, err := openFiles()
		if err != nil {
			return nil, err
		}
		s := step{"idle", c.common, size{c.Idle, c.Exams, c.Proctors}, func(ctx context.Context, r *rig) (*outcome, error) { return r.idle(ctx, c.Settle, c.For) }}
		s.c.Nodes = max(c.Nodes, each(s.size.sockets(), max(1, int(limit)-spare)))
		out = append(out, s)
	}
	if has("cut") {
		few := size{c.CutStudents, max(1, c.CutStudents/100), max(1, c.Proctors)}
		for _, way := range []Way{WayReset, WaySilent} {
			out = append(out, step{"cut " + string(way), c.common, few, func(ctx context.Context, r *rig) (*outcome, error) {
				return r.cut(ctx, way, c.Count, c.Over, c.cutArgs.Limit)
			}})
		}
	}
	for _, s := range out { // before hours of work
		if err := s.size.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if _, err := s.c.spread(s.size); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return out, nil
}

// rigKey tells rigs apart; each is seated once and used in every round.
type rigKey struct {
	system string
	size   size
	nodes  int
}

// comparison is what is saved.
type comparison struct {
	Machine map[string]string `json:"machine"`
	Rows    []row             `json:"rows"`
	Rounds  []*outcome        `json:"rounds"`
}

// row is one line of the table.
type row struct {
	Step     string    `json:"step"`
	Figure   string    `json:"figure"`
	Unit     string    `json:"unit,omitempty"`
	Vigil    []float64 `json:"vigil"` // by round
	Baseline []float64 `json:"baseline,omitempty"`
	Target   string    `json:"target,omitempty"`
}

// Run measures both systems in turns.
func (c compareCmd) Run(ctx context.Context, s *streams) (err error) {
	steps, err := c.steps()
	if err != nil {
		return err
	}
	if c.Rounds < 1 {
		return errors.New("--rounds must be at least 1")
	}
	systems := []string{systemVigil, systemBaseline}
	if err := checkNode(ctx); err != nil {
		s.tell("%v: Vigil is measured alone", err)
		systems = systems[:1]
	}
	rigs := map[rigKey]*rig{}
	defer func() {
		for _, r := range rigs {
			err = errors.Join(err, r.close())
		}
	}()
	for _, st := range steps { // all of them first: what cannot be done is found before hours of work
		for _, name := range systems {
			k := rigKey{name, st.size, st.c.Nodes}
			if rigs[k] != nil {
				continue
			}
			r, err := newRig(ctx, st.c, st.size, name, s.tell)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", st.name, name, err)
			}
			rigs[k] = r
			if err := r.seat(ctx); err != nil {
				return fmt.Errorf("%s, %s: %w", st.name, name, err)
			}
		}
	}
	var all comparison
	failed := 0
	for round := range c.Rounds {
		for _, st := range steps {
			order := slices.Clone(systems)
			if round%2 == 1 { // nobody is always first
				slices.Reverse(order)
			}
			for _, name := range order {
				s.tell("round %d of %d: %s, %s", round+1, c.Rounds, st.name, name)
				o, err := st.do(ctx, rigs[rigKey{name, st.size, st.c.Nodes}])
				if err != nil {
					return fmt.Errorf("%s, %s: %w", st.name, name, err)
				}
				o.Settings["round"], o.Settings["step"] = strconv.Itoa(round+1), st.name
				if err := o.print(s.err); err != nil {
					return err
				}
				failed += len(o.Failures)
				all.Rounds = append(all.Rounds, o)
				all.Machine = o.Machine
			}
		}
	}
	all.Rows = rowsOf(steps, all.Rounds)
	if err := printComparison(s.out, all, len(systems) == 2); err != nil {
		return err
	}
	path, err := save(c.Out, "compare", all)
	if err != nil {
		return err
	}
	s.tell("saved as %s", path)
	if failed > 0 {
		return fmt.Errorf("%d checks failed in some round: %w", failed, errFailed)
	}
	return nil
}

// rowsOf gathers the figures of all rounds.
func rowsOf(steps []step, rounds []*outcome) []row {
	var rows []row
	for _, st := range steps {
		var of []wanted
		for _, o := range rounds {
			if o.Settings["step"] == st.name {
				of = table[o.Scenario]
				break
			}
		}
		for _, w := range of {
			r := row{Step: st.name, Figure: w.figure, Target: w.target}
			for _, o := range rounds {
				f, ok := o.find(w.figure)
				if o.Settings["step"] != st.name || !ok {
					continue
				}
				r.Unit = f.Unit
				if o.System == systemVigil {
					r.Vigil = append(r.Vigil, f.Value)
				} else {
					r.Baseline = append(r.Baseline, f.Value)
				}
			}
			if len(r.Vigil)+len(r.Baseline) > 0 {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// ratios are ours through the baseline's, round by round, in order of size.
func (r row) ratios() []float64 {
	var out []float64
	for i := range min(len(r.Vigil), len(r.Baseline)) {
		if r.Baseline[i] > 0 {
			out = append(out, r.Vigil[i]/r.Baseline[i])
		}
	}
	slices.Sort(out)
	return out
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

// printComparison writes the table: medians, the median of the rounds' ratios, and between
// what they lay.
func printComparison(w io.Writer, all comparison, both bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s\n", settingsLine(all.Machine))
	if both {
		fmt.Fprintln(&b, "Medians of all rounds. Ratio: Vigil through the baseline, round by round; in brackets the least and the most of the rounds.")
		fmt.Fprintln(&b, "The baseline (Node, cluster, ws, Redis pub/sub) checks no token and stores nothing, which favours it. Vigil checks and stores everything, and acknowledges what is stored.")
	} else {
		fmt.Fprintln(&b, "Vigil alone: the baseline could not run here. Medians of all rounds, in brackets the least and the most.")
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "step\tfigure\tunit\tvigil\tbaseline\tratio\ttarget")
	for _, r := range all.Rows {
		ours, theirs, ratio := "–", "–", "–"
		if len(r.Vigil) > 0 {
			ours = digits(median(r.Vigil))
			if !both {
				ours += " [" + digits(slices.Min(r.Vigil)) + "–" + digits(slices.Max(r.Vigil)) + "]"
			}
		}
		if len(r.Baseline) > 0 {
			theirs = digits(median(r.Baseline))
		}
		if q := r.ratios(); len(q) > 0 {
			ratio = fmt.Sprintf("%s [%s–%s]", digits(median(q)), digits(q[0]), digits(q[len(q)-1]))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Step, r.Figure, r.Unit, ours, theirs, ratio, r.Target)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, o := range all.Rounds {
		for _, f := range o.Failures {
			fmt.Fprintf(&b, "FAILED, round %s, %s, %s: %s\n", o.Settings["round"], o.Settings["step"], o.System, f)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
