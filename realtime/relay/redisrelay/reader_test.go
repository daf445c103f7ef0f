package redisrelay

import (
	"fmt"
	"testing"
	"time"
)

func TestSilentNodesAreBoundedAndTheNewestStay(t *testing.T) {
	now := time.Now()
	g := &tailing{tailer: &tailer{r: &Relay{cfg: Config{}.withDefaults()}}, peers: map[string]*peer{}}
	for i := range maxSilent + 10 {
		g.peers[fmt.Sprint("dead ", i)] = &peer{heard: now.Add(-time.Hour - time.Duration(i)*time.Minute)}
		g.peers[fmt.Sprint("gone ", i)] = &peer{heard: now.Add(-time.Hour), bye: true}
		g.peers[fmt.Sprint("live ", i)] = &peer{heard: now}
	}
	g.forget(now)
	if got, want := len(g.peers), 2*maxSilent+10; got != want {
		t.Errorf("got %d nodes, want %d: all that live, %d of those that died", got, want, maxSilent)
	}
	for i := range maxSilent + 10 {
		if _, got := g.peers[fmt.Sprint("dead ", i)]; got != (i < maxSilent) {
			t.Errorf("dead %d, the newest being 0: got kept %t", i, got)
		}
	}
}
