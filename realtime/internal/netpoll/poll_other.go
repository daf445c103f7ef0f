//go:build !linux

package netpoll

import "net"

// Poll gives each connection a goroutine of its own: only Linux has what it takes to do
// better. The zero Poll is ready.
type Poll struct{}

// Close does nothing.
func (*Poll) Close() {}

// Take makes a Conn of a connection, which is the Conn's from then on.
func (*Poll) Take(conn net.Conn) (Conn, error) { return Blocking(conn), nil }
