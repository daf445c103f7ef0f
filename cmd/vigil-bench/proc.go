//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of /proc/<pid>/stat's times: USER_HZ, 100 on every Linux.
const clockTick = time.Second / 100

// process is a program that was started for a measurement.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file
	done chan struct{}
	err  error // once done
}

// start starts a program on some processors ("" for all), its output to a file.
func start(ctx context.Context, dir, name, cpus string, env []string, argv ...string) (*process, error) {
	if cpus != "" {
		argv = append([]string{"taskset", "-c", cpus}, argv...)
	}
	path := filepath.Join(dir, name+".log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()                                                              // the process has its own
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...) //nolint:gosec // what the measurement is of
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // an interrupt is the parent's to pass on
	p := &process{name: name, cmd: cmd, log: path, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// alive is an error that shows the log of a process that has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, tail(p.log))
		}
		return fmt.Errorf("%s ended, and should run\n%s", p.name, tail(p.log))
	default:
		return nil
	}
}

// until polls for something that a process is to do within startTime.
func (p *process) until(ctx context.Context, what string, ok func() bool) error {
	end := time.Now().Add(startTime)
	for !ok() {
		if err := p.alive(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: waited in vain for %s:\n%s", p.name, what, tail(p.log))
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// end asks a process to stop and waits; after a while it is killed.
func (p *process) end() error {
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(45 * time.Second):
		return errors.Join(fmt.Errorf("%s did not stop:\n%s", p.name, tail(p.log)), p.kill())
	}
}

// kill is SIGKILL.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}

// family is a process with its children: a cluster's are where its work is done.
func family(pid int) ([]int, error) {
	list := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(tasks) == 0 {
		return nil, fmt.Errorf("process %d cannot be looked at in /proc: the bench needs Linux: %w", pid, errors.Join(err, os.ErrNotExist))
	}
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		for text := range strings.FieldsSeq(string(b)) {
			child, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			more, err := family(child)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	return list, nil
}

// cpuOf is the processor time that processes and their children have used.
func cpuOf(list ...*process) (time.Duration, error) {
	return sum(list, func(pid int) (time.Duration, error) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		return parseStat(string(b))
	})
}

// parseStat reads utime and stime. The command's name, in brackets, may hold anything.
func parseStat(line string) (time.Duration, error) {
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/<pid>/stat has %d fields", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// pssOf is the memory of processes, in bytes: pages that several share are divided
// between them.
func pssOf(list ...*process) (int64, error) {
	return sum(list, func(pid int) (int64, error) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if text, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
				return kib << 10, err
			}
		}
		return 0, errors.New("smaps_rollup has no Pss")
	})
}

// writtenBy is how many bytes processes had written to disks.
func writtenBy(list ...*process) (int64, error) {
	return sum(list, func(pid int) (int64, error) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if text, ok := strings.CutPrefix(line, "write_bytes:"); ok {
				return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			}
		}
		return 0, errors.New("/proc/<pid>/io has no write_bytes")
	})
}

func sum[T int64 | time.Duration](list []*process, of func(pid int) (T, error)) (total T, err error) {
	for _, p := range list {
		if p == nil {
			continue
		}
		pids, err := family(p.cmd.Process.Pid)
		if err != nil {
			return 0, errors.Join(err, p.alive())
		}
		for _, pid := range pids {
			n, err := of(pid)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", p.name, err)
			}
			total += n
		}
	}
	return total, nil
}

// openFiles is how many files a process here may hold open. Go has raised the soft limit
// to the hard one already.
func openFiles() (uint64, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Cur, err
}

// spare is how many files beside sockets a process may want.
const spare = 300

// checkFiles says what to do where the open files do not suffice.
func checkFiles(limit uint64, what string, sockets int, fewer string) error {
	if uint64(sockets+spare) <= limit {
		return nil
	}
	return fmt.Errorf("%s would hold %d sockets, but a process may hold only %d files open here. "+
		"Raise the limit (as root: ulimit -Hn %d; ulimit -n %d, in a container: docker run --ulimit nofile=%d), or %s",
		what, sockets, limit, sockets+spare, sockets+spare, sockets+spare, fewer)
}

// processors splits the machine between servers and load, the same for both systems.
func processors(servers, load string, count int) (string, string, error) {
	if servers == "none" || load == "none" || count < 2 && servers == "" {
		return "", "", nil
	}
	if servers == "" {
		servers = list(0, count/2)
	}
	if load == "" {
		load = list(count/2, count)
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return "", "", errors.New("taskset is missing, which keeps servers and load apart (Debian: util-linux); or give --server-cpus=none")
	}
	return servers, load, nil
}

func list(from, to int) string {
	if to-from == 1 {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to-1)
}

// environment is what a started program needs of ours; nothing that changes what it does.
func environment(more ...string) []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains([]string{"PATH", "HOME", "TMPDIR", "LANG"}, name) || strings.HasPrefix(name, "AWS_") {
			out = append(out, kv)
		}
	}
	return append(out, more...)
}
