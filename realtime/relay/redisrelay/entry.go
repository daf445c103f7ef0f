package redisrelay

import (
	"encoding/binary"
	"errors"
)

// An entry of a stream holds one field, fieldEntry, with these bytes:
//
//	1 byte    entryVersion
//	1 byte    flags
//	uvarint   the node's layout: the number of partitions that it works with, and formatStep
//	          for each version of the payloads (relay.Format) after the first
//	string    the node's id: new at each start
//	uvarint   counter of the node's entries in this stream, from 1 on
//	then, until the end, messages: string exam, string payload
//
// where a string is a uvarint of its length and its bytes. An entry without messages is a
// sign of life; by the counter it also tells that nothing was lost before it.
const (
	fieldEntry   = "e"
	entryVersion = 1

	flagBye = 1 // the node's last entry: it ends in order
)

// Bounds of an entry. What is larger was not written by us.
const (
	maxNode       = 128
	maxExam       = 256
	maxPayload    = 1 << 20
	maxEntry      = 2 << 20
	maxMessages   = 4096
	maxPartitions = 512
	formatStep    = 512
	maxLayout     = 16 * formatStep
)

// message is one payload for one exam's receivers.
type message struct {
	exam    string
	payload []byte
}

// size is what the message takes in an entry, at most.
func (m message) size() int { return len(m.exam) + len(m.payload) + 2*binary.MaxVarintLen32 }

type entry struct {
	flags    byte
	layout   uint64
	node     string
	n        uint64
	messages []message
}

var errEntry = errors.New("this is no entry of a relay of this version of Vigil")

func (e entry) encode() []byte {
	size := 2 + 4*binary.MaxVarintLen64 + len(e.node)
	for _, m := range e.messages {
		size += m.size()
	}
	b := make([]byte, 0, size)
	b = append(b, entryVersion, e.flags)
	b = binary.AppendUvarint(b, e.layout)
	b = appendString(b, e.node)
	b = binary.AppendUvarint(b, e.n)
	for _, m := range e.messages {
		b = appendString(b, m.exam)
		b = appendString(b, m.payload)
	}
	return b
}

func appendString[S string | []byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// parseEntry takes an entry apart. Its payloads are parts of b.
func parseEntry(b []byte) (entry, error) {
	var e entry
	if len(b) < 2 || len(b) > maxEntry || b[0] != entryVersion {
		return e, errEntry
	}
	e.flags = b[1]
	r := reader{rest: b[2:]}
	e.layout = r.number()
	e.node = string(r.text(maxNode))
	e.n = r.number()
	if r.bad || e.node == "" || e.n == 0 || e.layout == 0 || e.layout > maxLayout {
		return entry{}, errEntry
	}
	for len(r.rest) > 0 {
		exam := string(r.text(maxExam))
		payload := r.text(maxPayload)
		if r.bad || exam == "" || len(e.messages) == maxMessages {
			return entry{}, errEntry
		}
		e.messages = append(e.messages, message{exam, payload})
	}
	return e, nil
}

// reader takes bytes from the front; the first thing that is wrong makes it bad.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text(most uint64) []byte {
	n := r.number()
	if r.bad || n > most || n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s
}
