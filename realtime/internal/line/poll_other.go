//go:build !linux

package line

import "net"

// Poll gives each connection a goroutine of its own: only Linux has what it takes to do
// better. The zero Poll is ready.
type Poll struct{}

// Close does nothing.
func (*Poll) Close() {}

// Take makes a Line of a connection, which is the Line's from then on.
func (*Poll) Take(conn net.Conn) (Line, error) { return Each(conn), nil }
