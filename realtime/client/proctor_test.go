package client_test

import (
	"context"
	"testing"

	"github.com/coder/websocket"

	"vigil"
	"vigil/internal/testutil"
	"vigil/realtime/client"
)

// TestProgressOnlyMovesForward gives news in the wrong order: the answer to the sender is
// made before the platform's answer is told to all, and may be written after it.
func TestProgressOnlyMovesForward(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, late string
		stage      vigil.Stage
		lms        vigil.LMSState
	}{
		{"a delta", `{"t":"progress","id":"c1","session":"s1","kind":"extend","stage":"queued","lms":{"state":"waiting"},"at":1}`, vigil.StageDone, vigil.LMSAccepted},
		{"a delta without an answer", `{"t":"progress","id":"c1","session":"s1","kind":"extend","stage":"queued","at":1}`, vigil.StageDone, vigil.LMSAccepted},
		{
			"a snapshot",
			`{"t":"snapshot","number":2,"page":1,"last":true,"rows":[{"id":"s1","lms":[` +
				`{"id":"c1","session":"s1","kind":"extend","stage":"queued","lms":{"state":"waiting"},"at":1}]}]}`,
			vigil.StageDone, vigil.LMSAccepted,
		},
		{"news", `{"t":"progress","id":"c1","session":"s1","kind":"extend","stage":"seen","lms":{"state":"refused"},"at":9}`, vigil.StageSeen, vigil.LMSRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script, _ int, ws *websocket.Conn) {
				s.say(ws, `{"t":"welcome","role":"proctor","now":1,"ping":10000}`)
				s.say(ws, `{"t":"progress","id":"c1","session":"s1","kind":"extend","stage":"done","lms":{"state":"accepted"},"at":2}`)
				s.say(ws, row.late)
				s.say(ws, `{"t":"progress","id":"end","session":"s1","kind":"note","stage":"done","at":3}`)
				s.hear(ws, nil)
			})
			p, err := client.Watch(context.Background(), s.config())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			testutil.Until(t, "the last frame", func() bool { return p.Progress("end", "s1").Stage != "" })
			got := p.Progress("c1", "s1")
			if got.Stage != row.stage || got.LMS == nil || got.LMS.State != row.lms {
				t.Errorf("got %+v with %+v, want %s and %s", got, got.LMS, row.stage, row.lms)
			}
		})
	}
}
