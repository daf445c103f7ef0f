package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"vigil"
)

// convert gives an error of the driver its code. Errors of ours pass as they are.
func convert(what string, err error) error {
	if err == nil {
		return nil
	}
	var own *vigil.Error
	if errors.As(err, &own) {
		return err
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return notFound(what)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return vigil.Wrap(err, vigil.CodeUnavailable, "The store did not answer in time. Try again.")
	}
	switch code := resultCode(err); code {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return vigil.Wrap(err, vigil.CodeExists, "This %s is there already.", what)
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return vigil.Wrap(err, vigil.CodeNotFound, "What this %s belongs to is not there.", what)
	default:
		if passing(code) {
			return vigil.Wrap(err, vigil.CodeUnavailable, "The store cannot do this at the moment. Try again.")
		}
	}
	return vigil.Wrap(err, vigil.CodeInternal, "The store failed.")
}

// resultCode is SQLite's extended result code, or 0 for an error of another kind.
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// passing tells whether a result code speaks of the surroundings (disk, lock, memory)
// and not of the statement. SQLite may have rolled the whole transaction back then.
func passing(code int) bool {
	switch code & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_READONLY,
		lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL, lib.SQLITE_INTERRUPT, lib.SQLITE_ABORT:
		return true
	}
	return false
}

func notFound(what string) error {
	return vigil.Errorf(vigil.CodeNotFound, "There is no such %s.", what)
}

func exists(what string) error {
	return vigil.Errorf(vigil.CodeExists, "This %s is there already.", what)
}

func conflict(what string) error {
	return vigil.Errorf(vigil.CodeConflict, "The %s was changed by someone else in the meantime. Load it again.", what)
}
