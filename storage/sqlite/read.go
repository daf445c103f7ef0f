package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"

	"vigil"
	"vigil/storage"
)

// row is what a scan function reads: sql.Row or sql.Rows.
type row interface{ Scan(dest ...any) error }

// scanner reads one thing. Extra destinations take the columns that come before its own.
type scanner[T any] func(r row, extra ...any) (T, error)

// reader returns the prepared form of a query. The texts are constants, so there is a
// fixed number of them.
func (s *Store) reader(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.reads[query]; st != nil {
		return st, nil
	}
	st, err := s.readDB.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.reads[query] = st
	return st, nil
}

// get reads one thing; none is CodeNotFound.
func get[T any](ctx context.Context, s *Store, what string, scan scanner[T], query string, args ...any) (T, error) {
	var zero T
	st, err := s.reader(ctx, query)
	if err != nil {
		return zero, convert(what, err)
	}
	out, err := scan(st.QueryRowContext(ctx, args...))
	if err != nil {
		return zero, convert(what, err)
	}
	return out, nil
}

// list reads everything that a query finds.
func list[T any](ctx context.Context, s *Store, what string, scan scanner[T], query string, args ...any) ([]T, error) {
	st, err := s.reader(ctx, query)
	if err != nil {
		return nil, convert(what, err)
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, convert(what, err)
	}
	out, err := collect(rows, scan)
	return out, convert(what, err)
}

// collect reads rows to their end and closes them.
func collect[T any](rows *sql.Rows, scan scanner[T]) (out []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// cursor is a place in a list: after the row with this time (0 in lists that go by
// number alone) and number.
type cursor struct{ at, no int64 }

// Before everything, in lists that go up and down.
var (
	lowest  = cursor{at: math.MinInt64}
	highest = cursor{at: math.MaxInt64, no: math.MaxInt64}
)

func (c cursor) String() string {
	return strconv.FormatInt(c.at, 36) + "." + strconv.FormatInt(c.no, 36)
}

func parseCursor(after string, start cursor) (cursor, error) {
	if after == "" {
		return start, nil
	}
	a, n, ok := strings.Cut(after, ".")
	at, errAt := strconv.ParseInt(a, 36, 64)
	no, errNo := strconv.ParseInt(n, 36, 64)
	if !ok || errAt != nil || errNo != nil {
		return cursor{}, vigil.Invalid("after", "This is not a place in the list.")
	}
	return cursor{at: at, no: no}, nil
}

// paged is a query that comes in pages. Its first two columns are the cursor's, and its
// last parameter is the LIMIT.
type paged[T any] struct {
	what  string
	scan  scanner[T]
	start cursor
	query string
	args  func(c cursor) []any
}

func (p paged[T]) read(ctx context.Context, s *Store, page storage.Page) (out []T, next string, err error) {
	c, err := parseCursor(page.After, p.start)
	if err != nil {
		return nil, "", err
	}
	limit := page.Limit
	if limit <= 0 || limit > storage.MaxPage {
		limit = storage.MaxPage
	}
	type entry struct {
		v T
		c cursor
	}
	rows, err := list(ctx, s, p.what, func(r row, _ ...any) (e entry, err error) {
		e.v, err = p.scan(r, &e.c.at, &e.c.no)
		return e, err
	}, p.query, append(p.args(c), limit+1)...)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].c.String()
	}
	out = make([]T, len(rows))
	for i, e := range rows {
		out[i] = e.v
	}
	return out, next, nil
}

// into puts extra destinations before a thing's own.
func into(extra []any, own ...any) []any { return append(extra, own...) }
