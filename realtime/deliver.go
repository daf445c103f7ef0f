package realtime

import (
	"context"
	"encoding/json"

	"vigil"
	"vigil/realtime/protocol"
	"vigil/realtime/session"
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
			it.Sent = st.delivering(sent.ID)
		}
		c.Put(it)
	}
	if ended {
		c.Close(protocol.CloseEnded, "")
	}
	return true
}

// delivering begins to deliver a command to the student. The function that it returns notes that it was written
// to the student's socket.
func (st *student) delivering(id string) (written func()) {
	traced, end := st.n.cfg.Tracer.Begin(st.n.ctx, session.StepStudent, st.id, id)
	return func() {
		st.jobs.Add(st.n.tasks, 0, func(context.Context) {
			ctx, cancel := context.WithTimeout(traced, st.n.cfg.WriteWait) // it is a courtesy to the proctor, and others wait behind it
			defer cancel()
			err := st.n.retry(ctx, "delivered", func(ctx context.Context) error {
				return st.n.sessions.Advance(ctx, st.id, id, vigil.StageDelivered)
			})
			end(err)
			if err != nil && st.n.ctx.Err() == nil {
				st.n.log.Warn("a command's progress is not stored", "session", st.id, "error", err)
			}
		})
	}
}
