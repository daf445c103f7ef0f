package testutil_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"vigil/internal/testutil"
)

// recorder notes what a test is stopped with.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// stopped runs f and returns what it stopped its test with, "" if it returned.
func stopped(f func(t testing.TB)) string {
	r, done := &recorder{}, make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.fatal
}

func TestOKStopsAtAnError(t *testing.T) {
	if got := stopped(func(t testing.TB) { testutil.OK(t, nil) }); got != "" {
		t.Errorf("without an error: stopped with %q", got)
	}
	if got, want := stopped(func(t testing.TB) { testutil.OK(t, errors.New("full disk")) }), "got error full disk, want none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUntilReturnsWhenItIsSoAndStopsWhenItNeverIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		testutil.Until(t, "a second", func() bool { return time.Since(begin) >= time.Second })
		if took := time.Since(begin); took > time.Second+10*time.Millisecond {
			t.Errorf("took %v, want about a second", took)
		}

		begin = time.Now()
		got := stopped(func(t testing.TB) { testutil.Until(t, "the end of the world", func() bool { return false }) })
		if want := "timed out waiting for: the end of the world"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if took := time.Since(begin); took < testutil.Patience || took > testutil.Patience+time.Second {
			t.Errorf("stopped after %v, want %v", took, testutil.Patience)
		}
	})
}

func TestReceiveReturnsWhatComesAndStopsWhenNothingDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan int)
		go func() {
			time.Sleep(time.Minute)
			c <- 7
		}()
		if got := testutil.Receive(t, "a number", c); got != 7 {
			t.Errorf("got %d, want 7", got)
		}
		if got, want := stopped(func(t testing.TB) { testutil.Receive(t, "another", c) }), "timed out waiting for: another"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
