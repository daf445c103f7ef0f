package netpoll

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"vigil/internal/testutil"
)

// TestAConnectionThatHasEndedIsNotWatched: epoll would tell of its end again and again until
// it is closed, which may be a while later.
func TestAConnectionThatHasEndedIsNotWatched(t *testing.T) {
	t.Parallel()
	poll := &Poll{}
	defer poll.Close()
	here, there := loopback(t)
	l, err := poll.Take(here)
	testutil.OK(t, err)
	s := newSink(nil)
	testutil.OK(t, l.Start(s))
	watched := func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", poll.fd))
		testutil.OK(t, err)
		return strings.Contains(string(b), "tfd:")
	}
	if !watched() {
		t.Fatal("not watched from the start")
	}
	testutil.OK(t, there.Close())
	_ = s.end(t)
	if watched() {
		t.Error("still watched after the end")
	}
	l.Close()
}

func TestAPollThatIsClosedTakesNothing(t *testing.T) {
	t.Parallel()
	for _, used := range []bool{false, true} {
		poll := &Poll{}
		here, there := loopback(t)
		if used {
			l, err := poll.Take(here)
			testutil.OK(t, err)
			l.Close()
			here, there = loopback(t)
		}
		poll.Close()
		if _, err := poll.Take(here); err == nil {
			t.Errorf("used before: %t: taken", used)
		}
		if err := here.Close(); err != nil {
			t.Errorf("used before: %t: what was not taken is not the caller's any more: %v", used, err)
		}
		_ = there.Close()
	}
}
