package dashboard

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"vigil/realtime/protocol"
	"vigil/realtime/relay"
	"vigil/realtime/socket"
)

// Deltas for an exam's proctors are most of what is relayed. They are no JSON but, after
// deltasMark, one after the other: a byte for the level, with createdMark where it adds a
// session, then key, session, groups (Groups as JSON, or nothing) and frame, each a uvarint
// of its length and its bytes.
const (
	deltasMark  = relay.Format
	createdMark = 0x80
)

// size is what a delta takes on its way, at most, but for the groups.
func (d Delta) size() int {
	return 1 + len(d.Key) + len(d.Session) + len(d.Frame) + 4*binary.MaxVarintLen32
}

// AppendDelta appends one to a payload, which it begins if there is none yet.
func AppendDelta(b []byte, d Delta) []byte {
	if len(b) == 0 {
		b = append(b, deltasMark)
	}
	head := byte(d.Level)
	if d.Created {
		head |= createdMark
	}
	b = append(b, head)
	var groups []byte
	if d.Groups != nil {
		groups = protocol.Encode(d.Groups)
	}
	b = append(binary.AppendUvarint(b, uint64(len(d.Key))), d.Key...)
	b = append(binary.AppendUvarint(b, uint64(len(d.Session))), d.Session...)
	b = append(binary.AppendUvarint(b, uint64(len(groups))), groups...)
	return append(binary.AppendUvarint(b, uint64(len(d.Frame))), d.Frame...)
}

var errDeltas = errors.New("this is no list of deltas of this version of Vigil")

// cutDelta takes the first delta off a list. Its frame is a part of b.
func cutDelta(b []byte) (d Delta, rest []byte, err error) {
	if len(b) == 0 || b[0]&^createdMark > byte(socket.LevelIncident) {
		return Delta{}, nil, errDeltas
	}
	d.Level, d.Created = socket.Level(b[0]&^createdMark), b[0]&createdMark != 0
	b = b[1:]
	var parts [4][]byte
	for i := range parts {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return Delta{}, nil, errDeltas
		}
		parts[i], b = b[used:used+int(n):used+int(n)], b[used+int(n):]
	}
	d.Key, d.Session = string(parts[0]), string(parts[1])
	if len(parts[2]) > 0 {
		if err := json.Unmarshal(parts[2], &d.Groups); err != nil {
			return Delta{}, nil, errDeltas
		}
	}
	if len(parts[3]) > 0 {
		d.Frame = parts[3]
	}
	return d, b, nil
}

// IsDeltas tells whether what another node sent is a list of deltas, for Board.TellRelayed.
func IsDeltas(payload []byte) bool { return len(payload) > 0 && payload[0] == deltasMark }
