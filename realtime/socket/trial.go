package socket

import (
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/protocol"
)

// maxTrials is how many trial sockets may be open at once. They need no token.
const maxTrials = 16

// OffersTrial tells whether a request offers a trial socket: CheckSubprotocol where the token
// would be.
func OffersTrial(header http.Header) bool {
	checks, others := 0, 0
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			switch strings.TrimSpace(p) {
			case protocol.CheckSubprotocol:
				checks++
			case protocol.Subprotocol:
			default:
				others++
			}
		}
	}
	return checks == 1 && others == 0
}

// ServeTrial opens a trial socket and closes it at once, so that an administrator's page
// can try the whole way from a browser without anybody's session. Nothing is read from
// it, nothing is told but that it was opened.
func (s *Server) ServeTrial(w http.ResponseWriter, r *http.Request) {
	if s.trials.Add(1) > maxTrials {
		s.trials.Add(-1)
		s.Refuse(w, r, vigil.Errorf(vigil.CodeUnavailable, "Too many connections are being tried at once; try again."))
		return
	}
	defer s.trials.Add(-1)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol.Subprotocol},
		InsecureSkipVerify: true, // the origin was checked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil { // Accept has answered
		s.env.Counters.Refused.Add(1)
		return
	}
	ws.SetReadLimit(1)
	// A peer that does not answer the close is left after five seconds.
	if err := ws.Close(websocket.StatusNormalClosure, protocol.CheckReason); err != nil {
		s.env.Log.Debug("a trial socket was not closed in order", "error", err)
	}
}
