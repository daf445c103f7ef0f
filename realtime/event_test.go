package realtime

import (
	"reflect"
	"testing"

	"vigil"
	"vigil/realtime/socket"
)

func TestDeltasBetweenNodesAreReadAsTheyWereWritten(t *testing.T) {
	want := []delta{
		{key: "tally/s", session: "s", frame: []byte(`{"t":"session"}`)},
		{level: socket.LevelIncident, frame: []byte(`{"t":"signal"}`)},
		{key: "new/s", session: "s", created: true, frame: []byte(`{}`), groups: &groupWord{7, []vigil.Group{{ID: "1", Name: "A"}}}},
		{session: "s", groups: &groupWord{Version: 8}},
	}
	var list []byte
	for _, d := range want {
		list = appendDelta(list, d)
	}
	for cut := range list { // the end is missing: nothing may be read beyond it
		for rest := list[1:max(1, cut)]; len(rest) > 0; {
			var err error
			if _, rest, err = cutDelta(rest); err != nil {
				break
			}
		}
	}
	rest := list[1:]
	for i, w := range want {
		var d delta
		var err error
		if d, rest, err = cutDelta(rest); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(d, w) {
			t.Errorf("delta %d: got %+v, want %+v", i, d, w)
		}
	}
	if len(rest) > 0 {
		t.Errorf("got %d bytes more, want none", len(rest))
	}
	if _, _, err := cutDelta([]byte{byte(socket.LevelIncident) + 1, 0, 0, 0, 0}); err == nil {
		t.Error("got a delta of a level that is none")
	}
}
