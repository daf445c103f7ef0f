// Package sqlite holds the versioned schema of the embedded store.
//
// A file that was released is never edited: a change of the schema is a further file
// with the next number. There are no down steps, because a step down would throw data
// away; going back means restoring the copy that was made before.
package sqlite

import "embed"

// Files holds the migrations, named NNNN_what.sql, in goose's format.
//
//go:embed *.sql
var Files embed.FS
