// Package sqlite holds the versioned schema of the embedded store.
//
// A file that was released is never edited: a change of the schema is a further file
// with the next number. There are no down steps, because a step down would throw data
// away; going back means restoring the copy that was made before.
package sqlite

import (
	"embed"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"vigil"
	"vigil/storage"
)

// Files holds the migrations, named NNNN_what.sql, in goose's format.
//
//go:embed *.sql
var Files embed.FS

// A file says the least version that a program must know to work beside and after it in a line
// `-- vigil:oldest=N`; one that does not lets no older program go on, as is so of those from before
// programs looked for it.
var oldestLine = regexp.MustCompile(`(?m)^-- vigil:oldest=(\d+)$`)

// Steps lists the steps in such files, in order.
func Steps(files fs.FS) ([]storage.Step, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInternal, "The migrations cannot be read.")
	}
	var out []storage.Step
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, vigil.Wrap(err, vigil.CodeInternal, "The migration %s cannot be read.", name)
		}
		v, err := strconv.Atoi(strings.SplitN(name, "_", 2)[0])
		if err != nil {
			return nil, vigil.Wrap(err, vigil.CodeInternal, "The migration %s has no number.", name)
		}
		s := storage.Step{Version: v, Name: name, Oldest: v}
		if said := oldestLine.FindSubmatch(raw); said != nil {
			if s.Oldest, err = strconv.Atoi(string(said[1])); err != nil {
				return nil, vigil.Wrap(err, vigil.CodeInternal, "The migration %s names no version.", name)
			}
		}
		out = append(out, s)
	}
	return out, nil
}
