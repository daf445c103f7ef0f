package sqlite

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// turn is a lock that the processes of one file take for each transaction that writes.
// SQLite's own is taken by asking again after a sleep, up to 100 ms long, so that a commit
// of 2 ms may cost another process 50. Here the kernel wakes who waits. It only says who
// is next: that no two write at once SQLite sees to, and who does not take part (a shell,
// an older program, a file system without locks) is waited for as before.
//
// It belongs to the writer's goroutine.
type turn struct {
	file    *os.File // nil: go without
	log     *slog.Logger
	patient time.Duration
	held    bool
	asked   *request
}

// newTurn opens the file that is locked. It is one of its own: closing the database's would
// drop SQLite's locks on it, and the one that ends in .lock says whose the database is.
func newTurn(path string, patient time.Duration, log *slog.Logger) *turn {
	t := &turn{log: log, patient: patient}
	if !canLock {
		return t
	}
	f, err := os.OpenFile(path+".turn", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.without(err)
		return t
	}
	t.file = f
	return t
}

// without gives up.
func (t *turn) without(err error) {
	t.log.Warn("the store's processes cannot take turns here; each waits for the others by asking again, which is slower", "error", err)
	t.close()
}

// request is one that the kernel has not answered yet; it takes none back.
type request struct {
	answer chan error

	mu     sync.Mutex
	wanted bool // somebody waits; else the lock is given on as soon as it comes
	passed bool // it was
}

func (r *request) run(f *os.File) {
	err := waitLock(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && !r.wanted {
		r.passed, err = true, unlock(f)
	}
	r.answer <- err
}

// want says whether somebody waits, and tells whether the lock was given on meanwhile.
func (r *request) want(yes bool) (passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = yes
	return r.passed
}

// take waits for this process's turn, but not longer than SQLite would: then SQLite is
// asked, as the process whose turn it is may have been stopped.
func (t *turn) take() {
	if t.file == nil {
		return
	}
	if t.asked != nil && t.asked.want(true) {
		t.asked = nil
	}
	if t.asked == nil {
		taken, err := tryLock(t.file)
		switch {
		case err != nil:
			t.without(err)
			return
		case taken:
			t.held = true
			return
		}
		t.asked = &request{answer: make(chan error, 1), wanted: true}
		go t.asked.run(t.file)
	}
	timer := time.NewTimer(t.patient)
	defer timer.Stop()
	select {
	case err := <-t.asked.answer:
		t.answered(err)
		return
	case <-timer.C:
	}
	t.asked.want(false)
	select { // it may have come before that was said
	case err := <-t.asked.answer:
		if t.asked.passed {
			t.asked = nil
			return
		}
		t.answered(err)
	default:
	}
}

func (t *turn) answered(err error) {
	t.asked = nil
	if err != nil {
		t.without(err)
		return
	}
	t.held = true
}

// give lets the next one go on.
func (t *turn) give() {
	if !t.held {
		return
	}
	t.held = false
	if err := unlock(t.file); err != nil {
		t.without(err)
	}
}

func (t *turn) close() {
	f, asked := t.file, t.asked
	t.file, t.asked, t.held = nil, nil, false
	switch {
	case f == nil:
	case asked != nil:
		asked.want(false)
		go func() {
			if err := <-asked.answer; err != nil {
				t.log.Debug("a lock that was asked for before the store was closed", "error", err)
			}
			_ = f.Close()
		}()
	default:
		_ = f.Close() // nothing was written; the lock goes with it
	}
}
