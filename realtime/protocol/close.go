package protocol

import (
	"github.com/coder/websocket"

	"vigil"
)

// The close codes of ours. What a client must do is in CloseDuty.
const (
	CloseEnded       websocket.StatusCode = 4000 // the session ended
	CloseSuperseded  websocket.StatusCode = 4001 // a newer socket owns the session
	CloseToken       websocket.StatusCode = 4002 // the token ran out unrenewed
	CloseForbidden   websocket.StatusCode = 4003 // no longer allowed here
	CloseDrain       websocket.StatusCode = 4004 // this node stops; the reason is the wait in milliseconds
	CloseRate        websocket.StatusCode = 4005 // too many frames for too long
	CloseSlow        websocket.StatusCode = 4006 // did not read what was sent
	CloseSilent      websocket.StatusCode = 4007 // three pings without an answer, or no hello
	CloseProtocol    websocket.StatusCode = 4008 // does not speak this protocol
	CloseUnavailable websocket.StatusCode = 4009 // a part of ours does not answer
)

// CloseDuty tells for each close code what the client must do. A code that is not in it
// (1001, 1006, 1011, 1012 and the like) means retry.
var CloseDuty = map[websocket.StatusCode]Duty{
	CloseEnded:                      DutyStop,
	CloseSuperseded:                 DutyStop,
	CloseToken:                      DutyRenew,
	CloseForbidden:                  DutyStop,
	CloseDrain:                      DutyRetry,
	CloseRate:                       DutyRetry,
	CloseSlow:                       DutyRetry,
	CloseSilent:                     DutyRetry,
	CloseProtocol:                   DutyStop,
	CloseUnavailable:                DutyRetry,
	websocket.StatusMessageTooBig:   DutyStop,
	websocket.StatusUnsupportedData: DutyStop,
}

// CloseFor is the one table from errors to close codes.
func CloseFor(err error) websocket.StatusCode {
	switch vigil.CodeOf(err) {
	case vigil.CodeForbidden, vigil.CodeNotFound:
		return CloseForbidden
	case vigil.CodeUnauthorized:
		return CloseToken
	case vigil.CodeIllegal:
		return CloseEnded
	case vigil.CodeInvalid, vigil.CodeExists:
		return CloseProtocol
	case vigil.CodeConflict:
		return CloseSuperseded
	case vigil.CodeTooMany:
		return CloseRate
	}
	return CloseUnavailable
}
