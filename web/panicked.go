package web

import (
	"fmt"
	"runtime/debug"
)

// panicked is a recovered panic as an error: for the log, with the stack.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, debug.Stack()) }
