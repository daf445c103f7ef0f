package realtime

import (
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/protocol"
)

// maxChecks is how many trial sockets may be open at once. They need no token.
const maxChecks = 16

// isCheck tells whether a request offers a trial socket: CheckSubprotocol where the token
// would be.
func isCheck(header http.Header) bool {
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

// serveCheck opens a trial socket and closes it at once, so that an administrator's page
// can try the whole way from a browser without anybody's session. Nothing is read from
// it, nothing is told but that it was opened. It asks what other sockets ask before
// their token: that the node stays, and that the page is the tool's or an active
// platform's.
func (h *Hub) serveCheck(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() || !h.tasks.Begin() {
		h.refuseHTTP(w, r, errDraining)
		return
	}
	defer h.tasks.Done()
	if err := upgradeOnly(r); err != nil {
		h.refuseHTTP(w, r, err)
		return
	}
	if err := h.checkOrigin(r.Context(), r); err != nil {
		h.refuseHTTP(w, r, err)
		return
	}
	if h.checks.Add(1) > maxChecks {
		h.checks.Add(-1)
		h.refuseHTTP(w, r, vigil.Errorf(vigil.CodeUnavailable, "Too many connections are being tried at once; try again."))
		return
	}
	defer h.checks.Add(-1)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol.Subprotocol},
		InsecureSkipVerify: true, // the origin was checked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil { // Accept has answered
		h.stats.refused.Add(1)
		return
	}
	ws.SetReadLimit(1)
	// A peer that does not answer the close is left after five seconds.
	if err := ws.Close(websocket.StatusNormalClosure, protocol.CheckReason); err != nil {
		h.log.Debug("a trial socket was not closed in order", "error", err)
	}
}
