//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one number that was measured.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// outcome is what a scenario came to.
type outcome struct {
	Scenario string            `json:"scenario"`
	System   string            `json:"system"`
	Began    time.Time         `json:"began"`
	Machine  map[string]string `json:"machine"`
	Settings map[string]string `json:"settings"`
	Figures  []figure          `json:"figures"`
	Failures []string          `json:"failures,omitempty"` // what was lost, doubled or not there
	Notes    []string          `json:"notes,omitempty"`
}

func (o *outcome) add(name string, value float64, unit string) {
	o.Figures = append(o.Figures, figure{name, value, unit})
}

// spread adds a histogram's figures.
func (o *outcome) spread(name string, s spread) {
	if s.Count == 0 {
		return
	}
	for _, q := range []struct {
		name  string
		value float64
	}{{"p50", s.P50}, {"p90", s.P90}, {"p99", s.P99}, {"p99.9", s.P999}, {"max", s.Max}} {
		o.add(name+" "+q.name, q.value, "ms")
	}
}

func (o *outcome) fail(format string, args ...any) {
	o.Failures = append(o.Failures, fmt.Sprintf(format, args...))
}

func (o *outcome) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(o.Notes, s) {
		o.Notes = append(o.Notes, s)
	}
}

// find is a figure by its name.
func (o *outcome) find(name string) (figure, bool) {
	i := slices.IndexFunc(o.Figures, func(f figure) bool { return f.Name == name })
	if i < 0 {
		return figure{}, false
	}
	return o.Figures[i], true
}

// print writes the table.
func (o *outcome) print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s, %s (%s)\n", o.Scenario, o.System, settingsLine(o.Settings))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, f := range o.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", f.Name, digits(f.Value), f.Unit)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range o.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	for _, f := range o.Failures {
		fmt.Fprintln(&b, "FAILED:", f)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func settingsLine(settings map[string]string) string {
	var parts []string
	for k, v := range settings {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// digits shows three digits that matter.
func digits(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000 || v <= -1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// save writes v as JSON and returns the file.
func save(dir, name string, v any) (string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+"-"+time.Now().UTC().Format("20060102T150405")+".json")
	return path, os.WriteFile(path, append(b, '\n'), 0o600)
}

// machineNow describes the machine and the programs.
func machineNow(ctx context.Context, vigil string) map[string]string {
	m := map[string]string{"cpus": strconv.Itoa(runtime.NumCPU()), "go": runtime.Version(), "arch": runtime.GOARCH}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m["cpu"] = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		first, _, _ := strings.Cut(string(b), "\n")
		m["memory"] = strings.TrimSpace(strings.TrimPrefix(first, "MemTotal:"))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m["load before"] = strings.TrimSpace(string(b))
	}
	for name, argv := range map[string][]string{
		"kernel": {"uname", "-r"}, "vigil": {vigil, "version"}, "redis": {"redis-server", "--version"}, "node": {"node", "--version"},
	} {
		if argv[0] == "" {
			continue
		}
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output(); err == nil { //nolint:gosec // what is measured; a program that is not here has no version
			m[name] = strings.TrimSpace(string(out))
		}
	}
	return m
}
