// Package observed is a store that tells an observer of each operation: how long it took, and what came of it.
package observed

import (
	"context"
	"time"

	"vigil/storage"
)

// Observer is told of a store's operations. Names are those of storage.Store's methods in snake
// case, such as append_signals. Both methods are called by many at once, and must not wait.
type Observer interface {
	// Begin may return another context for the operation.
	Begin(ctx context.Context, operation string) context.Context
	// End is told the context of Begin.
	End(ctx context.Context, operation string, took time.Duration, err error)
}

// Store passes everything on to another store.
type Store struct {
	next storage.Store
	told Observer
}

var _ storage.Store = (*Store)(nil)

// New makes a store that tells an observer what it does.
func New(next storage.Store, told Observer) *Store { return &Store{next, told} }

// Close implements storage.Store. It is no operation.
func (st *Store) Close() error { return st.next.Close() }

// operation is one that has begun.
type operation struct {
	told  Observer
	ctx   context.Context //nolint:containedctx // it lives for one call
	name  string
	began time.Time
}

func (st *Store) begin(ctx *context.Context, name string) operation {
	*ctx = st.told.Begin(*ctx, name) //nolint:fatcontext // once for each call
	return operation{st.told, *ctx, name, time.Now()}
}

func (o operation) end(err *error) { o.told.End(o.ctx, o.name, time.Since(o.began), *err) }
