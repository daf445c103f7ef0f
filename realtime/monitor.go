package realtime

import (
	"context"
	"time"

	"vigil"
	"vigil/realtime/dashboard"
)

// monitorLocked takes in what is known of the monitor by now. Another state is told and stored at
// once; totals are with the next stored presence, and soon enough. st.mu and room.order (for
// reading) are held.
func (st *student) monitorLocked(m vigil.Monitor, now time.Time) {
	old := st.monitor
	if m == old {
		return
	}
	st.monitor, st.monitorDirty = m, true
	if m.State != old.State {
		st.tellMonitorLocked()
	}
	if m.State != old.State || now.Sub(st.monitorSaved) >= monitorEvery {
		st.saveMonitorLocked(now)
	}
}

func (st *student) tellMonitorLocked() {
	st.room.Publish(dashboard.MonitorDelta(st.id, st.monitor))
}

// saveMonitorLocked stores what is known of the monitor soon. st.mu is held.
func (st *student) saveMonitorLocked(now time.Time) {
	if !st.monitorDirty {
		return
	}
	st.monitorDirty, st.monitorSaved = false, now
	st.jobs.Add(st.n.tasks, 0, func(ctx context.Context) {
		err := st.n.retry(ctx, "monitor", func(ctx context.Context) error {
			st.mu.Lock()
			m := st.monitor
			st.mu.Unlock()
			return st.n.store.SetMonitor(ctx, st.id, m)
		})
		if err != nil && ctx.Err() == nil {
			st.n.log.Error("totals of a monitor not stored", "session", st.id, "error", err)
		}
	})
}

// learnMonitorLocked takes what another node stored of the monitor. st.mu is held.
func (st *student) learnMonitorLocked(m vigil.Monitor) {
	if m.Heard.After(st.monitor.Heard) || m.Since.After(st.monitor.Since) && !st.monitor.Heard.After(m.Heard) {
		st.monitor, st.monitorDirty = m, false
	}
}

const (
	missedMost   = 3                // answers in a row that may be missing of a page that is shown
	maxDocs      = 8                // pages of a session whose totals are remembered
	stoodStill   = 45 * time.Second // by how much the clock of a page that is shown may differ from ours between two answers: a short sleep, a line that stood
	monitorEvery = 10 * time.Minute // totals are stored so often, where nothing else is
)
