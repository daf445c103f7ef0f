package sqlite

import (
	"strings"

	"vigil"
)

// memory is what the writer remembers of sessions and streams, so that it need not look
// for them with each signal: their pages are many, and after each commit of another process
// SQLite reads anew what it had in its cache. What it remembers of a stream or session is
// right for as long as neither is removed and no signal is; whoever removes some says so
// by forgotten, which every process sees in its next transaction.
type memory struct {
	round   int64
	streams map[named]*stream
	holders map[int64]*holder
}

// maxKnown bounds the streams, and the sessions, that are remembered: beyond, all are
// forgotten.
const maxKnown = 1 << 15

// at returns the streams that are known in this transaction. Of them only names and
// numbers may be used: the counts may be old.
func (m *memory) at(t tx) (map[named]*stream, error) {
	round, err := one(t, number, `SELECT round FROM removals WHERE one = 1`)
	if err != nil {
		return nil, err
	}
	if round != m.round || m.streams == nil || max(len(m.streams), len(m.holders)) > maxKnown {
		m.forget()
		m.round = round
	}
	return m.streams, nil
}

// holder remembers a session; one that is known already stays.
func (m *memory) holder(h holder) *holder {
	if m.holders[h.no] == nil {
		m.holders[h.no] = &h
	}
	return m.holders[h.no]
}

// add remembers a stream. The server's own are not: each session has some, and a signal now
// and then.
func (m *memory) add(st *stream) {
	if !strings.HasPrefix(st.name.stream, vigil.ServerStreamPrefix) {
		m.streams[st.name] = st
	}
}

// forget is for when a transaction, or part of it, is undone.
func (m *memory) forget() {
	m.streams, m.holders = map[named]*stream{}, map[int64]*holder{}
}

// forgotten makes every process forget its sessions and streams, before some of them are
// removed, or signals of theirs are.
func forgotten(t tx) error {
	_, err := t.exec(`UPDATE removals SET round = round + 1, last = max(last, (SELECT coalesce(max(no), 0) FROM signals)) WHERE one = 1`)
	return err
}
