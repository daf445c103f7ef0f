//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// fleet is the workers of one system under test.
type fleet struct {
	clients []*rpc.Client
	procs   []*process
	tell    func(format string, args ...any)
}

// stdio is a worker's standard input and output.
type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both.
func (s stdio) Close() error { return errors.Join(s.WriteCloser.Close(), s.ReadCloser.Close()) }

// serveWorker is what a worker's process does: it answers its parent until that goes.
func serveWorker(in io.ReadCloser, out io.WriteCloser) error {
	w := newWorker()
	s := rpc.NewServer()
	if err := s.RegisterName("Worker", w); err != nil {
		return err
	}
	s.ServeConn(stdio{in, out})
	w.cancel()
	return nil
}

// newFleet starts worker processes.
func newFleet(ctx context.Context, n int, cpus string, tell func(string, ...any)) (*fleet, error) {
	f := &fleet{tell: tell}
	for i := range n {
		if err := f.launch(ctx, i, cpus); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

func (f *fleet) launch(ctx context.Context, i int, cpus string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := []string{self, "worker"}
	if cpus != "" {
		argv = append([]string{"taskset", "-c", cpus}, argv...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...) //nolint:gosec // ourselves
	cmd.Stderr, cmd.Env = os.Stderr, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p := &process{name: fmt.Sprint("worker ", i), cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	f.procs = append(f.procs, p)
	f.clients = append(f.clients, rpc.NewClient(stdio{out, in}))
	return nil
}

// close ends the workers and waits for them.
func (f *fleet) close() error {
	if f == nil {
		return nil
	}
	var err error
	for i, c := range f.clients {
		err = errors.Join(err, c.Call("Worker.Close", None{}, &None{}), c.Close())
		if i < len(f.procs) {
			select {
			case <-f.procs[i].done:
			case <-time.After(upgradeTime):
				err = errors.Join(err, f.procs[i].kill())
			}
		}
	}
	f.clients = nil
	return err
}

// ask calls a method of every worker at once. The first error counts; progress is told
// meanwhile.
func ask[R any](ctx context.Context, f *fleet, method string, args func(i int) any) ([]R, error) {
	replies := make([]R, len(f.clients))
	calls := make(chan *rpc.Call, len(f.clients))
	for i, c := range f.clients {
		c.Go("Worker."+method, args(i), &replies[i], calls)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for left := len(f.clients); left > 0; {
		select {
		case call := <-calls:
			if call.Error != nil {
				return nil, fmt.Errorf("%s: %w", strings.ToLower(method), call.Error)
			}
			left--
		case <-tick.C:
			f.progress(method)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return replies, nil
}

// progress says how far a long call has got.
func (f *fleet) progress(method string) {
	var all Status
	for _, c := range f.clients {
		var s Status
		call := c.Go("Worker.Status", None{}, &s, make(chan *rpc.Call, 1))
		select {
		case <-call.Done:
		case <-time.After(time.Second):
			return // too busy to say
		}
		if call.Error != nil {
			return // the call that matters says it
		}
		all.Launched += s.Launched
		all.Opened += s.Opened
		all.Deliveries += s.Deliveries
		all.Acked += s.Acked
	}
	switch method {
	case "Launch", "Seat", "Agree", "Exchange":
		f.tell("  %d students launched", all.Launched)
	case "Connect":
		f.tell("  %d sockets opened", all.Opened)
	default:
		f.tell("  %d deliveries, %d acknowledgements", all.Deliveries, all.Acked)
	}
}

// same gives every worker the same arguments.
func same(a any) func(int) any { return func(int) any { return a } }
