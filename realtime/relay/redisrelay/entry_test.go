package redisrelay

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"vigil"
)

func TestAnEntryComesBackAsItWas(t *testing.T) {
	want := entry{
		flags: flagBye, layout: 8, node: "node-1", n: 1 << 40,
		messages: []message{{"exam-a", []byte("one")}, {"exam-b", []byte{}}, {"exam-a", bytes.Repeat([]byte("x"), 70_000)}},
	}
	got, err := parseEntry(want.encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v, want it as it was", got, err)
	}
}

func TestWhatIsNoEntryIsRefused(t *testing.T) {
	good := entry{layout: 8, node: "node", n: 7, messages: []message{{"exam", []byte("payload")}}}.encode()
	for name, b := range map[string][]byte{
		"nothing":                 nil,
		"another version":         append([]byte{9}, good[1:]...),
		"cut":                     good[:len(good)-1],
		"more":                    append(bytes.Clone(good), 1),
		"no node":                 entry{layout: 8, n: 1}.encode(),
		"no number":               entry{layout: 8, node: "n"}.encode(),
		"no partitions":           entry{node: "n", n: 1}.encode(),
		"a message of no exam":    entry{layout: 8, node: "n", n: 1, messages: []message{{"", []byte("x")}}}.encode(),
		"a payload over the size": entry{layout: 8, node: "n", n: 1, messages: []message{{"e", make([]byte, maxPayload+1)}}}.encode(),
		"too many messages":       entry{layout: 8, node: "n", n: 1, messages: make([]message, 1)}.encode(),
	} {
		if _, err := parseEntry(b); !errors.Is(err, errEntry) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(entry{layout: 8, node: "node", n: 7, messages: []message{{"exam", []byte("payload")}}}.encode())
	f.Add(entry{flags: flagBye, layout: 1, node: "n", n: 1}.encode())
	f.Add([]byte{1, 0, 8, 1, 'n', 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err != nil {
			return
		}
		again, err := parseEntry(e.encode())
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("got %+v, %v, want %+v", again, err, e)
		}
	})
}

func TestIDsOfEntriesAreCompared(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{"1-1", "1-2", true},
		{"1-2", "1-1", false},
		{"2-0", "10-0", true},
		{"10-0", "2-0", false},
		{"0-0", "1-0", true},
		{"1-0", "1-0", false},
		{"x", "1-0", false},
		{"1-0", "", false},
	} {
		if got := before(row.a, row.b); got != row.want {
			t.Errorf("%s before %s: got %t, want %t", row.a, row.b, got, row.want)
		}
	}
}

func TestARedisURLThatMakesNoSenseIsRefusedWithoutItsPassword(t *testing.T) {
	for _, raw := range []string{
		"", "localhost:6379", "http://u:geheim@localhost", "redis://", "redis://u:geheim@localhost:6379?nonsense=1", "redis://u:geheim@localhost:6379/x",
		"redis://u:geheim@localhost?cluster=maybe", "redis://u:geheim@localhost/3?cluster=true", "redis://u:geheim@localhost?cluster=true&master_name=m",
		"redis://u:geheim@local host", "redis://u:geheim@h?dial_timeout=x",
	} {
		_, err := open(raw)
		var e *vigil.Error
		if !errors.As(err, &e) || e.Code != vigil.CodeInvalid || e.Field != "redis" {
			t.Errorf("%s: got %v, want it invalid, with the field", raw, err)
		} else if bytes.Contains([]byte(err.Error()), []byte("geheim")) {
			t.Errorf("%s: the error repeats the password: %v", raw, err)
		}
	}
	for _, raw := range []string{
		"redis://localhost", "rediss://user:pass@host:6380/2", "redis://h:1?cluster=true", "redis://h:1?addr=i:2&addr=j:3", "unix:///run/redis.sock?db=1",
		"redis://h:26379?master_name=vigil&addr=i:26379", "rediss://h?cluster=1",
	} {
		connect, err := open(raw)
		if err != nil {
			t.Errorf("%s: got %v, want it taken", raw, err)
			continue
		}
		if err := connect(1).Close(); err != nil {
			t.Error(err)
		}
	}
}
