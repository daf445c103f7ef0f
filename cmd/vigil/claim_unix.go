//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"

	"vigil"
)

// claimFile keeps servers from one SQLite file that know nothing of each other: one that
// is alone wants the file for itself, those that share a relay let each other in. The
// kernel ends the claim with the process, however that ends.
func (s storeSettings) claimFile(shared bool) (unlock func(), err error) {
	path, err := s.sqlitePath()
	if err != nil {
		return nil, err
	}
	// A file of its own: closing the database's would drop SQLite's locks on it.
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeUnavailable, "The database file cannot be locked. Check the directory and its permissions.")
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, vigil.Invalid("store", "Another server works with %s. Stop it first, or run all servers on this file with the same --redis.", path)
	}
	return func() { _ = f.Close() }, nil
}
