//go:build !unix

package sqlite

import (
	"errors"
	"os"
)

// canLock: files cannot be locked here so that the lock ends with the process.
const canLock = false

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
func waitLock(*os.File) error        { return errors.ErrUnsupported }
func unlock(*os.File) error          { return errors.ErrUnsupported }
