package web

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// panicked is a recovered panic as an error: for the log, with the stack.
type panicked struct {
	value any
	stack []string // lines
}

// recovered makes it of what recover returned, where it was recovered.
func recovered(value any) panicked {
	return panicked{value, strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")}
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }
