// Package testutil has what the tests of many packages do alike: stop at an error, and wait
// for what happens by itself.
//
// A test says what it waits for and is told as soon as that is so: no test sleeps for a time
// that ought to be enough. What is not to happen is not waited for, either: a test looks at it
// when something else shows that its time has passed, or runs in a testing/synctest bubble.
package testutil

import (
	"testing"
	"time"
)

// Patience bounds each wait. It is no measure of anything: the machine may be busy with other
// tests, so it is far more than what is waited for takes.
const Patience = 90 * time.Second

// pollEvery is how long Until waits before it asks again.
const pollEvery = 2 * time.Millisecond

// OK stops the test at an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// Until returns when cond does so, which it asks every few milliseconds, and stops the test
// when that takes longer than Patience. what says what did not come to be. It is for the
// test's own goroutine, as all that stops a test.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	UntilWithin(t, Patience, what, cond)
}

// UntilWithin is Until with another limit: where being late is a fault.
func UntilWithin(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(pollEvery) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

// Receive returns what comes from a channel, or its zero value when it is closed, and stops
// the test when that takes longer than Patience.
func Receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("timed out waiting for: %s", what)
		panic("unreachable") // Fatalf ends the goroutine
	}
}
