package realtime

import (
	"testing"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
	"vigil/realtime/internal/tasks"
	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/socket"
)

// FuzzEvent feeds the relay's entries: one of another version, or a broken one, must not
// panic.
func FuzzEvent(f *testing.F) {
	f.Add(dashboard.AppendDelta(dashboard.AppendDelta(nil, dashboard.Delta{Key: "tally/s", Level: socket.LevelSignal, Frame: []byte(`{"t":"pulse"}`)}), dashboard.Delta{Key: "new/s", Session: "s", Created: true, Frame: []byte(`{}`), Groups: &dashboard.Groups{Version: 1}}))
	f.Add([]byte{relay.Format, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	for _, s := range []string{`{"k":"student","s":"x","f":[1]}`, `{"k":"epoch","n":5}`, `{`, `null`, `[]`} {
		f.Add([]byte(s))
	}
	h := &Hub{node: node{log: Config{}.withDefaults().Log}, rooms: map[string]*room{}, students: map[string]*student{}}
	h.tasks = tasks.NewGroup()
	h.tasks.Stop()
	h.dashboards = &dashboard.Env{}
	r := &room{Board: dashboard.NewBoard(h.dashboards, vigil.Exam{ID: "exam"}), n: &h.node, exam: "exam", dirty: map[*student]struct{}{}}
	f.Fuzz(func(_ *testing.T, payload []byte) { receiver{h, r}.Receive(payload) })
}

// FuzzTotals feeds frames to the reader of a monitor's totals: what it takes is possible, adds up
// without wrapping around, and does not contradict itself.
func FuzzTotals(f *testing.F) {
	for _, s := range []string{
		`{"t":"alive","doc":"abcdefgh","visible":60000,"focused":1000,"given":3}`, `{"t":"alive","doc":"abcdefgh","visible":9223372036854775807}`,
		`{"t":"alive","doc":"abcdefgh","hidden":-1}`, `{"t":"alive","doc":"a b","pages":-5}`, `{"t":"alive","doc":"abcdefgh","focus":9007199254740992}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		frame, err := protocol.Parse(msg)
		if err != nil {
			return
		}
		totals, err := totalsOf(&frame)
		if err != nil {
			if vigil.CodeOf(err) != vigil.CodeInvalid {
				t.Fatalf("got %v, want CodeInvalid", err)
			}
			return
		}
		now := time.UnixMilli(1_790_000_000_000)
		m := vigil.Monitor{}.Add(now, vigil.Totals{}, totals, true)
		if !totals.Valid() || totals.Contradicts(totals, 0) || m.Visible < 0 || m.Hidden < 0 || m.Focused < 0 || m.Given != totals.Given {
			t.Errorf("got %+v of %+v", m, totals)
		}
	})
}
