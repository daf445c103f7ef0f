package realtime

import (
	"context"
	"encoding/json"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/socket"
)

// deliver gives frames to the owner's socket if it is here.
func (st *student) deliver(fs []json.RawMessage, sent *sentCommand, ended bool) bool {
	st.mu.Lock()
	c := st.owner
	st.mu.Unlock()
	if c == nil {
		return false
	}
	for i, f := range fs {
		it := socket.Item{Frame: f}
		if i == 0 && sent != nil {
			it.Sent = func() { st.delivered(sent.ID) }
		}
		c.Put(it)
	}
	if ended {
		c.Close(protocol.CloseEnded, "")
	}
	return true
}

// delivered notes that a command was written to the student's socket.
func (st *student) delivered(id string) {
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, st.n.cfg.WriteWait) // it is a courtesy to the proctor, and others wait behind it
		defer cancel()
		err := st.n.retry(ctx, "delivered", func(ctx context.Context) error {
			return st.n.sessions.Advance(ctx, st.id, id, vigil.StageDelivered)
		})
		if err != nil && st.n.ctx.Err() == nil {
			st.n.log.Warn("a command's progress is not stored", "session", st.id, "error", err)
		}
	})
}
