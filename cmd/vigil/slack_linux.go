package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much a wake-up by time may come late (prctl, PR_SET_TIMERSLACK). The
// Go runtime looks after its threads every 20 µs while there was something to do a moment
// ago. A server that is woken thousands of times a second, and waits in between, spends a
// fifth of its processor time on that; with this slack next to none, and nothing of ours is
// timed so finely.
const timerSlack = time.Millisecond

// slacken begins the process anew with that slack, unless it has it. A thread gets its slack
// from the one that makes it, and the runtime's are made before any code of ours runs; what
// a process has is kept over exec.
func slacken() {
	has, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil && time.Duration(has) >= timerSlack {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err == nil {
		err = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0)
	}
	var self string
	if err == nil {
		self, err = os.Executable()
	}
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ()) //nolint:gosec // ourselves, as we were called
	}
	fmt.Fprintln(os.Stderr, "vigil: this server will take a little more of the processor, because its timer slack cannot be set:", err)
}
