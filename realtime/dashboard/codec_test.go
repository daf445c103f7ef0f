package dashboard

import (
	"reflect"
	"testing"

	"vigil"
	"vigil/realtime/socket"
)

func TestDeltasBetweenNodesAreReadAsTheyWereWritten(t *testing.T) {
	want := []Delta{
		{Key: "tally/s", Session: "s", Frame: []byte(`{"t":"session"}`)},
		{Level: socket.LevelIncident, Frame: []byte(`{"t":"signal"}`)},
		{Key: "new/s", Session: "s", Created: true, Frame: []byte(`{}`), Groups: &Groups{7, []vigil.Group{{ID: "1", Name: "A"}}}},
		{Session: "s", Groups: &Groups{Version: 8}},
	}
	var list []byte
	for _, d := range want {
		list = AppendDelta(list, d)
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
		var d Delta
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
