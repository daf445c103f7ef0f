package realtime

import (
	"testing"
	"time"

	"vigil/realtime/socket"
)

// TestWhatAMonitorDidNotAnswerIsKnownUntilTheNextSocket: or who goes from server to server, with
// a minute between two visits, would never have missed three answers.
func TestWhatAMonitorDidNotAnswerIsKnownUntilTheNextSocket(t *testing.T) {
	now := time.Now()
	for name, row := range map[string]struct {
		st   func(st *student)
		ago  time.Duration
		kept bool
	}{
		"nothing is left":       {func(*student) {}, supersededFor + time.Second, false},
		"one answer is missing": {func(st *student) { st.unanswered = 1 }, supersededFor + time.Second, true},
		"a question waited":     {func(st *student) { st.askSpent = time.Second }, supersededFor + time.Second, true},
		"away":                  {func(st *student) { st.away = 1 }, supersededFor + time.Second, true},
		"not for ever":          {func(st *student) { st.unanswered = 2 }, unansweredFor + time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &Hub{node: node{cfg: Config{Now: func() time.Time { return now }}.withDefaults(), sockets: &socket.Server{}}}
			st := &student{n: &h.node, id: "a", room: &room{exam: "e"}}
			row.st(st)
			st.used.Store(now.Add(-row.ago).UnixMilli())
			h.students, h.rooms = map[string]*student{"a": st}, map[string]*room{"e": st.room}
			h.sweep()
			if got := h.students["a"] != nil; got != row.kept {
				t.Errorf("kept: got %t, want %t", got, row.kept)
			}
		})
	}
}
