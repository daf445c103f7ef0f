package dashboard

import (
	"vigil"
	"vigil/realtime/protocol"
)

// frameRights says for each type of frame that a proctor may send which right it needs.
// Commands need what their kind says; a type that is not here is refused to everyone.
var frameRights = map[protocol.Type]vigil.Right{
	protocol.TypeSubscribe: vigil.RightWatch,
	protocol.TypeChat:      vigil.RightTalk,
	protocol.TypeSeen:      vigil.RightTalk,
	protocol.TypeLostTime:  vigil.RightTime,
	protocol.TypeTime:      vigil.RightWatch,
	protocol.TypeBye:       vigil.RightWatch,
}

// rightOf is what a frame needs; false: nothing is known of it, and what takes it refuses it.
func rightOf(f *protocol.Up) (vigil.Right, bool) {
	if f.T == protocol.TypeCommand {
		right := vigil.CommandKind(f.Kind).Right()
		return right, right != ""
	}
	right, ok := frameRights[f.T]
	return right, ok
}
