package realtime

import (
	"bytes"
	"fmt"
	"testing"

	"vigil"
	"vigil/realtime/protocol"
)

func TestInAFullQueueAnOldDeltaThatComesLateDoesNotReplaceANewerOne(t *testing.T) {
	command := func(stage vigil.Stage, lms vigil.LMSState) vigil.Command {
		return vigil.Command{ID: "command", SessionID: "s", Stage: stage, LMS: vigil.LMSAnswer{State: lms}}
	}
	for what, row := range map[string]struct{ newer, older string }{
		"a newer connection":           {connKey("s", protocol.RowConn{Epoch: 2, Since: 10}), connKey("s", protocol.RowConn{Epoch: 1, Since: 20})},
		"a later state of one":         {connKey("s", protocol.RowConn{Epoch: 2, Since: 20}), connKey("s", protocol.RowConn{Epoch: 2, Since: 10})},
		"a later version of a session": {lifeKey("s", protocol.RowLife{Version: 6}), lifeKey("s", protocol.RowLife{Version: 5})},
		"a later stage of a command": {
			progressKey(command(vigil.StageSeen, vigil.LMSNone)), progressKey(command(vigil.StageDelivered, vigil.LMSNone)),
		},
		"the platform's answer": {
			progressKey(command(vigil.StageSeen, vigil.LMSAccepted)), progressKey(command(vigil.StageSeen, vigil.LMSWaiting)),
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := &Hub{cfg: Config{Limits: Limits{Queue: 100, QueueBytes: 1 << 20}}}
			c := &conn{h: h, flushing: true} // nothing is written meanwhile
			for i := range 50 {
				c.putDelta(delta{key: fmt.Sprint("full/", i), frame: []byte("full")})
			}
			c.putDelta(delta{key: row.newer, frame: []byte("newer")})
			c.putDelta(delta{key: row.older, frame: []byte("older")})
			c.putDelta(delta{key: row.newer, frame: []byte("again")})
			var got [][]byte
			for _, it := range c.queue[50:] {
				got = append(got, it.frame)
			}
			if g := bytes.Join(got, []byte(", ")); string(g) != "again, older" {
				t.Errorf("got %s in the queue, want again, older: only the same is replaced", g)
			}
		})
	}
}
