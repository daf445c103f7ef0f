package socket

import (
	"bytes"
	"fmt"
	"testing"
)

func TestInAFullQueueADeltaReplacesOnlyOneOfItsKey(t *testing.T) {
	t.Parallel()
	s := &Server{env: testEnv()}
	s.env.Limits.Queue = 100
	c := &Conn{s: s, flushing: true} // nothing is written meanwhile
	put := func(key, frame string) { c.PutDelta(key, LevelState, []byte(frame)) }
	for i := range 50 {
		put(fmt.Sprint("full/", i), "full")
	}
	put("newer", "newer")
	put("older", "older")
	put("newer", "again")
	var got [][]byte
	for _, it := range c.queue[50:] {
		got = append(got, it.Frame)
	}
	if g := bytes.Join(got, []byte(", ")); string(g) != "again, older" {
		t.Errorf("got %s in the queue, want again, older", g)
	}
}
