package dashboard

import (
	"testing"

	"vigil"
	"vigil/realtime/protocol"
)

// In a full queue a delta replaces only one of the same key.
func TestAnOldDeltaThatComesLateHasAnotherKeyThanANewerOne(t *testing.T) {
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
			if row.newer == row.older {
				t.Errorf("got %q for both, want two keys: only the same is replaced", row.newer)
			}
		})
	}
}
