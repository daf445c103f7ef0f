//go:build unix

package main

import (
	"errors"
	"os"

	"vigil"
)

// syncDir flushes a directory, so that a file keeps its new name when the power fails.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	return vigil.Wrap(err, vigil.CodeUnavailable, "The directory %s cannot be flushed to the disk.", path)
}
