package realtime

import (
	"bytes"
	"testing"
)

func TestDeltasBetweenNodesAreReadAsTheyWereWritten(t *testing.T) {
	want := []delta{
		{key: "tally/s", frame: []byte(`{"t":"session"}`)},
		{level: levelIncident, frame: []byte(`{"t":"signal"}`)},
		{key: "new/s", created: "s", frame: []byte(`{}`)},
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
		if d.key != w.key || d.level != w.level || d.created != w.created || !bytes.Equal(d.frame, w.frame) {
			t.Errorf("delta %d: got %+v, want %+v", i, d, w)
		}
	}
	if len(rest) > 0 {
		t.Errorf("got %d bytes more, want none", len(rest))
	}
	if _, _, err := cutDelta([]byte{byte(levelIncident) + 1, 0, 0, 0}); err == nil {
		t.Error("got a delta of a level that is none")
	}
}
