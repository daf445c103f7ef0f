package socket

import (
	"strings"
	"testing"

	"vigil/realtime/protocol"
)

// FuzzOffered feeds subprotocol headers: whatever is offered, at most one token comes of
// it, and only beside ours.
func FuzzOffered(f *testing.F) {
	for _, s := range []string{"vigil.v1, vigil.token.abc", "vigil.token.abc", "vigil.v1", "", ",", "vigil.v1,vigil.token.a,vigil.token.b", "VIGIL.V1, vigil.token.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		token, err := OfferedToken(map[string][]string{"Sec-Websocket-Protocol": {line}})
		if err == nil && (token == "" || strings.ContainsAny(token, ", ") || !strings.Contains(line, protocol.Subprotocol)) {
			t.Fatalf("%q: got the token %q", line, token)
		}
	})
}
