package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"vigil"
	"vigil/storage"
)

// Bounds of one commit. More than this waits for the next one.
const (
	maxGroup        = 512  // writes
	maxGroupSignals = 4096 // signals
)

// writer owns the one connection that writes. A goroutine takes what is queued, runs it
// in one transaction and commits; whatever arrives meanwhile is the next transaction.
// So a single caller waits for one flush of the disk, and many at once share one.
//
// No caller gets an answer before the commit: an answer such as CodeExists may rest on
// another write of the same group, and if the commit fails, all of them did nothing.
type writer struct {
	// Immutable.
	log   *slog.Logger
	ctx   context.Context //nolint:containedctx // ends with nothing: a begun commit is always finished
	queue chan *op
	stop  chan struct{}
	ended chan struct{}
	once  sync.Once

	schema int // the version that this program knows

	// Counted, for Stats.
	commits, writes, failures atomic.Int64

	// Owned by the goroutine.
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by their text: a fixed number of statements
	known memory
	turn  *turn

	closeErr error // set before ended is closed
}

// The states of an op. Whoever moves it on from opWaiting decides: the writer that it
// will be run, or its caller, whose context ended, that it will not.
const (
	opWaiting int32 = iota
	opBegun
	opWithdrawn
)

// op is one write.
type op struct {
	what    string // for messages
	several bool   // more than one statement changes something: needs a savepoint
	do      func(t tx) error
	signals *appending // instead of do: appended together with others'

	state atomic.Int32
	err   error
	done  chan struct{}
}

func startWriter(ctx context.Context, db *sql.DB, c Config, schema int) (*writer, error) {
	w := &writer{
		schema: schema, log: c.Logger, ctx: context.WithoutCancel(ctx), db: db,
		turn:  newTurn(c.Path, c.LockWait, c.Logger),
		queue: make(chan *op, c.Queue), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := w.connect(); err != nil {
		w.turn.close()
		return nil, convert("store", err)
	}
	go w.run()
	return w, nil
}

// write runs a write of one statement (after which nothing else can fail) and returns
// when it is on the disk.
func (s *Store) write(ctx context.Context, what string, do func(t tx) error) error {
	return s.w.submit(ctx, &op{what: what, do: do})
}

// writeAll runs a write of several statements, all of which take effect, or none.
func (s *Store) writeAll(ctx context.Context, what string, do func(t tx) error) error {
	return s.w.submit(ctx, &op{what: what, do: do, several: true})
}

// submit queues a write and waits for its outcome. While the queue is full it blocks.
// A context that ends before the write has begun withdraws it; later, the outcome is
// waited for, so that the answer is always what happened.
func (w *writer) submit(ctx context.Context, o *op) error {
	o.done = make(chan struct{})
	if err := ctx.Err(); err != nil {
		return convert(o.what, err)
	}
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	select {
	case w.queue <- o:
	case <-ctx.Done():
		return convert(o.what, ctx.Err())
	case <-w.stop:
		return errClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		if o.state.CompareAndSwap(opWaiting, opWithdrawn) {
			return convert(o.what, ctx.Err())
		}
	case <-w.ended:
	}
	select {
	case <-o.done:
		return o.err
	case <-w.ended:
	}
	select {
	case <-o.done:
		return o.err
	default:
		return errClosed
	}
}

var errClosed = &vigil.Error{Code: vigil.CodeUnavailable, Message: "The store is closed."}

func (w *writer) run() {
	defer close(w.ended)
	defer w.turn.close()
	for {
		select {
		case o := <-w.queue:
			w.group(o)
		case <-w.stop:
			for {
				select {
				case o := <-w.queue:
					w.group(o)
				default:
					w.closeErr = errors.Join(w.disconnect(), w.db.Close())
					return
				}
			}
		}
	}
}

// Close is close, for what could not be opened.
func (w *writer) Close() error { return w.close() }

func (w *writer) close() error {
	w.once.Do(func() { close(w.stop) })
	<-w.ended
	return convert("store", w.closeErr)
}

// group commits the first write and those that are waiting behind it.
func (w *writer) group(first *op) {
	if first.state.Load() == opWithdrawn {
		return
	}
	w.turn.take()
	err := w.begin()
	// Those that wait are taken after BEGIN, which may itself wait for another process, and
	// after the callers whom the last commit woke had their turn to come back.
	runtime.Gosched()
	ops := w.take(first)
	if err == nil {
		err = w.fence()
	}
	if err == nil {
		err = w.runAll(ops)
	}
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err != nil {
		w.failures.Add(1)
		w.log.Error("writing to the store", "error", err, "writes", len(ops))
		w.rollback()
		w.known.forget()
		failed := vigil.Wrap(err, vigil.CodeUnavailable, "The store cannot be written at the moment. Try again.")
		for _, o := range ops {
			o.err = failed
		}
	} else {
		w.commits.Add(1)
		w.writes.Add(int64(len(ops)))
	}
	w.turn.give()
	for _, o := range ops {
		close(o.done)
	}
}

// begin opens the transaction. A connection that is broken is replaced once.
func (w *writer) begin() error {
	if w.conn != nil {
		err := w.exec("BEGIN IMMEDIATE")
		if err == nil || passing(resultCode(err)) {
			return err
		}
		w.log.Warn("the store's connection is replaced", "error", err)
		if err := w.disconnect(); err != nil {
			w.log.Warn("closing the store's connection", "error", err)
		}
	}
	if err := w.connect(); err != nil {
		return err
	}
	return w.exec("BEGIN IMMEDIATE")
}

// take collects the group: the first and what is queued, up to the bounds.
func (w *writer) take(first *op) []*op {
	var ops []*op
	signals := 0
	for o := first; ; {
		if o.state.CompareAndSwap(opWaiting, opBegun) {
			ops = append(ops, o)
			if o.signals != nil {
				signals += len(o.signals.in)
			}
		}
		if len(ops) >= maxGroup || signals >= maxGroupSignals {
			return ops
		}
		select {
		case o = <-w.queue:
		default:
			return ops
		}
	}
}

// runAll runs a group's writes. An error means that the transaction is lost; what only
// concerns one write is that op's err.
func (w *writer) runAll(ops []*op) error {
	t := tx{w}
	var appends []*op
	for _, o := range ops {
		if o.signals != nil {
			appends = append(appends, o)
			continue
		}
		if err := w.runOne(t, o); err != nil {
			return err
		}
	}
	if len(appends) == 0 {
		return nil
	}
	together := func() error { return appendTogether(t, appends) }
	var err error
	if len(appends) == len(ops) {
		// The whole transaction: without a savepoint SQLite need not copy each page.
		if err = together(); err != nil && !lost(err) {
			w.known.forget()
			if e := errors.Join(w.exec("ROLLBACK"), w.exec("BEGIN IMMEDIATE")); e != nil {
				return &lostError{e}
			}
		}
	} else {
		err = w.guarded(together)
	}
	if err == nil || lost(err) {
		return err
	}
	// One of them is at fault; alone each gets its own answer.
	w.log.Warn("appending signals together", "error", err, "writes", len(appends))
	for _, o := range appends {
		o.err = nil
		err := w.guarded(func() error { return appendTogether(t, []*op{o}) })
		if err != nil {
			if lost(err) {
				return err
			}
			o.err = convert("signal", err)
		}
	}
	return nil
}

func (w *writer) runOne(t tx, o *op) error {
	var err error
	if o.several {
		err = w.guarded(func() error { return o.do(t) })
	} else {
		err = o.do(t)
	}
	if err != nil && lost(err) {
		return err
	}
	o.err = convert(o.what, err)
	return nil
}

// guarded runs statements so that all of them take effect or none.
func (w *writer) guarded(do func() error) error {
	if err := w.exec("SAVEPOINT one"); err != nil {
		return err
	}
	err := do()
	if err != nil {
		w.known.forget()
		if lost(err) {
			return err
		}
		if e := w.exec("ROLLBACK TO one"); e != nil {
			return &lostError{e}
		}
	}
	if e := w.exec("RELEASE one"); e != nil {
		return &lostError{e}
	}
	return err
}

// lostError marks an error after which the transaction cannot go on.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func lost(err error) bool {
	var l *lostError
	return errors.As(err, &l) || passing(resultCode(err)) || errors.Is(err, sql.ErrConnDone)
}

// rollback ends a transaction that failed. SQLite may have ended it by itself (a full
// disk) or never begun it (a lock). When its state is not certain, the connection is
// given up.
func (w *writer) rollback() {
	if w.conn == nil {
		return
	}
	err := w.exec("ROLLBACK")
	if err == nil || strings.Contains(err.Error(), "no transaction is active") {
		return
	}
	if err := w.disconnect(); err != nil {
		w.log.Warn("closing the store's connection", "error", err)
	}
}

func (w *writer) connect() error {
	conn, err := w.db.Conn(w.ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// disconnect closes the connection for good: it does not go back to the pool.
func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	var errs []error
	for _, st := range w.stmts {
		errs = append(errs, st.Close())
	}
	if err := w.conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		errs = append(errs, err)
	}
	if err := w.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	w.conn, w.stmts = nil, nil
	return errors.Join(errs...)
}

func (w *writer) exec(query string) error {
	_, err := tx{w}.exec(query)
	return err
}

// tx is the transaction that a write runs in. It is valid until the write returns.
type tx struct{ w *writer }

func (t tx) stmt(query string) (*sql.Stmt, error) {
	if st := t.w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := t.w.conn.PrepareContext(t.w.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = st
	return st, nil
}

// exec runs a statement and returns how many rows it changed.
func (t tx) exec(query string, args ...any) (int64, error) {
	st, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(t.w.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// one reads one row, of a SELECT or of a RETURNING; none is sql.ErrNoRows.
func one[T any](t tx, scan scanner[T], query string, args ...any) (T, error) {
	var zero T
	rows, err := all(t, scan, query, args...)
	switch {
	case err != nil:
		return zero, err
	case len(rows) == 0:
		return zero, sql.ErrNoRows
	}
	return rows[0], nil
}

// all reads all rows of a statement.
func all[T any](t tx, scan scanner[T], query string, args ...any) ([]T, error) {
	st, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(t.w.ctx, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

// each gives the rows of a statement to a function, until that has enough.
func each(t tx, do func(r row) (more bool, err error), query string, args ...any) (err error) {
	st, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(t.w.ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if more, err := do(rows); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// update runs a conditional UPDATE. When it changed nothing, probe (a SELECT of any
// row) tells what is not there from what has another version.
func (t tx) update(what, query string, args []any, probe string, probeArgs ...any) error {
	n, err := t.exec(query, args...)
	if err != nil || n > 0 {
		return err
	}
	if _, err := one(t, number, probe, probeArgs...); err != nil {
		return err
	}
	return conflict(what)
}

// number scans one number.
func number(r row, extra ...any) (n int64, err error) { return n, r.Scan(into(extra, &n)...) }

// Stats counts what the writer did since the store was opened.
type Stats struct {
	Commits  int64 // transactions
	Writes   int64 // calls that were committed; Writes/Commits is how many shared a flush
	Failures int64 // transactions that failed
	Waiting  int   // calls in the queue now
}

// Stats is for metrics.
func (s *Store) Stats() Stats {
	return Stats{
		Commits: s.w.commits.Load(), Writes: s.w.writes.Load(), Failures: s.w.failures.Load(), Waiting: len(s.w.queue),
	}
}

// appending is a call of AppendSignals.
type appending struct {
	in  []vigil.Signal
	out []storage.Appended
}
