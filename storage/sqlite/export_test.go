package sqlite

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Statements returns the texts of all that the store has prepared, for the tests of
// their plans.
func (s *Store) Statements(ctx context.Context) (out []string, err error) {
	err = s.write(ctx, "store", func(t tx) error {
		out = slices.Collect(maps.Keys(t.w.stmts))
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(out, slices.Collect(maps.Keys(s.reads))...), err
}

// Plan explains how SQLite runs a statement.
func (s *Store) Plan(ctx context.Context, query string) ([]string, error) {
	return list(ctx, s, "plan", func(r row, _ ...any) (detail string, err error) {
		var ignored int
		return detail, r.Scan(&ignored, &ignored, &ignored, &detail)
	}, "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
}

// WriterPragma reads (or, with an argument in the text, sets) a pragma of the writing
// connection.
func (s *Store) WriterPragma(ctx context.Context, text string) (n int64, err error) {
	err = s.write(ctx, "pragma", func(t tx) error {
		n, err = one(t, number, "PRAGMA "+text)
		return err
	})
	return n, err
}

// ReaderPragma reads a pragma of a reading connection.
func (s *Store) ReaderPragma(ctx context.Context, text string) (int64, error) {
	return get(ctx, s, "pragma", number, "PRAGMA "+text)
}

// ParseCursor reads a place in a list and writes it again.
func ParseCursor(after string) (string, error) {
	c, err := parseCursor(after, lowest)
	return c.String(), err
}

// Path is where the file is.
func (s *Store) Path() string { return s.path }
