package session_test

import (
	"testing"

	"vigil/realtime/session"
)

func TestFollowingNothingAllocatesNothing(t *testing.T) {
	var tracer session.Tracer = session.Untraced{}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		got, end := tracer.Begin(ctx, session.StepCommand, "session", "command")
		end(nil)
		if got != ctx {
			t.Error("got another context, want the same")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}
