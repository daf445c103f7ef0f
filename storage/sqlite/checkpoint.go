package sqlite

import (
	"context"
	"database/sql"
	"log/slog"
	"time"
)

// checkpointer copies the log into the database file on a connection of its own. SQLite
// would do it within the commit that makes the log long, which then waits for thousands of
// pages and another flush of the disk, and so does everybody behind it; and it would do it
// after each 4 MiB, which a busy exam writes in seconds, over and over the same pages.
// The writer does it itself only when the log has grown to 64 MiB, as it may when readers
// hold it up for long.
type checkpointer struct {
	log    *slog.Logger
	w      *writer
	db     *sql.DB
	cancel context.CancelFunc
	ended  chan struct{}
}

// checkpointEvery is how often the log is copied while there are writes.
const checkpointEvery = 10 * time.Second

func startCheckpointer(ctx context.Context, w *writer, c Config) (*checkpointer, error) {
	db, err := openDB(c.Path, c.LockWait, false)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &checkpointer{log: c.Logger, w: w, db: db, cancel: cancel, ended: make(chan struct{})}
	go k.run(ctx)
	return k, nil
}

func (k *checkpointer) run(ctx context.Context) {
	defer close(k.ended)
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for done := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		commits := k.w.commits.Load()
		if commits == done {
			continue
		}
		done = commits
		// Passive: it waits for nobody and nobody for it. What is in use stays for the next
		// time, and so does everything when another process is at it.
		if _, err := k.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil && ctx.Err() == nil {
			k.log.Warn("copying the store's log into its file", "error", err)
		}
	}
}

func (k *checkpointer) close() {
	k.cancel()
	<-k.ended
	if err := k.db.Close(); err != nil {
		k.log.Warn("closing the store's connection", "error", err)
	}
}
